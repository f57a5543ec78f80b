"""The plan of a scene before anything is painted: camera, street, light and weather, drawn by lot."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from streetscenes.camera import Camera
from streetscenes.canvas import Colour, mix, scaled
from streetscenes.looks import between, chance, jitter, pick

Weather = Literal["sun", "overcast", "dusk"]

FAR = 130.0  # metres to the end of the street


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
    """Factors of blue, green and red on the finished picture."""
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
    return World(height, width, camera, light(rng), _street(rng, camera, width))


def light(rng: np.random.Generator) -> Light:
    """Draw the weather and the time of the day."""
    weather: Weather = pick(rng, ("sun", "overcast", "dusk"), (0.42, 0.4, 0.18))
    noise = between(rng, 0.9, 2.0)
    blur = pick(rng, (0.3, 0.38, 0.45, 0.52))
    if weather == "sun":
        top, low = jitter(rng, (212, 158, 108), 14), jitter(rng, (236, 222, 206), 8)
        warm = between(rng, 0.0, 0.08)
        return Light(
            weather,
            pick(rng, (-1, 1)),
            mix(low, (220, 216, 210), 0.5),
            between(rng, 160, 420),
            top,
            low,
            (1.02 - warm, 1.02, 1.03 + warm / 2),
            noise,
            blur,
        )
    if weather == "overcast":
        top, low = jitter(rng, (206, 200, 192), 14), jitter(rng, (228, 225, 220), 8)
        gain = between(rng, 0.8, 0.96)
        return Light(
            weather,
            0,
            scaled(low, 0.93),
            between(rng, 90, 300),
            top,
            low,
            (gain * 1.03, gain, gain * 0.98),
            noise,
            blur,
        )
    top, low = jitter(rng, (128, 88, 66), 10), jitter(rng, (150, 160, 204), 14)
    gain = between(rng, 0.74, 0.9)
    return Light(
        weather,
        0,
        mix(top, low, 0.5),
        between(rng, 160, 320),
        top,
        low,
        (gain * 1.08, gain * 0.98, gain),
        noise + 0.5,
        blur,
    )


def _street(rng: np.random.Generator, camera: Camera, width: int) -> Street:
    kind: Literal["street", "precinct"] = "precinct" if chance(rng, 0.22) else "street"
    # The camera's own lane is the right one; a shifted vanishing point shows more of one side.
    right = between(rng, 1.7, 4.5)
    left = -between(rng, 3.4, 8.5)
    right_front = right + between(rng, 2.6, 6.5)
    left_front = left - between(rng, 2.6, 6.5)
    crossing = between(rng, 9, 26) if kind == "street" and chance(rng, 0.45) else None
    grey = int(rng.integers(84, 118))
    asphalt = (grey + 3, grey + 1, grey)
    paving = pick(rng, ((150, 154, 158), (138, 146, 156), (128, 140, 158), (160, 160, 158), (124, 136, 150)))
    return Street(left, right, left_front, right_front, kind, crossing, asphalt, jitter(rng, paving, 10))
