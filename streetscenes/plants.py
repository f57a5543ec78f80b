"""Trees and bushes: clumps of leaves, from the dark ones at the back to the lit ones in front."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes.canvas import SHIFT, Canvas, Colour, fixed, scaled
from streetscenes.looks import between, jitter, pick
from streetscenes.things import Thing, front_box, ground_oval
from streetscenes.world import World


def tree(world: World, rng: np.random.Generator, x: float, z: float, tile: np.ndarray) -> Thing:
    """A street tree: a trunk and a crown of clumps of leaves."""
    light = world.light
    bark = light.seen(jitter(rng, (62, 76, 88), 10), z)
    green = jitter(rng, pick(rng, ((52, 104, 76), (44, 88, 62), (60, 116, 100), (50, 112, 132)), (4, 4, 2, 1)), 8)
    trunk = between(rng, 0.13, 0.24)
    start, top = between(rng, 2.3, 3.2), between(rng, 6.5, 9.5)
    radius = between(rng, 1.5, 2.5)
    clumps = rng.random((46, 4))
    shift = [int(v) for v in rng.integers(0, tile.shape[0], 2)]

    def draw(canvas: Canvas) -> None:
        lean = float(clumps[0, 0] - 0.5) * 0.4
        canvas.polygon(
            world.camera.project(
                [
                    (x - trunk * 1.25, 0, z),
                    (x - trunk, 0.5, z),
                    (x + lean - trunk * 0.7, start + 0.8, z),
                    (x + lean + trunk * 0.7, start + 0.8, z),
                    (x + trunk, 0.5, z),
                    (x + trunk * 1.25, 0, z),
                ]
            ),
            bark,
        )
        lit = -0.4 if light.side <= 0 else 0.25
        canvas.polygon(
            world.camera.project(
                [
                    (x + trunk * lit, 0.2, z),
                    (x + lean + trunk * lit * 0.7, start + 0.8, z),
                    (x + lean + trunk * (lit + 0.5) * 0.7, start + 0.8, z),
                    (x + trunk * (lit + 0.5), 0.2, z),
                ]
            ),
            scaled(bark, 1.25),
        )
        _crown(canvas, world, (x + lean, start, top, radius, z), green, clumps, tile, shift)

    cover = [
        front_box(world, x - trunk, x + trunk, 0, start + 0.5, z),
        front_box(world, x - radius, x + radius, start, top, z),
    ]
    return Thing(z, cover, draw, [ground_oval(world, x, z, radius * 0.9, radius * 0.8)])


def planter(world: World, rng: np.random.Generator, x: float, z: float, tile: np.ndarray) -> Thing:
    """A tub with a bush."""
    tub = jitter(rng, pick(rng, ((120, 128, 134), (70, 84, 110), (90, 92, 92))), 8)
    green = jitter(rng, (48, 100, 70), 10)
    half, tall = between(rng, 0.4, 0.7), between(rng, 0.5, 0.7)
    clumps = rng.random((22, 4))
    shift = [int(v) for v in rng.integers(0, tile.shape[0], 2)]

    def draw(canvas: Canvas) -> None:
        seen = world.light.seen
        canvas.polygon(
            world.camera.project(
                [(x - half, 0, z), (x - half * 1.08, tall, z), (x + half * 1.08, tall, z), (x + half, 0, z)]
            ),
            seen(tub, z),
        )
        canvas.polygon(
            world.camera.project(
                [
                    (x - half * 1.1, tall - 0.08, z),
                    (x - half * 1.1, tall, z),
                    (x + half * 1.1, tall, z),
                    (x + half * 1.1, tall - 0.08, z),
                ]
            ),
            seen(scaled(tub, 1.2), z),
        )
        _crown(canvas, world, (x, tall + 0.05, tall + 0.75, half * 0.95, z), green, clumps, tile, shift)

    return Thing(
        z, [front_box(world, x - half, x + half, 0, tall + 0.8, z)], draw, [ground_oval(world, x, z, half * 1.3, 0.4)]
    )


def _crown(
    canvas: Canvas,
    world: World,
    place: tuple[float, float, float, float, float],
    green: Colour,
    clumps: np.ndarray,
    tile: np.ndarray,
    shift: list[int],
) -> None:
    x, start, top, radius, z = place
    left, high, right, low = (
        int(v) for v in front_box(world, x - radius - 1, x + radius + 1, start - 0.6, top + 0.6, z)
    )
    x1, y1, x2, y2 = max(left, 0), max(high, 0), min(right, canvas.width), min(low, canvas.height)
    if x1 >= x2 or y1 >= y2:
        return
    leaves = np.zeros((y2 - y1, x2 - x1, 3), dtype=np.uint8)
    mask = np.zeros((y2 - y1, x2 - x1), dtype=np.uint8)
    unit = world.camera.pixels(1.0, z)
    half = (top - start) / 2
    # From the dark clumps at the back and bottom to the lit ones in front and on top.
    for order, (across, up, size, tint) in enumerate(clumps):
        front = order / len(clumps)
        u, v = 2 * float(across) - 1, 2 * float(up) - 1
        if u * u + v * v > 1:
            u, v = u * 0.6, v * 0.6
        cx = x + u * radius * (1 - 0.25 * front)
        cy = start + half + v * half * (1 - 0.2 * front)
        level = 0.55 + 0.4 * front + 0.22 * v + 0.14 * u * world.light.side + 0.16 * (float(tint) - 0.5)
        (px, py) = world.camera.project((cx, cy, z))
        centre = fixed([(px - x1, py - y1)])[0]
        reach = int((0.38 + 0.5 * float(size)) * (1.15 - 0.45 * front) * unit * radius / 2.0 * 16)
        colour = world.light.seen(scaled(green, level), z)
        spot = (int(centre[0]), int(centre[1]))
        cv2.circle(leaves, spot, max(reach, 8), colour, -1, cv2.LINE_8, SHIFT)
        cv2.circle(mask, spot, max(reach, 8), (255,), -1, cv2.LINE_8, SHIFT)
    rows = (np.arange(y1, y2) * 2 + shift[0]) % tile.shape[0]
    columns = (np.arange(x1, x2) * 2 + shift[1]) % tile.shape[1]
    grain = tile[rows][:, columns]
    # Ragged edges: where the grain is deep, the rim of the crown has holes.
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8), iterations=max(1, int(unit * 0.05)))
    shown = (mask > 0) & ((inner > 0) | (grain > 2))
    region = canvas.image[y1:y2, x1:x2]
    textured = np.clip(leaves.astype(np.int16) + (grain[..., None] * 3 // 2), 0, 255).astype(np.uint8)
    region[shown] = textured[shown]
    if canvas.recording:
        canvas.ids[y1:y2, x1:x2][shown] = 0
