"""Miss rate over FPPI as rows of a CSV file, thinned without losing what the protocol reads from a curve."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from alfnet.evaluation.miss_rate import Curve, MissRates
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.reading.records import Integers

POINTS = 200
"""At most so many points a curve are written."""

CurveRow = tuple[str, str, float, float]
"""IoU threshold as "0.50", subset, FPPI, miss rate (fraction)."""


def thin(curve: Curve, points: int = POINTS, protocol: Protocol = CITYPERSONS) -> Curve:
    """Return at most `points` (>= 30) points of a curve, the same ones for the same curve.

    Kept are the first and the last point, the points at which the protocol reads the curve (so the miss rate can be
    computed from the rest), and points at even steps of log FPPI from 0.001 on.
    """
    total = len(curve.fppi)
    if total <= points:
        return curve
    read = _last_at(curve, np.array(protocol.fppi_points))
    if protocol.at_or_above:
        read = np.minimum(np.searchsorted(curve.fppi, protocol.fppi_points, side="left"), total - 1)
    kept = np.union1d([0, total - 1], read)
    end = max(float(curve.fppi[-1]), 0.01)
    grid = _last_at(curve, 0.001 * (end / 0.001) ** np.linspace(0, 1, points - len(kept)))
    chosen = np.union1d(kept, grid)
    return Curve(curve.fppi[chosen], curve.miss_rate[chosen])


def curve_rows(rates: MissRates, protocol: Protocol = CITYPERSONS) -> list[CurveRow]:
    """Return the thinned curves as rows, by IoU threshold and subset; none for a subset without ground truth.

    Numbers are rounded to 8 decimals: in data of less than 10,000 images no FPPI passes a point of the protocol by it.
    """
    rows: list[CurveRow] = []
    for key, subsets in rates.curves.items():
        for subset, curve in subsets.items():
            if curve is None:
                continue
            thinned = thin(curve, protocol=protocol)
            for fppi, miss_rate in zip(thinned.fppi.tolist(), thinned.miss_rate.tolist(), strict=True):
                rows.append((key.removeprefix("iou_"), subset, round(fppi, 8), round(miss_rate, 8)))
    return rows


def curves_csv(rows: Sequence[CurveRow]) -> str:
    """Return rows as CSV text with the header iou,subset,fppi,miss_rate."""
    lines = ["iou,subset,fppi,miss_rate", *(",".join(map(str, row)) for row in rows)]
    return "\n".join(lines) + "\n"


def _last_at(curve: Curve, fppi: np.ndarray) -> Integers:
    """Indices of the last points with at most these FPPI."""
    return np.searchsorted(curve.fppi, fppi, side="right") - 1
