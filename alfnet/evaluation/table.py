"""The table that `alfnet evaluate` prints, for terminals of 80 columns."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from alfnet.evaluation.evaluate import Evaluation
from alfnet.evaluation.protocol import CITYPERSONS
from alfnet.evaluation.subsets import EVERYTHING, NOT_OCCLUDED
from alfnet.extras import extra_needed

if TYPE_CHECKING:
    import pandas

_THRESHOLDS_A_TABLE = 3
"""IoU thresholds side by side within 80 columns; with intervals, 2."""


def print_evaluation(evaluation: Evaluation, console: Console) -> None:
    """Print miss rates per subset and IoU threshold, with what each subset holds, and the average precision."""
    keys = [key for key in evaluation.results if key.startswith("iou_")]
    together = _THRESHOLDS_A_TABLE - (evaluation.intervals is not None)
    for start in range(0, len(keys), together):
        console.print(_table(evaluation, keys[start : start + together]))
    if evaluation.intervals is not None:
        console.print(
            "95 %: where the figure lies in 95 of 100 data sets of images drawn anew from these.", highlight=False
        )
    precision = evaluation.results["average_precision"]
    console.print("  ".join(f"{name} {_percent(value)}" for name, value in precision.items()) + "  (percent, COCO)")
    console.print(
        f"{counted(evaluation.detections, 'detection')}, {counted(evaluation.images, 'image')}", highlight=False
    )


def as_text(evaluation: Evaluation, width: int = 80) -> str:
    """Return the table as plain text."""
    stream = io.StringIO()
    print_evaluation(evaluation, Console(file=stream, width=width, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def as_frame(evaluation: Evaluation) -> pandas.DataFrame:
    """Return the table as a data frame with a row per subset."""
    with extra_needed("notebook"):
        import pandas
    rows = {
        subset.name: {
            "height": _range(subset.height),
            "visible": _range(subset.visible_ratio),
            "pedestrians": evaluation.pedestrians[subset.name],
            **{key: evaluation.results[key][subset.name] for key in evaluation.rates.percent},
        }
        for subset in evaluation.subsets
    }
    frame = pandas.DataFrame.from_dict(rows, orient="index")
    frame.index.name = "subset"
    return frame.astype(dict.fromkeys(evaluation.rates.percent, float))


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _table(evaluation: Evaluation, keys: list[str]) -> Table:
    rules = "" if evaluation.protocol == CITYPERSONS else f"{evaluation.protocol.name}, "
    title = f"Log-average miss rate, {rules}percent (lower is better)"
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("subset")
    with_intervals = evaluation.intervals is not None
    short = ("height", "visible", "people")
    for heading in short if with_intervals else ("height px", "visible", "pedestrians"):
        table.add_column(heading, justify="right")
    for key in keys:
        table.add_column("IoU " + key.removeprefix("iou_"), justify="right", style="bold")
        if with_intervals:
            table.add_column("95 %", justify="right")
    for subset in evaluation.subsets:
        table.add_row(
            subset.name,
            _range(subset.height),
            _range(subset.visible_ratio),
            str(evaluation.pedestrians[subset.name]),
            *(cell for key in keys for cell in _cells(evaluation, key, subset.name)),
        )
    return table


def _range(bounds: tuple[float, float]) -> str:
    low, high = bounds
    if bounds == EVERYTHING:
        return "any"
    if bounds == NOT_OCCLUDED:
        return "whole"
    return f">= {low:g}" if math.isinf(high) else f"{low:g}-{high:g}"


def _cells(evaluation: Evaluation, key: str, subset: str) -> list[str]:
    cells = [_percent(evaluation.results[key][subset])]
    if evaluation.intervals is not None:
        found = evaluation.intervals[key][subset]
        cells.append("-" if found is None else f"{found.low:.1f}-{found.high:.1f}")
    return cells


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"
