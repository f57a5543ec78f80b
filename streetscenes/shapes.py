"""The outlines that a figure is made of: limbs, ovals, and places beside the spine."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from streetscenes.canvas import CIRCLE, Colour, scaled
from streetscenes.skeleton import Skeleton, Spot


@dataclass(frozen=True)
class Shape:
    """A filled outline (n, 2), x right and y up, in shares of the person's height."""

    outline: np.ndarray
    colour: Colour
    own: bool = True
    """False for what the person sits on."""


def capsule(start: Spot, start_radius: float, end: Spot, end_radius: float) -> np.ndarray:
    """The outline of a limb: two circles and what lies between them."""
    dx, dy = end[0] - start[0], end[1] - start[1]
    ahead = CIRCLE[:, 0] * dx + CIRCLE[:, 1] * dy > 0
    radius = np.where(ahead, end_radius, start_radius)[:, None]
    centre = np.where(ahead[:, None], np.array(end), np.array(start))
    return centre + radius * CIRCLE


def ellipse(centre: Spot, across: float, up: float) -> np.ndarray:
    """The outline of an upright ellipse with two radii."""
    return np.array(centre) + CIRCLE * np.array((across, up))


def limb(
    start: Spot, start_radius: float, end: Spot, end_radius: float, colour: Colour, light: int, detailed: bool
) -> list[Shape]:
    """A limb, and on large figures its lit side."""
    if not detailed:
        return [Shape(capsule(start, start_radius, end, end_radius), colour)]
    dark = scaled(colour, 0.86 if light else 0.92)
    offset = 0.3 * light
    lit = capsule(
        (start[0] + offset * start_radius, start[1] + 0.1 * start_radius), 0.68 * start_radius,
        (end[0] + offset * end_radius, end[1] + 0.1 * end_radius), 0.68 * end_radius,
    )  # fmt: skip
    return [Shape(capsule(start, start_radius, end, end_radius), dark), Shape(lit, scaled(colour, 1.04))]


def half_width(joints: Skeleton, front: float, side: float) -> float:
    """Half the width of an elliptic body with the figure's heading."""
    cosine, sine = joints.facing
    return math.sqrt((front * cosine) ** 2 + (side * sine) ** 2)


def along(joints: Skeleton, share: float, aside: float) -> Spot:
    """A point beside the spine: 0 at the hip, 1 at the shoulders."""
    hip, shoulder = joints.spot(joints.hip), joints.spot(joints.shoulder)
    dx, dy = shoulder[0] - hip[0], shoulder[1] - hip[1]
    length = math.hypot(dx, dy)
    return hip[0] + share * dx + aside * dy / length, hip[1] + share * dy - aside * dx / length
