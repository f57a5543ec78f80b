"""The training cache: which pedestrians and which ignore regions of which images a detector is trained on.

The rule is the one that the published caches obey (docs/method.md#annotations); the script shipped with
the 2018 code applies another. The file has COCO's layout.
"""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.citypersons import (
    BOX,
    CLASS,
    VISIBLE_BOX,
    ImageAnnotations,
    Split,
    plain_number,
    read_mat,
)
from alfnet.errors import AlfnetError
from alfnet.files import read_json, write_json

PEDESTRIAN = 1

# A pedestrian of whose area ignore regions cover this part (summed, so overlapping ones count twice) is left out.
_COVERED = 0.5

_REMEDY = "make the cache again with: alfnet data cache"


@dataclass(frozen=True, eq=False)
class CachedImage:
    """One image of a training cache.

    `file_name` is relative to the leftImg8bit folder. Boxes are float32 corners x1, y1, x2, y2 in pixels of the full
    image, with x2 = x1 + w: `pedestrians` (P, 4), their `visible` parts (P, 4), `ignore_regions` (R, 4).
    """

    id: int
    file_name: str
    height: int
    width: int
    pedestrians: np.ndarray
    visible: np.ndarray
    ignore_regions: np.ndarray


def training_cache(
    images: Sequence[ImageAnnotations], split: Split, *, width: int, height: int, minimum_height: float
) -> dict[str, Any]:
    """Return the cache of images of `width` x `height` pixels, by the published rule.

    Boxes are clipped. A row of class 1 with a clipped height of at least `minimum_height` px (published: 50) is a
    pedestrian, every other row an ignore region. Of train, images without a pedestrian are left out; of val, none. Then
    a pedestrian of which ignore regions cover half or more is dropped. Images keep their order and get ids from 1; an
    image's pedestrians come first (`category_id` 1, `bbox` and `vis_bbox` [x, y, w, h], `ignore` 0), then its ignore
    regions (`ignore` 1). Raises AlfnetError for a box that starts outside the image.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in images:
        boxes = _clip(image, BOX, width, height)
        is_pedestrian = (image.rows[:, CLASS] == PEDESTRIAN) & (boxes[:, 3] >= minimum_height)
        if split == "train" and not is_pedestrian.any():
            continue
        pedestrians, ignore_regions = boxes[is_pedestrian], boxes[~is_pedestrian]
        # The visible boxes go through the same selections: in the published caches they do not, and are misaligned.
        visible = _clip(image, VISIBLE_BOX, width, height)[is_pedestrian]
        kept = _covered(pedestrians, ignore_regions) < _COVERED
        image_id = len(listed) + 1
        file_name = f"{split}/{image.city}/{image.file_name}"
        listed.append({"id": image_id, "file_name": file_name, "height": height, "width": width})
        for box, part in zip(pedestrians[kept].tolist(), visible[kept].tolist(), strict=True):
            annotations.append(_annotation(len(annotations) + 1, image_id, box, part))
        for box in ignore_regions.tolist():
            annotations.append(_annotation(len(annotations) + 1, image_id, box, None))
    rule = {"minimum_height": plain_number(minimum_height), "covered": _COVERED}
    return {
        "info": {"split": split, "rule": rule},
        "images": listed,
        "annotations": annotations,
        "categories": [{"id": PEDESTRIAN, "name": "pedestrian"}],
    }


def write_training_cache(
    mat_path: str | os.PathLike[str],
    split: Split,
    out: str | os.PathLike[str],
    *,
    width: int,
    height: int,
    minimum_height: float,
) -> dict[str, int]:
    """Make the cache of an annotation file; return the numbers of images, pedestrians and ignore regions in it.

    Raises AlfnetError for an annotation file that cannot be used, is of the other split, or leaves nothing to train on;
    an earlier `out` then stays as it was.
    """
    images = read_mat(mat_path, split)
    try:
        cache = training_cache(images, split, width=width, height=height, minimum_height=minimum_height)
    except AlfnetError as error:
        raise AlfnetError(f"{Path(mat_path)}: {error}") from None
    regions = sum(annotation["ignore"] for annotation in cache["annotations"])
    pedestrians = len(cache["annotations"]) - regions
    if not pedestrians:
        raise AlfnetError(
            f"{Path(mat_path)}: none of {len(images)} images has a pedestrian of at least {minimum_height} px that "
            "ignore regions leave free; lower data.minimum_pedestrian_height, or use another annotation file"
        )
    write_json(out, cache)
    return {"images": len(cache["images"]), "pedestrians": pedestrians, "ignore_regions": regions}


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
    return [
        CachedImage(
            image["id"],
            image["file_name"],
            image["height"],
            image["width"],
            *(_corners(group) for group in boxes[image["id"]]),
        )
        for image in images
    ]


def _clip(image: ImageAnnotations, columns: slice, width: int, height: int) -> np.ndarray:
    """Clip x, y, w, h as the published caches do: a box that begins left of the image keeps its width."""
    x, y, w, h = image.rows[:, columns].T
    outside = (x > width - 1) | (y > height - 1)
    if outside.any():
        row = int(np.argmax(outside))
        raise AlfnetError(
            f"{image.file_name}: the box in row {row + 1} starts at ({plain_number(x[row])}, {plain_number(y[row])}), "
            f"outside an image of {width} x {height}; set data.width and data.height to the size of the images"
        )
    x, y = np.maximum(x, 0), np.maximum(y, 0)
    w, h = np.minimum(w, width - x - 1), np.minimum(h, height - y - 1)
    return np.stack([x, y, w, h], axis=1)


def _covered(pedestrians: np.ndarray, ignore_regions: np.ndarray) -> np.ndarray:
    """Part of each pedestrian's area that ignore regions cover, summed over them; corners x + w, +1 widths: (P,)."""
    top_left = np.maximum(pedestrians[:, None, :2], ignore_regions[None, :, :2])
    bottom_right = np.minimum(
        pedestrians[:, None, :2] + pedestrians[:, None, 2:], ignore_regions[None, :, :2] + ignore_regions[None, :, 2:]
    )
    common = np.maximum(bottom_right - top_left + 1, 0).prod(axis=2).sum(axis=1)
    covered: np.ndarray = common / (pedestrians[:, 2:] + 1).prod(axis=1)
    return covered


def _annotation(number: int, image_id: int, box: list[float], visible: list[float] | None) -> dict[str, Any]:
    ignore = int(visible is None)
    annotation: dict[str, Any] = {
        "id": number,
        "image_id": image_id,
        "category_id": PEDESTRIAN,
        "bbox": [plain_number(value) for value in box],
        "area": plain_number(box[2] * box[3]),
        "iscrowd": ignore,  # COCO's tools know no other ignore regions
        "ignore": ignore,
    }
    if visible is not None:
        annotation["vis_bbox"] = [plain_number(value) for value in visible]
    return annotation


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
