"""Final detections: the published ones, a slow second way, and fusion and counts by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from alfnet.boxes.coding import step_boxes
from alfnet.detection.postprocess import boxes_step, combinations, count_positives, fuse, select, step_scores

PUBLISHED: dict[str, Any] = {
    "score_threshold": 0.1,
    "nms_iou": 0.5,
    "minimum_side": 16,
    "before_nms": 6000,
    "after_nms": 100,
}


def test_published_detections_of_all_test_steps(golden: Path) -> None:
    with np.load(golden / "alf_targets.npz") as scenes:
        boxes = torch.from_numpy(scenes["anchors_640_1280"])
        scores = step_scores([torch.from_numpy(scenes[f"cls{step}"][:, 0]) for step in range(3)], "product")
        for step, threshold in enumerate((0.1, 0.02, 0.004)):
            boxes = step_boxes(boxes, torch.from_numpy(scenes[f"reg{step}"]), 640, 1280)
            found = select(boxes, scores[step], **PUBLISHED | {"score_threshold": threshold})
            expected = scenes[f"d{step + 1}"]
            assert found.boxes.shape == (100, 4)
            np.testing.assert_allclose(found.boxes.numpy(), expected[:, :4], rtol=0, atol=1e-2)
            np.testing.assert_allclose(found.scores.numpy(), expected[:, 4], rtol=0, atol=1e-6)


def _slow(boxes: list[list[float]], scores: list[float], settings: dict[str, Any]) -> list[int]:
    def sides(box: list[float]) -> tuple[float, float]:
        return box[2] - box[0] + 1, box[3] - box[1] + 1

    def overlap(a: list[float], b: list[float]) -> float:
        width, height = (max(0, min(a[k + 2], b[k + 2]) - max(a[k], b[k]) + 1) for k in (0, 1))
        area_a, area_b = (w * h for w, h in (sides(a), sides(b)))
        return width * height / (area_a + area_b - width * height)

    large = [i for i, box in enumerate(boxes) if min(sides(box)) >= settings["minimum_side"]]
    best = sorted(large, key=lambda i: (-scores[i], i))[: settings["before_nms"]]
    kept: list[int] = []
    for i in best:
        if scores[i] > settings["score_threshold"] and all(
            overlap(boxes[i], boxes[j]) <= settings["nms_iou"] for j in kept
        ):
            kept.append(i)
    return kept[: settings["after_nms"]]


@pytest.mark.parametrize("seed", range(6))
def test_equals_the_slow_way(seed: int) -> None:
    """Corners on a grid and scores in steps: many equal scores, and overlaps of exactly a half."""
    random = np.random.default_rng(seed)
    corner = random.integers(0, 8, (300, 2)) * 8
    boxes = torch.from_numpy(np.concatenate([corner, corner + random.integers(1, 6, (300, 2)) * 8 - 1], 1)).double()
    scores = torch.from_numpy(random.integers(0, 40, 300) / 40)
    settings = PUBLISHED | {"before_nms": (6000, 120)[seed % 2], "after_nms": (100, 15)[seed % 3 == 0]}
    kept = _slow(boxes.tolist(), scores.tolist(), settings)
    found = select(boxes, scores, **settings)
    assert torch.equal(found.boxes, boxes[kept])
    assert torch.equal(found.scores, scores[kept])


def _boxes(*boxes: list[float]) -> Tensor:
    return torch.tensor(boxes, dtype=torch.float32)


def test_each_limit_is_inclusive_or_not_as_published() -> None:
    boxes = _boxes([0, 0, 15, 39], [100, 0, 114, 39], [200, 0, 239, 14], [300, 0, 339, 79])
    scores = torch.tensor([0.5, 0.9, 0.9, 0.25])
    assert select(boxes, scores, **PUBLISHED).scores.tolist() == [0.5, 0.25]  # a side of 16 px stays, of 15 goes
    assert select(boxes, scores, **PUBLISHED | {"score_threshold": 0.25}).scores.tolist() == [0.5]


def test_overlap_of_exactly_the_threshold_stays_and_a_pixel_more_goes() -> None:
    scores = torch.tensor([0.9, 0.8])
    assert len(select(_boxes([0, 0, 29, 29], [0, 0, 29, 59]), scores, **PUBLISHED).scores) == 2  # 900 / 1800
    assert len(select(_boxes([0, 0, 29, 29], [0, 0, 29, 58]), scores, **PUBLISHED).scores) == 1  # 900 / 1770


def test_small_boxes_do_not_take_places_among_the_best() -> None:
    boxes = _boxes([0, 0, 5, 39], [100, 0, 119, 39], [200, 0, 219, 39])
    found = select(boxes, torch.tensor([0.9, 0.5, 0.6]), **PUBLISHED | {"before_nms": 2})
    assert found.scores.tolist() == pytest.approx([0.6, 0.5])


def test_of_equal_scores_the_first_box_is_the_better() -> None:
    boxes = _boxes([0, 0, 29, 39], [1, 0, 30, 39], [2, 0, 31, 39])
    assert select(boxes, torch.tensor([0.5, 0.5, 0.5]), **PUBLISHED).boxes.tolist() == [[0, 0, 29, 39]]


@pytest.mark.parametrize("count", [0, 5])
def test_nothing_left(count: int) -> None:
    found = select(torch.zeros(count, 4), torch.full((count,), 0.05), **PUBLISHED)
    assert found.boxes.shape == (0, 4)
    assert found.scores.shape == (0,)


def test_scores_that_are_no_numbers_are_never_selected() -> None:
    boxes = _boxes([0, 0, 29, 39], [100, 0, 129, 39])
    assert select(boxes, torch.tensor([torch.nan, 0.5]), **PUBLISHED).scores.tolist() == [0.5]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("product", ([0.5, 0.2], [0.25, 0.02], [0.025, 0.02])),
        ("mean", ([0.5, 0.2], [0.5, 0.15], [1.1 / 3, 1.3 / 3])),
    ],
)
def test_step_scores(rule: str, expected: tuple[list[float], ...]) -> None:
    scores = [torch.tensor([0.5, 0.2]), torch.tensor([0.5, 0.1]), torch.tensor([0.1, 1.0])]
    for found, values in zip(step_scores(scores, rule), expected, strict=True):
        assert found.tolist() == pytest.approx(values)


def test_combinations_of_the_paper_and_beyond() -> None:
    assert combinations(1) == []
    assert combinations(2) == ["C1B1", "C1B2", "C2B2", "C1+C2_B2", "C1*C2_B2"]
    assert combinations(3) == ["C1B1", "C1B3", "C3B3", "C1+C2+C3_B3", "C1*C2*C3_B3"]


def test_fused_scores_and_boxes() -> None:
    scores = [torch.tensor([0.5, 0.2]), torch.tensor([0.3, 0.8])]
    expected = {
        "C1B1": (1, [0.5, 0.2]),
        "C1B2": (2, [0.5, 0.2]),
        "C2B2": (2, [0.3, 0.8]),
        "C1+C2_B2": (2, [0.4, 0.5]),
        "C1*C2_B2": (2, [0.15, 0.16]),
    }
    for name in combinations(2):
        step, values = expected[name]
        assert boxes_step(name) == step
        assert fuse(scores, name).tolist() == pytest.approx(values)


@pytest.mark.parametrize("steps", [2, 3, 5])
def test_product_equals_the_last_test_step_to_the_bit(steps: int) -> None:
    random = torch.Generator().manual_seed(steps)
    scores = [torch.rand(1000, generator=random) for _ in range(steps)]
    assert torch.equal(fuse(scores, combinations(steps)[-1]), step_scores(scores, "product")[-1])
    torch.testing.assert_close(fuse(scores, combinations(steps)[-2]), step_scores(scores, "mean")[-1])
    assert boxes_step(combinations(steps)[-1]) == steps


@pytest.mark.parametrize("name", ["", "C1", "B1", "C1+C2B2", "C1_B1", "C1+C2*C3_B3", "c1b1"])
def test_refuses_other_names(name: str) -> None:
    with pytest.raises(ValueError, match="is not a combination"):
        fuse([torch.zeros(1)] * 3, name)


def test_positives_fall_into_the_bins_of_the_paper() -> None:
    """Boxes of height h inside a ground truth of height 100 have IoU h / 100; the best of two ground truths counts."""
    heights = [49, 50, 55, 60, 69, 70, 80, 89, 90, 95, 100]
    boxes = torch.tensor([[0.0, 0, 19, height - 1] for height in heights], dtype=torch.float64)
    ground_truth = torch.tensor([[0.0, 0, 19, 99], [0.0, 0, 19, 999]], dtype=torch.float64)
    assert count_positives(boxes, ground_truth).tolist() == [2, 2, 1, 2, 3]
    assert count_positives(boxes, ground_truth.flip(0)).tolist() == [2, 2, 1, 2, 3]


def test_positives_of_nothing() -> None:
    box = torch.tensor([[0.0, 0, 19, 39]])
    assert count_positives(box, torch.zeros(0, 4)).tolist() == [0] * 5
    assert count_positives(torch.zeros(0, 4), box).tolist() == [0] * 5
