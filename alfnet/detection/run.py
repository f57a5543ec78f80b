"""Detection over a split of the data set, or over pictures that somebody brings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from alfnet.annotations.cache import load_fold
from alfnet.detection.detector import Detector, PictureDetections, sum_positives
from alfnet.detection.drawing import draw_detections
from alfnet.detection.results import ImageDetections, write_coco, write_text
from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, write_json
from alfnet.images import IMAGE_SUFFIXES, read_image, write_png
from alfnet.network.alfnet import ALFNet
from alfnet.params import DetectSettings
from alfnet.progress import progress_report


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
    positives.json; image ids are the cache's. `timings` gets the seconds per image, network to final boxes.
    """
    images = load_fold(cache, "val", fold)
    detector = Detector(ALFNet.load(weights), settings, accelerator)
    found: list[PictureDetections] = []
    with progress_report(title, len(images)) as report:
        for image in images:
            picture = read_image(folder / image.file_name, (image.height, image.width))
            found.append(detector.detect(picture, fusion=True, ground_truth=image.pedestrians))
            report.update(len(found))
    ids = [image.id for image in images]
    with atomic_path(out) as temporary:
        (temporary / "fusion").mkdir(parents=True)
        for step in range(len(found[0].steps)):
            listed = [_image_detections(i, *picture.steps[step]) for i, picture in zip(ids, found, strict=True)]
            write_coco(temporary / f"step{step + 1}.json", listed)
            write_text(temporary / f"step{step + 1}.txt", listed)
        for name in found[0].fusion:
            fused = [_image_detections(i, *picture.fusion[name]) for i, picture in zip(ids, found, strict=True)]
            write_coco(temporary / "fusion" / f"{name}.json", fused)
        ground_truths = sum(len(image.pedestrians) for image in images)
        write_json(temporary / "positives.json", sum_positives(found, ground_truths), indent=1)
    # The first picture pays for memory and for choosing algorithms.
    seconds = np.median([picture.seconds for picture in found[1:] or found])
    write_json(timings, {"seconds_per_image": float(seconds), "images": len(found)}, indent=1)


def detect_pictures(
    weights: Path, pictures: Sequence[Path], settings: DetectSettings, *, accelerator: str, out: Path
) -> int:
    """Detect on picture files and on all pictures in folders; return the number of pictures.

    Writes to the folder `out`: detections.json (COCO results) and detections.txt (2018 format), whose image ids count the
    pictures from 1 in the order of images.json (COCO images), and every picture with its boxes, as PNG.
    Raises AlfnetError for a picture that is missing or unreadable, before anything is written over.
    """
    files = list(_picture_files(pictures))
    detector = Detector(ALFNet.load(weights), settings, accelerator)
    listed, images = [], []
    with atomic_path(out / "pictures") as drawn, progress_report("detect", len(files)) as report:
        drawn.mkdir(parents=True)
        for number, file in enumerate(files, start=1):
            picture = read_image(file)
            boxes, scores = detector.detect(picture).steps[-1]
            listed.append(_image_detections(number, boxes, scores))
            images.append({"id": number, "file_name": str(file), "height": picture.shape[0], "width": picture.shape[1]})
            write_png(drawn / f"{number:05d}_{file.stem}.png", draw_detections(picture, boxes.numpy(), scores.numpy()))
            report.update(number)
    write_coco(out / "detections.json", listed)
    write_text(out / "detections.txt", listed)
    write_json(out / "images.json", images, indent=1)
    return len(files)


def _picture_files(pictures: Iterable[Path]) -> Iterable[Path]:
    for path in pictures:
        if path.is_dir():
            inside = sorted(file for file in path.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
            if not inside:
                raise AlfnetError(f"{path}: no pictures in this folder (looked for {', '.join(IMAGE_SUFFIXES)})")
            yield from inside
        elif path.exists():
            yield path
        else:
            raise AlfnetError(f"{path}: no such picture or folder")


def _image_detections(image_id: int, boxes: Tensor, scores: Tensor) -> ImageDetections:
    return ImageDetections(image_id, boxes.numpy(), scores.numpy())
