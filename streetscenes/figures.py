"""People as sprites: a skeleton dressed in shapes, drawn large and shrunk, so that edges are smooth and masks exact."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from streetscenes.canvas import SHIFT, Sprite, bounds, fixed
from streetscenes.clothing import Look, Shape, dressed
from streetscenes.skeleton import Pose, Skeleton, skeleton

# Sprites are drawn at a multiple of their size that makes them about this high, in pixels.
_DRAWN_HEIGHT = 260


@dataclass(frozen=True)
class Figure:
    """A drawn person: the cut-out, which of its pixels are the person's own, and the column of its axis."""

    sprite: Sprite
    body: np.ndarray
    """(h, w) bool: the person, without a bicycle or bench."""
    axis: float
    """Midway between the head and the feet, in pixels from the sprite's left side."""


def draw(height: int, look: Look, pose: Pose, light: int) -> Figure:
    """Draw a person whose solid pixels are `height` rows high.

    `light` is the side the light comes from: -1 left, 1 right, 0 all around. A person on a bicycle is `height` high
    from the head to the lower shoe.
    """
    joints = skeleton(pose)
    shapes = dressed(joints, look, pose, light, detailed=height >= 70)
    extent = height - 0.3
    for _ in range(6):
        figure = _rasterised(shapes, joints, extent)
        box = bounds(figure.body)
        drawn = 0 if box is None else box[3] - box[1]
        if drawn == height:
            break
        extent += 0.4 * (height - drawn)  # half-covered rows at the ends of head and shoes do not count
    return figure


def _rasterised(shapes: list[Shape], joints: Skeleton, extent: float) -> Figure:
    own = np.concatenate([shape.outline for shape in shapes if shape.own])
    everything = np.concatenate([shape.outline for shape in shapes])
    top, ground = float(own[:, 1].max()), float(own[:, 1].min())
    times = 1
    while times < 3 and extent * (1 << times) < _DRAWN_HEIGHT:
        times += 1
    block = 1 << times
    unit = extent * block / (top - ground)
    left = float(everything[:, 0].min())
    width = -(-int((float(everything[:, 0].max()) - left) * unit + 3 * block) // block) * block
    bottom = float(everything[:, 1].min())
    height = -(-int((float(everything[:, 1].max()) - bottom) * unit + block) // block) * block
    origin = np.array((left - 1.5 * block / unit, float(everything[:, 1].max())))
    large = np.zeros((height, width, 4), dtype=np.uint8)
    mask = None if all(shape.own for shape in shapes) else np.zeros((height, width), dtype=np.uint8)
    for shape in shapes:
        corners = fixed((shape.outline - origin) * np.array((1.0, -1.0)), unit)
        cv2.fillPoly(large, [corners], (*shape.colour, 255), cv2.LINE_8, SHIFT)
        if mask is not None:
            cv2.fillPoly(mask, [corners], (255 if shape.own else 0,), cv2.LINE_8, SHIFT)
    size = (width // block, height // block)
    pixels = shrunk(large, times)
    sprite = Sprite(pixels)
    body = sprite.solid if mask is None else shrunk(mask, times) >= 128
    box = bounds(sprite.solid) or (0, 0, *size)
    axis = (_axis(joints) - float(origin[0])) * unit / block - box[0]
    return Figure(Sprite(pixels[box[1] : box[3], box[0] : box[2]]), body[box[1] : box[3], box[0] : box[2]], axis)


def shrunk(pixels: np.ndarray, times: int) -> np.ndarray:
    """Halve an image some times; OpenCV's halving is the rounded mean of four, in integers."""
    for _ in range(times):
        pixels = cv2.resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return pixels


def _axis(joints: Skeleton) -> float:
    feet = [joints.spot(leg.ankle)[0] for leg in joints.legs]
    return (joints.spot(joints.head)[0] + sum(feet) / 2) / 2
