"""What became of every detection and every pedestrian, worked out once for all that asks: intervals, errors, pages."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfnet.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE, assign_pairs
from alfnet.evaluation.miss_rate import check_iou_thresholds, find_candidates, outside, taking_part
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.evaluation.subsets import Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers
from alfnet.reading.results_file import Detections


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The matching of one set of detections with one subset at one IoU threshold, by the miss rate's own rule."""

    ground_truth: GroundTruth
    detections: Detections
    subset: Subset
    iou: float
    order: Integers
    """(K,) indices of the detections that count, best first: under CityPersons' protocol at most 1000 an image."""
    state: npt.NDArray[np.int8]
    """(K,) FALSE_POSITIVE, TRUE_POSITIVE or IGNORED of `alfnet.evaluation.matching`, in that order."""
    partner: Integers
    """(K,) the ground truth that each of them found, -1 for none."""
    ignored: Booleans
    """(G,) ground truths that do not count in this subset."""
    protocol: Protocol = CITYPERSONS

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.ground_truth.image_ids)

    @property
    def pedestrians(self) -> int:
        """Number of ground truths that count."""
        return len(self.ignored) - int(self.ignored.sum())

    @functools.cached_property
    def states(self) -> npt.NDArray[np.int8]:
        """(D,) the state of every detection in file order; IGNORED beyond the best 1000 of an image."""
        states = np.full(len(self.detections.scores), 2, dtype=np.int8)
        states[self.order] = self.state
        return states

    @functools.cached_property
    def found_by(self) -> Integers:
        """(G,) the detection (in file order) that found each ground truth, -1 for none."""
        found_by = np.full(len(self.ignored), -1, dtype=np.int64)
        right = self.partner >= 0
        found_by[self.partner[right]] = self.order[right]
        return found_by

    @functools.cached_property
    def found_at(self) -> Floats:
        """(G,) the score of the detection that found each ground truth, NaN for none."""
        found_by = self.found_by
        return np.where(found_by >= 0, self._score(found_by), np.nan)

    def _score(self, indices: Integers) -> Floats:
        return np.append(self.detections.scores, np.nan)[indices]

    def allowed(self, fppi: float) -> int:
        """How many of `order` come before the false positives per image exceed `fppi`."""
        wrong = np.flatnonzero(self.state == FALSE_POSITIVE)
        most = false_positives_at(fppi, self.images)
        return int(wrong[most]) if most < len(wrong) else len(self.order)

    def score_at(self, fppi: float) -> float:
        """The lowest score of the detections that count before the false positives per image exceed `fppi`."""
        allowed = self.allowed(fppi)
        if allowed == len(self.order):
            return float("-inf")
        return float(self.detections.scores[self.order[allowed - 1]]) if allowed else float("inf")

    def found(self, fppi: float) -> Booleans:
        """(G,) the pedestrians that are found before the false positives per image exceed `fppi`."""
        found = np.zeros(len(self.ignored), dtype=np.bool_)
        partner = self.partner[: self.allowed(fppi)]
        found[partner[partner >= 0]] = True
        return found

    def false_positives(self, fppi: float) -> Booleans:
        """(D,) the false positives, in file order, among the detections that count up to `fppi`."""
        wrong = np.zeros(len(self.detections.scores), dtype=np.bool_)
        allowed = self.allowed(fppi)
        wrong[self.order[:allowed][self.state[:allowed] == FALSE_POSITIVE]] = True
        return wrong

    def true_positives(self) -> Booleans:
        """(K,) which of `order` found a pedestrian."""
        return self.state == TRUE_POSITIVE


def false_positives_at(fppi: float, images: int) -> int:
    """The largest number of false positives n with n / images <= fppi, as the protocol compares."""
    number = int(min(fppi * images, 2**53)) + 1
    while number / images > fppi:
        number -= 1
    return number


def outcomes(
    ground_truth: GroundTruth,
    detections: Detections,
    iou: float = 0.5,
    subset: Subset | None = None,
    protocol: Protocol = CITYPERSONS,
) -> Outcomes:
    """Match detections with one subset, the protocol's first one (Reasonable) unless another is given.

    Raises AlfnetError for an IoU threshold outside the protocol's range.
    """
    return next(all_outcomes(ground_truth, detections, [iou], [subset or protocol.subsets[0]], protocol))


def all_outcomes(
    ground_truth: GroundTruth,
    detections: Detections,
    iou_thresholds: Sequence[float],
    subsets: Sequence[Subset] | None = None,
    protocol: Protocol = CITYPERSONS,
) -> Iterator[Outcomes]:
    """Yield the outcomes per IoU threshold (ascending) and subset (the protocol's, unless others are given).

    Overlaps are computed once. Raises AlfnetError for an IoU threshold outside the protocol's range.
    """
    thresholds = check_iou_thresholds(iou_thresholds, protocol.lowest_iou)
    candidates = find_candidates(ground_truth, detections, thresholds[0], protocol)
    for threshold in thresholds:
        for subset in protocol.subsets if subsets is None else subsets:
            ignored = outside(subset, ground_truth, protocol)
            state, partner = assign_pairs(
                candidates.pairs,
                taking_part(subset, candidates.heights, protocol),
                ignored,
                threshold,
                threshold_included=protocol.threshold_included,
            )
            yield Outcomes(
                ground_truth, detections, subset, threshold, candidates.order, state, partner, ignored, protocol
            )


def image_places(ground_truth: GroundTruth, image_ids: Integers) -> Integers:
    """Indices into the ground truth's images of `image_ids` (n,)."""
    order = np.argsort(ground_truth.image_ids, kind="stable")
    return order[np.searchsorted(ground_truth.image_ids, image_ids, sorter=order)]
