"""Reading pictures strictly, and writing PNG files of the same bytes for the same pixels.

OpenCV decodes a picture that was cut short into one with a grey rest and says so at most on stderr, so the file is
checked before it is decoded: PNG by the checksums of all its chunks, JPEG by its end marker.
"""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np

from alfnet.errors import AlfnetError
from alfnet.files import write_bytes

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_JPEG_START = b"\xff\xd8\xff"
_JPEG_END = b"\xff\xd9"


def read_image(path: str | os.PathLike[str], expected_size: tuple[int, int] | None = None) -> np.ndarray:
    """Read a picture as uint8 (H, W, 3), channels B G R.

    Grey pictures get three equal channels, 16 bits become 8, an alpha channel is left out; a rotation noted in the
    file's EXIF data is applied.

    Args:
        path: a file in one of OpenCV's formats (PNG, JPEG, BMP, WebP, TIFF, PPM).
        expected_size: (height, width) in pixels that the picture must have; None takes any.

    Raises:
        AlfnetError: the file is missing, empty, cut short, damaged, no picture, or of another size.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AlfnetError(
            f"{path}: no such picture; put it there, or correct the folder or name that was given"
        ) from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder, a picture was expected") from None
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None
    fault = _fault(content)
    if fault:
        raise AlfnetError(f"{path}: {fault}; copy or make this picture again")
    image = _decode(content)
    if image is None:
        raise AlfnetError(
            f"{path}: not readable as a picture; give a PNG or JPEG file, or copy it again if it should be one"
        )
    if expected_size is not None and image.shape[:2] != tuple(expected_size):
        raise AlfnetError(
            f"{path}: the picture is {image.shape[1]} x {image.shape[0]} px, "
            f"{expected_size[1]} x {expected_size[0]} was expected (width x height); "
            "are these the pictures that the annotations belong to?"
        )
    return image


def write_png(path: str | os.PathLike[str], image: np.ndarray, *, compression: int = 4) -> None:
    """Write `image`, uint8 (H, W, 3) B G R or (H, W) grey, as a PNG file, whole or not at all.

    The bytes depend on the pixels and `compression` (zlib's level, 0 fast to 9 small) alone: no dates, no names.
    """
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"a picture of uint8 (H, W, 3) or (H, W) was expected, not {image.dtype} {image.shape}")
    # Both are stated since OpenCV's defaults differ between versions.
    options = [cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(image), options)
    if not done:
        raise AlfnetError(f"{path}: OpenCV could not encode the picture of {image.shape}")
    write_bytes(path, encoded.tobytes())


def _decode(content: bytes) -> np.ndarray | None:
    """The picture in a file's bytes, or None; without OpenCV's own messages on stderr, which name no file."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # e.g. a header that announces more pixels than OpenCV takes
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)


def _fault(content: bytes) -> str | None:
    """What is wrong with a picture file's bytes, if anything that can be told without decoding."""
    if not content:
        return "the file is empty"
    if content.startswith(_PNG_SIGNATURE):
        return _png_fault(content)
    if content.startswith(_JPEG_START) and _JPEG_END not in content[-4096:]:  # cameras may append some bytes
        return "this JPEG file was cut short"
    return None


def _png_fault(content: bytes) -> str | None:
    view = memoryview(content)
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content):
            break
        (checksum,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            return "this PNG file is damaged (a checksum does not match)"
        if kind == b"IEND":
            return None
        position = end
    return "this PNG file was cut short"
