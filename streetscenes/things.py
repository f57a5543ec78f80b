"""Street furniture: what a thing is, and lamps, signs, posts, bins and benches.

Each painter takes a place in metres and draws through the world's camera; things also say roughly what part of the
picture they cover, so that the placing of people can take account of it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from streetscenes.canvas import CIRCLE, Canvas, Colour, scaled
from streetscenes.looks import between, chance, jitter, pick
from streetscenes.world import World

Box = tuple[float, float, float, float]

METAL: Colour = (104, 106, 106)


@dataclass
class Thing:
    """An object: where it stands, what it covers of the picture (roughly, x1 y1 x2 y2), and how it is painted."""

    depth: float
    cover: list[Box]
    paint: Callable[[Canvas], None]
    shadow: list[np.ndarray] = field(default_factory=list)
    """Outlines (n, 2) in pixels of its shadow on the ground."""


def ground_oval(world: World, x: float, z: float, across: float, along: float) -> np.ndarray:
    """The outline on the picture of an oval lying on the ground."""
    depth = np.maximum(z + CIRCLE[:, 1] * along, 0.4)
    return world.camera.project(np.stack([x + CIRCLE[:, 0] * across, np.zeros(len(CIRCLE)), depth], axis=1))


def front_box(world: World, x1: float, x2: float, y1: float, y2: float, z: float) -> Box:
    """The box x1 y1 x2 y2 on the picture of an upright rectangle at a depth."""
    (left, low), (right, high) = world.camera.project([(x1, y1, z), (x2, y2, z)])
    return float(left), float(high), float(right), float(low)


def lamp(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A street lamp with an arm over the road."""
    colour = jitter(rng, pick(rng, (METAL, (60, 64, 58), (128, 130, 130))), 8)
    high = between(rng, 5.0, 7.5)
    reach = 1.1 if x < 0 else -1.1
    on = world.light.weather == "dusk"

    def draw(canvas: Canvas) -> None:
        _post(canvas, world, x, z, 0.085, 0.9, colour)
        _post(canvas, world, x, z, 0.055, high, colour)
        canvas.polygon(
            world.camera.project(
                [(x, high - 0.08, z), (x, high, z), (x + reach, high + 0.12, z), (x + reach, high + 0.04, z)]
            ),
            world.light.seen(colour, z),
        )
        head = world.camera.project(
            [
                (x + reach * 0.75, high + 0.0, z),
                (x + reach * 0.75, high + 0.16, z),
                (x + reach * 1.3, high + 0.2, z),
                (x + reach * 1.3, high + 0.04, z),
            ]
        )
        canvas.polygon(head, (170, 226, 250) if on else world.light.seen((150, 152, 152), z))

    return Thing(z, [front_box(world, x - 0.085, x + 0.085, 0, high, z)], draw)


def sign(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A traffic sign on a post, one of some kinds."""
    kind = pick(rng, ("ban", "warning", "blue", "square", "priority", "light"), (2, 1.5, 2, 1.5, 1, 2))
    colour = METAL

    def disc(canvas: Canvas, y: float, radius: float, shade: Colour) -> None:
        canvas.ellipse(
            world.camera.project((x, y, z)), (world.camera.pixels(radius, z),) * 2, world.light.seen(shade, z)
        )

    def outline(canvas: Canvas, points: list[tuple[float, float]], shade: Colour) -> None:
        canvas.polygon(world.camera.project([(x + dx, y, z) for dx, y in points]), world.light.seen(shade, z))

    def draw(canvas: Canvas) -> None:
        _post(canvas, world, x, z, 0.04, 2.9 if kind == "light" else 2.6, colour)
        if kind == "ban":
            disc(canvas, 2.5, 0.32, (50, 44, 190))
            disc(canvas, 2.5, 0.24, (232, 232, 232))
            outline(canvas, [(-0.16, 2.46), (0.16, 2.46), (0.16, 2.54), (-0.16, 2.54)], (40, 40, 42))
        elif kind == "warning":
            outline(canvas, [(-0.4, 2.2), (0.4, 2.2), (0.0, 2.88)], (50, 44, 190))
            outline(canvas, [(-0.24, 2.29), (0.24, 2.29), (0.0, 2.7)], (232, 232, 232))
        elif kind == "blue":
            disc(canvas, 2.5, 0.31, (160, 80, 20))
            outline(
                canvas,
                [(-0.05, 2.34), (0.05, 2.34), (0.05, 2.55), (0.14, 2.55), (0.0, 2.7), (-0.14, 2.55), (-0.05, 2.55)],
                (232, 232, 232),
            )
        elif kind == "square":
            outline(canvas, [(-0.32, 2.2), (0.32, 2.2), (0.32, 2.84), (-0.32, 2.84)], (165, 84, 24))
            outline(
                canvas,
                [(-0.1, 2.3), (0.0, 2.3), (0.0, 2.48), (0.16, 2.56), (0.16, 2.7), (0.0, 2.76), (-0.1, 2.76)],
                (232, 232, 232),
            )
        elif kind == "priority":
            outline(canvas, [(0, 2.1), (0.4, 2.5), (0, 2.9), (-0.4, 2.5)], (232, 232, 232))
            outline(canvas, [(0, 2.24), (0.26, 2.5), (0, 2.76), (-0.26, 2.5)], (40, 190, 240))
        else:
            outline(canvas, [(-0.15, 2.1), (0.15, 2.1), (0.15, 2.95), (-0.15, 2.95)], (34, 36, 36))
            for y, shade in ((2.8, (50, 50, 220)), (2.53, (40, 60, 70)), (2.26, (60, 70, 50))):
                disc(canvas, y, 0.1, shade)

    return Thing(
        z, [front_box(world, x - 0.04, x + 0.04, 0, 2.3, z), front_box(world, x - 0.3, x + 0.3, 2.15, 2.9, z)], draw
    )


def bollard(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """One post of knee height; rows of them are made by the caller."""
    striped = chance(rng, 0.4)
    colour = pick(rng, (METAL, (60, 60, 62), (150, 154, 156)))

    def draw(canvas: Canvas) -> None:
        _post(canvas, world, x, z, 0.06, 0.95, colour)
        if striped:
            _post(canvas, world, x, z, 0.061, 0.88, (50, 46, 180), 0.72)
            _post(canvas, world, x, z, 0.061, 0.56, (50, 46, 180), 0.42)

    return Thing(z, [front_box(world, x - 0.06, x + 0.06, 0, 0.95, z)], draw, [ground_oval(world, x, z, 0.12, 0.12)])


def dustbin(world: World, rng: np.random.Generator, x: float, z: float, *, tall: float = 1.05) -> Thing:
    """A dustbin, on the pavement."""
    colour = jitter(rng, pick(rng, ((70, 74, 70), (48, 100, 60), (90, 60, 40), (40, 120, 190), (52, 52, 54))), 8)
    half = 0.3 * tall

    def draw(canvas: Canvas) -> None:
        seen = world.light.seen
        canvas.polygon(
            world.camera.project(
                [
                    (x - half * 0.86, 0.03, z),
                    (x - half, tall * 0.9, z),
                    (x + half, tall * 0.9, z),
                    (x + half * 0.86, 0.03, z),
                ]
            ),
            seen(colour, z),
        )
        canvas.polygon(
            world.camera.project(
                [
                    (x - half * 0.6, 0.1, z),
                    (x - half * 0.66, tall * 0.86, z),
                    (x - half * 0.3, tall * 0.86, z),
                    (x - half * 0.28, 0.1, z),
                ]
            ),
            seen(scaled(colour, 1.18), z),
        )
        canvas.polygon(
            world.camera.project(
                [
                    (x - half * 1.06, tall * 0.88, z),
                    (x - half * 0.95, tall, z),
                    (x + half * 0.95, tall, z),
                    (x + half * 1.06, tall * 0.88, z),
                ]
            ),
            seen(scaled(colour, 0.75), z),
        )

    return Thing(
        z, [front_box(world, x - half, x + half, 0, tall, z)], draw, [ground_oval(world, x, z, half * 1.3, 0.3)]
    )


def bench(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A wooden bench that looks at the camera."""
    wood = jitter(rng, (64, 96, 136), 10)

    def draw(canvas: Canvas) -> None:
        seen = world.light.seen
        for dx in (-0.75, 0.75):
            _post(canvas, world, x + dx, z, 0.035, 0.82, (60, 60, 60))
        for low in (0.56, 0.72):
            canvas.polygon(
                world.camera.project(
                    [(x - 0.9, low, z), (x - 0.9, low + 0.12, z), (x + 0.9, low + 0.12, z), (x + 0.9, low, z)]
                ),
                seen(wood, z),
            )
        near = max(z - 0.45, 0.5)
        canvas.polygon(
            world.camera.project(
                [(x - 0.9, 0.44, z), (x + 0.9, 0.44, z), (x + 0.9, 0.42, near), (x - 0.9, 0.42, near)]
            ),
            seen(scaled(wood, 1.12), z),
        )
        canvas.polygon(
            world.camera.project(
                [(x - 0.9, 0.42, near), (x + 0.9, 0.42, near), (x + 0.9, 0.36, near), (x - 0.9, 0.36, near)]
            ),
            seen(scaled(wood, 0.7), z),
        )
        for dx in (-0.75, 0.75):
            _post(canvas, world, x + dx, near, 0.03, 0.38, (60, 60, 60))

    return Thing(
        z, [front_box(world, x - 0.9, x + 0.9, 0, 0.82, z)], draw, [ground_oval(world, x, z - 0.2, 0.95, 0.35)]
    )


def _post(
    canvas: Canvas, world: World, x: float, z: float, half: float, high: float, colour: Colour, low: float = 0.0
) -> None:
    canvas.polygon(
        world.camera.project([(x - half, low, z), (x - half, high, z), (x + half, high, z), (x + half, low, z)]),
        world.light.seen(colour, z),
    )
    canvas.polygon(
        world.camera.project([(x - half * 0.5, low, z), (x - half * 0.5, high, z), (x, high, z), (x, low, z)]),
        world.light.seen(scaled(colour, 1.3), z),
    )
