"""What the stages before the report left behind, read for every variant of the parameters."""

from __future__ import annotations

import csv
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfnet.errors import AlfnetError
from alfnet.files import read_json
from alfnet.network.weight_files import read_weights
from alfnet.params import Params, VariantSettings
from alfnet.report.paper import Thresholds, as_pairs

# The parameter count in the extra entries of models/VARIANT/SEED/model.safetensors.
PARAMETERS_KEY = "parameters"
POSITIVE_BINS = 5


PRECISIONS = ("AP", "AP50", "AP75")
"""The keys of COCO's average precision in the summaries."""


@dataclass(frozen=True)
class Sample:
    """A figure that was measured once per seed.

    `values` has one entry per seed of the run, in their order; None where a seed has no such figure.
    """

    values: tuple[float | None, ...]
    over_images: tuple[tuple[float, float] | None, ...] = field(default=(), compare=False)
    """Of miss rates: per value the 95 % interval over resampled images, as far as it was computed."""

    @property
    def measured(self) -> list[float]:
        """The figures that there are."""
        return [value for value in self.values if value is not None]

    @property
    def n(self) -> int:
        """How many figures there are."""
        return len(self.measured)

    @property
    def mean(self) -> float:
        """Their mean; NaN without any."""
        return statistics.fmean(self.measured) if self.n else math.nan

    @property
    def deviation(self) -> float | None:
        """Their standard deviation (n - 1 in the denominator); None for a single one."""
        return statistics.stdev(self.measured) if self.n > 1 else None


@dataclass(frozen=True)
class Band:
    """A curve over the seeds: its mean, smallest and largest value at each place."""

    x: tuple[float, ...]
    mean: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]


@dataclass(frozen=True)
class VariantResults:
    """All that is known of one detector, trained with each of the seeds (or imported: then once)."""

    name: str
    settings: VariantSettings
    seeds: tuple[int, ...]
    """The seeds that it was measured with."""
    thresholds: Thresholds
    parameters: int
    steps: dict[int, dict[str, Any]]
    """Per test step: {"iou_0.50": {subset: Sample or None}, ...}, miss rates in percent."""
    fusion: dict[str, dict[str, Any]]
    """Per combination of scores and boxes ("C1B1", ...): the same."""
    precision: dict[int, dict[str, Sample | None]]
    """Per test step: COCO's AP, AP50 and AP75 in percent, as far as they were measured."""
    curves: dict[tuple[int, float, str], Band]
    """Per test step, IoU and subset: miss rate (a fraction) over false positives per image."""
    positives: dict[str, list[Sample]]
    """Per stage ("default", "step1", ...): the number of boxes in each of the five bins of IoU."""
    ground_truths: int
    """Pedestrians of the validation images, for `positives`."""
    losses: dict[str, Band]
    """Per part of the loss: its value over the updates."""

    @property
    def last_step(self) -> int:
        """The last test step."""
        return max(self.steps)

    def miss_rate(self, step: int, iou: float, subset: str = "reasonable") -> Sample | None:
        """Return the log-average miss rate in percent, None where the subset has no ground truth."""
        return self.steps[step][iou_key(iou)][subset]

    def fusion_miss_rate(self, combination: str, iou: float, subset: str = "reasonable") -> Sample | None:
        """Return the same of a combination of scores and boxes."""
        return self.fusion[combination][iou_key(iou)][subset]


@dataclass(frozen=True)
class DeployedResults:
    """What the stage `deploy` measured of a variant, with each of the seeds."""

    name: str
    format: str
    miss_rates: dict[str, dict[str, Any]]
    """Per precision ("float32", "int8"): {"iou_0.50": {subset: Sample or None}, ...}, in percent."""
    change: dict[str, Any]
    """The same of int8 less float32, in points."""
    bytes: int
    """Of the first seed's int8 file."""


def iou_key(iou: float) -> str:
    """Return the key of an IoU threshold in the summaries, 'iou_0.50'."""
    return f"iou_{iou:.2f}"


def read_results(params: Params, root: Path) -> list[VariantResults]:
    """Read the results of every variant of the parameters, in their order.

    Raises AlfnetError, naming variant, file and the stage to run, where one is missing or not what was expected.
    """
    return [_read_variant(params, name, root) for name in params.variants]


def read_deployed(params: Params, root: Path) -> list[DeployedResults]:
    """Read what the stage `deploy` left, for the variants that it is asked for.

    Raises AlfnetError, naming the stage to run, where a file is missing or not what was expected.
    """
    found = []
    for name in params.deploy.variants:
        reports = []
        for seed in params.seeds:
            path = root / "deploy" / name / str(seed) / "report.json"
            reports.append((path, f"deploy@{name}-{seed}", _read(path, root, name, f"deploy@{name}-{seed}")))
        try:
            rates = {
                precision: _over_seeds([report["miss_rates"][precision] for _, _, report in reports])
                for precision in ("float32", "int8")
            }
            change = _over_seeds([report["change"] for _, _, report in reports])
            size = int(reports[0][2]["bytes"]["int8"])
            if not all(iou_key(iou) in row for row in (*rates.values(), change) for iou in (0.5, 0.75)):
                raise KeyError("iou")
        except (AttributeError, KeyError, TypeError, ValueError):
            path, stage, _ = reports[0]
            raise AlfnetError(
                f"{_shown(path.parents[1], root)}: its report.json files do not hold the miss rates of {name} in float32 "
                f"and int8; run: dvc repro -f {stage}"
            ) from None
        found.append(DeployedResults(name, params.deploy.format, rates, change, size))
    return found


def _over_seeds(reports: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """{"iou_0.50": {subset: number or None}} of every seed as {"iou_0.50": {subset: Sample or None}}."""
    merged: dict[str, Any] = {}
    for key, row in reports[0].items():
        values = {subset: tuple(report[key][subset] for report in reports) for subset in row}
        merged[key] = {
            subset: Sample(each) if any(value is not None for value in each) else None
            for subset, each in values.items()
        }
    return merged


def read_timings(params: Params, root: Path) -> dict[str, dict[str, Any]]:
    """Return what detection measured of its speed, timings/VARIANT/SEED.json, by variant: the first seed that has one.

    The keys are `seconds_per_image` and whatever else the detection wrote of machine and images.
    """
    timings: dict[str, dict[str, Any]] = {}
    for name in params.variants:
        for path in sorted((root / "timings" / name).glob("*.json"), key=lambda path: (len(path.stem), path.stem)):
            timing = read_json(path)
            if not isinstance(timing, dict) or not isinstance(timing.get("seconds_per_image"), int | float):
                raise AlfnetError(f"{_shown(path, root)}: no seconds_per_image in it; delete the file")
            timings.setdefault(name, timing)
    return timings


def _read_variant(params: Params, name: str, root: Path) -> VariantResults:
    settings = params.variant(name)
    path = root / "summaries" / name / "summary.json"
    summary = _read(path, root, name, f"summarise@{name}")
    try:
        seeds = tuple(int(seed) for seed in summary["seeds"])
        intervals = summary.get("intervals") or {}  # of an earlier version there may be none
        steps = {int(step): _samples(metrics, intervals.get(step)) for step, metrics in summary["steps"].items()}
        fusion = {key: _samples(metrics, intervals.get(key)) for key, metrics in (summary.get("fusion") or {}).items()}
        complete = (
            bool(seeds)
            and set(steps) == set(range(1, settings.steps + 1))
            and all(
                "reasonable" in metrics[iou_key(iou)]
                for metrics in [*steps.values(), *fusion.values()]
                for iou in (0.5, 0.75)
            )
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise AlfnetError(
            f"{_shown(path, root)}: does not hold the miss rates of variant {name} at test steps 1 to "
            f"{settings.steps}; run: dvc repro -f summarise@{name}"
        )
    expected = tuple(params.seeds[:1] if settings.weights else params.seeds)
    if seeds != expected:
        raise AlfnetError(
            f"{_shown(path, root)}: is of {_seeds(seeds)}, the parameters have {_seeds(expected)} in this order; run: dvc repro"
        )
    ground_truths, positives = _positives(name, seeds, root)
    return VariantResults(
        name=name,
        settings=settings,
        seeds=seeds,
        thresholds=as_pairs(params.thresholds(name)) if settings.weights is None or settings.thresholds else (),
        parameters=_parameters(root / "models" / name / str(seeds[0]) / "model.safetensors", root, name, seeds[0]),
        steps=dict(sorted(steps.items())),
        fusion=fusion,
        precision={
            int(step): {key: _sample(metrics[key]) for key in PRECISIONS if key in metrics}
            for step, metrics in sorted(summary["steps"].items(), key=lambda item: int(item[0]))
        },
        curves=_curves(root / "summaries" / name / "curves.csv", root, name),
        positives=positives,
        ground_truths=ground_truths,
        losses=_losses([root / "plots" / "training" / name / str(seed) for seed in seeds]),
    )


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _samples(metrics: dict[str, Any], intervals: dict[str, Any] | None) -> dict[str, Any]:
    """The miss rates of a test step, with their intervals: {"iou_0.50": {subset: Sample or None}, ...}."""
    return {
        key: {subset: _sample(stat, (intervals or {}).get(key, {}).get(subset)) for subset, stat in subsets.items()}
        for key, subsets in metrics.items()
        if key.startswith("iou_")
    }


def _sample(stat: Any, interval: Any = None) -> Sample | None:
    if stat is None:
        return None
    if interval is None:
        return Sample(tuple(stat["values"]))
    bounds = zip(interval["low"]["values"], interval["high"]["values"], strict=True)
    return Sample(tuple(stat["values"]), tuple(None if None in pair else pair for pair in bounds))


def _read(path: Path, root: Path, name: str, stage: str) -> Any:
    _expect(path, root, name, stage)
    return read_json(path)


def _expect(path: Path, root: Path, name: str, stage: str) -> None:
    if not path.is_file():
        raise AlfnetError(f"{_shown(path, root)}: no such file, variant {name} lacks it; run: dvc repro {stage}")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _parameters(path: Path, root: Path, name: str, seed: int) -> int:
    _expect(path, root, name, f"train@{name}-{seed}")
    _, description = read_weights(path, "detector")
    count = str(description.get("extra", {}).get(PARAMETERS_KEY))
    if not count.isdecimal():
        raise AlfnetError(
            f"{_shown(path, root)}: does not say how many parameters it has; run: dvc repro -f train@{name}-{seed}"
        )
    return int(count)


def _curves(path: Path, root: Path, name: str) -> dict[tuple[int, float, str], Band]:
    _expect(path, root, name, f"summarise@{name}")
    columns = ["test_step", "iou", "subset", "fppi", "mean", "low", "high"]
    try:
        table = pd.read_csv(path)[columns].astype({column: float for column in columns if column != "subset"})
    except (KeyError, TypeError, ValueError, pd.errors.ParserError) as error:
        raise AlfnetError(
            f"{_shown(path, root)}: not a table of {', '.join(columns)} ({error}); run: dvc repro -f summarise@{name}"
        ) from None
    return {
        (int(step), iou, subset): Band(*(tuple(part[column].tolist()) for column in columns[3:]))
        for (step, iou, subset), part in table.groupby(["test_step", "iou", "subset"], sort=False)
    }


def _positives(name: str, seeds: Sequence[int], root: Path) -> tuple[int, dict[str, list[Sample]]]:
    found: list[dict[str, Any]] = []
    for seed in seeds:
        path = root / "detections" / name / str(seed) / "positives.json"
        figures = _read(path, root, name, f"detect@{name}-{seed}")
        try:
            complete = figures["ground_truths"] >= 0 and all(
                len(figures[stage]["bins"]) == POSITIVE_BINS for stage in _stages(figures)
            )
        except (KeyError, TypeError):
            complete = False
        if not complete:
            raise AlfnetError(
                f"{_shown(path, root)}: does not hold the positives per step of variant {name}; run: dvc repro -f "
                f"detect@{name}-{seed}"
            )
        found.append(figures)
    stages = {
        stage: [Sample(tuple(figures[stage]["bins"][place] for figures in found)) for place in range(POSITIVE_BINS)]
        for stage in _stages(found[0])
    }
    return int(found[0]["ground_truths"]), stages


def _stages(figures: dict[str, Any]) -> list[str]:
    return ["default", *sorted((key for key in figures if key.startswith("step")), key=lambda key: int(key[4:]))]


def _losses(folders: Sequence[Path]) -> dict[str, Band]:
    """The series that DVCLive wrote, one folder per seed: a TSV file each, with the columns step and its own name."""
    found: dict[str, list[dict[float, float]]] = {}
    for folder in folders:
        for path in sorted(folder.rglob("*.tsv"), key=lambda path: path.relative_to(folder).as_posix()):
            with path.open(newline="") as file:
                reader = csv.DictReader(file, delimiter="\t")
                columns = [column for column in reader.fieldnames or () if column not in ("step", "timestamp")]
                rows = {float(row["step"]): float(row[columns[0]]) for row in reader} if columns else {}
            rows = {update: value for update, value in rows.items() if math.isfinite(value)}
            if rows:
                parts = path.relative_to(folder).with_suffix("").parts
                name = "/".join(parts[parts.index("metrics") + 1 :] if "metrics" in parts else parts)
                found.setdefault(name, []).append(rows)
    return {name: _band(rows) for name, rows in found.items()}


def _band(seeds: Sequence[dict[float, float]]) -> Band:
    shared = sorted(set.intersection(*(set(rows) for rows in seeds)))
    values = np.array([[rows[update] for update in shared] for rows in seeds])
    columns = (values.mean(axis=0), values.min(axis=0), values.max(axis=0))
    return Band(tuple(shared), *(tuple(column.tolist()) for column in columns))
