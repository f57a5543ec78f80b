"""One street scene from a seed: the image as a camera took it, and the people in it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

from streetscenes.backdrop import paint_backdrop
from streetscenes.canvas import Canvas
from streetscenes.layout import fitted_camera, perform_layout
from streetscenes.placing import place_people, place_things
from streetscenes.settings import Person, Settings
from streetscenes.stage import Stage, people_seen
from streetscenes.world import Light, World

STREET_COLOUR = 4  # sixteenths of the colour that everything but the people keeps


def render(settings: Settings, seed: int | Sequence[int]) -> tuple[np.ndarray, list[Person]]:
    """Render a street scene: the image (height, width, 3) uint8 BGR and the people in it, from the seed alone.

    The bytes are the same on every machine. Without a layout the boxes are measured from the pixels drawn. With one,
    its people are returned as they are: where a visible box is smaller than the full one, something is painted that
    hides the rest, unless nearer people do.
    """
    canvas, people = compose(settings, seed)
    return canvas.image, people


def compose(settings: Settings, seed: int | Sequence[int]) -> tuple[Canvas, list[Person]]:
    """Like `render`, with the buffer that says which person each pixel shows."""
    cv2.setNumThreads(1)  # scenes are rendered side by side
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed)))
    world = World(rng, settings.height, settings.width)
    if settings.layout is not None:
        world.camera = fitted_camera(settings.layout, world.camera, settings.height, settings.width)
    canvas = Canvas(settings.height, settings.width)
    stage = Stage(world, rng, paint_backdrop(canvas, world, rng))
    place_things(stage)
    if settings.layout is not None:
        perform_layout(canvas, stage, settings.layout)
        people = list(settings.layout)
    else:
        unclear = place_people(stage, busy=settings.busy)
        stage.perform(canvas, [(actor.depth, actor.paint) for actor in stage.actors])
        people = people_seen(stage.actors, unclear, canvas.ids)
    mute(canvas)
    photograph(canvas.image, world.light, rng)
    return canvas, people


def mute(canvas: Canvas) -> None:
    """Take most of the colour out of all but the people, in integers.

    Networks that learn for two minutes from random weights tell people from a street by their colours first; the errors
    that the subsets measure (size, occlusion, crowds) stay.
    """
    grey = cv2.cvtColor(canvas.image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.int16)
    muted = grey + (canvas.image.astype(np.int16) - grey) * STREET_COLOUR // 16
    np.copyto(canvas.image, muted.astype(np.uint8), where=(canvas.ids == 0)[..., None])


def photograph(image: np.ndarray, light: Light, rng: np.random.Generator) -> None:
    """Turn the painted image (H, W, 3) uint8 into a photograph, in place, in integers throughout."""
    levels = np.arange(256, dtype=np.float64)[None, :, None]
    gains = np.clip(np.floor(levels * np.array(light.gain) + 0.5), 0, 255).astype(np.uint8)
    # OpenCV blurs 8-bit images in fixed point, with the same result on every machine.
    seen = cv2.LUT(cv2.GaussianBlur(image, (3, 3), light.blur), gains)
    lot = rng.integers(0, 256, image.shape, dtype=np.uint8)
    lighter, darker = _noise(round(light.noise * 16))
    image[:] = cv2.subtract(cv2.add(seen, cv2.LUT(lot, lighter)), cv2.LUT(lot, darker))


@lru_cache(maxsize=64)
def _noise(sixteenths: int) -> tuple[np.ndarray, np.ndarray]:
    """What an evenly drawn byte adds and takes for normal noise of a deviation given in 1/16 grey levels."""
    normal = NormalDist(0, sixteenths / 16)
    quantiles = np.array([round(normal.inv_cdf((k + 0.5) / 256)) for k in range(256)])
    return np.maximum(quantiles, 0).astype(np.uint8), np.maximum(-quantiles, 0).astype(np.uint8)
