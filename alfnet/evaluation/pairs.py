"""Which detections lie on which ground truths: the sparse pairs that matching needs, computed once per image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from alfnet.reading.records import Booleans, Floats, Integers, different


@dataclass(frozen=True)
class Pairs:
    """P pairs of a detection and a ground truth of the same image.

    Sorted by detection; within a detection by descending IoU, of equal IoUs the later ground truth first (or the
    earlier): a detection's pairs stand in its order of preference.
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
    image_ids: Integers,
    boxes: Floats,
    truth_image_ids: Integers,
    truth_boxes: Floats,
    threshold: float,
    *,
    matched_boxes: Floats | None = None,
    later_first: bool = True,
    epsilon: float = 0.0,
) -> Pairs:
    """Return all pairs whose IoU, or whose cover, is at least `threshold` (> 0).

    image_ids (D,) and boxes (D, 4) are the detections, truth_image_ids (G,) and truth_boxes (G, 4) the ground truths;
    boxes are x, y, width, height in pixels, and areas are width * height: no +1 here, other than in training.
    `matched_boxes` (G, 4) are the ground truths as the IoU sees them, where that differs from how the cover does.
    `epsilon` (square pixels) is added to the areas that are divided by.
    """
    by_image = np.argsort(image_ids, kind="stable")
    truth_by_image = np.argsort(truth_image_ids, kind="stable")
    annotated = different(truth_image_ids)
    first, last = _bounds(image_ids[by_image], annotated)
    truth_first, truth_last = _bounds(truth_image_ids[truth_by_image], annotated)

    # Near and far sides along x and y, which are compared axis by axis: rows of their own are the fastest, with an image's
    # side by side, and in a table the detections along its rows, as they are more.
    sides = _sides(boxes[by_image])
    truth_sides = [
        _sides(given[truth_by_image])[:, :, None] for given in (truth_boxes, matched_boxes) if given is not None
    ]

    found: list[tuple[Integers, Integers]] = []
    for start, end, truth_start, truth_end in np.stack([first, last, truth_first, truth_last], axis=1).tolist():
        left, top, right, bottom = sides[:, start:end]
        meet: Booleans | None = None  # (ground truths of this image, its detections)
        for given in truth_sides:
            truth_left, truth_top, truth_right, truth_bottom = given[:, truth_start:truth_end]
            across = right > truth_left
            across &= truth_right > left
            across &= bottom > truth_top
            across &= truth_bottom > top
            meet = across if meet is None else meet | across
        assert meet is not None
        row, column = divmod(np.flatnonzero(meet), end - start)  # as np.nonzero, in half the time
        found.append((column + start, row + truth_start))
    detection = by_image[np.concatenate([part[0] for part in found] or [np.empty(0, np.int64)])]
    truth = truth_by_image[np.concatenate([part[1] for part in found] or [np.empty(0, np.int64)])]

    with np.errstate(all="ignore"):  # sides of 1e-200 or 1e200 px have no product; NaN reaches no threshold
        area = boxes[:, 2] * boxes[:, 3]
        intersection = _intersection(boxes, detection, truth_boxes, truth)
        cover = intersection / (area[detection] + epsilon)
        matched = truth_boxes if matched_boxes is None else matched_boxes
        if matched_boxes is not None:
            intersection = _intersection(boxes, detection, matched, truth)
        truth_area = matched[:, 2] * matched[:, 3]
        iou = intersection / (area[detection] + truth_area[truth] - intersection + epsilon)
    keep = np.flatnonzero((iou >= threshold) | (cover >= threshold))
    preference = -truth[keep] if later_first else truth[keep]
    keep = keep[np.lexsort((preference, -iou[keep], detection[keep]))]
    return Pairs(detection[keep], truth[keep], iou[keep], cover[keep])


def _sides(boxes: Floats) -> Floats:
    """(4, n): left, top, right and bottom of boxes (n, 4)."""
    return np.ascontiguousarray(np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1).T)


def _intersection(boxes: Floats, detection: Integers, truth_boxes: Floats, truth: Integers) -> Floats:
    """Area of the intersection of each pair, 0 where they do not meet."""
    first, second = boxes[detection], truth_boxes[truth]
    sides = np.minimum(first[:, :2] + first[:, 2:], second[:, :2] + second[:, 2:]) - np.maximum(
        first[:, :2], second[:, :2]
    )
    return np.where((sides > 0).all(axis=1), sides[:, 0] * sides[:, 1], 0.0)


def _bounds(ordered: Integers, ids: Integers) -> tuple[Integers, Integers]:
    return np.searchsorted(ordered, ids, "left"), np.searchsorted(ordered, ids, "right")
