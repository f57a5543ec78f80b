"""Between boxes and the offsets that the network predicts, in the published pixel-inclusive ("+1") arithmetic."""

from __future__ import annotations

import functools

import torch
from torch import Tensor

# Offsets are divided by these, so that the four have a like spread (docs/method.md#box-arithmetic).
STANDARD_DEVIATIONS = (0.1, 0.1, 0.2, 0.2)


@functools.lru_cache(maxsize=64)
def constant(values: tuple[float, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return `values` as a tensor, kept for the next call: a GPU's program waits for every copy from the host."""
    with torch.inference_mode(False):  # usable in training, whoever asked first
        return torch.tensor(values, dtype=dtype, device=device)


def encode(boxes: Tensor, targets: Tensor) -> Tensor:
    """Offsets that take `boxes` to `targets`.

    Both (..., 4), x1 y1 x2 y2 in pixels, width = x2 - x1 + 1, centre = x1 + width / 2; broadcast against each other.
    Returns (..., 4): (shift of the centre / side, log of the ratio of the sides) for x y w h, divided by
    (0.1, 0.1, 0.2, 0.2). `boxes` and `targets` must have x2 > x1 - 1 and y2 > y1 - 1.
    """
    corner, sides = boxes[..., :2], boxes[..., 2:] - boxes[..., :2] + 1
    target_corner, target_sides = targets[..., :2], targets[..., 2:] - targets[..., :2] + 1
    shift = ((target_corner + target_sides / 2) - (corner + sides / 2)) / sides
    scale = torch.log(target_sides / sides)
    return torch.cat([shift, scale], dim=-1) / constant(STANDARD_DEVIATIONS, boxes.dtype, boxes.device)


def decode(boxes: Tensor, offsets: Tensor) -> Tensor:
    """The boxes to which `offsets` take `boxes`: (..., 4) both, broadcast against each other; not clipped.

    x1 = cx - w / 2 but x2 = cx + w / 2, without the -1 that pixel-inclusive corners ask for. So
    decode(a, encode(a, g)) is g with x2 and y2 one pixel larger. The released weights were trained and tested with
    exactly this (docs/method.md#box-arithmetic), so it is kept.
    """
    sides = boxes[..., 2:] - boxes[..., :2] + 1
    centre = boxes[..., :2] + sides / 2
    scaled = offsets * constant(STANDARD_DEVIATIONS, boxes.dtype, boxes.device)
    centre = centre + scaled[..., :2] * sides
    half = torch.exp(scaled[..., 2:]) * sides / 2
    return torch.cat([centre - half, centre + half], dim=-1)


def clip(boxes: Tensor, height: int, width: int) -> Tensor:
    """`boxes` (..., 4) clipped to x in [0, width - 1] and y in [0, height - 1]."""
    limit = constant((width - 1, height - 1, width - 1, height - 1), boxes.dtype, boxes.device)
    return torch.minimum(boxes.clamp(min=0), limit)


def step_boxes(boxes: Tensor, offsets: Tensor, height: int, width: int) -> Tensor:
    """The boxes that a step passes on: `boxes` (N, 4) or (B, N, 4) moved by its `offsets` (B, N, 4), then clipped.

    No gradient flows through them: a step learns from its own targets alone.
    """
    with torch.no_grad():
        return clip(decode(boxes, offsets), height, width)
