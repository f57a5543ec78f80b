"""Scenes by given annotations: boxes, visible parts, classes and ignore regions are where the rows say."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streetscenes import ground, houses, looks
from streetscenes.actors import GROUP, IGNORE, PEDESTRIAN, RIDER, SITTING, UNUSUAL, Actor, in_air
from streetscenes.camera import Camera
from streetscenes.canvas import Canvas, Sprite
from streetscenes.casting import walking_pose
from streetscenes.figures import Figure, draw
from streetscenes.furniture import furnish
from streetscenes.lens import mute, photograph
from streetscenes.looks import between, chance
from streetscenes.occluders import cover_side
from streetscenes.skeleton import Kind, Pose
from streetscenes.staging import Stage, paint_shadows
from streetscenes.things import ground_oval
from streetscenes.world import plan

# The size of the images that CityPersons' boxes belong to.
ANNOTATED_WIDTH, ANNOTATED_HEIGHT = 2048, 1024

# Cityscapes' camera stands about 1.2 m above the road, and adults are about 1.74 m tall.
CAMERA_HEIGHT, STATURE = 1.2, 1.74

Region = tuple[int, int, int, int]


@dataclass
class _Role:
    """An annotated row: its class, boxes x y w h in pixels, and the figures that play it."""

    kind: int
    box: Region
    visible: Region
    depth: float
    sprites: list[Actor]


def scaled_rows(rows: np.ndarray, height: int, width: int) -> np.ndarray:
    """CityPersons' rows (n, 10) scaled from 2048 x 1024 to another size, in whole pixels; no box vanishes."""
    scaled = rows.copy()
    for first, factor in ((1, width / ANNOTATED_WIDTH), (2, height / ANNOTATED_HEIGHT)):
        for start in (first, first + 5):
            low = np.floor(rows[:, start] * factor + 0.5)
            high = np.floor((rows[:, start] + rows[:, start + 2]) * factor + 0.5)
            scaled[:, start] = low
            scaled[:, start + 2] = np.where(rows[:, start + 2] > 0, np.maximum(high - low, 1), 0)
    return scaled


def render_layout(
    seed: np.random.SeedSequence, height: int, width: int, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Render a street scene that obeys annotations: rows (n, 10) in pixels of the picture, returned unchanged.

    Returns the image (height, width, 3) uint8 BGR and `rows`. Where a visible box is smaller than the full one,
    something is painted that hides the rest, unless nearer people do.
    """
    canvas = compose_layout(seed, height, width, rows)
    return canvas.image, rows


def compose_layout(seed: np.random.SeedSequence, height: int, width: int, rows: np.ndarray) -> Canvas:
    """Like `render_layout`, with the buffer of figures: the row's number (from 1) where a pixel shows its person."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tile = ground.texture(rng)
    drawn = plan(rng, height, width)
    world = replace(drawn, camera=fitted_camera(rows, drawn.camera, height, width))
    canvas = Canvas(height, width)
    ground.paint_sky(canvas, world, rng)
    shade = ground.paint_ground(canvas, world, rng, tile)
    houses.paint_houses(canvas, world, rng)
    ground.weather_walls(canvas, world, rng, tile)
    stage = Stage(world, rng, tile, shade)
    furnish(stage)
    stage.shadows.clear()  # not everything will stay
    roles = [_cast(stage, number, row) for number, row in enumerate(rows.astype(np.int64).tolist(), start=1)]
    roles.sort(key=lambda role: -role.depth)
    stage.things = [thing for thing in stage.things if _harmless(thing.depth, thing.cover, roles)]
    stage.shadows += [outline for thing in stage.things for outline in thing.shadow]
    _perform(canvas, stage, roles)
    mute(canvas)
    photograph(canvas.image, world.light, rng)
    return canvas


def fitted_camera(rows: np.ndarray, drawn: Camera, height: int, width: int) -> Camera:
    """The camera under which the annotated people stand on flat ground: feet are lower the taller someone is."""
    upright = rows[np.isin(rows[:, 0], (PEDESTRIAN, RIDER))]
    horizon = 0.4 * height
    if len(upright):
        guesses = upright[:, 2] + upright[:, 4] * (1 - CAMERA_HEIGHT / STATURE)
        middle = float(np.sort(guesses)[len(guesses) // 2])
        horizon = min(max(middle, 0.3 * height), 0.55 * height)
    return Camera(1.1 * width, drawn.centre, horizon, CAMERA_HEIGHT)


def _cast(stage: Stage, number: int, row: list[int]) -> _Role:
    """Find the figures for a row."""
    kind, box, visible = row[0], (row[1], row[2], row[3], row[4]), (row[6], row[7], row[8], row[9])
    metres = {SITTING: 0.77, UNUSUAL: 0.85}.get(kind, 1.0) * STATURE
    depth = stage.world.camera.pixels(metres, 1.0) / max(box[3], 1)
    if kind == IGNORE:
        depth = max(depth, stage.world.camera.depth(box[1] + box[3])) + 3  # what shows people hangs on something behind
        sprites = _crowd(stage, 0, box, depth, ghost=True)
    elif kind == GROUP:
        sprites = _crowd(stage, number, box, depth, ghost=False)
    else:
        sprites = [_person(stage, kind, number, box, depth)]
    return _Role(kind, box, visible if visible[2] > 0 and visible[3] > 0 else box, depth, sprites)


def _person(stage: Stage, kind: int, number: int, box: Region, depth: float) -> Actor:
    rng = stage.rng
    x, y, w, h = box
    start = rng.integers(0, stage.tile.shape[0] // 2, 2)
    light = stage.world.light
    if kind in (SITTING, UNUSUAL):
        pose = _shaped_pose(rng, kind, w / h)
        figure = _stretched(
            draw(max(h, 8), looks.person(rng), pose, light.side, stage.tile[start[0] :, start[1] :]), w, h
        )
        left, top = x, y
    else:
        pose = (
            Pose("riding", between(rng, 0, 360), 0.4, float(rng.random()), (0.3, 0.3))
            if kind == RIDER
            else walking_pose(rng)
        )
        figure = draw(max(h, 4), looks.person(rng), pose, light.side, stage.tile[start[0] :, start[1] :])
        rows = np.flatnonzero(figure.body.any(axis=1))
        left = int(np.floor(x + w / 2 - figure.axis + 0.5))
        top = y - (int(rows[0]) if rows.size else 0)
    if y + h > stage.world.camera.horizon + 4:  # else the ground where the feet are is above the horizon
        foot = stage.world.camera.depth(y + h)
        half = 0.15 * h * foot / stage.world.camera.focal
        stage.shadows.append(
            ground_oval(stage.world, stage.world.camera.across(x + w / 2, foot), foot, half, half * 0.8)
        )
    return Actor(kind, number, depth, in_air(figure, light.haze, light.haze_share(depth), 256), left, top)


def _shaped_pose(rng: np.random.Generator, kind: int, shape: float) -> Pose:
    """A pose that comes near a box of a width / height."""
    side = 90.0 if chance(rng, 0.5) else 270.0
    if kind == SITTING:
        return Pose(
            "sitting",
            between(rng, -30, 30) % 360 if shape < 0.62 else side + between(rng, -25, 25),
            0.1,
            0.3,
            (0.8, 1.0),
        )
    posture: Kind = "carrying" if shape < 0.55 else ("crouching" if shape < 0.95 else "bending")
    return Pose(posture, side + between(rng, -20, 20), 0.2, float(rng.random()), (0.4, 0.4))


def _stretched(figure: Figure, width: int, height: int) -> Figure:
    """The figure brought to a size in pixels."""
    pixels = cv2.resize(figure.sprite.pixels, (width, height), interpolation=cv2.INTER_LINEAR_EXACT)
    return Figure(Sprite(pixels), pixels[..., 3] >= 128, width / 2)


def _crowd(stage: Stage, number: int, box: Region, depth: float, *, ghost: bool) -> list[Actor]:
    """People side by side in a box; ghosts are faint, as a reflection or someone very far is."""
    rng, light = stage.rng, stage.world.light
    x, y, w, h = box
    size = h if w <= 3 * h else max(h - 1, 1)
    step = max(0.41 * size, 2.0)
    many = max(1, min(int(w / (0.85 * step)), 24))
    members = []
    for k in range(many):
        high = max(int(size * between(rng, 0.85, 1.0)) if many > 1 else size, 4)
        figure = draw(high, looks.person(rng), walking_pose(rng), light.side)
        pixels = figure.sprite.pixels[: max(h, 1)]
        left = x + int((k + 0.5) * w / many - pixels.shape[1] / 2)
        # Nothing of it may leave the box.
        cut_left, cut_right = max(x - left, 0), max(left + pixels.shape[1] - x - w, 0)
        pixels = np.ascontiguousarray(pixels[:, cut_left : pixels.shape[1] - cut_right])
        if pixels.shape[1] == 0:
            continue
        sprite = Sprite(pixels).thinned(0.6) if ghost else Sprite(pixels)
        figure = in_air(
            Figure(sprite, sprite.pixels[..., 3] >= 128, pixels.shape[1] / 2), light.haze, light.haze_share(depth), 256
        )
        members.append(Actor(GROUP, number, depth, figure, left + cut_left, y + h - pixels.shape[0]))
    return members


def _perform(canvas: Canvas, stage: Stage, roles: list[_Role]) -> None:
    """Paint things and people from far to near, and behind every person what hides the part that isn't visible."""
    paint_shadows(canvas, stage)
    canvas.recording = True
    queue: list[tuple[float, int, int]] = [(-role.depth, 1, k) for k, role in enumerate(roles)]
    queue += [(-thing.depth, 0, k) for k, thing in enumerate(stage.things)]
    kept = np.zeros(canvas.ids.shape, dtype=bool)  # the visible boxes of the people painted so far
    for _, is_role, k in sorted(queue):
        if not is_role:
            stage.things[k].paint(canvas)
            continue
        role = roles[k]
        nearer = [other.box for other in roles[k + 1 :] if other.kind != IGNORE]
        for actor in role.sprites:
            _cut(actor, _shown(role)).paint(canvas)
        if role.kind in (PEDESTRIAN, RIDER):
            x1, y1, x2, y2 = _inside(_shown(role), canvas)
            kept[y1:y2, x1:x2] = True
            for hidden, side in _hidden_parts(role):
                if not _covered(hidden, nearer):
                    cover_side(canvas, stage, hidden, side, role.box, role.depth, kept)
        elif role.kind != GROUP:
            x1, y1, x2, y2 = _inside(role.box, canvas)
            kept[y1:y2, x1:x2] = True


def _shown(role: _Role) -> Region:
    """The box x y w h of a role that may be painted: cut to the visible box where something is hidden."""
    if role.kind not in (PEDESTRIAN, RIDER):
        return role.box
    x, y, w, h = role.box
    sides = {side for _, side in _hidden_parts(role)}
    vx, vy, vw, vh = role.visible
    x1 = vx if "left" in sides else x - w
    x2 = vx + vw if "right" in sides else x + 2 * w
    y1 = vy if "top" in sides else y - 1
    y2 = vy + vh if "bottom" in sides else y + h + (h // 4 if role.kind == RIDER else 1)
    return x1, y1, x2 - x1, y2 - y1


def _hidden_parts(role: _Role) -> list[tuple[Region, str]]:
    """The parts x y w h of the full box beyond the visible box, where they exceed the annotators' slack."""
    x, y, w, h = role.box
    vx, vy, vw, vh = role.visible
    across, up = max(2, round(0.16 * w)), max(2, round(0.045 * h))
    parts: list[tuple[Region, str]] = []
    if vx - x > across:
        parts.append(((x, y, vx - x, h), "left"))
    if x + w - vx - vw > across:
        parts.append(((vx + vw, y, x + w - vx - vw, h), "right"))
    if vy - y > up:
        parts.append(((x, y, w, vy - y), "top"))
    if y + h - vy - vh > up:
        parts.append(((x, vy + vh, w, y + h - vy - vh), "bottom"))
    return parts


def _cut(actor: Actor, region: Region) -> Actor:
    """The actor with nothing outside a region x y w h of the picture."""
    height, width = actor.figure.body.shape
    x1, y1 = max(region[0] - actor.x, 0), max(region[1] - actor.y, 0)
    x2, y2 = min(region[0] + region[2] - actor.x, width), min(region[1] + region[3] - actor.y, height)
    if x1 == 0 and y1 == 0 and x2 == width and y2 == height:
        return actor
    x2, y2 = max(x2, x1), max(y2, y1)
    figure = Figure(
        Sprite(actor.figure.sprite.pixels[y1:y2, x1:x2]), actor.figure.body[y1:y2, x1:x2], actor.figure.axis - x1
    )
    return replace(actor, figure=figure, x=actor.x + x1, y=actor.y + y1)


def _covered(part: Region, boxes: list[Region]) -> bool:
    """Whether boxes of nearer people cover at least half of a part."""
    mask = np.zeros((max(part[3], 1), max(part[2], 1)), dtype=bool)
    for x, y, w, h in boxes:
        x1, y1 = max(x - part[0], 0), max(y - part[1], 0)
        x2, y2 = x + w - part[0], y + h - part[1]
        if x2 > 0 and y2 > 0:
            mask[y1:y2, x1:x2] = True
    return 2 * int(mask.sum()) >= mask.size


def _harmless(depth: float, cover: list[tuple[float, float, float, float]], roles: list[_Role]) -> bool:
    """Whether a thing of the street hides nobody who is annotated as visible."""
    for role in roles:
        if depth > role.depth:
            continue
        x, y, w, h = role.box
        if any(x1 < x + w and x2 > x and y1 < y + h and y2 > y for x1, y1, x2, y2 in cover):
            return False
    return True


def _inside(region: Region, canvas: Canvas) -> tuple[int, int, int, int]:
    x, y, w, h = region
    x1, y1 = min(max(x, 0), canvas.width), min(max(y, 0), canvas.height)
    return x1, y1, min(max(x + w, x1), canvas.width), min(max(y + h, y1), canvas.height)
