"""What stands in the street: lamps, signs, posts, bins, benches, trees and cars.

A maker takes a place in metres and returns a `Thing`, which also says roughly what part of the image it covers, so that
the placing of people can take account of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from streetscenes.canvas import SHIFT, Canvas, Colour, Points, ellipse, fixed, mix, scaled
from streetscenes.world import TILE, World, between, jitter, pick

Box = tuple[float, float, float, float]  # x1, y1, x2, y2 in pixels
Corner = tuple[float, float, float]  # across, up and along the street, in metres
Clump = tuple[np.ndarray, int, Colour]  # middle in pixels, radius in 1/16 px

METAL: Colour = (104, 106, 106)
RED, WHITE, BLUE, BLACK = (50, 44, 190), (232, 232, 232), (160, 80, 20), (34, 36, 36)


@dataclass
class Thing:
    """An object: where it stands, what it covers of the image, and how it is painted."""

    depth: float
    cover: list[Box]
    paint: Callable[[Canvas], None]
    shadow: list[np.ndarray] = field(default_factory=list)  # outlines (n, 2) in pixels of its shadow on the ground


def ground_oval(world: World, x: float, z: float, across: float, along: float) -> np.ndarray:
    """The outline (n, 2) in pixels of an oval lying on the ground."""
    oval = ellipse((x, z), across, along)
    return world.camera.project(np.stack([oval[:, 0], np.zeros(len(oval)), np.maximum(oval[:, 1], 0.4)], axis=1))


def front_box(world: World, x1: float, x2: float, y1: float, y2: float, z: float) -> Box:
    """What an upright rectangle at a depth covers."""
    (left, low), (right, high) = world.camera.project([(x1, y1, z), (x2, y2, z)]).tolist()
    return left, high, right, low


class _Sketch:
    """Polygons of a thing with its foot at (x, z), in the order in which they are painted."""

    def __init__(self, world: World, x: float, z: float) -> None:
        self.world, self.x, self.z = world, x, z
        self.polygons: list[tuple[np.ndarray, Colour]] = []

    def paint(self, canvas: Canvas) -> None:
        for points, colour in self.polygons:
            canvas.polygon(points, colour)

    def polygon(self, points: Iterable[Corner], colour: Colour, depth: float) -> None:
        """A polygon by its corners in the street, as it looks through the haze at a depth."""
        self.polygons.append((self.world.camera.project(list(points)), self.world.light.seen(colour, depth)))

    def shape(self, outline: Points, colour: Colour, dz: float = 0.0) -> None:
        """An upright shape that faces the camera, in metres around the foot, `dz` behind it."""
        self.polygon(((self.x + dx, y, self.z + dz) for dx, y in outline), colour, self.z + dz)

    def box(self, x1: float, x2: float, y1: float, y2: float, colour: Colour, dz: float = 0.0) -> None:
        """A rectangle that faces the camera."""
        self.shape(((x1, y1), (x1, y2), (x2, y2), (x2, y1)), colour, dz)

    def post(self, half: float, high: float, colour: Colour, dx: float = 0.0, dz: float = 0.0) -> None:
        """A round post, with its lit side."""
        self.box(dx - half, dx + half, 0.0, high, colour, dz)
        self.box(dx - half * 0.5, dx, 0.0, high, scaled(colour, 1.3), dz)


def lamp(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A street lamp with an arm over the road."""
    colour = jitter(rng, pick(rng, (METAL, (60, 64, 58), (128, 130, 130))), 8)
    high = between(rng, 5.0, 7.5)
    reach = 1.1 if x < 0 else -1.1
    sketch = _Sketch(world, x, z)
    sketch.post(0.085, 0.9, colour)
    sketch.post(0.055, high, colour)
    sketch.shape(((0, high - 0.08), (0, high), (reach, high + 0.12), (reach, high + 0.04)), colour)
    head = ((reach * 0.75, high), (reach * 0.75, high + 0.16), (reach * 1.3, high + 0.2), (reach * 1.3, high))
    dusk = world.light.weather == "dusk"  # then it shines through the haze
    sketch.polygon(((x + dx, y, z) for dx, y in head), (170, 226, 250) if dusk else (150, 152, 152), 0 if dusk else z)
    return Thing(z, [front_box(world, x - 0.085, x + 0.085, 0, high, z)], sketch.paint)


_SIGNS: dict[str, tuple[tuple[Points, Colour], ...]] = {
    "ban": ((ellipse((0, 2.5), 0.32, 0.32), RED), (ellipse((0, 2.5), 0.24, 0.24), WHITE)),
    "warning": (
        (((-0.4, 2.2), (0.4, 2.2), (0.0, 2.88)), RED), (((-0.24, 2.29), (0.24, 2.29), (0.0, 2.7)), WHITE),
    ),
    "ahead": (
        (ellipse((0, 2.5), 0.31, 0.31), BLUE),
        (((-0.05, 2.34), (0.05, 2.34), (0.05, 2.55), (0.14, 2.55), (0, 2.7), (-0.14, 2.55), (-0.05, 2.55)), WHITE),
    ),
    "light": (
        (((-0.15, 2.1), (0.15, 2.1), (0.15, 2.95), (-0.15, 2.95)), BLACK),
        (ellipse((0, 2.8), 0.1, 0.1), (50, 50, 220)), (ellipse((0, 2.53), 0.1, 0.1), (40, 60, 70)),
        (ellipse((0, 2.26), 0.1, 0.1), (60, 70, 50)),
    ),
}  # fmt: skip


def sign(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A traffic sign or light on a post."""
    sketch = _Sketch(world, x, z)
    sketch.post(0.04, 2.6, METAL)
    for outline, colour in _SIGNS[pick(rng, tuple(_SIGNS))]:
        sketch.shape(outline, colour)
    cover = [front_box(world, x - 0.04, x + 0.04, 0, 2.3, z), front_box(world, x - 0.3, x + 0.3, 2.15, 2.9, z)]
    return Thing(z, cover, sketch.paint)


def bollard(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """One post of knee height; rows of them are made by the caller."""
    sketch = _Sketch(world, x, z)
    sketch.post(0.06, 0.95, METAL)
    cover = [front_box(world, x - 0.06, x + 0.06, 0, 0.95, z)]
    return Thing(z, cover, sketch.paint, [ground_oval(world, x, z, 0.12, 0.12)])


def dustbin(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A dustbin, on the pavement."""
    colour = jitter(rng, pick(rng, ((70, 74, 70), (48, 100, 60), (90, 60, 40), (52, 52, 54))), 8)
    tall = between(rng, 0.8, 1.25)
    half = 0.3 * tall
    sketch = _Sketch(world, x, z)
    body = ((-0.86, 0.03), (-1.0, 0.9), (1.0, 0.9), (0.86, 0.03))
    gleam = ((-0.6, 0.1), (-0.66, 0.86), (-0.3, 0.86), (-0.28, 0.1))
    lid = ((-1.06, 0.88), (-0.95, 1.0), (0.95, 1.0), (1.06, 0.88))
    for outline, factor in ((body, 1.0), (gleam, 1.18), (lid, 0.75)):
        sketch.shape([(dx * half, y * tall) for dx, y in outline], scaled(colour, factor))
    cover = [front_box(world, x - half, x + half, 0, tall, z)]
    return Thing(z, cover, sketch.paint, [ground_oval(world, x, z, half * 1.3, 0.3)])


def bench(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A wooden bench that looks at the camera."""
    wood = jitter(rng, (64, 96, 136), 10)
    sketch = _Sketch(world, x, z)
    for dx in (-0.75, 0.75):
        sketch.post(0.035, 0.82, BLACK, dx)
        sketch.post(0.03, 0.38, BLACK, dx, -0.45)
    for low in (0.56, 0.72):
        sketch.box(-0.9, 0.9, low, low + 0.12, wood)
    sketch.box(-0.9, 0.9, 0.36, 0.44, scaled(wood, 0.9), -0.45)
    cover = [front_box(world, x - 0.9, x + 0.9, 0, 0.82, z)]
    return Thing(z, cover, sketch.paint, [ground_oval(world, x, z - 0.2, 0.95, 0.35)])


def tree(world: World, rng: np.random.Generator, x: float, z: float) -> Thing:
    """A street tree: a trunk and a crown of clumps of leaves."""
    bark = jitter(rng, (62, 76, 88), 10)
    green = jitter(rng, pick(rng, ((52, 104, 76), (44, 88, 62), (60, 116, 100)), (4, 4, 2)), 8)
    trunk, radius = between(rng, 0.13, 0.24), between(rng, 1.5, 2.5)
    start, top = between(rng, 2.3, 3.2), between(rng, 6.5, 9.5)
    sketch = _Sketch(world, x, z)
    sketch.shape(((-trunk * 1.25, 0), (-trunk, 0.5), (trunk, 0.5), (trunk * 1.25, 0)), bark)
    sketch.post(trunk * 0.9, start + 0.8, bark)
    unit, half = world.camera.pixels(1.0, z), (top - start) / 2
    clumps: list[Clump] = []
    # From the dark clumps at the back and bottom to the lit ones in front and on top.
    for order, (across, up, size, tint) in enumerate(rng.random((46, 4)).tolist()):
        front = order / 46
        u, v = 2 * across - 1, 2 * up - 1
        if u * u + v * v > 1:
            u, v = u * 0.6, v * 0.6
        spot = (x + u * radius * (1 - 0.25 * front), start + half + v * half * (1 - 0.2 * front), z)
        reach = max(int((0.38 + 0.5 * size) * (1.15 - 0.45 * front) * unit * radius / 2.0 * 16), 8)
        level = 0.55 + 0.4 * front + 0.22 * v + 0.14 * u * world.light.side + 0.16 * (tint - 0.5)
        clumps.append((world.camera.project(spot), reach, world.light.seen(scaled(green, level), z)))
    area = front_box(world, x - radius - 1, x + radius + 1, start - 0.6, top + 0.6, z)
    texture = np.roll(world.tile, -rng.integers(0, TILE, 2), axis=(0, 1))

    def paint(canvas: Canvas) -> None:
        sketch.paint(canvas)
        _paint_crown(canvas, area, clumps, texture, max(1, int(unit * 0.05)))

    stem, crown = (x - trunk, x + trunk, 0, start + 0.5), (x - radius, x + radius, start, top)
    cover = [front_box(world, *stem, z), front_box(world, *crown, z)]
    return Thing(z, cover, paint, [ground_oval(world, x, z, radius * 0.9, radius * 0.8)])


def _paint_crown(canvas: Canvas, area: Box, clumps: list[Clump], texture: np.ndarray, rim: int) -> None:
    """Clumps of leaves with a texture, ragged at the outer `rim` pixels."""
    left, high, right, low = (int(value) for value in area)
    x1, y1, x2, y2 = canvas.inside(left, high, right - left, low - high)
    if x1 >= x2 or y1 >= y2:
        return
    leaves = np.zeros((y2 - y1, x2 - x1, 3), dtype=np.uint8)
    mask = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
    for spot, reach, colour in clumps:
        middle = fixed(spot - (x1, y1)).tolist()
        cv2.circle(leaves, middle, reach, colour, -1, cv2.LINE_8, SHIFT)
        cv2.circle(mask, middle, reach, (255,), -1, cv2.LINE_8, SHIFT)
    grain = texture[np.arange(y1, y2) * 2 % TILE][:, np.arange(x1, x2) * 2 % TILE]
    # Ragged edges: where the grain is deep, the rim of the crown has holes.
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=rim)
    shown = (mask > 0) & ((inner > 0) | (grain > 2))
    textured = np.clip(leaves.astype(np.int16) + (grain[..., None] * 3 // 2), 0, 255).astype(np.uint8)
    canvas.image[y1:y2, x1:x2][shown] = textured[shown]
    canvas.ids[y1:y2, x1:x2][shown] = 0


PAINTS: tuple[Colour, ...] = (
    (216, 218, 220), (176, 180, 184), (128, 132, 136), (44, 44, 46), (28, 28, 30), (120, 62, 36), (40, 36, 140),
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
_LENGTH, _HALF = 4.3, 0.88
_WHEELS = (0.78, 3.45)


def car(world: World, rng: np.random.Generator, x: float, z: float, *, toward: bool) -> Thing:
    """A car along the street; `x` is its middle, `z` its near end. `toward`: it comes towards the camera."""
    paint = jitter(rng, pick(rng, PAINTS, (3, 3, 3, 2, 3, 2, 1.5)), 8)
    tall = pick(rng, (1.0, 1.08, 1.3), (7, 2, 1))
    sketch = _Sketch(world, x, z)
    # Hardly any light reaches the ground under a car.
    ground = world.camera.floor(x - 0.85, x + 0.85, z + 0.05, z + 4)
    sketch.polygons.append((ground, world.light.seen((34, 34, 36), z + 1)))
    if abs(x) > _HALF * 0.9:  # else only its end is to be seen
        _car_side(sketch, paint, tall, toward)
    _car_end(sketch, paint, tall, toward)
    inner = (x - _HALF, x) if x > 0 else (x, x + _HALF)
    cover = [front_box(world, x - _HALF, x + _HALF, 0, 1.42 * tall, z + 0.8)]
    cover += [front_box(world, *inner, 0, 1.42 * tall, z + part * 1.1) for part in range(1, 4)]
    return Thing(z + 0.4, cover, sketch.paint, [world.camera.floor(x - 1.0, x + 1.0, z - 0.15, z + 4.5)])


def _car_side(sketch: _Sketch, paint: Colour, tall: float, toward: bool) -> None:
    x, z = sketch.x, sketch.z

    def fill(profile: Points, colour: Colour, inset: float = 0.0) -> None:
        side = x - (_HALF - inset) if x > 0 else x + _HALF - inset
        spots = ((side, y * tall if y > 0.5 else y, z + (_LENGTH - d if toward else d)) for d, y in profile)
        sketch.polygon(spots, colour, z + 1)

    fill(_CABIN, scaled(paint, 0.95), 0.1)
    for pane in _PANES:
        fill(pane, GLASS, 0.08)
    fill(_BODY, scaled(paint, 0.92))
    fill(_SILL, scaled(paint, 0.62))
    for wheel in _WHEELS:
        for radius, colour in ((0.34, RUBBER), (0.2, (128, 128, 130))):
            fill(ellipse((wheel, 0.33), radius, radius), colour)


def _car_end(sketch: _Sketch, paint: Colour, tall: float, toward: bool) -> None:
    x, z = sketch.x, sketch.z
    base, roof = (1.25, 2.15) if toward else (0.16, 0.85)  # where the window over the end begins and ends
    low, high = 0.95 * tall, 1.45 * tall

    def fill(points: Sequence[Corner], colour: Colour) -> None:
        """A shape; across in shares of half the width, up in metres, along in metres from the near end."""
        sketch.polygon(((x + _HALF * dx, y, z + dz) for dx, y, dz in points), colour, z + 1)

    def band(lower: Corner, upper: Corner, colour: Colour) -> None:
        """What reaches as far to the left as to the right, by the right ends of its lower and its upper edge."""
        mirrored = [(-dx, y, dz) for dx, y, dz in (lower, upper)]
        fill([mirrored[0], lower, upper, mirrored[1]], colour)

    band((0.96, low, base), (0.74, high, roof), paint)
    band((0.86, low + 0.03, base), (0.66, high - 0.07, roof), mix(GLASS, (200, 196, 190), 0.1))
    if toward:  # the bonnet
        band((1, 0.8, 0.05), (0.96, low, base), scaled(paint, 1.12))
    for side in (-1, 1):
        wheel = ((0.98, 0), (0.76, 0), (0.76, 0.4), (0.98, 0.4))
        fill([(side * dx, y, 0.12) for dx, y in wheel], RUBBER)
    top = 0.82 if toward else low
    upper = [(1, top - 0.1, 0.0), (0.95, top, 0.04), (-0.95, top, 0.04), (-1, top - 0.1, 0.0)]
    fill([(-1, 0.2, 0.0), (1, 0.2, 0.0), *upper], scaled(paint, 0.98))
    band((1, 0.2, -0.01), (1, 0.42, -0.02), scaled(paint, 0.62))
    for side in (-1, 1):
        lights = ((0.97, 0.62), (0.66, 0.62), (0.66, 0.76), (0.97, 0.78))
        fill([(side * dx, y, -0.01) for dx, y in lights], (225, 235, 240) if toward else (40, 36, 180))
    band((0.3, 0.46, -0.02), (0.3, 0.57, -0.02), (226, 228, 228))  # the number plate
