"""The published augmentation: brightness, flip, crop around a pedestrian, resize (docs/method.md#augmentation).

Boxes are continuous: the box x1 y1 x2 y2 covers the pixels x1 <= column < x2, y1 <= row < y2, as x2 = x + w in the
CityPersons caches has it. A mirrored box is therefore W - x2 .. W - x1, and a resize multiplies coordinates by the
quotient of the sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from alfnet.params import AugmentSettings


@dataclass(frozen=True)
class Sample:
    """One augmented training image: (h, w, 3) uint8 B G R, and its boxes x1 y1 x2 y2 (float32) in its pixels."""

    image: np.ndarray
    pedestrians: np.ndarray
    ignore_regions: np.ndarray


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
    """The crop, in pixels of the image after the flip."""


def augment(
    image: np.ndarray,
    pedestrians: np.ndarray,
    ignore_regions: np.ndarray,
    settings: AugmentSettings,
    rng: np.random.Generator,
) -> Sample:
    """Augment one image as published (spec, "Training"); the input is left as it is.

    Args:
        image: uint8 (H, W, 3), B G R, of the width : height ratio of the settings.
        pedestrians: (P, 4) x1 y1 x2 y2 in pixels of `image`; P may be 0.
        ignore_regions: (R, 4), likewise.
        settings: the size of the result, the ranges and probabilities, and the rules by which boxes keep.
        rng: the source of all random numbers.

    Raises:
        ValueError: the image has another ratio than the result, which would distort it.
    """
    height, width = image.shape[:2]
    drawn = draw(height, width, pedestrians, settings, rng)
    # The brightness is a matter of each pixel and the flip only moves pixels: done on the crop, both give what they
    # give on the whole image, in a fraction of the time.
    left = width - drawn.left - drawn.width if drawn.flip else drawn.left
    crop = image[drawn.top : drawn.top + drawn.height, left : left + drawn.width]
    if drawn.brightness is not None:
        crop = brighten(crop, drawn.brightness)
    if drawn.flip:
        crop = cv2.flip(crop, 1)
    resized = cv2.resize(crop, (settings.width, settings.height), interpolation=cv2.INTER_LINEAR)
    pedestrians, ignore_regions = augment_boxes(pedestrians, ignore_regions, width, drawn, settings)
    return Sample(resized, pedestrians, ignore_regions)


def draw(height: int, width: int, pedestrians: np.ndarray, settings: AugmentSettings, rng: np.random.Generator) -> Draw:
    """Draw the random numbers for an image of height x width px, in the published order.

    Brightness or not, its factor; flip or not; the crop's scale; the pedestrian that it is centred on (all alike
    probable), or where there is none its left and top edge.
    """
    if height * settings.width != width * settings.height:
        raise ValueError(
            f"images of {width} x {height} px would be distorted by the resize to {settings.width} x {settings.height}"
        )
    brightness = None
    if rng.random() < settings.brightness_probability:
        brightness = rng.uniform(settings.brightness[0], settings.brightness[1])
    flip = bool(rng.random() < settings.flip_probability)
    scale = rng.uniform(settings.scale[0], settings.scale[1])
    crop_height = max(1, round(height * scale))
    # From the rounded height, so that the crop has the result's ratio exactly (1:2) where that divides.
    crop_width = min(width, max(1, round(crop_height * width / height)))
    if len(pedestrians):
        x1, y1, x2, y2 = np.asarray(pedestrians[rng.integers(len(pedestrians))], dtype=np.float64)
        if flip:
            x1, x2 = width - x2, width - x1
        left = int(np.clip(np.rint((x1 + x2 - crop_width) / 2), 0, width - crop_width))
        top = int(np.clip(np.rint((y1 + y2 - crop_height) / 2), 0, height - crop_height))
    else:
        left = int(rng.integers(width - crop_width + 1))
        top = int(rng.integers(height - crop_height + 1))
    return Draw(brightness, flip, left, top, crop_width, crop_height)


def brighten(image: np.ndarray, factor: float) -> np.ndarray:
    """Multiply the HSV value (the largest channel) of each pixel of a uint8 (H, W, 3) image, clipped at 255.

    Hue and saturation hold when all three channels are scaled alike, so no conversion is needed. (OpenCV's 8-bit
    conversion keeps only 180 hues, and rounds differently at the end of a row than within it, so that a pixel's
    colour would depend on the place of the crop.)
    """
    levels = np.arange(256, dtype=np.float64)
    if factor <= 1:  # nothing to clip
        return cv2.LUT(image, np.rint(levels * factor).astype(np.uint8))
    value = cv2.max(cv2.max(image[..., 0], image[..., 1]), image[..., 2])
    factors = (np.minimum(levels * factor, 255) / np.maximum(levels, 1)).astype(np.float32)
    per_pixel = cv2.LUT(value, factors)
    return cv2.multiply(image, cv2.merge([per_pixel, per_pixel, per_pixel]), dtype=cv2.CV_8U)


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
