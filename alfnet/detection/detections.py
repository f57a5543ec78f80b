"""What a detector found in one image, and the forms that others want it in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from alfnet.detection.results import ImageDetections, coco_rows
from alfnet.errors import AlfnetError, extra_needed

if TYPE_CHECKING:
    import pandas
    import supervision

    from alfnet.detection.given import ImageLike


@dataclass(frozen=True, repr=False, eq=False)
class Detections:
    """The pedestrians found in one image, the best score first."""

    boxes: np.ndarray
    """(K, 4) float32: x1 y1 x2 y2 in pixels of the image, within 0 ... width - 1 and 0 ... height - 1."""
    scores: np.ndarray
    """(K,) float32, 0 to 1."""
    step: int
    """The localisation step, from 1, that the boxes come from; a score is made of those up to it (published: their product)."""
    height: int
    """Of the image, pixels."""
    width: int
    source: str | None = None
    """The file, where one was given."""
    image: np.ndarray | None = None
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
        with extra_needed("notebook"):
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

    def draw(self, image: ImageLike | None = None) -> np.ndarray:
        """A copy of the image with boxes and scores: uint8 (H, W, 3), R G B (B G R where it was given so).

        image: draw on this one, of the same size, instead of the image that was looked at; in any form that `Detector` takes.

        Raises AlfnetError where there is no image to draw on, or it has another size.
        """
        from alfnet.detection.drawing import draw_detections
        from alfnet.detection.given import as_bgr

        if image is None:
            image = self.image
        if image is None and self.source is not None:
            image = self.source
        if image is None:
            raise AlfnetError("draw: the image was not kept; give it: found.draw(image)")
        pixels = as_bgr(image, self.bgr)
        if pixels.shape[:2] != (self.height, self.width):
            raise AlfnetError(
                f"draw: the image is {pixels.shape[1]} x {pixels.shape[0]} px, "
                f"the one that was looked at {self.width} x {self.height}"
            )
        drawn = draw_detections(pixels, self.boxes, self.scores)
        return drawn if self.bgr else np.ascontiguousarray(drawn[..., ::-1])
