"""The fronts of houses along the street, with windows and shops, and what closes the street at its end."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from streetscenes.canvas import Canvas, Colour, mix, scaled
from streetscenes.looks import between, chance, jitter, pick
from streetscenes.world import FAR, World

WALLS: tuple[Colour, ...] = (
    (150, 176, 196), (170, 190, 206), (196, 206, 212), (120, 150, 182), (92, 108, 150), (80, 88, 128), (150, 160, 164),
    (176, 176, 172), (132, 168, 178), (112, 132, 140), (160, 186, 200), (128, 140, 172), (206, 212, 214),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = (
    (60, 60, 170),
    (130, 80, 40),
    (60, 120, 60),
    (50, 50, 52),
    (70, 170, 210),
    (150, 60, 110),
    (200, 200, 200),
)
# A colour, and a factor on its lightness, as it looks on a front.
Tone = Callable[..., Colour]

STOREY = 3.1
SHOP_HEIGHT = 3.4


@dataclass(frozen=True)
class ShopWindow:
    """A pane in the ground floor of a front: where things can stand behind the glass, in metres."""

    side: int
    front: float
    near: float
    far: float
    low: float
    high: float


@dataclass(frozen=True)
class _House:
    side: int
    front: float
    near: float
    far: float
    height: float
    wall: Colour
    shop: bool
    lit: float


def paint_houses(canvas: Canvas, world: World, rng: np.random.Generator) -> list[ShopWindow]:
    """Paint both rows of houses from far to near; return the shop windows for what stands behind them."""
    _paint_end(canvas, world, rng)
    houses: list[_House] = []
    for side, front in ((-1, world.street.left_front), (1, world.street.right_front)):
        z = between(rng, 1.5, 4)
        while z < FAR:
            long = between(rng, 9, 21)
            if not (z > 14 and chance(rng, 0.12)):  # else a gap: a side street
                lit = between(rng, 0.15, 0.5) if world.light.weather == "dusk" else (0.04 if chance(rng, 0.3) else 0.0)
                wall = jitter(rng, pick(rng, WALLS), 14)
                height = SHOP_HEIGHT + STOREY * int(rng.integers(2, 6)) + 0.6
                houses.append(_House(side, front, z, min(z + long, FAR), height, wall, chance(rng, 0.65), lit))
            else:
                long = between(rng, 7, 11)
            z += long
    panes: list[ShopWindow] = []
    for house in sorted(houses, key=lambda house: -house.near):
        panes += _paint_house(canvas, world, house, rng)
    return panes


def _quad(world: World, x: float, near: float, far: float, low: float, high: float) -> np.ndarray:
    return world.camera.project([(x, low, near), (x, high, near), (x, high, far), (x, low, far)])


def _paint_house(canvas: Canvas, world: World, house: _House, rng: np.random.Generator) -> list[ShopWindow]:
    light, camera = world.light, world.camera
    middle = (house.near * house.far) ** 0.5
    # A front faces the street, so the sun from the left lights the right one.
    sun = 1.12 if light.side == -house.side else (0.8 if light.side == house.side else 0.95)

    def tone(colour: Colour, factor: float = 1.0) -> Colour:
        return light.seen(scaled(colour, factor * sun), middle)

    # The wall towards the camera, visible over a lower neighbour or beside a gap.
    side_sun = 0.9 if light.side else 0.88
    away = house.front + house.side * 14
    gable = camera.project(
        [
            (house.front, 0, house.near),
            (away, 0, house.near),
            (away, house.height, house.near),
            (house.front, house.height, house.near),
        ]
    )
    canvas.polygon(gable, light.seen(scaled(house.wall, side_sun), house.near))
    if chance(rng, 0.6):
        _gable_windows(canvas, world, house, tone)
    roof = camera.project([
        (house.front, house.height, house.near), (house.front + house.side * 3.5, house.height + 2.6, house.near),
        (house.front + house.side * 3.5, house.height + 2.6, house.far), (house.front, house.height, house.far),
    ])  # fmt: skip
    canvas.polygon(roof, tone(pick(rng, ((60, 66, 92), (70, 72, 76), (56, 60, 64), (62, 74, 116))), 0.95))
    canvas.polygon(_quad(world, house.front, house.near, house.far, 0, house.height), tone(house.wall))
    # Nearer parts of a long front look different: darker towards the ground.
    canvas.polygon(_quad(world, house.front, house.near, house.far, 0, 0.7), tone(house.wall, 0.74))
    _windows(canvas, world, house, rng, tone)
    canvas.polygon(
        _quad(world, house.front, house.near, house.far, house.height - 0.45, house.height), tone(house.wall, 1.12)
    )
    canvas.polygon(
        _quad(world, house.front, house.near, house.far, house.height - 0.62, house.height - 0.45),
        tone(house.wall, 0.7),
    )
    panes = _shop(canvas, world, house, rng, tone) if house.shop else _doors(canvas, world, house, rng, tone)
    if chance(rng, 0.5):
        canvas.polygon(
            _quad(world, house.front, house.near + 0.1, house.near + 0.24, 0, house.height - 0.5),
            tone(house.wall, 0.62),
        )
    return panes


def _windows(canvas: Canvas, world: World, house: _House, rng: np.random.Generator, tone: Tone) -> None:
    pitch = between(rng, 2.1, 3.0)
    wide = pitch * between(rng, 0.42, 0.6)
    tall = between(rng, 1.5, 1.9)
    columns = int((house.far - house.near - 0.6) / pitch)
    floors = int((house.height - SHOP_HEIGHT - 0.6) / STOREY + 0.5)
    if columns < 1 or floors < 1:
        return
    indent = (house.far - house.near - columns * pitch) / 2 + (pitch - wide) / 2
    start = house.near + indent + pitch * np.arange(columns)
    bottom = SHOP_HEIGHT + 0.75 + STOREY * np.arange(floors)
    near, low = (grid.ravel() for grid in np.meshgrid(start, bottom))
    top_visible = world.camera.horizon - world.camera.focal * (low - world.camera.height) / near > -4
    near, low = near[top_visible], low[top_visible]
    size = len(near)
    if not size:
        return

    def quads(z1: np.ndarray, z2: np.ndarray, y1: np.ndarray, y2: np.ndarray) -> np.ndarray:
        corners = np.empty((len(z1), 4, 3))
        corners[..., 0] = house.front
        corners[:, (0, 3), 1], corners[:, (1, 2), 1] = y1[:, None], y2[:, None]
        corners[:, :2, 2], corners[:, 2:, 2] = z1[:, None], z2[:, None]
        return world.camera.project(corners)

    frame = pick(rng, ((226, 228, 228), (206, 212, 214), (84, 96, 120), (70, 70, 72), (190, 200, 206)))
    surround = between(rng, 1.08, 1.2)
    fine = world.camera.pixels(wide, house.near) * abs(house.front) / house.near > 3
    if fine:
        canvas.polygons(
            quads(near - 0.12, near + wide + 0.12, low - 0.12, low + tall + 0.16), tone(house.wall, surround)
        )
    canvas.polygons(quads(near, near + wide, low, low + tall), tone(frame))
    lot = rng.random(size)
    border = 0.08 if fine else 0.14
    glass: Colour = (112, 96, 84) if world.light.weather != "dusk" else (72, 60, 54)
    kinds = (
        (house.lit, (150, 216, 250)),
        (0.62, tone(glass)),
        (0.82, tone(scaled(glass, 0.66))),
        (0.93, tone(mix(glass, world.light.sky_low, 0.6))),
        (1.0, tone((176, 182, 186))),  # curtains
    )
    low_share = 0.0
    for high_share, colour in kinds:
        of = (lot >= low_share) & (lot < high_share)
        z, y = near[of], low[of]
        canvas.polygons(quads(z + border, z + wide - border, y + border, y + tall - border), colour)
        low_share = high_share
    if fine:
        # The lintel's shadow on the glass, the middle bar and the sill.
        canvas.polygons(
            quads(near + border, near + wide - border, low + tall - 0.26, low + tall - border), tone(glass, 0.55)
        )
        canvas.polygons(quads(near + wide / 2 - 0.04, near + wide / 2 + 0.04, low, low + tall), tone(frame, 0.95))
        canvas.polygons(quads(near - 0.1, near + wide + 0.1, low - 0.13, low), tone(house.wall, 0.72))


def _gable_windows(canvas: Canvas, world: World, house: _House, tone: Tone) -> None:
    floors = int((house.height - SHOP_HEIGHT) / STOREY)
    panes = []
    for floor in range(floors):
        for k in range(3):
            x = house.front + house.side * (1.4 + 3.6 * k)
            y = SHOP_HEIGHT + 0.8 + STOREY * floor
            panes.append(
                world.camera.project(
                    [
                        (x, y, house.near),
                        (x + 1.1 * house.side, y, house.near),
                        (x + 1.1 * house.side, y + 1.6, house.near),
                        (x, y + 1.6, house.near),
                    ]
                )
            )
    canvas.polygons(panes, tone((104, 92, 82)))


def _shop(canvas: Canvas, world: World, house: _House, rng: np.random.Generator, tone: Tone) -> list[ShopWindow]:
    light = world.light
    base = pick(rng, ((70, 72, 74), (120, 132, 140), house.wall, (60, 70, 96), (96, 90, 84)))
    canvas.polygon(_quad(world, house.front, house.near, house.far, 0, SHOP_HEIGHT), tone(base, 0.85))
    panes = []
    z = house.near + 0.4
    glow = light.weather == "dusk" or chance(rng, 0.35)
    inside = mix((64, 62, 60), (140, 190, 214), 0.7 if glow else 0.15)
    sign = pick(rng, SIGNS)
    while z + 2.0 < house.far:
        long = min(between(rng, 2.2, 4.2), house.far - z - 0.3)
        if chance(rng, 0.2):  # a door
            canvas.polygon(_quad(world, house.front, z, z + 1.1, 0.05, 2.5), tone(mix(base, (40, 40, 60), 0.5), 0.7))
            canvas.polygon(_quad(world, house.front, z + 0.15, z + 0.95, 0.9, 2.3), tone((96, 88, 80)))
            z += 1.6
            continue
        canvas.polygon(_quad(world, house.front, z - 0.06, z + long + 0.06, 0.44, 2.72), tone(base, 1.25))
        pane = inside if glow else tone(inside)
        canvas.polygon(_quad(world, house.front, z, z + long, 0.5, 2.66), pane)
        # Shelves and goods: strips of colour low in the pane, the sky's reflection high in it.
        for _ in range(int(rng.integers(2, 6))):
            start = z + between(rng, 0.1, long - 0.5)
            high = between(rng, 0.75, 1.25)
            canvas.polygon(
                _quad(world, house.front, start, min(start + between(rng, 0.2, 0.7), z + long), 0.5, high),
                mix(pane, tone(jitter(rng, pick(rng, SIGNS), 20)), 0.6),
            )
        canvas.polygon(_quad(world, house.front, z, z + long, 2.2, 2.66), mix(pane, light.sky_low, 0.28))
        panes.append(ShopWindow(house.side, house.front, z, z + long, 0.5, 2.66))
        z += long + 0.4
    board = _quad(world, house.front, house.near + 0.2, house.far - 0.2, 2.78, 3.3)
    canvas.polygon(board, tone(sign))
    letters: list[np.ndarray] = []
    at = house.near + between(rng, 0.6, 2.0)
    while at < house.far - 1.5 and len(letters) < 14:
        letters.append(_quad(world, house.front, at, at + between(rng, 0.1, 0.26), 2.88, 3.18))
        at += 0.36 if not chance(rng, 0.2) else 0.8
    canvas.polygons(letters, tone(mix(sign, (240, 240, 240), 0.8) if sum(sign) < 500 else (60, 60, 60)))
    if chance(rng, 0.3):  # an awning over the pavement
        cloth = tone(pick(rng, SIGNS[:5]), 1.05)
        out = house.front - house.side * 1.3
        far = house.far - 0.3
        awning = world.camera.project(
            [
                (house.front, 2.9, house.near + 0.3),
                (out, 2.35, house.near + 0.3),
                (out, 2.35, far),
                (house.front, 2.9, far),
            ]
        )
        canvas.polygon(awning, cloth)
        edge = world.camera.project(
            [(out, 2.35, house.near + 0.3), (out, 2.15, house.near + 0.3), (out, 2.15, far), (out, 2.35, far)]
        )
        canvas.polygon(edge, scaled(cloth, 0.8))
    return panes


def _doors(canvas: Canvas, world: World, house: _House, rng: np.random.Generator, tone: Tone) -> list[ShopWindow]:
    door = jitter(rng, pick(rng, ((50, 70, 110), (70, 90, 60), (60, 50, 46), (110, 80, 50), (40, 40, 110))))
    at = between(rng, house.near + 0.5, max(house.far - 2.2, house.near + 0.6))
    z = house.near + 0.9
    glass = tone((104, 92, 82))
    while z + 1.3 < house.far:
        if abs(z + 0.6 - at - 0.6) > 1.5:
            canvas.polygon(_quad(world, house.front, z - 0.1, z + 1.3, 0.95, 2.6), tone((208, 210, 210)))
            canvas.polygon(_quad(world, house.front, z, z + 1.2, 1.05, 2.5), glass)
            canvas.polygon(_quad(world, house.front, z + 0.56, z + 0.64, 1.0, 2.55), tone((208, 210, 210)))
            canvas.polygon(_quad(world, house.front, z - 0.15, z + 1.35, 0.82, 0.95), tone(house.wall, 0.7))
        z += 2.6
    canvas.polygon(_quad(world, house.front, at - 0.15, at + 1.35, 0, 2.65), tone(house.wall, 1.15))
    canvas.polygon(_quad(world, house.front, at, at + 1.2, 0, 2.5), tone(door))
    canvas.polygon(_quad(world, house.front, at + 0.2, at + 1.0, 1.5, 2.3), tone(door, 0.6))
    return []


def _paint_end(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """What stands across the end of the street: a house front, or trees and roofs in the haze."""
    camera, light = world.camera, world.light
    left = camera.column(-400, FAR + 60)
    right = camera.column(400, FAR + 60)
    base = camera.horizon + 3
    if chance(rng, 0.5):
        wall = jitter(rng, pick(rng, WALLS), 12)
        z = FAR + between(rng, 5, 40)
        high = between(rng, 11, 17)
        tone = light.seen(wall, z)
        x1, x2 = camera.column(-60, z), camera.column(60, z)
        y1, y2 = camera.foot(z), camera.horizon - camera.pixels(high - camera.height, z)
        canvas.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], tone)
        roof = camera.horizon - camera.pixels(high + 2.5 - camera.height, z)
        canvas.polygon([(x1, y2), (x2, y2), (x2, roof), (x1, roof)], light.seen((70, 74, 96), z))
        unit = camera.pixels(1.0, z)
        panes = []
        for floor in range(int((high - 1.5) / STOREY)):
            y = y1 - unit * (1.2 + STOREY * floor)
            for k in range(-12, 13):
                x = camera.centre + unit * (3.2 * k + 0.8)
                panes.append([(x, y), (x + 1.3 * unit, y), (x + 1.3 * unit, y - 1.6 * unit), (x, y - 1.6 * unit)])
        canvas.polygons(panes, light.seen((110, 96, 86), z))
    else:
        # Rows of trees, each a line of round crowns over a hedge.
        low, high = camera.column(world.street.left_front - 6, FAR), camera.column(world.street.right_front + 6, FAR)
        for z in (FAR + 90, FAR + 50, FAR + 10):
            green = light.seen(jitter(rng, (66, 100, 78), 10), z)
            unit = camera.pixels(1.0, z)
            canvas.polygon([(left, base), (right, base), (right, base - 4 * unit), (left, base - 4 * unit)], green)
            x = low
            while x < high:
                size = between(rng, 1.8, 3.6)
                top = base - unit * between(rng, 3.5, 8.0)
                canvas.ellipse((x, top), (size * unit, size * unit), scaled(green, between(rng, 0.92, 1.06)))
                x += size * unit * between(rng, 0.5, 1.1)
