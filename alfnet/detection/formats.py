"""Image files of kinds that are not read: told by their first bytes or their ending, so that a message can name the kind."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.images import decode_image, read_image

_SIGNATURES = {
    b"\x00\x00\x00\x0cjP  \r\n\x87\n": "JPEG 2000",
    b"\xff\x4f\xff\x51": "JPEG 2000",
    b"\x00\x00\x00\x0cJXL \r\n\x87\n": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"8BPS": "Photoshop",
    b"%PDF-": "PDF",
    b"FUJIFILMCCD-RAW": "RAW",
    b"IIRO": "RAW",
    b"IIU\0": "RAW",
    b"v/1\x01": "OpenEXR",
}
_SUFFIXES = {
    "JPEG 2000": (".jp2", ".j2k", ".jpf", ".jpx", ".j2c"),
    "JPEG XL": (".jxl",),
    "RAW": (".cr2", ".cr3", ".nef", ".arw", ".dng", ".orf", ".raf", ".rw2", ".pef", ".srw", ".raw"),
    "Photoshop": (".psd", ".psb"),
    "SVG": (".svg", ".svgz"),
    "HEIC": (".heic", ".heif", ".hif"),
}


def unread_kind(start: bytes, name: str) -> str | None:
    """The kind of an image file that is not read, by its first 32 bytes and else its ending; None for any other."""
    for signature, kind in _SIGNATURES.items():
        if start.startswith(signature):
            return kind
    if start[4:12] == b"ftypcrx ":
        return "RAW"
    suffix = Path(name).suffix.lower()
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def read_or_name(path: str | os.PathLike[str]) -> np.ndarray:
    """`read_image`; the error of a file of a kind that is not read says which it is, and to convert it."""
    try:
        return read_image(path)
    except AlfnetError as error:
        try:
            with open(path, "rb") as file:
                start = file.read(32)
        except (OSError, ValueError):
            raise error from None
        raise name_kind(error, start, os.fspath(path)) from None


def decode_or_name(content: bytes, name: str) -> np.ndarray:
    """`decode_image` likewise."""
    try:
        return decode_image(content, name)
    except AlfnetError as error:
        raise name_kind(error, content[:32], name) from None


def name_kind(error: AlfnetError, start: bytes, name: str) -> AlfnetError:
    """The error to raise of a file with these first bytes: another than `error` where that could not tell what it is."""
    kind = unread_kind(start, name) if "not readable as an image" in str(error) else None
    if kind is None:
        return error
    return AlfnetError(f"{name}: the format {kind} is not read; convert the image to PNG or JPEG")
