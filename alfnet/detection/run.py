"""Detection over a split of the data set."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from alfnet.annotations.cache import CachedImage, load_fold
from alfnet.detection.detector import Detector, StepDetections, sum_positives
from alfnet.detection.results import ImageDetections, write_coco, write_text
from alfnet.detection.timing import doubts, measure
from alfnet.files import atomic_path, write_json
from alfnet.images import read_image
from alfnet.params import DetectSettings
from alfnet.progress import progress_report

log = logging.getLogger(__name__)

TIMED_SECONDS = 2.0
"""How long images are timed, after the detections: fifteen times in `make repro`, and other jobs run beside it."""


def detect_split(
    weights: Path,
    cache: Path,
    folder: Path,
    settings: DetectSettings,
    *,
    accelerator: str,
    out: Path,
    timings: Path,
    title: str,
    fold: int | None = None,
) -> None:
    """Detect on all images of a val cache (or of one fold of it), whose file names are relative to `folder`.

    Writes the folder `out`, whole or not at all: step1.json and .txt, ... (every test step), fusion/C1B1.json, ... and
    positives.json; image ids are the cache's. `timings` gets the seconds per image, from the image in memory to its final
    boxes, of a second pass, with the machine and how busy it was (`alfnet.detection.timing`).
    """
    images = load_fold(cache, "val", fold)
    detector = Detector.of_variant(weights, settings, accelerator)
    found: list[StepDetections] = []
    with progress_report(title, len(images)) as report:
        for image in images:
            found.append(detector.all_steps(_read(folder, image), fusion=True, ground_truth=image.pedestrians))
            report.update(len(found))
    ids = [image.id for image in images]
    with atomic_path(out) as temporary:
        (temporary / "fusion").mkdir(parents=True)
        for step in range(len(found[0].steps)):
            listed = [_image_detections(i, *each.steps[step]) for i, each in zip(ids, found, strict=True)]
            write_coco(temporary / f"step{step + 1}.json", listed)
            write_text(temporary / f"step{step + 1}.txt", listed)
        for name in found[0].fusion:
            fused = [_image_detections(i, *each.fusion[name]) for i, each in zip(ids, found, strict=True)]
            write_coco(temporary / "fusion" / f"{name}.json", fused)
        ground_truths = sum(len(image.pedestrians) for image in images)
        write_json(temporary / "positives.json", sum_positives(found, ground_truths), indent=1)

    measured = measure(
        lambda image: detector.detect_batch(image[None]),
        (_read(folder, image) for image in images),
        runs=f"{detector.backend.name}, {torch.get_num_threads()} threads",
        seconds=TIMED_SECONDS,
    )
    write_json(timings, measured, indent=1)
    if doubt := doubts(measured):
        log.warning("%s: the time per image is doubtful: %s", title, doubt)


def detect_last_step(
    weights: Path, images: Sequence[CachedImage], folder: Path, settings: DetectSettings, *, accelerator: str
) -> list[ImageDetections]:
    """What the last step of the detector `weights` finds in `images` of a cache, whose names are relative to `folder`."""
    detector = Detector.of_variant(weights, settings, accelerator)
    return [_image_detections(image.id, *detector.detect_batch(_read(folder, image)[None])[0]) for image in images]


def _read(folder: Path, image: CachedImage) -> np.ndarray:
    return read_image(folder / image.file_name, (image.height, image.width))


def _image_detections(image_id: int, boxes: Tensor, scores: Tensor) -> ImageDetections:
    return ImageDetections(image_id, boxes.numpy(), scores.numpy())
