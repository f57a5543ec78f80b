"""Traps of this field in detections whose every record is in order: boxes cut to integers, lists cut at 100, doubles.

Each has let somebody publish, or puzzle over, a wrong figure. What is certain raises AlfnetError; what is likely warns,
with counts, an example, the remedy and, where it was measured, by how much such a thing moves the miss rate. The
measured figures are of the published ALFNet detections on CityPersons val (`docs/miss-rate.md`), Reasonable at IoU 0.5.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.pairs import overlapping_pairs
from alfnet.reading.annotation_traps import FARTHEST, equal_rows
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers, Place, different, explain

ENOUGH = 50
"""Detections from which on a pattern that all of them show is no chance."""
USUAL_CAPS = (10, 15, 20, 25, 30, 40, 50, 60, 100, 128, 150, 200, 250, 256, 300, 400, 500, 512, 1000)
"""At which detectors and tools cut the list of an image."""
OFF_BY_A_LITTLE = "the boxes lie close (IoU >= 0.7) on"
"""How the warning of boxes that are scaled or moved a little begins."""
SAMPLE = 2000
"""So many detections are looked at for doubles that overlap."""


def check_coordinates(path: Path, boxes: Floats, place: Place) -> None:
    """Raise AlfnetError for boxes (n, 4) with a number that can be no pixel, as an overflow leaves it."""
    far = np.flatnonzero((np.abs(boxes) > FARTHEST).any(axis=1))
    if len(far):
        found = f"{len(far)} of {len(boxes)} boxes have a coordinate beyond {FARTHEST:,.0f} pixels"
        remedy = "no image is so large: look for the computation that overflowed, or leave these out"
        raise AlfnetError(explain(path, found, f"{boxes[far[0]].tolist()} in {place(far[0])}", remedy))


def find_traps(
    path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, scores: Floats, place: Place
) -> list[str]:
    """Return a warning for every trap that the detections show: image_ids (D,), boxes (D, 4), scores (D,).

    Raises AlfnetError where all detections stand in the list twice.
    """
    if not len(scores):
        return []
    warnings = _doubles(path, image_ids, boxes, scores, place)
    if len(scores) >= ENOUGH:
        warnings += _whole_numbers(path, boxes, place)
        warnings += _coarse_scores(path, scores, place)
        warnings += _cut_lists(path, image_ids)
        warnings += _smaller_image(path, ground_truth, image_ids, boxes)
        warnings += _off_by_a_little(path, ground_truth, image_ids, boxes, scores)
        warnings += _missing_images(path, ground_truth, image_ids, boxes, scores)
    return warnings


def _whole_numbers(path: Path, boxes: Floats, place: Place) -> list[str]:
    whole = (boxes == np.floor(boxes)).all(axis=0)
    if whole.all():
        what = "numbers"
    elif whole[:2].all():
        what = "numbers as x and y"
    elif whole[2:].all():
        what = "numbers as width and height"
    else:
        return []
    found = f"all {len(boxes)} boxes have whole {what}, as if they had been cut or rounded"
    remedy = (
        "write the fractions that the detector gives. On the published ALFNet detections cutting them off moves "
        "Reasonable from 12.01 to 12.19 at IoU 0.5 and from 36.48 to 38.14 at IoU 0.75"
    )
    return [explain(path, found, f"{boxes[0].tolist()} in {place(0)}", remedy)]


def _coarse_scores(path: Path, scores: Floats, place: Place) -> list[str]:
    fractions = scores / 100 if 1 < scores.max() <= 100 else scores  # percent, which is said elsewhere
    for decimals in (1, 2):
        if np.abs(fractions - np.round(fractions, decimals)).max() > 1e-9:
            continue
        distinct = len(np.unique(scores))
        if distinct == 1:  # said elsewhere
            return []
        found = (
            f"all {len(scores)} scores have at most {'one decimal' if decimals == 1 else 'two decimals'}: only "
            f"{distinct} different ones, and among equal scores the order of the images decides"
        )
        remedy = (
            "write at least four decimals. On the published ALFNet detections rounding to two moves Reasonable at "
            "IoU 0.5 from 12.01 to 12.09, rounding to one to 12.52"
        )
        return [explain(path, found, f"{scores[0]:g} in {place(0)}", remedy)]
    return []


def _cut_lists(path: Path, image_ids: Integers) -> list[str]:
    ids, counts = np.unique(image_ids, return_counts=True)
    most = int(counts.max())
    full = np.flatnonzero(counts == most)
    # Without a cut fewer images have the most detections than one less, or about as many.
    by_chance = 2 + 2 * int((counts == most - 1).sum())
    if most not in USUAL_CAPS or len(full) < max(3, 0.01 * len(ids), by_chance):
        return []
    found = (
        f"{len(full)} images have exactly {most} detections and none has more: the lists seem cut at {most} an image"
    )
    remedy = (
        "give up to 1000 an image, which is what the protocol counts. It costs where people stand close together; on "
        "the published ALFNet detections (at most 45 an image) a cut at 30 moves Reasonable from 12.01 to 12.20, one "
        "at 20 to 13.14, one at 10 to 23.66"
    )
    return [explain(path, found, f"image {ids[full[0]]}", remedy)]


def _doubles(path: Path, image_ids: Integers, boxes: Floats, scores: Floats, place: Place) -> list[str]:
    rows = np.column_stack([image_ids, boxes, scores])
    again, kept = equal_rows(rows)
    doubles = int(again.sum())
    if doubles:
        index = int(np.flatnonzero(again)[0])
        found = f"{doubles} of {len(rows)} detections stand in the list twice (same image, box and score)"
        example = f"{boxes[index].tolist()} in {place(index)}"
        remedy = "each second one is a false positive: were two files joined? Leave each in once"
        if (again | kept).all() and len(rows) >= 20:
            raise AlfnetError(explain(path, found, example, remedy))
        return [explain(path, found, example, remedy)]
    if len(rows) < ENOUGH:
        return []
    # The best ones: at the end of the list even good detectors have boxes upon boxes.
    some = np.argsort(-scores, kind="stable")[:SAMPLE]
    pairs = overlapping_pairs(image_ids[some], boxes[some], image_ids[some], boxes[some], 0.8)
    upon = pairs.detection[(pairs.detection != pairs.ground_truth) & (pairs.iou >= 0.8)]
    crowded = different(upon)
    if len(crowded) < 0.3 * len(some):
        return []
    index = int(some[crowded[0]])
    found = f"{len(crowded)} of the {len(some)} surest detections overlap another one by 80 % or more (IoU)"
    remedy = "was non-maximum suppression left out, or were several files joined? Doubles are false positives"
    return [explain(path, found, f"{boxes[index].tolist()} in {place(index)}", remedy)]


def _smaller_image(path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats) -> list[str]:
    """Boxes that keep to the upper left part of the images, while pedestrians stand everywhere."""
    size = _sizes(ground_truth, image_ids)
    truth_size = _sizes(ground_truth, ground_truth.annotation_image_ids)
    if not np.isfinite(size).all() or not len(ground_truth.boxes):
        return []
    reach = ((boxes[:, :2] + boxes[:, 2:]) / size).max(axis=0)
    theirs = ((ground_truth.boxes[:, :2] + ground_truth.boxes[:, 2:]) / truth_size)[~ground_truth.ignored]
    if not len(theirs) or reach.max() > 0.8 or not (np.quantile(theirs, 0.9, axis=0) > 1.05 * reach).all():
        return []
    width, height = size[0]
    found = (
        f"no box reaches beyond {100 * reach[0]:.0f} % of the width and {100 * reach[1]:.0f} % of the height of its "
        "image, where the ground truth has pedestrians"
    )
    remedy = f"are they boxes of smaller images? Scale them to the full image, e.g. of {width:g} x {height:g} pixels"
    farthest = int((boxes[:, 0] + boxes[:, 2]).argmax())
    return [explain(path, found, f"the box farthest right is {boxes[farthest].tolist()}", remedy)]


def _off_by_a_little(
    path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, scores: Floats
) -> list[str]:
    """Boxes scaled or moved so little that they still meet their pedestrians, but not closely."""
    plain = np.flatnonzero(~ground_truth.ignored & (ground_truth.heights >= 50))
    surest = np.argsort(-scores, kind="stable")[:SAMPLE]
    ids, some = image_ids[surest], boxes[surest]
    truth_ids, truths = ground_truth.annotation_image_ids[plain], ground_truth.boxes[plain]
    mended = some
    for turn in range(3):
        pairs = overlapping_pairs(ids, mended, truth_ids, truths, 0.3)
        first = (np.diff(pairs.detection, prepend=-1) != 0) & (pairs.iou >= 0.3)  # each box's nearest pedestrian
        mine, theirs = some[pairs.detection[first]], truths[pairs.ground_truth[first]]
        if len(mine) < 2 * ENOUGH:
            return []
        factors, offsets = _fit(_centres(mine), _centres(theirs))
        mended = some * np.tile(factors, 2)
        mended[:, :2] += offsets
        moved = np.linalg.norm(_centres(mended) - _centres(some), axis=1)
        if not turn and _median(moved / np.maximum(1, some[:, 3])) < 0.03:  # as good boxes lie
            return []

    def close(given: Floats) -> int:
        near = overlapping_pairs(ids, given, truth_ids, truths, 0.7)
        return len(different(near.ground_truth[near.iou >= 0.7]))

    before, after = close(some), close(mended)
    if after < max(1.15 * before + 0.02 * len(plain), 0.2 * min(len(plain), SAMPLE)):
        return []
    found = (
        f"{OFF_BY_A_LITTLE} {before} pedestrians, but would on {after} if x were multiplied by "
        f"{factors[0]:.3f} and moved by {offsets[0]:+.1f}, y by {factors[1]:.3f} and {offsets[1]:+.1f} pixels"
    )
    remedy = "were the images resized, cropped or padded a little? Bring the boxes back to the full image"
    return [explain(path, found, f"{some[0].tolist()} of image {ids[0]}", remedy)]


def _centres(boxes: Floats) -> Floats:
    return boxes[:, :2] + boxes[:, 2:] / 2


def _median(values: Floats) -> float:
    """As `np.median`, which imports numpy.ma (`different`)."""
    ordered = np.sort(values)
    return float(ordered[(len(values) - 1) // 2] + ordered[len(values) // 2]) / 2


def _fit(given: Floats, wanted: Floats) -> tuple[Floats, Floats]:
    """Factors (2,) and offsets (2,) that bring points (n, 2) nearest to others; pairs far off count for nothing."""
    factors, offsets = np.ones(2), np.zeros(2)
    for axis in (0, 1):
        x, y = given[:, axis], wanted[:, axis]
        kept = np.ones(len(x), dtype=np.bool_)
        for _ in range(3):
            spread = x[kept] - x[kept].mean()
            factors[axis] = (spread * (y[kept] - y[kept].mean())).sum() / max(1e-9, (spread**2).sum())
            offsets[axis] = y[kept].mean() - factors[axis] * x[kept].mean()
            distance = np.abs(factors[axis] * x + offsets[axis] - y)
            kept = distance <= 2 * _median(distance) + 1e-9
    return factors, offsets


def _missing_images(
    path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, scores: Floats
) -> list[str]:
    """Images without detections that the detector's recall on the others does not explain."""
    plain = ~ground_truth.ignored & (ground_truth.heights >= 50) & ~(ground_truth.visible_ratios < 0.65)
    people = np.bincount(
        _positions(ground_truth, ground_truth.annotation_image_ids[plain]), minlength=_count(ground_truth)
    )
    has = np.bincount(_positions(ground_truth, image_ids), minlength=_count(ground_truth)) > 0
    peopled = people > 0
    empty = peopled & ~has
    if not empty.any() or not (peopled & has).any():
        return []
    share = people[empty].sum() / people.sum()
    missing = (
        f"{int(empty.sum())} of {int(peopled.sum())} images with Reasonable pedestrians have no detection; their "
        f"{int(people[empty].sum())} pedestrians ({100 * share:.0f} % of all) count as missed"
    )

    run = _longest_run(empty[peopled])
    within = np.flatnonzero(peopled)[run]
    others = float(empty[peopled].sum() - len(within)) / max(1, int(peopled.sum()) - len(within))
    # A chain of so many empty images happens by chance at most once in a million files.
    if len(within) >= 10 and peopled.sum() * max(others, 0.02) ** len(within) < 1e-6:
        names = [_name(ground_truth, int(index)) for index in (within[0], within[-1])]
        found = f"only a part of the split: {missing}, among them {len(within)} in a row"
        remedy = "is the file whole? Give the detections of all images, or a ground truth of this part alone"
        return [explain(path, found, f"from {names[0]} to {names[1]}", remedy)]

    surest = np.argsort(-scores, kind="stable")[: 5 * SAMPLE]
    pairs = overlapping_pairs(
        image_ids[surest], boxes[surest], ground_truth.annotation_image_ids[plain], ground_truth.boxes[plain], 0.5
    )
    met = len(different(pairs.ground_truth[pairs.iou >= 0.5]))
    recall = met / max(1, people[has].sum())
    crowded = people >= 3
    unexpected = int((crowded & empty).sum())
    # With this recall so many images of three people and more would have no detection at all. People of one image are
    # missed together (fog, darkness): ten times as many, and some of every set, are still no surprise.
    expected = float(((1 - recall) ** people[crowded & peopled]).sum())
    if unexpected <= max(2, min(8, 0.2 * int((crowded & peopled).sum()))) + 10 * expected:
        return []
    first = _name(ground_truth, int(np.flatnonzero(crowded & empty)[0]))
    found = f"{missing}, though {100 * recall:.0f} % of the others' pedestrians are met"
    remedy = "were images left out or did some fail? Detect on them too; an image without detections stays in the count"
    return [explain(path, found, first, remedy)]


def _longest_run(holds: Booleans) -> slice:
    """Return the longest stretch of True, as a slice; an empty one where there is none."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], holds.astype(np.int8), [0]])))
    starts, ends = edges[::2], edges[1::2]
    if not len(starts):
        return slice(0, 0)
    longest = int((ends - starts).argmax())
    return slice(int(starts[longest]), int(ends[longest]))


def _count(ground_truth: GroundTruth) -> int:
    return len(ground_truth.image_ids)


def _positions(ground_truth: GroundTruth, image_ids: Integers) -> Integers:
    order = np.argsort(ground_truth.image_ids, kind="stable")
    return order[np.searchsorted(ground_truth.image_ids, image_ids, sorter=order)]


def _sizes(ground_truth: GroundTruth, image_ids: Integers) -> Floats:
    """Width and height (n, 2) of the image of each of `image_ids` (n,)."""
    return ground_truth.image_sizes[_positions(ground_truth, image_ids)][:, ::-1]


def _name(ground_truth: GroundTruth, index: int) -> str:
    name = ground_truth.file_names[index] if ground_truth.file_names else ""
    return f"image {ground_truth.image_ids[index]}" + (f" ({name})" if name else "")
