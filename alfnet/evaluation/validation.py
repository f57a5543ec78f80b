"""Choosing among the weights that a training has kept, by the miss rate on the validation images."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Literal, NamedTuple

from alfnet.annotations.cache import load_fold
from alfnet.detection.results import write_coco
from alfnet.detection.run import detect_last_step
from alfnet.evaluation.miss_rate import evaluate, iou_key
from alfnet.evaluation.protocol import CITYPERSONS, find_protocol
from alfnet.network.file_origin import read_origin
from alfnet.params import DetectSettings
from alfnet.progress import progress_report
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections

IOU = 0.5


class Validated(NamedTuple):
    """Weights that a training has kept, and their miss rate in percent (Reasonable, IoU 0.5, last step)."""

    update: int
    weights: Path
    miss_rate: float | None
    """None where no ground truth counts."""


def validate(
    model: Path,
    cache: Path,
    ground_truth: Path,
    folder: Path,
    settings: DetectSettings,
    *,
    accelerator: str,
    title: str,
    fold: int | None = None,
    protocol: str = "citypersons",
    on_validated: Callable[[Validated], None] = lambda validated: None,
) -> list[Validated]:
    """Test the weights in snapshots/ beside the detector `model`, and `model` itself, which comes last.

    cache, folder, fold, accelerator: as for `alfnet.detection.run.detect_split`. ground_truth: of the same images.
    on_validated: called with each as soon as it is tested. Empty where the training kept no snapshots.
    """
    kept = sorted((model.parent / "snapshots").glob("*.safetensors"))
    if not kept:
        return []
    images = load_fold(cache, "val", fold)
    truth = read_ground_truth(ground_truth).of_fold(fold)
    rules, reasonable = find_protocol(protocol), CITYPERSONS.subsets[0]
    found: list[Validated] = []
    with progress_report(title, len(kept) + 1) as report, tempfile.TemporaryDirectory(prefix="alfnet-") as scratch:
        for weights in [*kept, model]:
            path = Path(scratch) / "step.json"
            write_coco(path, detect_last_step(weights, images, folder, settings, accelerator=accelerator))
            rates = evaluate(truth, read_detections(path, truth), [IOU], (reasonable,), rules)
            rate = rates.percent[iou_key(IOU)][reasonable.name]
            update = int(weights.stem) if weights != model else int(read_origin(model).get("updates", 0))
            found.append(Validated(update, weights, rate))
            on_validated(found[-1])
            report.update(len(found))
    return found


def choose(model: Path, validated: list[Validated], tested: Literal["last", "best"]) -> Path:
    """The weights to test: `model`, or with `best` those of the lowest miss rate, of equal ones the latest."""
    rated = [one for one in validated if one.miss_rate is not None]
    if tested == "last" or not rated:
        return model
    return min(reversed(rated), key=lambda one: one.miss_rate or 0.0).weights
