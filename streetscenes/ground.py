"""Sky, road and pavements, and the grain that lies on everything."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes.canvas import Canvas, mix, scaled
from streetscenes.lots import between, chance
from streetscenes.world import FAR, World

NEAR = 1.2  # metres; below the lower edge of any image
WHITE = (208, 212, 212)


def texture(rng: np.random.Generator, side: int = 256) -> np.ndarray:
    """A tile (side, side) int16 of fine and coarse grains, about -20 to 20, that repeats without a seam."""
    total = np.zeros((side, side), dtype=np.int16)
    for cells, weight in ((side, 10), (side // 2, 10), (side // 8, 12), (side // 32, 10)):
        grown = rng.integers(0, 256, (cells, cells), dtype=np.uint8)
        block = side // cells
        if block > 1:
            wrapped = np.pad(grown, ((0, 1), (0, 1)), mode="wrap")
            grown = cv2.resize(wrapped, (side + block, side + block), interpolation=cv2.INTER_LINEAR)[:side, :side]
        total += ((grown.astype(np.int16) - 128) * weight) >> 7
    return total


def patch(tile: np.ndarray, rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """A piece (height, width) of the tile from a place by lot."""
    start = rng.integers(0, tile.shape[0], 2)
    return tile[(np.arange(height) + start[0]) % tile.shape[0]][:, (np.arange(width) + start[1]) % tile.shape[1]]


def paint_sky(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """Fill the image above the horizon: lighter towards it, with clouds."""
    light = world.light
    rows = int(world.camera.horizon) + 2
    for y in range(rows):
        canvas.image[y] = mix(light.sky_top, light.sky_low, y / rows)
    canvas.image[rows:] = light.haze
    if light.weather == "dusk":
        return
    # Clouds: coarse grains, stretched sideways, lift or dim the sky.
    size = (world.width, rows)
    grains = [rng.integers(0, 256, cells, dtype=np.uint8) for cells in ((7, 9), (20, 30))]
    coarse, fine = (cv2.resize(grain, size, interpolation=cv2.INTER_LINEAR).astype(np.int16) for grain in grains)
    clouds = (3 * coarse + fine) >> 2
    if light.weather == "sun":
        veil = np.clip((clouds - 132) * 3, 0, 200)
        sky = canvas.image[:rows].astype(np.int16)
        canvas.image[:rows] = (sky + (((246 - sky) * veil[..., None]) >> 8)).astype(np.uint8)
    else:
        canvas.grain((0, 0, world.width, rows), (clouds - 128) >> 3)


def paint_ground(canvas: Canvas, world: World, rng: np.random.Generator, tile: np.ndarray) -> np.ndarray | None:
    """Paint the road with its marks, the kerbs and the pavements up to the fronts of the houses.

    Returns where the houses' shadow lies, (H, W) uint8, or None without sun.
    """
    street, camera = world.street, world.camera
    canvas.polygon(camera.floor(-400, 400, NEAR, 900), scaled(street.paving, 0.95))
    if street.kind == "street":
        canvas.polygon(camera.floor(street.left_kerb, street.right_kerb, NEAR, 900), street.asphalt)
        for kerb, side in ((street.left_kerb, -1), (street.right_kerb, 1)):
            canvas.polygon(camera.floor(kerb - 0.35 * side, kerb, NEAR, 900), scaled(street.asphalt, 0.82))  # gutter
            canvas.polygon(camera.floor(kerb, kerb + 0.07 * side, NEAR, 900), scaled(street.paving, 0.72))
            canvas.polygon(camera.floor(kerb + 0.07 * side, kerb + 0.25 * side, NEAR, 900), scaled(street.paving, 1.16))
        _marks(canvas, world, rng)
    _slabs(canvas, world, rng)
    _grain(canvas, world, tile, rng)
    shade = _house_shadow(canvas, world, rng) if world.light.side else None
    # The ground turns into haze with the distance.
    top = int(camera.horizon) + 1
    for y in range(top, min(top + world.height // 4, world.height)):
        k = int(256 * 0.8 * world.light.haze_share(min(camera.depth(y), 600.0)))
        row = canvas.image[y].astype(np.int32)
        canvas.image[y] = (row + (((np.array(world.light.haze) - row) * k) >> 8)).astype(np.uint8)
    return shade


def weather_walls(canvas: Canvas, world: World, rng: np.random.Generator, tile: np.ndarray) -> None:
    """Dirt and plaster: lay the texture faintly over all that stands above the horizon."""
    rows = int(world.camera.horizon)
    canvas.grain((0, 0, world.width, rows), patch(tile, rng, rows, world.width) >> 2)


def _marks(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    street, floor = world.street, world.camera.floor
    for _ in range(int(rng.integers(2, 6))):  # mended places
        x, z = between(rng, street.left_kerb + 0.6, street.right_kerb - 0.6), between(rng, 5, 40)
        right, far = min(x + between(rng, 0.5, 2.2), street.right_kerb - 0.4), z + between(rng, 1, 9)
        canvas.polygon(floor(x, right, z, far), scaled(street.asphalt, between(rng, 0.84, 1.12)))
    stop = street.crossing
    if street.right_kerb - street.left_kerb > 6:
        middle = (street.left_kerb + street.right_kerb) / 2 + between(rng, -0.4, 0.2)
        offset = between(rng, 0, 6)
        starts = [NEAR + offset + 6.0 * k for k in range(18)]
        free = [z for z in starts if stop is None or z > stop + 5 or z + 3 < stop - 2]
        canvas.polygons([floor(middle - 0.07, middle + 0.07, z, z + 3) for z in free], WHITE)
    if chance(rng, 0.3):
        canvas.polygon(floor(street.left_kerb + 2.25, street.left_kerb + 2.35, NEAR, 80), WHITE)
    if stop is not None:
        bars = np.arange(street.left_kerb + 0.5, street.right_kerb - 0.6, 1.0).tolist()
        canvas.polygons([floor(x, x + 0.5, stop, stop + 3.6) for x in bars], WHITE)


def _slabs(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    street, floor = world.street, world.camera.floor
    zones = [(street.left_front, street.left_kerb - 0.3), (street.right_kerb + 0.3, street.right_front)]
    if street.kind == "precinct":
        zones = [(street.left_front, street.right_front)]
    step = between(rng, 0.5, 0.9)
    colour = scaled(street.paving, 0.86)
    for x1, x2 in zones:
        # Joints are narrow quads, drawn as far as they are about a pixel apart.
        across = np.arange(2.0, 22.0, step).tolist()
        canvas.polygons([floor(x1, x2, z, z + 0.03 * max(1.0, z / 12)) for z in across], colour)
        canvas.polygons([floor(x, x + 0.03, NEAR, 24) for x in np.arange(x1 + step, x2, step).tolist()], colour)


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


def _house_shadow(canvas: Canvas, world: World, rng: np.random.Generator) -> np.ndarray:
    """The houses on the sun's side throw a shadow over part of the street."""
    side = world.light.side
    front = world.street.right_front if side > 0 else world.street.left_front
    mask = np.zeros(canvas.ids.shape, dtype=np.uint8)
    z = NEAR
    while z < FAR:
        long, reach = between(rng, 8, 22), between(rng, 2.5, 8)
        if chance(rng, 0.85):
            corners = world.camera.floor(front, front - side * reach, z, z + long)
            cv2.fillPoly(mask, [np.rint(np.clip(corners, -30000, 30000)).astype(np.int32)], (255,))
        z += long
    canvas.darken(cv2.blur(mask, (3, 3)), 0.36)
    return mask
