"""Caltech's original annotations, setXX/VYYY.vbb: a MATLAB file per video with the objects of every frame.

spec: variables `A` and `vers`. `A.objLists` is a cell per frame, each empty or a struct array with `id` (from 1), `pos`
[x y w h], `posv` the visible box (all 0: not occluded) and `occl`; `A.objLbl` holds the labels by id. Labels: person,
people (a group), person? (unsure), person-fa (false alarm), ignore. Fields are read by name; versions before 1.4 lack some.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.mat_file import load_mat
from alfnet.errors import AlfnetError

_REMEDY = "a .vbb file of Caltech's annotations was expected; copy it again"

_FARTHEST = 1e7  # pixels


@dataclass(frozen=True)
class VbbObject:
    """An object in a frame; boxes are x, y, width, height in pixels as annotated."""

    id: int
    label: str
    box: tuple[float, float, float, float]
    visible: tuple[float, float, float, float]
    """All 0: not occluded."""
    occluded: bool


def read_vbb(path: Path) -> list[list[VbbObject]]:
    """Return the objects of every frame, frame 0 first (the files count from 1).

    Raises AlfnetError, naming the file, where it is missing, cut short or of another structure.
    """
    variables = load_mat(path, _REMEDY)
    if "A" not in variables:
        raise AlfnetError(f"{path}: holds {', '.join(variables) or 'no variable'}, A was expected; {_REMEDY}")
    fields = _struct(variables["A"], f"{path}: A")
    for name in ("nFrame", "objLists", "objLbl"):
        if name not in fields:
            raise AlfnetError(f"{path}: A has no {name}; {_REMEDY}")
    labels = [_text(cell, f"{path}: objLbl") for cell in _cells(fields["objLbl"], f"{path}: objLbl")]
    frames = _cells(fields["objLists"], f"{path}: objLists")
    count = _number(fields["nFrame"], f"{path}: nFrame")
    if count != len(frames):
        raise AlfnetError(f"{path}: says {count:g} frames and has the objects of {len(frames)}; {_REMEDY}")
    return [_objects(cell, labels, f"{path}: frame {number}") for number, cell in enumerate(frames, start=1)]


def _objects(cell: Any, labels: list[str], where: str) -> list[VbbObject]:
    if getattr(cell, "size", 0) == 0:
        return []
    if getattr(cell.dtype, "names", None) is None:
        raise AlfnetError(f"{where}: objects are no struct array; {_REMEDY}")
    found = []
    for element in cell.ravel():
        entry = {name: element[name] for name in cell.dtype.names}
        number = _number(entry.get("id"), f"{where}: id")
        if not number.is_integer() or not 1 <= number <= len(labels):
            raise AlfnetError(f"{where}: the object {number:g} has no label ({len(labels)} are there); {_REMEDY}")
        box = _box(entry.get("pos"), f"{where}: pos")
        visible = _box(entry["posv"], f"{where}: posv") if "posv" in entry else (0.0, 0.0, 0.0, 0.0)
        occluded = bool(_number(entry["occl"], f"{where}: occl")) if "occl" in entry else any(visible)
        found.append(VbbObject(int(number), labels[int(number) - 1], box, visible, occluded))
    return found


def _struct(value: Any, where: str) -> dict[str, Any]:
    names = getattr(getattr(value, "dtype", None), "names", None)
    if names is None or value.size != 1:
        raise AlfnetError(f"{where} is no struct; {_REMEDY}")
    element = value.ravel()[0]
    return {name: element[name] for name in names}


def _cells(value: Any, where: str) -> list[Any]:
    if getattr(getattr(value, "dtype", None), "kind", "") != "O":
        if getattr(value, "size", 1) == 0:
            return []
        raise AlfnetError(f"{where} is no cell array; {_REMEDY}")
    return list(value.ravel())


def _text(value: Any, where: str) -> str:
    if getattr(getattr(value, "dtype", None), "kind", "") != "U" or value.size > 1:
        raise AlfnetError(f"{where} holds something else than texts; {_REMEDY}")
    return str(value.ravel()[0]) if value.size else ""


def _number(value: Any, where: str) -> float:
    if getattr(getattr(value, "dtype", None), "kind", "") not in "iufb" or getattr(value, "size", 0) != 1:
        raise AlfnetError(f"{where} is no number; {_REMEDY}")
    return float(value.ravel()[0])


def _box(value: Any, where: str) -> tuple[float, float, float, float]:
    if getattr(getattr(value, "dtype", None), "kind", "") not in "iuf" or value.size != 4:
        raise AlfnetError(f"{where} is no box of four numbers; {_REMEDY}")
    x, y, w, h = (float(number) for number in value.ravel())
    if not np.isfinite([x, y, w, h]).all() or max(map(abs, (x, y, w, h))) > _FARTHEST or min(w, h) < 0:
        raise AlfnetError(f"{where} is {[x, y, w, h]}; x, y, width, height in pixels were expected; {_REMEDY}")
    return x, y, w, h
