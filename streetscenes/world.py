"""The plan of a scene before anything is painted: camera, street, light and weather, drawn by lot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streetscenes.canvas import Colour, mix, scaled
from streetscenes.lots import between, chance, jitter, pick

Weather = Literal["sun", "overcast", "dusk"]

FAR = 130.0  # metres to the end of the street


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: metres of the street to pixels of the image.

    X runs to the right of the camera, Y upwards from the ground, Z forward. It looks straight ahead, so that what is
    parallel to the image stays a rectangle; a shifted vanishing point stands for a turned camera.
    """

    focal: float
    """Pixels, like the vanishing point's column and row."""
    centre: float
    horizon: float
    height: float
    """Metres above the ground."""

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

    def wall(self, x: float, z1: object, z2: object, y1: object, y2: object) -> np.ndarray:
        """The corners (..., 4, 2) in pixels of upright rectangles along the street; the ends may be arrays (...)."""
        near, far, low, high = np.broadcast_arrays(*(np.asarray(v, dtype=np.float64) for v in (z1, z2, y1, y2)))
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


@dataclass(frozen=True)
class Light:
    """Light and air of a scene."""

    weather: Weather
    side: int
    """Where the sun stands: -1 left, 1 right, 0 hidden."""
    haze: Colour
    sight: float
    """Metres at which about a third of an object's colour is lost to haze."""
    sky_top: Colour
    sky_low: Colour
    gain: tuple[float, float, float]
    """Factors of blue, green and red on the finished image."""
    noise: float
    """Standard deviation of the sensor's noise, in grey levels."""
    blur: float
    """Standard deviation of the lens' blur in pixels."""

    def haze_share(self, depth: float) -> float:
        """How much of an object's colour is lost to haze at a depth in metres."""
        return min(0.85, 0.36 * depth / (0.64 * self.sight + 0.36 * depth))

    def seen(self, colour: Colour, depth: float) -> Colour:
        """A colour as it looks at a depth in metres."""
        return mix(colour, self.haze, self.haze_share(depth))


@dataclass(frozen=True)
class Street:
    """Where things are across the street, in metres to the right of the camera."""

    left_kerb: float
    right_kerb: float
    left_front: float
    right_front: float
    kind: Literal["street", "precinct"]
    """precinct: paved from front to front, without cars."""
    crossing: float | None
    """Depth of a zebra crossing."""
    asphalt: Colour
    paving: Colour


@dataclass(frozen=True)
class World:
    """The plan: everything that the painters share."""

    height: int
    width: int
    camera: Camera
    light: Light
    street: Street


def plan(rng: np.random.Generator, height: int, width: int) -> World:
    """Draw a street, a camera in it and the weather."""
    camera = Camera(
        focal=1.1 * width * between(rng, 0.88, 1.18),
        centre=width * between(rng, 0.3, 0.7),
        horizon=height * between(rng, 0.38, 0.46),
        height=between(rng, 1.2, 1.55),
    )
    return World(height, width, camera, _light(rng), _street(rng))


def _light(rng: np.random.Generator) -> Light:
    weather: Weather = pick(rng, ("sun", "overcast", "dusk"), (0.42, 0.4, 0.18))
    noise, blur = between(rng, 0.9, 2.0), pick(rng, (0.3, 0.38, 0.45, 0.52))
    if weather == "sun":
        top, low = jitter(rng, (212, 158, 108), 14), jitter(rng, (236, 222, 206), 8)
        haze, sight, side = mix(low, (220, 216, 210), 0.5), between(rng, 160, 420), pick(rng, (-1, 1))
        warm = between(rng, 0.0, 0.08)
        gain = (1.02 - warm, 1.02, 1.03 + warm / 2)
    elif weather == "overcast":
        top, low = jitter(rng, (206, 200, 192), 14), jitter(rng, (228, 225, 220), 8)
        haze, sight, side = scaled(low, 0.93), between(rng, 90, 300), 0
        level = between(rng, 0.8, 0.96)
        gain = (level * 1.03, level, level * 0.98)
    else:
        top, low = jitter(rng, (128, 88, 66), 10), jitter(rng, (150, 160, 204), 14)
        haze, sight, side = mix(top, low, 0.5), between(rng, 160, 320), 0
        level = between(rng, 0.74, 0.9)
        gain, noise = (level * 1.08, level * 0.98, level), noise + 0.5
    return Light(weather, side, haze, sight, top, low, gain, noise, blur)


def _street(rng: np.random.Generator) -> Street:
    kind: Literal["street", "precinct"] = "precinct" if chance(rng, 0.22) else "street"
    # The camera's own lane is the right one; a shifted vanishing point shows more of one side.
    right, left = between(rng, 1.7, 4.5), -between(rng, 3.4, 8.5)
    right_front, left_front = right + between(rng, 2.6, 6.5), left - between(rng, 2.6, 6.5)
    crossing = between(rng, 9, 26) if kind == "street" and chance(rng, 0.45) else None
    grey = int(rng.integers(84, 118))
    paving = pick(rng, ((150, 154, 158), (138, 146, 156), (128, 140, 158), (160, 160, 158), (124, 136, 150)))
    return Street(
        left, right, left_front, right_front, kind, crossing, (grey + 3, grey + 1, grey), jitter(rng, paving, 10)
    )
