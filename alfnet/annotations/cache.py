"""The training cache as a file: which pedestrians and which ignore regions of which images a detector is trained on.

It has COCO's layout. `alfnet.annotations.training_cache` makes it of annotations of any format.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.images import Split
from alfnet.errors import AlfnetError
from alfnet.files import read_json

_REMEDY = "make the cache again with: alfnet data cache"


@dataclass(frozen=True, eq=False)
class CachedImage:
    """One image of a training cache.

    `file_name` is relative to the data set's folder of images. Boxes are float32 corners x1, y1, x2, y2 in pixels of the
    full image, with x2 = x1 + w: `pedestrians` (P, 4), their `visible` parts (P, 4), `ignore_regions` (R, 4).
    """

    id: int
    file_name: str
    height: int
    width: int
    pedestrians: np.ndarray
    visible: np.ndarray
    ignore_regions: np.ndarray
    fold: int | None = None
    """Its part of the data set under cross-validation."""


def load_fold(path: str | os.PathLike[str], split: Split, fold: int | None) -> list[CachedImage]:
    """Read the images of a split for one part of a cross-validation: of train all but those of `fold`, of val those alone.

    `fold` None: all images. Raises AlfnetError like `load_cache`, and where no image is left.
    """
    images = load_cache(path, split)
    if fold is None:
        return images
    chosen = [image for image in images if (image.fold == fold) == (split == "val")]
    if not chosen:
        raise AlfnetError(f"{Path(path)}: no image of fold {fold} is in it; {_REMEDY}")
    return chosen


def load_cache(path: str | os.PathLike[str], expected_split: Split | None = None) -> list[CachedImage]:
    """Read a training cache, in file order.

    Raises AlfnetError, naming the file, where it is missing, cut short, of another layout, or of the wrong split.
    """
    path = Path(path)
    content = read_json(path)
    if not isinstance(content, dict):
        raise AlfnetError(f"{path}: is a JSON {type(content).__name__}, a training cache was expected; {_REMEDY}")
    info = _value(content, "info", dict, f"{path}")
    split = _value(info, "split", str, f"{path}: info")
    if expected_split is not None and split != expected_split:
        raise AlfnetError(
            f"{path}: cache of the wrong split: it holds {split!r}, {expected_split!r} is needed; "
            f"{_REMEDY} --split {expected_split}"
        )
    boxes: dict[int, tuple[list[Any], list[Any], list[Any]]] = {}
    images = _value(content, "images", list, f"{path}")
    for index, image in enumerate(images):
        where = f"{path}: images[{index}]"
        image_id = _value(image, "id", int, where)
        _value(image, "file_name", str, where)
        if min(_value(image, "height", int, where), _value(image, "width", int, where)) < 1:
            raise AlfnetError(f"{where}: height and width must be at least 1; {_REMEDY}")
        if image_id in boxes:
            raise AlfnetError(f"{where}: id {image_id} stands there twice; {_REMEDY}")
        if image.get("fold") is not None:
            _value(image, "fold", int, where)
        boxes[image_id] = ([], [], [])
    for index, annotation in enumerate(_value(content, "annotations", list, f"{path}")):
        where = f"{path}: annotations[{index}]"
        image_id = _value(annotation, "image_id", int, where)
        if image_id not in boxes:
            raise AlfnetError(f"{where}: image_id {image_id} is not among the images; {_REMEDY}")
        pedestrians, visible, ignore_regions = boxes[image_id]
        if _value(annotation, "ignore", int, where):
            ignore_regions.append(_box(annotation, "bbox", where))
        else:
            pedestrians.append(_box(annotation, "bbox", where))
            visible.append(_box(annotation, "vis_bbox", where))
    cached = []
    for image in images:
        persons, parts, regions = (_corners(group) for group in boxes[image["id"]])
        cached.append(
            CachedImage(
                id=image["id"],
                file_name=image["file_name"],
                height=image["height"],
                width=image["width"],
                pedestrians=persons,
                visible=parts,
                ignore_regions=regions,
                fold=image.get("fold"),
            )
        )
    return cached


def _value(container: Any, key: str, kind: type, where: str) -> Any:
    if not isinstance(container, dict) or key not in container:
        raise AlfnetError(f"{where}: {key} is missing, this is no training cache; {_REMEDY}")
    value = container[key]
    if not isinstance(value, kind) or isinstance(value, bool):
        raise AlfnetError(f"{where}: {key} is {value!r:.40}, {kind.__name__} was expected; {_REMEDY}")
    return value


def _box(annotation: Any, key: str, where: str) -> list[float]:
    box: list[float] = _value(annotation, key, list, where)
    numbers = len(box) == 4 and all(type(value) in (int, float) and math.isfinite(value) for value in box)
    if not numbers or min(box[2:]) < 0:
        raise AlfnetError(f"{where}: {key} is {box!r:.60}, [x, y, w, h] was expected; {_REMEDY}")
    return box


def _corners(boxes: list[Any]) -> np.ndarray:
    corners = np.array(boxes, dtype=np.float32).reshape(-1, 4)
    corners[:, 2:] += corners[:, :2]
    return corners
