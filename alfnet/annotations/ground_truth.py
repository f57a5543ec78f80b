"""The evaluation ground truth: every annotated object of the validation images, in the layout of val_gt.json.

It follows from anno_val.mat alone (docs/method.md#evaluation-ground-truth): raw boxes, neither clipped nor filtered. The
50-px rule and the cover rule belong to training (`alfnet.annotations.cache`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from alfnet.annotations.citypersons import BOX, CLASS, CLASSES, VISIBLE_BOX, ImageAnnotations, plain_number, read_mat
from alfnet.errors import AlfnetError
from alfnet.files import write_json

PEDESTRIAN, GROUP = 1, 5

# val_gt.json prints visible ratios with so many significant digits (found by comparing all 5,795).
_RATIO_DIGITS = 12


def evaluation_ground_truth(images: Sequence[ImageAnnotations], *, width: int, height: int) -> dict[str, Any]:
    """Return the ground truth of images of `width` x `height` pixels, as val_gt.json has it.

    Images in the given order with ids from 1 and `im_name`; one annotation per row, in order, ids from 1, `category_id`
    1, `bbox` and `vis_bbox` [x, y, w, h] in raw pixels, `height` = h, `vis_ratio` = visible area / full area, `ignore`
    1 unless the class is pedestrian, `iscrowd` 1 for a group of people.
    """
    annotations: list[dict[str, Any]] = []
    for image_id, image in enumerate(images, start=1):
        for row in image.rows.tolist():
            box = [plain_number(value) for value in row[BOX]]
            visible = [plain_number(value) for value in row[VISIBLE_BOX]]
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": PEDESTRIAN,
                    "iscrowd": int(row[CLASS] == GROUP),
                    "ignore": int(row[CLASS] != PEDESTRIAN),
                    "bbox": box,
                    "vis_bbox": visible,
                    "height": box[3],
                    "vis_ratio": _ratio(visible[2] * visible[3], box[2] * box[3]),
                }
            )
    return {
        # The ignore region stands last, as in val_gt.json.
        "categories": [{"id": number, "name": CLASSES[number]} for number in (*range(1, len(CLASSES)), 0)],
        "images": [
            {"id": image_id, "im_name": image.file_name, "height": height, "width": width}
            for image_id, image in enumerate(images, start=1)
        ],
        "annotations": annotations,
    }


def write_ground_truth(
    mat_path: str | os.PathLike[str], out: str | os.PathLike[str], *, width: int, height: int
) -> dict[str, int]:
    """Make the ground truth of anno_val.mat as a JSON file; return how many images and objects it holds.

    `width` and `height` are the images' size in pixels. Raises AlfnetError for an annotation file that cannot be used;
    an earlier `out` then stays as it was.
    """
    images = read_mat(mat_path, "val")
    if not images:
        raise AlfnetError(f"{Path(mat_path)}: holds no image; copy or make the file again")
    ground_truth = evaluation_ground_truth(images, width=width, height=height)
    write_json(out, ground_truth)
    return {"images": len(images), "objects": len(ground_truth["annotations"])}


def _ratio(visible_area: float, full_area: float) -> int | float:
    return plain_number(float(f"{visible_area / full_area:.{_RATIO_DIGITS}g}"))
