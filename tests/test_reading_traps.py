"""Each trap made from right files, what is said of it, and silence on everything that is right."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.evaluate import evaluate_columns, evaluate_files
from alfnet.evaluation.miss_rate import evaluate
from alfnet.reading.annotation_traps import equal_rows
from alfnet.reading.diagnosis import explain_low_recall
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections
from alfnet.reading.traps import OFF_BY_A_LITTLE, find_traps

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def val(shared: Path) -> GroundTruth:
    return read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")


@pytest.fixture(scope="module")
def published(shared: Path, val: GroundTruth) -> Detections:
    return read_detections(shared / "data" / "detections" / "alfnet_resnet50_2s.json", val)


def said(truth: GroundTruth, ids: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> list[str]:
    return find_traps(Path("dt.json"), truth, ids, boxes, scores, lambda index: f"detection {index + 1}")


# -- silence --------------------------------------------------------------------------------------------------------


@pytest.mark.costly
def test_published_detections_are_no_trap(shared: Path, val: GroundTruth) -> None:
    files = [path for path in (shared / "data" / "detections").rglob("*.json") if path.name != "expected.json"]
    assert len(files) == 7
    assert val.warnings == ()
    for path in files:
        assert read_detections(path, val).warnings == ()
        assert evaluate_files(shared / "data" / "citypersons" / "val_gt.json", path, iou=[0.5]).warnings == ()


@pytest.mark.parametrize("images", [150, 24])
def test_golden_cases_are_no_trap(golden: Path, images: int) -> None:
    files = [golden / f"miss_rate_{images}_{part}.json" for part in ("gt", "dt")]
    assert evaluate_files(*files, iou=[0.5]).warnings == ()


def test_caltech_annotations_are_no_trap(shared: Path, tmp_path: Path) -> None:
    """As a COCO file. In the detections made up for it what they were made with is named: ties, and two empty videos."""
    content = json.loads((shared / "data" / "caltech" / "annotations_new.json").read_text())
    boxes = [
        {
            "id": 0,
            "image_id": number,
            "category_id": 1,
            "bbox": box,
            "height": box[3],
            "vis_ratio": 1,
            "ignore": int(flag),
        }
        for number, image in enumerate(content["images"], 1)
        for box, flag in zip(image["boxes"], image["ignore"].get("new-2016/Reasonable", ""), strict=True)
    ]
    for number, annotation in enumerate(boxes, 1):
        annotation["id"] = number
    images = [
        {"id": number, "file_name": image["file"], "height": 480, "width": 640}
        for number, image in enumerate(content["images"], 1)
    ]
    (tmp_path / "gt.json").write_text(json.dumps({"images": images, "annotations": boxes}))
    truth = read_ground_truth(tmp_path / "gt.json")
    assert truth.warnings == ()
    for name, ties in (("dense", "two decimals"), ("sparse", "in a row"), ("exact", "one decimal")):
        found = read_detections(shared / "data" / "caltech" / "detections" / f"{name}.json", truth)
        (warning,) = found.warnings
        assert ties in warning


# -- detections -----------------------------------------------------------------------------------------------------


def as_integers(ids: Any, boxes: Any, scores: Any) -> Any:
    return ids, np.floor(boxes), scores


def cut_lists(ids: Any, boxes: Any, scores: Any) -> Any:
    kept = np.concatenate([np.flatnonzero(ids == image)[:10] for image in np.unique(ids)])
    return ids[kept], boxes[kept], scores[kept]


def doubled(ids: Any, boxes: Any, scores: Any) -> Any:
    return np.append(ids, ids[:7]), np.vstack([boxes, boxes[:7]]), np.append(scores, scores[:7])


def without_suppression(ids: Any, boxes: Any, scores: Any) -> Any:
    return np.tile(ids, 2), np.vstack([boxes, boxes + np.array([0.5, 0.5, 1, 1])]), np.append(scores, 0.9 * scores)


def first_half(ids: Any, boxes: Any, scores: Any) -> Any:
    return ids[ids <= 250], boxes[ids <= 250], scores[ids <= 250]


def each_tenth_missing(ids: Any, boxes: Any, scores: Any) -> Any:
    kept = ids % 10 != 3
    return ids[kept], boxes[kept], scores[kept]


TRAPS: dict[str, tuple[Callable[[Any, Any, Any], Any], list[str]]] = {
    "integers": (as_integers, ["all 3785 boxes have whole numbers, as if", "12.01 to 12.19", "36.48 to 38.14"]),
    "integer sizes": (
        lambda i, b, s: (i, np.column_stack([b[:, :2], np.round(b[:, 2:])]), s),
        ["whole numbers as width and height"],
    ),
    "two decimals": (
        lambda i, b, s: (i, b, np.round(s, 2)),
        ["scores have at most two decimals", "order of the images"],
    ),
    "one decimal": (lambda i, b, s: (i, b, np.round(s, 1)), ["at most one decimal: only 10 different"]),
    "ten an image": (cut_lists, ["have exactly 10 detections", "cut at 10", "23.66"]),
    "doubles": (doubled, ["7 of 3792 detections stand in the list twice", "detection 3786"]),
    "no suppression": (without_suppression, ["overlap another one by 80 %", "non-maximum suppression"]),
    "half the size": (lambda i, b, s: (i, b / 2, s), ["no box reaches beyond 50 % of the width", "2048 x 1024"]),
    "half a per cent larger": (lambda i, b, s: (i, 1.005 * b, s), ["x were multiplied by 0.995", "resized, cropped"]),
    "six pixels aside": (lambda i, b, s: (i, b + np.array([6, 0, 0, 0]), s), ["by 1.000 and moved by -5", "padded"]),
    "half the split": (first_half, ["only a part of the split", "in a row", "frankfurt_000001"]),
    "some images missing": (each_tenth_missing, ["have no detection", "pedestrians are met", "were images left out"]),
}


@pytest.mark.parametrize("name", TRAPS)
def test_traps_are_named(published: Detections, val: GroundTruth, name: str) -> None:
    change, expected = TRAPS[name]
    warnings = said(val, *change(published.image_ids, published.boxes, published.scores))
    assert len(warnings) == 1, warnings
    for part in ["dt.json: ", *expected]:
        assert part in warnings[0]


def test_figures_in_the_messages_are_measured(published: Detections, val: GroundTruth) -> None:
    """What the messages say that a trap costs on the published detections."""

    def rate(boxes: np.ndarray, scores: np.ndarray, iou: float = 0.5, ids: np.ndarray = published.image_ids) -> str:
        rates = evaluate(val, Detections(ids, boxes, scores), [iou])
        return f"{rates.percent[f'iou_{iou:.2f}']['reasonable']:.2f}"

    boxes, scores = published.boxes, published.scores
    assert [rate(np.floor(boxes), scores, iou) for iou in (0.5, 0.75)] == ["12.19", "38.14"]
    assert [rate(boxes, np.round(scores, decimals)) for decimals in (2, 1)] == TIES
    order = np.lexsort((-scores, published.image_ids))
    place = np.arange(len(order)) - np.searchsorted(published.image_ids[order], published.image_ids[order])
    for most, expected in CUTS.items():
        kept = order[place < most]
        assert rate(boxes[kept], scores[kept], ids=published.image_ids[kept]) == expected


TIES = ["12.09", "12.52"]
CUTS = {30: "12.20", 20: "13.14", 10: "23.66"}


def test_a_list_that_stands_twice_is_refused(published: Detections, val: GroundTruth) -> None:
    with pytest.raises(AlfnetError, match=r"3785 of 7570 detections stand in the list twice.*Leave each in once"):
        said(val, np.tile(published.image_ids, 2), np.tile(published.boxes, (2, 1)), np.tile(published.scores, 2))


@pytest.mark.parametrize("value", [1e308, -1e9, 2e6])
def test_coordinates_that_are_no_pixels(golden: Path, tmp_path: Path, value: float) -> None:
    truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    records = json.loads((golden / "miss_rate_150_dt.json").read_text())
    records[4]["bbox"][0] = value
    (tmp_path / "dt.json").write_text(json.dumps(records))
    with pytest.raises(AlfnetError, match=r"1 of 733 boxes have a coordinate beyond 1,000,000 pixels.*detection 5"):
        read_detections(tmp_path / "dt.json", truth)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("dt.txt", "\n"),
        ("dt.json", "[]"),
        ("dt.csv", "image_id,x,y,w,h,score\n"),
        ("dt.csv", "file_name,x,y,w,h,score\n"),
    ],
)
def test_no_detections_are_named(golden: Path, tmp_path: Path, name: str, content: str) -> None:
    truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    (tmp_path / name).write_text(content)
    (warning,) = read_detections(tmp_path / name, truth).warnings
    assert "no detections at all" in warning
    assert "100 %" in warning


@pytest.mark.costly
@pytest.mark.parametrize("factor", [1333 / 2048, 1216 / 2048, 0.35, 1.87])
def test_boxes_of_any_other_image_size(published: Detections, val: GroundTruth, factor: float) -> None:
    (warning,) = explain_low_recall(Path("dt.json"), val, published.image_ids, published.boxes * factor)
    assert float(warning.rpartition(" ")[2]) == pytest.approx(1 / factor, rel=0.002)


@pytest.mark.costly
@pytest.mark.parametrize("size", [(800, 600), (1333, 800), (1920, 1080), (2048, 2048), (672, 672)])
def test_boxes_of_images_of_another_shape(published: Detections, val: GroundTruth, size: tuple[int, int]) -> None:
    boxes = published.boxes * np.array([size[0] / 2048, size[1] / 1024] * 2)
    (warning,) = explain_low_recall(Path("dt.json"), val, published.image_ids, boxes, published.scores)
    width, height = map(int, re.findall(r"the images were about (\d+) x (\d+) px", warning)[0])
    assert (width, height) == (pytest.approx(size[0], abs=2), pytest.approx(size[1], abs=2))
    across, down = map(float, re.findall(r"[\d.]+", warning.rpartition("multiply x")[2]))
    assert (across, down) == (pytest.approx(2048 / size[0], rel=0.003), pytest.approx(1024 / size[1], rel=0.003))


def test_one_warning_for_boxes_scaled_a_little(published: Detections, val: GroundTruth) -> None:
    """Two would contradict each other: the fit of boxes to their neighbours fails where they are far from their own."""
    found = replace(published, boxes=published.boxes * 0.95)
    found = replace(found, warnings=tuple(said(val, found.image_ids, found.boxes, found.scores)))
    assert any(OFF_BY_A_LITTLE in text for text in found.warnings)
    (warning,) = evaluate_columns(val, found, [0.5]).warnings
    assert "multiply the boxes by about 1.053" in warning


@pytest.mark.parametrize("images", [40, 100])
def test_half_of_a_small_set_is_missing(published: Detections, val: GroundTruth, images: int) -> None:
    truth = replace(val, folds=tuple(np.arange(500) // images)).of_fold(0)
    mine = np.isin(published.image_ids, truth.image_ids)
    every_second = np.isin(published.image_ids, truth.image_ids[::2])
    for kept, expected in ((mine, False), (mine & every_second, True)):
        columns = published.image_ids[kept], published.boxes[kept], published.scores[kept]
        assert any("have no detection" in text for text in said(truth, *columns)) == expected
        shown = str(evaluate_columns(truth, Detections(*columns), [0.5]))
        counts = ~truth.ignored & (truth.heights >= 50) & (truth.visible_ratios >= 0.65)
        peopled = set(truth.annotation_image_ids[counts].tolist())
        without = len(peopled - set(columns[0].tolist()))
        verb = "has" if without == 1 else "have"
        sentence = f"; {without} of {len(peopled)} images with reasonable pedestrians {verb} none"
        assert (sentence in shown) == (without > 0)


def test_a_cut_at_any_usual_number(val: GroundTruth) -> None:
    random = np.random.default_rng(2)

    def lists(counts: np.ndarray) -> list[str]:
        ids = np.repeat(val.image_ids[: len(counts)], counts)
        boxes = random.uniform(5, 900, (len(ids), 4))
        return [text for text in said(val, ids, boxes, random.random(len(ids))) if "seem cut" in text]

    assert lists(np.minimum(random.poisson(28, 60), 30))
    assert not lists(np.minimum(random.poisson(6, 40), 10))  # ten, now and then, but nine as often


def test_percentages_of_full_resolution_are_not_called_coarse(published: Detections, val: GroundTruth) -> None:
    columns = published.image_ids, published.boxes
    assert not any("decimals" in text for text in said(val, *columns, published.scores * 100))
    assert any("two decimals" in text for text in said(val, *columns, (published.scores * 100).round()))


def test_image_numbers_of_another_list(shared: Path, tmp_path: Path, val: GroundTruth) -> None:
    records = json.loads((shared / "data" / "detections" / "alfnet_resnet50_2s.json").read_text())
    numbers = np.random.default_rng(1).permutation(500) + 1
    for record in records:
        record["image_id"] = int(numbers[record["image_id"] - 1])
    (tmp_path / "dt.json").write_text(json.dumps(records))
    found = evaluate_files(shared / "data" / "citypersons" / "val_gt.json", tmp_path / "dt.json", iou=[0.5])
    (warning,) = found.warnings
    assert "the image numbers do not belong to this ground truth's images" in warning


@pytest.mark.parametrize("images", [12, 150])
def test_image_numbers_of_another_list_in_a_small_set(golden: Path, tmp_path: Path, images: int) -> None:
    content = json.loads((golden / "miss_rate_150_gt.json").read_text())
    records = json.loads((golden / "miss_rate_150_dt.json").read_text())
    chosen = {image["id"] for image in content["images"][:images]}
    content["images"] = content["images"][:images]
    content["annotations"] = [each for each in content["annotations"] if each["image_id"] in chosen]
    numbers = dict(
        zip(sorted(chosen), np.roll(np.random.default_rng(5).permutation(sorted(chosen)), 1).tolist(), strict=True)
    )
    records = [each | {"image_id": numbers[each["image_id"]]} for each in records if each["image_id"] in chosen]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    (tmp_path / "dt.json").write_text(json.dumps(records))
    found = evaluate_files(tmp_path / "gt.json", tmp_path / "dt.json", iou=[0.5])
    (warning,) = [text for text in found.warnings if "numbered otherwise" in text]
    number, image = map(int, re.findall(r"image (\d+)", warning))
    assert numbers[image] == number  # what was called `image` in truth


# -- ground truth ---------------------------------------------------------------------------------------------------


@pytest.fixture
def content(golden: Path) -> dict[str, Any]:
    return json.loads((golden / "miss_rate_150_gt.json").read_text())


def image_heights(content: dict[str, Any]) -> None:
    for annotation in content["annotations"]:
        annotation["height"] = 1024


def all_twice(content: dict[str, Any]) -> None:
    content["annotations"] += [a | {"id": a["id"] + 5000} for a in copy.deepcopy(content["annotations"])]


def some_twice(content: dict[str, Any]) -> None:
    pedestrians = [a for a in content["annotations"] if not a["ignore"]]
    content["annotations"] += [a | {"id": a["id"] + 5000} for a in copy.deepcopy(pedestrians[:3])]


def pedestrian(content: dict[str, Any], number: int) -> dict[str, Any]:
    return [a for a in content["annotations"] if not a["ignore"]][number]


CERTAIN: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "the image's height": (image_heights, "annotations have the image's height under 'height'.*27.41"),
    "all twice": (all_twice, "pedestrians are annotated twice.*two files joined"),
    "negative height": (lambda c: pedestrian(c, 2).update(height=-3), "1 of 610 annotations have a negative height"),
    "overflow": (lambda c: pedestrian(c, 2).update(bbox=[1e308, 1, 2, 3]), "1 of 610 annotations have a coordinate"),
}
LIKELY: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "some twice": (some_twice, "3 of "),
    "another height": (lambda c: pedestrian(c, 2).update(height=500), "1 of "),
    "no area": (lambda c: pedestrian(c, 2)["bbox"].__setitem__(2, 0), "without area"),
    "double ids": (lambda c: c["annotations"][5].update(id=1), "1 of 610 annotations have the id of another"),
}


@pytest.mark.parametrize("name", CERTAIN)
def test_certain_mistakes_of_the_ground_truth(tmp_path: Path, content: dict[str, Any], name: str) -> None:
    change, expected = CERTAIN[name]
    change(content)
    (tmp_path / "gt.json").write_text(json.dumps(content))
    with pytest.raises(AlfnetError, match=expected):
        read_ground_truth(tmp_path / "gt.json")


@pytest.mark.parametrize("name", LIKELY)
def test_likely_mistakes_of_the_ground_truth(tmp_path: Path, content: dict[str, Any], name: str) -> None:
    change, expected = LIKELY[name]
    change(content)
    (tmp_path / "gt.json").write_text(json.dumps(content))
    (warning,) = read_ground_truth(tmp_path / "gt.json").warnings
    assert expected in warning


def test_equal_rows() -> None:
    rows = np.array([[1, 2], [3, 4], [1, 2], [2, 1], [1, 2.0]])
    again, kept = equal_rows(rows)
    assert again.tolist() == [False, False, True, False, True]
    assert kept.tolist() == [True, False, False, False, False]
