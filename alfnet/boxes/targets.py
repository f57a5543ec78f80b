"""Which boxes are positive and negative for a step, and where the positives should move (docs/method.md#targets)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from alfnet.boxes.coding import encode
from alfnet.boxes.overlap import intersection_over_first, iou

Order = Literal["positives_first", "valid_first"]

BEST_BOXES = 3  # every ground truth makes its three best boxes positive
COVER = 0.5  # a box that covers more than this much of the ignore regions is no negative
BLOCK = 170  # boxes whose best is found at once, a divisor of all numbers of anchors; no result depends on it
VALID_SIDE = 10  # valid_first discards boxes with a side of at most this many pixels

# Overlaps held at a time, about five tensors of this many elements; images beyond it are taken in turns. On a CPU small
# parts stay in the cache, a GPU wants few large ones. The result does not depend on it.
OVERLAPS_AT_ONCE = {"cpu": 2**18, "cuda": 2**26}


@dataclass(frozen=True)
class Targets:
    """What a step is trained on, for B images of N boxes.

    positive (B, N) bool; negative (B, N) bool: a box may be both (positives_first) or neither.
    offsets (B, N, 4): of each positive to its ground truth, in units of the standard deviations; zero elsewhere.
    matched (B, N) int64: of each positive the ground truth with the best IoU, the first of equal ones; zero elsewhere.
    """

    positive: Tensor
    negative: Tensor
    offsets: Tensor
    matched: Tensor


@dataclass(frozen=True)
class BoxLists:
    """One list of boxes per image of a batch in two tensors, so that a device gets them in one go.

    boxes (B, n, 4) float32 x1 y1 x2 y2, the lists one below the other with zeros behind them, n >= 1; real (B, n) bool:
    which are boxes and which filling.
    """

    boxes: Tensor
    real: Tensor

    @classmethod
    def of(cls, lists: Sequence[Tensor]) -> BoxLists:
        """Put lists of (n_i, 4) boxes, any of them empty, together."""
        longest = max([1, *(len(boxes) for boxes in lists)])
        like = lists[0] if lists else torch.zeros(0, 4)
        padded = like.new_zeros(len(lists), longest, 4)
        for row, boxes in zip(padded, lists, strict=True):
            row[: len(boxes)] = boxes.reshape(-1, 4)
        counts = torch.tensor([len(boxes) for boxes in lists], device=like.device)
        return cls(padded, torch.arange(longest, device=like.device) < counts[:, None])

    def __len__(self) -> int:
        return len(self.boxes)

    def lists(self) -> list[Tensor]:
        """The lists that they were made of; on a GPU the program waits for it."""
        return [boxes[real] for boxes, real in zip(self.boxes, self.real, strict=True)]

    def pin_memory(self) -> BoxLists:
        """The same in page-locked memory."""
        return BoxLists(self.boxes.pin_memory(), self.real.pin_memory())

    def to(self, device: torch.device | str) -> BoxLists:
        """The same on a device."""
        return BoxLists(self.boxes.to(device, non_blocking=True), self.real.to(device, non_blocking=True))


@torch.no_grad()
def assign(
    boxes: Tensor,
    ground_truth: BoxLists | Sequence[Tensor],
    ignore: BoxLists | Sequence[Tensor],
    *,
    lower: float,
    upper: float,
    order: Order,
) -> Targets:
    """Targets of a step for a whole batch.

    boxes: (B, N, 4), or (N, 4) where all images share them (step 1: the anchors); x1 y1 x2 y2 in pixels, clipped.
    ground_truth, ignore: per image (G_i, 4) and (R_i, 4) boxes on the device of `boxes`; any number, none included.
    lower, upper: IoU thresholds, negative below `lower`, positive from `upper` on.

    positives_first: positive if the best IoU >= upper, or among the 3 best boxes of a ground truth, or equal to a
    ground truth's best IoU. Negative if the best IoU < lower and the box does not cover ignore regions (sum of
    intersection / area of the ignore region > 0.5); a box of the top 3 below `lower` is both. Without ground truth all
    boxes that do not cover ignore regions are negative.

    valid_first: boxes that cover ignore regions or have a side of at most 10 px are neither; the rest is assigned as
    above, but a positive is never a negative, and an image without ground truth has no negatives.

    Only a box that overlaps a ground truth can be one of its best: the published rule, taken literally, would make all
    boxes of an image positive for a ground truth that no box touches. Of equal boxes the first counts as the better.
    """
    images, anchors = len(ground_truth), boxes.shape[-2]
    if len(ignore) != images or (boxes.dim() == 3 and boxes.shape[0] != images):
        raise ValueError(
            f"boxes {tuple(boxes.shape)}, ground truths of {images} images, ignore regions of {len(ignore)}"
        )
    boxes = boxes.expand(images, anchors, 4)
    padded_ground_truth, is_ground_truth = _padded(ground_truth, boxes)  # (B, G, 4), (B, G)
    padded_ignore, is_ignore = _padded(ignore, boxes)  # (B, R, 4), (B, R)
    per_image = anchors * max(padded_ground_truth.shape[1], padded_ignore.shape[1])
    size = max(1, OVERLAPS_AT_ONCE.get(boxes.device.type, 2**20) // per_image)
    parts = [
        _assign(
            boxes[i : i + size],
            padded_ground_truth[i : i + size],
            is_ground_truth[i : i + size],
            padded_ignore[i : i + size],
            is_ignore[i : i + size],
            lower,
            upper,
            order,
        )
        for i in range(0, images, size)
    ]
    positive, negative, matched = (torch.cat(part) for part in zip(*parts, strict=True))
    return Targets(positive, negative, _offsets(boxes, padded_ground_truth, matched, positive), matched)


def _assign(
    boxes: Tensor,
    ground_truth: Tensor,
    is_ground_truth: Tensor,
    ignore: Tensor,
    is_ignore: Tensor,
    lower: float,
    upper: float,
    order: Order,
) -> tuple[Tensor, Tensor, Tensor]:
    """positive, negative, matched, each (B, N)."""
    overlaps = iou(ground_truth, boxes)  # (B, G, N)
    overlaps.masked_fill_(~is_ground_truth[..., None], -1)  # padding matches nothing
    allowed = _covers_little(boxes, ignore, is_ignore)  # (B, N): may be a negative
    if order == "valid_first":
        sides = boxes[..., 2:] - boxes[..., :2] + 1
        allowed &= (sides > VALID_SIDE).all(dim=-1)
        overlaps.masked_fill_(~allowed[:, None], -1)
    best = overlaps.amax(dim=1)  # (B, N)
    positive = (best >= upper) | _best_of_a_ground_truth(overlaps)
    matched = _matched(overlaps, positive)
    negative = (best < lower) & allowed
    if order == "valid_first":
        negative &= ~positive & is_ground_truth.any(dim=1, keepdim=True)
    return positive, negative, matched


def _best_of_a_ground_truth(overlaps: Tensor) -> Tensor:
    """(B, N) bool: among the 3 best boxes of a ground truth, or equal to its best; `overlaps` is (B, G, N)."""
    batch, _, anchors = overlaps.shape
    # The best of each block of boxes, then the first block that has the best of all: a plain maximum is several times
    # faster than one that gives its place, which is then sought in one block. topk would leave it to the device which
    # of equal boxes it takes.
    missing = -anchors % BLOCK
    filled = functional.pad(overlaps, (0, missing), value=-torch.inf) if missing else overlaps
    blocks = filled.unflatten(-1, (-1, BLOCK))  # (B, G, blocks, BLOCK)
    best_of_block = blocks.amax(dim=-1)  # (B, G, blocks)
    best = best_of_block.amax(dim=-1, keepdim=True)  # (B, G, 1)
    # A ground truth that no box touches gets a best that nothing equals.
    equal = (overlaps == best.masked_fill(best <= 0, torch.inf)).any(dim=1)  # (B, N)
    # Added up, since two ground truths may name the same box.
    named = torch.zeros(batch, filled.shape[-1], dtype=torch.int32, device=overlaps.device)
    places = torch.arange(BLOCK, device=overlaps.device)
    taken: list[Tensor] = []
    for _ in range(BEST_BOXES):
        block = best_of_block.argmax(dim=-1, keepdim=True)  # (B, G, 1)
        inside = blocks.gather(2, block[..., None].expand(-1, -1, -1, BLOCK))[:, :, 0]  # (B, G, BLOCK)
        boxes = block * BLOCK + places  # (B, G, BLOCK)
        for box in taken:
            inside.masked_fill_(boxes == box, -1)
        overlap, place = inside.max(dim=-1, keepdim=True)  # (B, G, 1)
        box = block * BLOCK + place
        named.scatter_add_(1, box[..., 0], (overlap > 0)[..., 0].int())
        inside.scatter_(-1, place, -1)
        best_of_block.scatter_(-1, block, inside.amax(dim=-1, keepdim=True))
        taken.append(box)
    return equal | (named[:, :anchors] > 0)


def _matched(overlaps: Tensor, positive: Tensor) -> Tensor:
    """(B, N) int64: of each positive its best ground truth, zero elsewhere."""
    if overlaps.device.type != "cpu":  # it would wait for their number
        return overlaps.max(dim=1).indices.masked_fill_(~positive, 0)
    matched = torch.zeros_like(positive, dtype=torch.int64)
    matched[positive] = overlaps.transpose(1, 2)[positive].max(dim=1).indices
    return matched


def _offsets(boxes: Tensor, ground_truth: Tensor, matched: Tensor, positive: Tensor) -> Tensor:
    """(B, N, 4): offsets that take each positive of `boxes` to its ground truth (B, G, 4), zero elsewhere."""
    if boxes.device.type != "cpu":  # it would wait for their number
        target_boxes = ground_truth.gather(1, matched[..., None].expand(-1, -1, 4))  # (B, N, 4)
        return encode(boxes, target_boxes).where(positive[..., None], boxes.new_zeros(()))
    offsets = torch.zeros_like(boxes, memory_format=torch.contiguous_format)
    image = positive.nonzero()[:, 0]
    offsets[positive] = encode(boxes[positive], ground_truth[image, matched[positive]])
    return offsets


def _covers_little(boxes: Tensor, ignore: Tensor, is_ignore: Tensor) -> Tensor:
    """(B, N) bool: the sum of intersection / area of the ignore region is at most 0.5."""
    cover = intersection_over_first(ignore, boxes)  # (B, R, N)
    return cover.masked_fill_(~is_ignore[..., None], 0).sum(dim=1) <= COVER


def _padded(lists: BoxLists | Sequence[Tensor], like: Tensor) -> tuple[Tensor, Tensor]:
    """Boxes (B, n, 4) of `like`'s type, and which of them are no filling (B, n)."""
    padded = lists if isinstance(lists, BoxLists) else BoxLists.of([boxes.to(like) for boxes in lists])
    return padded.boxes.to(like.dtype), padded.real
