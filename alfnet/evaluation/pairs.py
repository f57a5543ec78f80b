"""Which detections lie on which ground truths: the sparse pairs that matching needs, computed once per image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfnet.reading.records import Floats, Integers


@dataclass(frozen=True)
class Pairs:
    """P pairs of a detection and a ground truth of the same image.

    Sorted by detection; within a detection by descending IoU, of equal IoUs the later ground truth first: a
    detection's pairs stand in its order of preference.
    """

    detection: Integers
    """(P,) index of the detection."""
    ground_truth: Integers
    """(P,) index of the ground truth."""
    iou: Floats
    """(P,) intersection / union."""
    cover: Floats
    """(P,) intersection / area of the detection, which counts on ignore regions."""


def overlapping_pairs(
    image_ids: Integers, boxes: Floats, truth_image_ids: Integers, truth_boxes: Floats, threshold: float
) -> Pairs:
    """Return all pairs whose IoU, or whose cover, is at least `threshold` (> 0).

    image_ids (D,) and boxes (D, 4) are the detections, truth_image_ids (G,) and truth_boxes (G, 4) the ground truths;
    boxes are x, y, width, height in pixels, and areas are width * height: no +1 here, other than in training.
    """
    by_image = np.argsort(image_ids, kind="stable")
    truth_by_image = np.argsort(truth_image_ids, kind="stable")
    common = np.intersect1d(image_ids, truth_image_ids)
    first, last = _bounds(image_ids[by_image], common)
    truth_first, truth_last = _bounds(truth_image_ids[truth_by_image], common)
    near, far = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    truth_near, truth_far = truth_boxes[:, :2], truth_boxes[:, :2] + truth_boxes[:, 2:]

    found: list[tuple[Integers, Integers, Floats]] = []
    for image in range(len(common)):
        here = by_image[first[image] : last[image]]
        truths = truth_by_image[truth_first[image] : truth_last[image]]
        # (detections of this image, its ground truths, x and y)
        side = np.minimum(far[here, None], truth_far[truths]) - np.maximum(near[here, None], truth_near[truths])
        row, column = np.nonzero((side > 0).all(axis=2))
        found.append((here[row], truths[column], side[row, column, 0] * side[row, column, 1]))

    detection = np.concatenate([part[0] for part in found] or [np.empty(0, np.int64)])
    truth = np.concatenate([part[1] for part in found] or [np.empty(0, np.int64)])
    intersection = np.concatenate([part[2] for part in found] or [np.empty(0)])
    with np.errstate(all="ignore"):  # sides of 1e-200 or 1e200 px have no product; NaN reaches no threshold
        area, truth_area = boxes[:, 2] * boxes[:, 3], truth_boxes[:, 2] * truth_boxes[:, 3]
        iou = intersection / (area[detection] + truth_area[truth] - intersection)
        cover = intersection / area[detection]
    keep = np.flatnonzero((iou >= threshold) | (cover >= threshold))
    keep = keep[np.lexsort((-truth[keep], -iou[keep], detection[keep]))]
    return Pairs(detection[keep], truth[keep], iou[keep], cover[keep])


def _bounds(ordered: Integers, ids: Integers) -> tuple[Integers, Integers]:
    return np.searchsorted(ordered, ids, "left"), np.searchsorted(ordered, ids, "right")
