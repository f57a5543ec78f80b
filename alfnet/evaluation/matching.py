"""Giving detections to ground truths: the one matching behind the miss rate, the average precision and the drawn images."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfnet.evaluation.pairs import Pairs, overlapping_pairs
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers, different
from alfnet.reading.results_file import Detections

FALSE_POSITIVE, TRUE_POSITIVE, IGNORED = 0, 1, 2
"""States of a detection."""


def rank(detections: Detections, per_image: int | None) -> Integers:
    """Return the indices of the detections that count, best first: at most the `per_image` best of each image.

    Equal scores go by image id, then by order in the file.
    """
    order = np.lexsort((detections.image_ids, -detections.scores))  # stable, so equal keys stay in file order
    if per_image is None:
        return order
    image_ids = detections.image_ids[order]
    _, counts = np.unique(image_ids, return_counts=True)
    if len(counts) and counts.max() > per_image:
        by_image = np.argsort(image_ids, kind="stable")
        place = np.empty_like(by_image)  # of each detection among those of its image, best first
        place[by_image] = np.arange(len(by_image)) - np.repeat(np.cumsum(counts) - counts, counts)
        order = order[place < per_image]
    return order


def ranked_pairs(
    ground_truth: GroundTruth,
    detections: Detections,
    order: Integers,
    threshold: float,
    *,
    matched_boxes: Floats | None = None,
    later_first: bool = True,
    epsilon: float = 0.0,
) -> Pairs:
    """Return the pairs at IoU (or cover of an ignored ground truth) >= threshold of the detections in `order`.

    The last three: see `overlapping_pairs`.
    """
    return overlapping_pairs(
        detections.image_ids[order],
        detections.boxes[order],
        ground_truth.annotation_image_ids,
        ground_truth.boxes,
        threshold,
        matched_boxes=matched_boxes,
        later_first=later_first,
        epsilon=epsilon,
    )


def match_pairs(
    pairs: Pairs, taking_part: Booleans, ignored: Booleans, threshold: float, *, threshold_included: bool = True
) -> tuple[npt.NDArray[np.int8], Booleans]:
    """Return the states of detections (D,) and which ground truths were detected (G,): see `assign_pairs`."""
    state, partner = assign_pairs(pairs, taking_part, ignored, threshold, threshold_included=threshold_included)
    detected = np.zeros(len(ignored), dtype=np.bool_)
    detected[partner[partner >= 0]] = True
    return state, detected


def assign_pairs(
    pairs: Pairs, taking_part: Booleans, ignored: Booleans, threshold: float, *, threshold_included: bool = True
) -> tuple[npt.NDArray[np.int8], Integers]:
    """Give each detection, best first, its best free ground truth.

    taking_part (D,) tells which detections count at all, ignored (G,) which ground truths do not. A detection without a
    free ground truth at IoU >= threshold is ignored if it covers an ignored one (intersection / area of the detection
    >= threshold), which any number may do; > instead of >= without `threshold_included`. Returns the states (D,), and
    the ground truth that each detection found (D,), -1 for none.
    """

    def reached(overlap: Floats) -> Booleans:
        return overlap >= threshold if threshold_included else overlap > threshold

    on_ignored = ignored[pairs.ground_truth]
    allowed = taking_part[pairs.detection] & ~on_ignored & reached(pairs.iou)
    detection, truth = _take_turns(pairs, np.flatnonzero(allowed), len(ignored))
    state = np.full(len(taking_part), FALSE_POSITIVE, dtype=np.int8)
    state[~taking_part] = IGNORED
    state[pairs.detection[on_ignored & reached(pairs.cover)]] = IGNORED
    state[detection] = TRUE_POSITIVE  # last: a pedestrian goes before an ignored ground truth
    partner = np.full(len(taking_part), -1, dtype=np.int64)
    partner[detection] = truth
    return state, partner


def _take_turns(pairs: Pairs, allowed: Integers, truths: int) -> tuple[Integers, Integers]:
    """Return the detections, and their ground truths, that matching by turns gives over the `allowed` pairs.

    By turns: the best detection takes its best ground truth, the next one its best among those left, and so on. As all
    ground truths agree on which detection goes first, this is the one stable matching, and deferred acceptance finds it
    for all images together: every detection asks for its favourite, a ground truth keeps the best of those who ask,
    the others ask for their next choice, until nobody asks. Pairs are sorted by detection, best first, so the lower
    index of two pairs belongs to the better detection.
    """
    detection, truth = pairs.detection[allowed], pairs.ground_truth[allowed]
    nobody = len(detection)
    kept = np.full(truths, nobody)
    asking = np.flatnonzero(np.diff(detection, prepend=-1))  # each detection's first pair
    while len(asking):
        asked = truth[asking]
        before = kept[asked]
        np.minimum.at(kept, asked, asking)
        now = kept[asked]
        refused = different(np.concatenate([asking[now != asking], before[(before != now) & (before < nobody)]]))
        following = refused[refused + 1 < nobody] + 1
        asking = following[detection[following] == detection[following - 1]]
    matched = kept[kept < nobody]
    return detection[matched], truth[matched]
