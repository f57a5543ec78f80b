"""Offsets: the published "one pixel larger" round trip, and the formulas written out again."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alfnet.boxes.coding import clip, decode, encode, step_boxes


def _boxes(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    corner = torch.rand(*shape, 2, generator=random, dtype=torch.float64) * 500
    return torch.cat([corner, corner + torch.rand(*shape, 2, generator=random, dtype=torch.float64) * 200], -1)


def test_round_trip_is_one_pixel_larger_at_the_far_corner() -> None:
    boxes, targets = _boxes(200), _boxes(200, seed=1)
    moved = decode(boxes, encode(boxes, targets))
    torch.testing.assert_close(moved, targets + torch.tensor([0.0, 0.0, 1.0, 1.0]), rtol=0, atol=1e-9)


def test_round_trip_in_single_precision() -> None:
    boxes, targets = _boxes(200).float(), _boxes(200, seed=1).float()
    moved = decode(boxes, encode(boxes, targets))
    assert moved.dtype == torch.float32
    torch.testing.assert_close(moved, targets + torch.tensor([0.0, 0.0, 1.0, 1.0]), rtol=0, atol=2e-3)


def test_encode_equals_the_formula() -> None:
    boxes, targets = _boxes(30), _boxes(30, seed=1)
    found = encode(boxes, targets)
    for box, target, offsets in zip(boxes.tolist(), targets.tolist(), found.tolist(), strict=True):
        width, height = box[2] - box[0] + 1, box[3] - box[1] + 1
        target_width, target_height = target[2] - target[0] + 1, target[3] - target[1] + 1
        expected = [
            (target[0] + target_width / 2 - box[0] - width / 2) / width / 0.1,
            (target[1] + target_height / 2 - box[1] - height / 2) / height / 0.1,
            math.log(target_width / width) / 0.2,
            math.log(target_height / height) / 0.2,
        ]
        assert offsets == pytest.approx(expected, abs=1e-5)


def test_a_box_encodes_to_itself_as_zero() -> None:
    boxes = _boxes(10)
    assert torch.equal(encode(boxes, boxes), torch.zeros(10, 4, dtype=torch.float64))


def test_zero_offsets_grow_the_box_by_a_pixel_each_step() -> None:
    boxes = _boxes(10)
    grown = decode(boxes, torch.zeros_like(boxes))
    torch.testing.assert_close(grown, boxes + torch.tensor([0, 0, 1, 1]))


def test_shared_boxes_equal_repeated_ones() -> None:
    boxes, offsets = _boxes(20), torch.randn(3, 20, 4, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    shared = step_boxes(boxes, offsets, 480, 640)
    assert torch.equal(shared, step_boxes(boxes.expand(3, 20, 4), offsets, 480, 640))
    for image in range(3):
        assert torch.equal(shared[image], step_boxes(boxes, offsets[image], 480, 640))


def test_clip_per_axis() -> None:
    box = torch.tensor([-3.5, -1.0, 700.0, 500.0])
    assert clip(box, 480, 640).tolist() == [0, 0, 639, 479]
    assert clip(torch.tensor([700.0, 500.0, 800.0, 600.0]), 480, 640).tolist() == [639, 479, 639, 479]


def test_step_boxes_are_usable_at_any_offset_and_carry_no_gradient() -> None:
    boxes = _boxes(1)[0].float()
    offsets = torch.tensor([[1e4, -1e4, 500.0, -500.0], [-1e4, 1e4, -500.0, 500.0]], requires_grad=True)
    found = step_boxes(boxes, offsets, 480, 640)
    assert not found.requires_grad
    assert (found[:, 2:] >= found[:, :2]).all()
    assert (found >= 0).all()
    assert (found <= torch.tensor([639, 479, 639, 479])).all()
