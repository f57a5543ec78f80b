"""What a detector found in one image, and the forms that others want it in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from alfnet.detection.results import ImageDetections, coco_rows
from alfnet.errors import AlfnetError
from alfnet.images import read_image

if TYPE_CHECKING:
    import pandas
    import supervision


@dataclass(frozen=True, repr=False)
class Detections:
    """The pedestrians found in one image, the best score first."""

    boxes: np.ndarray
    """(K, 4) float32: x1 y1 x2 y2 in pixels of the image, within 0 ... width - 1 and 0 ... height - 1."""
    scores: np.ndarray
    """(K,) float32, 0 to 1."""
    step: int
    """The localisation step, from 1, that the boxes come from; the scores are the product of those up to it."""
    height: int
    """Of the image, pixels."""
    width: int
    source: str | None = None
    """The file, where one was given."""
    image: np.ndarray | None = field(default=None, compare=False)
    """The image as it was given, where it was no file: uint8 (H, W, 3)."""
    bgr: bool = False
    """Whether `image` has its channels as B G R."""

    def __len__(self) -> int:
        return len(self.scores)

    def __repr__(self) -> str:
        best = f", best {self.scores[0]:.2f}" if len(self) else ""
        where = f" in {self.source}" if self.source else ""
        return f"<{len(self)} pedestrians{where} ({self.width} x {self.height} px{best}; step {self.step})>"

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO results: {"image_id", "category_id": 1, "bbox": [x, y, w, h], "score"}, w = x2 - x1, 4 decimals."""
        return coco_rows(ImageDetections(image_id, self.boxes, self.scores))

    def to_frame(self) -> pandas.DataFrame:
        """A table with the columns x1, y1, x2, y2, score, step."""
        import pandas

        table = pandas.DataFrame(self.boxes, columns=["x1", "y1", "x2", "y2"])
        return table.assign(score=self.scores, step=self.step)

    def to_supervision(self) -> supervision.Detections:
        """The same for the package `supervision` (trackers, annotators, ...); class 0 is the pedestrian."""
        try:
            import supervision
        except ImportError:
            raise AlfnetError("supervision is not installed; install it with: pip install supervision") from None
        return supervision.Detections(
            xyxy=self.boxes.astype(np.float32).reshape(-1, 4),
            confidence=self.scores.astype(np.float32),
            class_id=np.zeros(len(self), dtype=int),
            data={"class_name": np.full(len(self), "pedestrian")},
        )

    def draw(self, image: np.ndarray | None = None) -> np.ndarray:
        """A copy of the image with boxes and scores: uint8 (H, W, 3), R G B (B G R where it was given so).

        image: draw on this one, of the same size, instead of the image that was looked at.
        """
        from alfnet.detection.drawing import draw_detections

        if image is None:
            image = self.image
        if image is None and self.source is not None:
            image = read_image(self.source, (self.height, self.width))[..., ::-1]
        if image is None:
            raise AlfnetError("draw: the image was not kept; give it: found.draw(image)")
        if image.shape[:2] != (self.height, self.width):
            raise AlfnetError(
                f"draw: the image is {image.shape[1]} x {image.shape[0]} px, "
                f"the one that was looked at {self.width} x {self.height}"
            )
        if self.bgr:
            return draw_detections(image, self.boxes, self.scores)
        return np.ascontiguousarray(draw_detections(image[..., ::-1], self.boxes, self.scores)[..., ::-1])
