"""Log-average miss rate (MR^-2) by a benchmark's protocol, for all subsets and IoU thresholds at once."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alfnet.errors import AlfnetError
from alfnet.evaluation.matching import IGNORED, TRUE_POSITIVE, match_pairs, rank, ranked_pairs
from alfnet.evaluation.pairs import Pairs
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.evaluation.subsets import SUBSETS as SUBSETS
from alfnet.evaluation.subsets import Subset as Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers
from alfnet.reading.results_file import Detections

FPPI_POINTS = np.array(CITYPERSONS.fppi_points)
"""False positives per image at which the miss rate is read: 10^(-2..0) in quarter steps, rounded as in the protocol."""


@dataclass(frozen=True, eq=False)
class Curve:
    """Miss rate over false positives per image, one point per counted detection by descending score.

    The first point is (0, 1), before any detection: a reader who takes the last point with FPPI <= x finds one for
    every x >= 0.
    """

    fppi: Floats
    """(K,) not decreasing."""
    miss_rate: Floats
    """(K,) fractions, not increasing."""


@dataclass(frozen=True, eq=False)
class MissRates:
    """The miss rates of one set of detections; outer keys are "iou_0.50", inner keys the subsets' names."""

    percent: dict[str, dict[str, float | None]]
    """None where a subset has no ground truth."""
    curves: dict[str, dict[str, Curve | None]]
    pedestrians: dict[str, int]
    """Number of ground truths that count, per subset."""


@dataclass(frozen=True, eq=False)
class Matches:
    """What became of every detection and every ground truth for one subset and IoU threshold, both in file order."""

    detections: npt.NDArray[np.str_]
    """(D,) 'true_positive', 'false_positive' or 'ignored'."""
    ground_truths: npt.NDArray[np.str_]
    """(G,) 'detected', 'missed' or 'ignored'."""


def iou_key(iou: float) -> str:
    """Name an IoU threshold in results: 0.5 -> "iou_0.50"."""
    return f"iou_{iou:.2f}"


def check_iou_thresholds(thresholds: Sequence[float], lowest: float = 0.5) -> list[float]:
    """Return the thresholds, ascending and without repetition.

    They have two decimals at most, give or take what float32 and sums of 0.05 are off by. Raises AlfnetError unless there
    is one and all are from `lowest` to 0.95.
    """
    rounded = [round(float(threshold), 2) for threshold in thresholds]
    for threshold, near in zip(thresholds, rounded, strict=True):
        if not lowest <= near <= 0.95 or abs(near - threshold) > 1e-6:
            raise AlfnetError(
                f"IoU threshold {threshold:g}: expected a fraction from {lowest:g} to 0.95 of at most two decimals, "
                "e.g. 0.75"
            )
    if not rounded:
        raise AlfnetError("no IoU threshold was given; the usual ones are 0.5 and 0.75")
    return sorted(set(rounded))


def evaluate(
    ground_truth: GroundTruth,
    detections: Detections,
    iou_thresholds: Sequence[float],
    subsets: Sequence[Subset] | None = None,
    protocol: Protocol = CITYPERSONS,
) -> MissRates:
    """Return miss rates (percent) and curves per IoU threshold and subset (the protocol's subsets unless others are given).

    By default the protocol is that of the CityPersons benchmark, without the public script's fault on small sets: where
    no detection lies at or below an FPPI point, recall there is 0 (the script wraps around to the final recall).
    Raises AlfnetError for IoU thresholds outside the protocol's range.
    """
    thresholds = check_iou_thresholds(iou_thresholds, protocol.lowest_iou)
    candidates = find_candidates(ground_truth, detections, thresholds[0], protocol)
    result = MissRates({}, {}, {})
    for threshold in thresholds:
        percent: dict[str, float | None] = {}
        curves: dict[str, Curve | None] = {}
        for subset in protocol.subsets if subsets is None else subsets:
            ignored = outside(subset, ground_truth, protocol)
            pedestrians = len(ignored) - int(ignored.sum())
            state, _ = _match(candidates, subset, ignored, threshold, protocol)
            curve = _curve(state, len(ground_truth.image_ids), pedestrians)
            curves[subset.name] = curve
            percent[subset.name] = None if curve is None else log_average(curve, protocol)
            result.pedestrians[subset.name] = pedestrians
        result.percent[iou_key(threshold)] = percent
        result.curves[iou_key(threshold)] = curves
    return result


def match(
    ground_truth: GroundTruth,
    detections: Detections,
    iou: float,
    subset: Subset = SUBSETS[0],
    protocol: Protocol = CITYPERSONS,
) -> Matches:
    """Return what became of every detection and ground truth; the same matching as the miss rate's, for drawing.

    Detections that the protocol leaves out (height outside the subset's margin, beyond the 1000 best of an image) are
    'ignored' like those on an ignored ground truth. Raises AlfnetError for an IoU threshold outside the protocol's range.
    """
    (threshold,) = check_iou_thresholds([iou], protocol.lowest_iou)
    ignored = outside(subset, ground_truth, protocol)
    candidates = find_candidates(ground_truth, detections, threshold, protocol)
    state, detected = _match(candidates, subset, ignored, threshold, protocol)
    in_file_order = np.full(len(detections.scores), IGNORED)
    in_file_order[candidates.order] = state
    return Matches(
        detections=np.array(["false_positive", "true_positive", "ignored"])[in_file_order],
        ground_truths=np.where(ignored, "ignored", np.where(detected, "detected", "missed")),
    )


@dataclass(frozen=True)
class Candidates:
    """The detections that count under a protocol, best first, and what they overlap."""

    order: Integers
    """(K,) indices into the detections."""
    heights: Floats
    """(K,) pixels, after the protocol's rules on boxes."""
    pairs: Pairs
    """Of positions in `order` and ground truths."""


def find_candidates(
    ground_truth: GroundTruth, detections: Detections, threshold: float, protocol: Protocol = CITYPERSONS
) -> Candidates:
    """Return the detections that count and their pairs at IoU, or cover of an ignored box, from `threshold` on.

    The last ones are kept: miss rate, average precision, intervals and errors of the same detections ask one after the other.
    """
    return _candidates(ground_truth, detections, threshold, protocol)


@functools.lru_cache(maxsize=1)
def _candidates(ground_truth: GroundTruth, detections: Detections, threshold: float, protocol: Protocol) -> Candidates:
    boxes, truth_boxes = detections.boxes, ground_truth.boxes
    if protocol.clipped:
        boxes = _clip(boxes, ground_truth.sizes_of(detections.image_ids))
        truth_boxes = _clip(truth_boxes, ground_truth.sizes_of(ground_truth.annotation_image_ids))
    if protocol.detection_aspect is not None:
        boxes = with_aspect(boxes, protocol.detection_aspect)
    order = rank(detections, protocol.detections_per_image)
    pairs = ranked_pairs(
        replace(ground_truth, boxes=truth_boxes),
        replace(detections, boxes=boxes),
        order,
        threshold,
        matched_boxes=None if protocol.truth_aspect is None else with_aspect(truth_boxes, protocol.truth_aspect),
        later_first=protocol.later_first,
        epsilon=protocol.epsilon,
    )
    return Candidates(order, boxes[order, 3], pairs)


def with_aspect(boxes: Floats, aspect: float) -> Floats:
    """Return boxes (n, 4) x, y, width, height with width = aspect * height about the same centre."""
    widths = boxes[:, 3] * aspect
    return np.stack([boxes[:, 0] + boxes[:, 2] / 2 - widths / 2, boxes[:, 1], widths, boxes[:, 3]], axis=1)


def outside(subset: Subset, ground_truth: GroundTruth, protocol: Protocol = CITYPERSONS) -> Booleans:
    """Return which ground truths (G,) are ignored in a subset."""
    lowest, highest = subset.height
    heights, boxes = ground_truth.heights, ground_truth.boxes
    ignored = ground_truth.ignored | (heights < lowest)
    if protocol.highest_included or math.isinf(highest):
        ignored |= heights > highest
    else:
        ignored |= heights >= highest
    if subset.needs_visibility:
        least, most = subset.visible_ratio
        ignored |= (ground_truth.visible_ratios < least) | (ground_truth.visible_ratios > most)
    if subset.aspect_deviation is not None:
        least, most = subset.aspect_deviation
        with np.errstate(all="ignore"):
            deviation = np.abs(boxes[:, 2] / boxes[:, 3] - 0.41)
        ignored |= (deviation < least) | (deviation > most)
    if protocol.border is not None:
        size = ground_truth.sizes_of(ground_truth.annotation_image_ids)
        ignored |= (boxes[:, :2] < protocol.border).any(axis=1)
        ignored |= (boxes[:, :2] + boxes[:, 2:] > size - protocol.border).any(axis=1)
    return ignored


def taking_part(subset: Subset, heights: Floats, protocol: Protocol = CITYPERSONS) -> Booleans:
    """Return which detections of these heights (D,), in pixels, take part in a subset."""
    lowest, highest = subset.height
    margin = protocol.height_margin if subset.margin is None else subset.margin
    return (heights >= lowest / margin) & (heights < highest * margin)


def log_average(curve: Curve, protocol: Protocol = CITYPERSONS) -> float:
    """Return the miss rate in percent: the geometric mean over the FPPI points."""
    rates = [max(protocol.floor, rate) for rate in miss_rates_at_points(curve, protocol)]
    if min(rates) <= 0:
        return 0.0
    # The math module, not numpy's vectorised logarithm, whose last bit depends on the processor.
    return 100 * math.exp(math.fsum(map(math.log, rates)) / len(rates))


def miss_rates_at_points(curve: Curve, protocol: Protocol = CITYPERSONS) -> list[float]:
    """Return the miss rate (fraction) at each FPPI point of the protocol."""
    if not protocol.at_or_above:
        return curve.miss_rate[np.searchsorted(curve.fppi, protocol.fppi_points, side="right") - 1].tolist()
    if len(curve.fppi) == 1:
        return [1.0] * len(protocol.fppi_points)
    # Without the point (0, 1), which is before any detection.
    places = np.searchsorted(curve.fppi[1:], protocol.fppi_points, side="left")
    return curve.miss_rate[1 + np.minimum(places, len(curve.fppi) - 2)].tolist()


def _match(
    candidates: Candidates, subset: Subset, ignored: Booleans, threshold: float, protocol: Protocol
) -> tuple[npt.NDArray[np.int8], Booleans]:
    return match_pairs(
        candidates.pairs,
        taking_part(subset, candidates.heights, protocol),
        ignored,
        threshold,
        threshold_included=protocol.threshold_included,
    )


def _clip(boxes: Floats, sizes: Floats) -> Floats:
    """Cut boxes (n, 4) off at their images' edges; sizes (n, 2) width and height, NaN: unknown, not cut.

    CrowdHuman's rule: the near corner within [0, size - 1], the far one within [0, size].
    """
    near = np.fmin(np.maximum(boxes[:, :2], 0), sizes - 1)
    far = np.maximum(np.fmin(boxes[:, :2] + boxes[:, 2:], sizes), 0)
    return np.concatenate([near, far - near], axis=1)


def _curve(state: npt.NDArray[np.int8], images: int, pedestrians: int) -> Curve | None:
    if not pedestrians:
        return None
    true_positive = state[state != IGNORED] == TRUE_POSITIVE
    found = np.concatenate([[0], np.cumsum(true_positive)])
    wrong = np.concatenate([[0], np.cumsum(~true_positive)])
    return Curve(fppi=wrong / images, miss_rate=1 - found / pedestrians)
