"""Drawing lots, and the plan of a scene before anything is painted: camera, street, light and weather.

Of the random numbers, only those are used that are the same with every NumPy and on every machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import cv2
import numpy as np

from streetscenes.canvas import Colour, mix, scaled

T = TypeVar("T")
Weather = Literal["sun", "overcast", "dusk"]
Lengths = float | np.ndarray  # metres

FAR = 130.0  # metres to the end of the street
TILE = 256  # rows and columns of the texture


def pick(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of the items, evenly or by weights."""
    if weights is None:
        return items[int(rng.integers(len(items)))]
    level = float(rng.random()) * sum(weights)
    for item, weight in zip(items, weights, strict=True):
        level -= weight
        if level < 0:
            return item
    return items[-1]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, evenly."""
    return low + (high - low) * float(rng.random())


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with a probability."""
    return float(rng.random()) < probability


def jitter(rng: np.random.Generator, colour: Colour, amount: int = 12) -> Colour:
    """A colour near to another: all channels move together, and a little apart."""
    together = int(rng.integers(-amount, amount + 1))
    moved = rng.integers(-amount // 3, amount // 3 + 1, 3) + together + np.array(colour)
    b, g, r = (min(max(int(value), 6), 248) for value in moved)
    return b, g, r


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: metres of the street to pixels of the image.

    X runs to the right of the camera, Y upwards from the ground, Z forward. It looks straight ahead, so that what is
    parallel to the image stays a rectangle; a shifted vanishing point stands for a turned camera.
    """

    focal: float  # pixels, like the vanishing point's column and row
    centre: float
    horizon: float
    height: float  # metres above the ground

    def project(self, points: object) -> np.ndarray:
        """Points (..., 3) in metres, Z > 0, to pixels (..., 2)."""
        world = np.asarray(points, dtype=np.float64)
        scale = self.focal / world[..., 2]
        pixels = np.empty((*scale.shape, 2))
        pixels[..., 0] = self.centre + world[..., 0] * scale
        pixels[..., 1] = self.horizon + (self.height - world[..., 1]) * scale
        return pixels

    def floor(self, x1: float, x2: float, z1: float, z2: float) -> np.ndarray:
        """The corners (4, 2) in pixels of a rectangle on the ground."""
        return self.project([(x1, 0, z1), (x2, 0, z1), (x2, 0, z2), (x1, 0, z2)])

    def face(self, x1: float, x2: float, y1: float, y2: float, z: float) -> np.ndarray:
        """The corners (4, 2) in pixels of an upright rectangle that faces the camera."""
        return self.project([(x1, y1, z), (x1, y2, z), (x2, y2, z), (x2, y1, z)])

    def wall(self, x: float, z1: Lengths, z2: Lengths, y1: Lengths, y2: Lengths) -> np.ndarray:
        """The corners (..., 4, 2) in pixels of upright rectangles along the street; the ends may be arrays (...)."""
        near, far, low, high = np.broadcast_arrays(z1, z2, y1, y2)
        corners = np.empty((*near.shape, 4, 3))
        corners[..., 0] = x
        corners[..., 1] = np.stack([low, high, high, low], axis=-1)
        corners[..., 2] = np.stack([near, near, far, far], axis=-1)
        return self.project(corners)

    def foot(self, depth: float) -> float:
        """The image row of the ground at a depth in metres."""
        return self.horizon + self.focal * self.height / depth

    def depth(self, row: float) -> float:
        """The depth in metres of the ground at an image row, which must be below the horizon."""
        return self.focal * self.height / max(row - self.horizon, 0.5)

    def column(self, across: float, depth: float) -> float:
        """The image column of a point `across` metres to the right at a depth in metres."""
        return self.centre + self.focal * across / depth

    def across(self, column: float, depth: float) -> float:
        """Metres to the right of the camera of an image column at a depth in metres."""
        return (column - self.centre) * depth / self.focal

    def pixels(self, metres: float, depth: float) -> float:
        """The length in pixels of a length in metres at a depth."""
        return self.focal * metres / depth


class Light:
    """Light and air of a scene, drawn by lot."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.weather: Weather = pick(rng, ("sun", "overcast", "dusk"), (0.42, 0.4, 0.18))
        # Standard deviations of the sensor's noise in grey levels, and of the lens' blur in pixels.
        self.noise, self.blur = between(rng, 0.9, 2.0), pick(rng, (0.3, 0.38, 0.45, 0.52))
        self.side = 0  # where the sun stands: -1 left, 1 right, 0 hidden
        # The sky at the top and above the horizon; the colour of the air; metres at which about a third of an object's
        # colour is lost to it; factors of blue, green and red on the finished image.
        if self.weather == "sun":
            self.sky_top, self.sky_low = jitter(rng, (212, 158, 108), 14), jitter(rng, (236, 222, 206), 8)
            self.haze, self.sight = mix(self.sky_low, (220, 216, 210), 0.5), between(rng, 160, 420)
            self.side = pick(rng, (-1, 1))
            warm = between(rng, 0.0, 0.08)
            self.gain = (1.02 - warm, 1.02, 1.03 + warm / 2)
        elif self.weather == "overcast":
            self.sky_top, self.sky_low = jitter(rng, (206, 200, 192), 14), jitter(rng, (228, 225, 220), 8)
            self.haze, self.sight = scaled(self.sky_low, 0.93), between(rng, 90, 300)
            level = between(rng, 0.8, 0.96)
            self.gain = (level * 1.03, level, level * 0.98)
        else:
            self.sky_top, self.sky_low = jitter(rng, (128, 88, 66), 10), jitter(rng, (150, 160, 204), 14)
            self.haze, self.sight = mix(self.sky_top, self.sky_low, 0.5), between(rng, 160, 320)
            level = between(rng, 0.74, 0.9)
            self.gain = (level * 1.08, level * 0.98, level)
            self.noise += 0.5

    def haze_share(self, depth: float) -> float:
        """How much of an object's colour is lost to haze at a depth in metres."""
        return min(0.85, 0.36 * depth / (0.64 * self.sight + 0.36 * depth))

    def seen(self, colour: Colour, depth: float) -> Colour:
        """A colour as it looks at a depth in metres."""
        return mix(colour, self.haze, self.haze_share(depth))


class Street:
    """Where things are across the street, in metres to the right of the camera, drawn by lot."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.precinct = chance(rng, 0.22)  # paved from front to front, without cars
        # The camera's own lane is the right one; a shifted vanishing point shows more of one side.
        self.right_kerb, self.left_kerb = between(rng, 1.7, 4.5), -between(rng, 3.4, 8.5)
        self.right_front = self.right_kerb + between(rng, 2.6, 6.5)
        self.left_front = self.left_kerb - between(rng, 2.6, 6.5)
        # The depth of a zebra crossing.
        self.crossing = between(rng, 9, 26) if not self.precinct and chance(rng, 0.45) else None
        grey = int(rng.integers(84, 118))
        self.asphalt: Colour = (grey + 3, grey + 1, grey)
        pavings = ((150, 154, 158), (138, 146, 156), (128, 140, 158), (160, 160, 158), (124, 136, 150))
        self.paving = jitter(rng, pick(rng, pavings), 10)


class World:
    """The plan that the painters share, drawn by lot: a street, a camera in it and the weather."""

    def __init__(self, rng: np.random.Generator, height: int, width: int) -> None:
        self.height, self.width = height, width
        # (TILE, TILE) int16: fine and coarse grains, about -20 to 20, that repeat without a seam.
        self.tile = _texture(rng)
        self.camera = Camera(
            focal=1.1 * width * between(rng, 0.88, 1.18),
            centre=width * between(rng, 0.3, 0.7),
            horizon=height * between(rng, 0.38, 0.46),
            height=between(rng, 1.2, 1.55),
        )
        self.light, self.street = Light(rng), Street(rng)

    def patch(self, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
        """A piece (height, width) of the tile from a place by lot."""
        down, across = rng.integers(0, TILE, 2)
        return self.tile[(np.arange(height) + down) % TILE][:, (np.arange(width) + across) % TILE]


def _texture(rng: np.random.Generator) -> np.ndarray:
    total = np.zeros((TILE, TILE), dtype=np.int16)
    for block, weight in ((1, 10), (2, 10), (8, 12), (32, 10)):
        grains = rng.integers(0, 256, (TILE // block, TILE // block), dtype=np.uint8)
        wrapped = np.pad(grains, ((0, 1), (0, 1)), mode="wrap")
        grown = cv2.resize(wrapped, (TILE + block, TILE + block), interpolation=cv2.INTER_LINEAR)[:TILE, :TILE]
        total += ((grown.astype(np.int16) - 128) * weight) >> 7
    return total
