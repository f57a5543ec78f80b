"""The result of evaluating one set of detections: what it holds, and how it is shown."""

from __future__ import annotations

import html
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alfnet.errors import AlfnetError, extra_needed
from alfnet.evaluation.bootstrap import Interval
from alfnet.evaluation.error_kinds import ErrorKinds, error_kinds
from alfnet.evaluation.miss_rate import MissRates, iou_key, outside
from alfnet.evaluation.outcomes import outcomes
from alfnet.evaluation.printing import counted, plain_table, printed
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.evaluation.subsets import EVERYTHING, NOT_OCCLUDED, Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import different
from alfnet.reading.results_file import Detections

if TYPE_CHECKING:
    import pandas
    from matplotlib.axes import Axes

    from alfnet.evaluation.explain import Answer

_THRESHOLDS_A_TABLE = 3
"""IoU thresholds side by side within 80 columns; with intervals, 2."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The result of evaluating one set of detections; it prints as the table."""

    results: dict[str, Any]
    """{"iou_0.50": {"reasonable": percent, ...}, ..., "average_precision": {"AP", "AP50", "AP75"}}, six decimals; where
    they are not CityPersons' usual ones, also "protocol" (its name) and "subsets" (their ranges)."""
    pedestrians: dict[str, int]
    """Ground truths that count, per subset."""
    images: int
    detections: int
    warnings: tuple[str, ...]
    """What looks wrong in the files without being so for sure; for stderr."""
    rates: MissRates
    subsets: tuple[Subset, ...] = CITYPERSONS.subsets
    protocol: Protocol = CITYPERSONS
    truth: GroundTruth | None = field(default=None, repr=False)
    found: Detections | None = field(default=None, repr=False)
    intervals: dict[str, dict[str, Interval | None]] | None = None
    """{"iou_0.50": {"reasonable": Interval, ...}} where a bootstrap was asked for."""
    name: str = "detections"
    """Of the detections, for headings."""

    def errors(self, subset: str | None = None, iou: float | None = None) -> ErrorKinds:
        """Return the kind of every miss and false positive, of the first subset and IoU unless others are named.

        Raises AlfnetError for a subset that was not evaluated.
        """
        chosen = next((one for one in self.subsets if one.name == subset), self.subsets[0] if subset is None else None)
        if chosen is None:
            raise AlfnetError(f"no subset {subset!r}; there are {', '.join(one.name for one in self.subsets)}")
        threshold = float(next(iter(self.rates.percent)).removeprefix("iou_")) if iou is None else iou
        truth, found = self._columns()
        return error_kinds(outcomes(truth, found, threshold, chosen, self.protocol))

    def explain(self, *got: str | float) -> Answer:
        """Say what gives figures that somebody got: 12.19, "small=49.7", "reasonable@0.75=38.14".

        Print the answer's `text`. Raises AlfnetError for what is no figure, and for other protocols than CityPersons'.
        """
        from alfnet.evaluation.explain import explain_figures, parse_got

        if self.protocol != CITYPERSONS:
            raise AlfnetError(
                f"what gives a figure is known for CityPersons' protocol alone, not for {self.protocol.name}"
            )
        thresholds = [float(key.removeprefix("iou_")) for key in self.rates.percent]
        iou = 0.5 if 0.5 in thresholds else thresholds[0]
        return explain_figures(*self._columns(), [parse_got(str(text), self.subsets, iou) for text in got])

    def write_page(self, path: str | os.PathLike[str], images: str | os.PathLike[str] | None = None) -> None:
        """Write the explorer, a page (HTML) of all misses and false positives of the first subset and IoU.

        images: the folder that holds the images. Raises AlfnetError where none of them lies in it.
        """
        from alfnet.explorer.data import explorer_data, find_pictures
        from alfnet.explorer.page import write_explorer

        kinds = self.errors()
        pictures = None if images is None else find_pictures(kinds.outcomes.ground_truth, Path(images), Path(path))
        write_explorer(Path(path), explorer_data(kinds, f"{self.name}: what went wrong", pictures))

    def _columns(self) -> tuple[GroundTruth, Detections]:
        if self.truth is None or self.found is None:
            raise AlfnetError("this result was made without its ground truth and detections; evaluate them again")
        return self.truth, self.found

    @property
    def miss_rate(self) -> MissRateOf:
        """Miss rates in percent: `.miss_rate["reasonable"]` at the first IoU, `.miss_rate["reasonable", 0.75]` at another.

        None where a subset has no ground truth.
        """
        return MissRateOf({key: self.results[key] for key in self.rates.percent})

    @property
    def average_precision(self) -> dict[str, float | None]:
        """AP, AP50 and AP75 in percent (COCO's)."""
        return dict(self.results["average_precision"])

    def to_frame(self) -> pandas.DataFrame:
        """Return the table as a pandas.DataFrame: a row per subset, miss rates in percent in columns "iou_0.50", ..."""
        with extra_needed("notebook"):
            import pandas
        rows = {
            subset.name: {
                "height": _range(subset.height),
                "visible": _range(subset.visible_ratio),
                "pedestrians": self.pedestrians[subset.name],
                **{key: self.results[key][subset.name] for key in self.rates.percent},
            }
            for subset in self.subsets
        }
        frame = pandas.DataFrame.from_dict(rows, orient="index")
        frame.index.name = "subset"
        return frame.astype(dict.fromkeys(self.rates.percent, float))

    def plot(self, subsets: Sequence[str] | None = None, axes: Axes | None = None) -> Axes:
        """Draw miss rate over FPPI, a line per IoU and subset (the first one unless others are named); return the axes."""
        from alfnet.evaluation.plot import plot_curves

        return plot_curves(self.rates, self.protocol, [self.subsets[0].name] if subsets is None else subsets, axes)

    def print(self, console: Console) -> None:
        """Print miss rates per subset and IoU threshold, with what each subset holds, and the average precision."""
        keys = [key for key in self.results if key.startswith("iou_")]
        together = _THRESHOLDS_A_TABLE - (self.intervals is not None)
        for start in range(0, len(keys), together):
            console.print(_table(self, keys[start : start + together]))
        if self.intervals is not None:
            console.print(
                "95 %: where the figure lies in 95 of 100 data sets of images drawn anew from these.", highlight=False
            )
        precision = self.results["average_precision"]
        console.print("  ".join(f"{name} {_percent(value)}" for name, value in precision.items()) + "  (percent, COCO)")
        totals = f"{counted(self.detections, 'detection')}, {counted(self.images, 'image')}"
        console.print(totals + self._images_without(), highlight=False, soft_wrap=True)

    def _images_without(self) -> str:
        """How many images with pedestrians of the first subset have no detection, in words; "" where all have one."""
        if self.truth is None or self.found is None:
            return ""
        counts = ~outside(self.subsets[0], self.truth, self.protocol)
        peopled = different(self.truth.annotation_image_ids[counts])
        without = len(peopled) - int(np.isin(peopled, self.found.image_ids).sum())
        of_whom = f"{counted(len(peopled), 'image')} with {self.subsets[0].name} pedestrians"
        return f"; {without} of {of_whom} {'has' if without == 1 else 'have'} none" if without else ""

    def __str__(self) -> str:
        return printed(self.print, width=80)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return f"<pre>{html.escape(str(self))}</pre>"


class MissRateOf(Mapping[str, "float | None"]):
    """Miss rates in percent by subset; by subset and IoU threshold with two keys."""

    def __init__(self, percent: dict[str, dict[str, float | None]]) -> None:
        self._percent = percent
        self._first = next(iter(percent.values()))

    def __getitem__(self, key: str | tuple[str, float]) -> float | None:
        """Miss rate of a subset at the first IoU threshold, or with (subset, IoU) at that one."""
        subset, row = key, self._first
        if isinstance(key, tuple):
            subset, iou = key
            if iou_key(iou) not in self._percent:
                there = ", ".join(name.removeprefix("iou_") for name in self._percent)
                raise KeyError(f"IoU {iou:g} was not evaluated; there are {there}")
            row = self._percent[iou_key(iou)]
        if subset not in row:
            raise KeyError(f"no subset {subset!r}; there are {', '.join(row)}")
        return row[str(subset)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._first)

    def __len__(self) -> int:
        return len(self._first)

    def __repr__(self) -> str:
        return repr(self._first)


def _table(evaluation: Evaluation, keys: list[str]) -> Table:
    rules = "" if evaluation.protocol == CITYPERSONS else f"{evaluation.protocol.name}, "
    title = f"Log-average miss rate, {rules}percent (lower is better)"
    table = plain_table(title)
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
            escape(subset.name),
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
