"""MATLAB files of versions 5 to 7 (CityPersons' annotations, Caltech's .vbb), read without MATLAB or SciPy.

Every size in a file is checked against what is there before anything is allocated, and depth, number of elements and
unpacked size are bounded: a damaged or hostile file ends in one message. Format: MathWorks, "MAT-File Format", version 5.
"""

from __future__ import annotations

import math
import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError

# The real files unpack to at most 3 MB, and nest a matrix in a struct in a cell.
_UNPACKED_BYTES = 128 * 2**20
_DEPTH = 8
_ELEMENTS = 2_000_000

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMERIC, _OPAQUE = 1, 2, 4, range(6, 16), 17
_OTHERS = {3: "MATLAB object", 5: "sparse matrix", 16: "MATLAB function", _OPAQUE: "MATLAB object"}
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_COMPLEX = 0x800
_LONGEST_NAME = 256


@dataclass(frozen=True)
class Other:
    """A value that annotation files do not have; its kind is kept for messages."""

    kind: str


class _DamageError(Exception):
    """What is wrong with the elements of a file."""


def load_mat(path: str | os.PathLike[str], remedy: str) -> dict[str, Any]:
    """Return the variables of a MATLAB file in MATLAB's shapes: what `scipy.io.loadmat` gives.

    Numbers are arrays of the type that they are stored in, texts arrays of one str per row, cells object arrays, structs
    structured ones; what annotations do not have (sparse matrices, functions) is an `Other`. `remedy` ends every message.

    Raises AlfnetError for a missing file, another format (said which, where it is known), a file that is cut short or
    damaged, and one that asks for more than such a file can need.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; {remedy}") from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder, a .mat file was expected; {remedy}") from None
    what = recognise(content)
    if what is not None:
        raise AlfnetError(f"{path}: {what}, not a .mat file; {remedy}")
    if content.startswith(b"MATLAB 7.3") or content[512:520] == b"\x89HDF\r\n\x1a\n":
        raise AlfnetError(
            f"{path}: a MATLAB 7.3 (HDF5) file, version 5 to 7 was expected; {remedy}, or save it in MATLAB with -v7"
        )
    try:
        if len(content) < _HEADER_BYTES:
            raise _DamageError("shorter than the header of 128 bytes")
        order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
        if order is None:
            raise _DamageError("the header's mark IM is missing")
        return _Reader(order).variables(memoryview(content)[_HEADER_BYTES:])
    except (_DamageError, struct.error, zlib.error, ValueError, OverflowError, MemoryError) as error:
        raise AlfnetError(
            f"{path}: not a whole .mat file ({len(content)} bytes; {error}); was it cut short? {remedy}"
        ) from None


def recognise(content: bytes) -> str | None:
    """Say what a file's first bytes show it to be, where that is a usual other format; None for what may be a .mat."""
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, meaning in _SIGNATURES.items():
        if content.startswith(signature):
            return meaning
    if start.startswith((b"{", b"[")):
        return _recognise_json(content, start)
    if start.startswith(b"% bbGt"):
        return "Caltech's annotation text of one image (give its folder, and data.format: caltech, or --format caltech)"
    if start[:15].lower().startswith((b"<!doctype html", b"<html")):
        return "a web page (a download that asked for a login, or ended in an error?)"
    if content and not content.startswith(b"MATLAB") and not set(content[:4096]) & _NO_TEXT:
        return "a text file"
    return None


_NO_TEXT = set(range(32)) - set(b"\t\n\v\f\r\x1b")


_SIGNATURES = {
    b"PK\x03\x04": "a zip archive (unpack it first)",
    b"\x1f\x8b": "a gzip file (unpack it first)",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\xed\xfe\x00\x00": "a video of Caltech (.seq)",
    b"\x89HDF": "an HDF5 file",
    b"\x93NUMPY": "a numpy file",
    b"version https://git-lfs": "a Git LFS pointer (fetch the file itself with: git lfs pull)",
}


def _recognise_json(content: bytes, start: bytes) -> str:
    # By keys rather than by parsing: the file may be large, or of one JSON value per line.
    if b'"gtboxes"' in content[: 2**16]:
        return "CrowdHuman's annotations (.odgt; use data.format: crowdhuman, or --format crowdhuman)"
    if b'"bboxVis"' in content[: 2**16] or (b'"objects"' in start and b'"imgHeight"' in content):
        return "CityPersons' JSON of one image (give the folder that holds the split's JSON files, e.g. gtBboxCityPersons/val)"
    if b'"children"' in start and b'"identity"' in content[: 2**16]:
        return "EuroCity's JSON of one image (give its folder, and data.format: eurocity, or --format eurocity)"
    if b'"annotations"' in content and b'"images"' in content:
        return "a COCO annotation file (use data.format: coco, or --format coco)"
    return "a JSON file"


class _Reader:
    """Steps through the elements of a file: each is a type, a size and its data; a matrix' data are elements again."""

    def __init__(self, order: str) -> None:
        self.order = order
        self.tag = struct.Struct(order + "II")
        self.elements = 0

    def variables(self, content: memoryview) -> dict[str, Any]:
        """The variables of a whole file, without its header."""
        variables: dict[str, Any] = {}
        position, room = 0, _UNPACKED_BYTES
        while position < len(content):
            kind, data, position = self.element(content, position)
            if kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                unpacked = unpacker.decompress(data, room + 1)
                room -= len(unpacked)
                if room < 0:
                    raise _DamageError(f"it unpacks to more than {_UNPACKED_BYTES >> 20} MiB")
                if not unpacker.eof:
                    raise _DamageError("the compressed data breaks off")
                kind, data, _ = self.element(memoryview(unpacked), 0)
            if kind == _MATRIX and len(data):
                name, value = self.matrix(data, 1)
                variables[name] = value
        return variables

    def element(self, content: memoryview, position: int) -> tuple[int, memoryview, int]:
        """Type and data of the element at a position, and the position of the next one."""
        self.elements += 1
        if self.elements > _ELEMENTS:
            raise _DamageError(f"it holds more than {_ELEMENTS} elements")
        if position + 8 > len(content):
            raise _DamageError("the last element has no whole tag")
        kind, size = self.tag.unpack_from(content, position)
        if kind >> 16:  # up to 4 bytes, stored within the tag
            kind, size = kind & 0xFFFF, kind >> 16
            if size > 4:
                raise _DamageError(f"a small element of {size} bytes")
            return kind, content[position + 4 : position + 4 + size], position + 8
        start = position + 8
        if start + size > len(content):
            raise _DamageError(f"{size} bytes are announced and {len(content) - start} are there")
        # Compressed variables are not padded to 8 bytes.
        following = start + size + (0 if kind == _COMPRESSED else -size % 8)
        return kind, content[start : start + size], following

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        """Name and value of a matrix: flags, sides and name, then what depends on its class."""
        if depth > _DEPTH:
            raise _DamageError(f"cells are nested more than {_DEPTH} deep")
        if not len(data):
            return "", np.empty((0, 0))
        _, flags, position = self.element(data, 0)
        (flag,) = struct.unpack_from(self.order + "I", flags, 0)
        if flag & 0xFF == _OPAQUE:  # it has no sides
            return bytes(self.element(data, position)[1]).decode("latin-1"), Other(_OTHERS[_OPAQUE])
        _, sides, position = self.element(data, position)
        shape = tuple(np.frombuffer(sides, self.order + "i4").tolist())
        if not 2 <= len(shape) <= 8 or min(shape) < 0:
            raise _DamageError(f"a matrix has a side of {min(shape)}" if shape else "a matrix has no sides")
        _, name, position = self.element(data, position)
        return bytes(name).decode("latin-1"), self.value(data, position, flag, shape, depth)

    def value(self, data: memoryview, position: int, flag: int, shape: tuple[int, ...], depth: int) -> Any:
        kind, count = flag & 0xFF, math.prod(shape)
        if kind in _OTHERS:
            return Other(_OTHERS[kind])
        if kind in (_CELL, _STRUCT):
            # Each needs bytes of its own: a few bytes cannot announce a billion of them.
            if count * 8 > len(data) and count > 1:
                raise _DamageError(f"{count} cells are announced in {len(data)} bytes")
            if kind == _CELL:
                return _shaped(self.inner(data, position, count, depth)[0], shape, None)
            return self.struct(data, position, shape, depth)
        stored, part, position = self.element(data, position)
        if kind == _CHAR and stored in _TEXTS:
            coding = _TEXTS[stored] + ({"<": "-le", ">": "-be"}[self.order] if stored in (4, 17, 18) else "")
            text = bytes(part).decode(coding, "replace")
            if len(text) != count:
                raise _DamageError(f"{len(text)} characters in a text of {count}")
            rows = np.array(list(text), dtype=np.str_).reshape(shape[0], -1, order="F") if count else np.empty((0, 0))
            return np.array(["".join(row) for row in rows], dtype=np.str_)
        if kind in _NUMERIC and stored in _NUMBERS:
            if flag & _COMPLEX:
                return Other("complex matrix")
            numbers = np.frombuffer(part, self.order + _NUMBERS[stored])
            if len(numbers) != count:
                raise _DamageError(f"{len(numbers)} numbers in a matrix of {count}")
            return numbers.reshape(shape, order="F")
        raise _DamageError(f"a matrix of class {kind} with values of type {stored}")

    def struct(self, data: memoryview, position: int, shape: tuple[int, ...], depth: int) -> np.ndarray:
        """An array of structs, as one with a field of objects for each of theirs."""
        _, length, position = self.element(data, position)
        _, names, position = self.element(data, position)
        (width,) = struct.unpack_from(self.order + "i", length, 0)
        if not 1 <= width <= _LONGEST_NAME:
            raise _DamageError(f"field names of {width} bytes")
        fields = [
            bytes(names[start : start + width]).partition(b"\0")[0].decode("latin-1")
            for start in range(0, len(names), width)
        ]
        values = []
        for _ in range(math.prod(shape)):
            row, position = self.inner(data, position, len(fields), depth)
            values.append(tuple(row))
        return _shaped(values, shape, np.dtype([(field, object) for field in fields]))

    def inner(self, data: memoryview, position: int, count: int, depth: int) -> tuple[list[Any], int]:
        """The matrices in a cell or struct, and where they end."""
        values = []
        for _ in range(count):
            kind, content, position = self.element(data, position)
            if kind != _MATRIX:
                raise _DamageError(f"an element of type {kind} where a matrix was expected")
            values.append(self.matrix(content, depth + 1)[1])
        return values, position


def _shaped(values: list[Any], shape: tuple[int, ...], dtype: np.dtype | None) -> np.ndarray:
    """Values in MATLAB's order, by column, as an array of objects or of records."""
    array = np.empty(len(values), dtype=object if dtype is None else dtype)
    for index, value in enumerate(values):
        array[index] = value
    return array.reshape(shape, order="F")
