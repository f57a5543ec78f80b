"""What the stages before the report left behind, read for every variant of the parameters."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.files import read_json
from alfnet.network.weight_files import read_weights
from alfnet.params import Params, VariantSettings
from alfnet.report.paper import Thresholds, as_pairs

Curve = tuple[tuple[float, ...], tuple[float, ...]]

# The parameter count in the extra entries of models/<variant>/model.safetensors.
PARAMETERS_KEY = "parameters"


@dataclass(frozen=True)
class VariantResults:
    """All that is known of one trained (or imported) detector."""

    name: str
    settings: VariantSettings
    thresholds: Thresholds
    parameters: int
    steps: dict[int, dict[str, Any]]
    """Per test step: {"iou_0.50": {subset: percent or None}, ..., "AP": ...}."""
    fusion: dict[str, dict[str, Any]]
    """Per combination of scores and boxes ("C1B1", ...): the same."""
    curves: dict[tuple[int, float, str], Curve]
    """Per test step, IoU and subset: false positives per image and miss rate, both as numbers (not percent)."""
    positives: dict[str, Any]
    """{"ground_truths": n, "default": {"total": n, "bins": [5]}, "step1": ...}: boxes with IoU >= 0.5."""
    losses: dict[str, Curve]
    """Per logged series: updates and values."""

    @property
    def last_step(self) -> int:
        """The last test step."""
        return max(self.steps)

    def miss_rate(self, step: int, iou: float, subset: str = "reasonable") -> float | None:
        """Return the log-average miss rate in percent, None where the subset has no ground truth."""
        value = self.steps[step][iou_key(iou)][subset]
        return None if value is None else float(value)

    def fusion_miss_rate(self, combination: str, iou: float, subset: str = "reasonable") -> float | None:
        """Return the same of a combination of scores and boxes."""
        value = self.fusion[combination][iou_key(iou)][subset]
        return None if value is None else float(value)


def iou_key(iou: float) -> str:
    """Return the key of an IoU threshold in results.json, 'iou_0.50'."""
    return f"iou_{iou:.2f}"


def read_results(params: Params, root: Path) -> list[VariantResults]:
    """Read the results of every variant of the parameters, in their order.

    Raises AlfnetError, naming variant, file and the stage to run, where one is missing or not what was expected.
    """
    return [_read_variant(params, name, root) for name in params.variants]


def read_timings(params: Params, root: Path) -> dict[str, float]:
    """Return the seconds per image that detection left in timings/<variant>.json, for variants with such a file."""
    timings: dict[str, float] = {}
    for name in params.variants:
        path = root / "timings" / name / f"{params.seeds[0]}.json"
        if path.is_file():
            try:
                timings[name] = float(read_json(path)["seconds_per_image"])
            except (KeyError, TypeError, ValueError):
                raise AlfnetError(f"{_shown(path, root)}: no seconds_per_image in it; delete the file") from None
    return timings


def _read_variant(params: Params, name: str, root: Path) -> VariantResults:
    settings = params.variant(name)
    first = str(params.seeds[0])
    results_path = root / "evaluation" / name / first / "results.json"
    results = _read(results_path, root, name, "evaluate")
    subsets_needed = [iou_key(0.5), iou_key(0.75)]
    try:
        steps = {int(step): metrics for step, metrics in results["steps"].items()}
        fusion = dict(results.get("fusion") or {})
        complete = set(steps) == set(range(1, settings.steps + 1)) and all(
            "reasonable" in metrics[key] for metrics in [*steps.values(), *fusion.values()] for key in subsets_needed
        )
    except (AttributeError, KeyError, TypeError, ValueError):
        complete = False
    if not complete:
        raise AlfnetError(
            f"{_shown(results_path, root)}: does not hold the miss rates of variant {name} at test steps 1 to "
            f"{settings.steps}; run: dvc repro evaluate@{name}"
        )
    return VariantResults(
        name=name,
        settings=settings,
        thresholds=as_pairs(params.thresholds(name)) if settings.weights is None or settings.thresholds else (),
        parameters=_parameters(root / "models" / name / first / "model.safetensors", root, name),
        steps=dict(sorted(steps.items())),
        fusion=fusion,
        curves=_curves(root / "evaluation" / name / first / "curves.csv", root, name),
        positives=_positives(root / "detections" / name / first / "positives.json", root, name),
        losses=_losses(root / "plots" / "training" / name / first),
    )


def _read(path: Path, root: Path, name: str, stage: str) -> Any:
    _expect(path, root, name, stage)
    return read_json(path)


def _expect(path: Path, root: Path, name: str, stage: str) -> None:
    if not path.is_file():
        raise AlfnetError(f"{_shown(path, root)}: no such file, variant {name} lacks it; run: dvc repro {stage}@{name}")


def _shown(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix()


def _parameters(path: Path, root: Path, name: str) -> int:
    _expect(path, root, name, "train")
    _, description = read_weights(path, "detector")
    count = str(description.get("extra", {}).get(PARAMETERS_KEY))
    if not count.isdecimal():
        raise AlfnetError(
            f"{_shown(path, root)}: does not say how many parameters it has; run: dvc repro -f train@{name}"
        )
    return int(count)


def _curves(path: Path, root: Path, name: str) -> dict[tuple[int, float, str], Curve]:
    _expect(path, root, name, "evaluate")
    points: dict[tuple[int, float, str], list[tuple[float, float]]] = {}
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                key = (int(row["test_step"]), float(row["iou"]), row["subset"])
                points.setdefault(key, []).append((float(row["fppi"]), float(row["miss_rate"])))
    except (KeyError, TypeError, ValueError) as error:
        raise AlfnetError(
            f"{_shown(path, root)}: not a table of test_step, iou, subset, fppi, miss_rate ({error!r}); "
            f"run: dvc repro -f evaluate@{name}"
        ) from None
    return {key: _unzip(values) for key, values in points.items()}


def _positives(path: Path, root: Path, name: str) -> dict[str, Any]:
    positives = _read(path, root, name, "detect")
    try:
        stages = [positives["default"], *(positives[key] for key in positives if key.startswith("step"))]
        complete = positives["ground_truths"] >= 0 and all(
            len(stage["bins"]) == 5 and stage["total"] >= 0 for stage in stages
        )
    except (KeyError, TypeError):
        complete = False
    if not complete:
        raise AlfnetError(
            f"{_shown(path, root)}: does not hold the positives per step of variant {name}; run: dvc repro -f "
            f"detect@{name}"
        )
    return positives


def _losses(folder: Path) -> dict[str, Curve]:
    """The series that DVCLive wrote: one TSV file each, with the columns step and the series' own name."""
    series: dict[str, Curve] = {}
    for path in sorted(folder.rglob("*.tsv"), key=lambda path: path.relative_to(folder).as_posix()):
        with path.open(newline="") as file:
            reader = csv.DictReader(file, delimiter="\t")
            columns = [column for column in reader.fieldnames or () if column not in ("step", "timestamp")]
            rows = [(float(row["step"]), float(row[columns[0]])) for row in reader] if columns else []
        if rows:
            parts = path.relative_to(folder).with_suffix("").parts
            series["/".join(parts[parts.index("metrics") + 1 :] if "metrics" in parts else parts)] = _unzip(rows)
    return series


def _unzip(points: Iterable[tuple[float, float]]) -> Curve:
    first, second = zip(*points, strict=True)
    return first, second
