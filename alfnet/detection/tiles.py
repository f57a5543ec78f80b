"""Very large images in overlapping parts, and the detections of the parts as those of the whole."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import nms

from alfnet.detection.postprocess import Selection
from alfnet.errors import AlfnetError

OVERLAP = 0.25
"""Of a part's sides. A pedestrian of up to this size is seen whole in at least one part."""

_EDGE = 2.0  # pixels; a box that comes so near to an inner edge of its part may be cut by it
_PAIRS_AT_ONCE = 2**22  # of boxes that are compared: some 100 MB
_INSIDE = 0.6  # a cut box of which this share lies in a whole one is a part of the same pedestrian


def tile_grid(height: int, width: int, tile: tuple[int, int], overlap: float = OVERLAP) -> list[tuple[int, int]]:
    """The (top, left) corners of parts of (height, width) `tile` that cover an image, row by row.

    Neighbours share at least `overlap` of their sides; the parts are spread evenly, and none reaches out of the image
    unless the image is smaller than a part. Raises AlfnetError for parts below 64 px.
    """
    if min(tile) < 64:
        raise AlfnetError(f"--tile {tile[1]}x{tile[0]}: parts need sides of at least 64 px")
    tops, lefts = (_starts(side, part, overlap) for side, part in zip((height, width), tile, strict=True))
    return [(top, left) for top in tops for left in lefts]


def _starts(side: int, part: int, overlap: float) -> list[int]:
    if side <= part:
        return [0]
    stride = max(1, int(part * (1 - overlap)))
    number = -(-(side - part) // stride) + 1
    return [round(index * (side - part) / (number - 1)) for index in range(number)]


def merge_tiles(
    parts: Sequence[Selection],
    grid: Sequence[tuple[int, int]],
    tile: tuple[int, int],
    size: tuple[int, int],
    *,
    nms_iou: float,
    top: int,
) -> Selection:
    """The detections of an image of (height, width) `size` from those of its parts, in pixels of each part.

    Boxes that were found in several parts are merged by non-maximum suppression. A pedestrian across an inner edge is
    seen whole in one part and cut in another: a cut box that lies for the most part in a whole one goes.
    """
    height, width = size
    moved, cut = [torch.zeros(0, 4)], [torch.zeros(0, dtype=torch.bool)]
    for (y, x), part in zip(grid, parts, strict=True):
        boxes = part.boxes
        x1, y1, x2, y2 = boxes.unbind(dim=1)
        cut.append(
            ((x1 <= _EDGE) & (x > 0))
            | ((y1 <= _EDGE) & (y > 0))
            | ((x2 >= tile[1] - 1 - _EDGE) & (x + tile[1] < width))
            | ((y2 >= tile[0] - 1 - _EDGE) & (y + tile[0] < height))
        )
        moved.append(boxes + boxes.new_tensor([x, y, x, y]))
    boxes, is_cut = torch.cat(moved), torch.cat(cut)
    scores = torch.cat([torch.zeros(0), *(part.scores for part in parts)])
    keep = ~is_cut
    keep[is_cut] = ~_lie_inside(boxes[is_cut], boxes[~is_cut])
    boxes, scores = boxes[keep], scores[keep]
    kept = nms(boxes + boxes.new_tensor([0, 0, 1, 1]), scores, nms_iou)[:top]
    return Selection(boxes[kept], scores[kept])


def _lie_inside(boxes: Tensor, others: Tensor) -> Tensor:
    """(N,) bool: which of `boxes` (N, 4) lie for `_INSIDE` of their area in one of `others` (M, 4)."""
    at_once = max(1, _PAIRS_AT_ONCE // max(1, len(others)))
    inside = [(_share_inside(some, others) >= _INSIDE).any(dim=1) for some in boxes.split(at_once)]
    return torch.cat(inside)


def _share_inside(boxes: Tensor, others: Tensor) -> Tensor:
    """(N, M): the share of each of `boxes` (N, 4) that lies in each of `others` (M, 4)."""
    corner = torch.maximum(boxes[:, None, :2], others[None, :, :2])
    sides = (torch.minimum(boxes[:, None, 2:], others[None, :, 2:]) - corner + 1).clamp(min=0)
    area = (boxes[:, 2:] - boxes[:, :2] + 1).prod(dim=1)
    return sides.prod(dim=2) / area[:, None]
