"""The camera's lens and sensor: the light of the day, a slight blur, noise."""

from __future__ import annotations

from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np

from streetscenes.canvas import Canvas
from streetscenes.world import Light

STREET_COLOUR = 4  # sixteenths of the colour that everything but the people keeps


def mute(canvas: Canvas) -> None:
    """Take most of the colour out of all but the people, in integers.

    Networks that learn for two minutes from random weights tell people from a street by their colours first; the errors
    that the subsets measure (size, occlusion, crowds) stay.
    """
    grey = cv2.cvtColor(canvas.image, cv2.COLOR_BGR2GRAY)[..., None].astype(np.int16)
    muted = grey + (canvas.image.astype(np.int16) - grey) * STREET_COLOUR // 16
    np.copyto(canvas.image, muted.astype(np.uint8), where=(canvas.ids == 0)[..., None])


def photograph(image: np.ndarray, light: Light, rng: np.random.Generator) -> None:
    """Turn the painted picture (H, W, 3) uint8 into a photograph, in place, in integers throughout."""
    levels = np.arange(256, dtype=np.float64)[None, :, None]
    gains = np.clip(np.floor(levels * np.array(light.gain) + 0.5), 0, 255).astype(np.uint8)
    # OpenCV blurs 8-bit pictures in fixed point, with the same result on every machine.
    seen = cv2.LUT(cv2.GaussianBlur(image, (3, 3), light.blur), gains)
    lot = rng.integers(0, 256, image.shape, dtype=np.uint8)
    lighter, darker = _noise(round(light.noise * 16))
    seen = cv2.subtract(cv2.add(seen, cv2.LUT(lot, lighter)), cv2.LUT(lot, darker))
    image[:] = seen


@lru_cache(maxsize=64)
def _noise(sixteenths: int) -> tuple[np.ndarray, np.ndarray]:
    """What an evenly drawn byte adds and takes for normal noise of a deviation given in 1/16 grey levels."""
    normal = NormalDist(0, sixteenths / 16)
    quantiles = np.array([round(normal.inv_cdf((k + 0.5) / 256)) for k in range(256)])
    return np.maximum(quantiles, 0).astype(np.uint8), np.maximum(-quantiles, 0).astype(np.uint8)
