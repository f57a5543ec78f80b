"""CityPersons' annotation files, anno_train.mat and anno_val.mat: reading, and writing with the same structure.

A file holds one variable, `anno_train_aligned` or `anno_val_aligned`: a 1 x n cell array with a 1 x 1 struct per image,
fields `cityname`, `im_name` and `bbs`. `bbs` has a row per object: [class, x1, y1, w, h, instance, x1_vis, y1_vis,
w_vis, h_vis], in pixels, of class double, stored in the smallest integer type that holds it (as MATLAB saves it).
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.images import AnnotatedImage, Split, annotated_image
from alfnet.annotations.mat_file import Other, load_mat
from alfnet.errors import AlfnetError
from alfnet.files import write_bytes

COLUMNS = ("class", "x1", "y1", "w", "h", "instance", "x1_vis", "y1_vis", "w_vis", "h_vis")
CLASS, BOX, VISIBLE_BOX = 0, slice(1, 5), slice(6, 10)
CLASSES = {
    0: "ignore region",
    1: "pedestrian",
    2: "rider",
    3: "sitting person",
    4: "other person",
    5: "people group",
}

PEDESTRIAN, GROUP = 1, 5

_VARIABLES: dict[str, Split] = {"anno_train_aligned": "train", "anno_val_aligned": "val"}
_FIELDS = ("cityname", "im_name", "bbs")
_REMEDY = "use CityPersons' own anno_train.mat or anno_val.mat, or copy or make the file again"

# MATLAB's file format, version 5 (MathWorks, "MAT-File Format"): the header's text, and two numbers of the elements.
_HEADER_TEXT = b"MATLAB 5.0 MAT-file, CityPersons annotations written by alfnet".ljust(116)
_HEADER_BYTES = 128
_MATRIX_ELEMENT = 14
_DOUBLE_CLASS = 6
_INTEGER_CLASSES = range(8, 14)  # int8 ... uint32


@dataclass(frozen=True, eq=False)
class ImageAnnotations:
    """The annotated objects of one image.

    `rows` is (n, 10) float64 with `COLUMNS`: the class (`CLASSES`), the full box x1, y1, w, h in pixels of the full
    image (raw: it may leave the image), the instance number, and the visible box x1, y1, w, h.
    """

    city: str
    file_name: str
    rows: np.ndarray


def read_mat(path: str | os.PathLike[str], split: Split | None = None) -> list[ImageAnnotations]:
    """Read a CityPersons annotation file, in file order.

    Raises AlfnetError, naming the file and what was found there, where it is missing, cut short, no .mat file, of
    another structure, or (where `split` is given) of the other split.
    """
    path = Path(path)
    cells = _cells(path, load_mat(path, _REMEDY), split)
    return [_image(path, number, cell) for number, cell in enumerate(cells, start=1)]


def annotated(images: Sequence[ImageAnnotations], split: Split, *, height: int, width: int) -> list[AnnotatedImage]:
    """The same in the form that all formats share; file names are relative to leftImg8bit."""
    return [
        annotated_image(
            f"{split}/{image.city}/{image.file_name}",
            height,
            width,
            image.rows[:, BOX],
            visible=image.rows[:, VISIBLE_BOX],
            pedestrian=image.rows[:, CLASS] == PEDESTRIAN,
            crowd=image.rows[:, CLASS] == GROUP,
        )
        for image in images
    ]


def write_mat(path: str | os.PathLike[str], images: Sequence[ImageAnnotations], split: Split) -> None:
    """Write annotations with the structure and storage types of the real files, whole or not at all.

    Equal content gives equal bytes: uncompressed, and no date in the header.
    """
    import scipy.io  # half a second, which readers do not need

    cell = np.empty((1, len(images)), dtype=object)
    for index, image in enumerate(images):
        if image.rows.ndim != 2 or image.rows.shape[1] != len(COLUMNS):
            raise ValueError(f"{image.file_name}: rows must be (n, {len(COLUMNS)}), not {image.rows.shape}")
        entry = np.empty((1, 1), dtype=[(field, object) for field in _FIELDS])
        entry[0, 0] = (image.city, image.file_name, _smallest_type(image.rows))
        cell[0, index] = entry
    stream = io.BytesIO()
    variable = next(name for name, of in _VARIABLES.items() if of == split)
    scipy.io.savemat(stream, {variable: cell}, do_compression=False)
    content = bytearray(stream.getvalue())
    content[: len(_HEADER_TEXT)] = _HEADER_TEXT
    _make_matrices_double(content)
    write_bytes(path, bytes(content))


def _cells(path: Path, variables: dict[str, Any], split: Split | None) -> list[Any]:
    if {"A", "vers"} <= set(variables):
        raise AlfnetError(
            f"{path}: a .vbb file of Caltech's annotations (use data.format: caltech, or --format caltech); {_REMEDY}"
        )
    known = [name for name in variables if name in _VARIABLES]
    if len(known) != 1:
        found = ", ".join(variables) or "no variable"
        raise AlfnetError(f"{path}: holds {found}; exactly one of {', '.join(_VARIABLES)} was expected; {_REMEDY}")
    name = known[0]
    if split is not None and _VARIABLES[name] != split:
        raise AlfnetError(
            f"{path}: holds {name}, the annotations of the {_VARIABLES[name]} split; "
            f"for {split} give anno_{split}.mat, or ask for the split {_VARIABLES[name]}"
        )
    cell = variables[name]
    if not isinstance(cell, np.ndarray) or cell.dtype != object:
        raise AlfnetError(f"{path}: {name} is {_describe(cell)}, a cell array was expected; {_REMEDY}")
    return list(cell.ravel())


def _image(path: Path, number: int, cell: Any) -> ImageAnnotations:
    where = f"{path}: image {number}"
    names = getattr(getattr(cell, "dtype", None), "names", None)
    if names is None or cell.size != 1 or not set(_FIELDS) <= set(names):
        raise AlfnetError(f"{where} is {_describe(cell)}, a struct of {', '.join(_FIELDS)} was expected; {_REMEDY}")
    fields = cell.ravel()[0]
    city, file_name = (_name(where, field, fields[field]) for field in ("cityname", "im_name"))
    return ImageAnnotations(city, file_name, _rows(f"{where} ({file_name})", fields["bbs"]))


def _name(where: str, field: str, value: Any) -> str:
    if not isinstance(value, np.ndarray) or value.dtype.kind != "U" or value.size != 1:
        raise AlfnetError(f"{where}: {field} is {_describe(value)}, a text was expected; {_REMEDY}")
    text = str(value.ravel()[0])
    # The names become part of a path, and must not lead out of the data set.
    if not text.strip() or text in (".", "..") or not text.isprintable() or any(mark in text for mark in "/\\"):
        raise AlfnetError(f"{where}: {field} is {text!r}, a plain name was expected; {_REMEDY}")
    return text


def _rows(where: str, value: Any) -> np.ndarray:
    if not isinstance(value, np.ndarray) or value.dtype.kind not in "iuf":
        raise AlfnetError(f"{where}: bbs is {_describe(value)}, numbers were expected; {_REMEDY}")
    if value.shape == (0, 0):  # MATLAB's []
        return np.zeros((0, len(COLUMNS)))
    if value.ndim != 2 or value.shape[1] != len(COLUMNS):
        raise AlfnetError(
            f"{where}: bbs is {_describe(value)}, n x {len(COLUMNS)} was expected [{', '.join(COLUMNS)}]; {_REMEDY}"
        )
    rows = np.ascontiguousarray(value, dtype=np.float64)
    wrong = ~np.isfinite(rows).all(axis=1) | ~np.isin(rows[:, CLASS], list(CLASSES))
    wrong |= (rows[:, 3:5] < 1).any(axis=1) | (rows[:, 8:10] < 0).any(axis=1)
    if wrong.any():
        row = int(np.argmax(wrong))
        raise AlfnetError(
            f"{where}: row {row + 1} of bbs is {[float(number) for number in rows[row]]}; expected a class from 0 to "
            f"{max(CLASSES)}, a width and height from 1 px, and finite numbers; {_REMEDY}"
        )
    return rows


def _describe(value: np.ndarray | Other) -> str:
    if isinstance(value, Other):
        return f"a {value.kind}"
    shape = " x ".join(str(side) for side in value.shape)
    if value.dtype.names is not None:
        return f"a {shape} struct of {', '.join(value.dtype.names) or 'nothing'}"
    kind = {"O": "cell array", "U": "text"}.get(value.dtype.kind, f"array of {value.dtype.name}")
    return f"a {shape} {kind}"


def _smallest_type(rows: np.ndarray) -> np.ndarray:
    for kind in (np.uint8, np.uint16, np.int16, np.int32):
        limits = np.iinfo(kind)
        if ((rows >= limits.min) & (rows <= limits.max) & (rows == np.rint(rows))).all():
            return rows.astype(kind)
    return rows.astype(np.float64)


def _make_matrices_double(content: bytearray) -> None:
    """Make every integer matrix of an uncompressed .mat file one of class double with compact storage, in place.

    SciPy writes integer classes, in which MATLAB would compute with integer arithmetic. A matrix element is a tag and
    then its parts, each an element itself (flags first, and for cells and structs whole matrices), so stepping from
    element to element without skipping a matrix's content visits them all.
    """
    at = _HEADER_BYTES
    while at < len(content):
        kind, size = struct.unpack_from("<II", content, at)
        if kind == _MATRIX_ELEMENT:
            flags = at + 16  # behind the tag of the matrix and the tag of its flags
            if content[flags] in _INTEGER_CLASSES:
                content[flags] = _DOUBLE_CLASS
            at += 8
        elif kind >> 16:  # up to 4 bytes, stored within the tag
            at += 8
        else:
            at += 8 + -(-size // 8) * 8
