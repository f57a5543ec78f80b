"""Sky, road and pavements."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes.canvas import Canvas, mix, scaled
from streetscenes.looks import between, chance
from streetscenes.world import FAR, World

NEAR = 1.2  # metres; below the lower edge of any picture


def texture(rng: np.random.Generator, side: int = 256) -> np.ndarray:
    """A tile (side, side) int16 of fine and coarse grains, about -20 to 20, that repeats without a seam."""
    total = np.zeros((side, side), dtype=np.int16)
    for cells, weight in ((side, 10), (side // 2, 10), (side // 8, 12), (side // 32, 10)):
        grid = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
        wrapped = np.pad(grid, ((0, 1), (0, 1)), mode="wrap")
        block = side // cells
        if block == 1:
            grown = grid
        else:
            grown = cv2.resize(wrapped, (side + block, side + block), interpolation=cv2.INTER_LINEAR)[:side, :side]
        total += ((grown.astype(np.int16) - 128) * weight) >> 7
    return total


def paint_sky(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """Fill the picture above the horizon: lighter towards it, with clouds in the sun."""
    light = world.light
    rows = int(world.camera.horizon) + 2
    for y in range(rows):
        canvas.image[y] = mix(light.sky_top, light.sky_low, y / rows)
    canvas.image[rows:] = world.light.haze
    if light.weather == "dusk":
        return
    # Clouds: coarse grains, stretched sideways, lift or dim the sky.
    cells = rng.integers(0, 256, (7, 9), dtype=np.uint8)
    fine = rng.integers(0, 256, (20, 30), dtype=np.uint8)
    size = (world.width, rows)
    coarse = cv2.resize(cells, size, interpolation=cv2.INTER_LINEAR).astype(np.int16)
    coarse = (3 * coarse + cv2.resize(fine, size, interpolation=cv2.INTER_LINEAR)) >> 2
    if light.weather == "sun":
        veil = np.clip((coarse - 132) * 3, 0, 200)
        sky = canvas.image[:rows].astype(np.int16)
        canvas.image[:rows] = (sky + (((246 - sky) * veil[..., None]) >> 8)).astype(np.uint8)
    else:
        canvas.grain((0, 0, world.width, rows), (coarse - 128) >> 3)


def paint_ground(canvas: Canvas, world: World, rng: np.random.Generator, tile: np.ndarray) -> np.ndarray | None:
    """Paint the road with its marks, the kerbs and the pavements up to the fronts of the houses.

    Returns where the houses' shadow lies, (H, W) uint8, or None without sun.
    """
    street, camera = world.street, world.camera
    _strip(canvas, world, -400, 400, street.paving if street.kind == "precinct" else scaled(street.paving, 0.95))
    if street.kind == "street":
        _strip(canvas, world, street.left_kerb, street.right_kerb, street.asphalt)
        _kerbs(canvas, world)
        _patches(canvas, world, rng)
        _marks(canvas, world, rng)
    _slabs(canvas, world, rng)
    _grain(canvas, world, tile, rng)
    shade = _house_shadow(canvas, world, rng) if world.light.side else None
    # The ground turns into haze with the distance.
    top = int(camera.horizon) + 1
    for y in range(top, min(top + world.height // 4, world.height)):
        share = world.light.haze_share(min(camera.depth(y), 600.0)) * 0.8
        k = int(256 * share)
        row = canvas.image[y].astype(np.int32)
        canvas.image[y] = (row + (((np.array(world.light.haze) - row) * k) >> 8)).astype(np.uint8)
    return shade


def _quad(world: World, x1: float, x2: float, z1: float, z2: float) -> np.ndarray:
    return world.camera.project([(x1, 0, z1), (x2, 0, z1), (x2, 0, z2), (x1, 0, z2)])


def _strip(canvas: Canvas, world: World, x1: float, x2: float, colour: tuple[int, int, int]) -> None:
    canvas.polygon(_quad(world, x1, x2, NEAR, 900), colour)


def _kerbs(canvas: Canvas, world: World) -> None:
    street = world.street
    for kerb, side in ((street.left_kerb, -1), (street.right_kerb, 1)):
        _strip(canvas, world, kerb - 0.35 * side, kerb, scaled(street.asphalt, 0.82))  # the gutter
        _strip(canvas, world, kerb, kerb + 0.07 * side, scaled(street.paving, 0.72))
        _strip(canvas, world, kerb + 0.07 * side, kerb + 0.25 * side, scaled(street.paving, 1.16))


def _patches(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    street = world.street
    for _ in range(int(rng.integers(2, 6))):
        x, z = between(rng, street.left_kerb + 0.6, street.right_kerb - 0.6), between(rng, 5, 40)
        wide, long = between(rng, 0.5, 2.2), between(rng, 1, 9)
        x2 = min(x + wide, street.right_kerb - 0.4)
        canvas.polygon(_quad(world, x, x2, z, z + long), scaled(street.asphalt, between(rng, 0.84, 1.12)))
    for _ in range(int(rng.integers(1, 3))):  # manhole covers
        x, z = between(rng, street.left_kerb + 1, street.right_kerb - 0.8), between(rng, 6, 30)
        centre = world.camera.project((x, 0, z))
        across = world.camera.pixels(0.36, z)
        flat = across * world.camera.height / z
        canvas.ellipse(centre, (across, max(flat, 0.5)), scaled(street.asphalt, 0.62))
        canvas.ellipse(centre, (across * 0.82, max(flat * 0.8, 0.4)), scaled(street.asphalt, 0.78))


def _marks(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    street = world.street
    white = (208, 212, 212)
    stop = street.crossing
    if street.right_kerb - street.left_kerb > 6:
        middle = (street.left_kerb + street.right_kerb) / 2 + between(rng, -0.4, 0.2)
        offset = between(rng, 0, 6)
        dashes = []
        for k in range(18):
            z = NEAR + offset + 6.0 * k
            if stop is not None and z < stop + 5 and z + 3 > stop - 2:
                continue
            dashes.append(_quad(world, middle - 0.07, middle + 0.07, z, z + 3))
        canvas.polygons(dashes, white)
    if chance(rng, 0.3):
        x = street.left_kerb + 2.3
        canvas.polygon(_quad(world, x - 0.05, x + 0.05, NEAR, 80), white)
    if stop is not None:
        count = int((street.right_kerb - street.left_kerb - 0.6) / 1.0)
        bars = [
            _quad(world, street.left_kerb + 0.5 + k, street.left_kerb + 1.0 + k, stop, stop + 3.6) for k in range(count)
        ]
        canvas.polygons(bars, white)


def _slabs(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    street = world.street
    if street.kind == "precinct":
        zones = [(street.left_front, street.right_front)]
    else:
        zones = [(street.left_front, street.left_kerb - 0.3), (street.right_kerb + 0.3, street.right_front)]
    step = between(rng, 0.5, 0.9)
    colour = scaled(street.paving, 0.86)
    for x1, x2 in zones:
        # Cross joints: narrow quads, as long as they are about a pixel apart.
        joints = []
        z = 2.0
        while z < 22:
            joints.append(_quad(world, x1, x2, z, z + 0.03 * max(1.0, z / 12)))
            z += step
        canvas.polygons(joints, colour)
        lengthwise = []
        x = x1 + step
        while x < x2:
            lengthwise.append(_quad(world, x, x + 0.03, NEAR, 24))
            x += step
        canvas.polygons(lengthwise, colour)


def _grain(canvas: Canvas, world: World, tile: np.ndarray, rng: np.random.Generator) -> None:
    """Lay the texture flat on the ground: each pixel takes the grain that lies where it looks."""
    camera = world.camera
    top = int(camera.horizon) + 3
    side = tile.shape[0]
    row = np.arange(top, world.height)
    depth = camera.focal * camera.height / (row - camera.horizon)
    # Texels of 5 cm at hand (for 1024 columns); with the distance the grain is made coarser so that it doesn't flicker.
    fineness = max(world.width / 1024, 0.5)
    coarser = np.searchsorted(np.array((9.0, 16.0, 28.0, 50.0)) * fineness**0.5, depth)
    step = 0.05 / fineness * 2**coarser
    down = (depth / step).astype(np.int64) % side
    across = (np.arange(world.width)[None, :] - camera.centre) * (depth / camera.focal / step)[:, None]
    across = np.floor(across).astype(np.int64) % side
    start = rng.integers(0, side, 2)
    values = tile[(down[:, None] + start[0]) % side, (across + start[1]) % side]
    strength = np.clip(256 * 14 / (depth + 8), 40, 256).astype(np.int64)
    canvas.grain((0, top, world.width, world.height), (values * strength[:, None]) >> 8)


def weather_walls(canvas: Canvas, world: World, rng: np.random.Generator, tile: np.ndarray) -> None:
    """Dirt and plaster: lay the texture faintly over all that stands above the horizon."""
    side = tile.shape[0]
    rows = int(world.camera.horizon)
    start = rng.integers(0, side, 2)
    grain = tile[(np.arange(rows) + start[0]) % side][:, (np.arange(world.width) + start[1]) % side]
    canvas.grain((0, 0, world.width, rows), grain >> 2)


def _house_shadow(canvas: Canvas, world: World, rng: np.random.Generator) -> np.ndarray:
    """The houses on the sun's side throw a shadow over part of the street."""
    side = world.light.side
    street = world.street
    front = street.right_front if side > 0 else street.left_front
    mask = np.zeros(canvas.ids.shape, dtype=np.uint8)
    z = NEAR
    while z < FAR:
        long = between(rng, 8, 22)
        reach = between(rng, 2.5, 8)
        if chance(rng, 0.85):
            edge = front - side * reach
            corners = world.camera.project([(front, 0, z), (edge, 0, z), (edge, 0, z + long), (front, 0, z + long)])
            cv2.fillPoly(mask, [np.rint(np.clip(corners, -30000, 30000)).astype(np.int32)], (255,))
        z += long + (between(rng, 1, 4) if chance(rng, 0.3) else 0)
    canvas.darken(cv2.blur(mask, (3, 3)), 0.36)
    return mask
