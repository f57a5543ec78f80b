"""People in a COCO annotation file: `images` (id, file_name, height, width), `annotations` (image_id, bbox), `categories`.

Of an annotation, `bbox` is needed, [x, y, width, height] in pixels. Read where they are there: `vis_bbox` or a number
`visible_ratio` or `vis_ratio` (visible area / full area), `ignore` and `iscrowd` (an ignore region, not a person).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfnet.annotations.images import AnnotatedImage, annotated_image, check_name
from alfnet.errors import AlfnetError
from alfnet.files import read_json

_NAME_IT = (
    "name that of people: category in params.yaml (of data, or of prepare where images are scaled first), --category on the "
    "command line"
)
_REMEDY = "a COCO annotation file was expected (images, annotations, categories)"
_RATIOS = ("visible_ratio", "vis_ratio")


@dataclass(frozen=True)
class CocoFile:
    """What a COCO file holds, checked in its layout: the lists of images and annotations, and which category is people."""

    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    """Those of the category."""
    category: str
    other_annotations: int
    """How many annotations other categories have; they are left out."""


def load_coco(path: Path, category: str | None) -> CocoFile:
    """Read a COCO file and choose the category of people by name (None: the only one that there is).

    Raises AlfnetError, naming the file, for another layout and where the category is not clear.
    """
    content = read_json(path)
    if not isinstance(content, dict):
        raise AlfnetError(f"{path}: is a JSON {type(content).__name__}; {_REMEDY}")
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            keys = ", ".join(list(content)[:10]) or "none"
            raise AlfnetError(f"{path}: there is no list under {key!r} (the keys are: {keys}); {_REMEDY}")
        for index, entry in enumerate(content[key]):
            if not isinstance(entry, dict):
                raise AlfnetError(f"{path}: {key}[{index}] is {entry!r:.60}, an object was expected; {_REMEDY}")
    names = _categories(path, content.get("categories", []))
    numbers = _chosen(path, names, category)
    annotations = content["annotations"]
    for index, entry in enumerate(annotations if names else ()):
        if type(entry.get("category_id")) not in (int, float):  # true would pass for 1
            raise AlfnetError(
                f"{path}: annotation {entry.get('id', index)!r:.60} has the category_id {entry.get('category_id')!r:.60}, "
                f"a number of `categories` was expected; {_REMEDY}"
            )
    mine = [entry for entry in annotations if not names or entry.get("category_id") in numbers]
    chosen = names[min(numbers)] if numbers else "pedestrian"
    return CocoFile(content["images"], mine, chosen, len(annotations) - len(mine))


def read_coco(path: Path, category: str | None = None) -> list[AnnotatedImage]:
    """Read the images of a COCO file with their people, in file order.

    Raises AlfnetError, naming the file and entry, for images without id, name or size, ids or names that stand there
    twice, annotations of no image, and boxes that are no four finite numbers with a width and height above 0.
    """
    content = load_coco(path, category)
    by_image: dict[Any, list[dict[str, Any]]] = {}
    names: set[str] = set()
    for index, image in enumerate(content.images):
        where = f"{path}: images[{index}]"
        if (not isinstance(image.get("id"), str) and not _is_whole(image.get("id"))) or image["id"] in by_image:
            raise AlfnetError(f"{where}: id {image.get('id')!r:.60} is no number or stands there twice; {_REMEDY}")
        if not isinstance(image.get("file_name"), str):
            raise AlfnetError(f"{where}: file_name is {image.get('file_name')!r:.60}, a text was expected; {_REMEDY}")
        for side in ("height", "width"):
            if not _is_whole(image.get(side)) or image[side] < 1:
                raise AlfnetError(
                    f"{where}: {side} is {image.get(side)!r:.60}, a number of pixels was expected; {_REMEDY}"
                )
        if check_name(image["file_name"], where) in names:
            raise AlfnetError(f"{where}: the file {image['file_name']} stands there twice; leave one entry per image")
        names.add(check_name(image["file_name"], where))
        by_image[image["id"]] = []
    for index, entry in enumerate(content.annotations):
        if not isinstance(entry.get("image_id"), int | float | str) or entry["image_id"] not in by_image:
            raise AlfnetError(
                f"{path}: annotation {entry.get('id', index)!r:.60} has the image_id {entry.get('image_id')!r:.60}, which "
                "is no image's id; take both lists from the same data set"
            )
        by_image[entry["image_id"]].append(entry)
    return [_image(image, by_image[image["id"]], str(path)) for image in content.images]


def _categories(path: Path, listed: Any) -> dict[int, str]:
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and type(one.get("id")) is int and isinstance(one.get("name"), str) for one in listed
    ):
        raise AlfnetError(f"{path}: categories is no list of objects with id and name; {_REMEDY}")
    return {one["id"]: one["name"] for one in listed}


def _chosen(path: Path, names: dict[int, str], category: str | None) -> set[int]:
    listed = ", ".join(list(names.values())[:20])
    if category is None:
        if len(set(names.values())) > 1:
            raise AlfnetError(f"{path}: has {len(names)} categories ({listed}); {_NAME_IT}")
        return set(names)
    chosen = {number for number, name in names.items() if name == category}
    if names and not chosen:
        raise AlfnetError(f"{path}: has no category {category!r}; there are: {listed}; {_NAME_IT}")
    return chosen


def _image(image: dict[str, Any], entries: list[dict[str, Any]], path: str) -> AnnotatedImage:
    boxes, visible, ratios, pedestrian, crowd = [], [], [], [], []
    for entry in entries:
        where = f"{path}: annotation {entry.get('id')} of {image['file_name']}"
        box = _box(entry.get("bbox"), "bbox", where)
        if min(box[2:]) <= 0:
            raise AlfnetError(f"{where}: bbox is {box}; a width and height above 0 were expected (x, y, width, height)")
        part = _box(entry["vis_bbox"], "vis_bbox", where) if "vis_bbox" in entry else box
        given = [entry[key] for key in _RATIOS if key in entry]
        ratio = given[0] if given else min(1.0, part[2] * part[3] / (box[2] * box[3]))
        if type(ratio) not in (int, float) or not 0 <= ratio <= 1:
            raise AlfnetError(f"{where}: the visible ratio is {ratio!r:.60}; a number from 0 to 1 was expected")
        boxes.append(box)
        visible.append(part)
        ratios.append(float(ratio))
        crowd.append(_flag(entry, "iscrowd", where))
        pedestrian.append(not crowd[-1] and not _flag(entry, "ignore", where))
    return annotated_image(
        check_name(image["file_name"], path),
        int(image["height"]),
        int(image["width"]),
        boxes,
        visible=visible,
        visible_ratios=ratios,
        pedestrian=pedestrian,
        crowd=crowd,
    )


def _is_whole(value: Any) -> bool:
    """Whether a value is a whole number, which some programs write with a point: 300.0."""
    return type(value) is int or (type(value) is float and value.is_integer())


def _box(box: Any, key: str, where: str) -> list[float]:
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not numbers or not all(math.isfinite(value) and abs(value) < 1e9 for value in box):
        raise AlfnetError(f"{where}: {key} is {box!r:.60}; [x, y, width, height] in pixels was expected")
    return [float(value) for value in box]


def _flag(entry: dict[str, Any], key: str, where: str) -> bool:
    value = entry.get(key, 0)
    if value not in (0, 1, False, True):
        raise AlfnetError(f"{where}: {key} is {value!r:.60}; 0 or 1 was expected")
    return bool(value)
