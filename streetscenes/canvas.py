"""The image under construction: polygons and sprites over a colour image and a buffer that says whose pixel it is.

Everything is drawn in 8-bit integers at fixed-point coordinates, so that the same scene is the same bytes on every
machine. Colours are (blue, green, red), coordinates are pixels of the image with (0, 0) at the corner of the first one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

Colour = tuple[int, int, int]
Points = Sequence[Sequence[float]] | np.ndarray

SHIFT = 4  # fractional bits of OpenCV's fixed-point coordinates
_LIMIT = 1 << 24  # beyond any image, within 32 bits

# Points around a circle of radius 1. math's sine may round differently from one C library to the next, 9 digits do not.
CIRCLE = np.array([(round(math.cos(k * math.pi / 12), 9), round(math.sin(k * math.pi / 12), 9)) for k in range(24)])

# A pixel belongs to a figure that covers at least half of it.
SOLID = 128


def fixed(points: Points, scale: float = 1.0) -> np.ndarray:
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


@dataclass
class Sprite:
    """A figure cut out: colours already multiplied by the coverage, and the coverage, (h, w, 4) uint8."""

    pixels: np.ndarray

    @property
    def solid(self) -> np.ndarray:
        """Where the figure covers at least half of the pixel, (h, w) bool."""
        return self.pixels[..., 3] >= SOLID

    def faded(self, colour: Colour, share: float) -> Sprite:
        """The sprite seen through haze of a colour."""
        k = int(256 * min(max(share, 0.0), 1.0) + 0.5)
        if k == 0:
            return self
        pixels = self.pixels.astype(np.uint32)
        alpha = pixels[..., 3:]
        veil = alpha * np.array(colour, dtype=np.uint32) * k // 255
        pixels[..., :3] = (pixels[..., :3] * (256 - k) + veil) >> 8
        return Sprite(pixels.astype(np.uint8))

    def thinned(self, share: float) -> Sprite:
        """The sprite made transparent: `share` of its coverage stays."""
        k = int(256 * share + 0.5)
        return Sprite(((self.pixels.astype(np.uint16) * k) >> 8).astype(np.uint8))


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
        self.height = height
        self.width = width
        self.image = np.zeros((height, width, 3), dtype=np.uint8)
        self.ids = np.zeros((height, width), dtype=np.int32)
        self.recording = False
        """Whether what is drawn hides figures; off while the background is painted, which saves the time."""

    def polygon(self, points: Points, colour: Colour) -> None:
        """Fill a polygon (n, 2) with smooth edges."""
        self.polygons([points], colour)

    def polygons(self, polygons: Sequence[Points] | np.ndarray, colour: Colour) -> None:
        """Fill polygons of one colour; where two of them overlap the even-odd rule holds."""
        if len(polygons) == 0:
            return
        corners = list(fixed(polygons)) if isinstance(polygons, np.ndarray) else [fixed(points) for points in polygons]
        if self.recording:
            cv2.fillPoly(self.ids, corners, (0,), cv2.LINE_8, SHIFT)
        cv2.fillPoly(self.image, corners, colour, cv2.LINE_AA, SHIFT)

    def ellipse(self, centre: Sequence[float] | np.ndarray, radii: Sequence[float], colour: Colour) -> None:
        """Fill an upright ellipse."""
        self.polygon(np.asarray(centre) + CIRCLE * np.array(radii), colour)

    def paste(self, sprite: Sprite, x: int, y: int, number: int | None = 0) -> None:
        """Lay a sprite with its corner at (x, y); its solid pixels get `number` (None leaves the buffer as it is)."""
        h, w = sprite.pixels.shape[:2]
        x1, y1, x2, y2 = max(x, 0), max(y, 0), min(x + w, self.width), min(y + h, self.height)
        if x1 >= x2 or y1 >= y2:
            return
        pixels = sprite.pixels[y1 - y : y2 - y, x1 - x : x2 - x]
        lay(self.image[y1:y2, x1:x2], pixels)
        if number is not None:
            self.ids[y1:y2, x1:x2][pixels[..., 3] >= SOLID] = number

    def darken(self, mask: np.ndarray, share: float) -> None:
        """Darken the image where `mask` (H, W) uint8 is set: at 255 the share `share` of the light is taken."""
        box = bounds(mask)
        if box is None:
            return
        x1, y1, x2, y2 = box
        part, level = self.image[y1:y2, x1:x2], mask[y1:y2, x1:x2]
        levels = np.arange(256, dtype=np.float64)
        before = part.copy()
        # Four depths of shadow are enough for soft edges, and table look-ups are fast.
        for step in range(1, 5):
            table = np.floor(levels * (1 - share * step / 4) + 0.5).astype(np.uint8)
            cv2.copyTo(cv2.LUT(before, table), (level >= 64 * step - 32).astype(np.uint8), part)

    def grain(self, region: tuple[int, int, int, int], texture: np.ndarray) -> None:
        """Add a texture (h, w) int, centred on 0, to the region x1, y1, x2, y2."""
        x1, y1, x2, y2 = region
        part = self.image[y1:y2, x1:x2]
        part[:] = np.clip(part.astype(np.int16) + texture[..., None].astype(np.int16), 0, 255).astype(np.uint8)


def lay(image: np.ndarray, pixels: np.ndarray) -> None:
    """Lay premultiplied pixels (h, w, 4) over an image (h, w, 3) in place, in integers."""
    alpha = pixels[..., 3:].astype(np.uint16)
    rest = 256 - alpha - (alpha >> 7)  # 256 where nothing covers, 0 where all is covered
    under = (image * rest) >> 8
    image[:] = np.minimum(under + pixels[..., :3], 255).astype(np.uint8)
