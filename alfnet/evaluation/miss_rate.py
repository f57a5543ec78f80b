"""Log-average miss rate (MR^-2) of CityPersons' protocol, for all subsets and IoU thresholds at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfnet.errors import AlfnetError
from alfnet.evaluation.matching import IGNORED, TRUE_POSITIVE, match_pairs, rank, ranked_pairs
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats
from alfnet.reading.results_file import Detections

FPPI_POINTS = np.array([0.0100, 0.0178, 0.0316, 0.0562, 0.1000, 0.1778, 0.3162, 0.5623, 1.0000])
"""False positives per image at which the miss rate is read: 10^(-2..0) in quarter steps, rounded as in the protocol."""
DETECTIONS_PER_IMAGE = 1000
"""The best of an image that count. The limit comes before the subsets' height margin, as in the public script."""
HEIGHT_MARGIN = 1.25
"""Detections up to this factor outside a subset's heights take part: they may well meet a pedestrian inside."""


@dataclass(frozen=True)
class Subset:
    """A part of the pedestrians: bounds are inclusive, and pedestrians outside are ignored, not missed."""

    name: str
    height: tuple[float, float]
    """Pixels."""
    visible_ratio: tuple[float, float]


SUBSETS = (
    Subset("reasonable", (50, math.inf), (0.65, math.inf)),
    Subset("small", (50, 75), (0.65, math.inf)),
    Subset("medium", (75, 100), (0.65, math.inf)),
    Subset("large", (100, math.inf), (0.65, math.inf)),
    Subset("bare", (50, math.inf), (0.9, math.inf)),
    Subset("partial", (50, math.inf), (0.65, 0.9)),
    Subset("heavy", (50, math.inf), (0, 0.65)),
    Subset("occluded", (50, math.inf), (0.2, 0.65)),
    Subset("all", (20, math.inf), (0.2, math.inf)),
)
"""CityPersons' subsets in the order of the output; "occluded" is the benchmark's "occ=heavy"."""


@dataclass(frozen=True)
class Curve:
    """Miss rate over false positives per image, one point per counted detection by descending score.

    The first point is (0, 1), before any detection: a reader who takes the last point with FPPI <= x finds one for
    every x >= 0.
    """

    fppi: Floats
    """(K,) not decreasing."""
    miss_rate: Floats
    """(K,) fractions, not increasing."""


@dataclass(frozen=True)
class MissRates:
    """The miss rates of one set of detections; outer keys are "iou_0.50", inner keys the subsets' names."""

    percent: dict[str, dict[str, float | None]]
    """None where a subset has no ground truth."""
    curves: dict[str, dict[str, Curve | None]]
    pedestrians: dict[str, int]
    """Number of ground truths that count, per subset."""


@dataclass(frozen=True)
class Matches:
    """What became of every detection and every ground truth for one subset and IoU threshold, both in file order."""

    detections: npt.NDArray[np.str_]
    """(D,) 'true_positive', 'false_positive' or 'ignored'."""
    ground_truths: npt.NDArray[np.str_]
    """(G,) 'detected', 'missed' or 'ignored'."""


def iou_key(iou: float) -> str:
    """Name an IoU threshold in results: 0.5 -> "iou_0.50"."""
    return f"iou_{iou:.2f}"


def check_iou_thresholds(thresholds: Sequence[float]) -> list[float]:
    """Return the thresholds, ascending and without repetition.

    Raises AlfnetError unless there is one and all are from 0.5 to 0.95 with at most two decimals.
    """
    for threshold in thresholds:
        if not 0.5 <= threshold <= 0.95 or round(threshold, 2) != threshold:
            raise AlfnetError(
                f"IoU threshold {threshold:g}: expected a fraction from 0.5 to 0.95 of at most two decimals, e.g. 0.75"
            )
    if not thresholds:
        raise AlfnetError("no IoU threshold was given; the usual ones are 0.5 and 0.75")
    return sorted(set(thresholds))


def evaluate(
    ground_truth: GroundTruth,
    detections: Detections,
    iou_thresholds: Sequence[float],
    subsets: Sequence[Subset] = SUBSETS,
) -> MissRates:
    """Return miss rates (percent) and curves per IoU threshold and subset.

    The protocol is that of the CityPersons benchmark, without the public script's fault on small sets: where no
    detection lies at or below an FPPI point, recall there is 0 (the script wraps around to the final recall).
    Raises AlfnetError for IoU thresholds outside 0.5 to 0.95.
    """
    thresholds = check_iou_thresholds(iou_thresholds)
    order = rank(detections, DETECTIONS_PER_IMAGE)
    pairs = ranked_pairs(ground_truth, detections, order, thresholds[0])
    result = MissRates({}, {}, {})
    for threshold in thresholds:
        percent: dict[str, float | None] = {}
        curves: dict[str, Curve | None] = {}
        for subset in subsets:
            ignored = outside(subset, ground_truth)
            pedestrians = len(ignored) - int(ignored.sum())
            state, _ = match_pairs(pairs, taking_part(subset, detections.boxes[order, 3]), ignored, threshold)
            curve = _curve(state, len(ground_truth.image_ids), pedestrians)
            curves[subset.name] = curve
            percent[subset.name] = None if curve is None else log_average(curve)
            result.pedestrians[subset.name] = pedestrians
        result.percent[iou_key(threshold)] = percent
        result.curves[iou_key(threshold)] = curves
    return result


def match(ground_truth: GroundTruth, detections: Detections, iou: float, subset: Subset = SUBSETS[0]) -> Matches:
    """Return what became of every detection and ground truth; the same matching as the miss rate's, for pictures.

    Detections that the protocol leaves out (height outside the subset's margin, beyond the 1000 best of an image) are
    'ignored' like those on an ignored ground truth. Raises AlfnetError for an IoU threshold outside 0.5 to 0.95.
    """
    (threshold,) = check_iou_thresholds([iou])
    order = rank(detections, DETECTIONS_PER_IMAGE)
    ignored = outside(subset, ground_truth)
    pairs = ranked_pairs(ground_truth, detections, order, threshold)
    state, detected = match_pairs(pairs, taking_part(subset, detections.boxes[order, 3]), ignored, threshold)
    in_file_order = np.full(len(detections.scores), IGNORED)
    in_file_order[order] = state
    return Matches(
        detections=np.array(["false_positive", "true_positive", "ignored"])[in_file_order],
        ground_truths=np.where(ignored, "ignored", np.where(detected, "detected", "missed")),
    )


def outside(subset: Subset, ground_truth: GroundTruth) -> Booleans:
    """Return which ground truths (G,) are ignored in a subset."""
    lowest, highest = subset.height
    least, most = subset.visible_ratio
    heights, visible = ground_truth.heights, ground_truth.visible_ratios
    return ground_truth.ignored | (heights < lowest) | (heights > highest) | (visible < least) | (visible > most)


def taking_part(subset: Subset, heights: Floats) -> Booleans:
    """Return which detections of these heights (D,), in pixels, take part in a subset."""
    lowest, highest = subset.height
    return (heights >= lowest / HEIGHT_MARGIN) & (heights < highest * HEIGHT_MARGIN)


def log_average(curve: Curve) -> float:
    """Return the miss rate in percent: the geometric mean over the nine FPPI points."""
    at_points = curve.miss_rate[np.searchsorted(curve.fppi, FPPI_POINTS, side="right") - 1]
    # The math module, not numpy's vectorised logarithm, whose last bit depends on the processor.
    return 100 * math.exp(math.fsum(math.log(max(1e-10, rate)) for rate in at_points.tolist()) / len(FPPI_POINTS))


def _curve(state: npt.NDArray[np.int8], images: int, pedestrians: int) -> Curve | None:
    if not pedestrians:
        return None
    true_positive = state[state != IGNORED] == TRUE_POSITIVE
    found = np.concatenate([[0], np.cumsum(true_positive)])
    wrong = np.concatenate([[0], np.cumsum(~true_positive)])
    return Curve(fppi=wrong / images, miss_rate=1 - found / pedestrians)
