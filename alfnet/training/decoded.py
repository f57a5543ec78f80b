"""The decoded training images as one flat file of bytes, so that a sample reads its crop from disk and decodes nothing.

The file is written once for a list of images and serves all trainings on them: variants, seeds, processes, and copies of
the project that share the scratch folder. It is found by the images' identity (`image_identity`), holds the
very pixels that `read_image` gives, and can be deleted at any time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sys
import zlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.cache import CachedImage
from alfnet.errors import AlfnetError
from alfnet.images import read_image
from alfnet.progress import progress_report
from alfnet.training.image_identity import image_identity

SPARE = 2**28  # bytes that are left free on the disk


class DecodedImages:
    """The decoded images of a list, read from one file; looked up by their position in the list."""

    def __init__(self, path: Path, images: Sequence[CachedImage]) -> None:
        """`path` is a file that `decode_images` has written for `images`."""
        self.path = path
        self._shapes = [(image.height, image.width, 3) for image in images]
        self._starts = _starts(images)
        self._bytes: np.ndarray | None = None

    def __getitem__(self, index: int) -> np.ndarray:
        """Return an image, uint8 (H, W, 3) B G R, that is read from the disk where it is touched; not to be written to."""
        if self._bytes is None:
            self._bytes = np.memmap(self.path, np.uint8, "r")
        start, end = self._starts[index : index + 2]
        return self._bytes[start:end].reshape(self._shapes[index])

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes, which map the file themselves."""
        return {**self.__dict__, "_bytes": None}


def decode_images(images: Sequence[CachedImage], folder: Path, store: Path) -> DecodedImages:
    """Write the decoded `images`, whose names are relative to `folder`, to a file in the folder `store`, unless it is there.

    Announces the size first. A process that was killed is taken over where it stopped; where another one is at it, this
    one waits. What was written is read back and compared before it is used, and again when the file has been touched.

    Raises AlfnetError where the disk has not the space, or an image is missing, damaged or of another size.
    """
    store.mkdir(parents=True, exist_ok=True)
    key = _identity(images, folder)
    data, done, verified = (store / f"{key}.{ending}" for ending in ("images", "done", "verified"))
    with open(store / f"{key}.lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            print(f"{data}: another process decodes these images; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not _is_verified(data, verified):
            _write(images, folder, data, done)
            verified.write_text(json.dumps(_stamp(data)))
    return DecodedImages(data, images)


def _write(images: Sequence[CachedImage], folder: Path, data: Path, done: Path) -> None:
    starts = _starts(images)
    size = starts[-1]
    free = shutil.disk_usage(data.parent).free + (data.stat().st_blocks * 512 if data.exists() else 0)
    if size + SPARE > free:
        raise AlfnetError(
            f"{data}: {len(images)} decoded images take {_gigabytes(size)}, and {_gigabytes(free)} are free there; "
            "free some, name another disk in ALFNET_SCRATCH, or set machine.decoded_images to false"
        )
    descriptor = os.open(data, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        os.posix_fallocate(descriptor, 0, size)
        os.truncate(descriptor, size)
        checksums = _checksums(done)

        def missing(index: int) -> bool:
            start, end = starts[index : index + 2]
            return zlib.crc32(os.pread(descriptor, end - start, start)) != checksums.get(index)

        def write(index: int) -> tuple[int, int]:
            image = images[index]
            pixels = read_image(folder / image.file_name, expected_size=(image.height, image.width))
            os.pwrite(descriptor, np.ascontiguousarray(pixels).data.cast("B"), starts[index])
            return index, zlib.crc32(np.ascontiguousarray(pixels).data.cast("B"))

        left = [index for index in range(len(images)) if missing(index)]
        if left:
            print(f"{data}: decoding {len(left)} images, {_gigabytes(size)} on disk", file=sys.stderr, flush=True)
        threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        # A few images at a time, so that an error or Ctrl-C ends it at once.
        with progress_report("decode images", len(left)) as report, ThreadPoolExecutor(threads) as pool:
            for begin in range(0, len(left), 4 * threads):
                written = list(pool.map(write, left[begin : begin + 4 * threads]))
                os.fdatasync(descriptor)  # before it is noted as done
                with open(done, "a") as file:
                    file.writelines(f"{index} {checksum}\n" for index, checksum in written)
                checksums |= dict(written)
                report.update(min(begin + 4 * threads, len(left)))
        damaged = [index for index in left if missing(index)]
    finally:
        os.close(descriptor)
    if damaged:
        raise AlfnetError(
            f"{data}: {len(damaged)} images read back are not what was written; the disk is faulty: name another one in "
            "ALFNET_SCRATCH, or set machine.decoded_images to false"
        )


def _checksums(done: Path) -> dict[int, int]:
    """The checksums noted so far; a line that was cut short counts for nothing."""
    if not done.exists():
        return {}
    lines = [line.split() for line in done.read_text().splitlines()]
    return {int(line[0]): int(line[1]) for line in lines if len(line) == 2 and all(part.isdecimal() for part in line)}


def _is_verified(data: Path, verified: Path) -> bool:
    try:
        return bool(json.loads(verified.read_text()) == _stamp(data))
    except (OSError, ValueError):
        return False


def _stamp(data: Path) -> list[int]:
    found = data.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ino]


def _starts(images: Sequence[CachedImage]) -> list[int]:
    starts = [0]
    for image in images:
        starts.append(starts[-1] + image.height * image.width * 3)
    return starts


def _identity(images: Sequence[CachedImage], folder: Path) -> str:
    """Stands for the images' pixels, wherever and under whatever names they lie."""
    digest = hashlib.sha256()
    for image in images:
        digest.update(f"{image_identity(folder / image.file_name)} {image.height} {image.width} ".encode())
    return digest.hexdigest()[:24]


def _gigabytes(number: int) -> str:
    return f"{number / 1e9:.1f} GB"
