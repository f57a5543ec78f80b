"""A contact sheet: some images of a data set with their boxes, on one PNG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from alfnet.annotations.images import AnnotatedImage
from alfnet.errors import AlfnetError
from alfnet.images import encode_png, read_image
from alfnet.outputs import mark_png

IMAGES = 20
_TILE = 360  # pixels, the longer side of an image on the sheet
_COLUMNS = 4
_GAP, _CAPTION = 8, 22
_PAPER, _INK = (255, 255, 255), (60, 60, 60)
_PEDESTRIAN, _IGNORED = (80, 200, 40), (0, 170, 255)  # B G R: green, orange


def contact_sheet(images: Sequence[AnnotatedImage], folder: Path, *, number: int = IMAGES) -> tuple[bytes, list[str]]:
    """Draw up to `number` images, evenly spaced among those with boxes.

    Pedestrians are green, ignore regions orange. Returns a PNG's bytes, and a message for each image that could not be
    read; raises AlfnetError where none could.
    """
    peopled = [image for image in images if len(image.boxes)] or list(images)
    places = np.linspace(0, len(peopled) - 1, num=min(number, len(peopled))).round().astype(int)
    tiles, faults = [], []
    for place in dict.fromkeys(places.tolist()):
        try:
            tiles.append(_tile(peopled[place], folder))
        except AlfnetError as error:
            faults.append(str(error))
    if not tiles:
        raise AlfnetError(faults[0] if faults else f"{folder}: no image to show")
    rows = [tiles[start : start + _COLUMNS] for start in range(0, len(tiles), _COLUMNS)]
    height = sum(max(tile.shape[0] for tile in row) + _GAP for row in rows) + _GAP
    sheet = np.full((height, _COLUMNS * (_TILE + _GAP) + _GAP, 3), 255, np.uint8)
    top = _GAP
    for row in rows:
        for column, tile in enumerate(row):
            left = _GAP + column * (_TILE + _GAP)
            sheet[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        top += max(tile.shape[0] for tile in row) + _GAP
    return mark_png(encode_png(sheet), "alfnet data check"), faults


def _tile(annotated: AnnotatedImage, folder: Path) -> np.ndarray:
    image = read_image(folder / annotated.file_name)
    scale = _TILE / max(image.shape[:2])
    size = (max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale)))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)
    for box, pedestrian in zip(annotated.boxes * scale, annotated.pedestrian, strict=True):
        x1, y1, x2, y2 = (round(float(value)) for value in (*box[:2], *(box[:2] + box[2:])))
        cv2.rectangle(image, (x1, y1), (x2, y2), _INK, 3)
        cv2.rectangle(image, (x1, y1), (x2, y2), _PEDESTRIAN if pedestrian else _IGNORED, 1)
    tile = np.full((image.shape[0] + _CAPTION, _TILE, 3), 255, np.uint8)
    tile[: image.shape[0], : image.shape[1]] = image
    name = annotated.file_name.rsplit("/", 1)[-1]
    caption = name if len(name) <= 44 else "..." + name[-41:]
    cv2.putText(tile, caption, (1, image.shape[0] + 15), cv2.FONT_HERSHEY_SIMPLEX, 0.42, _INK, 1, cv2.LINE_AA)
    return tile
