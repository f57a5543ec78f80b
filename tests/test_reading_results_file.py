"""Every usual way to hand in wrong detections, made from right ones, and what the reader says to it."""

from __future__ import annotations

import copy
import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.miss_rate import evaluate
from alfnet.reading.diagnosis import explain_low_recall
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def truth(golden: Path) -> GroundTruth:
    return read_ground_truth(golden / "miss_rate_150_gt.json")


@pytest.fixture(scope="module")
def original(golden: Path) -> Records:
    """733 right detections."""
    return json.loads((golden / "miss_rate_150_dt.json").read_text())


@pytest.fixture
def records(original: Records) -> Records:
    return copy.deepcopy(original)


def write(path: Path, content: Any) -> Path:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def as_text(records: Records) -> str:
    lines = []
    for record in records:
        values = [record["image_id"], *record["bbox"], record["score"]]
        lines.append(" ".join(map(str, values)))
    return "\n".join(lines) + "\n"


def same(first: Detections, second: Detections) -> bool:
    return all(
        np.array_equal(a, b)
        for a, b in (
            (first.image_ids, second.image_ids),
            (first.boxes, second.boxes),
            (first.scores, second.scores),
        )
    )


def corners(record: dict[str, Any]) -> list[float]:
    x, y, w, h = record["bbox"]
    return [x, y, x + w, y + h]


# -- what is right --------------------------------------------------------------------------------------------------


def test_reads_coco_results(tmp_path: Path, truth: GroundTruth, records: Records) -> None:
    found = read_detections(write(tmp_path / "dt.json", records), truth)
    assert found.image_ids.tolist() == [record["image_id"] for record in records]
    assert found.boxes.tolist() == [record["bbox"] for record in records]
    assert found.scores.tolist() == [record["score"] for record in records]
    assert found.warnings == ()


@pytest.mark.parametrize("name", ["dt.txt", "dt"])
def test_text_format_equals_json(tmp_path: Path, truth: GroundTruth, records: Records, name: str) -> None:
    by_json = read_detections(write(tmp_path / "dt.json", records), truth)
    by_text = read_detections(write(tmp_path / name, "\n" + as_text(records).replace("\n", "\r\n")), truth)
    assert same(by_json, by_text)
    assert by_text.warnings == ()


def test_text_format_counts_images_from_1_in_file_order(tmp_path: Path, golden: Path) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    content["images"] = content["images"][::-1]  # ids 24, 23, ...
    turned = read_ground_truth(write(tmp_path / "gt.json", content))
    found = read_detections(write(tmp_path / "dt.txt", "1 10 20 30 40 0.5\n24 1 2 3 4 0.4\n"), turned)
    assert found.image_ids.tolist() == [24, 1]


@pytest.mark.parametrize("content", ["[]", "[ ]\n"])
def test_no_detections_as_json(tmp_path: Path, truth: GroundTruth, content: str) -> None:
    found = read_detections(write(tmp_path / "dt.json", content), truth)
    assert found.boxes.shape == (0, 4)
    assert ["no detections at all" in warning for warning in found.warnings] == [True]
    assert set(evaluate(truth, found, [0.5]).percent["iou_0.50"].values()) == {100.0}


@pytest.mark.parametrize("content", ["", "\n\n"])
def test_no_detections_as_text(tmp_path: Path, truth: GroundTruth, content: str) -> None:
    found = read_detections(write(tmp_path / "dt.txt", content), truth)
    assert set(evaluate(truth, found, [0.5]).percent["iou_0.50"].values()) == {100.0}


@pytest.mark.parametrize(("name", "warnings"), [("dt.json.gz", 0), ("dt.json", 1), ("dt.txt.gz", 0)])
def test_gzip_is_unpacked(tmp_path: Path, truth: GroundTruth, records: Records, name: str, warnings: int) -> None:
    content = as_text(records) if "txt" in name else json.dumps(records)
    (tmp_path / name).write_bytes(gzip.compress(content.encode()))
    found = read_detections(tmp_path / name, truth)
    assert same(found, read_detections(write(tmp_path / "plain.json", records), truth))
    assert len(found.warnings) == warnings
    assert all("gzip" in warning for warning in found.warnings)


def test_whole_numbers_byte_order_mark_and_float_ids(tmp_path: Path, truth: GroundTruth) -> None:
    record = {"image_id": 3.0, "category_id": 1, "bbox": [100, 200, 40, 80], "score": 1, "area": 3200, "id": 7}
    path = tmp_path / "dt.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps([record]).encode())
    found = read_detections(path, truth)
    assert (found.image_ids.tolist(), found.boxes.tolist()) == ([3], [[100, 200, 40, 80]])


# -- what is certainly wrong ----------------------------------------------------------------------------------------


def each(change: Callable[[dict[str, Any]], None]) -> Callable[[Records], Records]:
    def changed(records: Records) -> Records:
        for record in records:
            change(record)
        return records

    return changed


def some(change: Callable[[dict[str, Any]], None]) -> Callable[[Records], Records]:
    """Change the 5th, 12th and 19th record."""

    def changed(records: Records) -> Records:
        for record in records[4:20:7]:
            change(record)
        return records

    return changed


def to_fractions(record: dict[str, Any]) -> None:
    x, y, w, h = record["bbox"]
    record["bbox"] = [x / 2048, y / 1024, w / 2048, h / 1024]


WRONG_RECORDS: dict[str, tuple[Callable[[Records], Any], list[str]]] = {
    "0-based ids": (
        each(lambda r: r.update(image_id=r["image_id"] - 1)),
        ["0-based", "3 of 733", "150 images with ids 1 to 150", "e.g. 0 in detection 1", "add 1"],
    ),
    "ids of nothing": (
        each(lambda r: r.update(image_id=r["image_id"] + 5000)),
        ["733 of 733", "not in the ground truth", "e.g. 5001 in detection 1", "1 to 150", "another data set"],
    ),
    "ids of more images": (
        some(lambda r: r.update(image_id=151)),
        ["3 of 733", "1 different", "not in the ground truth", "e.g. 151 in detection 5", "Leave these out"],
    ),
    "file names as ids": (
        each(lambda r: r.update(image_id=f"synthetic/{r['image_id']:04d}.png")),
        ["733 of 733", "file name", "'synthetic/0001.png' in detection 1", "here 1"],
    ),
    "file names without folder and suffix": (
        each(lambda r: r.update(image_id=f"{r['image_id']:04d}")),
        ["733 of 733", "file name", "'0001'", "here 1"],
    ),
    "full paths": (
        each(lambda r: r.update(image_id=f"C:\\val\\{r['image_id']:04d}.png")),
        ["733 of 733", "file name", "here 1"],
    ),
    "ids as text": (
        each(lambda r: r.update(image_id=str(r["image_id"]))),
        ["733 of 733", "text", "'1' in detection 1", "without quotes: 1"],
    ),
    "names of other images": (
        some(lambda r: r.update(image_id="frankfurt_1.png")),
        ["3 of 733", "'frankfurt_1.png' in detection 5", "1 to 150"],
    ),
    "fractional ids": (some(lambda r: r.update(image_id=1.5)), ["3 of 733", "no whole number", "1.5 in detection 5"]),
    "null ids": (some(lambda r: r.update(image_id=None)), ["3 of 733", "null in detection 5"]),
    "true as id": (some(lambda r: r.update(image_id=True)), ["3 of 733", "true in detection 5"]),
    "corners": (
        each(lambda r: r.update(bbox=corners(r))),
        ["xyxy", "xywh", " of 733 ", "leave the image or contain one another", "e.g. [", "write x1, y1, x2 - x1, y2"],
    ),
    "fractions": (each(to_fractions), ["all 733", "between 0 and 1", "e.g. [", "multiply"]),
    "negative sizes": (
        some(lambda r: r.update(bbox=[10, 20, -5, 60])),
        ["3 of 733", "negative", "[10.0, 20.0, -5.0, 60.0] in detection 5", "x2 - x1"],
    ),
    "NaN scores": (some(lambda r: r.update(score=math.nan)), ["3 of 733", "NaN or infinity as score", "detection 5"]),
    "infinite scores": (some(lambda r: r.update(score=-math.inf)), ["3 of 733", "score", "-inf in detection 5"]),
    "NaN boxes": (
        some(lambda r: r.update(bbox=[1, math.nan, 3, 4])),
        ["3 of 733", "box", "[1.0, nan, 3.0, 4.0] in detection 5"],
    ),
    "null scores": (some(lambda r: r.update(score=None)), ["3 of 733", "'score'", "null in detection 5"]),
    "text scores": (some(lambda r: r.update(score="0.5")), ["3 of 733", "'score'", '"0.5" in detection 5', "quotes"]),
    "true as score": (some(lambda r: r.update(score=True)), ["3 of 733", "'score'", "true in detection 5"]),
    "huge score": (some(lambda r: r.update(score=10**400)), ["'score'", "too large (1000"]),
    "three numbers": (some(lambda r: r["bbox"].pop()), ["3 of 733", "'bbox'", "detection 5", "[x, y, width, height]"]),
    "texts in boxes": (some(lambda r: r.update(bbox=["1", "2", "3", "4"])), ["3 of 733", "'bbox'", '["1", "2"']),
    "boxes as objects": (some(lambda r: r.update(bbox={"x": 1})), ["3 of 733", "'bbox'", '{"x": 1}']),
    "no score": (some(lambda r: r.pop("score")), ["3 of 733", "no 'score'", "detection 5 is {", '"score": 0.9']),
    "score by another name": (each(lambda r: r.update(conf=r.pop("score"))), ["733 of 733", "rename 'conf'"]),
    "box by another name": (each(lambda r: r.update(box=r.pop("bbox"))), ["733 of 733", "rename 'box' to 'bbox'"]),
    "no category": (each(lambda r: r.pop("category_id")), ["733 of 733", "no 'category_id'"]),
    "other category": (
        each(lambda r: r.update(category_id=0)),
        ["none of 733", "category_id 1", "0 (733 times)", '"category_id": 1'],
    ),
    "lists instead of objects": (
        lambda records: [[r["image_id"], *r["bbox"], r["score"]] for r in records],
        ["733 of 733", "no JSON objects", "detection 1 is [1, 1200.71", "image_id"],
    ),
    "results under a key": (lambda records: {"results": records}, ["'results' holds 733 detections", "save that list"]),
    "one detection": (lambda records: records[0], ["single detection", "[ and ]"]),
    "detections per image": (lambda records: {"1": [1, 2, 3]}, ['keys ["1"]', "expected a list of detections"]),
    "a text": (lambda records: "nothing", ["a value of type str was found"]),
}


@pytest.mark.parametrize("case", WRONG_RECORDS)
def test_wrong_records(tmp_path: Path, truth: GroundTruth, records: Records, case: str) -> None:
    change, expected = WRONG_RECORDS[case]
    path = write(tmp_path / "dt.json", json.dumps(change(records)))
    with pytest.raises(AlfnetError) as error:
        read_detections(path, truth)
    assert "\n" not in str(error.value)
    for part in [str(path), *expected]:
        assert part in str(error.value)


def text(change: Callable[[list[str]], list[str]]) -> Callable[[Records], str]:
    return lambda records: "\n".join(change(as_text(records).splitlines())) + "\n"


WRONG_FILES: dict[str, tuple[str, Callable[[Records], str], list[str]]] = {
    "cut in a number": ("dt.json", lambda r: json.dumps(r)[:500], ["truncated", "500 characters", "6 records", "copy"]),
    "cut after a record": ("dt.json", lambda r: json.dumps(r[:3])[:-1], ["truncated", "3 records"]),
    "cut after a comma": ("dt.json", lambda r: json.dumps(r[:3])[:-1] + ",", ["truncated"]),
    "cut in a key": ("dt.json", lambda r: json.dumps(r)[:110], ["truncated"]),
    "empty JSON": ("dt.json", lambda r: "", ["empty", "[]"]),
    "Python's notation": ("dt.json", repr, ["no valid JSON", "line 1, column 3", "JSON library"]),
    "something behind": ("dt.json", lambda r: json.dumps(r[:3]) + "\ndone", ["no valid JSON", "Extra data", "line 2"]),
    "nested": ("dt.json", lambda r: "[" * 100_000, ["JSON"]),
    "0-based images": (
        "dt.txt",
        lambda r: as_text([x | {"image_id": x["image_id"] - 1} for x in r]),
        ["image numbers are 0-based", "3 of 733", "add 1", "150 images, numbered from 1 to 150"],
    ),
    "an image too many": ("dt.txt", text(lambda rows: [*rows, "151 1 2 3 4 .5"]), ["1 of 734", "151 in detection 734"]),
    "names for numbers": (
        "dt.txt",
        lambda r: as_text([x | {"image_id": f"{x['image_id']:04d}.png"} for x in r]),
        ["733 of 733", "start with a file name", "line 1: 0001.png", "1-based"],
    ),
    "a broken number": ("dt.txt", text(lambda rows: ["1 x 2 3 4 .5", *rows]), ["1 of 734", "no number", "line 1"]),
    "five columns": (
        "dt.txt",
        text(lambda rows: [row.rsplit(" ", 1)[0] for row in rows]),
        ["733 of 733", "not six values", "line 1: 1 1200.71", "image x y width height score"],
    ),
    "cut in a line": ("dt.txt", lambda r: as_text(r)[:-20], ["truncated", "last of 733 lines", "line 733"]),
    "NaN": ("dt.txt", text(lambda rows: [*rows, "1 1 2 3 4 nan"]), ["1 of 734", "score", "nan in line 734"]),
    "NaN image": ("dt.txt", text(lambda rows: ["nan 1 2 3 4 .5", *rows]), ["1 of 734", "image number", "line 1"]),
    "fractional image": ("dt.txt", text(lambda rows: ["1.5 1 2 3 4 .5", *rows]), ["1 of 734", "no whole number"]),
    "score second": (
        "dt.txt",
        text(lambda rows: [" ".join(np.array(row.split())[[0, 5, 1, 2, 3, 4]]) for row in rows]),
        ["all 733 lines", "the score comes second", "image x y width height score"],
    ),
    "negative width": ("dt.txt", text(lambda rows: [*rows, "2 9 9 -4 9 .5"]), ["negative", "line 734 (image 2)"]),
    "corners": (
        "dt.txt",
        lambda r: as_text([x | {"bbox": corners(x)} for x in r]),
        ["xyxy", " of 733 ", "write x1, y1, x2 - x1, y2 - y1"],
    ),
    "LFS pointer": ("dt.json", lambda r: "version https://git-lfs.github.com/spec/v1\noid 1\n", ["git lfs pull"]),
}


@pytest.mark.parametrize("case", WRONG_FILES)
def test_wrong_files(tmp_path: Path, truth: GroundTruth, records: Records, case: str) -> None:
    name, make, expected = WRONG_FILES[case]
    path = write(tmp_path / name, make(records))
    with pytest.raises(AlfnetError) as error:
        read_detections(path, truth)
    assert "\n" not in str(error.value)
    for part in [str(path), *expected]:
        assert part in str(error.value)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (gzip.compress(b"[1, 2, 3]" * 99, mtime=0)[:-12], "damaged gzip"),
        (b"PK\x03\x04rest", "zip"),
        (b"\x80\x04rest", "pickle"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"MATLAB 5.0", "MATLAB"),
        (b"\xff\xfe[", "UTF-16"),
        (b"[\xff]", "UTF-8"),
    ],
    ids=["gzip", "zip", "pickle", "hdf5", "matlab", "utf-16", "utf-8"],  # not the bytes: xdist's workers must agree
)
def test_binary_files(tmp_path: Path, truth: GroundTruth, content: bytes, expected: str) -> None:
    (tmp_path / "dt.json").write_bytes(content)
    with pytest.raises(AlfnetError, match=expected):
        read_detections(tmp_path / "dt.json", truth)


def test_missing_file_and_folder(tmp_path: Path, truth: GroundTruth) -> None:
    with pytest.raises(AlfnetError, match="no such file"):
        read_detections(tmp_path / "dt.json", truth)
    with pytest.raises(AlfnetError, match="folder"):
        read_detections(tmp_path, truth)


def test_ground_truth_as_detections(golden: Path, truth: GroundTruth) -> None:
    with pytest.raises(AlfnetError, match=r"COCO ground truth \(of 610 annotations\).*exchanged"):
        read_detections(golden / "miss_rate_150_gt.json", truth)


def test_published_detections_made_wrong(shared: Path, tmp_path: Path) -> None:
    val = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    records = json.loads((shared / "data" / "detections" / "alfnet_resnet50_2s.json").read_text())
    name = val.file_names[0]
    for change, expected in (
        (lambda r: r | {"bbox": corners(r)}, "xyxy"),
        (lambda r: r | {"image_id": r["image_id"] - 1}, "0-based"),
        (lambda r: r | {"image_id": val.file_names[r["image_id"] - 1]}, f"'{name}' in detection 1.* here 1"),
    ):
        with pytest.raises(AlfnetError, match=expected):
            read_detections(write(tmp_path / "dt.json", [change(record) for record in records]), val)


# -- what looks wrong -----------------------------------------------------------------------------------------------


def logit(record: dict[str, Any]) -> None:
    record["score"] = math.log(record["score"] / (1 - record["score"]))


DOUBTFUL: dict[str, tuple[Callable[[Records], Records], list[str]]] = {
    "logits": (each(logit), ["of 733 scores lie outside [0, 1]", "logits", "exp(-x)", "the miss rate holds"]),
    "percentages": (each(lambda r: r.update(score=100 * r["score"])), ["728 of 733 scores", "percentages", "by 100"]),
    "a score above 1": (some(lambda r: r.update(score=1.2)), ["3 of 733 scores", "1.2 in detection 5 (image"]),
    "equal scores": (each(lambda r: r.update(score=1)), ["all 733 scores are equal", "detector's scores"]),
    "empty boxes": (some(lambda r: r.update(bbox=[9, 9, 0, 9])), ["3 of 733 boxes have no area", "in detection 5"]),
    "other classes": (some(lambda r: r.update(category_id=3)), ["3 of 733", "left out", "3 (3 times)"]),
    "few images": (
        lambda records: records[:60],
        ["images with Reasonable pedestrians have no detection", "is the file whole"],
    ),
    "one image's corners": (
        lambda records: [r | {"bbox": corners(r)} for r in records[2:4]],
        ["xyxy", "2 of 2", "write x1, y1, x2 - x1, y2 - y1"],
    ),
    "large images": (
        each(lambda r: r.update(bbox=[3 * value for value in r["bbox"]])),
        ["of 733 boxes reach far out of their image", "full image"],
    ),
    "a crowd": (lambda records: [*records, *records[:1] * 1200], ["1 images have more than 1000", "on image 1"]),
}


@pytest.mark.parametrize("case", DOUBTFUL)
def test_doubtful_input_is_warned_of(tmp_path: Path, truth: GroundTruth, records: Records, case: str) -> None:
    change, expected = DOUBTFUL[case]
    path = write(tmp_path / "dt.json", change(records))
    warnings = read_detections(path, truth).warnings
    assert any(all(part in warning for part in [str(path), *expected]) for warning in warnings), warnings


def test_logits_and_percentages_have_the_same_miss_rate(tmp_path: Path, truth: GroundTruth, records: Records) -> None:
    right = evaluate(truth, read_detections(write(tmp_path / "a.json", records), truth), [0.5])
    for record in records:
        logit(record)
    assert evaluate(truth, read_detections(write(tmp_path / "b.json", records), truth), [0.5]).percent == right.percent


def test_other_categories_do_not_count(tmp_path: Path, truth: GroundTruth, records: Records) -> None:
    cars = [record | {"category_id": 3} for record in records[::2]]
    alone = read_detections(write(tmp_path / "a.json", records), truth)
    assert same(alone, read_detections(write(tmp_path / "b.json", [*cars, *records]), truth))


READINGS = {
    "add 1 to each": lambda ids, boxes: (ids[ids > 1] - 1, boxes[ids > 1]),
    "subtract 1 from each": lambda ids, boxes: (ids[ids < 150] + 1, boxes[ids < 150]),
    "(xyxy)": lambda ids, boxes: (ids, np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]])),
    "centres": lambda ids, boxes: (ids, np.hstack([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]])),
    "axes": lambda ids, boxes: (ids, boxes[:, [1, 0, 3, 2]]),
    "half as large": lambda ids, boxes: (ids, boxes / 2),
    "twice as large": lambda ids, boxes: (ids, boxes * 2),
    "640 x 640": lambda ids, boxes: (ids, boxes * np.tile([640 / 2048, 640 / 1024], 2)),
}


@pytest.mark.parametrize("reading", READINGS)
def test_low_recall_is_explained_by_another_reading(golden: Path, truth: GroundTruth, reading: str) -> None:
    right = read_detections(golden / "miss_rate_150_dt.json", truth)
    assert explain_low_recall(Path("dt.json"), truth, right.image_ids, right.boxes) == []
    (warning,) = explain_low_recall(Path("dt.json"), truth, *READINGS[reading](right.image_ids, right.boxes))
    assert reading in warning


def test_low_recall_without_explanation(truth: GroundTruth) -> None:
    ids = np.repeat(truth.image_ids, 5)
    boxes = np.random.default_rng(0).uniform(0, 300, (len(ids), 4))
    assert explain_low_recall(Path("dt.json"), truth, ids, boxes) == []
