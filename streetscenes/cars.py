"""Cars: along the street, seen from behind or in front, and across it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streetscenes.canvas import CIRCLE, Canvas, Colour, mix, scaled
from streetscenes.looks import between, chance, jitter, pick
from streetscenes.things import Thing, front_box
from streetscenes.world import World

PAINTS: tuple[Colour, ...] = (
    (216, 218, 220), (176, 180, 184), (128, 132, 136), (44, 44, 46), (28, 28, 30),
    (120, 62, 36), (40, 36, 140), (84, 92, 70), (96, 100, 110), (60, 80, 140),
)  # fmt: skip
GLASS: Colour = (62, 54, 48)
RUBBER: Colour = (26, 26, 28)

# The side view of a hatchback: metres from its rear end, metres above the ground.
_BODY = ((0.0, 0.26), (0.02, 0.84), (0.16, 0.95), (3.0, 0.95), (4.1, 0.8), (4.28, 0.6), (4.3, 0.26))
_CABIN = ((0.14, 0.93), (0.52, 1.36), (1.0, 1.46), (2.15, 1.44), (3.05, 0.93))
_PANES = (
    ((0.5, 0.98), (0.76, 1.32), (1.05, 1.38), (1.5, 1.38), (1.5, 0.98)),
    ((1.6, 0.98), (1.6, 1.38), (2.05, 1.36), (2.72, 0.98)),
)
_SILL = ((0.05, 0.26), (0.05, 0.42), (4.25, 0.42), (4.25, 0.26))
_GLEAM = ((0.3, 0.88), (0.3, 0.92), (3.6, 0.9), (3.6, 0.87))
_LENGTH, _HALF = 4.3, 0.88
_WHEELS = (0.78, 3.45)

Profile = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class _Car:
    """A car along the street: its middle x and near end z in metres, its paint, its height as a multiple."""

    world: World
    x: float
    z: float
    paint_colour: Colour
    tall: float
    stretch: float
    toward: bool

    def paint(self, canvas: Canvas) -> None:
        if abs(self.x) > _HALF * 0.9:  # else only its end is to be seen
            self._paint_side(canvas)
        self._paint_end(canvas)

    def _tone(self, colour: Colour, factor: float = 1.0) -> Colour:
        return self.world.light.seen(scaled(colour, factor), self.z + 1)

    def _paint_side(self, canvas: Canvas) -> None:
        side = self.x - _HALF if self.x > 0 else self.x + _HALF

        def along(distance: float) -> float:
            return self.z + self.stretch * (_LENGTH - distance if self.toward else distance)

        def outline(profile: Profile, inset: float = 0.0) -> np.ndarray:
            inner = side + (inset if side < self.x else -inset)
            return self.world.camera.project([(inner, y * self.tall if y > 0.5 else y, along(d)) for d, y in profile])

        canvas.polygon(outline(_CABIN, 0.1), self._tone(self.paint_colour, 0.95))
        for pane in _PANES:
            canvas.polygon(outline(pane, 0.08), self._tone(GLASS))
        canvas.polygon(outline(_BODY), self._tone(self.paint_colour, 0.92))
        canvas.polygon(outline(_SILL), self._tone(self.paint_colour, 0.62))
        canvas.polygon(outline(_GLEAM), self._tone(self.paint_colour, 1.14))
        for wheel in _WHEELS:
            for radius, colour in ((0.34, RUBBER), (0.2, (128, 128, 130))):
                rim = [(side, y, d) for d, y in _wheel(along(wheel), radius)]
                canvas.polygon(self.world.camera.project(rim), self._tone(colour))

    def _paint_end(self, canvas: Canvas) -> None:
        toward, half, tone, paint = self.toward, _HALF, self._tone, self.paint_colour
        base, roof = (1.25, 2.15) if toward else (0.16, 0.85)
        low, high = 0.95 * self.tall, 1.45 * self.tall

        def fill(points: list[tuple[float, float, float]], colour: Colour) -> None:
            spots = [(self.x + dx, y, self.z + dz) for dx, y, dz in points]
            canvas.polygon(self.world.camera.project(spots), colour)

        def pane(left: float, right: float, upper_left: float, upper_right: float, edge: float, colour: Colour) -> None:
            """A part of the window over the end, in shares of half the width."""
            bottom, top = low + edge, high - 2.3 * edge
            corners = [(left, bottom, base), (right, bottom, base), (upper_right, top, roof), (upper_left, top, roof)]
            fill([(half * dx, y, dz) for dx, y, dz in corners], colour)

        pane(-0.96, 0.96, -0.74, 0.74, 0.0, tone(paint, 1.02))
        pane(-0.86, 0.86, -0.66, 0.66, 0.03, tone(GLASS, 1.1))
        pane(-0.86, -0.3, -0.4, -0.05, 0.03, tone(mix(GLASS, (200, 196, 190), 0.25)))
        if toward:  # the bonnet
            sheet = [(-half, 0.8, 0.05), (half, 0.8, 0.05), (half * 0.96, low, base), (-half * 0.96, low, base)]
            fill(sheet, tone(paint, 1.12))
        for side in (-half, half):
            tyre = [(side * 0.98, 0.0), (side * 0.76, 0.0), (side * 0.76, 0.4), (side * 0.98, 0.4)]
            fill([(dx, y, 0.12) for dx, y in tyre], tone(RUBBER, 0.9))
        top = 0.82 if toward else low
        upper = [(half, top - 0.1, 0.0), (half * 0.95, top, 0.04), (-half * 0.95, top, 0.04), (-half, top - 0.1, 0.0)]
        fill([(-half, 0.2, 0.0), (half, 0.2, 0.0), *upper], tone(paint, 0.98))
        fill([(-half, 0.2, -0.01), (half, 0.2, -0.01), (half, 0.42, -0.02), (-half, 0.42, -0.02)], tone(paint, 0.62))
        lamp: Colour = (225, 235, 240) if toward else (40, 36, 180)
        lit = lamp if self.world.light.weather == "dusk" else tone(lamp, 0.92)
        for side in (-half, half):
            corners = [(side * 0.97, 0.62), (side * 0.66, 0.62), (side * 0.66, 0.76), (side * 0.97, 0.78)]
            fill([(dx, y, -0.01) for dx, y in corners], lit)
        if toward:
            grille = [(-half * 0.5, 0.5), (half * 0.5, 0.5), (half * 0.55, 0.7), (-half * 0.55, 0.7)]
            fill([(dx, y, -0.01) for dx, y in grille], tone((40, 40, 42)))
        plate = [(-0.26, 0.46), (0.26, 0.46), (0.26, 0.57), (-0.26, 0.57)]
        fill([(dx, y, -0.02) for dx, y in plate], tone((226, 228, 228)))


def car(world: World, rng: np.random.Generator, x: float, z: float, *, toward: bool) -> Thing:
    """A car along the street; `x` is its middle, `z` its near end. `toward`: it comes towards the camera."""
    paint = jitter(rng, pick(rng, PAINTS, (3, 3, 3, 2, 3, 2, 1.5, 1, 1, 1)), 8)
    tall = pick(rng, (1.0, 1.0, 1.08, 1.3), (4, 3, 2, 1))
    shape = _Car(world, x, z, paint, tall, between(rng, 0.94, 1.08), toward)
    cover = [front_box(world, x - _HALF, x + _HALF, 0, 1.42 * tall, z + 0.8)]
    if abs(x) > 0.8:
        inner = x - _HALF if x > 0 else x + _HALF
        for part in range(1, 4):
            cover.append(front_box(world, min(inner, x), max(inner, x), 0, 1.42 * tall, z + part * 1.1))
    corners = [(x - 1.0, 0, z - 0.15), (x + 1.0, 0, z - 0.15), (x + 1.0, 0, z + 4.5), (x - 1.0, 0, z + 4.5)]
    ground = world.camera.project(corners)
    below = world.camera.project(
        [(x - 0.85, 0, z + 0.05), (x + 0.85, 0, z + 0.05), (x + 0.85, 0, z + 4), (x - 0.85, 0, z + 4)]
    )
    return Thing(z + 0.4, cover, lambda canvas: _paint_over(canvas, below, shape), [ground])


def _paint_over(canvas: Canvas, below: np.ndarray, shape: _Car) -> None:
    # Hardly any light reaches the ground under a car.
    canvas.polygon(below, shape.world.light.seen((34, 34, 36), shape.z + 1))
    shape.paint(canvas)


def crossing_car(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A car that crosses the street, seen from its side; `x` is its rear or front end."""
    paint = jitter(rng, pick(rng, PAINTS), 8)
    flip = chance(rng, 0.5)

    def fill(canvas: Canvas, profile: Profile, colour: Colour) -> None:
        spots = [(x + (_LENGTH - d if flip else d), y, z) for d, y in profile]
        canvas.polygon(world.camera.project(spots), world.light.seen(colour, z))

    def draw(canvas: Canvas) -> None:
        fill(canvas, _CABIN, paint)
        for pane in _PANES:
            fill(canvas, pane, GLASS)
        fill(canvas, _BODY, scaled(paint, 0.94))
        fill(canvas, _SILL, scaled(paint, 0.62))
        for wheel in _WHEELS:
            fill(canvas, _wheel(wheel, 0.34), RUBBER)
            fill(canvas, _wheel(wheel, 0.2), (128, 128, 130))

    corners = [(x - 0.1, 0, z - 0.3), (x + 4.4, 0, z - 0.3), (x + 4.4, 0, z + 1.5), (x - 0.1, 0, z + 1.5)]
    return Thing(z, [front_box(world, x, x + _LENGTH, 0, 1.3, z)], draw, [world.camera.project(corners)])


def _wheel(centre: float, radius: float) -> Profile:
    return tuple((centre + px * radius, 0.33 + py * radius) for px, py in CIRCLE.tolist())
