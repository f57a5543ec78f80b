"""Reading images strictly, and writing PNG files of the same bytes for the same pixels.

A reader that shows what it can makes half an image of a damaged file, with a grey rest and at most a word on stderr. Here
a file is whole or refused. The size is read from the header first, so that a file which announces more pixels than memory
holds is refused before it is decoded. PNG: the checksums of all chunks are compared. JPEG, which has none: libjpeg's
warnings are errors (simplejpeg), and a progressive file must hold all its scans.
"""

from __future__ import annotations

import io
import logging
import os
import re
import struct
import warnings
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np

from alfnet.errors import AlfnetError
from alfnet.files import write_bytes

if TYPE_CHECKING:
    from PIL import ImageFile

MEAN_COLOUR = (104, 117, 124)
"""B G R, the network's channel means in whole numbers: what stands where an image ends before a crop or frame does."""

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".gif", ".avif",
    ".heic", ".heif",
)  # fmt: skip

MAX_PIXELS = 200_000_000
"""Of one image: 600 MB decoded. The largest cameras of phones make images of 199.8 million pixels."""

MAX_BYTES = 2**31
"""Of one image file."""

log = logging.getLogger(__name__)

Format = Literal["PNG", "JPEG", "BMP", "WEBP", "TIFF", "PPM", "GIF", "AVIF", "HEIF"]

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_HEIF_BRANDS = {b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}
_EXIF_ORIENTATION = 0x0112
_DEFLATE_RATIO = 1032  # zlib packs no better
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_START_OF_FRAME = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
# Behind a scan's header: a marker, not a stuffed 0 byte, a restart or a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_EXTRANEOUS = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_ZEROS = bytes(24)
_COPY = "copy or make this image again"
_OTHER_DEPTH = "give an image of 8 or 16 bits per channel"


def read_image(path: str | os.PathLike[str], expected_size: tuple[int, int] | None = None) -> np.ndarray:
    """Read an image as uint8 (H, W, 3), channels B G R.

    Grey and palette images get three channels, 16 bits become 8, an alpha channel is left out, CMYK is converted; a
    rotation noted in the file's EXIF data is applied. Of an animated file the first frame is taken, and logged.

    Args:
        path: PNG, JPEG, BMP, WebP, TIFF, PPM, GIF or AVIF; HEIC where the package pillow_heif is installed.
        expected_size: (height, width) in pixels that the image must have; None takes any.

    Raises:
        AlfnetError: the file is missing, empty, cut short, damaged, no image, too large, or of another size.
    """
    return decode_image(_read(path), str(path), expected_size)


def decode_image(content: bytes, name: str, expected_size: tuple[int, int] | None = None) -> np.ndarray:
    """Decode the bytes of an image file as `read_image` does; `name` stands for it in messages."""
    header = _checked_header(content, name)
    if expected_size is not None and header.size != tuple(expected_size):
        raise AlfnetError(
            f"{name}: the image is {header.size[1]} x {header.size[0]} px, "
            f"{expected_size[1]} x {expected_size[0]} was expected (width x height); "
            "are these the images that the annotations belong to?"
        )
    if header.format == "PNG":
        image = _decode_opencv(content)
    elif header.format == "JPEG":
        image = _decode_jpeg(content, header, name)
    else:
        image = _decode_other(content, header, name)
    if image is None or image.shape[:2] != header.size:
        raise AlfnetError(f"{name}: this {header.format} file is damaged; {_COPY}")
    return image


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of the image that `read_image` would give, from the header alone.

    Raises AlfnetError where the file is missing, empty, no image or too large. Damage behind the header is not seen.
    """
    return _checked_header(_read(path, most=2**20), str(path), whole=False).size


def write_png(path: str | os.PathLike[str], image: np.ndarray, *, compression: int = 4) -> None:
    """Write `image`, uint8 (H, W, 3) B G R or (H, W) grey, as a PNG file, whole or not at all.

    The bytes depend on the pixels and `compression` (zlib's level, 0 fast to 9 small) alone: no dates, no names.
    """
    write_bytes(path, encode_png(image, compression=compression))


def encode_png(image: np.ndarray, *, compression: int = 4) -> bytes:
    """Return the bytes that `write_png` writes."""
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or image.size == 0:
        raise ValueError(f"an image of uint8 (H, W, 3) or (H, W) was expected, not {image.dtype} {image.shape}")
    # Both are stated since OpenCV's defaults differ between versions.
    options = [cv2.IMWRITE_PNG_COMPRESSION, compression, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_FILTERED]
    done, encoded = cv2.imencode(".png", np.ascontiguousarray(image), options)
    if not done:
        raise AlfnetError(f"OpenCV could not encode an image of {image.shape} as PNG")
    return encoded.tobytes()


def shrink_to_frame(image: np.ndarray, height: int, width: int) -> tuple[np.ndarray, float]:
    """Put an image (H, W, 3) into a frame of height x width px: shrunk where it is larger, upper left, the rest grey.

    Returns the frame and the factor by which coordinates are to be multiplied, at most 1.
    """
    scale = min(1.0, height / image.shape[0], width / image.shape[1])
    framed = np.empty((height, width, 3), np.uint8)
    framed[:] = MEAN_COLOUR
    if scale < 1:
        size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    framed[: image.shape[0], : image.shape[1]] = image
    return framed, scale


def looks_like_image(start: bytes) -> bool:
    """Whether a file whose first 16 bytes or more are `start` is in one of the formats that are read."""
    return _format(start) is not None


@dataclass(frozen=True)
class _Header:
    format: Format
    size: tuple[int, int]
    """(height, width) after the rotation that EXIF data ask for."""
    orientation: int = 1
    """EXIF's, 1 to 8."""
    cmyk: bool = False
    opened: ImageFile.ImageFile | None = None
    """Pillow's view of formats other than PNG and JPEG."""


def _read(path: str | os.PathLike[str], most: int = MAX_BYTES) -> bytes:
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > MAX_BYTES:
                raise AlfnetError(f"{path}: larger than {MAX_BYTES / 2**30:.0f} GiB; an image was expected")
            return file.read(min(size, most))  # a read makes room for all that it is asked for
    except FileNotFoundError:
        raise AlfnetError(
            f"{path}: no such image; put it there, or correct the folder or name that was given"
        ) from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder, an image was expected") from None
    except ValueError:  # a NUL character
        raise AlfnetError(f"{os.fspath(path)!r}: not possible as a file name") from None
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read ({error.strerror}); check its permissions") from None


def _format(start: bytes) -> Format | None:
    if start.startswith(_PNG_SIGNATURE):
        return "PNG"
    if start.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if start[:4] == b"RIFF" and start[8:12] == b"WEBP":
        return "WEBP"
    if start[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    if start[:6] in (b"GIF87a", b"GIF89a"):
        return "GIF"
    if start[:2] == b"BM" and len(start) >= 14:
        return "BMP"
    if len(start) > 2 and start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace():
        return "PPM"
    if start[4:8] == b"ftyp":
        brand = start[8:12]
        if brand in (b"avif", b"avis"):
            return "AVIF"
        if brand in _HEIF_BRANDS:
            return "HEIF"
    return None


def _checked_header(content: bytes, name: str, *, whole: bool = True) -> _Header:
    """What the header says; AlfnetError for what can be told without decoding. `whole`: `content` is the whole file."""
    if not content:
        raise AlfnetError(f"{name}: the file is empty; {_COPY}")
    kind = _format(content)
    if kind is None:
        raise AlfnetError(
            f"{name}: not readable as an image; give a PNG or JPEG file, or copy it again if it should be one"
        )
    if kind == "PNG":
        header = _png_header(content, name, whole)
    elif kind == "JPEG":
        header = _jpeg_header(content, name, whole)
    else:
        header = _other_header(content, kind, name, whole)
    height, width = header.size
    if height * width > MAX_PIXELS:
        raise AlfnetError(
            f"{name}: {width} x {height} px; more than {MAX_PIXELS // 1_000_000} million pixels are not read at once: "
            "cut the image into parts"
        )
    return header


def _png_header(content: bytes, name: str, whole: bool) -> _Header:
    if len(content) < 33 or content[12:16] != b"IHDR":
        raise AlfnetError(f"{name}: this PNG file was cut short; {_COPY}")
    width, height, depth, colour = struct.unpack_from(">IIBB", content, 16)
    if zlib.crc32(content[12:29]) != struct.unpack_from(">I", content, 29)[0] or 0 in (width, height):
        raise AlfnetError(f"{name}: this PNG file is damaged (a checksum does not match); {_COPY}")
    if height * width > MAX_PIXELS:  # before the rest is looked at
        return _Header("PNG", (height, width))
    orientation, packed = 1, 0
    view = memoryview(content)
    position = len(_PNG_SIGNATURE)
    while position + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, position)
        end = position + 12 + length
        if end > len(content) or (not whole and kind == b"IDAT"):
            break
        (checksum,) = struct.unpack_from(">I", content, end - 4)
        if zlib.crc32(view[position + 4 : end - 4]) != checksum:
            raise AlfnetError(f"{name}: this PNG file is damaged (a checksum does not match); {_COPY}")
        if kind == b"IDAT":
            packed += length
        elif kind == b"eXIf":
            orientation = _orientation(content[position + 8 : end - 4])
        elif kind == b"IEND":
            # Rows are whole bytes, and have one byte in front. Interlaced files are a little larger.
            row = 1 + -(-width * depth * _PNG_CHANNELS.get(colour, 1) // 8)
            if (packed + 1) * _DEFLATE_RATIO < height * row:
                raise AlfnetError(f"{name}: this PNG file is damaged (it holds less than its size announces); {_COPY}")
            return _Header("PNG", _turned((height, width), orientation), orientation)
        elif kind == b"acTL" and whole:
            log.warning("%s: an animated PNG; its first frame is taken", name)
        position = end
    if whole:
        raise AlfnetError(f"{name}: this PNG file was cut short; {_COPY}")
    return _Header("PNG", _turned((height, width), orientation), orientation)


def _jpeg_header(content: bytes, name: str, whole: bool) -> _Header:
    """Walk the segments: the size, the orientation, and whether a progressive file holds all of its scans."""
    size, orientation, progressive = None, 1, False
    components: list[int] = []
    zeros_possible = True
    precision: dict[tuple[int, int], int] = {}  # of each (component, coefficient) the lowest bit that was sent
    position = 2
    while position + 4 <= len(content):
        if content[position] != 0xFF:
            break
        marker = content[position + 1]
        if marker == 0xFF:  # fill
            position += 1
            continue
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            position += 2
            continue
        (length,) = struct.unpack_from(">H", content, position + 2)
        body = content[position + 4 : position + 2 + length]
        position += 2 + length
        if marker in _START_OF_FRAME and len(body) >= 6:
            height, width, number = struct.unpack_from(">HHB", body, 1)
            size, progressive = (height, width), marker in _PROGRESSIVE
            components = [body[6 + 3 * index] for index in range(number) if 6 + 3 * index < len(body)]
        elif marker == 0xE1 and body.startswith(b"Exif\0\0"):
            orientation = _orientation(body[6:])
        elif marker == 0xC4:
            zeros_possible &= _zeros_end_blocks(body)
        elif marker == 0xDA:
            interleaved = body[:1] == bytes([len(components)])
            if whole and interleaved and not (progressive or zeros_possible) and _holds_zeros(content, position):
                raise AlfnetError(f"{name}: this JPEG file is damaged (a part of it was replaced by zeros); {_COPY}")
            if not (progressive and whole) or not body or len(body) < 4 + 2 * body[0]:
                break
            number = body[0]
            first, last, bits = body[1 + 2 * number : 4 + 2 * number]
            for index in range(number):
                for coefficient in range(first, min(last, 63) + 1):
                    precision[body[1 + 2 * index], coefficient] = bits & 15
            behind = _MARKER.search(content, position)
            if behind is None:
                break
            position = behind.start()
    if size is None or 0 in size:
        raise AlfnetError(f"{name}: this JPEG file was cut short or is damaged; {_COPY}")
    if progressive and whole and size[0] * size[1] <= MAX_PIXELS:
        lacking = [1 for c in components for k in range(64) if precision.get((c, k), 1) != 0]
        if lacking:
            raise AlfnetError(f"{name}: this JPEG file was cut short (its last scans are missing); {_COPY}")
    return _Header("JPEG", _turned(size, orientation), orientation, cmyk=len(components) == 4)


def _zeros_end_blocks(tables: bytes) -> bool:
    """Whether zero bits mean "the rest of this block is 0" in every table of coefficients of a DHT segment's body.

    Only then can a whole image, a very flat one, hold a long run of zero bytes in a scan of all its components.
    """
    position = 0
    while position + 17 <= len(tables):
        counts = tables[position + 1 : position + 17]
        symbols = tables[position + 17 : position + 17 + sum(counts)]
        if tables[position] >> 4 == 1 and symbols[:1] != b"\0":  # the first symbol has the code of zeros alone
            return False
        position += 17 + sum(counts)
    return True


def _holds_zeros(content: bytes, scan: int) -> bool:
    """Whether the scan that begins at `scan` holds a run of zero bytes: what a copy puts for a part it could not read."""
    zeros = content.find(_ZEROS, scan)
    if zeros == -1:
        return False
    end = _MARKER.search(content, scan)
    return end is None or zeros < end.start()


def _other_header(content: bytes, kind: Format, name: str, whole: bool) -> _Header:
    from PIL import Image

    Image.init()
    if kind == "HEIF":
        try:
            import pillow_heif  # type: ignore[import-not-found, unused-ignore]
        except ImportError:
            raise AlfnetError(
                f"{name}: a HEIC photograph; install pillow-heif (pip install pillow-heif), or save it as JPEG"
            ) from None
        pillow_heif.register_heif_opener()
    try:
        with warnings.catch_warnings(action="ignore"):
            # Not Image.open, whose limit of pixels is the process's: ours is checked by the caller.
            opened = Image.OPEN[kind][0](io.BytesIO(content), "")
            width, height = opened.size
            # Of the others Pillow has turned what has a rotation.
            orientation = int(opened.getexif().get(_EXIF_ORIENTATION, 1)) if kind == "WEBP" else 1
    except Exception as error:  # whatever a decoder raises on foreign bytes
        if "unknown pixel mode" in str(error):
            raise AlfnetError(f"{name}: pixels of a kind that is not read; {_OTHER_DEPTH}") from None
        raise AlfnetError(f"{name}: this {kind} file was cut short or is damaged ({error}); {_COPY}") from None
    orientation = orientation if 1 <= orientation <= 8 else 1
    if whole and kind in ("GIF", "WEBP", "AVIF", "TIFF") and _is_animated(opened):
        log.warning("%s: holds several %s; the first is taken", name, "pages" if kind == "TIFF" else "frames")
    return _Header(kind, _turned((height, width), orientation), orientation, cmyk=opened.mode == "CMYK", opened=opened)


def _is_animated(opened: ImageFile.ImageFile) -> bool:
    try:
        return bool(getattr(opened, "is_animated", False))
    except Exception:  # damage further behind; the first frame may be whole
        return False


def _orientation(exif: bytes) -> int:
    from PIL import Image

    parsed = Image.Exif()
    try:
        parsed.load(exif)
        value = int(parsed.get(_EXIF_ORIENTATION, 1))
    except Exception:  # EXIF data that are no EXIF data: the image itself may be whole
        return 1
    return value if 1 <= value <= 8 else 1


def _turned(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    return size[::-1] if orientation >= 5 else size


def _turn(image: np.ndarray, orientation: int) -> np.ndarray:
    """Apply an EXIF orientation to the pixels as they are stored."""
    if orientation >= 5:
        image = image.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        image = image[:, ::-1]
    if orientation in (3, 4, 7, 8):
        image = image[::-1]
    return np.ascontiguousarray(image)


def _decode_jpeg(content: bytes, header: _Header, name: str) -> np.ndarray | None:
    import simplejpeg

    space = "CMYK" if header.cmyk else "BGR"
    try:
        image = simplejpeg.decode_jpeg(content, space)
    except ValueError as error:
        message = str(error)
        # Some cameras pad the last scan; all of the image has been decoded by then. Other bytes there are a sign of a loss.
        extra = _EXTRANEOUS.search(message)
        if extra is None or not _is_padding(content, int(extra[1])):
            what = "was cut short" if "end of" in message.lower() else "is damaged"
            raise AlfnetError(f"{name}: this JPEG file {what} ({message}); {_COPY}") from None
        image = simplejpeg.decode_jpeg(content, space, strict=False)
    if header.cmyk:  # Pillow knows which programs store it inverted
        image = _pillow_bgr(_open_pillow("JPEG", content))
    return _turn(image, header.orientation)


def _is_padding(content: bytes, count: int) -> bool:
    end = content.find(b"\xff\xd9")
    while end != -1:
        if set(content[max(0, end - count) : end]) in ({0}, {0xFF}):
            return True
        end = content.find(b"\xff\xd9", end + 1)
    return False


def _decode_other(content: bytes, header: _Header, name: str) -> np.ndarray | None:
    """Formats without a path of their own: Pillow, which reports damage, but OpenCV for what Pillow has not in 16 bits."""
    opened = header.opened
    if opened is None or opened.mode == "F" or (opened.mode == "I" and header.format == "TIFF"):
        raise AlfnetError(f"{name}: holds numbers of 32 bits; {_OTHER_DEPTH}")
    if header.format in ("BMP", "PPM") or opened.mode.startswith("I"):
        return _decode_opencv(content)
    try:
        with warnings.catch_warnings(action="ignore"):
            return _turn(_pillow_bgr(opened), header.orientation)
    except Exception:  # whatever a decoder raises on foreign bytes
        return None


def _open_pillow(kind: Format, content: bytes) -> ImageFile.ImageFile:
    from PIL import Image

    Image.init()
    return Image.OPEN[kind][0](io.BytesIO(content), "")


def _pillow_bgr(opened: ImageFile.ImageFile) -> np.ndarray:
    return np.ascontiguousarray(np.asarray(opened.convert("RGB"))[..., ::-1])


def _decode_opencv(content: bytes) -> np.ndarray | None:
    """The image in a file's bytes, or None; without OpenCV's own messages on stderr, which name no file."""
    level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error:  # e.g. a header that announces more pixels than OpenCV takes
        return None
    finally:
        cv2.utils.logging.setLogLevel(level)
