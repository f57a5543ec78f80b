"""What people do differently from the protocol, and which of it gives a figure that somebody got.

`alfnet evaluate ... --got 12.19` tries every deviation here on the given files, alone and then in pairs. The same list
makes the table of `docs/miss-rate.md`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np

from alfnet.evaluation.other_rules import Overlaps, Setting, miss_rate_by
from alfnet.evaluation.pairs import overlapping_pairs
from alfnet.evaluation.subsets import EVERYTHING, SUBSETS, Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats
from alfnet.reading.results_file import Detections

Change = Callable[[Setting], Setting | None]


@dataclass(frozen=True)
class Deviation:
    """One thing done differently."""

    name: str
    sentence: str
    """What was done: "the boxes were cut to integers"."""
    remedy: str
    """What to change to get the protocol's figure."""
    group: str
    """Only one of a group at a time makes sense."""
    change: Change
    """Returns the setting with the deviation, or None where it cannot be or changes nothing."""
    rarity: int = 2
    """1: seen often in public; 2: plausible; 3: rare. Of explanations that fit equally well the commonest goes first."""
    evaluator: str = ""
    """The public program that does so, for the table of `docs/miss-rate.md`."""
    source: str = ""
    """Where it can be seen."""
    subset: str = "reasonable"
    """The subset whose figure the table shows."""


# -- changes --------------------------------------------------------------------------------------------------------


def _boxes(change: Callable[[Floats], Floats]) -> Change:
    def changed(setting: Setting) -> Setting | None:
        boxes = change(setting.boxes)
        return None if np.array_equal(boxes, setting.boxes) else replace(setting, boxes=boxes)

    return changed


def _corners(change: Callable[[Floats], Floats]) -> Callable[[Floats], Floats]:
    def changed(boxes: Floats) -> Floats:
        near, far = change(boxes[:, :2]), change(boxes[:, :2] + boxes[:, 2:])
        return np.concatenate([near, far - near], axis=1)

    return changed


def _scores(change: Callable[[Floats], Floats]) -> Change:
    def changed(setting: Setting) -> Setting | None:
        scores = change(setting.scores)
        return None if np.array_equal(scores, setting.scores) else replace(setting, scores=scores)

    return changed


def _rounded_to(decimals: int) -> Callable[[Floats], Floats]:
    return lambda scores: np.round(scores, decimals)


def _cut_to(decimals: int) -> Callable[[Floats], Floats]:
    return lambda scores: np.floor(scores * 10**decimals) / 10**decimals


def _added(*numbers: float) -> Callable[[Floats], Floats]:
    return lambda boxes: boxes + np.array(numbers)


def _from_score(least: float) -> Change:
    def changed(setting: Setting) -> Setting | None:
        kept = setting.scores >= least
        return None if kept.all() or not kept.any() else setting.keeping(kept)

    return changed


def _rules(**changes: object) -> Change:
    return lambda setting: setting.with_rules(**changes)


def _bounds(height: tuple[float, float] | None = None, visible: tuple[float, float] | None = None) -> Change:
    def changed(setting: Setting) -> Setting | None:
        subset = replace(
            setting.subset,
            height=height or setting.subset.height,
            visible_ratio=visible or setting.subset.visible_ratio,
        )
        return None if subset == setting.subset else replace(setting, subset=subset)

    return changed


def _as_subset(subset: Subset) -> Change:
    return _bounds(subset.height, subset.visible_ratio)


def _moved_ids(by: int) -> Change:
    def changed(setting: Setting) -> Setting:
        ids = setting.ids + by
        return replace(setting, ids=ids).keeping(np.isin(ids, setting.image_ids))

    return changed


def _images(choose: Callable[[Setting], np.ndarray]) -> Change:
    def changed(setting: Setting) -> Setting | None:
        chosen = choose(setting)
        return None if chosen.all() or not chosen.any() else setting.only_images(chosen)

    return changed


def _with_detections(setting: Setting) -> np.ndarray:
    ids = setting.ids if setting.kept is None else setting.ids[setting.kept]
    return np.isin(setting.image_ids, ids)


def _with_pedestrians(setting: Setting) -> np.ndarray:
    return np.isin(setting.image_ids, setting.truth_ids[~setting.ignored])


def _part(first: int, end: float | None) -> Callable[[Setting], np.ndarray]:
    """Choose the images from a place to another one; a fraction is one of all."""

    def chosen(setting: Setting) -> np.ndarray:
        total = len(setting.image_ids)
        there = np.zeros(total, dtype=np.bool_)
        there[first : int(end * total) if isinstance(end, float) else end] = True
        return there

    return chosen


def _divided_by_images_with_detections(setting: Setting) -> Setting | None:
    images = int(_with_detections(setting).sum())
    return None if images in (0, setting.images) else replace(setting, images=images)


def _named(pattern: str, *, inside: bool) -> Callable[[Setting], np.ndarray]:
    def chosen(setting: Setting) -> np.ndarray:
        there = np.array([bool(re.match(pattern, name.rsplit("/", 1)[-1])) for name in setting.names], dtype=np.bool_)
        if len(there) != len(setting.image_ids):
            return np.ones(len(setting.image_ids), dtype=np.bool_)
        return there if inside else ~there

    return chosen


def _clipped(setting: Setting) -> Setting | None:
    size = setting.sizes(setting.ids)
    if not np.isfinite(size).all():
        return None
    near = np.clip(setting.boxes[:, :2], 0, size)
    far = np.clip(setting.boxes[:, :2] + setting.boxes[:, 2:], 0, size)
    truth_size = setting.sizes(setting.truth_ids)
    truth_near = np.clip(setting.truth_boxes[:, :2], 0, truth_size)
    truth_far = np.clip(setting.truth_boxes[:, :2] + setting.truth_boxes[:, 2:], 0, truth_size)
    return replace(
        setting,
        boxes=np.concatenate([near, far - near], axis=1),
        truth_boxes=np.concatenate([truth_near, truth_far - truth_near], axis=1),
    )


def _aspect(setting: Setting) -> Setting:
    boxes = setting.boxes
    width = 0.41 * boxes[:, 3]
    return replace(
        setting,
        boxes=np.stack([boxes[:, 0] + boxes[:, 2] / 2 - width / 2, boxes[:, 1], width, boxes[:, 3]], axis=1),
    )


def _suppressed(threshold: float) -> Change:
    """Greedy non-maximum suppression on the given detections, by plain IoU."""

    def changed(setting: Setting) -> Setting | None:
        order = np.lexsort((setting.ids, -setting.scores))
        pairs = overlapping_pairs(
            setting.ids[order], setting.boxes[order], setting.ids[order], setting.boxes[order], threshold
        )
        later = np.flatnonzero((pairs.detection < pairs.ground_truth) & (pairs.iou > threshold))
        gone = np.zeros(len(order), dtype=np.bool_)
        for better, worse in zip(pairs.detection[later].tolist(), pairs.ground_truth[later].tolist(), strict=True):
            if not gone[better]:
                gone[worse] = True
        if not gone.any():
            return None
        kept = np.ones(len(order), dtype=np.bool_)
        kept[order[gone]] = False
        return setting.keeping(kept)

    return changed


def _crowds_for_ignored(setting: Setting) -> Setting | None:
    if setting.crowds is None or np.array_equal(setting.crowds, setting.ignored):
        return None
    return replace(setting, ignored=setting.crowds)


def _iou(threshold: float) -> Change:
    return lambda setting: None if setting.iou == threshold else replace(setting, iou=threshold)


def _together(*changes: Change) -> Change:
    def changed(setting: Setting) -> Setting | None:
        result: Setting | None = setting
        for change in changes:
            result = change(result) or result  # type: ignore[arg-type]
        return result

    return changed


# -- the list -------------------------------------------------------------------------------------------------------

_WHOLE = "write the boxes with the fractions that the detector gives"
_ALL_SCORES = "hand in all detections down to a low score (0.01 to 0.1)"
_THIS = "evaluate by the protocol (this command does)"

_CARTUCHO = _together(
    lambda setting: replace(setting, subset=Subset("everybody", EVERYTHING, EVERYTHING)),
    _rules(margin=None, matching="best only", ignored_by="nothing", points=tuple(10 ** (-2 + k / 4) for k in range(9))),
)


def deviations() -> tuple[Deviation, ...]:
    """Return all known deviations, the commonest first."""
    found = [*_evaluators(), *_inputs(), *_choices()]
    names = [deviation.name for deviation in found]
    if len(set(names)) != len(names):
        raise ValueError("two deviations have one name")
    return tuple(sorted(found, key=lambda deviation: deviation.rarity))


def _evaluators() -> Iterator[Deviation]:
    """Public programs, for the table."""
    yield Deviation(
        "boxes cut to integers",
        "the boxes were cut to integers (x, y, width and height, towards zero)",
        _WHOLE,
        "boxes",
        _boxes(np.trunc),
        1,
        "converters that write integers (gittigxuy/data_process; asked about in liuwei16/ALFNet#18)",
        "https://github.com/liuwei16/ALFNet/issues/18",
    )
    for subset in ("small", "medium", "large"):
        yield Deviation(
            f"the 2018 script's rows ({subset})",
            "overlaps were taken from the wrong rows, as the public Python script of 2018 does where the height range "
            "leaves out an image's surest detection",
            _THIS + "; no figure of that script for a subset with a height range is right",
            "matching",
            _rules(matching="shifted rows"),
            1,
            f"the public Python script of 2018 and its copies, '{subset}'",
            "eval_MR_multisetup.py; some forks (TinyBenchmark) have mended it",
            subset,
        )
    yield Deviation(
        "Pedestron's heavy",
        "'heavy' was 0.2 to 0.65 visible (CityPersons' \"occ=heavy\", here 'occluded'), not 0 to 0.65",
        "say which bounds a figure has; the CSP and ALFNet papers' 'heavy' begins at 0",
        "subset",
        _bounds((50, np.inf), (0.2, 0.65)),
        1,
        "Pedestron, 'heavy' (visible 0.2 to 0.65)",
        "https://github.com/hasanirtiza/Pedestron",
        "heavy",
    )
    yield Deviation(
        "all from 50 px",
        "'all' began at 50 px instead of 20",
        "'all' is from 20 px and 0.2 visible on",
        "subset",
        _bounds((50, np.inf), (0.2, np.inf)),
        1,
        "'all' from 50 px (All-50, R+HO)",
        "copies of eval_MR_multisetup.py with a setting 'All-50'; Zhang et al., 2018 (R+HO)",
        "all",
    )
    yield Deviation(
        "mmdetection's CrowdHuman metric",
        "the curve was read at the first point at or above each FPPI, IoU had to exceed the threshold and boxes were cut "
        "off at the image's edges, as mmdetection's CrowdHumanMetric and the CrowdHuman toolkit do",
        _THIS + "; that metric is for CrowdHuman",
        "reading",
        _together(
            _clipped, _rules(reading="first above", included=False, later_first=False, margin=None, per_image=None)
        ),
        1,
        "mmdetection's CrowdHumanMetric and the CrowdHuman toolkit, given Reasonable's ignore flags",
        "mmdet/evaluation/metrics/crowdhuman_metric.py; open-mmlab/mmdetection#10935",
    )
    yield Deviation(
        "CrowdHuman's metric on everybody",
        "mmdetection's CrowdHumanMetric was used, with pedestrians of all heights and visibilities",
        _THIS + "; that metric knows no Reasonable subset",
        "reading",
        _together(
            lambda setting: replace(setting, subset=Subset("everybody", EVERYTHING, EVERYTHING)),
            _clipped,
            _rules(reading="first above", included=False, later_first=False, margin=None, per_image=None),
        ),
        1,
        "the same with the file's ignore flags alone: every pedestrian counts",
        "mmdet/evaluation/metrics/crowdhuman_metric.py",
    )
    yield Deviation(
        "iscrowd for ignore",
        "`iscrowd` took the place of `ignore`, as in pycocotools: riders, sitting people and ignore regions count as "
        "pedestrians",
        "ignore what has ignore 1; in COCOeval, set iscrowd to ignore before loading",
        "annotations",
        _crowds_for_ignored,
        1,
        "pycocotools-based code: gt['ignore'] is overwritten by iscrowd",
        "pycocotools/cocoeval.py, _prepare",
    )
    yield Deviation(
        "mAP tools, current",
        "the log-average miss rate of Cartucho/mAP was used: one minus precision in place of the miss rate, nobody "
        "ignored, and no subset",
        _THIS,
        "matching",
        _together(_CARTUCHO, _rules(missed="precision")),
        1,
        "Cartucho/mAP: 1 - precision over FPPI",
        "main.py, log_average_miss_rate, of https://github.com/Cartucho/mAP",
    )
    yield Deviation(
        "mAP tools, older",
        "the log-average miss rate of older Cartucho/mAP and the many YOLO repositories that copied it was used: one "
        "minus precision in place of FPPI, nobody ignored, and no subset",
        _THIS,
        "matching",
        _together(_CARTUCHO, _rules(axis="one minus precision")),
        1,
        "older Cartucho/mAP, in many YOLO repositories: 1 - precision instead of FPPI",
        "utils_map.py, log_average_miss_rate",
    )
    yield Deviation(
        "MATLAB's function",
        "MATLAB's evaluateDetectionMissRate (or EAVISE's brambox without ignore flags) was used: nobody ignored, and no subset",
        _THIS,
        "matching",
        _CARTUCHO,
        2,
        "MATLAB's evaluateDetectionMissRate: nobody is ignored, and no subset",
        "Computer Vision Toolbox, detectorMissRateFalsePositivesPerImage.m",
    )
    yield Deviation(
        "interpolated curve",
        "the curve was interpolated linearly between its points, as EAVISE's brambox does",
        _THIS,
        "reading",
        _rules(reading="linear"),
        2,
        "only the reading of the curve in brambox (EAVISE): linear interpolation",
        "brambox/boxes/statistics/mr_fppi.py, lamr",
    )
    yield Deviation(
        "first point at or above",
        "the curve was read at the first point at or above each FPPI instead of the last at or below",
        _THIS,
        "reading",
        _rules(reading="first above"),
        2,
        "only that rule of the CrowdHuman toolkit: the first point at or above",
        "CrowdHuman toolkit, eval_MR",
    )
    yield Deviation(
        "MR^-4",
        "the nine FPPI points lay between 10^-4 and 1 (MR^-4)",
        "MR^-2 has its points between 10^-2 and 1",
        "points",
        _rules(points=(0.0001, 0.0003, 0.001, 0.0032, 0.01, 0.0316, 0.1, 0.3162, 1.0)),
        2,
        "MR^-4 (the option CALTECH_-4 of that metric; Zhang et al., CVPR 2016)",
        "mmdet/evaluation/metrics/crowdhuman_metric.py",
    )
    yield Deviation(
        "wrap-around",
        "where no detection lies at or below an FPPI point, the final recall was taken, as the public script does (an "
        "index of -1)",
        "recall there is 0; it concerns sets of fewer than 100 images",
        "reading",
        _rules(reading="wrapped"),
        1,
        "the public Python script on fewer than 100 images: index -1 wraps around",
        "eval_MR_multisetup.py",
    )


def _inputs() -> Iterator[Deviation]:
    """What can happen to detections and ground truth on their way."""
    boxes: tuple[tuple[str, str, Callable[[Floats], Floats], int], ...] = (
        ("boxes rounded", "the boxes were rounded to integers", np.round, 1),
        ("corners cut", "the corners x1, y1, x2, y2 were cut to integers", _corners(np.trunc), 1),
        ("corners rounded", "the corners x1, y1, x2, y2 were rounded to integers", _corners(np.round), 2),
    )
    for name, sentence, change, rarity in boxes:
        yield Deviation(name, sentence, _WHOLE, "boxes", _boxes(change), rarity)
    for sign, word in ((1.0, "larger"), (-1.0, "smaller")):
        yield Deviation(
            f"widths {sign:+.0f}",
            f"widths and heights of the detections were one pixel {word} (x2 - x1 {'+' if sign > 0 else '-'} 1)",
            "width is x2 - x1, height is y2 - y1",
            "boxes",
            _boxes(_added(0, 0, sign, sign)),
            1 if sign > 0 else 2,
        )
        yield Deviation(
            f"positions {sign:+.0f}",
            f"x and y of the detections were one pixel {word} (counted from {1 if sign > 0 else -1})",
            "the first pixel has x 0 and y 0",
            "boxes",
            _boxes(_added(sign, sign, 0, 0)),
        )
    yield Deviation(
        "widths 0.41 h", "every detection got the width 0.41 times its height, as the Caltech toolbox does",
        "leave the detector's widths", "boxes", _aspect,
    )  # fmt: skip
    yield Deviation(
        "boxes within the image",
        "boxes were cut off at the image's edges",
        "leave boxes as they are",
        "boxes",
        _clipped,
    )
    for decimals in (3, 2, 1):
        word = {1: "one decimal", 2: "two decimals", 3: "three decimals"}[decimals]
        ways: tuple[tuple[str, Callable[[Floats], Floats]], ...] = (
            ("rounded", _rounded_to(decimals)),
            ("cut", _cut_to(decimals)),
        )
        for verb, round_to in ways:
            yield Deviation(
                f"scores {verb} to {decimals}", f"scores were {verb} to {word}, so that many are equal",
                "write scores with four decimals or more", "scores", _scores(round_to), 2 if decimals == 2 else 3,
            )  # fmt: skip
    for least in (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9):
        yield Deviation(
            f"scores from {least:g}", f"detections with scores below {least:g} were left out", _ALL_SCORES, "cut",
            _from_score(least), 1 if least in (0.3, 0.5) else 2,
        )  # fmt: skip
    for most in (5, 10, 20, 30, 50, 100):
        yield Deviation(
            f"best {most}", f"only the {most} best detections of an image counted", "hand in up to 1000 an image",
            "cap", _rules(per_image=most), 1 if most == 100 else 2,
        )  # fmt: skip
    for threshold in (0.3, 0.4, 0.45, 0.5):
        yield Deviation(
            f"suppression {threshold:g}", f"non-maximum suppression at IoU {threshold:g} was applied once more",
            "evaluate what the detector gives", "suppression", _suppressed(threshold),
        )  # fmt: skip
    for by in (1, -1):
        yield Deviation(
            f"image numbers {by:+d}", f"image numbers were {'one too high' if by > 0 else 'one too low (0-based)'}",
            "number the images as the ground truth does", "ids", _moved_ids(by),
        )  # fmt: skip
    parts: tuple[tuple[str, str, Callable[[Setting], np.ndarray]], ...] = (
        ("without empty images", "images without detections were left out", _with_detections),
        ("without unpeopled images", "images without pedestrians were left out", _with_pedestrians),
        ("without the last image", "the last image was left out", _part(0, -1)),
        ("without the first image", "the first image was left out", _part(1, None)),
        ("first half", "only the first half of the images was evaluated", _part(0, 0.5)),
    )
    for name, sentence, choose in parts:
        yield Deviation(name, sentence, "evaluate all images of the ground truth", "images", _images(choose))
    for city in ("frankfurt", "lindau", "munster"):
        yield Deviation(
            f"only {city}", f"only the images of {city} were evaluated", "evaluate all three cities of val", "images",
            _images(_named(city, inside=True)),
        )  # fmt: skip
        yield Deviation(
            f"without {city}", f"the images of {city} were left out", "evaluate all three cities of val", "images",
            _images(_named(city, inside=False)),
        )  # fmt: skip
    yield Deviation(
        "fewer images counted",
        "false positives were divided by the number of images with detections instead of all",
        "divide by all images", "divisor", _divided_by_images_with_detections,
    )  # fmt: skip


def _choices() -> Iterator[Deviation]:
    """Rules and bounds chosen differently."""
    for subset in (*SUBSETS, Subset("R+HO", (50, np.inf), (0.2, np.inf))):
        if subset.name in ("occluded", "R+HO"):  # stand above as Pedestron's heavy and All-50
            continue
        yield Deviation(
            f"subset {subset.name}", f"it is the figure of the subset '{subset.name}' ({_ranges(subset)})",
            "compare figures of one subset", "subset", _as_subset(subset), 1,
        )  # fmt: skip
    for height in (0, 20, 30, 40, 55, 60, 70, 80):
        yield Deviation(
            f"from {height} px", f"pedestrians from {height} px on counted", "use the subset's heights", "subset",
            _bounds(height=(height, np.inf)), 2 if height in (20, 40, 55, 60) else 3,
        )  # fmt: skip
    for visible in (0.0, 0.2, 0.3, 0.5, 0.6, 0.7, 0.75, 0.8):
        yield Deviation(
            f"visible from {visible:g}", f"pedestrians counted from {visible:g} visible on",
            "use the subset's visible range", "subset", _bounds(visible=(visible, np.inf)),
            2 if visible in (0.0, 0.2, 0.5) else 3,
        )  # fmt: skip
    yield Deviation(
        "everybody", "all pedestrians counted, whatever their height and visibility", "evaluate the subset", "subset",
        _bounds(EVERYTHING, EVERYTHING), 1,
    )  # fmt: skip
    yield Deviation(
        "exclusive bounds", "a pedestrian exactly at a bound of the subset (50 px, 0.65) did not belong to it",
        "bounds are inclusive", "bounds", _rules(bounds="exclusive"), 2,
    )  # fmt: skip
    yield Deviation(
        "others left out", "pedestrians outside the subset were left out instead of ignored, so that detections on them "
        "were false", "ignore them: a detection on them counts neither way", "annotations", _rules(outside="left out"), 1,
    )  # fmt: skip
    yield Deviation(
        "nobody ignored", "ignore regions and pedestrians outside the subset were left out, so that detections on them "
        "were false", "keep them in the ground truth with ignore 1", "annotations", _rules(ignored_by="nothing"), 1,
    )  # fmt: skip
    yield Deviation(
        "ignored by IoU", "a detection was ignored by its IoU with an ignored annotation, not by its covered part",
        "divide the intersection by the detection's area", "annotations", _rules(ignored_by="IoU"), 1,
    )  # fmt: skip
    for margin, what in ((1.0, "only detections within the subset's heights took part"), (1.5, "detections up to 1.5 "
        "times outside the subset's heights took part"), (None, "detections of all heights took part")):  # fmt: skip
        yield Deviation(
            f"margin {margin}", what, "leave out detections below 50 / 1.25 px (and above the upper bound x 1.25)",
            "margin", _rules(margin=margin), 2 if margin != 1.5 else 3,
        )  # fmt: skip
    for threshold in (0.3, 0.4, 0.45, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.9):
        yield Deviation(
            f"IoU {threshold:g}", f"a match was an IoU from {threshold:g} on", "use the stated threshold", "iou",
            _iou(threshold), 2 if threshold in (0.3, 0.4, 0.6, 0.7, 0.75) else 3,
        )  # fmt: skip
    yield Deviation("IoU 0.5 instead", "a match was an IoU from 0.5 on", "use the stated threshold", "iou", _iou(0.5))
    yield Deviation(
        "+1 overlaps", "areas and overlaps were computed with width + 1 and height + 1", "use width x height", "plus one",
        _rules(plus_one=True), 1,
    )  # fmt: skip
    yield Deviation(
        "IoU above", "an IoU equal to the threshold was no match", "IoU >= threshold", "included", _rules(included=False), 3,
    )  # fmt: skip
    yield Deviation(
        "VOC matching", "a detection whose best pedestrian was taken looked for no other, as in PASCAL VOC",
        "it takes the best pedestrian that is still free", "matching", _rules(matching="best only"), 2,
    )  # fmt: skip
    yield Deviation(
        "doubles forgiven", "further detections on a found pedestrian were not counted as false", "count them", "doubles",
        _rules(doubles="ignored"), 2,
    )  # fmt: skip
    for name, sentence, points in (
        ("at 0.1 FPPI", "it is the miss rate at 0.1 false positives per image alone", (0.1,)),
        ("at 1 FPPI", "it is the miss rate at 1 false positive per image alone", (1.0,)),
        ("at 0.01 FPPI", "it is the miss rate at 0.01 false positives per image alone", (0.01,)),
        ("even points", "the nine FPPI points were evenly spaced from 0.01 to 1", tuple(np.linspace(0.01, 1, 9).tolist())),
        ("a hundred points", "a hundred FPPI points were read", tuple(np.logspace(-2, 0, 100).tolist())),
        ("up to 0.1 FPPI", "the FPPI points ended at 0.1", (0.01, 0.0178, 0.0316, 0.0562, 0.1)),
    ):  # fmt: skip
        yield Deviation(name, sentence, "average over the nine points 10^-2 to 1", "points", _rules(points=points))
    yield Deviation(
        "arithmetic mean", "the miss rates were averaged plainly instead of their logarithms", "take the geometric mean",
        "mean", _rules(mean="arithmetic"),
    )  # fmt: skip
    yield Deviation(
        "final miss rate", "it is the share of pedestrians that no detection found (1 - recall)",
        "average over the nine points 10^-2 to 1", "points", _rules(reading="end"), 2,
    )  # fmt: skip


def _ranges(subset: Subset) -> str:
    parts = []
    for (low, high), unit in ((subset.height, " px"), (subset.visible_ratio, " visible")):
        if low > 0 or np.isfinite(high):
            parts.append(f"from {low:g}{unit}" if np.isinf(high) else f"{low:g} to {high:g}{unit}")
    return ", ".join(parts) or "everybody"


def figures_of_all(
    ground_truth: GroundTruth, detections: Detections, iou: float = 0.5
) -> Mapping[str, tuple[Deviation, float | None, float | None]]:
    """Return for every deviation of the table the protocol's figure of its subset and the deviation's."""
    overlaps = Overlaps(min(0.3, iou))
    subsets = {subset.name: subset for subset in SUBSETS}
    table = {}
    for deviation in deviations():
        if deviation.evaluator:
            setting = Setting.of(ground_truth, detections, subsets[deviation.subset], iou)
            changed = deviation.change(setting)
            table[deviation.name] = (
                deviation,
                miss_rate_by(setting, overlaps),
                None if changed is None else miss_rate_by(changed, overlaps),
            )
    return table
