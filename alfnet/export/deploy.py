"""What a detector is worth as the files that are deployed: exported, quantised to int8, and both evaluated again."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alfnet.annotations.cache import CachedImage, load_fold
from alfnet.detection.detector import Detector
from alfnet.detection.results import ImageDetections, write_coco
from alfnet.detection.timing import doubts, measure
from alfnet.evaluation.evaluate import evaluate_columns
from alfnet.evaluation.protocol import find_protocol
from alfnet.evaluation.subsets import chosen_subsets
from alfnet.export.run import export_detector, spread
from alfnet.export.runtimes import OPEN
from alfnet.export.settings import SUFFIXES, ExportSettings, files_of
from alfnet.files import atomic_path, write_json
from alfnet.images import read_image
from alfnet.params import DeploySettings, DetectSettings, EvaluateSettings
from alfnet.progress import progress_report
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections

log = logging.getLogger(__name__)

PRECISIONS = ("float32", "int8")
_HEADLINE = "reasonable"


def deploy_variant(
    weights: Path,
    *,
    train_cache: Path,
    val_cache: Path,
    ground_truth: Path,
    folder: Path,
    size: tuple[int, int] | None,
    settings: DeploySettings,
    detect: DetectSettings,
    evaluate: EvaluateSettings,
    out: Path,
    metrics: Path,
    timings: Path,
    title: str,
    fold: int | None = None,
) -> None:
    """Export a detector in float32 and int8, and detect and evaluate with both files on the validation images.

    int8 is calibrated on training images. The miss rates and the times are of the same files, those in `out`.

    Args:
        weights: a model.safetensors.
        train_cache: the training images.
        val_cache: the validation images; names in both caches are relative to `folder`.
        ground_truth: of the validation images.
        folder: of the images.
        size: (height, width) of all images in pixels; None: they are of any size.
        settings: format of the files, number of calibration images.
        detect: from predictions to boxes.
        evaluate: IoU thresholds and protocol of the miss rates.
        out: the folder to write, whole or not at all: the files, their detections, and report.json (`report`).
        metrics: JSON for `dvc metrics` (`headline`).
        timings: JSON, per file its MD5 and what `alfnet.detection.timing.measure` says; it differs from run to run.
        title: for messages.
        fold: the part of a cross-validation that is tested.

    Raises:
        AlfnetError: an input is missing or not what it should be.
    """
    images = load_fold(val_cache, "val", fold)
    chosen = spread(load_fold(train_cache, "train", fold), settings.calibration_images)
    truth = read_ground_truth(ground_truth).of_fold(fold)
    padded = None if size is None else (-(-size[0] // 64) * 64, -(-size[1] // 64) * 64)
    rates: dict[str, Any] = {}
    measured: dict[str, Any] = {}
    sizes: dict[str, int] = {}
    with atomic_path(out) as temporary:
        temporary.mkdir(parents=True)
        for precision in PRECISIONS:
            file = temporary / f"{precision}{SUFFIXES[settings.format]}"
            export = ExportSettings(format=settings.format, size=padded, int8=precision == "int8")
            export_detector(weights, file, export, detect, calibration=[folder / image.file_name for image in chosen])
            detector = Detector(OPEN[settings.format](file, "cpu"), detect)
            listed = temporary / f"{precision}.json"
            write_coco(listed, _detect(detector, images, folder, f"{title}, {precision}"))
            evaluation = evaluate_columns(
                truth,
                read_detections(listed, truth),
                evaluate.iou,
                find_protocol(evaluate.protocol),
                subsets=chosen_subsets(evaluate.subsets),
            )
            rates[precision] = {key: evaluation.results[key] for key in evaluation.rates.percent}
            parts = files_of(file, settings.format)
            sizes[precision] = sum(part.stat().st_size for part in parts)
            measured[precision] = _timed(detector, images, folder) | {"md5": _md5(parts)}
        names = [image.file_name for image in chosen]
        write_json(temporary / "report.json", report(rates) | {"bytes": sizes, "calibrated_on": names}, indent=1)
    write_json(metrics, headline(rates), indent=2)
    write_json(timings, measured, indent=1)
    for precision, each in measured.items():
        if doubt := doubts(each):
            log.warning("%s, %s: the time per image is doubtful: %s", title, precision, doubt)
    print(f"{title}: {sentence(rates)}")


def report(rates: Mapping[str, Any]) -> dict[str, Any]:
    """{"miss_rates": {"float32", "int8"}, "change": {...}}, each {"iou_0.50": {subset: ...}, ...}.

    Miss rates are log-average ones in percent; a change is int8 less float32, in points; None where a subset has no ground
    truth.
    """
    change = {
        key: {subset: _less(rates["int8"][key][subset], value) for subset, value in row.items()}
        for key, row in rates["float32"].items()
    }
    return {"miss_rates": dict(rates), "change": change}


def headline(rates: Mapping[str, Any]) -> dict[str, float]:
    """{"int8_mr_50", "int8_change_50", ...}: miss rates in percent, changes in points, Reasonable."""
    found: dict[str, float] = {}
    for key, row in rates["int8"].items():
        change = _less(row[_HEADLINE], rates["float32"][key][_HEADLINE])
        if change is not None:
            name = key.removeprefix("iou_0.")
            found |= {f"int8_mr_{name}": row[_HEADLINE], f"int8_change_{name}": change}
    return found


def sentence(rates: Mapping[str, Any]) -> str:
    """The headline for people."""
    parts = []
    for key, row in rates["int8"].items():
        before, after = rates["float32"][key][_HEADLINE], row[_HEADLINE]
        if before is not None and after is not None:
            parts.append(f"{before:.2f} -> {after:.2f} % at IoU {key.removeprefix('iou_')}")
    return f"miss rate (Reasonable), float32 -> int8: {', '.join(parts) or 'no ground truth'}"


def _less(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else round(value - other, 6)


def _detect(detector: Detector, images: Sequence[CachedImage], folder: Path, title: str) -> list[ImageDetections]:
    found = []
    with progress_report(title, len(images)) as progress:
        for image in images:
            pixels = read_image(folder / image.file_name, (image.height, image.width))
            [selection] = detector.detect_batch(pixels[None])
            found.append(ImageDetections(image.id, selection.boxes.numpy(), selection.scores.numpy()))
            progress.update(len(found))
    return found


def _timed(detector: Detector, images: Sequence[CachedImage], folder: Path) -> dict[str, Any]:
    return measure(
        lambda image: detector.detect_batch(image[None]),
        (read_image(folder / image.file_name, (image.height, image.width)) for image in images),
        runs=detector.backend.name,
    )


def _md5(files: Sequence[Path]) -> list[str]:
    return [hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() for file in files]
