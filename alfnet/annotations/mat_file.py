"""MATLAB files of versions 5 to 7 (CityPersons' annotations, Caltech's .vbb), read where a damaged one can do no harm.

The file's elements are walked first: lengths, depth and unpacked size are checked in milliseconds. What passes is read
by SciPy in a child process with limits on memory and processor time, so that a crash of its reader becomes a message.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zlib
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError

# The real files unpack to at most 3 MB, and nest a matrix in a struct in a cell.
_UNPACKED_BYTES = 128 * 2**20
_DEPTH = 8
_ELEMENTS = 2_000_000

_MEMORY_BYTES = 2**30
# Processor time: to start takes half a second; a file of a megabyte takes another.
_SECONDS, _SECONDS_PER_MEGABYTE = 2, 2

_HEADER_BYTES = 128
_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _OBJECT = 1, 2, 3


def load_mat(path: str | os.PathLike[str], remedy: str) -> dict[str, np.ndarray]:
    """Return the variables of a MATLAB file as SciPy gives them: cells as object arrays, structs as structured ones.

    `remedy` ends every message. Raises AlfnetError for a missing file, another format (said which, where it is known),
    a file that is cut short or damaged, and one that asks for more than such a file can need.
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
        _walk_file(content)
    except _DamageError as error:
        raise AlfnetError(
            f"{path}: not a whole .mat file ({len(content)} bytes; {error}); was it cut short? {remedy}"
        ) from None
    return _read_in_child(path, content, remedy)


def recognise(content: bytes) -> str | None:
    """Say what a file's first bytes show it to be, where that is a usual other format; None for what may be a .mat."""
    start = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    for signature, meaning in _SIGNATURES.items():
        if content.startswith(signature):
            return meaning
    if start.startswith((b"{", b"[")):
        return _recognise_json(content, start)
    if start.startswith(b"% bbGt"):
        return "Caltech's annotation text of one image (give its folder, and data.format: caltech)"
    return None


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
        return "CrowdHuman's annotations (.odgt; use data.format: crowdhuman)"
    if b'"bboxVis"' in content[: 2**16] or (b'"objects"' in start and b'"imgHeight"' in content):
        return "CityPersons' JSON of one image (give the folder that holds the split's JSON files, e.g. gtBboxCityPersons/val)"
    if b'"children"' in start and b'"identity"' in content[: 2**16]:
        return "EuroCity's JSON of one image (give its folder, and data.format: eurocity)"
    if b'"annotations"' in content and b'"images"' in content:
        return "a COCO annotation file (use data.format: coco)"
    return "a JSON file"


class _DamageError(Exception):
    """What is wrong with the elements of a file."""


def _walk_file(content: bytes) -> None:
    """Check header and elements of a whole file (MathWorks, "MAT-File Format", version 5). Raises _DamageError."""
    if len(content) < _HEADER_BYTES:
        raise _DamageError("shorter than the header of 128 bytes")
    order = {b"IM": "<", b"MI": ">"}.get(content[126:128])
    if order is None:
        raise _DamageError("the header's mark IM is missing")
    at, unpacked, elements = _HEADER_BYTES, 0, 0
    while at < len(content):
        if at + 8 > len(content):
            raise _DamageError("the last element has no whole tag")
        kind, size = struct.unpack_from(order + "II", content, at)
        at += 8
        if kind == _COMPRESSED:
            # Compressed variables are not padded to 8 bytes.
            unpack, packed = zlib.decompressobj(), content[at : at + size]
            if len(packed) < size:
                raise _DamageError(f"{size} bytes are announced and {len(packed)} are there")
            try:
                element = unpack.decompress(packed, _UNPACKED_BYTES - unpacked + 1)
            except zlib.error as error:
                raise _DamageError(str(error)) from None
            unpacked += len(element)
            if unpacked > _UNPACKED_BYTES:
                raise _DamageError(f"it unpacks to more than {_UNPACKED_BYTES >> 20} MiB")
            if not unpack.eof:
                raise _DamageError("the compressed data breaks off")
            elements = _walk(element, 0, len(element), order, elements)
            at += size
        else:
            end = at + size
            if end > len(content):
                raise _DamageError(f"{size} bytes are announced and {len(content) - at} are there")
            if kind == _MATRIX:
                elements = _walk(content, at - 8, end, order, elements)
            at = end + -size % 8


def _walk(content: bytes, start: int, end: int, order: str, elements: int) -> int:
    """Step through the elements in content[start:end], matrices inside cells and structs too; return the count so far."""
    open_matrices: list[int] = []  # ends of the matrices that the position lies in
    tag = struct.Struct(order + "II")
    at = start
    while at < end:
        while open_matrices and at >= open_matrices[-1]:
            open_matrices.pop()
        limit = open_matrices[-1] if open_matrices else end
        if at + 8 > limit:
            raise _DamageError(f"an element has no whole tag at byte {at}")
        kind, size = tag.unpack_from(content, at)
        elements += 1
        if elements > _ELEMENTS:
            raise _DamageError(f"it holds more than {_ELEMENTS} elements")
        if kind >> 16:  # up to 4 bytes, stored within the tag
            at += 8
            continue
        if at + 8 + size > limit:
            raise _DamageError(f"{size} bytes are announced and {limit - at - 8} are there")
        if kind == _MATRIX and size:
            at += 8
            open_matrices.append(at + size)
            if len(open_matrices) > _DEPTH:
                raise _DamageError(f"cells are nested more than {_DEPTH} deep")
            at = _check_dimensions(content, at, at + size, tag)
        else:
            at += 8 + size + -size % 8
    return elements


def _check_dimensions(content: bytes, at: int, end: int, tag: struct.Struct) -> int:
    """Step over a matrix's flags, and check that its declared size can be; return where to go on.

    An array of cells or structs needs bytes for each element: so a few bytes cannot declare a billion of them.
    """
    if at + 24 > end:
        return at
    kind, size = tag.unpack_from(content, at)
    dimensions_at = at + 16
    dimensions_kind, dimensions_bytes = tag.unpack_from(content, dimensions_at)
    if (kind, size) != (6, 8) or dimensions_kind != 5 or dimensions_at + 8 + dimensions_bytes > end:
        return at
    flags = struct.unpack_from(tag.format[0] + "I", content, at + 8)[0] & 0xFF
    count = 1
    for (side,) in struct.iter_unpack(
        tag.format[0] + "i", content[dimensions_at + 8 : dimensions_at + 8 + dimensions_bytes // 4 * 4]
    ):
        if side < 0:
            raise _DamageError(f"a matrix has a side of {side}")
        count *= side
    if flags in (_CELL, _STRUCT, _OBJECT) and count * 8 > end - at and count > 1:
        raise _DamageError(f"{count} cells are announced in {end - at} bytes")
    return at


def _read_in_child(path: Path, content: bytes, remedy: str) -> dict[str, np.ndarray]:
    if find_spec("scipy") is None:  # the child's own traceback would not say which extra to install
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
    seconds = _SECONDS + _SECONDS_PER_MEGABYTE * (len(content) >> 20)
    command = [sys.executable, "-I", str(Path(__file__).with_name("mat_child.py")), str(_MEMORY_BYTES), str(seconds)]
    # One thread: the others would only reserve memory.
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    child = subprocess.run(command, input=content, capture_output=True, env=environment, check=False)
    line, _, numbers = child.stdout.partition(b"\n")
    try:
        answer = json.loads(line)
    except ValueError:
        answer = None
    if child.returncode or not isinstance(answer, dict):
        signal = f"signal {-child.returncode}" if child.returncode < 0 else f"exit {child.returncode}"
        last = child.stderr.decode(errors="replace").strip().splitlines()[-1:]
        reason = f"reading it failed ({'; '.join([signal, *last])})"
        raise AlfnetError(f"{path}: a damaged .mat file ({len(content)} bytes; {reason}); {remedy}")
    return variables_of(path, content, answer, numbers, remedy)


def variables_of(
    path: Path, content: bytes, answer: dict[str, Any], numbers: bytes, remedy: str
) -> dict[str, np.ndarray]:
    """Turn the answer of `mat_child` into variables. Raises AlfnetError where it is an error."""
    if "error" in answer:
        raise AlfnetError(
            f"{path}: not a whole .mat file ({len(content)} bytes; {answer['error']}); was it cut short? {remedy}"
        )
    return {name: _value(node, numbers) for name, node in answer["variables"].items()}


def _value(node: dict[str, Any], numbers: bytes) -> Any:
    """Rebuild what `mat_child.node` described."""
    if "numbers" in node:
        shape = tuple(node["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        return np.frombuffer(numbers, np.dtype(node["numbers"]), count, node["at"]).reshape(shape)
    if "text" in node:
        return np.array(node["text"], dtype=np.str_).reshape(node["shape"])
    if "cell" in node:
        return _objects([_value(one, numbers) for one in node["cell"]], node["shape"], None)
    if "fields" in node:
        dtype = np.dtype([(name, object) for name in node["fields"]])
        values = [tuple(_value(one, numbers) for one in element) for element in node["values"]]
        return _objects(values, node["shape"], dtype)
    return _Other(node["other"])


def _objects(values: list[Any], shape: list[int], dtype: np.dtype | None) -> np.ndarray:
    array = np.empty(len(values), dtype=object if dtype is None else dtype)
    for index, value in enumerate(values):
        array[index] = value
    return array.reshape(shape)


class _Other:
    """A value that annotation files do not have (sparse matrices, functions, MATLAB objects); its name is kept."""

    def __init__(self, name: str) -> None:
        self.name = name
