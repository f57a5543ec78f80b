"""The figure of positives per step: how many boxes fit a pedestrian with IoU >= 0.5 before and after each step.

The boxes are all of the network's, before scores are looked at: the default boxes (anchors), then what each step makes
of them. Asymptotic localization fitting lives from this growth: it is why a later step can ask for a higher IoU in
training.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from alfnet.files import write_text
from alfnet.report.figures import style, write_figure
from alfnet.report.paper import THRESHOLDS_MODEL, paper_figures
from alfnet.report.results import VariantResults

BINS = ("0.5-0.6", "0.6-0.7", "0.7-0.8", "0.8-0.9", "0.9-1")
# From light to dark; told apart in grey too.
BIN_COLOURS = ("#D6E6F4", "#9DC8E4", "#5BA3CF", "#2272B4", "#08366F")


@dataclass(frozen=True)
class PositivesPanel:
    """The bars of one model: stages ("default", "step1", ...) and per stage the five bins' counts."""

    name: str
    stages: tuple[str, ...]
    bins: tuple[tuple[int, ...], ...]
    ground_truths: int | None
    """Pedestrians in the images; None where it was not published."""

    @property
    def totals(self) -> tuple[int, ...]:
        """Boxes with IoU >= 0.5 per stage."""
        return tuple(sum(counts) for counts in self.bins)

    def growth(self, index: int) -> float | None:
        """Return a stage's total in multiples of the default boxes'."""
        return self.totals[index] / self.totals[0] if self.totals[0] else None


def positives_panels(results: Sequence[VariantResults]) -> list[PositivesPanel]:
    """Return the panels of our variants, and last the paper's."""
    panels = [_panel(result.name, result.positives, result.positives["ground_truths"]) for result in results]
    return [*panels, _panel(f"paper: {THRESHOLDS_MODEL}", paper_figures()["positives"], None)]


def _panel(name: str, figures: dict[str, Any], ground_truths: int | None) -> PositivesPanel:
    stages = ["default", *sorted((key for key in figures if key.startswith("step")), key=lambda key: int(key[4:]))]
    return PositivesPanel(name, tuple(stages), tuple(tuple(figures[stage]["bins"]) for stage in stages), ground_truths)


def stage_title(stage: str) -> str:
    """Return 'default boxes' or 'after step 1'."""
    return "default boxes" if stage == "default" else f"after step {stage.removeprefix('step')}"


def write_positives_csv(path: Path, panels: Sequence[PositivesPanel]) -> None:
    """Write a line per model, stage and bin: variant, source, stage, iou, boxes, ground_truths."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("variant", "source", "stage", "iou", "boxes", "ground_truths"))
    for panel in panels:
        source = "published" if panel.ground_truths is None else "measured here"
        for stage, counts in zip(panel.stages, panel.bins, strict=True):
            for name, count in zip(BINS, counts, strict=True):
                truths = "" if panel.ground_truths is None else panel.ground_truths
                writer.writerow((panel.name.removeprefix("paper: "), source, stage, name, count, truths))
    write_text(path, text.getvalue())


def write_positives_png(path: Path, panels: Sequence[PositivesPanel]) -> None:
    """Draw stacked bars per model. The paper's panel has an axis of its own: it counts another data set's boxes."""
    with style():
        columns = min(6, len(panels))
        rows = -(-len(panels) // columns)
        figure = Figure(figsize=(2.15 * columns + 0.6, 3.7 * rows + 0.5), layout="constrained")
        axes: Any = figure.subplots(rows, columns, squeeze=False)
        ours = max((max(panel.totals) for panel in panels if panel.ground_truths is not None), default=1) or 1
        for index, axis in enumerate(axes.flat):
            if index >= len(panels):
                axis.set_visible(False)
                continue
            panel = panels[index]
            _bars(axis, panel, 1.12 * (ours if panel.ground_truths is not None else max(panel.totals)))
        handles, labels = axes.flat[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=len(BINS), title="IoU with a pedestrian")
        figure.suptitle("Boxes with IoU of at least 0.5 with a pedestrian, before and after each step")
        write_figure(path, figure)


def _bars(axis: Any, panel: PositivesPanel, top: float) -> None:
    published = panel.ground_truths is None
    bottom = [0] * len(panel.stages)
    positions = range(len(panel.stages))
    for index, name in enumerate(BINS):
        heights = [counts[index] for counts in panel.bins]
        edge = "#555555" if published else "white"
        axis.bar(
            positions,
            heights,
            bottom=bottom,
            color=BIN_COLOURS[index],
            label=name,
            edgecolor=edge,
            linewidth=0.5,
            width=0.75,
        )
        bottom = [low + height for low, height in zip(bottom, heights, strict=True)]
    for index, total in enumerate(panel.totals):
        growth = panel.growth(index)
        factor = "" if index == 0 or growth is None else f"\n× {growth:.1f}"
        axis.text(index, total, f"{total:,}{factor}", ha="center", va="bottom", fontsize=7.5)
    axis.set_ylim(0, top or 1)
    axis.set_xlim(-0.6, max(3, len(panel.stages)) - 0.4)  # bars of one width in all panels of up to two steps
    axis.set_xticks(list(positions), [stage.replace("step", "step ") for stage in panel.stages], fontsize=8)
    axis.tick_params(axis="y", labelsize=7.5)
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axis.set_title(panel.name, fontsize=9.5, style="italic" if published else "normal")
    axis.grid(axis="x", visible=False)
    if published:
        axis.set_facecolor("#FBF7EE")
