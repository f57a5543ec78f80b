"""Overlap of boxes, pixel-inclusive: a box's sides are x2 - x1 + 1 and y2 - y1 + 1."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def iou(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection over union of (..., N, 4) with (..., M, 4) boxes, x1 y1 x2 y2 in pixels: (..., N, M) in [0, 1].

    Fastest with the longer of the two lists last. No gradient.
    """
    intersection, area, other_area = _intersection(boxes, others)
    union = (area + other_area).sub_(intersection)
    return intersection.div_(union)


@torch.no_grad()
def intersection_over_first(boxes: Tensor, others: Tensor) -> Tensor:
    """Intersection / area of `boxes`, for (..., N, 4) with (..., M, 4) boxes: (..., N, M) in [0, 1]. No gradient.

    With ignore regions as `boxes` it is the published measure of how far a box covers an ignore region.
    """
    intersection, area, _ = _intersection(boxes, others)
    return intersection.div_(area)


def _intersection(boxes: Tensor, others: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Intersection (..., N, M), areas of `boxes` (..., N, 1) and of `others` (..., 1, M)."""
    # One plane per coordinate: the innermost dimension is then contiguous, several times faster on a CPU.
    x1, y1, x2, y2 = boxes.movedim(-1, 0).unsqueeze(-1).contiguous()
    other_x1, other_y1, other_x2, other_y2 = others.movedim(-1, 0).unsqueeze(-2).contiguous()
    width = torch.minimum(x2, other_x2).sub_(torch.maximum(x1, other_x1)).add_(1).clamp_(min=0)
    height = torch.minimum(y2, other_y2).sub_(torch.maximum(y1, other_y1)).add_(1).clamp_(min=0)
    area = (x2 - x1 + 1) * (y2 - y1 + 1)
    other_area = (other_x2 - other_x1 + 1) * (other_y2 - other_y1 + 1)
    return width.mul_(height), area, other_area
