"""One street scene from a seed: the picture as a camera took it, and its annotation rows."""

from __future__ import annotations

import numpy as np

from streetscenes import ground, houses
from streetscenes.actors import annotation_rows
from streetscenes.canvas import Canvas
from streetscenes.casting import stage_distant_crowd, stage_others, stage_pedestrians, stage_riders
from streetscenes.furniture import fill_windows, furnish
from streetscenes.lens import mute, photograph
from streetscenes.staging import Stage, paint_shadows
from streetscenes.world import plan


def render_scene(seed: np.random.SeedSequence, height: int, width: int, *, busy: bool) -> tuple[np.ndarray, np.ndarray]:
    """Render a street scene: the image (height, width, 3) uint8 BGR and CityPersons' rows (n, 10)."""
    canvas, rows = compose_scene(seed, height, width, busy=busy)
    return canvas.image, rows


def compose_scene(seed: np.random.SeedSequence, height: int, width: int, *, busy: bool) -> tuple[Canvas, np.ndarray]:
    """Like `render_scene`, with the buffer that says which person each pixel shows (for the tests)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    tile = ground.texture(rng)
    world = plan(rng, height, width)
    canvas = Canvas(height, width)
    ground.paint_sky(canvas, world, rng)
    shade = ground.paint_ground(canvas, world, rng, tile)
    panes = houses.paint_houses(canvas, world, rng)
    ground.weather_walls(canvas, world, rng, tile)
    stage = Stage(world, rng, tile, shade)
    regions = fill_windows(canvas, stage, panes)
    regions += furnish(stage)
    regions += stage_distant_crowd(stage)
    stage_riders(stage)
    stage_others(stage)
    stage_pedestrians(stage, busy=busy)
    perform(canvas, stage)
    mute(canvas)
    photograph(canvas.image, world.light, rng)
    return canvas, annotation_rows(stage.actors, regions, canvas.ids)


def perform(canvas: Canvas, stage: Stage) -> None:
    """Paint the shadows on the ground, then everything that stands there, from far to near."""
    paint_shadows(canvas, stage)
    canvas.recording = True
    layers = [(thing.depth, 0, k, thing.paint) for k, thing in enumerate(stage.things)]
    layers += [(actor.depth, 1, k, actor.paint) for k, actor in enumerate(stage.actors)]
    for _, _, _, paint in sorted(layers, key=lambda layer: (-layer[0], layer[1], layer[2])):
        paint(canvas)
