"""Files of detections: COCO results (JSON) and the 2018 release's text format."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from alfnet import files

DECIMALS = 4  # of the released results, in both formats
_PEDESTRIAN = 1  # the one category


@dataclass(frozen=True)
class ImageDetections:
    """The detections of one image; `image_id` is the ground truth's, from 1."""

    image_id: int
    boxes: np.ndarray
    """(K, 4) x1 y1 x2 y2 in pixels of the full image; K may be 0."""
    scores: np.ndarray
    """(K,)"""

    def __post_init__(self) -> None:
        if self.boxes.shape != (len(self.scores), 4):
            raise ValueError(f"image {self.image_id}: boxes {self.boxes.shape} do not fit {len(self.scores)} scores")
        if not (np.isfinite(self.boxes).all() and np.isfinite(self.scores).all()):
            raise ValueError(f"image {self.image_id}: a box or score is not finite")

    def rows(self) -> list[list[float]]:
        """Per box x, y, w, h, score with 4 decimals, the best first (equal scores in their order); w = x2 - x1."""
        corners = np.asarray(self.boxes, dtype=np.float64)
        # Sorted before scores are rounded, so that the order tells apart what the rounding makes equal.
        order = np.argsort(-np.asarray(self.scores), kind="stable")
        columns = np.column_stack([corners[:, :2], corners[:, 2:] - corners[:, :2], self.scores])[order]
        return (columns.round(DECIMALS) + 0.0).tolist()  # + 0.0: no "-0.0"


def coco_rows(image: ImageDetections) -> list[dict[str, object]]:
    """One image's entries of a COCO results file, the best score first."""
    return [
        {"image_id": image.image_id, "category_id": _PEDESTRIAN, "bbox": box, "score": score}
        for *box, score in image.rows()
    ]


def text_lines(position: int, image: ImageDetections) -> str:
    """One image's lines of the 2018 text format; `position` counts the images from 1."""
    return "".join(f"{position} " + " ".join(f"{value:.{DECIMALS}f}" for value in row) + "\n" for row in image.rows())


def write_coco(path: str | os.PathLike[str], detections: Sequence[ImageDetections]) -> None:
    """Write COCO results, a JSON list of {"image_id", "category_id": 1, "bbox": [x, y, w, h], "score"}.

    Images by id, in each the best score first. Raises ValueError for an image that occurs twice.
    """
    by_id = {image.image_id: image for image in detections}
    if len(by_id) != len(detections):
        raise ValueError("an image occurs twice among the detections")
    files.write_json(path, [row for _, image in sorted(by_id.items()) for row in coco_rows(image)])


def write_text(path: str | os.PathLike[str], detections: Sequence[ImageDetections]) -> None:
    """Write the 2018 text format: one line `image x y w h score` per box, '%.4f'.

    `image` is the 1-based position in `detections`, which therefore holds every image of the list, also those
    without detections.
    """
    files.write_text(path, "".join(text_lines(position, image) for position, image in enumerate(detections, start=1)))
