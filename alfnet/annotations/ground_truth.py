"""The evaluation ground truth: every annotated object of the validation images, in the layout of CityPersons' val_gt.json.

It follows from the annotations alone (docs/method.md#evaluation-ground-truth): raw boxes, neither clipped nor filtered. The
50-px rule and the cover rule belong to training (`alfnet.annotations.training_cache`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from alfnet.annotations.images import AnnotatedImage
from alfnet.annotations.training_cache import plain_number
from alfnet.errors import AlfnetError
from alfnet.files import write_json

PEDESTRIAN = 1

# val_gt.json prints visible ratios with so many significant digits (found by comparing all 5,795).
_RATIO_DIGITS = 12

# CityPersons' own list, in val_gt.json's order: every annotation is of category 1 and told apart by `ignore`.
_CITYPERSONS_CATEGORIES = (
    (1, "pedestrian"), (2, "rider"), (3, "sitting person"), (4, "other person"), (5, "people group"), (0, "ignore region"),
)  # fmt: skip


def evaluation_ground_truth(images: Sequence[AnnotatedImage], *, citypersons: bool = False) -> dict[str, Any]:
    """Return the ground truth of images, as val_gt.json has it.

    Images in the given order with ids from 1 and `file_name`, relative to the folder of images; one annotation per
    object, in order, ids from 1, `category_id` 1, `bbox` and `vis_bbox` [x, y, w, h] in raw pixels, `height` = h,
    `vis_ratio` = visible area / full area, `ignore` 1 unless it is a pedestrian, `iscrowd` 1 for a group of people.
    With `citypersons` images have an `im_name` without folders instead, and the categories are CityPersons'.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        name = {"im_name": PurePosixPath(image.file_name).name} if citypersons else {"file_name": image.file_name}
        entry = {"id": image_id, **name, "height": image.height, "width": image.width}
        listed.append(entry if image.fold is None else entry | {"fold": image.fold})
        rows = zip(
            image.boxes.tolist(),
            image.visible.tolist(),
            image.visible_ratios.tolist(),
            image.pedestrian.tolist(),
            image.crowd.tolist(),
            strict=True,
        )
        for box, visible, ratio, pedestrian, crowd in rows:
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": PEDESTRIAN,
                    "iscrowd": int(crowd),
                    "ignore": int(not pedestrian),
                    "bbox": [plain_number(value) for value in box],
                    "vis_bbox": [plain_number(value) for value in visible],
                    "height": plain_number(box[3]),
                    "vis_ratio": plain_number(float(f"{ratio:.{_RATIO_DIGITS}g}")),
                }
            )
    categories = _CITYPERSONS_CATEGORIES if citypersons else ((PEDESTRIAN, "pedestrian"),)
    return {
        "categories": [{"id": number, "name": name} for number, name in categories],
        "images": listed,
        "annotations": annotations,
    }


def write_ground_truth(
    images: Sequence[AnnotatedImage], out: str | os.PathLike[str], source: str, *, citypersons: bool = False
) -> dict[str, int]:
    """Write the ground truth of the validation images as a JSON file; return how many images and objects it holds.

    `source` names where the annotations come from, in messages. Raises AlfnetError where there is no image; an earlier
    `out` then stays as it was.
    """
    if not images:
        raise AlfnetError(f"{source}: holds no image; copy or make the file again")
    ground_truth = evaluation_ground_truth(images, citypersons=citypersons)
    write_json(out, ground_truth)
    return {"images": len(images), "objects": len(ground_truth["annotations"])}
