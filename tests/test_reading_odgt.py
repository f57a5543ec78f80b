"""CrowdHuman: its files, and its miss rate against the devkit's rules written with loops."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.evaluate import evaluate_files
from alfnet.reading.ground_truth_file import read_ground_truth

POINTS = [0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0]


def random_case(seed: int) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    rng = np.random.default_rng(seed)
    truths, found = [], []
    for number in range(int(rng.integers(1, 6))):
        boxes: list[dict[str, Any]] = []
        for _ in range(int(rng.integers(0, 9))):
            box = [int(v) for v in (*(rng.integers(-2, 8, 2) * 10), *(rng.integers(1, 5, 2) * 10))]
            extra = {"ignore": 1} if rng.random() < 0.15 else {"box_id": 1}
            tag = "mask" if rng.random() < 0.15 else "person"
            boxes.append({"tag": tag, "fbox": box, "vbox": box, "hbox": box, "extra": extra, "head_attr": {}})
        truths.append({"ID": f"27{number},c9db", "gtboxes": boxes})
        detections = []
        for _ in range(int(rng.integers(0, 12))):
            if boxes and rng.random() < 0.7:
                x, y, w, h = boxes[rng.integers(len(boxes))]["fbox"]
                box = [x + int(rng.integers(-1, 2)) * 5, y, w, h]
            else:
                box = [int(v) for v in (*(rng.integers(-2, 8, 2) * 10), 20, 30)]
            detections.append({"box": box, "score": int(rng.integers(1, 6)) / 5, "tag": 1})
        found.append({"ID": f"27{number},c9db", "width": 75, "height": 70, "dtboxes": detections})
    return truths, found


def devkit_miss_rate(truths: list[dict[str, Any]], found: list[dict[str, Any]], threshold: float) -> float | None:
    """The rules in words: clip; best score first; a free pedestrian of the highest IoU above the threshold, the first of
    equal ones; else ignored where a box to be ignored covers it; the first point at or above each FPPI."""

    def corners(box: list[float]) -> list[float]:
        x, y, w, h = box
        return [min(max(x, 0), 75 - 1), min(max(y, 0), 70 - 1), max(min(x + w, 75), 0), max(min(y + h, 70), 0)]

    def area(box: list[float]) -> float:
        return (box[2] - box[0]) * (box[3] - box[1])

    def common(a: list[float], b: list[float]) -> float:
        return max(0, min(a[2], b[2]) - max(a[0], b[0])) * max(0, min(a[3], b[3]) - max(a[1], b[1]))

    outcomes: list[tuple[float, bool]] = []
    pedestrians = 0
    for image, detected in zip(truths, found, strict=True):
        people: list[list[float]] = []
        ignored: list[list[float]] = []
        for box in image["gtboxes"]:
            keep = box["tag"] == "person" and not box["extra"].get("ignore", 0)
            (people if keep else ignored).append(corners(box["fbox"]))
        pedestrians += len(people)
        free = [True] * len(people)
        for one in sorted(detected["dtboxes"], key=lambda d: -d["score"]):
            box = corners(one["box"])
            best, chosen = threshold, None
            for index, person in enumerate(people):
                both = common(box, person)
                iou = both / (area(box) + area(person) - both + 1e-6)
                if free[index] and iou > best:
                    best, chosen = iou, index
            if chosen is not None:
                free[chosen] = False
                outcomes.append((one["score"], True))
            elif not any(common(box, region) / (area(box) + 1e-6) > threshold for region in ignored):
                outcomes.append((one["score"], False))
    if not pedestrians:
        return None
    if not outcomes:
        return 100.0
    outcomes.sort(key=lambda outcome: -outcome[0])
    fppi, rates, right, wrong = [], [], 0, 0
    for _, good in outcomes:
        right, wrong = right + good, wrong + (not good)
        fppi.append(wrong / len(truths))
        rates.append(1 - right / pedestrians)
    at = [rates[next((i for i, x in enumerate(fppi) if x >= point), len(fppi) - 1)] for point in POINTS]
    return 0.0 if min(at) <= 0 else 100 * math.exp(sum(map(math.log, at)) / len(at))


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("\n".join(map(json.dumps, records)) + "\n")
    return path


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_devkits_rules(tmp_path: Path, seed: int) -> None:
    truths, found = random_case(seed)
    files = write(tmp_path / "gt.odgt", truths), write(tmp_path / "dt.odgt", found)
    result = evaluate_files(*files, iou=[0.5, 0.75])
    assert result.protocol.name == "crowdhuman"
    for iou in (0.5, 0.75):
        expected = devkit_miss_rate(truths, found, iou)
        figure = result.results[f"iou_{iou:.2f}"]["everybody"]
        assert figure == (None if expected is None else pytest.approx(expected, abs=2e-6))


def test_columns(tmp_path: Path) -> None:
    boxes = [
        {"tag": "person", "fbox": [1, 2, 10, 20], "vbox": [1, 2, 10, 10], "extra": {"ignore": 0}},
        {"tag": "person", "fbox": [1, 2, 10, 20], "vbox": [1, 2, 10, 20], "extra": {"ignore": 1}},
        {"tag": "mask", "fbox": [1, 2, 10, 20], "vbox": [1, 2, 10, 20]},
    ]
    path = write(
        tmp_path / "a.odgt", [{"ID": "a", "gtboxes": boxes}, {"ID": "b", "gtboxes": [], "width": 9, "height": 8}]
    )
    truth = read_ground_truth(path)
    assert truth.file_names == ("a", "b")
    assert truth.ignored.tolist() == [False, True, True]
    assert truth.visible_ratios.tolist() == [0.5, 1, 1]
    assert truth.image_sizes[1].tolist() == [8, 9]
    result = evaluate_files(path, write(tmp_path / "d.odgt", []), iou=[0.5], protocol="citypersons")
    assert result.pedestrians["reasonable"] == 0


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"ID": 5, "gtboxes": []}, "no text as ID"),
        ({"ID": "a", "gtboxes": None}, "no list as gtboxes"),
        ({"ID": "a", "gtboxes": [{"tag": "person"}]}, "no 'fbox'"),
        ({"ID": "a", "gtboxes": [{"tag": "person", "fbox": [1, 2, 3]}]}, "not four numbers"),
        ({"ID": "a", "gtboxes": [{"tag": "person", "fbox": [1, 2, 3, 1e39]}]}, "not four numbers"),
        ({"ID": "a", "gtboxes": [{"tag": "person", "fbox": [1, 2, -3, 4]}]}, "negative"),
    ],
)
def test_wrong_lines(tmp_path: Path, line: dict[str, Any], message: str) -> None:
    with pytest.raises(AlfnetError, match=message):
        read_ground_truth(write(tmp_path / "a.odgt", [{"ID": "x", "gtboxes": []}, line]))


def test_wrong_detections(tmp_path: Path) -> None:
    truth = write(tmp_path / "a.odgt", [{"ID": "x", "gtboxes": []}])
    for line, message in (
        ({"ID": "y", "dtboxes": []}, "no file name of the ground truth"),
        ({"ID": "x", "dtboxes": [{"box": [1, 2, 3, 4]}]}, "no 'score'"),
        ({"ID": "x", "dtboxes": 7}, "no list as dtboxes"),
    ):
        with pytest.raises(AlfnetError, match=message):
            evaluate_files(truth, write(tmp_path / "d.odgt", [line]), iou=[0.5])
