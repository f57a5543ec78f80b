"""Files of detections: both formats, their order and rounding, and the released files themselves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alfnet.detection.results import ImageDetections, write_coco, write_text


def detections(image_id: int, *rows: tuple[float, float, float, float, float]) -> ImageDetections:
    table = np.array(rows, dtype=np.float32).reshape(-1, 5)
    return ImageDetections(image_id, table[:, :4], table[:, 4])


IMAGES = [
    detections(12, (10.00004, 20, 31.25, 80.123456, 0.25), (1, 2, 3, 4, 0.9)),
    detections(13),
    detections(4, (-0.00001, 0, 16, 40, 0.5)),
]


def test_coco_results(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", IMAGES)
    assert json.loads((tmp_path / "a.json").read_text()) == [
        {"image_id": 4, "category_id": 1, "bbox": [0.0, 0.0, 16.0, 40.0], "score": 0.5},
        {"image_id": 12, "category_id": 1, "bbox": [1.0, 2.0, 2.0, 2.0], "score": 0.9},
        {"image_id": 12, "category_id": 1, "bbox": [10.0, 20.0, 21.25, 60.1235], "score": 0.25},
    ]
    assert "-0.0" not in (tmp_path / "a.json").read_text()


def test_text_of_2018_counts_positions_from_1(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", IMAGES)
    assert (tmp_path / "a.txt").read_text() == (
        "1 1.0000 2.0000 2.0000 2.0000 0.9000\n"
        "1 10.0000 20.0000 21.2500 60.1235 0.2500\n"
        "3 0.0000 0.0000 16.0000 40.0000 0.5000\n"
    )


def test_nothing_detected(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", [detections(1), detections(2)])
    write_text(tmp_path / "a.txt", [detections(1), detections(2)])
    assert json.loads((tmp_path / "a.json").read_text()) == []
    assert (tmp_path / "a.txt").read_text() == ""


def test_order_is_by_the_score_before_it_is_rounded_and_stable(tmp_path: Path) -> None:
    near = detections(1, (0, 0, 1, 1, 0.30001), (1, 0, 2, 1, 0.30002), (2, 0, 3, 1, 0.30001), (3, 0, 4, 1, 0.30002))
    write_coco(tmp_path / "a.json", [near])
    results = json.loads((tmp_path / "a.json").read_text())
    assert [result["bbox"][0] for result in results] == [1, 3, 0, 2]
    assert {result["score"] for result in results} == {0.3}


def test_both_formats_hold_the_same_numbers(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    images = []
    for image_id in range(1, 6):
        corner, size = random.uniform(0, 500, (20, 2)), random.uniform(16, 200, (20, 2))
        boxes = np.hstack([corner, corner + size]).astype(np.float32)
        images.append(ImageDetections(image_id, boxes, random.uniform(0.1, 1, 20).astype(np.float32)))
    write_coco(tmp_path / "a.json", images)
    write_text(tmp_path / "a.txt", images)
    lines = [line.split() for line in (tmp_path / "a.txt").read_text().splitlines()]
    results = json.loads((tmp_path / "a.json").read_text())
    assert [[r["image_id"], *r["bbox"], r["score"]] for r in results] == [
        [int(line[0]), *map(float, line[1:])] for line in lines
    ]
    scores = [r["score"] for r in results if r["image_id"] == 3]
    assert scores == sorted(scores, reverse=True)
    np.testing.assert_allclose(scores, np.sort(images[2].scores)[::-1], atol=0.5001e-4)


@pytest.mark.parametrize("name", ["alfnet_resnet50_2s.json", "alfnet_resnet50_2s_rain.json"])
def test_released_detections_written_again_are_the_same(shared: Path, tmp_path: Path, name: str) -> None:
    released = json.loads((shared / "data" / "detections" / name).read_text())
    images: dict[int, list[tuple[float, ...]]] = {}
    for result in released:
        x, y, w, h = result["bbox"]
        images.setdefault(result["image_id"], []).append((x, y, x + w, y + h, result["score"]))
    tables = {image_id: np.array(rows) for image_id, rows in images.items()}
    listed = [ImageDetections(image_id, table[:, :4], table[:, 4]) for image_id, table in tables.items()]
    write_coco(tmp_path / "a.json", listed)
    assert json.loads((tmp_path / "a.json").read_text()) == released


def test_wrong_input_is_refused_and_earlier_results_stay(tmp_path: Path) -> None:
    write_coco(tmp_path / "a.json", IMAGES)
    before = (tmp_path / "a.json").read_bytes()
    with pytest.raises(ValueError, match="twice"):
        write_coco(tmp_path / "a.json", [detections(1), detections(1)])
    with pytest.raises(ValueError, match="do not fit"):
        ImageDetections(1, np.zeros((2, 4)), np.zeros(3))
    with pytest.raises(ValueError, match="not finite"):
        detections(7, (0, 0, 1, 1, np.nan))
    assert (tmp_path / "a.json").read_bytes() == before
