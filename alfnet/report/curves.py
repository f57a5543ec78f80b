"""Rows of the charts of miss rates: over false positives per image, and by the step that is tested."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alfnet.report.results import Band, VariantResults
from alfnet.report.tables import IOUS


def curve_points(band: Band) -> list[tuple[float, float, float, float]]:
    """Return a curve's points (false positives per image, mean, lowest and highest miss rate) as a chart shows them.

    It begins where something is detected: before that the miss rate is 1 and says nothing. A miss rate of 0 has no
    place on a logarithmic axis.
    """
    return [
        (x, mean, low, high)
        for x, mean, low, high in zip(band.x, band.mean, band.low, band.high, strict=True)
        if x > 0 and mean < 1 and low > 0
    ]


def curves_frame(results: Sequence[VariantResults]) -> pd.DataFrame:
    """Return every variant's curves at its last test step, Reasonable: variant, iou, fppi, mean, low, high (fractions)."""
    rows = [
        (result.name, f"{iou:.2f}", *point)
        for result in results
        for iou in IOUS
        if (band := result.curves.get((result.last_step, iou, "reasonable"))) is not None
        for point in curve_points(band)
    ]
    return pd.DataFrame(rows, columns=["variant", "iou", "fppi", "mean", "low", "high"])


def steps_frame(results: Sequence[VariantResults]) -> pd.DataFrame:
    """Return the miss rates (percent, Reasonable) a row each: variant, steps, test_step, iou, seed, miss_rate."""
    rows = [
        (result.name, result.settings.steps, step, f"{iou:.2f}", seed, value)
        for result in results
        for step in result.steps
        for iou in IOUS
        if (sample := result.miss_rate(step, iou)) is not None
        for seed, value in zip(result.seeds, sample.values, strict=True)
        if value is not None
    ]
    return pd.DataFrame(rows, columns=["variant", "steps", "test_step", "iou", "seed", "miss_rate"])


def training_frame(results: Sequence[VariantResults], points: int = 130) -> pd.DataFrame:
    """Return the losses over the updates: variant, part, update, mean, low, high.

    At most `points` a line, each the mean of neighbours.
    """
    parts = dict.fromkeys(part for result in results for part in result.losses)
    rows = [
        (result.name, part, *point)
        for part in parts
        for result in results
        if part in result.losses
        for point in _thinned(result.losses[part], points)
    ]
    return pd.DataFrame(rows, columns=["variant", "part", "update", "mean", "low", "high"])


def _thinned(band: Band, points: int) -> list[tuple[float, ...]]:
    size = max(1, -(-len(band.x) // points))
    columns = (band.x, band.mean, band.low, band.high)
    starts = range(0, len(band.x), size)
    return [tuple(sum(part) / len(part) for part in (c[s : s + size] for c in columns)) for s in starts]
