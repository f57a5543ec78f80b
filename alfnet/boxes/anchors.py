"""Anchors (the paper's default boxes): fixed boxes on a grid per level, from which step 1 starts.

The rule and its sources: docs/method.md#anchors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from alfnet.boxes.coding import clip
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from alfnet.params import AnchorSettings

STRIDES = (8, 16, 32, 64)


def anchors(height: int, width: int, settings: AnchorSettings) -> Tensor:
    """The anchors of an image of `height` x `width` pixels: (N, 4) float32, x1 y1 x2 y2 in pixels, clipped to it.

    Order: level by level (strides 8, 16, 32, 64), row-major over (y, x, anchor), the order in which the predictions are
    flattened. N is 34,000 at 640 x 1280 and 87,040 at 1024 x 2048 with two widths per level.

    Published rule: the base box of a level has the stride as width and round(stride / ratio) as height; an anchor
    scales it by (its width / stride). Corners are pixel-inclusive: x2 - x1 + 1 is the width before clipping.

    Raises AlfnetError if a side is not a positive multiple of 64, the coarsest stride.
    """
    for name, side in (("height", height), ("width", width)):
        if side <= 0 or side % STRIDES[-1]:
            raise AlfnetError(f"image {name} {side}: must be a positive multiple of {STRIDES[-1]}, the coarsest stride")
    levels = [
        _level(height // stride, width // stride, stride, widths, settings.ratio)
        for stride, widths in zip(STRIDES, settings.widths, strict=True)
    ]
    return clip(torch.cat(levels), height, width).float()


def _level(rows: int, columns: int, stride: int, widths: list[float], ratio: float) -> Tensor:
    """(rows * columns * A, 4) float64, not clipped."""
    box_width = torch.tensor(widths, dtype=torch.float64)  # (A,)
    box_height = box_width / stride * round(stride / ratio)  # (A,)
    half = torch.stack([(box_width - 1) / 2, (box_height - 1) / 2], dim=-1)  # (A, 2)
    x = torch.arange(columns, dtype=torch.float64) * stride + (stride - 1) / 2
    y = torch.arange(rows, dtype=torch.float64) * stride + (stride - 1) / 2
    grid_y, grid_x = torch.meshgrid(y, x, indexing="ij")
    centre = torch.stack([grid_x, grid_y], dim=-1)[:, :, None]  # (rows, columns, 1, 2)
    return torch.cat([centre - half, centre + half], dim=-1).reshape(-1, 4)
