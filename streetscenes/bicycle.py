"""The bicycle under a rider."""

from __future__ import annotations

import numpy as np

from streetscenes.canvas import CIRCLE, Colour
from streetscenes.looks import Look
from streetscenes.shapes import Shape, capsule, ellipse
from streetscenes.skeleton import Joint, Skeleton, Spot


def bicycle(joints: Skeleton, look: Look) -> list[Shape]:
    """A bicycle under its rider: wheels, frame, handlebar. The saddle is at the hip."""
    wheel, base = 0.19, 0.3
    ground = min(joints.spot(leg.ankle)[1] for leg in joints.legs) - 0.09
    hub = ground + wheel
    colour = look.bag_colour
    tyre: Colour = (34, 34, 36)

    def at(x: float, y: float, z: float) -> Spot:
        return joints.spot((x, y, z))

    shapes = []
    for z in (-base, base):
        shapes += _wheel(joints, (0.0, hub, z), wheel, tyre)
    saddle, crank, head = (0.0, joints.hip[1] - 0.07, -0.03), (0.0, ground + 0.15, 0.0), (0.0, hub + 0.28, base - 0.08)
    bar = (0.0, head[1] + 0.06, head[2] + 0.02)
    for start, end in (
        (saddle, crank),
        (crank, head),
        (saddle, head),
        ((0.0, hub, -base), crank),
        ((0.0, hub, -base), saddle),
        ((0.0, hub, base), bar),
    ):
        shapes.append(Shape(capsule(at(*start), 0.011, at(*end), 0.011), colour, own=False))
    shapes.append(Shape(capsule(at(-0.13, bar[1], bar[2]), 0.011, at(0.13, bar[1], bar[2]), 0.011), tyre, own=False))
    shapes.append(
        Shape(
            capsule(at(0.0, saddle[1] + 0.012, -0.08), 0.018, at(0.0, saddle[1] + 0.012, 0.06), 0.012), tyre, own=False
        )
    )
    return shapes


def _wheel(joints: Skeleton, hub: Joint, radius: float, tyre: Colour) -> list[Shape]:
    x, y = joints.spot(hub)
    right = abs(joints.facing[1])
    across = max(radius * right, 0.014)
    if across < 0.05:
        return [Shape(ellipse((x, y), across + 0.006, radius), tyre, own=False)]
    outer = ellipse((x, y), across, radius)
    inner = ellipse((x, y), across - 0.018, radius - 0.018)
    # One outline that goes around outside and back inside leaves the middle open.
    ring = np.concatenate([outer, outer[:1], inner[:1], inner[::-1]])
    spokes = [
        capsule((x - across * c, y - radius * s), 0.0022, (x + across * c, y + radius * s), 0.0022)
        for c, s in CIRCLE[:10:2]
    ]
    return [Shape(ring, tyre, own=False), *(Shape(spoke, (120, 120, 120), own=False) for spoke in spokes)]
