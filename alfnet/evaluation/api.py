"""`alfnet.evaluate`: miss rates from Python, for files, COCO dictionaries and arrays."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.compare import FPPI, compare_detections
from alfnet.evaluation.comparison import Comparison
from alfnet.evaluation.evaluate import evaluate_columns, read_truth
from alfnet.evaluation.protocol import Protocol, find_protocol
from alfnet.evaluation.result import Evaluation
from alfnet.evaluation.subsets import Subset, named_subsets, parse_subset, read_subsets
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import ground_truth_of
from alfnet.reading.records import Floats, is_plain, plain, shorten
from alfnet.reading.results_file import Detections, detections_of_records, detections_of_rows, read_detections

GroundTruthLike = str | os.PathLike[str] | Mapping[str, Any] | np.ndarray | GroundTruth
DetectionsLike = str | os.PathLike[str] | Sequence[Mapping[str, Any]] | np.ndarray | Detections
SubsetsLike = str | os.PathLike[str] | Subset | Sequence[str | Subset]
Numbers = float | Sequence[float] | np.ndarray


def evaluate(
    ground_truth: GroundTruthLike,
    detections: DetectionsLike,
    *,
    iou: Numbers = (0.5, 0.75),
    protocol: str | Protocol | None = None,
    subsets: SubsetsLike | None = None,
    images: Numbers | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Compute log-average miss rates (MR^-2) of anybody's detections.

        result = alfnet.evaluate("val_gt.json", "detections.json")
        print(result)                            # the table
        result.miss_rate["reasonable"]           # percent, at the first IoU; ["reasonable", 0.75] at another
        result.to_frame(), result.plot()         # with alfnet[notebook]
        result.errors().counts()                 # what went wrong, by kind
        print(result.explain(12.19))             # what gives a figure that somebody got
        result.write_page("errors.html", "images")

    Args:
        ground_truth: a file of any kind that `alfnet evaluate` reads; a dictionary in COCO's layout; an array (G, 5 to 7)
            of image id, x, y, width, height, then visible ratio (1 where there is no such column) and ignore (0); or a
            `GroundTruth`.
        detections: a file; a list of COCO results; an array (D, 6) of image id, x, y, width, height, score; or
            `Detections`. Boxes are in pixels of the full image.
        iou: one IoU threshold or several.
        protocol: "citypersons", "caltech", "crowdhuman", ... (`alfnet.evaluation.protocol`); by default the one that
            belongs to the ground truth's format.
        subsets: the name of a published set, a YAML or JSON file, or one or several subsets like
            "R+HO=height:50-,visible:0.2-"; a list may hold names of sets, too.
        bootstrap: so many resamples of the images (1000) give each figure a 95 % interval, in `.intervals`; `seed` theirs.
        images: with arrays: the number of images (ids 1, 2, ...), or all their ids. Images without pedestrians count.

    Raises:
        AlfnetError: what was given is certainly wrong; what merely looks so is in the result's `warnings`.
    """
    truth, rules = _ground_truth(ground_truth, images, protocol)
    found = _detections(detections, truth)
    name = Path(detections) if isinstance(detections, (str, os.PathLike)) else Path("detections")
    return evaluate_columns(
        truth, found, _thresholds(iou), rules, subsets=_subsets(subsets), name=name, bootstrap=bootstrap, seed=seed
    )


def compare(
    ground_truth: GroundTruthLike,
    first: DetectionsLike,
    second: DetectionsLike,
    *,
    iou: Numbers = (0.5, 0.75),
    protocol: str | Protocol | None = None,
    subsets: SubsetsLike | None = None,
    more_subsets: SubsetsLike | None = None,
    detection_width: str | None = None,
    images: Numbers | None = None,
    names: tuple[str, str] = ("A", "B"),
    fppi: float = FPPI,
    resamples: int = 1000,
    seed: int = 0,
) -> Comparison:
    """Compare two sets of detections: miss rates, what their difference is worth, and whom one alone finds.

        result = alfnet.compare("val_gt.json", "mine.json", "theirs.json")
        print(result)
        result.differences["iou_0.50"]["reasonable"].interval
        [found.image for found in result.of("A")]   # whom A alone finds

    Arguments as those of `evaluate`; fppi, resamples and seed as those of `alfnet.evaluation.compare`. Whom one alone finds
    is told of the first subset: of `more_subsets`, which go before `subsets` (or the protocol's), where they are given.
    detection_width: instead of the protocol's, "given", or "0.41h" as Caltech's toolbox of 2014 sets it. Raises
    AlfnetError for what is certainly wrong; what merely looks so is in the result's `warnings`.
    """
    more = _subsets(more_subsets) or ()
    chosen = _subsets(subsets)
    aspect = None if detection_width is None else _aspect(detection_width)  # before anything is read
    truth, rules = _ground_truth(ground_truth, images, protocol)
    if detection_width is not None:
        rules = replace(rules, detection_aspect=aspect)
    return compare_detections(
        truth,
        _detections(first, truth),
        _detections(second, truth),
        names=names,
        iou_thresholds=_thresholds(iou),
        subsets=[*more, *(rules.subsets if chosen is None else chosen)],
        protocol=rules,
        fppi=float(fppi),
        resamples=resamples,
        seed=seed,
    )


def _aspect(width: str) -> float | None:
    known = {"given": None, "0.41h": 0.41}
    text = str(width).replace(" ", "")
    if text not in known:
        raise AlfnetError(f"detection width {shorten(width)}: expected given or 0.41h")
    return known[text]


def _numbers(given: Any, what: str, expected: str) -> Floats:
    try:
        return np.asarray(given, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise AlfnetError(f"{what}: {shorten(given)} was found; expected {expected}") from None


def _thresholds(iou: Numbers) -> list[float]:
    return _numbers(iou, "iou", "one IoU threshold or several, such as 0.5").ravel().tolist()


def _subsets(subsets: SubsetsLike | None) -> Sequence[Subset] | None:
    if subsets is None:
        return None
    if isinstance(subsets, str) and "=" in subsets:
        return [parse_subset(subsets)]
    if isinstance(subsets, (str, os.PathLike)):
        return read_subsets(subsets)
    return named_subsets(subsets if isinstance(subsets, Iterable) else [subsets])


def _image_ids(images: Numbers) -> list[int]:
    """The ids that `images` says: 1, 2, ... to a number, or those of a list."""
    numbers = _numbers(images, "images", "their number, or all their ids")
    if numbers.ndim > 1 or not (np.abs(numbers) < 2**53).all() or (numbers != np.floor(numbers)).any():
        raise AlfnetError(f"images: {shorten(images)} was found; expected their number, or all their ids")
    return list(range(1, int(numbers) + 1)) if numbers.ndim == 0 else numbers.astype(np.int64).tolist()


def _ground_truth(
    given: GroundTruthLike, images: Numbers | None, protocol: str | Protocol | None
) -> tuple[GroundTruth, Protocol]:
    """The ground truth, and the protocol that was asked for or that belongs to it."""
    if images is not None and not isinstance(given, np.ndarray | list | tuple):
        raise AlfnetError("images: belongs to a ground truth that is an array; a file, and a dictionary, list theirs")
    if isinstance(given, (str, os.PathLike)):
        return read_truth(Path(given), protocol)
    truth = given if isinstance(given, GroundTruth) else _ground_truth_in_memory(given, images)
    return truth, protocol if isinstance(protocol, Protocol) else find_protocol(protocol, truth.annotations)


def _ground_truth_in_memory(given: Mapping[str, Any] | np.ndarray, images: Numbers | None) -> GroundTruth:
    path = Path("ground truth")
    if isinstance(given, list | tuple) and any(isinstance(one, Mapping) for one in given):
        return ground_truth_of(path, list(given))  # is refused, as in a file
    if isinstance(given, Mapping):
        try:
            if all(is_plain(given.get(key)) for key in ("images", "annotations")):
                return ground_truth_of(path, dict(given))
        except AlfnetError:  # of numpy's numbers inside of a box, perhaps
            pass
        return ground_truth_of(path, plain(given))
    rows = _numbers(given, "ground truth", "a file, a dictionary in COCO's layout or an array (G, 5 to 7)")
    if rows.ndim != 2 or not 5 <= rows.shape[1] <= 7:
        raise AlfnetError(
            f"ground truth: an array of shape {rows.shape} was found; expected (G, 5 to 7): image id, x, y, width, height, "
            "visible ratio, ignore"
        )
    if images is None:
        raise AlfnetError("ground truth: with an array say how many images there are: images=500, or their ids")
    visible = rows[:, 5] if rows.shape[1] > 5 else np.ones(len(rows))
    ignored = rows[:, 6] if rows.shape[1] > 6 else np.zeros(len(rows))
    annotations = [
        {
            "image_id": image_id, "category_id": 1, "bbox": box, "height": box[3], "vis_ratio": ratio, "ignore": ignore
        }
        for image_id, box, ratio, ignore in zip(
            rows[:, 0].tolist(), rows[:, 1:5].tolist(), visible.tolist(), ignored.tolist(), strict=True
        )
    ]  # fmt: skip
    return ground_truth_of(
        Path("ground truth"), {"images": [{"id": i} for i in _image_ids(images)], "annotations": annotations}
    )


def _detections(given: DetectionsLike, truth: GroundTruth) -> Detections:
    if isinstance(given, Detections):
        return given
    if isinstance(given, (str, os.PathLike)):
        return read_detections(Path(given), truth)
    if isinstance(given, np.ndarray):
        rows = _numbers(given, "detections", "numbers (D, 6): image id, x, y, width, height, score")
        if rows.ndim != 2 or rows.shape[1] != 6:
            raise AlfnetError(
                f"detections: an array of shape {rows.shape} was found; expected (D, 6): image id, x, y, width, height, score"
            )
        return detections_of_rows(Path("detections"), rows, truth)
    return detections_of_records(Path("detections"), list(given) if isinstance(given, Sequence) else given, truth)
