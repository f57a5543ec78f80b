"""From the steps' predictions to final detections: fusion of scores, selection of boxes, positives per step."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor
from torchvision.ops import nms

from alfnet.boxes.overlap import iou

POSITIVE_BINS = (0.5, 0.6, 0.7, 0.8, 0.9)  # lower ends, as in the paper's figure of positives per step

_COMBINATION = re.compile(r"(C\d+(?:\+C\d+)+_|C\d+(?:\*C\d+)+_|C\d+)B(\d+)")


class Selection(NamedTuple):
    """Final boxes (K, 4), x1 y1 x2 y2 in pixels, and their scores (K,), best first."""

    boxes: Tensor
    scores: Tensor


def select(
    boxes: Tensor,
    scores: Tensor,
    *,
    score_threshold: float,
    nms_iou: float,
    minimum_side: float,
    before_nms: int,
    after_nms: int,
) -> Selection:
    """The published selection of one image's detections, in this order (docs/method.md#test).

    boxes: (N, 4) clipped to the image, scores: (N,).
    1. Drop boxes with a side (+1) below `minimum_side` pixels.
    2. Keep the `before_nms` best.
    3. Keep scores above `score_threshold`, not equal to it.
    4. Non-maximum suppression: a box goes if its IoU (+1) with a better one that stays is above `nms_iou`.
    5. Keep the `after_nms` best.
    Of equal scores the box that comes first in `boxes` counts as the better.
    """
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    # The threshold may come before the cut at `before_nms`: what it drops would stand behind what it keeps.
    candidates = (sides >= minimum_side).all(dim=1) & (scores > score_threshold)
    boxes, scores = boxes[candidates], scores[candidates]
    order = scores.argsort(descending=True, stable=True)[:before_nms]
    boxes, scores = boxes[order], scores[order]
    # torchvision's areas have no +1: moving x2 and y2 by a pixel gives the same arithmetic.
    kept = nms(boxes + boxes.new_tensor([0, 0, 1, 1]), scores, nms_iou)[:after_nms]
    return Selection(boxes[kept], scores[kept])


def step_scores(scores: Sequence[Tensor], rule: str) -> list[Tensor]:
    """Score of each test step t, from the sigmoid scores of steps 1, 2, ..., all of one shape.

    `rule` is `detect.scores` of the parameters: the `product` of the scores of steps 1 to t, as published, or their `mean`.
    """
    if rule == "mean":
        # Added one after the other, as the exported graph does it.
        return [total / step for step, total in enumerate(itertools.accumulate(scores, torch.add), start=1)]
    return list(itertools.accumulate(scores, torch.mul))


def combinations(steps: int) -> list[str]:
    """The rows of the paper's score fusion table for a model of `steps` steps; none for one step.

    C are the scores, B the boxes of a step; two steps: C1B1, C1B2, C2B2, C1+C2_B2, C1*C2_B2. With more steps the last
    one takes the place of the second, and the sum and the product run over all: C1B1, C1B3, C3B3, C1+C2+C3_B3, ...
    """
    if steps < 2:
        return []
    every = [f"C{step}" for step in range(1, steps + 1)]
    return ["C1B1", f"C1B{steps}", f"C{steps}B{steps}", f"{'+'.join(every)}_B{steps}", f"{'*'.join(every)}_B{steps}"]


def fuse(scores: Sequence[Tensor], name: str) -> Tensor:
    """The score of a combination (a name from `combinations`), from the sigmoid scores (N,) of steps 1, 2, ...

    A sum is divided by the number of its steps. That ranks boxes as the sum does, and keeps the score in [0, 1], where
    one threshold has a like meaning for all combinations; the paper does not say which threshold it used.
    """
    chosen = [scores[step - 1] for step in _parse(name).scores]
    if "+" in name:
        return torch.stack(chosen).mean(dim=0)
    return step_scores(chosen, "product")[-1]


def boxes_step(name: str) -> int:
    """The step, from 1, whose boxes a combination takes."""
    return _parse(name).boxes


class _Combination(NamedTuple):
    scores: list[int]
    boxes: int


def _parse(name: str) -> _Combination:
    parts = _COMBINATION.fullmatch(name)
    if parts is None:
        raise ValueError(f"{name!r} is not a combination like C1B2, C1+C2_B2 or C1*C2_B2")
    return _Combination([int(step) for step in re.findall(r"\d+", parts[1])], int(parts[2]))


def count_positives(boxes: Tensor, ground_truth: Tensor) -> Tensor:
    """How many `boxes` (N, 4) have their best IoU (+1) with `ground_truth` (G, 4) in each of five bins: (5,) int64.

    The bins are [.5, .6), [.6, .7), [.7, .8), [.8, .9), [.9, 1], those of the paper's figure of positives per step.
    """
    if not len(ground_truth) or not len(boxes):
        return torch.zeros(len(POSITIVE_BINS), dtype=torch.int64, device=boxes.device)
    best = iou(ground_truth.to(boxes), boxes).amax(dim=0)
    at_least = (best >= best.new_tensor(POSITIVE_BINS)[:, None]).sum(dim=1)
    return at_least - torch.cat([at_least[1:], at_least.new_zeros(1)])
