"""Detections drawn on an image."""

from __future__ import annotations

from collections.abc import Iterable

import cv2
import numpy as np

# B G R. Sky blue of the Okabe-Ito colours, told apart by colour-blind people too, between dark edges that show it on
# light ground.
COLOUR = (233, 180, 86)
DARK = (30, 20, 10)

Plate = tuple[int, int, int, int]
"""Left, top, width, height of a label in pixels."""

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_SHORT_SIDE = 600  # pixels of an image's short side per pixel of line


def draw_detections(image: np.ndarray, boxes: np.ndarray, scores: np.ndarray) -> np.ndarray:
    """Return a copy of `image` with boxes and scores drawn on it.

    Lines and letters grow with the image. A label stands above its box; in a crowd the better one stays there and
    others move up, tied to their boxes by a line, and one for which there is no room is left out.

    Args:
        image: uint8 (H, W, 3), B G R.
        boxes: (K, 4) x1 y1 x2 y2 in pixels of the image.
        scores: (K,), shown with two decimals.
    """
    drawn = np.ascontiguousarray(image).copy()
    short_side = min(image.shape[:2])
    line = max(1, round(short_side / _SHORT_SIDE))
    corners = np.rint(boxes).astype(int).reshape(-1, 4).tolist()
    best_first = np.argsort(-np.asarray(scores), kind="stable").tolist()
    for index in reversed(best_first):
        x1, y1, x2, y2 = corners[index]
        cv2.rectangle(drawn, (x1, y1), (x2, y2), DARK, line + 2)
        cv2.rectangle(drawn, (x1, y1), (x2, y2), COLOUR, line)
    size, weight, margin = max(0.44, short_side / 1900), max(1, line // 2), 1 + line
    labels = {index: f"{scores[index]:.2f}" for index in best_first}
    plates: dict[int, Plate] = {}
    for index, text in labels.items():
        (width, height), _ = cv2.getTextSize(text, _FONT, size, weight)
        left = min(max(0, corners[index][0]), max(0, image.shape[1] - width - 2 * margin))
        plate = _place(left, corners[index][1], width + 2 * margin, height + 2 * margin, plates.values())
        if plate is not None:
            plates[index] = plate
    # Frames, then lines, then labels: a line under a label is no loss, a label under a line is hard to read.
    for index, (left, top, _, height) in plates.items():
        if top + height < corners[index][1]:
            cv2.line(drawn, (left, top + height), (left, corners[index][1]), COLOUR, line)
    for index, (left, top, width, height) in plates.items():
        cv2.rectangle(drawn, (left, top), (left + width - 1, top + height - 1), COLOUR, cv2.FILLED)
        origin = (left + margin, top + height - margin)
        cv2.putText(drawn, labels[index], origin, _FONT, size, DARK, weight, cv2.LINE_AA)
    return drawn


def _place(left: int, bottom: int, width: int, height: int, plates: Iterable[Plate]) -> Plate | None:
    """A plate with its lower left corner at (left, bottom), or as far above that it overlaps none of `plates`.

    At the image's upper edge it moves down to row 0, unless others stand there: then there is no room (None).
    """
    top = max(0, bottom - height)
    for other_left, other_top, other_width, other_height in sorted(plates, key=lambda plate: -plate[1]):
        across = left < other_left + other_width and other_left < left + width
        if across and top < other_top + other_height and other_top < top + height:
            top = other_top - height - 1
    return (left, top, width, height) if top >= 0 else None
