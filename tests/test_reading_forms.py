"""The same detections in every form that is read, and what damaged or hostile files get."""

from __future__ import annotations

import gzip
import io
import json
import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alfnet
from alfnet.errors import AlfnetError
from alfnet.reading import json_list
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

Records = list[dict[str, Any]]


@pytest.fixture(scope="module")
def truth(golden: Path) -> GroundTruth:
    return read_ground_truth(golden / "miss_rate_24_gt.json")


@pytest.fixture(scope="module")
def records(golden: Path) -> Records:
    return json.loads((golden / "miss_rate_24_dt.json").read_text())


def rows(records: Records) -> list[list[float]]:
    return [[r["image_id"], *r["bbox"], r["score"]] for r in records]


def lines(records: Records, separator: str, heading: str = "") -> str:
    return heading + "\n".join(separator.join(map(str, row)) for row in rows(records)) + "\n"


def corner_lines(records: Records) -> str:
    table = [[f"/data/{i:04d}.png", x, y, x + w, y + h, s, "person"] for i, x, y, w, h, s in rows(records)]
    return "file_name,xmin,ymin,xmax,ymax,confidence,class\n" + "\n".join(",".join(map(str, row)) for row in table)


def decimal_commas_by_name(records: Records) -> str:
    table = [[f"{i:04d}.png", *(str(value).replace(".", ",") for value in row)] for i, *row in rows(records)]
    return "file_name;x;y;w;h;score\n" + "\n".join(";".join(row) for row in table)


FORMS: dict[str, tuple[str, Callable[[Records], str]]] = {
    "JSON": ("d.json", json.dumps),
    "JSON Lines": ("d.jsonl", lambda r: "\n".join(map(json.dumps, r)) + "\n"),
    "JSON Lines called .json": ("d.json", lambda r: "\n\n".join(json.dumps(x, indent=1) for x in r)),
    "2018 text": ("d.txt", lambda r: lines(r, " ")),
    "blanks and a heading": ("d.txt", lambda r: lines(r, " ", "image x y w h score\n")),
    "a heading without names": ("d.txt", lambda r: lines(r, " ", "my detector, second run\n")),
    "remarks": ("d.txt", lambda r: "# my detector\n\n" + lines(r, " ")),
    "commas": ("d.txt", lambda r: lines(r, ", ")),
    "tabs": ("d.tsv", lambda r: lines(r, "\t")),
    "CSV": ("d.csv", lambda r: lines(r, ",", "image_id,x,y,width,height,score\n")),
    "CSV with quotes": ("d.csv", lambda r: lines(r, ",", '"image_id","bbox x","bbox_y","w","h","Score"\n')),
    "TSV": ("d.tsv", lambda r: lines(r, "\t", "Image\tLeft\tTop\tWidth\tHeight\tConfidence\n")),
    "semicolons and decimal commas": (
        "d.csv",
        lambda r: lines(r, ";", "image_id;x;y;w;h;score\n").replace(".", ","),
    ),
    "corners by file name": ("d.csv", corner_lines),
    "decimal commas beside file names": ("d.csv", decimal_commas_by_name),
    "MOT": (
        "det.txt",
        lambda r: "\n".join(f"{i},-1,{x},{y},{w},{h},{s},-1,-1,-1" for i, x, y, w, h, s in rows(r)),
    ),
}


def check_same(found: Detections, records: Records) -> None:
    table = np.array(rows(records))
    assert found.image_ids.tolist() == table[:, 0].tolist()
    assert found.boxes == pytest.approx(table[:, 1:5], abs=1e-9)
    assert found.scores.tolist() == table[:, 5].tolist()


@pytest.mark.parametrize("coding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same(
    tmp_path: Path, truth: GroundTruth, records: Records, form: str, coding: str
) -> None:
    name, make = FORMS[form]
    content = make(records).encode(coding)
    (tmp_path / name).write_bytes(content)
    check_same(read_detections(tmp_path / name, truth), records)
    (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content))
    check_same(read_detections(tmp_path / f"{name}.gz", truth), records)


def test_names_tell_better_than_numbers(tmp_path: Path, truth: GroundTruth, records: Records) -> None:
    """`alfnet detect --save csv` writes both, and its image_id only counts what was read."""
    names = dict(zip(truth.image_ids.tolist(), truth.file_names, strict=True))
    turned = {image_id: 25 - image_id for image_id in names}

    def write(number: Callable[[Any], int], name: Callable[[Any], str]) -> Path:
        table = [[number(i), name(i), "", x, y, x + w, y + h, s, 2] for i, x, y, w, h, s in rows(records)]
        text = "\n".join(",".join(map(str, row)) for row in table)
        (tmp_path / "d.csv").write_text("image_id,file_name,frame,x1,y1,x2,y2,score,step\n" + text)
        return tmp_path / "d.csv"

    found = read_detections(write(lambda i: turned[i], lambda i: names[i]), truth)
    check_same(found, records)
    (warning,) = found.warnings
    assert f"{len(records)} of {len(records)} detections have another image_id" in warning
    for name, warned in ((lambda i: names[i], False), (lambda i: "video.mp4", True)):
        found = read_detections(write(lambda i: i, name), truth)
        check_same(found, records)
        assert ("file names are not the ground truth's" in " ".join(found.warnings)) == warned

    mixed = [{**r, "image_id": turned[r["image_id"]], "file_name": names[r["image_id"]]} for r in records]
    (tmp_path / "d.json").write_text(json.dumps(mixed))
    found = read_detections(tmp_path / "d.json", truth)
    check_same(found, records)
    assert "detections have another image_id" in found.warnings[0]


def test_signs_of_remarks_within_names(tmp_path: Path, golden: Path, records: Records) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    for image in content["images"]:
        image["file_name"] = f"a%20{image['id']}#b.png"
    (tmp_path / "gt.json").write_text(json.dumps(content))
    truth = read_ground_truth(tmp_path / "gt.json")
    table = [[f"a%20{i}#b.png", *row] for i, *row in rows(records)]
    heading = "# my detector\nfile_name,x,y,w,h,score\n"
    (tmp_path / "d.csv").write_text(heading + "\n".join(",".join(map(str, row)) for row in table))
    check_same(read_detections(tmp_path / "d.csv", truth), records)
    (tmp_path / "d.txt").write_text("\n".join(f"{' '.join(map(str, row))} # one" for row in rows(records)))
    check_same(read_detections(tmp_path / "d.txt", truth), records)


def test_standard_input(monkeypatch: pytest.MonkeyPatch, truth: GroundTruth, records: Records, golden: Path) -> None:
    class Stream:
        buffer = io.BytesIO(json.dumps(records).encode())

    monkeypatch.setattr(sys, "stdin", Stream())
    check_same(read_detections(Path("-"), truth), records)
    Stream.buffer = io.BytesIO((golden / "miss_rate_24_gt.json").read_bytes())
    assert read_ground_truth(Path("-")).boxes.tolist() == truth.boxes.tolist()


def test_long_lists_come_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, truth: GroundTruth, records: Records
) -> None:
    monkeypatch.setattr(json_list, "_SMALL", 0)
    monkeypatch.setattr(json_list, "RECORDS_AT_ONCE", 7)
    monkeypatch.setattr(json_list, "check_density", lambda path, text: None)
    path = tmp_path / "d.json"
    for separators in ((",", ":"), (", ", ": "), (" ,\n", ":")):
        path.write_text(json.dumps(records, separators=separators))
        check_same(read_detections(path, truth), records)
    broken = [*records[:10], {**records[10], "score": None}, *records[11:]]
    path.write_text(json.dumps(broken))
    with pytest.raises(AlfnetError, match="null in detection 11"):
        read_detections(path, truth)
    for text, message in (
        (json.dumps(records)[:-1], "truncated"),
        (json.dumps(records) + "x", "Extra data"),
        (json.dumps(records).replace("}, {", "} {", 20), "delimiter"),
        ("[", "truncated"),
        ("[" * 100_000, "JSON"),
    ):
        path.write_text(text)
        with pytest.raises(AlfnetError, match=message):
            read_detections(path, truth)
    path.write_text(" [ ] ")
    assert len(read_detections(path, truth).scores) == 0


def test_yolo_labels(tmp_path: Path, truth: GroundTruth, records: Records) -> None:
    labels = tmp_path / "labels"
    labels.mkdir()
    sizes = dict(zip(truth.image_ids.tolist(), truth.image_sizes.tolist(), strict=True))
    for record in sorted(records, key=lambda r: r["image_id"]):
        x, y, w, h = record["bbox"]
        height, width = sizes[record["image_id"]]
        with (labels / f"{record['image_id']:04d}.txt").open("a") as file:
            file.write(f"0 {(x + w / 2) / width} {(y + h / 2) / height} {w / width} {h / height} {record['score']}\n")
            file.write("2 0.5 0.5 0.1 0.1 0.9\n")
    found = read_detections(tmp_path, truth)
    assert f"{len(records)} boxes of other classes" in found.warnings[0]
    check_same(found, sorted(records, key=lambda r: r["image_id"]))
    (labels / "0001.txt").write_text("0 0.5 0.5 0.1 0.1\n")
    with pytest.raises(AlfnetError, match=r"0001\.txt: no rows of 6 numbers.*confidence"):
        read_detections(labels, truth)
    (labels / "0001.txt").write_text("")
    (labels / "frankfurt.txt").write_text("")
    with pytest.raises(AlfnetError, match=r"1 of \d+ label files are named like no image.*frankfurt"):
        read_detections(labels, truth)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("image_id,x,y,w,h\n1,2,3,4,5\n", "not six values|no column"),
        ("image_id,x,y,w,score\n1,2,3,4,.5\n", "no column for height"),
        ("x,y,w,h,score\n1,2,3,4,.5\n", "no column for the image"),
        ("image_id,x,y,w,h,score\n1,2,3,4,5,.5\n1,2,3,4\n", "line 3 has 4 values, the heading in line 1 has 6"),
        ("image_id,x,y,w,h,score\n1,2,a,4,5,.5\n", "line 2 has 'a' where a number"),
        ("image_id;x;y;w;h;score\n1;2,5;3;4;5;0,5\n1;2,5;a.b;4;5;0,5\n", "line 3 has 'a.b' where a number"),
        ("x,y,w,h,score,file_name\n1,2,3,4,.5\n", "line 2 has 5 values, the heading in line 1 has 6"),
        (
            "image_id,file_name,x,y,w,h,score\n1,synthetic/0002.png,2,3,4,5,.5\n1,a.png,2,3,4,5,.5\n",
            "1 of 2 image names are no file name of the ground truth.*'a.png'",
        ),
        ("image_id,x,y,w,h,score\n1.5,2,3,4,5,.5\n", "no whole number, e.g. 1.5 in line 2"),
        ("image_id,x,y,w,h,score\n99,2,3,4,5,.5\n", "not in the ground truth"),
        ("file_name,x,y,w,h,score\na.png,2,3,4,5,.5\n", "no file name of the ground truth.*'a.png'.*0001.png"),
        ("image,x,y,w,h,score,class\n1,2,3,4,5,.5,car\n", "another class than pedestrians"),
        ("1 2 3 4 5 6 7 8\n", "not six values"),
        ("1 2 3 4 5\n", "not six values"),
        (
            "0 0.5 0.5 0.2 0.4 0.9\n0 0.3 0.5 0.1 0.2 0.8\n",
            "YOLO's labels, e.g. 0 0.5 .*give the folder of the label files",
        ),
        ("nothing of this kind\n", "not six values"),
    ],
)
def test_wrong_tables(tmp_path: Path, truth: GroundTruth, content: str, expected: str) -> None:
    (tmp_path / "d.csv").write_text(content)
    with pytest.raises(AlfnetError, match=expected) as error:
        read_detections(tmp_path / "d.csv", truth)
    assert "\n" not in str(error.value)


STRANGE: dict[str, str] = {
    "annotations null": '{"images": [], "annotations": null}',
    "id of two minus signs": '[{"image_id": "--1", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "id of 5000 digits": '[{"image_id": ' + "1" * 5000 + ', "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "text id of 5000 digits": '[{"image_id": "'
    + "1" * 5000
    + '", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "id of 400 digits": '[{"image_id": ' + "1" * 400 + ', "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "id 1e39": '[{"image_id": 1e39, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "category of 400 digits": '[{"image_id": 1, "category_id": ' + "1" * 400 + ', "bbox": [1, 2, 3, 4], "score": 1}]',
    "box of 400 digits": '[{"image_id": 1, "category_id": 1, "bbox": [1' + "0" * 400 + ', 2, 3, 4], "score": 1}]',
    "box 1e39": '[{"image_id": 1, "category_id": 1, "bbox": [1e39, 2, 3, 4], "score": 1}]',
    "box 1e308": '[{"image_id": 1, "category_id": 1, "bbox": [1e308, 2, 1e308, 4], "score": 1}]',
    "text 1e308": "1 1e308 1e308 1e308 1e308 0.5\n",
    "image 1e308": "1e308 1 2 3 4 0.5\n",
    "deep": "[" * 1_000_000,
    "deep objects": '{"a":' * 1_000_000,
    "deep in a record": '[{"image_id": ' + "[" * 200_000,
    "a lone surrogate": '[{"image_id": "\\ud800", "category_id": 1, "bbox": [1, 2, 3, 4], "score": 1}]',
    "a NUL": "\0\0\0\0",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("case", STRANGE)
def test_strange_content_is_one_message(tmp_path: Path, golden: Path, truth: GroundTruth, case: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(STRANGE[case])
    for read in (lambda: read_detections(path, truth), lambda: read_ground_truth(path)):
        with pytest.raises(AlfnetError) as error:
            read()
        assert len(str(error.value)) < 800
        str(error.value).encode(errors="backslashreplace")


def test_a_nul_in_a_name(truth: GroundTruth) -> None:
    for read in (lambda: read_detections(Path("a\0b"), truth), lambda: read_ground_truth(Path("a\0b"))):
        with pytest.raises(AlfnetError, match="NUL"):
            read()


BOMBS = {
    "gzip.json.gz": "gzip.compress(b'[' + b' ' * 2**28, 1)",
    "lists.json": "b'[' + b'[],' * 40_000_000 + b'[]]'",
    "objects.json": "b'[' + b'{},' * 40_000_000 + b'{}]'",
    "in_a_record.json": "b'[{\"image_id\": 1, \"bbox\": [' + b'[],' * 40_000_000",
    "numbers.json": "b'[{\"image_id\": 1, \"bbox\": [' + b'1.5,' * 30_000_000",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", BOMBS)
def test_bombs_within_a_gibibyte(tmp_path: Path, golden: Path, name: str) -> None:
    subprocess.run(
        [sys.executable, "-c", f"import gzip; open({str(tmp_path / name)!r}, 'wb').write({BOMBS[name]})"], check=True
    )
    good = str(golden / "miss_rate_24_gt.json")
    code = """
import atexit, resource, sys
def show():
    used = resource.getrusage(resource.RUSAGE_SELF)
    print(used.ru_maxrss, used.ru_utime + used.ru_stime)
atexit.register(show)
from alfnet.cli import main
main()
"""
    for files in ([good, str(tmp_path / name)], [str(tmp_path / name), good]):
        result = subprocess.run(
            [sys.executable, "-c", code, "evaluate", *files],
            capture_output=True,
            text=True,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, (10, 10)),
        )
        assert result.returncode == 2, result.stderr
        assert result.stderr.count("\n") == 1
        print(result.stdout, result.stderr)
        assert int(result.stdout.split()[0]) < 2**20  # KiB


# -- own ground truths ------------------------------------------------------------------------------------------------


def test_a_ground_truth_without_visibility(tmp_path: Path, golden: Path) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    for annotation in content["annotations"]:
        for key in ("vis_ratio", "height", "ignore"):
            annotation.pop(key, None)
        annotation["category_id"] = 3
    content["categories"] = [{"id": 1, "name": "car"}, {"id": 3, "name": "Person"}]
    detections = json.loads((golden / "miss_rate_24_dt.json").read_text())
    for detection in detections:
        detection["category_id"] = 3
    result = alfnet.evaluate(content, detections)
    assert [subset.name for subset in result.subsets] == [
        "from 50 px", "50-75 px", "75-100 px", "from 100 px", "from 20 px", "everybody"
    ]  # fmt: skip
    assert result.pedestrians["everybody"] == len(content["annotations"])
    said = "\n".join(result.warnings)
    assert "no vis_ratio" in said
    assert "reasonable, small" in said
    assert "category 3" in said
    assert "taken instead" in said
    own = alfnet.evaluate(content, detections, subsets=["tall=height:100-", "seen=height:50-,visible:0.2-"])
    assert list(own.pedestrians) == ["tall"]
    assert re.search("left out: seen", "\n".join(own.warnings))


@pytest.mark.parametrize("key", ["vis_bbox", "visible_ratio"])
def test_visibility_by_another_name(tmp_path: Path, golden: Path, key: str) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    detections = json.loads((golden / "miss_rate_24_dt.json").read_text())
    expected = alfnet.evaluate(content, detections)
    for annotation in content["annotations"]:
        ratio = annotation.pop("vis_ratio")
        x, y, width, height = annotation["bbox"]
        if key == "visible_ratio":
            annotation[key] = ratio
        elif ratio < 1:
            annotation[key] = [x, y, width, height * ratio]
    result = alfnet.evaluate(content, detections)
    assert result.results == expected.results
    assert any("the part of the box that vis_bbox takes up" in text for text in result.warnings) == (key == "vis_bbox")
    content["info"] = {
        "split": "val",
        "rule": {},
    }  # a training cache, whose ignore regions are all that is left of others
    if key == "vis_bbox":
        with pytest.raises(AlfnetError, match="no 'vis_ratio'"):
            alfnet.evaluate(content, detections)
