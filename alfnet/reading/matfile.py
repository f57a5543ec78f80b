"""MATLAB 5 files as far as annotations need them: numbers, texts, cells and structs, read without MATLAB or scipy.

Every size in the file is checked against what is there before anything is allocated, and the depth is bounded, so that a
damaged or hostile file gives one message.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError

_MATRIX, _COMPRESSED = 14, 15
_NUMBERS = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_TEXTS = {1: "utf-8", 2: "utf-8", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_CELL, _STRUCT, _CHAR, _NUMERIC = 1, 2, 4, range(6, 16)
_DEEPEST = 32
_LARGEST = 2**28
_MOST_ELEMENTS = 5_000_000


class _DamageError(Exception):
    """What is wrong with the bytes."""


def read_matlab(path: Path, content: bytes) -> dict[str, Any]:
    """Return the variables of a MATLAB 5 file by name.

    Numbers become arrays in MATLAB's shape, texts str, cells lists of their values, structs lists of dictionaries (one
    per element, also where there is one); lists are in MATLAB's order, by column. Raises AlfnetError for another format
    (MATLAB 7.3's is HDF5) and for damage.
    """
    if content.startswith(b"MATLAB 7.3") or content.startswith(b"\x89HDF"):
        raise AlfnetError(f"{path}: is a MATLAB 7.3 file; save it in MATLAB with: save('...', '-v7')")
    if len(content) < 128 or content[126:128] not in (b"IM", b"MI"):
        raise AlfnetError(f"{path}: is no MATLAB 5 file (expected a header of 128 bytes); copy it again")
    reader = _Reader("<" if content[126:128] == b"IM" else ">")
    try:
        return reader.variables(memoryview(content)[128:])
    except (_DamageError, struct.error, zlib.error, ValueError, OverflowError, MemoryError) as error:
        raise AlfnetError(f"{path}: a damaged MATLAB file ({error}); copy it again") from None


class _Reader:
    def __init__(self, order: str) -> None:
        self.order = order
        self.elements = 0

    def variables(self, content: memoryview) -> dict[str, Any]:
        found: dict[str, Any] = {}
        position = 0
        while position + 8 <= len(content):
            kind, data, position = self.element(content, position)
            if kind == _COMPRESSED:
                unpacker = zlib.decompressobj()
                unpacked = unpacker.decompress(bytes(data), _LARGEST)
                if unpacker.unconsumed_tail or not unpacker.eof:
                    raise _DamageError("a compressed part is cut short, or far too large")
                kind, data, _ = self.element(memoryview(unpacked), 0)
            if kind == _MATRIX and len(data):
                name, value = self.matrix(data, 0)
                found[name] = value
        return found

    def element(self, content: memoryview, position: int) -> tuple[int, memoryview, int]:
        """Type and data of the element at a position, and the position of the next one."""
        if position + 8 > len(content):
            raise _DamageError("it ends within an element")
        (first,) = struct.unpack_from(self.order + "I", content, position)
        if first >> 16:  # a small element holds up to four bytes in its tag
            size = first >> 16
            if size > 4:
                raise _DamageError("a small element of more than four bytes")
            return first & 0xFFFF, content[position + 4 : position + 4 + size], position + 8
        (size,) = struct.unpack_from(self.order + "I", content, position + 4)
        end = position + 8 + size
        if end > len(content):
            raise _DamageError(f"it ends within an element of {size} bytes")
        following = end if first == _COMPRESSED else end + -size % 8
        return first, content[position + 8 : end], following

    def matrix(self, data: memoryview, depth: int) -> tuple[str, Any]:
        self.elements += 1
        if depth > _DEEPEST:
            raise _DamageError(f"nested more than {_DEEPEST} deep")
        if self.elements > _MOST_ELEMENTS:
            raise _DamageError(f"more than {_MOST_ELEMENTS} values")
        if not len(data):
            return "", np.empty((0, 0))
        _, flags, position = self.element(data, 0)
        if len(flags) < 4:
            raise _DamageError("an array without flags")
        (flag,) = struct.unpack_from(self.order + "I", flags, 0)
        _, sizes, position = self.element(data, position)
        shape = tuple(np.frombuffer(sizes, self.order + "i4").tolist())
        if len(shape) < 2 or len(shape) > 8 or min(shape) < 0:
            raise _DamageError(f"an array of shape {shape[:8]}")
        _, name, position = self.element(data, position)
        return bytes(name).decode("utf-8", "replace"), self.value(data, position, flag, shape, depth)

    def value(self, data: memoryview, position: int, flag: int, shape: tuple[int, ...], depth: int) -> Any:
        kind, count = flag & 0xFF, math.prod(shape)
        if kind in (_CELL, _STRUCT) and count > len(data) // 8 + 1:
            raise _DamageError(f"{count} values announced, more than there is room for")
        if kind == _CELL:
            values = []
            for _ in range(count):
                value, position = self.inner(data, position, depth)
                values.append(value)
            return values
        if kind == _STRUCT:
            _, length, position = self.element(data, position)
            _, names, position = self.element(data, position)
            (width,) = struct.unpack_from(self.order + "i", length, 0)
            if not 1 <= width <= 256:
                raise _DamageError(f"field names of {width} bytes")
            fields = [
                bytes(names[i : i + width]).partition(b"\0")[0].decode("utf-8", "replace")
                for i in range(0, len(names), width)
            ]
            rows: list[dict[str, Any]] = []
            for _ in range(count):
                row = {}
                for field in fields:
                    row[field], position = self.inner(data, position, depth)
                rows.append(row)
            return rows
        stored, values_data, _ = self.element(data, position)
        if kind == _CHAR:
            order = {"<": "-le", ">": "-be"}[self.order]
            coding = _TEXTS.get(stored, "utf-8")
            return bytes(values_data).decode(coding + (order if coding != "utf-8" else ""), "replace")
        if kind in _NUMERIC and stored in _NUMBERS:
            numbers = np.frombuffer(values_data, self.order + _NUMBERS[stored])
            if len(numbers) != count:
                raise _DamageError(f"{len(numbers)} numbers in an array of shape {shape}")
            return numbers.astype(np.float64).reshape(shape, order="F")
        raise _DamageError(f"a value of kind {kind}, which annotations do not have")

    def inner(self, data: memoryview, position: int, depth: int) -> tuple[Any, int]:
        kind, content, position = self.element(data, position)
        if kind != _MATRIX:
            raise _DamageError(f"an element of type {kind} instead of an array")
        return self.matrix(content, depth + 1)[1], position
