"""A data set whose images are scaled into frames of one size: from Penn-Fudan's zip, or a folder with COCO files.

The result is `images/NAME.png`, all of one size, and `annotations.json`, a COCO file of one category, for the stages to
read as `data.format: coco`. An image is shrunk to the frame (never enlarged), lies in its upper left, and the rest is grey
(the mean colour); boxes go with it.
"""

from __future__ import annotations

import posixpath
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.coco import read_coco
from alfnet.annotations.images import AnnotatedImage
from alfnet.annotations.pennfudan import read_pennfudan
from alfnet.annotations.training_cache import plain_number
from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, write_bytes, write_json
from alfnet.images import decode_image, encode_png, read_image, shrink_to_frame
from alfnet.params import PrepareSettings
from alfnet.preparation.fetch import fetch, file_fault, local_path

_DECIMALS = 3  # of a scaled coordinate
_ARCHIVE_BYTES = 2**31  # of all files of an archive, unpacked
_TEXT_BYTES = 2**20


@dataclass(frozen=True)
class _Entry:
    """An image with its annotations, not decoded yet."""

    annotated: AnnotatedImage
    read: Callable[[], np.ndarray]


def prepare(
    settings: PrepareSettings,
    out: Path,
    *,
    downloads: Path,
    progress: Callable[[int, int | None], None] | None = None,
) -> dict[str, int]:
    """Make the data set of `settings` in the folder `out`, whole or not at all; return the numbers of images and people.

    `downloads` keeps a fetched archive. Raises AlfnetError for a source that cannot be had or is another than expected.
    """
    entries = _entries(settings, downloads, progress)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    with atomic_path(out) as temporary:
        (temporary / "images").mkdir(parents=True)
        for entry in entries:
            annotated = entry.annotated
            name = prepared_name(annotated.file_name)
            if name in {image["file_name"] for image in images}:
                raise AlfnetError(f"{settings.url}: two images would be called {name}; give them names of their own")
            framed, scale = shrink_to_frame(entry.read(), settings.height, settings.width)
            write_bytes(temporary / "images" / name, encode_png(framed))
            images.append(
                {"id": len(images) + 1, "file_name": name, "height": settings.height, "width": settings.width}
            )
            rows = zip(annotated.boxes, annotated.visible, annotated.pedestrian, annotated.crowd, strict=True)
            for box, visible, pedestrian, crowd in rows:
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": 1,
                        "bbox": _scaled(box, scale),
                        "vis_bbox": _scaled(visible, scale),
                        "iscrowd": int(crowd),
                        "ignore": int(not pedestrian),
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "person"}]}
        write_json(temporary / "annotations.json", content)
    return {"images": len(images), "people": sum(not one["ignore"] for one in annotations)}


def prepared_name(file_name: str) -> str:
    """What an image is called in the prepared data set: a PNG, with folders in its name."""
    return f"{file_name.rsplit('.', 1)[0].replace('/', '_')}.png"


def _scaled(box: np.ndarray, scale: float) -> list[int | float]:
    return [plain_number(round(value * scale, _DECIMALS)) for value in box.tolist()]


def _entries(
    settings: PrepareSettings, downloads: Path, progress: Callable[[int, int | None], None] | None
) -> Iterator[_Entry]:
    source = local_path(settings.url)
    if source is not None and not source.exists():
        raise AlfnetError(f"{source}: no such file or folder; correct prepare.<name>.url")
    if settings.format == "coco":
        if source is None:
            raise AlfnetError(
                f"{settings.url}: a COCO file was expected, file:///path/to/file.json, or a folder of them with images"
            )
        if source.is_file() and (fault := file_fault(source, settings.bytes, settings.md5)) is not None:
            raise AlfnetError(
                f"{source}: {fault}: it has changed; look at it and take it anew with: alfnet data check FILE --images FOLDER "
                "--use, or correct bytes and md5 of prepare.<name>"
            )
        return _coco_entries(source, settings.images, settings.category)
    if source is None:
        source = fetch(settings.url, downloads, expected_bytes=settings.bytes, md5=settings.md5, progress=progress)
    return _pennfudan_entries(source)


def _coco_entries(source: Path, images_folder: str | None, category: str | None) -> Iterator[_Entry]:
    folder = source if source.is_dir() else source.parent
    files = sorted(folder.glob("*.json")) if source.is_dir() else [source]
    if not files:
        raise AlfnetError(f"{folder}: no COCO files (*.json) in this folder")
    images = folder / "images" if (folder / "images").is_dir() else folder
    if images_folder is not None:
        images = Path(images_folder)
    annotated = [image for file in files for image in read_coco(file, category)]
    for image in sorted(annotated, key=lambda one: one.file_name):
        yield _Entry(image, _reader(images / image.file_name, (image.height, image.width)))


def _reader(path: Path, size: tuple[int, int]) -> Callable[[], np.ndarray]:
    return lambda: read_image(path, size)


def _pennfudan_entries(source: Path) -> Iterator[_Entry]:
    """The photographs of PennFudanPed.zip, or of the folder that it unpacks to."""
    if source.is_dir():
        folder = source / "PennFudanPed" if (source / "PennFudanPed").is_dir() else source
        for image in read_pennfudan(folder / "Annotation"):
            yield _Entry(image, _reader(folder / "PNGImages" / image.file_name, (image.height, image.width)))
        return
    try:
        archive = zipfile.ZipFile(source)
    except (zipfile.BadZipFile, OSError) as error:
        raise AlfnetError(f"{source}: not a whole zip archive ({error}); copy or fetch it again") from None
    with archive, tempfile.TemporaryDirectory(prefix="alfnet-") as temporary:
        if sum(entry.file_size for entry in archive.infolist()) > _ARCHIVE_BYTES:
            raise AlfnetError(f"{source}: unpacks to more than {_ARCHIVE_BYTES >> 30} GiB; PennFudanPed.zip has 54 MB")
        texts = Path(temporary) / "Annotation"
        texts.mkdir()
        entries: dict[str, str] = {}
        for entry in archive.infolist():
            parent, name = posixpath.split(entry.filename)
            kind = posixpath.basename(parent)
            if kind == "Annotation" and name.endswith(".txt") and entry.file_size <= _TEXT_BYTES:
                (texts / posixpath.basename(name)).write_bytes(_content(archive, entry.filename, source))
            elif kind == "PNGImages" and name.endswith(".png"):
                entries[name] = entry.filename
        for image in read_pennfudan(texts):
            if image.file_name not in entries:
                raise AlfnetError(f"{source}: PNGImages/{image.file_name} is not in it; copy or fetch it again")
            content = _content(archive, entries[image.file_name], source)
            yield _Entry(image, _decoder(content, f"{source}/{image.file_name}", (image.height, image.width)))


def _decoder(content: bytes, name: str, size: tuple[int, int]) -> Callable[[], np.ndarray]:
    return lambda: decode_image(content, name, size)


def _content(archive: zipfile.ZipFile, name: str, source: Path) -> bytes:
    try:
        with archive.open(name) as file:
            return file.read()
    except (zipfile.BadZipFile, zlib.error, OSError, EOFError, NotImplementedError, RuntimeError) as error:
        raise AlfnetError(f"{source}: {name} in it is damaged ({error}); copy or fetch it again") from None
