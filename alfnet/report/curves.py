"""Miss rate over false positives per image: the field's curve, both axes logarithmic."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from alfnet.files import write_text
from alfnet.report.figures import line_style, style, write_figure
from alfnet.report.results import Curve, VariantResults
from alfnet.report.tables import IOUS

# The miss rate is averaged over these false positives per image (docs/method.md#miss-rate).
AVERAGED_FROM, AVERAGED_TO = 0.01, 1.0
SHOWN = (0.008, 12.0)


def write_curves_csv(path: Path, results: Sequence[VariantResults]) -> None:
    """Write the curves of every variant's last test step, Reasonable: variant, iou, fppi, miss_rate (no percent).

    Made for `dvc plots` with the template `miss_rate`, whose axes have no place for 0; the names and numbers are the
    same in every run.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("variant", "iou", "fppi", "miss_rate"))
    for result in results:
        for iou in IOUS:
            fppi, miss_rate = last_curve(result, iou)
            writer.writerows(
                (result.name, f"{iou:.2f}", f"{x:.6g}", f"{y:.6g}")
                for x, y in zip(fppi, miss_rate, strict=True)
                if x > 0
            )
    write_text(path, text.getvalue())


def last_curve(result: VariantResults, iou: float, subset: str = "reasonable") -> Curve:
    """Return a variant's curve at its last test step; empty where there is nothing to draw."""
    return result.curves.get((result.last_step, iou, subset), ((), ()))


def visible_points(fppi: Sequence[float], miss_rate: Sequence[float]) -> list[tuple[float, float]]:
    """Return what logarithmic axes can show: from the left edge on, where the last point before it holds."""
    points = [(max(x, SHOWN[0]), y) for x, y in zip(fppi, miss_rate, strict=True) if y > 0]
    before = [index for index, (x, _) in enumerate(points) if x == SHOWN[0]]
    return points[before[-1] :] if before else points


def write_curves_png(path: Path, results: Sequence[VariantResults]) -> None:
    """Draw all variants at their last test step, Reasonable, one panel per IoU."""
    with style():
        figure = Figure(figsize=(11, 5.2), layout="constrained")
        axes: Any = figure.subplots(1, len(IOUS), sharey=True)
        lowest = min(_panel(axis, results, iou) for axis, iou in zip(axes, IOUS, strict=True))
        axes[0].set_ylim(max(0.01, lowest * 0.8), 1.05)  # of all panels, which share the axis
        axes[0].set_ylabel("miss rate")
        figure.suptitle(
            "Miss rate over false positives per image, Reasonable subset, last test step (lower left is better)"
        )
        write_figure(path, figure)


def _panel(axis: Any, results: Sequence[VariantResults], iou: float) -> float:
    """Draw a panel; returns the lowest miss rate in it."""
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.axvspan(AVERAGED_FROM, AVERAGED_TO, color="#F3F3F3", zorder=0)
    lowest = 1.0
    for index, result in enumerate(results):
        fppi, miss_rate = last_curve(result, iou)
        points = visible_points(fppi, miss_rate)
        average = result.miss_rate(result.last_step, iou)
        label = f"{result.name}  {'–' if average is None else f'{average:.2f} %'}"
        axis.plot(
            [x for x, _ in points],
            [y for _, y in points],
            **line_style(index, result.settings.backbone),
            linewidth=1.8,
            drawstyle="steps-post",
            label=label,
        )
        lowest = min([lowest, *(y for x, y in points if x <= SHOWN[1])])
    axis.set_xlim(*SHOWN)
    axis.xaxis.set_major_locator(FixedLocator([0.01, 0.0316, 0.1, 0.316, 1, 3.16, 10]))
    axis.yaxis.set_major_locator(FixedLocator([0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.64, 0.8, 1]))
    for side in (axis.xaxis, axis.yaxis):
        side.set_minor_formatter(NullFormatter())
        side.set_minor_locator(FixedLocator([]))
    axis.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axis.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{100 * y:g} %"))
    axis.set_xlabel("false positives per image (grey: the range that is averaged)")
    axis.set_title(f"IoU {iou:g}")
    with mpl.rc_context({"legend.fontsize": 9}):
        # Curves fall from the upper left to the lower right: the corner above them is free.
        axis.legend(loc="upper right", title="log-average miss rate")
    return lowest
