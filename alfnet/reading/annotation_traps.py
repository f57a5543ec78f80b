"""Traps in a ground truth whose every record is in order: doubled annotations, heights of the image, empty boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.records import Booleans, Floats, Integers, different, explain

FARTHEST = 1e6
"""Pixels from the corner of an image that no box reaches."""
ENOUGH = 10
"""Annotations from which on what all of them show is no chance."""


def check_annotations(
    path: Path,
    *,
    image_heights: Floats,
    image_ids: Integers,
    boxes: Floats,
    heights: Floats,
    ignored: Booleans,
    ids: Integers | None = None,
) -> list[str]:
    """Return warnings on the annotations of a ground truth; raise AlfnetError for what makes every figure wrong.

    image_heights (G,) in pixels of each annotation's image (NaN where unknown), image_ids (G,), boxes (G, 4) x, y, width,
    height in pixels, heights (G,) the file's `height`, ignored (G,), ids (G,) the annotations' own, if they have any.
    """
    total = len(boxes)

    def example(which: Booleans, values: Floats | Integers) -> str:
        index = int(np.flatnonzero(which)[0])
        return f"{values[index].tolist()} in annotation {index + 1}"

    far = (np.abs(boxes) > FARTHEST).any(axis=1) | (np.abs(heights) > FARTHEST)
    if far.any():
        found = f"{far.sum()} of {total} annotations have a coordinate beyond {FARTHEST:,.0f} pixels"
        raise AlfnetError(explain(path, found, example(far, boxes), "no image is so large: write pixels"))
    below = heights < 0
    if below.any():
        found = f"{below.sum()} of {total} annotations have a negative height"
        remedy = "height is the box's height in pixels, bbox[3]"
        raise AlfnetError(explain(path, found, example(below, heights), remedy))

    warnings = _contradicting_heights(path, image_heights, boxes, heights, ignored)
    warnings += _doubles(path, image_ids, boxes, ignored)
    empty = ~ignored & (boxes[:, 2:] <= 0).any(axis=1)
    if empty.any():
        found = f"{empty.sum()} of {(~ignored).sum()} pedestrians have a box without area, which no detection can meet"
        remedy = "write the whole box, or set ignore to 1"
        message = explain(path, found, example(empty, boxes), remedy)
        if empty.sum() >= max(ENOUGH, 0.5 * (~ignored).sum()):
            raise AlfnetError(message)
        warnings.append(message)
    if ids is not None and (again := total - len(different(ids))):
        repeated = np.ones(total, dtype=np.bool_)
        repeated[np.unique(ids, return_index=True)[1]] = False
        found = f"{again} of {total} annotations have the id of another one"
        remedy = "the figures here do not depend on it, but pycocotools keeps only one of each: number them anew"
        warnings.append(explain(path, found, example(repeated, ids), remedy))
    return warnings


def equal_rows(rows: Floats) -> tuple[Booleans, Booleans]:
    """Return which of the rows (n, k) repeat an earlier one, and which earlier ones are repeated."""
    # Sorted by one number a row, equal rows stand together; it takes a sixth of the time of sorting by all columns.
    order = np.argsort(rows @ np.sqrt(np.arange(2, rows.shape[1] + 2)), kind="stable")
    same = (rows[order][1:] == rows[order][:-1]).all(axis=1)
    again, kept = np.zeros(len(rows), dtype=np.bool_), np.zeros(len(rows), dtype=np.bool_)
    again[order[1:][same]] = True
    kept[order[:-1][same]] = True
    return again, kept & ~again


def _contradicting_heights(
    path: Path, image_heights: Floats, boxes: Floats, heights: Floats, ignored: Booleans
) -> list[str]:
    """`height` decides on the subsets: it has to be the box's, not the image's, which many COCO files have there."""
    differs = np.abs(heights - boxes[:, 3]) > np.maximum(2, 0.05 * boxes[:, 3])
    image = differs & (heights == image_heights)
    if image.sum() >= ENOUGH and image.sum() >= 0.5 * len(heights):
        index = int(np.flatnonzero(image)[0])
        found = f"{image.sum()} of {len(heights)} annotations have the image's height under 'height'"
        example = f"{heights[index]:g} for a box of {boxes[index, 3]:g} pixels in annotation {index + 1}"
        remedy = (
            "write the box's height, bbox[3]: with the image's every pedestrian counts as tall (12.01 became 27.41 on "
            "CityPersons, and Small empty)"
        )
        raise AlfnetError(explain(path, found, example, remedy))
    differs &= ~ignored
    if not differs.any():
        return []
    index = int(np.flatnonzero(differs)[0])
    found = f"{differs.sum()} of {(~ignored).sum()} pedestrians have another height than their box"
    example = f"height {heights[index]:g} for a box of {boxes[index, 3]:g} pixels in annotation {index + 1}"
    remedy = "the subsets go by 'height': write bbox[3] there, unless it is meant so"
    return [explain(path, found, example, remedy)]


def _doubles(path: Path, image_ids: Integers, boxes: Floats, ignored: Booleans) -> list[str]:
    rows = np.column_stack([image_ids, boxes, ignored])
    again, kept = equal_rows(rows)
    doubles = again & ~ignored
    if not doubles.any():
        return []
    index = int(np.flatnonzero(doubles)[0])
    pedestrians = int((~ignored).sum())
    found = f"{doubles.sum()} of {pedestrians} pedestrians are annotated twice (same image and box)"
    example = f"{boxes[index].tolist()} of image {image_ids[index]} in annotation {index + 1}"
    remedy = "the second of each is missed by every detector: were two files joined? Leave each in once"
    if (again | kept)[~ignored].all() and pedestrians >= ENOUGH:
        raise AlfnetError(explain(path, found, example, remedy))
    return [explain(path, found, example, remedy)]
