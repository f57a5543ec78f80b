"""Evaluating files: what stands behind `alfnet evaluate` and the pipeline's stage."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.average_precision import average_precision
from alfnet.evaluation.bootstrap import Interval
from alfnet.evaluation.bootstrap import bootstrap as resampled
from alfnet.evaluation.curves import curve_rows, curves_csv
from alfnet.evaluation.error_kinds import error_kinds, near_boxes
from alfnet.evaluation.miss_rate import MissRates, evaluate, iou_key
from alfnet.evaluation.outcomes import all_outcomes
from alfnet.evaluation.printing import counted
from alfnet.evaluation.protocol import CITYPERSONS, Protocol, find_protocol
from alfnet.evaluation.result import Evaluation
from alfnet.evaluation.subsets import Subset, distinct, without_visibility, without_whole_ones
from alfnet.files import write_json, write_text
from alfnet.reading.diagnosis import explain_low_recall
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections
from alfnet.reading.traps import OFF_BY_A_LITTLE

_STEP = re.compile(r"^step([1-9][0-9]*)\.json$")


def read_truth(path: Path, protocol: str | Protocol | None) -> tuple[GroundTruth, Protocol]:
    """Read a ground truth by a protocol, given as such or by name; None takes the one that belongs to the file's format.

    Raises AlfnetError for an unknown name, before anything is read, and for a file that is certainly wrong.
    """
    rules = protocol if isinstance(protocol, Protocol) else find_protocol(protocol)
    truth = read_ground_truth(path, whole_numbers=rules.whole_numbers)
    return truth, protocol if isinstance(protocol, Protocol) else find_protocol(protocol, truth.annotations)


def with_sizes(truth: GroundTruth, found: Detections) -> GroundTruth:
    """Return the ground truth with image sizes that it lacks taken from the detections' file."""
    if found.image_sizes is None:
        return truth
    sizes = np.where(np.isnan(truth.image_sizes), found.image_sizes, truth.image_sizes)
    return replace(truth, image_sizes=sizes)


def usable_subsets(truth: GroundTruth, subsets: Iterable[Subset]) -> tuple[tuple[Subset, ...], str]:
    """Return what of `subsets` the ground truth can be evaluated on, and a sentence that names the others.

    Raises AlfnetError where two that differ have one name, and where there is none.
    """
    chosen = distinct(subsets)
    if not chosen:
        raise AlfnetError("no subset was given; leave subsets out to take the protocol's own")
    if len(truth.visible_ratios) and np.isnan(truth.visible_ratios).all():
        return without_visibility(chosen)
    return (chosen, "") if truth.annotations == "vbb" else without_whole_ones(chosen)


def unknown_sizes(truth: GroundTruth, protocol: Protocol) -> str:
    """A sentence where the protocol cuts boxes off at the images' edges and some images' sizes are not known, else ""."""
    unknown = np.isnan(truth.image_sizes).any(axis=1) if protocol.clipped else np.zeros(0, dtype=np.bool_)
    if not unknown.any():
        return ""
    return (
        f"the size of {counted(int(unknown.sum()), 'image')} is not known, so boxes are not cut off at the right and lower "
        "edges, as the benchmark's devkit does; give width and height in the .odgt"
    )


def evaluate_files(
    ground_truth: Path,
    detections: Path,
    *,
    iou: Sequence[float],
    out: Path | None = None,
    curves: Path | None = None,
    protocol: str | None = None,
    subsets: Sequence[Subset] | None = None,
    more_subsets: Sequence[Subset] = (),
    detection_aspect: float | str | None = "",
    bootstrap: int | None = None,
    seed: int = 0,
    errors: bool = False,
) -> Evaluation:
    """Evaluate a file of detections; write the results as JSON to `out` and the thinned curves as CSV to `curves`.

    protocol: a name of `alfnet.evaluation.protocol`; None takes the one that belongs to the ground truth's format.
    subsets: instead of the protocol's; `more_subsets` come on top. detection_aspect: instead of the protocol's (None:
    widths as given). bootstrap: so many resamples of the images give each figure an interval. errors: the kinds of
    errors go into `out`. Raises AlfnetError for input that is certainly wrong, before anything is written.
    """
    truth, rules = read_truth(ground_truth, protocol)
    found = read_detections(detections, truth)
    if not isinstance(detection_aspect, str):
        rules = replace(rules, detection_aspect=detection_aspect)
    evaluation = evaluate_columns(
        truth,
        found,
        iou,
        rules,
        subsets=subsets,
        more_subsets=more_subsets,
        name=Path(detections),
        bootstrap=bootstrap,
        seed=seed,
    )
    if out is not None:
        kinds = [evaluation.errors(iou=threshold) for threshold in sorted(set(iou))] if errors else []
        more = {"errors": [found.summary() | found.listing() for found in kinds]} if errors else {}
        write_json(out, evaluation.results | more, indent=1)
    if curves is not None:
        write_text(curves, curves_csv(curve_rows(evaluation.rates, evaluation.protocol)))
    return evaluation


def evaluate_columns(
    truth: GroundTruth,
    found: Detections,
    iou: Sequence[float],
    protocol: Protocol = CITYPERSONS,
    *,
    subsets: Sequence[Subset] | None = None,
    more_subsets: Sequence[Subset] = (),
    name: Path = Path("detections"),
    bootstrap: int | None = None,
    seed: int = 0,
) -> Evaluation:
    """Evaluate detections that are in memory; `name` stands for them in warnings. See `evaluate_files`."""
    truth = with_sizes(truth, found)
    chosen, remark = usable_subsets(truth, [*(protocol.subsets if subsets is None else subsets), *more_subsets])
    rates = evaluate(truth, found, iou, chosen, protocol)
    results: dict[str, Any] = dict(_rounded(rates))
    results["average_precision"] = _rounded_precision(truth, found)
    if protocol != CITYPERSONS:
        results["protocol"] = protocol.name
    if chosen != CITYPERSONS.subsets:
        results["subsets"] = {subset.name: subset.ranges() for subset in chosen}
    low_recall = _low_recall(name, truth, found, rates)
    said = [text for text in found.warnings if not low_recall or OFF_BY_A_LITTLE not in text]  # which says it better
    remarks = (remark, unknown_sizes(truth, protocol), *low_recall)
    warnings = tuple(filter(None, (*truth.warnings, *said, *remarks)))
    counts = (len(truth.image_ids), len(found.scores))
    intervals = None
    if bootstrap is not None:
        intervals = resampled(truth, found, iou, chosen, protocol, resamples=bootstrap, seed=seed)
        results["intervals"] = _intervals(intervals)
    return Evaluation(
        results, rates.pedestrians, *counts, warnings, rates, chosen, protocol, truth, found, intervals, name.name
    )


def evaluate_variant(
    ground_truth: Path,
    folder: Path,
    *,
    iou: Sequence[float],
    fold: int | None = None,
    protocol: str = "citypersons",
    subsets: Sequence[Subset] = CITYPERSONS.subsets,
) -> tuple[dict[str, Any], list[tuple[int, str, str, float, float]]]:
    """Evaluate all detections of a variant: step1.json, step2.json, ... and fusion/*.json in its folder.

    `fold`: on the images of this part of a cross-validation alone. `protocol`: the benchmark whose rules hold. `subsets`:
    of the pedestrians, Reasonable first. Returns results, {"steps": {"1": {"iou_0.50": {subset: percent or None}, ...,
    "AP", "AP50", "AP75"}, ...}, "fusion": {"C1B1": {"iou_0.50": {...}, ...}, ...}, "intervals": {"1": {"iou_0.50":
    {subset: {"low", "high", "standard_error"} or None}}, "C1B1": ..., ...}, "errors": {"1": {"iou_0.50": {kind:
    {"false_positives", "misses", "miss_rate_if_mended"}}}}}, and the steps' thinned curves in rows of test step, IoU,
    subset, FPPI and miss rate. Intervals are over resampled images (`alfnet.evaluation.bootstrap`), of the combinations
    for Reasonable alone, which their table shows; errors are those of Reasonable (`alfnet.evaluation.error_kinds`).
    Raises AlfnetError where step1.json is not there or a file is wrong.
    """
    steps = {int(number[1]): path for path in Path(folder).glob("step*.json") if (number := _STEP.match(path.name))}
    if 1 not in steps:
        raise AlfnetError(f"{folder}: no step1.json in it; expected detections as the stage `detect` writes them")
    truth = read_ground_truth(ground_truth).of_fold(fold)
    rules = find_protocol(protocol)
    results: dict[str, Any] = {"steps": {}, "fusion": {}, "intervals": {}, "errors": {}}
    rows: list[tuple[int, str, str, float, float]] = []
    for step, path in sorted(steps.items()):
        found = read_detections(path, truth)
        rates = evaluate(truth, found, iou, subsets, rules)
        results["steps"][str(step)] = _rounded(rates) | _rounded_precision(truth, found)
        results["intervals"][str(step)] = _intervals(resampled(truth, found, iou, subsets, rules))
        near = near_boxes(truth, found)
        results["errors"][str(step)] = {
            iou_key(one.iou): error_kinds(one, near).summary()["kinds"]
            for one in all_outcomes(truth, found, iou, subsets[:1], rules)
        }
        rows += [(step, *row) for row in curve_rows(rates, rules)]
    for path in sorted((Path(folder) / "fusion").glob("*.json")):
        found = read_detections(path, truth)
        results["fusion"][path.stem] = _rounded(evaluate(truth, found, iou, subsets, rules))
        results["intervals"][path.stem] = _intervals(resampled(truth, found, iou, subsets[:1], rules))
    return results, rows


def _intervals(found: dict[str, dict[str, Interval | None]]) -> dict[str, dict[str, dict[str, float] | None]]:
    return {
        key: {subset: None if one is None else one.to_dict() for subset, one in row.items()}
        for key, row in found.items()
    }


def _rounded(rates: MissRates) -> dict[str, dict[str, float | None]]:
    return {key: {subset: _six(percent) for subset, percent in row.items()} for key, row in rates.percent.items()}


def _rounded_precision(truth: GroundTruth, found: Detections) -> dict[str, float | None]:
    return {name: _six(percent) for name, percent in average_precision(truth, found).items()}


def _six(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 6)


def _low_recall(path: Path, truth: GroundTruth, found: Detections, rates: MissRates) -> list[str]:
    curve = next(iter(next(iter(rates.curves.values())).values()))  # of the first subset
    if curve is None or not len(found.scores) or curve.miss_rate[-1] < 0.5:
        return []
    return explain_low_recall(path, truth, found.image_ids, found.boxes, found.scores)
