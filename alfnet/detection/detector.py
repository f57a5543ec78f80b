"""From pictures to final boxes: one pass of the network gives every test step and every fusion of scores."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.detection.postprocess import (
    Selection,
    boxes_step,
    combinations,
    count_positives,
    fuse,
    select,
    step_scores,
)
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.params import DetectSettings
from alfnet.runtime import make_fabric

STRIDE = 64  # of the coarsest level: the network takes multiples of it


@dataclass(frozen=True)
class PictureDetections:
    """What one pass gives for one picture; boxes (K, 4) are x1 y1 x2 y2 in pixels of the picture, best score first."""

    steps: list[Selection]
    """Per test step 1, 2, ...: the step's boxes with the product of the scores up to it."""
    fusion: dict[str, Selection]
    """Per row of the paper's fusion table (`combinations`)."""
    positives: dict[str, list[int]] = field(default_factory=dict)
    """Where ground truth was given: numbers of boxes per IoU bin among the anchors (`default`) and after each step."""
    seconds: float = 0.0
    """Time from the picture in memory to the final boxes of the last step."""


class Detector:
    """A network ready to look at pictures of any size."""

    def __init__(self, model: ALFNet, settings: DetectSettings, accelerator: str = "cpu") -> None:
        self.fabric = make_fabric(accelerator)
        self.model = self.fabric.to_device(model.eval()).to(memory_format=torch.channels_last)
        self.settings = settings
        self._anchors: dict[tuple[int, int], Tensor] = {}

    @torch.inference_mode()
    def detect(
        self, picture: np.ndarray, *, fusion: bool = False, ground_truth: np.ndarray | None = None
    ) -> PictureDetections:
        """Detect pedestrians in `picture`, uint8 (H, W, 3) BGR; no resize.

        Sides that are no multiple of 64 are padded at the right and bottom with the mean colour, and boxes are clipped to
        the picture. `fusion` adds the rows of the fusion table. `ground_truth` (G, 4), x1 y1 x2 y2: also count positives.
        """
        started = time.perf_counter()
        height, width = picture.shape[:2]
        padded_height, padded_width = (-(-side // STRIDE) * STRIDE for side in (height, width))
        images = normalise(torch.from_numpy(picture).to(self.fabric.device)[None])
        images = torch.nn.functional.pad(images, (0, padded_width - width, 0, padded_height - height))
        predictions = self.model(images.contiguous(memory_format=torch.channels_last))

        default = self._default_boxes(padded_height, padded_width)
        boxes = cascade(default, [offsets[0] for _, offsets in predictions], height, width)
        scores = [logits[0].sigmoid() for logits, _ in predictions]
        products = step_scores(scores)
        steps = [self._select(b, s) for b, s in zip(boxes[1:], products, strict=True)]
        seconds = time.perf_counter() - started

        names = combinations(len(scores)) if fusion else []
        fused = {name: self._select(boxes[boxes_step(name)], fuse(scores, name)) for name in names}
        positives = {}
        if ground_truth is not None:
            labels = ["default", *(f"step{step}" for step in range(1, len(boxes)))]
            truth = torch.from_numpy(ground_truth).to(boxes[0])
            positives = {label: count_positives(b, truth).tolist() for label, b in zip(labels, boxes, strict=True)}
        return PictureDetections(steps, fused, positives, seconds)

    def _default_boxes(self, height: int, width: int) -> Tensor:
        if (height, width) not in self._anchors:
            self._anchors[height, width] = anchors(height, width, self.model.settings.anchors).to(self.fabric.device)
        return self._anchors[height, width]

    def _select(self, boxes: Tensor, scores: Tensor) -> Selection:
        s = self.settings
        chosen = select(
            boxes,
            scores,
            score_threshold=s.score_threshold,
            nms_iou=s.nms_iou,
            minimum_side=s.minimum_side,
            before_nms=s.before_nms,
            after_nms=s.after_nms,
        )
        return Selection(chosen.boxes.cpu(), chosen.scores.cpu())


def sum_positives(pictures: Sequence[PictureDetections], ground_truths: int) -> dict[str, object]:
    """The counts of positives over all pictures: {"ground_truths": n, "default": {"total", "bins"}, "step1": ...}."""
    summed: dict[str, object] = {"ground_truths": ground_truths}
    for label in pictures[0].positives if pictures else ():
        bins = np.sum([picture.positives[label] for picture in pictures], axis=0).tolist()
        summed[label] = {"total": sum(bins), "bins": bins}
    return summed


def enumerate_steps(steps: int) -> Iterator[str]:
    """The names of the test steps: step1, step2, ..."""
    return (f"step{step}" for step in range(1, steps + 1))
