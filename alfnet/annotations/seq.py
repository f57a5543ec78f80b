"""Caltech's videos, setXX/VYYY.seq (Norpix): JPEG frames one after another, taken out as they are, not encoded again.

Little-endian. 1,024 bytes of header: 0xFEED, "Norpix seq" in UTF-16, version 3; at byte 548 nine uint32: width, height,
bit depth, real bit depth, image bytes, image format (102 or 201: JPEG), number of frames (0: read to the end), 0, true
image size. Then per frame a uint32 n, n - 4 bytes of JPEG, a time stamp, and padding: 8 or 16 bytes after the JPEG, the
same throughout a file.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alfnet.errors import AlfnetError
from alfnet.files import write_bytes

_HEADER_BYTES = 1024
_JPEG_FORMATS = (102, 201)
_REMEDY = "a .seq video of the Caltech pedestrians was expected; copy it again"


@dataclass(frozen=True)
class SeqHeader:
    """What a video says of itself."""

    width: int
    height: int
    frames: int
    """0: not said."""
    trailer_bytes: int
    """Between one JPEG and the next frame: 8 or 16."""


@dataclass(frozen=True)
class SeqFrame:
    """A frame: its JPEG bytes as they are in the file, and its time in seconds (with milliseconds)."""

    jpeg: bytes
    offset: int
    """Of the frame in the file."""
    seconds: float


def read_seq_header(path: Path) -> SeqHeader:
    """Read and check a video's header. Raises AlfnetError, naming the file, for another format."""
    with _open(path) as file:
        header = file.read(_HEADER_BYTES)
        if len(header) < _HEADER_BYTES or header[:4] != b"\xed\xfe\x00\x00":
            raise AlfnetError(f"{path}: the file's mark 0xFEED or its header of 1,024 bytes is missing; {_REMEDY}")
        if header[4:24] != "Norpix seq".encode("utf-16-le"):
            raise AlfnetError(f"{path}: the name 'Norpix seq' is missing in the header; {_REMEDY}")
        width, height, _, _, _, kind, frames, _, _ = struct.unpack_from("<9I", header, 548)
        if kind not in _JPEG_FORMATS:
            raise AlfnetError(f"{path}: frames of format {kind}, JPEG (102 or 201) was expected; {_REMEDY}")
        first = file.read(4)
        if len(first) < 4:
            return SeqHeader(width, height, frames, 8)
        (size,) = struct.unpack("<I", first)
        file.seek(_HEADER_BYTES + size + 8)
        # The long trailer is filled with zeros, where the short one is followed by the next frame's size.
        after = file.read(4)
        return SeqHeader(width, height, frames, 16 if after == bytes(4) else 8)


def read_seq_frames(path: Path, wanted: range | None = None) -> Iterator[tuple[int, SeqFrame]]:
    """Yield frames with their numbers from 0, those of `wanted` (None: all), without reading the others.

    Raises AlfnetError, naming file and frame, where the file breaks off.
    """
    header = read_seq_header(path)
    size_of_file = path.stat().st_size
    with _open(path) as file:
        at, number = _HEADER_BYTES, 0
        while (number < header.frames) if header.frames else (at < size_of_file):
            file.seek(at)
            mark = file.read(4)
            size = struct.unpack("<I", mark)[0] if len(mark) == 4 else 0
            if size < 4 or at + size > size_of_file:
                of = f" of {header.frames}" if header.frames else ""
                raise AlfnetError(f"{path}: the file breaks off in frame {number}{of}; {_REMEDY}")
            if wanted is None or number in wanted:
                jpeg = file.read(size - 4)
                if not jpeg.startswith(b"\xff\xd8"):
                    raise AlfnetError(f"{path}: frame {number} is no JPEG; {_REMEDY}")
                stamp = file.read(6)
                seconds = 0.0
                if len(stamp) == 6:
                    whole, thousandths = struct.unpack("<IH", stamp)
                    seconds = whole + thousandths / 1000
                yield number, SeqFrame(jpeg, at, seconds)
            at += size + header.trailer_bytes
            number += 1


def extract_frames(path: Path, out: Path, every: int) -> int:
    """Write every `every`-th frame of setXX/VYYY.seq (the last of each row: 29, 59, ... of 30) to `out`; return how many.

    Files are called setXX_VYYY_IZZZZZ.jpg, the frame counted from 0, and hold the video's own bytes. Those that are there
    with the same size are kept, so that an interrupted run goes on.
    """
    written = 0
    for number, frame in read_seq_frames(path, range(every - 1, 10**6, every)):
        target = out / f"{path.parent.name}_{path.stem}_I{number:05}.jpg"
        if not target.is_file() or target.stat().st_size != len(frame.jpeg):
            write_bytes(target, frame.jpeg)
            written += 1
    return written


def _open(path: Path) -> IO[bytes]:
    try:
        return open(path, "rb")
    except OSError as error:
        raise AlfnetError(f"{path}: {os.strerror(error.errno or 0)}; {_REMEDY}") from None
