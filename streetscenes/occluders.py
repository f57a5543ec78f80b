"""Things painted for one purpose: to hide the part of an annotated person that is annotated as hidden."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes.canvas import Canvas, Colour, scaled
from streetscenes.looks import between, jitter, pick
from streetscenes.staging import Stage

Region = tuple[int, int, int, int]

_STONE: tuple[Colour, ...] = ((128, 132, 136), (104, 120, 140), (90, 100, 130), (150, 154, 156))
_BARK: Colour = (62, 76, 88)


def cover_side(
    canvas: Canvas, stage: Stage, hidden: Region, side: str, box: Region, depth: float, kept: np.ndarray
) -> None:
    """Paint something over `hidden` (x y w h, beyond the `side` of the visible part of the full box `box`).

    Pixels in `kept` (H, W) bool, where people are visible by annotation, stay as they are.
    """
    x, y, w, h = hidden
    _, top, wide, tall = box
    rng = stage.rng
    margin = max(2, int(wide * between(rng, 0.2, 0.7)))
    if side == "left":
        x1, x2, y1, y2 = x - margin // 2, x + w, top - tall // 3, top + tall + tall // 40
    elif side == "right":
        x1, x2, y1, y2 = x, x + w + margin // 2, top - tall // 3, top + tall + tall // 40
    elif side == "top":
        x1, x2, y1, y2 = x - margin, x + w + margin, y - h // 2 - 2, y + h
    else:
        x1, x2, y1, y2 = x - margin, x + w + margin, y, y + h + max(1, h // 12)
    left, up, right, down = max(x1, 0), max(y1, 0), min(x2, canvas.width), min(y2, canvas.height)
    if left >= right or up >= down:
        return
    before = canvas.image[up:down, left:right].copy()
    numbers = canvas.ids[up:down, left:right].copy()
    _paint(canvas, stage, side, (left, up, right, down), depth)
    keep = kept[up:down, left:right]
    canvas.image[up:down, left:right][keep] = before[keep]
    canvas.ids[up:down, left:right] = np.where(keep, numbers, 0)


def _paint(canvas: Canvas, stage: Stage, side: str, area: tuple[int, int, int, int], depth: float) -> None:
    rng = stage.rng
    x1, y1, x2, y2 = area
    seen = stage.world.light.seen
    wide, tall = x2 - x1, y2 - y1
    region = canvas.image[y1:y2, x1:x2]
    if side in ("left", "right"):
        kind = "trunk" if wide < 0.25 * tall else "pillar"
        colour = seen(jitter(rng, _BARK if kind == "trunk" else pick(rng, _STONE)), depth)
        # Round: darker towards both edges.
        shares = [0.72 + 0.4 * (1 - abs(2 * (k + 0.5) / wide - 0.9)) for k in range(wide)]
        region[:] = np.array([scaled(colour, share) for share in shares], dtype=np.uint8)[None]
    elif side == "top":
        colour = seen(jitter(rng, pick(rng, ((60, 60, 170), (130, 80, 40), (60, 120, 60), (70, 170, 210)))), depth)
        region[:] = colour
        region[-max(1, tall // 6) :] = scaled(colour, 0.72)
    else:
        kind = pick(rng, ("hedge", "wall", "car"))
        if kind == "car" and tall > 6:
            _car_flank(
                region,
                seen(jitter(rng, pick(rng, ((176, 180, 184), (44, 44, 46), (40, 36, 140), (120, 62, 36)))), depth),
            )
            return
        colour = seen(jitter(rng, (48, 96, 70) if kind == "hedge" else pick(rng, _STONE)), depth)
        region[:] = colour
        region[: max(1, tall // 12)] = scaled(colour, 1.2)
        region[-max(1, tall // 8) :] = scaled(colour, 0.8)
    _roughen(region, stage)


def _car_flank(region: np.ndarray, paint: Colour) -> None:
    """The side of a parked car: paint, a window line, the sill, wheels."""
    tall, wide = region.shape[:2]
    region[:] = paint
    region[: max(1, tall // 10)] = scaled(paint, 1.15)
    region[int(0.72 * tall) :] = scaled(paint, 0.6)
    radius = max(2, int(0.3 * tall))
    for centre in (int(0.2 * wide), int(0.85 * wide)):
        cv2.circle(region, (centre, tall - radius // 2), radius, (26, 26, 28), -1)
        cv2.circle(region, (centre, tall - radius // 2), max(1, radius // 2), (120, 120, 122), -1)


def _roughen(region: np.ndarray, stage: Stage) -> None:
    h, w = region.shape[:2]
    tile = stage.tile
    start = stage.rng.integers(0, tile.shape[0], 2)
    grain = tile[(np.arange(h) + start[0]) % tile.shape[0]][:, (np.arange(w) + start[1]) % tile.shape[1]]
    region[:] = np.clip(region.astype(np.int16) + grain[..., None], 0, 255).astype(np.uint8)
