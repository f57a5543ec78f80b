"""One street scene from a seed: the picture as a camera took it, and its annotation rows."""

from __future__ import annotations

import cv2
import numpy as np

from alfnet.synthetic import ground, houses
from alfnet.synthetic.actors import annotation_rows
from alfnet.synthetic.canvas import Canvas
from alfnet.synthetic.casting import stage_distant_crowd, stage_others, stage_pedestrians, stage_riders
from alfnet.synthetic.furniture import fill_windows, furnish
from alfnet.synthetic.lens import photograph
from alfnet.synthetic.staging import Stage, paint_shadows
from alfnet.synthetic.world import plan


STREET_COLOUR = 4  # sixteenths of the colour that everything but the people keeps


def render_scene(seed: np.random.SeedSequence, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Render a street scene: the image (height, width, 3) uint8 BGR and CityPersons' rows (n, 10)."""
    canvas, rows = compose_scene(seed, height, width)
    return canvas.image, rows


def compose_scene(seed: np.random.SeedSequence, height: int, width: int) -> tuple[Canvas, np.ndarray]:
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
    stage_pedestrians(stage)
    perform(canvas, stage)
    mute(canvas)
    photograph(canvas.image, world.light, rng)
    return canvas, annotation_rows(stage.actors, regions, canvas.ids)


def mute(canvas: Canvas) -> None:
    """Take most of the colour out of all but the people, in integers.

    Networks that learn for two minutes from random weights tell people from a street by their colours first; the errors
    that the subsets measure (size, occlusion, crowds) stay.
    """
    grey = cv2.cvtColor(canvas.image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.int16)
    muted = grey + (canvas.image.astype(np.int16) - grey) * STREET_COLOUR // 16
    np.copyto(canvas.image, muted.astype(np.uint8), where=(canvas.ids == 0)[..., None])


def perform(canvas: Canvas, stage: Stage) -> None:
    """Paint the shadows on the ground, then everything that stands there, from far to near."""
    paint_shadows(canvas, stage)
    canvas.recording = True
    layers = [(thing.depth, 0, k, thing.paint) for k, thing in enumerate(stage.things)]
    layers += [(actor.depth, 1, k, actor.paint) for k, actor in enumerate(stage.actors)]
    for _, _, _, paint in sorted(layers, key=lambda layer: (-layer[0], layer[1], layer[2])):
        paint(canvas)
