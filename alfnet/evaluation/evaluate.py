"""Evaluating files: what stands behind `alfnet evaluate` and the pipeline's stage."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.evaluation.average_precision import average_precision
from alfnet.evaluation.curves import curve_rows, curves_csv
from alfnet.evaluation.miss_rate import MissRates, evaluate
from alfnet.files import write_json, write_text
from alfnet.reading.diagnosis import explain_low_recall
from alfnet.reading.ground_truth import GroundTruth, read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

_STEP = re.compile(r"^step([1-9][0-9]*)\.json$")


@dataclass(frozen=True)
class Evaluation:
    """The result of evaluating one file of detections."""

    results: dict[str, dict[str, float | None]]
    """{"iou_0.50": {"reasonable": percent, ...}, ..., "average_precision": {"AP", "AP50", "AP75"}}, six decimals."""
    pedestrians: dict[str, int]
    """Ground truths that count, per subset."""
    images: int
    detections: int
    warnings: tuple[str, ...]
    """What looks wrong in the files without being so for sure; for stderr."""


def evaluate_files(
    ground_truth: Path, detections: Path, *, iou: Sequence[float], out: Path | None = None, curves: Path | None = None
) -> Evaluation:
    """Evaluate a file of detections; write the results as JSON to `out` and the thinned curves as CSV to `curves`.

    Raises AlfnetError for input that is certainly wrong, before anything is written.
    """
    truth = read_ground_truth(ground_truth)
    found = read_detections(detections, truth)
    rates = evaluate(truth, found, iou)
    results = _rounded(rates) | {"average_precision": _rounded_precision(truth, found)}
    warnings = (*truth.warnings, *found.warnings, *_low_recall(Path(detections), truth, found, rates))
    if out is not None:
        write_json(out, results, indent=1)
    if curves is not None:
        write_text(curves, curves_csv(curve_rows(rates)))
    return Evaluation(results, rates.pedestrians, len(truth.image_ids), len(found.scores), warnings)


def evaluate_variant(
    ground_truth: Path, folder: Path, *, iou: Sequence[float], fold: int | None = None
) -> tuple[dict[str, Any], list[tuple[int, str, str, float, float]]]:
    """Evaluate all detections of a variant: step1.json, step2.json, ... and fusion/*.json in its folder.

    `fold`: on the images of this part of a cross-validation alone. Returns results, {"steps": {"1": {"iou_0.50": {subset:
    percent or None}, ..., "AP", "AP50", "AP75"}, ...}, "fusion": {"C1B1": {"iou_0.50": {...}, ...}, ...}}, and the steps'
    thinned curves in rows of test step, IoU, subset, FPPI and miss rate. Raises AlfnetError where step1.json is not there
    or a file is wrong.
    """
    steps = {int(number[1]): path for path in Path(folder).glob("step*.json") if (number := _STEP.match(path.name))}
    if 1 not in steps:
        raise AlfnetError(f"{folder}: no step1.json in it; expected detections as the stage `detect` writes them")
    truth = read_ground_truth(ground_truth).of_fold(fold)
    results: dict[str, Any] = {"steps": {}, "fusion": {}}
    rows: list[tuple[int, str, str, float, float]] = []
    for step, path in sorted(steps.items()):
        found = read_detections(path, truth)
        rates = evaluate(truth, found, iou)
        results["steps"][str(step)] = _rounded(rates) | _rounded_precision(truth, found)
        rows += [(step, *row) for row in curve_rows(rates)]
    for path in sorted((Path(folder) / "fusion").glob("*.json")):
        results["fusion"][path.stem] = _rounded(evaluate(truth, read_detections(path, truth), iou))
    return results, rows


def _rounded(rates: MissRates) -> dict[str, dict[str, float | None]]:
    return {key: {subset: _six(percent) for subset, percent in row.items()} for key, row in rates.percent.items()}


def _rounded_precision(truth: GroundTruth, found: Detections) -> dict[str, float | None]:
    return {name: _six(percent) for name, percent in average_precision(truth, found).items()}


def _six(percent: float | None) -> float | None:
    return None if percent is None else round(percent, 6)


def _low_recall(path: Path, truth: GroundTruth, found: Detections, rates: MissRates) -> list[str]:
    curve = next(iter(rates.curves.values()))["reasonable"]
    if curve is None or not len(found.scores) or curve.miss_rate[-1] < 0.5:
        return []
    return explain_low_recall(path, truth, found.image_ids, found.boxes)
