"""The result of comparing two sets of detections: what it holds, and how it is shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape

from alfnet.evaluation.bootstrap import Interval
from alfnet.evaluation.error_kinds import NAMES, ErrorKinds
from alfnet.evaluation.printing import plain_table, printed

HEIGHT_BINS = (50, 75, 100, 150)
VISIBILITY_BINS = (0.2, 0.65, 0.9)
LISTED = 10
"""How many of those that one alone finds are printed."""


@dataclass(frozen=True)
class Difference:
    """The miss rates of A and B for one subset and IoU threshold, in percent, and what their difference is worth."""

    a: float | None
    b: float | None
    interval: Interval | None
    """Of A - B over resampled images, the same for both; None without pedestrians."""
    p_value: float | None
    """Of the permutation test: how often exchanging A and B on random images gives a difference as large."""

    @property
    def value(self) -> float | None:
        """A - B: below zero where A misses fewer."""
        return None if self.a is None or self.b is None else self.a - self.b

    @property
    def shows(self) -> bool:
        """Whether the interval excludes zero."""
        return self.interval is not None and (self.interval.low > 0 or self.interval.high < 0)


@dataclass(frozen=True)
class FoundAlone:
    """A pedestrian that one of the two finds and the other misses, at equally many false positives per image."""

    ground_truth: int
    """Index into the ground truth's annotations."""
    image_id: int
    image: str
    box: tuple[float, float, float, float]
    height: float
    visible_ratio: float
    found_by: str
    """"A" or "B"."""
    score: float
    other_kind: str
    """Why the other one missed: a kind of `alfnet.evaluation.error_kinds`."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two sets of detections compared on one ground truth."""

    names: tuple[str, str]
    differences: Mapping[str, Mapping[str, Difference]]
    """{"iou_0.50": {"reasonable": Difference, ...}, ...}"""
    iou: float
    """The IoU threshold and subset of what follows."""
    subset: str
    fppi: float
    pedestrians: int
    found_by_both: int
    found_by_neither: int
    found_alone: tuple[FoundAlone, ...]
    """In the order of the ground truth."""
    kinds: tuple[ErrorKinds, ErrorKinds]
    images: int
    warnings: tuple[str, ...] = ()
    """What looks wrong in the files without being so for sure; for stderr."""

    def __str__(self) -> str:
        return printed(self.print, width=100)

    def print(self, console: Console) -> None:
        """Print miss rates side by side with what their differences are worth, and whom one alone finds."""
        console.print(f"A: {self.names[0]}\nB: {self.names[1]}", highlight=False, markup=False, soft_wrap=True)
        for key, row in self.differences.items():
            table = plain_table(f"Log-average miss rate, percent, at IoU {key.removeprefix('iou_')}")
            table.add_column("subset")
            for heading in ("A", "B", "A - B", "95 % interval", "p"):
                table.add_column(heading, justify="right")
            for subset, found in row.items():
                if found.a is None or found.b is None or found.interval is None or found.p_value is None:
                    table.add_row(escape(subset), "-", "-", "-", "-", "-")
                    continue
                table.add_row(
                    escape(subset),
                    f"{found.a:.2f}",
                    f"{found.b:.2f}",
                    f"{found.value:+.2f}",
                    f"{found.interval.low:+.2f} to {found.interval.high:+.2f}",
                    f"{found.p_value:.3f}",
                    style="bold" if found.shows else "",
                )
            console.print(table)
        console.print(
            f"{self.images} images, resampled for the interval of A - B (bold: it excludes 0); p: A and B exchanged "
            "on random images.",
            highlight=False,
        )
        only_a, only_b = len(self.of("A")), len(self.of("B"))
        console.print(
            f"\nOf {self.pedestrians} pedestrians ({self.subset}, IoU {self.iou:g}), at "
            f"{self.fppi:g} false positives per image each: {self.found_by_both} found by both, {only_a} by A "
            f"alone, {only_b} by B alone, {self.found_by_neither} by neither.",
            highlight=False,
            markup=False,
        )
        headings = {"height": "height, px", "visible": "visible part", "error": "the other's error"}
        for name, counts in self.counts().items():
            if not counts:
                continue
            table = plain_table("")
            table.add_column(headings[name])
            table.add_column("A alone", justify="right")
            table.add_column("B alone", justify="right")
            for label, (a, b) in counts.items():
                table.add_row(label, str(a), str(b))
            console.print(table)
        for who in ("A", "B"):
            alone = sorted(self.of(who), key=lambda found: -found.height)[:LISTED]
            if alone:
                console.print(f"The tallest that {who} alone finds:", highlight=False)
            for one in alone:
                x, y, width, height = one.box
                where = f"{width:.0f} x {height:.0f} px at {x:.0f}, {y:.0f}"
                console.print(
                    f"  {one.image or one.image_id}: {where} ({NAMES[one.other_kind]})",
                    highlight=False,
                    markup=False,
                    soft_wrap=True,
                )

    def of(self, who: str) -> list[FoundAlone]:
        """Return the pedestrians that "A" or "B" alone finds."""
        return [found for found in self.found_alone if found.found_by == who]

    def counts(self) -> dict[str, dict[str, tuple[int, int]]]:
        """Return how many A alone and B alone find, by height, by visible part and by the other's error.

        {"height": {"50-75": (a, b), ...}, "visible": {...}, "error": {...}}; rows that nobody is in are left out.
        """
        tables: dict[str, dict[str, tuple[int, int]]] = {}
        for name, rows in (
            ("height", [_bin(found.height, HEIGHT_BINS) for found in self.found_alone]),
            ("visible", [_bin(found.visible_ratio, VISIBILITY_BINS) for found in self.found_alone]),
            ("error", [NAMES[found.other_kind] for found in self.found_alone]),
        ):
            order = {"height": HEIGHT_BINS, "visible": VISIBILITY_BINS}.get(name)
            labels = sorted(set(rows)) if order is None else [label for label in _labels(order) if label in rows]
            tables[name] = {
                label: tuple(  # type: ignore[misc]
                    sum(
                        row == label and found.found_by == who
                        for row, found in zip(rows, self.found_alone, strict=True)
                    )
                    for who in ("A", "B")
                )
                for label in labels
            }
        return tables

    def to_dict(self) -> dict[str, Any]:
        """Return everything as JSON-able data."""
        return {
            "a": self.names[0],
            "b": self.names[1],
            "images": self.images,
            "miss_rates": {
                key: {
                    subset: {
                        "a": _six(found.a),
                        "b": _six(found.b),
                        "a_minus_b": _six(found.value),
                        "low": _six(found.interval.low) if found.interval else None,
                        "high": _six(found.interval.high) if found.interval else None,
                        "p_value": _six(found.p_value),
                    }
                    for subset, found in row.items()
                }
                for key, row in self.differences.items()
            },
            "found": {
                "iou": self.iou,
                "subset": self.subset,
                "fppi": self.fppi,
                "pedestrians": self.pedestrians,
                "by_both": self.found_by_both,
                "by_neither": self.found_by_neither,
                "by_a_alone": len(self.of("A")),
                "by_b_alone": len(self.of("B")),
                "counts": {name: {k: list(v) for k, v in table.items()} for name, table in self.counts().items()},
                "alone": [
                    {
                        "annotation": found.ground_truth + 1,
                        "image_id": found.image_id,
                        "image": found.image,
                        "bbox": list(found.box),
                        "height": found.height,
                        "visible_ratio": found.visible_ratio if math.isfinite(found.visible_ratio) else None,
                        "found_by": found.found_by.lower(),
                        "score": found.score,
                        "error_of_the_other": found.other_kind,
                    }
                    for found in self.found_alone
                ],
            },
        }


def _labels(bounds: Sequence[float]) -> list[str]:
    inner = [f"{low:g}-{high:g}" for low, high in pairwise(bounds)]
    return [f"< {bounds[0]:g}", *inner, f">= {bounds[-1]:g}", "not annotated"]


def _bin(value: float, bounds: Sequence[float]) -> str:
    if np.isnan(value):
        return "not annotated"
    return _labels(bounds)[int(np.searchsorted(bounds, value, side="right"))]


def _six(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
