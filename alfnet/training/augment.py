"""The published augmentation: brightness, flip, crop around a pedestrian, resize (docs/method.md#augmentation).

Other colours (`recolour`) are this project's, and off where the paper's settings hold.

Boxes are continuous: the box x1 y1 x2 y2 covers the pixels x1 <= column < x2, y1 <= row < y2, as x2 = x + w in the
CityPersons caches has it. A mirrored box is therefore W - x2 .. W - x1, and a resize multiplies coordinates by the
quotient of the sizes.

An image of another width : height ratio than the result is taken as the upper left of the smallest canvas of that ratio
that holds it. Crops have sides of `scale` of the canvas, lie inside the image as far as they fit, and what they have
beyond it is grey, the mean colour. For images of the result's ratio and a scale of at most 1 this is the published rule,
to the bit; a scale above 1 makes people smaller, with grey round the image.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from alfnet.images import MEAN_COLOUR
from alfnet.params import AugmentSettings


@dataclass(frozen=True)
class Sample:
    """One augmented training image: (h, w, 3) uint8 B G R, and its boxes x1 y1 x2 y2 (float32) in its pixels."""

    image: np.ndarray
    pedestrians: np.ndarray
    ignore_regions: np.ndarray


YIQ = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
"""From R, G, B (FCC's NTSC, rounded as usual)."""
ROWS = 128  # that are brightened at a time, so that what is between stays in the processor's cache


@dataclass(frozen=True)
class Recolouring:
    """How the colours of one crop change: factors, and degrees."""

    contrast: float
    saturation: float
    hue: float


@dataclass(frozen=True)
class Draw:
    """What the random numbers decided for one image."""

    brightness: float | None
    """The factor on the HSV value; None leaves it."""
    flip: bool
    left: int
    top: int
    width: int
    height: int
    """The crop, in pixels of the image after the flip; left and top are negative where it begins outside."""
    colour: Recolouring | None = None
    """None leaves the colours."""


def augment(
    image: np.ndarray,
    pedestrians: np.ndarray,
    ignore_regions: np.ndarray,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> Sample:
    """Augment one image as published (spec, "Training"); the input is left as it is.

    Args:
        image: uint8 (H, W, 3), B G R, of any size.
        pedestrians: (P, 4) x1 y1 x2 y2 in pixels of `image`; P may be 0.
        ignore_regions: (R, 4), likewise.
        settings: the size of the result, the ranges and probabilities, and the rules by which boxes keep.
        rng: the source of all random numbers.
    """
    height, width = image.shape[:2]
    drawn = draw(height, width, pedestrians, settings, rng)
    # The brightness is a matter of each pixel and the flip only moves pixels: done on the crop, both give what they
    # give on the whole image, in a fraction of the time.
    left = width - drawn.left - drawn.width if drawn.flip else drawn.left
    crop = image[max(drawn.top, 0) : drawn.top + drawn.height, max(left, 0) : left + drawn.width]
    if drawn.brightness is not None:
        crop = brighten(crop, drawn.brightness)
    if drawn.flip:
        crop = cv2.flip(crop, 1)
    if crop.shape[:2] != (drawn.height, drawn.width):
        above, before = max(-drawn.top, 0), max(-drawn.left, 0)
        below, behind = drawn.height - above - crop.shape[0], drawn.width - before - crop.shape[1]
        crop = cv2.copyMakeBorder(crop, above, below, before, behind, cv2.BORDER_CONSTANT, value=MEAN_COLOUR)
    resized = cv2.resize(crop, (settings.width, settings.height), interpolation=cv2.INTER_LINEAR)
    if drawn.colour is not None:
        resized = recolour(resized, drawn.colour)
    pedestrians, ignore_regions = augment_boxes(pedestrians, ignore_regions, width, drawn, settings)
    return Sample(resized, pedestrians, ignore_regions)


def draw(height: int, width: int, pedestrians: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> Draw:
    """Draw the random numbers for an image of height x width px, in the published order.

    Brightness or not, its factor; flip or not; the crop's scale; the pedestrian that it is centred on (all alike
    probable), or where there is none its left and top edge. Then, where `settings.colour` asks for it, other colours or
    not, contrast, saturation and hue: without it there are no further numbers.
    """
    brightness = None
    if rng.random() < settings.brightness_probability:
        brightness = rng.uniform(settings.brightness[0], settings.brightness[1])
    flip = bool(rng.random() < settings.flip_probability)
    scale = rng.uniform(settings.scale[0], settings.scale[1])
    # The smallest canvas of the result's ratio that holds the image: the image itself where that has the ratio.
    canvas_height = max(height, -(-width * settings.height // settings.width))
    canvas_width = max(width, -(-height * settings.width // settings.height))
    crop_height = max(1, round(canvas_height * scale))
    # From the rounded height, so that the crop has the result's ratio exactly (1:2) where that divides.
    crop_width = max(1, round(crop_height * settings.width / settings.height))
    if scale <= 1:
        crop_width = min(canvas_width, crop_width)
    if len(pedestrians):
        x1, y1, x2, y2 = np.asarray(pedestrians[rng.integers(len(pedestrians))], dtype=np.float64)
        if flip:
            x1, x2 = width - x2, width - x1
        left = int(np.clip(np.rint((x1 + x2 - crop_width) / 2), *_range(width - crop_width)))
        top = int(np.clip(np.rint((y1 + y2 - crop_height) / 2), *_range(height - crop_height)))
    else:
        left = int(rng.integers(abs(width - crop_width) + 1)) + min(0, width - crop_width)
        top = int(rng.integers(abs(height - crop_height) + 1)) + min(0, height - crop_height)
    colour = None
    if settings.colour.probability > 0 and rng.random() < settings.colour.probability:
        ranges = (settings.colour.contrast, settings.colour.saturation, (-settings.colour.hue, settings.colour.hue))
        colour = Recolouring(*(rng.uniform(*ends) for ends in ranges))
    return Draw(brightness, flip, left, top, crop_width, crop_height, colour)


def _range(spare: int) -> tuple[int, int]:
    """Where a crop may begin along one side: inside the image, or where it is the longer one, so that it holds it."""
    return min(0, spare), max(0, spare)


def brighten(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the HSV value (the largest channel) of each pixel of a uint8 (H, W, 3) image, clipped at 255.

    Hue and saturation hold when all three channels are scaled alike, so no conversion is needed. (OpenCV's 8-bit
    conversion keeps only 180 hues, and rounds differently at the end of a row than within it, so that a pixel's
    colour would depend on the place of the crop.)
    """
    levels = np.arange(256, dtype=np.float64)
    if factor <= 1:  # nothing to clip
        return cv2.LUT(image, np.rint(levels * factor).astype(np.uint8))
    factors = (np.minimum(levels * factor, 255) / np.maximum(levels, 1)).astype(np.float32)
    brighter = np.empty(image.shape, np.uint8)
    for top in range(0, len(image), ROWS):
        part = slice(top, top + ROWS)
        channels = cv2.split(image[part])
        per_pixel = cv2.LUT(cv2.max(cv2.max(channels[0], channels[1]), channels[2]), factors)
        cv2.merge([cv2.multiply(channel, per_pixel, dtype=cv2.CV_8U) for channel in channels], brighter[part])
    return brighter


def recolour(image: np.ndarray, change: Recolouring) -> np.ndarray:
    """Change the colours of a uint8 (H, W, 3) image, B G R, clipped to 0 .. 255: one linear map of all pixels.

    In YIQ (the American television's luma and two axes of chroma) contrast scales all three, saturation the chroma, and
    hue turns it; the image's mean luma stays where it is.
    """
    angle = np.deg2rad(change.hue)
    cos, sin = change.saturation * np.cos(angle), change.saturation * np.sin(angle)
    turned = change.contrast * np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])
    of_rgb = (np.linalg.inv(YIQ) @ turned @ YIQ)[::-1, ::-1]  # reversed: of B G R
    grey = float(image.reshape(-1, 3).mean(axis=0) @ YIQ[0, ::-1])
    shift = np.full((3, 1), grey * (1 - change.contrast))
    return cv2.transform(image, np.hstack([of_rgb, shift]).astype(np.float32))


def augment_boxes(
    pedestrians: np.ndarray, ignore_regions: np.ndarray, width: int, drawn: Draw, settings: AugmentSettings
) -> tuple[np.ndarray, np.ndarray]:
    """Move boxes (N, 4) of an image `width` px wide to the augmented image, clip them to it, and keep those that count.

    A pedestrian keeps if at least `settings.pedestrian_inside` of its area lies in the crop and its clipped width is
    at least `settings.pedestrian_width` after the resize. An ignore region keeps if the area of its part in the crop
    is above `settings.ignore_area` before the resize, and both sides are at least `settings.ignore_side` after it.
    """
    whole = _boxes(pedestrians)
    inside = _clipped(whole, width, drawn)
    resized = _resized(inside, drawn, settings)
    kept = (_area(inside) >= settings.pedestrian_inside * _area(whole)) & (
        resized[:, 2] - resized[:, 0] >= settings.pedestrian_width
    )
    part = _clipped(_boxes(ignore_regions), width, drawn)
    regions = _resized(part, drawn, settings)
    sides = regions[:, 2:] - regions[:, :2]
    kept_regions = (_area(part) > settings.ignore_area) & (sides >= settings.ignore_side).all(axis=1)
    return resized[kept & (_area(inside) > 0)].astype(np.float32), regions[kept_regions].astype(np.float32)


def _boxes(boxes: np.ndarray) -> np.ndarray:
    return np.asarray(boxes, dtype=np.float64).reshape(-1, 4)


def _area(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])


def _clipped(boxes: np.ndarray, width: int, drawn: Draw) -> np.ndarray:
    """The boxes in pixels of the crop, clipped to it; a box outside it has area 0."""
    if drawn.flip:
        boxes = np.stack([width - boxes[:, 2], boxes[:, 1], width - boxes[:, 0], boxes[:, 3]], axis=1)
    moved = boxes - [drawn.left, drawn.top, drawn.left, drawn.top]
    return np.clip(moved, 0, [drawn.width, drawn.height, drawn.width, drawn.height])


def _resized(boxes: np.ndarray, drawn: Draw, settings: AugmentSettings) -> np.ndarray:
    across, down = settings.width / drawn.width, settings.height / drawn.height
    return boxes * [across, down, across, down]
