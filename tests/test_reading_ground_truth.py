from __future__ import annotations

import copy
import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth_file import read_ground_truth

CONTENT = {
    "categories": [{"id": 1, "name": "pedestrian"}],
    "images": [
        {"id": 7, "im_name": "b_leftImg8bit.png", "height": 1024, "width": 2048},
        {"id": 3, "file_name": "val/c/a.png", "height": 512, "width": 1024},
        {"id": 9},
    ],
    "annotations": [
        {"id": 1, "image_id": 3, "category_id": 1, "bbox": [-5, 6, 20, 50], "height": 50, "vis_ratio": 1, "ignore": 0},
        {"id": 2, "image_id": 7, "category_id": 1, "bbox": [1, 2, 9.5, 8], "height": 8, "vis_ratio": 0.5, "ignore": 1},
    ],
}


@pytest.fixture
def content() -> dict[str, Any]:
    return copy.deepcopy(CONTENT)


def write(folder: Path, content: Any) -> Path:
    path = folder / "gt.json"
    path.write_text(json.dumps(content))
    return path


def test_columns_in_file_order(tmp_path: Path, content: dict[str, Any]) -> None:
    truth = read_ground_truth(write(tmp_path, content))
    assert truth.image_ids.tolist() == [7, 3, 9]
    assert truth.file_names == ("b_leftImg8bit.png", "val/c/a.png", "")
    assert truth.image_sizes[:2].tolist() == [[1024, 2048], [512, 1024]]
    assert math.isnan(truth.image_sizes[2, 0])
    assert truth.annotation_image_ids.tolist() == [3, 7]
    assert truth.boxes.tolist() == [[-5, 6, 20, 50], [1, 2, 9.5, 8]]
    assert truth.heights.tolist() == [50, 8]
    assert truth.visible_ratios.tolist() == [1, 0.5]
    assert truth.ignored.tolist() == [False, True]
    assert truth.warnings == ()
    assert truth.ids_by_name() == {"b_leftImg8bit.png": 7, "b_leftImg8bit": 7, "val/c/a.png": 3, "a.png": 3, "a": 3}


def test_no_annotations(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"] = []
    assert read_ground_truth(write(tmp_path, content)).boxes.shape == (0, 4)


def test_gzip(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "gt.json.gz"
    path.write_bytes(gzip.compress(json.dumps(content).encode()))
    assert read_ground_truth(path).image_ids.tolist() == [7, 3, 9]


def test_other_categories_are_left_out_with_a_warning(tmp_path: Path, content: dict[str, Any]) -> None:
    content["annotations"][0]["category_id"] = 2
    truth = read_ground_truth(write(tmp_path, content))
    assert truth.annotation_image_ids.tolist() == [7]
    (warning,) = truth.warnings
    assert "1 of 2 annotations have another category than 1, e.g. 2" in warning


def test_real_ground_truth(shared: Path) -> None:
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    assert (len(truth.image_ids), len(truth.heights), truth.warnings) == (500, 5795, ())
    assert truth.ids_by_name()["frankfurt_000000_000294_leftImg8bit"] == 1


def change(part: str, index: int, **values: Any) -> Callable[[dict[str, Any]], Any]:
    def changed(content: dict[str, Any]) -> Any:
        content[part][index].update(values)
        return content

    return changed


def without(part: str, index: int, key: str) -> Callable[[dict[str, Any]], Any]:
    def changed(content: dict[str, Any]) -> Any:
        del content[part][index][key]
        return content

    return changed


WRONG: dict[str, tuple[Callable[[dict[str, Any]], Any], list[str]]] = {
    "detections": (lambda c: [{"image_id": 1, "score": 0.5}], ["list of 1", "detections", "exchanged"]),
    "another list": (lambda c: [1], ["list of 1", "expected COCO layout"]),
    "a number": (lambda c: 5, ["no JSON", "'5'", "exchanged"]),
    "no images": (lambda c: {"annotations": []}, ["no list under 'images'", "annotations"]),
    "empty images": (lambda c: c | {"images": []}, ["no images"]),
    "no annotations": (lambda c: {"images": c["images"]}, ["no list under 'annotations'"]),
    "training cache": (without("annotations", 1, "vis_ratio"), ["1 of 2", "no 'vis_ratio'", "annotation 2", "cache/"]),
    "no height": (without("annotations", 0, "height"), ["1 of 2", "no 'height'", "annotation 1"]),
    "double ids": (change("images", 1, id=7), ["1 of 2 image ids", "e.g. 7"]),
    "text id": (change("images", 1, id="7"), ["1 of 3 images", "'id'", '"7" in image 2']),
    "fractional id": (change("images", 1, id=7.5), ["1 of 3 images", "7.5 in image 2"]),
    "NaN id": (change("images", 1, id=math.nan), ["1 of 3 images", "nan in image 2"]),
    "unknown image": (change("annotations", 1, image_id=8), ["1 of 2", "no image's id", "8 in annotation 2"]),
    "visibility in percent": (change("annotations", 1, vis_ratio=65), ["1 of 2", "vis_ratio", "65.0 in annotation 2"]),
    "ignore 2": (change("annotations", 1, ignore=2), ["1 of 2", "ignore", "2.0 in annotation 2"]),
    "negative width": (change("annotations", 1, bbox=[1, 2, -3, 4]), ["1 of 2", "negative", "annotation 2"]),
    "NaN": (change("annotations", 1, height=math.nan), ["1 of 2", "height", "nan in annotation 2"]),
    "box of text": (change("annotations", 1, bbox="1 2 3 4"), ["1 of 2", "'bbox'", '"1 2 3 4" in annotation 2']),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_ground_truth(tmp_path: Path, content: dict[str, Any], case: str) -> None:
    make, expected = WRONG[case]
    path = write(tmp_path, make(content))
    with pytest.raises(AlfnetError) as error:
        read_ground_truth(path)
    for part in [str(path), *expected]:
        assert part in str(error.value)


def test_truncated_and_missing(tmp_path: Path, content: dict[str, Any]) -> None:
    path = tmp_path / "gt.json"
    with pytest.raises(AlfnetError, match="no such file"):
        read_ground_truth(path)
    path.write_text(json.dumps(content)[:300])
    with pytest.raises(AlfnetError, match="truncated"):
        read_ground_truth(path)
    path.write_text("")
    with pytest.raises(AlfnetError, match="empty"):
        read_ground_truth(path)
