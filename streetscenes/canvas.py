"""The image under construction: polygons and sprites over a colour image and a buffer that says whose pixel it is.

Everything is drawn in 8-bit integers at fixed-point coordinates, so that the same scene is the same bytes on every
machine. Colours are (blue, green, red), coordinates are pixels of the image with (0, 0) at the corner of the first one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from streetscenes.settings import Region

Colour = tuple[int, int, int]
Points = Sequence[Sequence[float]] | np.ndarray

SOLID = 128  # the coverage from which on a pixel belongs to a figure: half of it
SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_LIMIT = 1 << 24  # beyond any image, within 32 bits

# Points around a circle of radius 1. math's sine may round differently from one C library to the next, 9 digits do not.
CIRCLE = np.array([(round(math.cos(k * math.pi / 12), 9), round(math.sin(k * math.pi / 12), 9)) for k in range(24)])


def ellipse(centre: Sequence[float], across: float, up: float) -> np.ndarray:
    """The outline (24, 2) of an upright ellipse with two radii."""
    return np.array(centre) + CIRCLE * np.array((across, up))


def fixed(points: Sequence[np.ndarray] | np.ndarray, scale: float = 1.0) -> np.ndarray:
    """Points (..., 2) as OpenCV's fixed-point integers: pixel corners are at whole numbers here, centres in OpenCV."""
    spots = np.asarray(points, dtype=np.float64) * (scale * (1 << SHIFT)) - (1 << SHIFT) / 2
    return np.rint(np.minimum(np.maximum(spots, -_LIMIT), _LIMIT)).astype(np.int32)


def mix(first: Colour, second: Colour, share: float) -> Colour:
    """The colour between two: `share` 0 gives the first, 1 the second."""
    k = min(max(share, 0.0), 1.0)
    (a, b, c), (d, e, f) = first, second
    return int(a + (d - a) * k + 0.5), int(b + (e - b) * k + 0.5), int(c + (f - c) * k + 0.5)


def scaled(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker."""
    b, g, r = colour
    return min(int(b * factor + 0.5), 255), min(int(g * factor + 0.5), 255), min(int(r * factor + 0.5), 255)


def solid(pixels: np.ndarray) -> np.ndarray:
    """Which pixels (h, w, 4) cover at least half of themselves, (h, w) bool: those belong to a figure."""
    return pixels[..., 3] >= SOLID


def faded(pixels: np.ndarray, colour: Colour, share: float) -> np.ndarray:
    """Premultiplied pixels (h, w, 4) seen through haze of a colour."""
    k = int(256 * min(max(share, 0.0), 1.0) + 0.5)
    wide = pixels.astype(np.uint32)
    veil = wide[..., 3:] * np.array(colour, dtype=np.uint32) * k // 255
    wide[..., :3] = (wide[..., :3] * (256 - k) + veil) >> 8
    return wide.astype(np.uint8)


def bounds(mask: np.ndarray) -> tuple[int, int, int, int] | None:
    """The bounding box x1, y1, x2, y2 (x2 and y2 one past the last pixel) of a mask (h, w), None where it is empty."""
    rows = np.flatnonzero(mask.any(axis=1))
    if not rows.size:
        return None
    columns = np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


class Canvas:
    """An image (H, W, 3) uint8 and the buffer `ids` (H, W) int32: 0, or the number of the figure seen there."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width
        self.image = np.zeros((height, width, 3), dtype=np.uint8)
        self.ids = np.zeros((height, width), dtype=np.int32)
        self.recording = False  # whether polygons hide figures; off while the background is painted, to save the time

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon (n, 2) with smooth edges."""
        self.polygons(np.array([points]), colour)

    def polygons(self, polygons: Sequence[np.ndarray] | np.ndarray, colour: Colour) -> None:
        """Fill polygons (m, n, 2) of one colour; where two of them overlap the even-odd rule holds."""
        corners = list(fixed(polygons))
        if self.recording:
            cv2.fillPoly(self.ids, corners, (0,), cv2.LINE_8, SHIFT)
        cv2.fillPoly(self.image, corners, colour, cv2.LINE_AA, SHIFT)

    def inside(self, x: int, y: int, w: int, h: int) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 of the part of a box x, y, w, h that lies in the image; x1 = x2 or y1 = y2 where none does."""
        x1, y1 = min(max(x, 0), self.width), min(max(y, 0), self.height)
        return x1, y1, min(max(x + w, x1), self.width), min(max(y + h, y1), self.height)

    def paste(
        self, pixels: np.ndarray, x: int, y: int, own: np.ndarray, number: int, within: Region | None = None
    ) -> None:
        """Lay premultiplied pixels (h, w, 4) with their corner at (x, y), or what of them is `within` a box.

        Where they are solid the buffer gets 0, where `own` (h, w) bool is set it gets `number`.
        """
        left, top, right, bottom = self.inside(*(within or (0, 0, self.width, self.height)))
        x1, y1 = max(x, left), max(y, top)
        x2, y2 = max(min(x + pixels.shape[1], right), x1), max(min(y + pixels.shape[0], bottom), y1)
        part = np.s_[y1 - y : y2 - y, x1 - x : x2 - x]
        lay(self.image[y1:y2, x1:x2], pixels[part])
        self.ids[y1:y2, x1:x2][solid(pixels[part])] = 0
        self.ids[y1:y2, x1:x2][own[part]] = number

    def shade(self, outlines: Sequence[np.ndarray], share: float, *, blur: int) -> np.ndarray:
        """Take a share of the light within outlines (n, 2) in pixels, with edges `blur` px wide.

        Returns the mask (H, W) uint8, 255 within.
        """
        mask = np.zeros(self.ids.shape, dtype=np.uint8)
        for outline in outlines:
            cv2.fillPoly(mask, [np.rint(np.clip(outline, -30000, 30000)).astype(np.int32)], (255,))
        level, before, levels = cv2.blur(mask, (blur, blur)), self.image.copy(), np.arange(256, dtype=np.float64)
        # Four depths of shadow are enough for soft edges, and table look-ups are fast.
        for step in range(1, 5):
            table = np.floor(levels * (1 - share * step / 4) + 0.5).astype(np.uint8)
            cv2.copyTo(cv2.LUT(before, table), (level >= 64 * step - 32).astype(np.uint8), self.image)
        return mask

    def grain(self, top: int, texture: np.ndarray) -> None:
        """Add a texture (h, W) int, centred on 0, to the rows from `top` on."""
        part = self.image[top : top + len(texture)]
        part[:] = np.clip(part.astype(np.int16) + texture[..., None].astype(np.int16), 0, 255).astype(np.uint8)


def lay(image: np.ndarray, pixels: np.ndarray) -> None:
    """Lay premultiplied pixels (h, w, 4) over an image (h, w, 3) in place, in integers."""
    alpha = pixels[..., 3:].astype(np.uint16)
    rest = 256 - alpha - (alpha >> 7)  # 256 where nothing covers, 0 where all is covered
    under = (image * rest) >> 8
    image[:] = np.minimum(under + pixels[..., :3], 255).astype(np.uint8)
