"""Mistakes that can be seen only in all detections together: layout of the boxes, scores, numbering.

What is certain raises AlfnetError; what merely looks wrong is returned as a warning.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.pairs import overlapping_pairs
from alfnet.reading import traps
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers, Place, different, explain

ENOUGH = 10
"""Boxes from which on a pattern that all of them show is no chance."""
_LOOKED_AT = 20_000
"""Detections at which another reading is tried."""
_COMPARED = 2_000_000
"""Pairs of a box and a pedestrian up to which all images are compared with all."""
_FITTED = 600
"""Detections that tell the size of the images they are of."""
_MOVES = 5
"""Ways of giving every image another one's boxes."""


def check_layout(path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, place: Place) -> list[str]:
    """Look for corners (x1, y1, x2, y2) and fractions of the image given as x, y, width, height in pixels.

    image_ids (D,), boxes (D, 4). Raises AlfnetError where `ENOUGH` boxes or more leave no doubt, returns warnings else.
    """
    size = _sizes_of(ground_truth, image_ids)
    if not len(boxes) or not np.isfinite(size).all():
        return []

    def example(which: Booleans) -> str:
        index = int(np.flatnonzero(which)[0])
        return f"{boxes[index].tolist()} in {place(index)}, on {size[index, 0]:g} x {size[index, 1]:g} pixels"

    def found_out(message: str) -> list[str]:
        if len(boxes) >= ENOUGH:
            raise AlfnetError(message)
        return [message]

    small = _all((np.abs(boxes) <= 1.5) & (np.tile(size, 2) > 32))
    if small.all():
        found = f"all {len(boxes)} boxes lie between 0 and 1: fractions of the image instead of pixels"
        remedy = "multiply x and width by the image's width, y and height by its height"
        return found_out(explain(path, found, example(small), remedy))

    first, second = boxes[:, :2], boxes[:, 2:]
    leaving = ~_all((first >= -0.02 * size) & (first + second <= 1.02 * size))
    # As corners these would be boxes inside the image; a true width exceeds x only near the left border, and so on.
    as_corners = _all((second > first) & (second <= 1.1 * size) & (first >= -0.1 * size))
    if as_corners.mean() >= 0.95:
        odd = leaving | _nested(image_ids, boxes)
        if odd.mean() >= 0.25:
            found = (
                f"the boxes look like corners x1, y1, x2, y2 (xyxy) instead of x, y, width, height (xywh): in "
                f"{as_corners.sum()} of {len(boxes)} the third and fourth number exceed the first and second, and "
                f"{odd.sum()} would leave the image or contain one another"
            )
            return found_out(explain(path, found, example(odd), "write x1, y1, x2 - x1, y2 - y1"))
    far = ~_all((first >= -0.1 * size) & (first + second <= 1.1 * size))
    if far.mean() > 0.2:
        found = f"{far.sum()} of {len(boxes)} boxes reach far out of their image"
        remedy = "are they corners (xyxy), or of a resized image? Write x, y, width, height in the full image"
        return [explain(path, found, example(far), remedy)]
    return []


def doubtful_values(
    path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, scores: Floats, place: Place
) -> list[str]:
    """Return warnings on scores (D,), sizes of boxes (D, 4), and images with too many detections or none."""
    warnings = []
    total = len(scores)
    outside = np.flatnonzero((scores < 0) | (scores > 1))
    if len(outside):
        found = f"{len(outside)} of {total} scores lie outside [0, 1], between {scores.min():g} and {scores.max():g}"
        if scores.min() < 0:
            remedy = "they look like logits: 1 / (1 + exp(-x)) makes scores of them"
        elif scores.max() > 1.5:
            remedy = "they look like percentages, to be divided by 100, or like logits before the sigmoid"
        else:
            remedy = "scores are probabilities: look at how they were computed"
        remedy += "; only their order counts here, so the miss rate holds if a higher score is a surer detection"
        warnings.append(explain(path, found, f"{scores[outside[0]]:g} in {place(outside[0])}", remedy))
    elif total >= ENOUGH and scores.min() == scores.max():
        found = f"all {total} scores are equal, so that the order of the images decides on the miss rate"
        warnings.append(explain(path, found, f"{scores[0]:g} in {place(0)}", "write the detector's scores"))
    empty = np.flatnonzero((boxes[:, 2:] == 0).any(1))
    if len(empty):
        found = f"{len(empty)} of {total} boxes have no area and can only be false positives"
        remedy = "width is x2 - x1, height is y2 - y1"
        warnings.append(explain(path, found, f"{boxes[empty[0]].tolist()} in {place(empty[0])}", remedy))
    ids, counts = np.unique(image_ids, return_counts=True)
    if (counts > 1000).any():
        found = f"{(counts > 1000).sum()} images have more than 1000 detections; only the 1000 best count"
        remedy = "a higher score threshold in the detector makes the file smaller"
        warnings.append(explain(path, found, f"{counts.max()} on image {ids[counts.argmax()]}", remedy))
    peopled = different(ground_truth.annotation_image_ids[~ground_truth.ignored])
    without = peopled[~np.isin(peopled, ids)]
    if 0 < total < traps.ENOUGH and len(without) > len(peopled) / 2:  # more detections are judged by `traps`
        found = f"{len(without)} of {len(peopled)} images with pedestrians have no detection: all missed"
        remedy = "is the file whole, and does it belong to this ground truth?"
        warnings.append(explain(path, found, f"image {without[0]}", remedy))
    return warnings


def explain_low_recall(
    path: Path, ground_truth: GroundTruth, image_ids: Integers, boxes: Floats, scores: Floats | None = None
) -> list[str]:
    """Return a warning where another reading of the detections finds far more pedestrians than the given one.

    Meant for results in which many pedestrians are missed. Tries image numbers off by one or by the sorted file names,
    corners, centres, exchanged axes and boxes of an image of another size (which the surest detections tell best, where
    `scores` are given), and compares how many pedestrians of 50 px and more some box meets (IoU >= 0.5). Where no reading
    helps, but boxes of other images would meet as many pedestrians, the image numbers seem to belong to another list. At
    most 20,000 detections, evenly spaced, are looked at.
    """
    pedestrian = ~ground_truth.ignored & (ground_truth.heights >= 50)
    if len(image_ids) > _LOOKED_AT:
        some = np.linspace(0, len(image_ids) - 1, _LOOKED_AT).astype(np.int64)
        image_ids, boxes = image_ids[some], boxes[some]
        scores = None if scores is None else scores[some]
    truths = np.flatnonzero(pedestrian)

    def met(ids: Integers, given: Floats) -> int:
        pairs = overlapping_pairs(
            ids, given, ground_truth.annotation_image_ids[truths], ground_truth.boxes[truths], 0.5
        )
        return len(different(pairs.ground_truth[pairs.iou >= 0.5]))

    as_given = met(image_ids, boxes)
    readings = _other_readings(ground_truth, image_ids, boxes)
    counts = [met(ids, given) for _, ids, given in readings]
    best = int(np.argmax(counts))
    enough = max(1.5 * as_given, as_given + 0.2 * len(truths), ENOUGH)
    met_only = f"{path}: the boxes meet only {as_given} of {len(truths)} pedestrians"
    if counts[best] < enough or "the images " in readings[best][0]:  # some other size than those that were tried?
        surest = np.arange(len(boxes)) if scores is None else np.argsort(-scores, kind="stable")
        across, down = _factors(ground_truth, truths, image_ids[surest], boxes[surest])
        count = met(image_ids, boxes * np.array([across, down] * 2))
        if count >= max(enough, 1.01 * counts[best] + 1):
            return [f"{met_only}, but would meet {count} if {_of_size(ground_truth, across, down)}"]
    if counts[best] >= enough:
        return [f"{met_only}, but would meet {counts[best]} if {readings[best][0]}"]

    if len(image_ids) * len(truths) <= _COMPARED:
        count, example = _renumbered(ground_truth, truths, image_ids, boxes)
        if count >= max(enough, 3 * as_given, 0.5 * len(truths)):
            return [
                f"{met_only}, but would meet {count} if the images were numbered otherwise ({example}): number them as the "
                "ground truth's 'images' does, each by its file's name"
            ]

    # Boxes on other images meet a pedestrian now and then: when those of the right image do not more often, they are
    # not of that image.
    if len(image_ids) < 5 * ENOUGH or as_given > 0.15 * len(truths) or len(ground_truth.image_ids) < 2 * ENOUGH:
        return []
    moves = np.linspace(0, len(ground_truth.image_ids), _MOVES + 2)[1:-1].astype(np.int64)
    by_chance = float(np.mean([met(_moved(ground_truth, image_ids, move), boxes) for move in moves]))
    if by_chance < ENOUGH or as_given > 2 * by_chance:
        return []
    return [
        f"{path}: the boxes meet only {as_given} of {len(truths)} pedestrians, and as many ({by_chance:.0f}) when every "
        "image gets another one's boxes: if the detector is better than chance, the image numbers do not belong to this ground "
        "truth's images (another order of the files, a shuffled list, another split); number them by the ground truth's "
        "'images', in its order"
    ]


def _renumbered(ground_truth: GroundTruth, truths: Integers, image_ids: Integers, boxes: Floats) -> tuple[int, str]:
    """How many pedestrians `truths` would be met if each image's boxes went to the image that they fit best, and an example.

    Every image gets those of one other at most, the surest pairs of images first.
    """
    numbers, images = different(image_ids), ground_truth.image_ids
    of_truth = np.searchsorted(np.sort(images), ground_truth.annotation_image_ids[truths])
    fits = np.zeros((len(numbers), len(images)), dtype=np.int64)
    for row, number in zip(fits, numbers.tolist(), strict=True):
        mine = boxes[image_ids == number]
        # Every pedestrian beside these boxes, as if all were of one image.
        pairs = overlapping_pairs(
            np.zeros(len(mine), np.int64), mine, np.zeros(len(truths), np.int64), ground_truth.boxes[truths], 0.5
        )
        row += np.bincount(of_truth[different(pairs.ground_truth[pairs.iou >= 0.5])], minlength=len(images))
    order = np.argsort(-fits, axis=None, kind="stable")
    given, taken = np.zeros(len(numbers), dtype=np.bool_), np.zeros(len(images), dtype=np.bool_)
    count, example = 0, ""
    for number, image in zip(*np.unravel_index(order[: np.count_nonzero(fits)], fits.shape), strict=True):
        if given[number] or taken[image]:
            continue
        given[number] = taken[image] = True
        count += int(fits[number, image])
        if not example and numbers[number] != np.sort(images)[image]:
            example = f"the boxes of image {numbers[number]} fit the pedestrians of image {np.sort(images)[image]}"
    return count, example


def _factors(ground_truth: GroundTruth, truths: Integers, image_ids: Integers, boxes: Floats) -> tuple[float, float]:
    """By what x and y have to be multiplied for the first of the boxes to lie on the pedestrians `truths` best: 0.2 to 5 each.

    Equal where they are within one percent of each other.
    """
    image_ids, boxes = image_ids[:_FITTED], boxes[:_FITTED]
    order = np.argsort(ground_truth.annotation_image_ids[truths], kind="stable")
    truths = truths[order]
    of_image = ground_truth.annotation_image_ids[truths]
    first, last = (np.searchsorted(of_image, image_ids, side) for side in ("left", "right"))
    number = last - first
    detection = np.repeat(np.arange(len(boxes)), number)
    truth = np.arange(len(detection)) + np.repeat(first - np.cumsum(number) + number, number)
    mine, theirs = boxes[detection], ground_truth.boxes[truths[truth]]

    areas, of_theirs = mine[:, 2] * mine[:, 3], theirs[:, 2] * theirs[:, 3]

    def common(axis: int, factors: Floats) -> Floats:
        """(factors, pairs): what box and pedestrian share along an axis."""
        near, side = mine[:, axis] * factors[:, None], mine[:, axis + 2] * factors[:, None]
        far = np.minimum(near + side, theirs[:, axis] + theirs[:, axis + 2])
        return np.maximum(0, far - np.maximum(near, theirs[:, axis]))

    def fit(shared: Floats, factors: Floats) -> Floats:
        """(factors,): the sum of IoUs from 0.3 on, where boxes are `factors` times as large in area."""
        union = factors[:, None] * areas + of_theirs - shared
        return np.where(shared >= 0.3 * union, shared / np.maximum(union, 1e-9), 0).sum(axis=1)

    def best(across: Floats, down: Floats) -> tuple[float, float]:
        heights = common(1, down)
        rows = zip(common(0, across), across, strict=True)
        fits = np.stack([fit(width * heights, factor * down) for width, factor in rows])
        row, column = np.unravel_index(np.argmax(fits), fits.shape)
        return float(across[row]), float(down[column])

    found = best(*[np.geomspace(0.2, 5, 81)] * 2)
    for reach in (0.04, 0.01, 0.0025):
        found = best(*(factor * np.linspace(1 - reach, 1 + reach, 9) for factor in found))
    if abs(found[0] / found[1] - 1) > 0.01:
        return found
    both = found[0] * np.linspace(0.99, 1.01, 41)
    return (float(both[np.argmax(fit(common(0, both) * common(1, both), both**2))]),) * 2


def _of_size(ground_truth: GroundTruth, across: float, down: float) -> str:
    """The images' size that boxes are of which have to be multiplied by these factors, and the remedy."""
    if across == down:
        return (
            f"the images were {1 / across:.3f} times as large (the width over that of the image that was looked at): "
            f"multiply the boxes by about {across:.3f}"
        )
    sizes = set(map(tuple, ground_truth.image_sizes.tolist()))
    if len(sizes) == 1:
        height, width = sizes.pop()
        size = f"the images were about {width / across:.0f} x {height / down:.0f} px"
    else:
        size = f"the images were {1 / across:.3f} times as wide and {1 / down:.3f} times as high"
    return f"{size}: multiply x and width by about {across:.3f}, y and height by {down:.3f}"


def _other_readings(
    ground_truth: GroundTruth, image_ids: Integers, boxes: Floats
) -> list[tuple[str, Integers, Floats]]:
    """What the detections might mean instead: the wording ("... if"), image ids and boxes."""
    corners = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
    centres = np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    readings: list[tuple[str, Integers, Floats]] = [
        ("the image numbers were one higher (0-based?): add 1 to each", image_ids + 1, boxes),
        ("the image numbers were one lower: subtract 1 from each", image_ids - 1, boxes),
        ("the boxes were corners x1, y1, x2, y2 (xyxy): write x1, y1, x2 - x1, y2 - y1", image_ids, corners),
        ("x and y were the boxes' centres: subtract half the width and height", image_ids, centres),
        ("the axes were exchanged: write x, y, width, height", image_ids, boxes[:, [1, 0, 3, 2]]),
    ]
    by_name = np.argsort(np.array(ground_truth.file_names), kind="stable")
    if len(set(ground_truth.file_names)) == len(by_name) and not (by_name == np.arange(len(by_name))).all():
        # The n-th image by name was given the id of the n-th in the file.
        renumbered = ground_truth.image_ids[by_name][_places(ground_truth, image_ids)]
        readings.append(("the image numbers followed the sorted file names: use the file's order", renumbered, boxes))
    size = np.tile(_sizes_of(ground_truth, image_ids), 2)
    for factor, wording in (
        (2.0, "half as large: multiply the boxes by 2"),
        (0.5, "twice as large: divide the boxes by 2"),
    ):
        readings.append((f"the images were {wording}", image_ids, boxes * factor))
    for factor in (0.25, 0.4, 2 / 3, 0.75, 0.8, 0.9, 1.1, 1.25, 4 / 3, 1.5, 1.6, 2.5, 3.0, 3.2, 4.0):
        wording = f"the images were {1 / factor:.3g} times as large: multiply the boxes by {factor:.4g}"
        readings.append((wording, image_ids, boxes * factor))
    for side in (416, 512, 608, 640, 800, 1024, 1280):  # detectors that squeeze every image into a square
        wording = f"the images were {side} x {side}: scale the boxes to the full image"
        readings.append((wording, image_ids, boxes * (size / side)))
        # ... or that put it between bars: one factor, and an offset along the shorter side.
        factors = size.max(axis=1, keepdims=True) / side
        offset = np.zeros_like(boxes)
        offset[:, :2] = (side - size[:, :2] / factors) / 2
        wording = f"the images lay between bars in {side} x {side} (letterbox): take off the bars, then scale the boxes"
        readings.append((wording, image_ids, (boxes - offset) * factors))
    return readings


def _moved(ground_truth: GroundTruth, image_ids: Integers, by: int) -> Integers:
    """The ids of the images that stand `by` places further on in the ground truth."""
    return ground_truth.image_ids[(_places(ground_truth, image_ids) + by) % len(ground_truth.image_ids)]


def _places(ground_truth: GroundTruth, image_ids: Integers) -> Integers:
    """Indices of images (D,) in the ground truth's list."""
    order = np.argsort(ground_truth.image_ids, kind="stable")
    return order[np.searchsorted(ground_truth.image_ids, image_ids, sorter=order)]


def _all(holds: Booleans) -> Booleans:
    """Which rows (D,) hold in all their columns (D, n)."""
    return np.logical_and.reduce(holds, axis=1)


def _sizes_of(ground_truth: GroundTruth, image_ids: Integers) -> Floats:
    """Width and height (D, 2) of the image of each detection."""
    return ground_truth.image_sizes[_places(ground_truth, image_ids)][:, ::-1]


def _nested(image_ids: Integers, boxes: Floats) -> Booleans:
    """Which boxes (D, 4) contain, or lie inside, another box of their image; only the first 2000 are looked at."""
    image_ids, some = image_ids[:2000], boxes[:2000]
    pairs = overlapping_pairs(image_ids, some, image_ids, some, 1 - 1e-9)
    inside = pairs.detection != pairs.ground_truth
    nested = np.zeros(len(boxes), dtype=np.bool_)
    nested[pairs.detection[inside]] = True
    nested[pairs.ground_truth[inside]] = True
    return nested
