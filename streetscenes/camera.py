"""The camera: metres of the street to pixels of the picture.

X runs to the right of the camera, Y upwards from the ground, Z forward. The camera looks straight ahead, so that a
front parallel to the picture stays a rectangle; a shifted principal point stands for a turned camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: focal length, vanishing point and horizon in pixels, height above the ground in metres."""

    focal: float
    centre: float
    horizon: float
    height: float

    def project(self, points: object) -> np.ndarray:
        """Points (..., 3) in metres, Z > 0, to pixels (..., 2)."""
        world = np.asarray(points, dtype=np.float64)
        scale = self.focal / world[..., 2]
        pixels = np.empty((*scale.shape, 2))
        pixels[..., 0] = self.centre + world[..., 0] * scale
        pixels[..., 1] = self.horizon + (self.height - world[..., 1]) * scale
        return pixels

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
