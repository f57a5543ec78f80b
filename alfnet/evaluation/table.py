"""The table that `alfnet evaluate` prints, for terminals of 80 columns."""

from __future__ import annotations

import math

from rich.console import Console
from rich.table import Table

from alfnet.evaluation.evaluate import Evaluation
from alfnet.evaluation.miss_rate import SUBSETS

_THRESHOLDS_A_TABLE = 3
"""IoU thresholds side by side within 80 columns."""


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print miss rates per subset and IoU threshold, with what each subset holds, and the average precision."""
    keys = [key for key in evaluation.results if key.startswith("iou_")]
    for start in range(0, len(keys), _THRESHOLDS_A_TABLE):
        console.print(_table(evaluation, keys[start : start + _THRESHOLDS_A_TABLE]))
    precision = evaluation.results["average_precision"]
    console.print("  ".join(f"{name} {_percent(value)}" for name, value in precision.items()) + "  (percent, COCO)")
    console.print(f"{evaluation.detections} detections, {evaluation.images} images", highlight=False)


def _table(evaluation: Evaluation, keys: list[str]) -> Table:
    title = "Log-average miss rate, percent (lower is better)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("subset")
    for heading in ("height px", "visible", "pedestrians"):
        table.add_column(heading, justify="right")
    for key in keys:
        table.add_column("IoU " + key.removeprefix("iou_"), justify="right", style="bold")
    for subset in SUBSETS:
        table.add_row(
            subset.name,
            _range(subset.height),
            _range(subset.visible_ratio),
            str(evaluation.pedestrians[subset.name]),
            *(_percent(evaluation.results[key][subset.name]) for key in keys),
        )
    return table


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f">= {low:g}" if math.isinf(high) else f"{low:g}-{high:g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
