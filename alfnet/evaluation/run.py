"""The evaluation behind the pipeline's stage and behind the command: results written and printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from alfnet.evaluation.evaluate import evaluate_files, evaluate_variant
from alfnet.evaluation.table import print_evaluation
from alfnet.files import atomic_path, write_json, write_text

HEADLINE_SUBSETS = ("reasonable", "small", "heavy", "all")


def evaluate_to_files(
    ground_truth: Path, detections: Path, *, iou: Sequence[float], results: Path, metrics: Path, curve: Path
) -> None:
    """Evaluate the detections of a variant (the folder that `detect_split` wrote).

    results: a folder with results.json (every test step, IoU, subset and score fusion) and curves.csv (every test step).
    metrics: JSON with what a researcher compares first. curve: the last step's miss rate over FPPI, reasonable, as CSV.
    """
    found, rows = evaluate_variant(ground_truth, detections, iou=iou)
    last = max(int(step) for step in found["steps"])
    with atomic_path(results) as temporary:
        temporary.mkdir()
        write_json(temporary / "results.json", found, indent=1)
        write_text(temporary / "curves.csv", _csv(("test_step", "iou", "subset", "fppi", "miss_rate"), rows))
    shown = [(iou, *point) for step, iou, subset, *point in rows if step == last and subset == "reasonable"]
    write_text(curve, _csv(("iou", "fppi", "miss_rate"), shown))
    write_json(metrics, headline(found), indent=2)


def headline(found: dict[str, Any]) -> dict[str, Any]:
    """What `dvc metrics diff` shows: miss rates in percent, the last step's on four subsets, each step's on reasonable.

    {"miss_rate_percent": {"reasonable": {"iou_0.50": ..., "iou_0.75": ...}, ...}, "by_test_step": {"1": {...}, ...}}
    """
    steps = found["steps"]
    last = steps[str(max(int(step) for step in steps))]
    thresholds = [key for key in last if key.startswith("iou_")]
    return {
        "miss_rate_percent": {subset: {key: last[key][subset] for key in thresholds} for subset in HEADLINE_SUBSETS},
        "miss_rate_percent_by_test_step": {
            f"step_{step}": {key: rates[key]["reasonable"] for key in thresholds} for step, rates in steps.items()
        },
    }


def evaluate_and_print(
    ground_truth: Path, detections: Path, *, iou: Sequence[float], out: Path | None, curves: Path | None
) -> None:
    """Evaluate anybody's detections and print the table; warnings go to stderr."""
    evaluation = evaluate_files(ground_truth, detections, iou=iou, out=out, curves=curves)
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    print_evaluation(evaluation, Console())


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"
