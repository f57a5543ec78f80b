"""Overlaps with pixel-inclusive sides, against counted pixels."""

from __future__ import annotations

import numpy as np
import torch

from alfnet.boxes.overlap import intersection_over_first, iou


def _integer_boxes(count: int, seed: int) -> torch.Tensor:
    random = np.random.default_rng(seed)
    corner = random.integers(0, 24, (count, 2))
    return torch.from_numpy(np.concatenate([corner, corner + random.integers(0, 15, (count, 2))], 1)).double()


def _painted(box: torch.Tensor) -> np.ndarray:
    x1, y1, x2, y2 = (int(value) for value in box)
    picture = np.zeros((40, 40), bool)
    picture[y1 : y2 + 1, x1 : x2 + 1] = True
    return picture


def test_both_measures_equal_counted_pixels() -> None:
    boxes, others = _integer_boxes(20, 1), _integer_boxes(30, 2)
    union, over_first = iou(boxes, others), intersection_over_first(boxes, others)
    for i, box in enumerate(boxes):
        for j, other in enumerate(others):
            first, second = _painted(box), _painted(other)
            common = (first & second).sum()
            assert union[i, j].item() == common / (first | second).sum()
            assert over_first[i, j].item() == common / first.sum()


def test_batched_equals_single_and_symmetric() -> None:
    boxes = torch.stack([_integer_boxes(7, 3), _integer_boxes(7, 4)])
    others = torch.stack([_integer_boxes(9, 5), _integer_boxes(9, 6)])
    together = iou(boxes, others)
    assert together.shape == (2, 7, 9)
    for image in range(2):
        assert torch.equal(together[image], iou(boxes[image], others[image]))
    assert torch.equal(together, iou(others, boxes).mT)


def test_same_box_is_one_and_neighbouring_pixels_are_zero() -> None:
    box = torch.tensor([[3.0, 4.0, 10.0, 20.0]])
    others = torch.tensor([[3.0, 4.0, 10.0, 20.0], [11.0, 4.0, 20.0, 20.0], [10.0, 20.0, 10.0, 20.0]])
    torch.testing.assert_close(iou(box, others), torch.tensor([[1, 0, 1 / (8 * 17)]]))


def test_empty_lists_and_type() -> None:
    box = torch.tensor([[3.0, 4.0, 10.0, 20.0]])
    assert iou(box, torch.zeros(0, 4)).shape == (1, 0)
    assert iou(torch.zeros(0, 4), box).shape == (0, 1)
    assert iou(box.double(), box.double()).dtype == torch.float64
