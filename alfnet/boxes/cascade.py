"""Asymptotic localization fitting: the paper's idea, that each step starts from the boxes that the step before it left.

The rule and its sources: docs/method.md#asymptotic-localization-fitting.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from alfnet.boxes.coding import step_boxes


def cascade(anchors: Tensor, offsets: Sequence[Tensor], height: int, width: int) -> list[Tensor]:
    """Asymptotic localisation fitting (ALF; paper, section 3.1): the boxes before step 1, 2, ... and after the last.

    Each step moves the boxes that the step before it left, the first the anchors, so they close in on the ground truth
    step by step; that is why a later step can be trained with higher IoU thresholds. Training takes its targets from the
    boxes before each step, detection its results from the boxes after it.

    Args:
        anchors: (N, 4) x1 y1 x2 y2 in pixels, pixel-inclusive, clipped to the image.
        offsets: what each step predicts, (N, 4) or (B, N, 4) in units of the coding's standard deviations.
        height: of the image in pixels, to which the boxes are clipped after every step.
        width: likewise.

    Returns one more than there are offsets: the anchors as they came, then (N, 4) or (B, N, 4) for each step. No
    gradient flows through them: a step learns from its own targets alone.
    """
    boxes = [anchors]
    for each in offsets:
        boxes.append(step_boxes(boxes[-1], each, height, width))
    return boxes
