"""What stands behind people and things: sky, road, pavements, the fronts of houses, and the grain that lies on all of it."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes.canvas import Canvas, Colour, ellipse, mix, scaled
from streetscenes.world import FAR, TILE, Lengths, World, between, chance, jitter, pick

NEAR = 1.2  # metres; below the lower edge of any image
WHITE = (208, 212, 212)

# The people alone keep their colours (`scene.mute`): walls differ in lightness and a little in warmth.
WALLS: tuple[Colour, ...] = (
    (150, 176, 196), (170, 190, 206), (196, 206, 212), (120, 150, 182), (92, 108, 150), (80, 88, 128), (150, 160, 164),
    (132, 168, 178), (112, 132, 140), (128, 140, 172), (206, 212, 214),
)  # fmt: skip
SIGNS: tuple[Colour, ...] = ((60, 60, 170), (130, 80, 40), (60, 120, 60), (50, 50, 52), (70, 170, 210), (200, 200, 200))
GLASS: Colour = (104, 92, 82)

STOREY, GROUND_FLOOR = 3.1, 3.4  # metres


def paint_backdrop(canvas: Canvas, world: World, rng: np.random.Generator) -> np.ndarray:
    """Paint all that stands behind. Returns where the houses' shadow lies on the ground, (H, W) uint8."""
    _paint_sky(canvas, world, rng)
    shade = _paint_ground(canvas, world, rng)
    _paint_end(canvas, world, rng)
    _paint_houses(canvas, world, rng)
    # Dirt and plaster: the texture lies faintly on all that stands above the horizon.
    canvas.grain(0, world.patch(rng, int(world.camera.horizon), world.width) >> 2)
    return shade


def _paint_sky(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
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
        canvas.grain(0, (clouds - 128) >> 3)


def _paint_ground(canvas: Canvas, world: World, rng: np.random.Generator) -> np.ndarray:
    """Paint the road with its marks, the kerbs and the pavements up to the fronts of the houses; return their shadow."""
    street, camera, floor = world.street, world.camera, world.camera.floor
    canvas.polygon(floor(-400, 400, NEAR, 900), scaled(street.paving, 0.95))
    zones = [(street.left_front, street.right_front)]  # paved with slabs
    if not street.precinct:
        canvas.polygon(floor(street.left_kerb, street.right_kerb, NEAR, 900), street.asphalt)
        for kerb, side in ((street.left_kerb, -1), (street.right_kerb, 1)):
            canvas.polygon(floor(kerb - 0.35 * side, kerb, NEAR, 900), scaled(street.asphalt, 0.82))  # gutter
            canvas.polygon(floor(kerb, kerb + 0.07 * side, NEAR, 900), scaled(street.paving, 0.72))
            canvas.polygon(floor(kerb + 0.07 * side, kerb + 0.25 * side, NEAR, 900), scaled(street.paving, 1.16))
        _marks(canvas, world, rng)
        zones = [(street.left_front, street.left_kerb - 0.3), (street.right_kerb + 0.3, street.right_front)]
    step = between(rng, 0.5, 0.9)
    colour = scaled(street.paving, 0.86)
    for x1, x2 in zones:
        # The slabs' joints are narrow quads, drawn as far as they are about a pixel apart.
        across = np.arange(2.0, 22.0, step).tolist()
        canvas.polygons([floor(x1, x2, z, z + 0.03 * max(1.0, z / 12)) for z in across], colour)
        canvas.polygons([floor(x, x + 0.03, NEAR, 24) for x in np.arange(x1 + step, x2, step).tolist()], colour)
    _grain(canvas, world, rng)
    shade = _house_shadow(canvas, world, rng)
    # The ground turns into haze with the distance.
    top = int(camera.horizon) + 1
    for y in range(top, min(top + world.height // 4, world.height)):
        k = int(256 * 0.8 * world.light.haze_share(min(camera.depth(y), 600.0)))
        row = canvas.image[y].astype(np.int32)
        canvas.image[y] = (row + (((np.array(world.light.haze) - row) * k) >> 8)).astype(np.uint8)
    return shade


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


def _grain(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """Lay the texture flat on the ground: each pixel takes the grain that lies where it looks."""
    camera = world.camera
    top = int(camera.horizon) + 3
    row = np.arange(top, world.height)
    depth = camera.focal * camera.height / (row - camera.horizon)
    # Texels of 5 cm at hand (for 1024 columns); with the distance the grain is made coarser so that it doesn't flicker.
    fineness = max(world.width / 1024, 0.5)
    coarser = np.searchsorted(np.array((9.0, 16.0, 28.0, 50.0)) * fineness**0.5, depth)
    step = 0.05 / fineness * 2**coarser
    down = (depth / step).astype(np.int64)
    across = (np.arange(world.width) - camera.centre) * (depth / camera.focal / step)[:, None]
    start = rng.integers(0, TILE, 2)
    values = world.tile[(down[:, None] + start[0]) % TILE, (np.floor(across).astype(np.int64) + start[1]) % TILE]
    strength = np.clip(256 * 14 / (depth + 8), 40, 256).astype(np.int64)
    canvas.grain(top, (values * strength[:, None]) >> 8)


def _house_shadow(canvas: Canvas, world: World, rng: np.random.Generator) -> np.ndarray:
    """The houses on the sun's side throw a shadow over part of the street, (H, W) uint8."""
    side = world.light.side
    front = world.street.right_front if side > 0 else world.street.left_front
    outlines = []
    z = NEAR if side else FAR
    while z < FAR:
        long, reach = between(rng, 8, 22), between(rng, 2.5, 8)
        if chance(rng, 0.85):
            outlines.append(world.camera.floor(front, front - side * reach, z, z + long))
        z += long
    return canvas.shade(outlines, 0.36, blur=3)


class _House:
    """A house drawn by lot, and how its front is painted: along the street and up, in metres."""

    def __init__(self, canvas: Canvas, world: World, rng: np.random.Generator, side: int, near: float) -> None:
        self.canvas, self.world, self.rng, self.side, self.near = canvas, world, rng, side, near
        self.front = world.street.right_front if side > 0 else world.street.left_front
        self.far = min(near + between(rng, 9, 21), FAR)
        self.height = GROUND_FLOOR + STOREY * int(rng.integers(2, 6)) + 0.6
        # The share of the windows with a light on.
        self.lit = between(rng, 0.15, 0.5) if world.light.weather == "dusk" else 0.02
        self.wall = jitter(rng, pick(rng, WALLS), 14)
        self.shop = chance(rng, 0.65)

    def tone(self, colour: Colour, factor: float = 1.0) -> Colour:
        """A colour, with a factor on its lightness, as it looks on the front."""
        # A front faces the street, so the sun from the left lights the right one.
        sun = {-self.side: 1.12, self.side: 0.8}.get(self.world.light.side, 0.95)
        return self.world.light.seen(scaled(colour, factor * sun), (self.near * self.far) ** 0.5)

    def fill(self, near: Lengths, far: Lengths, low: Lengths, high: Lengths, colour: Colour) -> None:
        """Fill a rectangle of the front, or many by arrays (n,)."""
        self.canvas.polygons(self.world.camera.wall(self.front, near, far, low, high).reshape(-1, 4, 2), colour)

    def band(self, low: float, high: float, colour: Colour) -> None:
        """Fill the front's whole length."""
        self.fill(self.near, self.far, low, high, colour)

    def paint(self) -> None:
        camera, tone = self.world.camera, self.tone
        # The wall towards the camera is seen over a lower neighbour or beside a gap.
        gable = camera.face(self.front, self.front + self.side * 14, 0, self.height, self.near)
        self.canvas.polygon(gable, self.world.light.seen(scaled(self.wall, 0.9), self.near))
        edge, ridge = (self.front, self.height), (self.front + self.side * 3.5, self.height + 2.6)
        ends = ((edge, self.near), (ridge, self.near), (ridge, self.far), (edge, self.far))
        self.canvas.polygon(camera.project([(*spot, z) for spot, z in ends]), tone(jitter(self.rng, (62, 70, 88))))
        self.band(0, self.height, tone(self.wall))
        self.band(0, 0.7, tone(self.wall, 0.74))
        self.windows()
        self.band(self.height - 0.45, self.height, tone(self.wall, 1.12))
        self.band(self.height - 0.62, self.height - 0.45, tone(self.wall, 0.7))
        if self.shop:
            self.shop_front()

    def windows(self) -> None:
        camera, tone, rng = self.world.camera, self.tone, self.rng
        pitch, tall = between(rng, 2.1, 3.0), between(rng, 1.5, 1.9)
        wide = pitch * between(rng, 0.42, 0.6)
        columns = int((self.far - self.near - 0.6) / pitch)
        floors = int((self.height - GROUND_FLOOR - 0.6) / STOREY + 0.5)
        indent = (self.far - self.near - columns * pitch + pitch - wide) / 2
        start = self.near + indent + pitch * np.arange(columns)
        bottom = np.append(GROUND_FLOOR + 0.75 + STOREY * np.arange(floors), [] if self.shop else [1.05])
        near, low = (grid.ravel() for grid in np.meshgrid(start, bottom))
        in_sight = camera.horizon - camera.focal * (low - camera.height) / near > -4
        near, low = near[in_sight], low[in_sight]

        def fill(left: float, right: float, down: float, up: float, colour: Colour, of: np.ndarray | slice) -> None:
            self.fill(near[of] + left, near[of] + right, low[of] + down, low[of] + up, colour)

        every = slice(None)
        frame = pick(rng, ((226, 228, 228), (206, 212, 214), (84, 96, 120), (70, 70, 72)))
        fine = camera.pixels(wide, self.near) * abs(self.front) / self.near > 3
        edge = 0.08 if fine else 0.14
        if fine:
            fill(-0.12, wide + 0.12, -0.12, tall + 0.16, tone(self.wall, 1.14), every)
        fill(0, wide, 0, tall, tone(frame), every)
        lot = rng.random(len(near))
        lamp, curtain, sky = (150, 216, 250), tone((176, 182, 186)), tone(mix(GLASS, self.world.light.sky_low, 0.6))
        kinds = ((0.0, self.lit, lamp), (self.lit, 0.65, tone(GLASS)), (0.65, 0.82, tone(GLASS, 0.66)))
        for least, below, colour in (*kinds, (0.82, 0.93, sky), (0.93, 1.0, curtain)):
            fill(edge, wide - edge, edge, tall - edge, colour, (lot >= least) & (lot < below))
        if fine:  # the lintel's shadow on the glass, the middle bar and the sill
            fill(edge, wide - edge, tall - 0.26, tall - edge, tone(GLASS, 0.55), every)
            fill(wide / 2 - 0.04, wide / 2 + 0.04, 0, tall, tone(frame, 0.95), every)
            fill(-0.1, wide + 0.1, -0.13, 0, tone(self.wall, 0.72), every)

    def shop_front(self) -> None:
        tone, fill, light, rng = self.tone, self.fill, self.world.light, self.rng
        base = pick(rng, ((70, 72, 74), (120, 132, 140), self.wall, (60, 70, 96)))
        self.band(0, GROUND_FLOOR, tone(base, 0.85))
        glow = light.weather == "dusk" or chance(rng, 0.35)
        inside = mix((64, 62, 60), (140, 190, 214), 0.7 if glow else 0.15)
        pane = inside if glow else tone(inside)
        z = self.near + 0.4
        while z + 2.0 < self.far:
            long = min(between(rng, 2.2, 4.2), self.far - z - 0.3)
            fill(z - 0.06, z + long + 0.06, 0.44, 2.72, tone(base, 1.25))
            fill(z, z + long, 0.5, 2.66, pane)
            for _ in range(int(rng.integers(2, 6))):  # goods
                start, high = z + between(rng, 0.1, long - 0.5), between(rng, 0.75, 1.25)
                colour = mix(pane, tone(jitter(rng, pick(rng, SIGNS), 20)), 0.6)
                fill(start, min(start + between(rng, 0.2, 0.7), z + long), 0.5, high, colour)
            fill(z, z + long, 2.2, 2.66, mix(pane, light.sky_low, 0.28))
            z += long + (1.6 if chance(rng, 0.2) else 0.4)
        sign = pick(rng, SIGNS)
        fill(self.near + 0.2, self.far - 0.2, 2.78, 3.3, tone(sign))
        start = self.near + between(rng, 0.6, 2.0)
        letters = start + 0.36 * np.flatnonzero(rng.random(14) < 0.8)
        letters = letters[letters < self.far - 1.5]
        ink = (60, 60, 60) if sum(sign) > 500 else mix(sign, (240, 240, 240), 0.8)
        fill(letters, letters + between(rng, 0.1, 0.26), 2.88, 3.18, tone(ink))


def _paint_houses(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """Paint both rows of houses, from far to near."""
    houses: list[_House] = []
    for side in (-1, 1):
        z = between(rng, 1.5, 4)
        while z < FAR:
            if z > 14 and chance(rng, 0.12):  # a side street
                z += between(rng, 7, 11)
            else:
                houses.append(_House(canvas, world, rng, side, z))
                z = houses[-1].far
    for house in sorted(houses, key=lambda house: -house.near):
        house.paint()


def _paint_end(canvas: Canvas, world: World, rng: np.random.Generator) -> None:
    """What stands across the end of the street: a house front, or trees in the haze."""
    camera, light = world.camera, world.light
    if chance(rng, 0.5):
        z, high = FAR + between(rng, 5, 40), between(rng, 11, 17)
        canvas.polygon(camera.face(-60, 60, 0, high, z), light.seen(jitter(rng, pick(rng, WALLS)), z))
        canvas.polygon(camera.face(-60, 60, high, high + 2.5, z), light.seen((70, 74, 96), z))
        spots = [(3.2 * k + 0.8, 1.2 + STOREY * floor) for floor in range(int(high / STOREY)) for k in range(-12, 13)]
        canvas.polygons([camera.face(x, x + 1.3, y, y + 1.6, z) for x, y in spots], light.seen((110, 96, 86), z))
        return
    # Rows of trees, each a line of round crowns over a hedge.
    for z in (FAR + 90, FAR + 50, FAR + 10):
        green = light.seen(jitter(rng, (66, 100, 78), 10), z)
        unit, base = camera.pixels(1.0, z), camera.horizon + 3
        canvas.polygon([(0, base), (world.width, base), (world.width, base - 4 * unit), (0, base - 4 * unit)], green)
        x, end = camera.column(world.street.left_front - 6, FAR), camera.column(world.street.right_front + 6, FAR)
        while x < end:
            size = between(rng, 1.8, 3.6) * unit
            top = base - unit * between(rng, 3.5, 8.0)
            canvas.polygon(ellipse((x, top), size, size), scaled(green, between(rng, 0.92, 1.06)))
            x += size * between(rng, 0.5, 1.1)
