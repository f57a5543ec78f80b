"""Making the training cache: the rule by which annotated objects become pedestrians, ignore regions, or nothing.

The rule is the one that the published caches obey (docs/method.md#annotations); the script shipped with
the 2018 code applies another. Other data sets set its parts otherwise (`TrainingRule`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from alfnet.annotations.images import AnnotatedImage, Split
from alfnet.errors import AlfnetError
from alfnet.files import write_json

_CATEGORY = {"id": 1, "name": "pedestrian"}

Clipping = Literal["published", "whole_pixels", "inside"]
"""published: as CityPersons' caches: a box that begins left of the image keeps its width, and one that starts outside is
an error. whole_pixels: the same on numbers cut to whole pixels, as Caltech's. inside: the part of the box in the image."""


@dataclass(frozen=True)
class TrainingRule:
    """Which annotated objects are trained on."""

    minimum_height: float
    """Pixels, after clipping; a lower pedestrian is an ignore region (published: 50)."""
    minimum_visible_ratio: float = 0.0
    """A pedestrian of which less is visible is an ignore region."""
    covered: float | None = 0.5
    """A pedestrian of whose area ignore regions cover this part (summed, so overlapping ones count twice) is left out."""
    clipping: Clipping = "published"


def training_cache(images: Sequence[AnnotatedImage], split: Split, rule: TrainingRule) -> dict[str, Any]:
    """Return the cache of a split's images.

    Boxes are clipped. A pedestrian that is tall and visible enough for the rule is one, every other object an ignore
    region; what has no part in the image is left out. Of train, images without a pedestrian are left out; of val, none.
    Then a pedestrian that ignore regions cover is dropped. Images keep their order and get ids from 1; an image's
    pedestrians come first (`category_id` 1, `bbox` and `vis_bbox` [x, y, w, h], `ignore` 0), then its ignore regions
    (`ignore` 1). Raises AlfnetError for a box that starts outside the image, where the clipping is the published one.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image in images:
        boxes = clip_boxes(image, image.boxes, rule.clipping)
        is_pedestrian = image.pedestrian & (boxes[:, 3] >= rule.minimum_height)
        is_pedestrian &= image.visible_ratios >= rule.minimum_visible_ratio
        if rule.clipping != "published":
            inside = (boxes[:, 2:] > 0).all(axis=1)
            is_pedestrian &= inside
        else:
            inside = np.ones(len(boxes), np.bool_)
        if split == "train" and not is_pedestrian.any():
            continue
        pedestrians, ignore_regions = boxes[is_pedestrian], boxes[~is_pedestrian & inside]
        # The visible boxes go through the same selections: in the published caches they do not, and are misaligned.
        visible = clip_boxes(image, image.visible, rule.clipping)[is_pedestrian]
        if rule.covered is not None:
            kept = _covered(pedestrians, ignore_regions) < rule.covered
            pedestrians, visible = pedestrians[kept], visible[kept]
        image_id = len(listed) + 1
        entry = {"id": image_id, "file_name": image.file_name, "height": image.height, "width": image.width}
        listed.append(entry if image.fold is None else entry | {"fold": image.fold})
        for box, part in zip(pedestrians.tolist(), np.maximum(visible, 0).tolist(), strict=True):
            annotations.append(_annotation(len(annotations) + 1, image_id, box, part))
        for box in ignore_regions.tolist():
            annotations.append(_annotation(len(annotations) + 1, image_id, box, None))
    described: dict[str, Any] = {"minimum_height": plain_number(rule.minimum_height), "covered": rule.covered}
    if rule.minimum_visible_ratio:
        described["minimum_visible_ratio"] = rule.minimum_visible_ratio
    return {
        "info": {"split": split, "rule": described},
        "images": listed,
        "annotations": annotations,
        "categories": [_CATEGORY],
    }


def write_training_cache(
    images: Sequence[AnnotatedImage], split: Split, out: str | os.PathLike[str], rule: TrainingRule, source: str
) -> dict[str, int]:
    """Write the cache of a split; return the numbers of images, pedestrians and ignore regions in it.

    `source` names where the images' annotations come from, in messages. Raises AlfnetError where they leave nothing to
    train on; an earlier `out` then stays as it was.
    """
    try:
        cache = training_cache(images, split, rule)
    except AlfnetError as error:
        raise AlfnetError(f"{source}: {error}") from None
    regions = sum(annotation["ignore"] for annotation in cache["annotations"])
    pedestrians = len(cache["annotations"]) - regions
    if not pedestrians:
        raise AlfnetError(
            f"{source}: none of {len(images)} images has a pedestrian of at least {rule.minimum_height} px that "
            "ignore regions leave free; lower data.minimum_pedestrian_height, or use another annotation file"
        )
    write_json(out, cache)
    return {"images": len(cache["images"]), "pedestrians": pedestrians, "ignore_regions": regions}


def clip_boxes(image: AnnotatedImage, boxes: np.ndarray, clipping: Clipping) -> np.ndarray:
    """Clip boxes (n, 4) x, y, w, h to an image by one of the rules. Raises AlfnetError as `Clipping` says."""
    height, width = image.height, image.width
    x, y, w, h = boxes.T
    if clipping == "inside":
        x2, y2 = np.clip(x + w, 0, width), np.clip(y + h, 0, height)
        x1, y1 = np.clip(x, 0, width), np.clip(y, 0, height)
        return np.stack([x1, y1, x2 - x1, y2 - y1], axis=1)
    if clipping == "whole_pixels":
        x, y, w, h = np.trunc(boxes).T
    else:
        outside = (x > width - 1) | (y > height - 1)
        if outside.any():
            row = int(np.argmax(outside))
            raise AlfnetError(
                f"{image.file_name}: the box in row {row + 1} starts at ({plain_number(x[row])}, "
                f"{plain_number(y[row])}), outside an image of {width} x {height}; set data.width and data.height to the "
                "size of the images"
            )
    x, y = np.maximum(x, 0), np.maximum(y, 0)
    w, h = np.minimum(w, width - x - 1), np.minimum(h, height - y - 1)
    return np.stack([x, y, w, h], axis=1)


def plain_number(value: float) -> int | float:
    """Return a coordinate as JSON should show it: an int where it is integral."""
    return int(value) if float(value).is_integer() else float(value)


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
        "category_id": _CATEGORY["id"],
        "bbox": [plain_number(value) for value in box],
        "area": plain_number(box[2] * box[3]),
        "iscrowd": ignore,  # COCO's tools know no other ignore regions
        "ignore": ignore,
    }
    if visible is not None:
        annotation["vis_bbox"] = [plain_number(value) for value in visible]
    return annotation
