"""The results of a variant's seeds in one place: mean, spread and every seed's value."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, read_json, write_json, write_text
from alfnet.reading.records import Floats

GRID: Floats = np.round(10.0 ** (np.arange(-72, 25) / 24), 8)
"""The FPPI at which curves of seeds are compared: 24 a decade, from 0.001 to 10."""

CurveKey = tuple[int, str, str]
"""Test step, IoU threshold as "0.50", subset."""


def summarise_to_files(results: Mapping[int, Path], *, summary: Path, metrics: Path) -> None:
    """Summarise the seeds of a variant; `results` has the folder that `evaluate_to_files` wrote per seed.

    summary: a folder with summary.json, in which each number of results.json became a `statistic`, and curves.csv.
    metrics: JSON with what a researcher compares first (`headline`).

    Raises AlfnetError where a seed's results lack what another's hold.
    """
    found = [read_json(folder / "results.json") for folder in results.values()]
    where = ", ".join(str(folder) for folder in results.values())
    described = {"seeds": list(results), **_statistics(found, where)}
    rows = mean_curves([_read_curves(folder / "curves.csv") for folder in results.values()])
    header = ("test_step", "iou", "subset", "fppi", "mean", "low", "high")
    with atomic_path(summary) as temporary:
        temporary.mkdir(parents=True)
        write_json(temporary / "summary.json", described, indent=1)
        write_text(temporary / "curves.csv", _csv(header, rows))
    write_json(metrics, headline(described), indent=2)


def statistic(values: Sequence[float | None]) -> dict[str, Any] | None:
    """Return {"mean", "sd", "n", "values"} of the seeds' values; None where no seed has one.

    "sd" is the sample standard deviation (n - 1 in the denominator), None for a single value; "values" are as given.
    """
    known = [value for value in values if value is not None]
    if not known:
        return None
    mean = math.fsum(known) / len(known)
    spread = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / (len(known) - 1)) if len(known) > 1 else None
    return {
        "mean": round(mean, 6),
        "sd": None if spread is None else round(spread, 6),
        "n": len(known),
        "values": list(values),
    }


def headline(summary: Mapping[str, Any]) -> dict[str, float | int]:
    """What `dvc metrics diff` shows: {"mr_50": mean, "mr_75": ..., "sd_50": ..., "sd_75": ..., "n": values in a mean}.

    Log-average miss rates in percent, last test step, Reasonable; `sd_*` only where there is more than one seed.
    """
    last = summary["steps"][str(max(int(step) for step in summary["steps"]))]
    rates = {key.removeprefix("iou_0."): last[key]["reasonable"] for key in last if key.startswith("iou_")}
    rates = {key: rate for key, rate in rates.items() if rate is not None}
    means = {f"mr_{key}": rate["mean"] for key, rate in rates.items()}
    spreads = {f"sd_{key}": rate["sd"] for key, rate in rates.items() if rate["sd"] is not None}
    return means | spreads | {"n": min((rate["n"] for rate in rates.values()), default=len(summary["seeds"]))}


def mean_curves(seeds: Sequence[Mapping[CurveKey, tuple[Floats, Floats]]]) -> list[tuple[Any, ...]]:
    """Return rows (test step, IoU, subset, FPPI, mean, lowest, highest miss rate) of the seeds' curves on `GRID`.

    At an FPPI a curve has the miss rate of its last point at or below it, as the protocol reads it. The rows of a curve
    end behind the largest FPPI that a seed reaches, and a curve that a seed lacks is left out.
    """
    rows: list[tuple[Any, ...]] = []
    for key in seeds[0]:
        curves = [curves[key] for curves in seeds if key in curves]
        if len(curves) < len(seeds):
            continue
        end = max(float(fppi[-1]) for fppi, _ in curves)
        grid = GRID[: int(np.searchsorted(GRID, end)) + 1]
        rates = np.stack([rate[np.searchsorted(fppi, grid, side="right") - 1] for fppi, rate in curves])
        columns = (grid, rates.mean(0), rates.min(0), rates.max(0))
        rows += [
            (*key, *(round(value, 8) for value in row)) for row in zip(*(c.tolist() for c in columns), strict=True)
        ]
    return rows


def _statistics(found: Sequence[Any], where: str) -> Any:
    """Replace every number in equal structures by its statistic.

    A seed may have None for a part: a fold without anybody of a subset has no interval of its miss rate.
    """
    parts = [other for other in found if isinstance(other, Mapping)]
    if parts:
        keys = parts[0].keys()
        if any(other is not None and (not isinstance(other, Mapping) or other.keys() != keys) for other in found):
            raise AlfnetError(f"{where}: hold different test steps, IoU thresholds or subsets; run: dvc repro")
        return {key: _statistics([None if other is None else other[key] for other in found], where) for key in keys}
    return statistic(found)


def _read_curves(path: Path) -> dict[CurveKey, tuple[Floats, Floats]]:
    points: dict[CurveKey, list[tuple[float, float]]] = {}
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            key = (int(row["test_step"]), row["iou"], row["subset"])
            points.setdefault(key, []).append((float(row["fppi"]), float(row["miss_rate"])))
    return {key: (np.array([x for x, _ in listed]), np.array([y for _, y in listed])) for key, listed in points.items()}


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"
