"""CityPersons' official annotations as Cityscapes' site offers them: gtBbox_cityPersons_trainval.zip, a JSON file an image.

`gtBboxCityPersons/{train,val}/<city>/<city>_<sequence>_<frame>_gtBboxCityPersons.json` holds `imgHeight`, `imgWidth` and
`objects`, each with `label`, `instanceId`, `bbox` and `bboxVis` ([x, y, width, height] in pixels). They say the same as
the rows of anno_train.mat and anno_val.mat, and are read into them: images by city and name, which is the .mat's order.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.citypersons import COLUMNS, ImageAnnotations, read_mat
from alfnet.annotations.images import Split
from alfnet.errors import AlfnetError

LABELS = {
    "ignore": 0,
    "pedestrian": 1,
    "rider": 2,
    "sitting person": 3,
    "person (other)": 4,
    "person group": 5,
}
SUFFIX = "_gtBboxCityPersons.json"

_REMEDY = "use the files of gtBbox_cityPersons_trainval.zip, or copy them again"


def read_citypersons(path: Path, split: Split | None = None) -> list[ImageAnnotations]:
    """Read CityPersons' annotations of a split in either of their forms: a .mat file, or JSON files per image.

    Raises AlfnetError like `read_mat` and `read_json_annotations`.
    """
    if path.is_dir() or path.name.endswith(SUFFIX):
        return read_json_annotations(path)
    return read_mat(path, split)


def read_json_annotations(path: Path) -> list[ImageAnnotations]:
    """Read one such file, or all below a folder (gtBboxCityPersons/val), as the rows of the .mat files.

    Raises AlfnetError, naming the file, for a folder without such files and for content of another layout.
    """
    if not path.is_dir():
        return [_read(path)]
    files = sorted(path.rglob(f"*{SUFFIX}"), key=lambda file: (file.parent.name, file.name))
    if not files:
        raise AlfnetError(
            f"{path}: no file *{SUFFIX} in this folder; give the folder of a split, as gtBboxCityPersons/val, or "
            "anno_train.mat or anno_val.mat"
        )
    if len({file.name for file in files}) != len(files):
        raise AlfnetError(f"{path}: holds files of the same name in several folders; give the folder of one split")
    splits = {part for file in files for part in file.relative_to(path).parts[:-1]} & {"train", "val", "test"}
    if len(splits) > 1:
        raise AlfnetError(f"{path}: holds the splits {', '.join(sorted(splits))}; give the folder of one of them")
    return [_read(file) for file in files]


def _read(path: Path) -> ImageAnnotations:
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; {_REMEDY}") from None
    except (ValueError, RecursionError) as error:
        raise AlfnetError(f"{path}: not a whole JSON file ({error}); was it cut short? {_REMEDY}") from None
    if not path.name.endswith(SUFFIX) or "_" not in path.name.removesuffix(SUFFIX):
        raise AlfnetError(
            f"{path}: the name tells the image, <city>_<sequence>_<frame>{SUFFIX} was expected; {_REMEDY}"
        )
    if not isinstance(content, dict) or not isinstance(content.get("objects"), list):
        found = ", ".join(content) if isinstance(content, dict) else f"a {type(content).__name__}"
        raise AlfnetError(f"{path}: holds {found}; imgHeight, imgWidth and a list of objects were expected; {_REMEDY}")
    stem = path.name.removesuffix(SUFFIX)
    rows = [_row(entry, f"{path}: object {number}") for number, entry in enumerate(content["objects"], start=1)]
    return ImageAnnotations(
        stem.split("_")[0], f"{stem}_leftImg8bit.png", np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))
    )


def _row(entry: Any, where: str) -> list[float]:
    label = entry.get("label") if isinstance(entry, dict) else None
    if not isinstance(label, str) or label not in LABELS:
        raise AlfnetError(f"{where}: the label is {label!r:.60}; one of {', '.join(LABELS)} was expected; {_REMEDY}")
    box = _box(entry, "bbox", where)
    if min(box[2:]) < 1:
        raise AlfnetError(f"{where}: bbox is {box}; a width and height from 1 px were expected; {_REMEDY}")
    visible = _box(entry, "bboxVis", where) if "bboxVis" in entry else box
    instance = entry.get("instanceId", 0)
    if isinstance(instance, bool) or not isinstance(instance, int):
        raise AlfnetError(f"{where}: instanceId is {instance!r:.60}; a whole number was expected; {_REMEDY}")
    return [LABELS[label], *box, instance, *visible]


def _box(entry: dict[str, Any], key: str, where: str) -> list[float]:
    box = entry.get(key)
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not isinstance(box, list) or not numbers or not all(math.isfinite(value) for value in box) or min(box[2:]) < 0:
        raise AlfnetError(f"{where}: {key} is {box!r:.60}; [x, y, width, height] in pixels was expected; {_REMEDY}")
    return list(box)
