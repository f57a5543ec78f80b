"""Why a detection is false and why a pedestrian was missed: a kind for each, and what the miss rate would be without it.

The bounds follow TIDE (Bolya et al., ECCV 2020): below an IoU of 0.1 two boxes have nothing to do with each other.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alfnet.evaluation.bootstrap import Ranked, rank_columns, weighted_miss_rates
from alfnet.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE
from alfnet.evaluation.outcomes import Outcomes
from alfnet.evaluation.pairs import Pairs, overlapping_pairs
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers
from alfnet.reading.results_file import Detections

NEAR = 0.1
"""IoU from which on a box belongs to an annotation at all."""
BESIDE = 0.2
"""IoU from which on two people, or a box and each of two people, stand in a crowd."""
DOUBLE = 0.5
"""IoU from which on a further box on a found pedestrian is a double, whatever the evaluation's threshold."""
MOSTLY_VISIBLE = 0.65
"""Visible part below which a missed pedestrian counts as occluded: the bound of the Reasonable subset."""
COVERED = 0.25
"""Part of a box on an ignored annotation from which on that is what it was drawn for."""
UP_TO = 1.0
"""False positives per image up to which the table counts: the miss rate reads nothing beyond."""

KINDS = ("background", "badly_placed", "wrong_size", "double", "crowd", "ignored_class", "low_score")

NAMES = {
    "background": "background",
    "badly_placed": "badly placed",
    "wrong_size": "too small or too large",
    "double": "double",
    "crowd": "crowd or occlusion",
    "ignored_class": "on an ignored class",
    "low_score": "score too low",
}
FALSE_POSITIVE_MEANINGS = {
    "background": "nobody is annotated there",
    "badly_placed": "near a pedestrian, but beside him",
    "wrong_size": "centred on a pedestrian, but too small or too large",
    "double": "a second box on a pedestrian",
    "crowd": "one box over two people or more",
    "ignored_class": "partly on a rider, a group, or somebody outside the subset",
}
MISS_MEANINGS = {
    "background": "no box near",
    "badly_placed": "the nearest box lies beside the pedestrian",
    "wrong_size": "the nearest box is centred, but too small or too large",
    "crowd": "people overlap, or the pedestrian is hidden",
    "ignored_class": "the nearest box counted for an ignored annotation",
    "low_score": "found, but by a score at which too much else is false",
}


@dataclass(frozen=True, eq=False, repr=False)
class ErrorKinds:
    """The kind of every false positive and every miss of one matching."""

    outcomes: Outcomes
    detections: npt.NDArray[np.str_]
    """(D,) the kind of each false positive, "" for other detections; file order."""
    misses: npt.NDArray[np.str_]
    """(G,) the kind of each pedestrian that no detection found, "" for the others."""
    nearest: Integers
    """(G,) the false positive that a mended box would have been, -1 where there is none."""

    @functools.cached_property
    def miss_rate(self) -> float | None:
        """Percent; None without pedestrians."""
        return left_without(self, "") if self.outcomes.pedestrians else None

    @functools.cached_property
    def left(self) -> dict[str, float | None]:
        """Percent left if a kind were mended: its false positives gone, its misses found (see `left_without`)."""
        return {kind: left_without(self, kind) if self.outcomes.pedestrians else None for kind in KINDS}

    def __repr__(self) -> str:
        where = f"{self.outcomes.subset.name}, IoU {self.outcomes.iou:g}"
        wrong, missed = (int((kinds != "").sum()) for kinds in (self.detections, self.misses))
        return f"<ErrorKinds of {where}: {wrong} false positives, {missed} misses>"

    def misses_up_to(self, fppi: float = UP_TO) -> npt.NDArray[np.str_]:
        """(G,) the kinds of the pedestrians not found before `fppi` is exceeded; 'low_score' where a later one finds."""
        late = ~self.outcomes.found(fppi) & (self.outcomes.found_by >= 0)
        return np.where(late, "low_score", self.misses)

    def false_positives_up_to(self, fppi: float = UP_TO) -> npt.NDArray[np.str_]:
        """(D,) the kinds of the false positives that come before `fppi` is exceeded."""
        return np.where(self.outcomes.false_positives(fppi), self.detections, "")

    def counts(self, fppi: float = UP_TO) -> dict[str, tuple[int, int]]:
        """Return false positives and misses per kind, up to so many false positives per image."""
        wrong, missed = self.false_positives_up_to(fppi), self.misses_up_to(fppi)
        return {kind: (int((wrong == kind).sum()), int((missed == kind).sum())) for kind in KINDS}

    def listing(self) -> dict[str, list[dict[str, Any]]]:
        """Return every false positive and every miss with its kind, up to one false positive per image."""
        truth, detections = self.outcomes.ground_truth, self.outcomes.detections
        wrong, missed = self.false_positives_up_to(), self.misses_up_to()
        return {
            "false_positives": [
                {
                    "image_id": int(detections.image_ids[row]),
                    "bbox": detections.boxes[row].tolist(),
                    "score": float(detections.scores[row]),
                    "kind": str(wrong[row]),
                }
                for row in np.flatnonzero(wrong != "").tolist()
            ],
            "misses": [
                {
                    "annotation": row + 1,
                    "image_id": int(truth.annotation_image_ids[row]),
                    "bbox": truth.boxes[row].tolist(),
                    "kind": str(missed[row]),
                }
                for row in np.flatnonzero(missed != "").tolist()
            ],
        }

    def summary(self) -> dict[str, Any]:
        """Return what the JSON holds: per kind false positives, misses, and the miss rate left (percent)."""
        return {
            "subset": self.outcomes.subset.name,
            "iou": self.outcomes.iou,
            "up_to_fppi": UP_TO,
            "miss_rate": _six(self.miss_rate),
            "kinds": {
                kind: {"false_positives": wrong, "misses": missed, "miss_rate_if_mended": _six(self.left[kind])}
                for kind, (wrong, missed) in self.counts().items()
            },
        }


@dataclass(frozen=True, eq=False)
class Near:
    """What lies near what, whatever counts as a match: shared by all matchings of the same boxes."""

    pairs: Pairs
    """Of a detection and a ground truth, from an IoU or cover of NEAR on."""
    beside: Booleans
    """(G,) which ground truths overlap another person of the annotations: a pedestrian, or an ignored one."""


def near_boxes(ground_truth: GroundTruth, detections: Detections) -> Near:
    """Work out for `error_kinds` what matchings of the same boxes have in common."""
    ids, boxes = ground_truth.annotation_image_ids, ground_truth.boxes
    beside = np.zeros(len(boxes), dtype=np.bool_)
    people = overlapping_pairs(ids, boxes, ids, boxes, BESIDE)
    beside[people.detection[(people.detection != people.ground_truth) & (people.iou >= BESIDE)]] = True
    return Near(overlapping_pairs(detections.image_ids, detections.boxes, ids, boxes, NEAR), beside)


def error_kinds(outcomes: Outcomes, shared: Near | None = None) -> ErrorKinds:
    """Give every false positive and every miss its kind.

    `shared`: of `near_boxes`, where several matchings of the same boxes are looked at; None works it out.

    A false positive is, in this order: a double (IoU >= 0.5 with a pedestrian that another detection found), in a crowd (IoU
    >= 0.2 with two pedestrians or more), too small or too large (moved nowhere, but scaled to the pedestrian, it would
    meet him), badly placed (IoU >= 0.1), on an ignored class (IoU >= 0.1 with an ignored annotation, or a quarter of it
    covered), background. A miss is, in this order: too small or too large, or badly placed, by the false positive with
    the highest IoU (>= 0.1); in a crowd (a box that meets him found his neighbour, or he overlaps somebody by IoU >=
    0.2) or occluded (less than 65 % visible); on an ignored class (the box near counted for an ignored annotation);
    background.
    """
    truth = outcomes.ground_truth
    states, found_by = outcomes.states, outcomes.found_by
    shared = shared or near_boxes(truth, outcomes.detections)
    pairs = shared.pairs
    counts_here = ~outcomes.ignored[pairs.ground_truth]
    near = counts_here & (pairs.iou >= NEAR)
    detections = _of_false_positives(outcomes, states, pairs, near)

    missed = ~outcomes.ignored & (found_by < 0)
    misses = np.where(missed, "background", "").astype("<U13")
    state_of = states[pairs.detection]
    on_missed = near & missed[pairs.ground_truth]
    misses[pairs.ground_truth[on_missed & (state_of == IGNORED)]] = "ignored_class"
    taken = on_missed & (state_of == TRUE_POSITIVE) & (pairs.iou >= outcomes.iou)
    misses[pairs.ground_truth[taken]] = "crowd"
    misses[missed & (shared.beside | (truth.visible_ratios < MOSTLY_VISIBLE))] = "crowd"
    best = _best(np.flatnonzero(on_missed & (state_of == FALSE_POSITIVE)), pairs.ground_truth, pairs.iou)
    misses[pairs.ground_truth[best]] = _placing(outcomes, pairs, best)
    nearest = np.full(len(missed), -1, dtype=np.int64)
    nearest[pairs.ground_truth[best]] = pairs.detection[best]

    return ErrorKinds(outcomes, detections, misses, nearest)


def left_without(kinds: ErrorKinds, kind: str) -> float:
    """Return the miss rate in percent that would be left if a kind of error were mended.

    Its false positives are gone. A pedestrian missed by it is found: by the box near, at that box's score, where there
    is one, else before anything else. The figures of several kinds do not add up: they mend each other's curve.
    """
    outcomes = kinds.outcomes
    state = outcomes.state.copy()
    state[(kinds.detections[outcomes.order] == kind) & (state == FALSE_POSITIVE)] = IGNORED
    if not kind:
        state = outcomes.state.copy()
    missed = (kinds.misses_up_to() == kind) & ~outcomes.ignored if kind else np.zeros(len(kinds.misses), dtype=np.bool_)
    boxes = np.unique(kinds.nearest[missed & (kinds.nearest >= 0)])
    place = np.full(len(outcomes.detections.scores), -1, dtype=np.int64)
    place[outcomes.order] = np.arange(len(outcomes.order))
    moved = place[boxes]
    moved = moved[moved >= 0]
    state[moved] = TRUE_POSITIVE
    late = missed & (outcomes.found_by >= 0)
    state[place[outcomes.found_by[late]]] = IGNORED  # found before anything else instead
    free = int(missed.sum()) - len(moved)
    # Those found before anything else stand at the head of the list.
    states = np.concatenate([np.full(free, TRUE_POSITIVE, dtype=np.int8), state])
    data: Ranked = rank_columns(
        np.zeros(len(states), dtype=np.int64),
        states,
        np.array([outcomes.pedestrians]),
        outcomes.images,
        outcomes.protocol,
    )
    return float(weighted_miss_rates(data, np.ones((1, 1), dtype=np.int32))[0])


def _of_false_positives(
    outcomes: Outcomes, states: npt.NDArray[np.int8], pairs: Pairs, near: Booleans
) -> npt.NDArray[np.str_]:
    wrong = states == FALSE_POSITIVE
    kinds = np.where(wrong, "background", "").astype("<U13")
    of_wrong = wrong[pairs.detection]
    ignored = outcomes.ignored[pairs.ground_truth] & ((pairs.iou >= NEAR) | (pairs.cover >= COVERED))
    kinds[pairs.detection[of_wrong & ignored]] = "ignored_class"
    best = _best(np.flatnonzero(of_wrong & near), pairs.detection, pairs.iou)
    kinds[pairs.detection[best]] = _placing(outcomes, pairs, best)
    beside = pairs.detection[of_wrong & near & (pairs.iou >= BESIDE)]
    crowd = np.bincount(beside, minlength=len(wrong)) >= 2
    kinds[crowd] = "crowd"
    found = (outcomes.found_by >= 0)[pairs.ground_truth]
    kinds[pairs.detection[of_wrong & near & found & (pairs.iou >= DOUBLE)]] = "double"
    return kinds


def _best(which: Integers, group: Integers, iou: Floats) -> Integers:
    """Of the pairs `which`, the one with the highest IoU of each `group` (the detection or the ground truth)."""
    ordered = which[np.lexsort((-iou[which], group[which]))]
    return ordered[np.diff(group[ordered], prepend=-1) != 0]


def _placing(outcomes: Outcomes, pairs: Pairs, which: Integers) -> npt.NDArray[np.str_]:
    """Whether boxes of pairs would meet their pedestrian if only their size were right, or not even then."""
    boxes = outcomes.detections.boxes[pairs.detection[which]]
    truths = outcomes.ground_truth.boxes[pairs.ground_truth[which]]
    offset = np.abs(boxes[:, :2] + boxes[:, 2:] / 2 - truths[:, :2] - truths[:, 2:] / 2)
    inside = np.maximum(0, truths[:, 2:] - offset).prod(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        iou = inside / (2 * truths[:, 2:].prod(axis=1) - inside)
    return np.where(iou >= outcomes.iou, "wrong_size", "badly_placed")


def _six(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
