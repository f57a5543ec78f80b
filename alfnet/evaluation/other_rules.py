"""The miss rate by other rules than the protocol's: what the evaluators that people use do differently, as data.

For `alfnet.evaluation.deviations`, which tries them one after another. The protocol's own figures come from
`alfnet.evaluation.miss_rate`; with `Rules()` this module gives the same (tested).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from alfnet.evaluation.matching import FALSE_POSITIVE, IGNORED, TRUE_POSITIVE, assign_pairs
from alfnet.evaluation.pairs import Pairs
from alfnet.evaluation.protocol import CITYPERSONS
from alfnet.evaluation.subsets import Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers
from alfnet.reading.results_file import Detections


@dataclass(frozen=True)
class Rules:
    """How a miss rate is worked out; the defaults are CityPersons' protocol."""

    points: tuple[float, ...] = CITYPERSONS.fppi_points
    """False positives per image at which the curve is read."""
    reading: Literal["last below", "first above", "linear", "wrapped", "end"] = "last below"
    """Which point of the curve counts; 'wrapped': the final recall where there is none; 'end': the last point alone."""
    mean: Literal["geometric", "arithmetic"] = "geometric"
    axis: Literal["fppi", "one minus precision"] = "fppi"
    missed: Literal["recall", "precision"] = "recall"
    """What the miss rate is one minus of."""
    per_image: int | None = CITYPERSONS.detections_per_image
    margin: float | None = CITYPERSONS.height_margin
    """None: detections of all heights take part."""
    matching: Literal["best free", "best only", "shifted rows"] = "best free"
    """'best only': a detection whose best ground truth is taken looks for no other. 'shifted rows': see the function."""
    doubles: Literal["false", "ignored"] = "false"
    """What a second detection on a pedestrian is."""
    included: bool = True
    """IoU >= threshold, else >."""
    later_first: bool = True
    plus_one: bool = False
    """Areas and overlaps with (width + 1) * (height + 1)."""
    ignored_by: Literal["cover", "IoU", "nothing"] = "cover"
    """What puts a detection on an ignored annotation: its covered part, IoU; 'nothing': they are left out."""
    outside: Literal["ignored", "left out"] = "ignored"
    """What becomes of pedestrians outside the subset."""
    bounds: Literal["inclusive", "exclusive"] = "inclusive"


@dataclass(frozen=True, eq=False)
class Setting:
    """Detections, ground truth and rules that a figure is worked out from; deviations change parts of it."""

    image_ids: Integers
    """(I,) the images that count."""
    truth_ids: Integers
    truth_boxes: Floats
    heights: Floats
    visible: Floats
    ignored: Booleans
    """(G,)"""
    ids: Integers
    boxes: Floats
    scores: Floats
    """(D,)"""
    subset: Subset
    iou: float
    crowds: Booleans | None = None
    """(G,) the file's `iscrowd`, where it has one."""
    image_sizes: Floats | None = None
    """(I, 2) height and width of `image_ids`, where known."""
    names: tuple[str, ...] = ()
    """I file names."""
    kept: Booleans | None = None
    """(D,) detections that were handed in; None: all."""
    annotated: Booleans | None = None
    """(G,) annotations that were there; None: all."""
    images: int = 0
    """By which false positives are divided."""
    rules: Rules = field(default_factory=Rules)

    @classmethod
    def of(cls, ground_truth: GroundTruth, detections: Detections, subset: Subset, iou: float) -> Setting:
        """Return the setting of the protocol."""
        return cls(
            image_ids=ground_truth.image_ids,
            truth_ids=ground_truth.annotation_image_ids,
            truth_boxes=ground_truth.boxes,
            heights=ground_truth.heights,
            visible=ground_truth.visible_ratios,
            ignored=ground_truth.ignored,
            ids=detections.image_ids,
            boxes=detections.boxes,
            scores=detections.scores,
            subset=subset,
            iou=iou,
            crowds=ground_truth.crowds,
            image_sizes=ground_truth.image_sizes,
            names=ground_truth.file_names,
            images=len(ground_truth.image_ids),
        )

    def with_rules(self, **changes: Any) -> Setting:
        """Return the setting with some rules changed."""
        return replace(self, rules=replace(self.rules, **changes))

    def keeping(self, kept: Booleans) -> Setting:
        """Return the setting with only these detections (D,), of those that were left."""
        return replace(self, kept=kept if self.kept is None else self.kept & kept)

    def sizes(self, ids: Integers) -> Floats:
        """Width and height (n, 2) of the images of `ids` (n,); NaN where unknown."""
        if self.image_sizes is None:
            return np.full((len(ids), 2), np.nan)
        order = np.argsort(self.image_ids, kind="stable")
        places = np.minimum(np.searchsorted(self.image_ids, ids, sorter=order), len(order) - 1)
        known = self.image_ids[order[places]] == ids
        return np.where(known[:, None], self.image_sizes[order[places]][:, ::-1], np.nan)

    def only_images(self, chosen: Booleans) -> Setting:
        """Return the setting in which only some of the images (I,) count."""
        ids = self.image_ids[chosen]
        annotated = np.isin(self.truth_ids, ids)
        changed = replace(
            self,
            image_ids=ids,
            image_sizes=None if self.image_sizes is None else self.image_sizes[chosen],
            names=tuple(name for name, there in zip(self.names, chosen.tolist(), strict=False) if there),
            annotated=annotated if self.annotated is None else self.annotated & annotated,
            images=len(ids),
        )
        return changed.keeping(np.isin(self.ids, ids))


class Overlaps:
    """The overlaps of detections and ground truths, kept for settings that share their boxes."""

    def __init__(self, lowest: float = 0.3) -> None:
        """Keep overlaps from `lowest` on (IoU or covered part): no threshold that is asked for may be below."""
        self.lowest = lowest
        # The arrays are kept beside what was made of them, so that their ids stay theirs.
        self._meeting: dict[tuple[int, int], tuple[Any, ...]] = {}
        self._pairs: dict[tuple[Any, ...], tuple[Any, ...]] = {}
        self._ranks: dict[tuple[Any, ...], tuple[Any, ...]] = {}

    def pairs(self, setting: Setting) -> Pairs:
        """All pairs that overlap, by index of detection and ground truth in their arrays.

        A detection's pairs stand in its order of preference, as in `alfnet.evaluation.pairs`.
        """
        arrays = (setting.ids, setting.boxes, setting.truth_ids, setting.truth_boxes)
        key = (*map(id, arrays), setting.rules.plus_one, setting.rules.later_first)
        if key not in self._pairs:
            if len(self._pairs) > 100:
                self._pairs.clear()
            self._pairs[key] = (_overlaps(setting, *self._same_image(setting), self.lowest), arrays)
        pairs: Pairs = self._pairs[key][0]
        return pairs

    def rank(self, setting: Setting) -> tuple[Integers, Integers]:
        """(D,) place of each detection, best first, -1 for those that do not count; and those that do, in order."""
        key = (id(setting.ids), id(setting.scores), id(setting.kept), setting.rules.per_image)
        if key not in self._ranks:
            if len(self._ranks) > 1000:
                self._ranks.clear()
            self._ranks[key] = (_rank(setting), setting.ids, setting.scores, setting.kept)
        places: tuple[Integers, Integers] = self._ranks[key][0]
        return places

    def _same_image(self, setting: Setting) -> tuple[Integers, Integers]:
        key = (id(setting.ids), id(setting.truth_ids))
        if key not in self._meeting:
            order = np.argsort(setting.truth_ids, kind="stable")
            first = np.searchsorted(setting.truth_ids, setting.ids, "left", sorter=order)
            counts = np.searchsorted(setting.truth_ids, setting.ids, "right", sorter=order) - first
            detection = np.repeat(np.arange(len(counts)), counts)
            within = np.arange(len(detection)) - np.repeat(np.cumsum(counts) - counts, counts)
            self._meeting[key] = (detection, order[first[detection] + within], setting.ids, setting.truth_ids)
        return self._meeting[key][:2]


def _overlaps(setting: Setting, detection: Integers, truth: Integers, lowest: float) -> Pairs:
    one = 1.0 if setting.rules.plus_one else 0.0
    first, second = setting.boxes, setting.truth_boxes
    sides = [
        np.minimum((first[:, axis] + first[:, axis + 2])[detection], (second[:, axis] + second[:, axis + 2])[truth])
        - np.maximum(first[:, axis][detection], second[:, axis][truth])
        + one
        for axis in (0, 1)
    ]
    meet = np.flatnonzero((sides[0] > 0) & (sides[1] > 0))
    detection, truth = detection[meet], truth[meet]
    intersection = sides[0][meet] * sides[1][meet]
    area = (first[:, 2] + one) * (first[:, 3] + one)
    truth_area = (second[:, 2] + one) * (second[:, 3] + one)
    with np.errstate(all="ignore"):
        iou = intersection / (area[detection] + truth_area[truth] - intersection)
        cover = intersection / area[detection]
    kept = np.flatnonzero((iou >= lowest) | (cover >= lowest))
    preference = -truth[kept] if setting.rules.later_first else truth[kept]
    kept = kept[np.lexsort((preference, -iou[kept], detection[kept]))]
    return Pairs(detection[kept], truth[kept], iou[kept], cover[kept])


def _rank(setting: Setting) -> tuple[Integers, Integers]:
    kept = np.arange(len(setting.scores)) if setting.kept is None else np.flatnonzero(setting.kept)
    order = kept[np.lexsort((setting.ids[kept], -setting.scores[kept]))]
    if setting.rules.per_image is not None:
        order = order[_place_in_image(setting.ids[order]) < setting.rules.per_image]
    place = np.full(len(setting.scores), -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    return place, order


def _place_in_image(ids: Integers) -> Integers:
    """Of detections in order: how many of the same image stand before each."""
    by_image = np.argsort(ids, kind="stable")
    place = np.empty_like(by_image)
    ordered = ids[by_image]
    place[by_image] = np.arange(len(ids)) - np.searchsorted(ordered, ordered, "left")
    return place


def miss_rate_by(setting: Setting, overlaps: Overlaps | None = None) -> float | None:
    """Return the figure, in percent, that a setting gives; None without pedestrians or images."""
    overlaps = overlaps or Overlaps(setting.iou)
    rules, threshold = setting.rules, setting.iou
    ignored, there = _ignored(setting)
    pedestrians = int((~ignored & there).sum())
    if not pedestrians or not setting.images:
        return None
    place, order = overlaps.rank(setting)
    pairs = overlaps.pairs(setting)
    overlap = pairs.iou if rules.ignored_by == "IoU" else pairs.cover
    which = np.flatnonzero(
        (place[pairs.detection] >= 0) & there[pairs.ground_truth] & ((pairs.iou >= threshold) | (overlap >= threshold))
    )
    detection = place[pairs.detection[which]]
    small = detection.astype(np.uint16) if len(order) <= 2**16 else detection  # sorted by digits, in no time
    which = which[np.argsort(small, kind="stable")]
    ranked = Pairs(place[pairs.detection[which]], pairs.ground_truth[which], pairs.iou[which], overlap[which])
    heights = setting.boxes[order, 3]
    part = np.ones(len(order), dtype=np.bool_)
    if rules.margin is not None:
        low, high = setting.subset.height
        part = (heights >= low / rules.margin) & (heights < high * rules.margin)
    if rules.matching == "shifted rows":
        ranked = _shifted_rows(ranked, setting.ids[order], order, part)
    state = _states(ranked, part, ignored, setting, pedestrians)
    return _figure(state, pedestrians, setting)


def _ignored(setting: Setting) -> tuple[Booleans, Booleans]:
    """Which ground truths are ignored, and which are there at all."""
    rules = setting.rules
    (low, high), (least, most) = setting.subset.height, setting.subset.visible_ratio
    heights, visible = setting.heights, setting.visible
    outside = (heights < low) | (heights > high)
    if rules.bounds == "exclusive":
        outside |= (heights <= low) | (heights >= high)
    if (least, most) != (-math.inf, math.inf):
        outside |= (visible < least) | (visible > most)
        if rules.bounds == "exclusive":
            outside |= (visible <= least) | (visible >= most)
    there = np.ones(len(heights), dtype=np.bool_) if setting.annotated is None else setting.annotated
    if rules.outside == "left out":
        there = there & (setting.ignored | ~outside)
    if rules.ignored_by == "nothing":
        there = there & ~(setting.ignored | outside)
    return setting.ignored | outside, there


def _states(
    pairs: Pairs, part: Booleans, ignored: Booleans, setting: Setting, pedestrians: int
) -> npt.NDArray[np.int8]:
    rules = setting.rules
    if rules.matching == "best only":
        # Only each detection's best ground truth that counts, whatever its IoU rank among free ones.
        counted = ~ignored[pairs.ground_truth]
        first = np.ones(len(counted), dtype=np.bool_)
        of_counted = np.flatnonzero(counted)
        first[of_counted] = np.diff(pairs.detection[of_counted], prepend=-1) != 0
        kept = np.flatnonzero(~counted | first)
        pairs = Pairs(pairs.detection[kept], pairs.ground_truth[kept], pairs.iou[kept], pairs.cover[kept])
    state, _ = assign_pairs(pairs, part, ignored, setting.iou, threshold_included=rules.included)
    if rules.doubles == "ignored":
        on_pedestrian = pairs.detection[~ignored[pairs.ground_truth] & (pairs.iou >= setting.iou)]
        double = np.zeros(len(state), dtype=np.bool_)
        double[on_pedestrian] = True
        state[double & (state == FALSE_POSITIVE)] = IGNORED
    return state


def _shifted_rows(pairs: Pairs, ids: Integers, files: Integers, part: Booleans) -> Pairs:
    """Give detections each other's overlaps, as where rows of overlaps are found by distance in the file.

    The public script removes detections by height and then takes the row of overlaps of each one that is left by how
    far it stands, in the file, behind the first that is left. Where an image's surest detection was removed, every
    other gets the overlaps of one before it. ids (K,), files (K,) places in the file, part (K,) which are left; all in
    order of score.
    """
    in_image = _place_in_image(ids)
    left = np.flatnonzero(part)
    _, first, inverse = np.unique(ids[left], return_index=True, return_inverse=True)
    row = files[left] - files[left[first]][inverse]  # of the image's overlaps, which stand in order of score
    counts = np.bincount(np.unique(ids, return_inverse=True)[1])
    size = counts[np.searchsorted(np.unique(ids), ids[left])]
    row = np.where(row < 0, row + size, row)  # a negative row counts from the end
    valid = (row >= 0) & (row < size)
    row = np.where(valid, row, in_image[left])
    # The detection of this image that stands at that place.
    by_place = np.lexsort((in_image, ids))
    start = np.searchsorted(ids[by_place], ids[left], "left")
    source = by_place[start + row]
    begin = np.searchsorted(pairs.detection, source, "left")
    count = np.searchsorted(pairs.detection, source, "right") - begin
    taken = np.repeat(begin, count) + np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
    return Pairs(np.repeat(left, count), pairs.ground_truth[taken], pairs.iou[taken], pairs.cover[taken])


def _figure(state: npt.NDArray[np.int8], pedestrians: int, setting: Setting) -> float:
    rules = setting.rules
    right = state[state != IGNORED] == TRUE_POSITIVE
    found, wrong = np.cumsum(right), np.cumsum(~right)
    x = wrong / setting.images
    with np.errstate(all="ignore"):
        precision = found / (found + wrong)
    if rules.axis == "one minus precision":
        x = 1 - precision
    y = 1 - (found / pedestrians if rules.missed == "recall" else precision)
    if not len(y):
        return 100.0
    points = np.array(rules.points)
    if rules.reading == "end":
        rates = y[-1:]
    elif rules.reading == "first above":
        rates = y[np.minimum(np.searchsorted(x, points, side="left"), len(y) - 1)]
    elif rules.reading == "linear":
        rates = np.interp(points, np.append(0, x), np.append(1, y))
    elif rules.axis == "fppi":
        place = np.searchsorted(x, points, side="right") - 1
        rates = np.where(place >= 0, y[place], y[-1] if rules.reading == "wrapped" else 1.0)
    else:  # an axis that goes up and down: the last of all points at or below
        below = [np.flatnonzero(x <= point) for point in points.tolist()]
        rates = np.array([y[where[-1]] if len(where) else 1.0 for where in below])
    if rules.mean == "arithmetic":
        return 100 * float(rates.mean())
    return 100 * math.exp(math.fsum(math.log(max(1e-10, rate)) for rate in rates.tolist()) / len(rates))
