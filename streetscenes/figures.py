"""People as sprites: looks drawn by lot, a skeleton dressed in shapes from the farthest to the nearest, drawn large and
shrunk, so that edges are smooth and masks exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from streetscenes.canvas import CIRCLE, SHIFT, SOLID, Colour, bounds, fixed, mix, scaled, solid
from streetscenes.lots import between, chance, jitter, pick
from streetscenes.skeleton import Arm, Joint, Leg, Pose, Skeleton, Spot, skeleton

SKINS: tuple[Colour, ...] = (
    (170, 196, 232), (150, 180, 222), (128, 160, 206), (104, 136, 186), (74, 104, 150), (48, 70, 108),
)  # fmt: skip
HAIRS: tuple[Colour, ...] = (
    (24, 24, 28), (32, 38, 48), (36, 50, 74), (52, 74, 108),
    (96, 138, 176), (120, 168, 204), (40, 66, 128), (168, 170, 172),
)  # fmt: skip
DARK_CLOTHES: tuple[Colour, ...] = (
    (30, 28, 28), (58, 42, 32), (84, 54, 34), (48, 46, 46), (38, 50, 66), (46, 62, 52), (44, 34, 64), (66, 62, 60),
)  # fmt: skip
BRIGHT_CLOTHES: tuple[Colour, ...] = (
    (40, 40, 190), (40, 150, 226), (170, 84, 30), (206, 150, 50), (60, 140, 42), (150, 110, 224), (50, 190, 236),
    (140, 50, 140), (60, 90, 214), (190, 110, 40), (60, 60, 160), (90, 170, 60),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (34, 30, 30), (96, 66, 44), (124, 88, 60), (70, 48, 34), (52, 50, 50), (64, 84, 102),
    (110, 146, 170), (46, 54, 48), (150, 146, 142),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((24, 24, 26), (34, 46, 70), (50, 50, 52), (214, 214, 214), (60, 60, 150))
BAGS: tuple[Colour, ...] = ((30, 30, 34), (40, 64, 110), (60, 60, 160), (130, 90, 50), (70, 110, 80), (90, 130, 170))
TYRE: Colour = (34, 34, 36)

# From the hip (0) to the shoulders (1): half widths of the body from the front and from the side.
_TORSO = (
    (-0.12, 0.094, 0.078),
    (0.0, 0.092, 0.076),
    (0.35, 0.082, 0.066),
    (0.72, 0.106, 0.080),
    (0.93, 0.116, 0.072),
    (1.02, 0.085, 0.055),
    (1.09, 0.036, 0.036),
)

# Sprites are drawn at a multiple of their size that makes them about this high, in pixels.
_DRAWN_HEIGHT = 260


@dataclass(frozen=True)
class Look:
    """A person's build, colours and clothes. Lengths are shares of the height."""

    build: float
    """Width of the body as a multiple of the average."""
    head: float
    """Size of the head as a multiple of the average; children's are larger."""
    skin: Colour
    hair: Colour
    hair_length: float
    """0 is short, 1 reaches the shoulders."""
    cap: Colour | None
    top: Colour
    sleeves: bool
    hem: float
    """Where the top or coat ends, as a height above the ground."""
    bottom: Literal["trousers", "shorts", "skirt"]
    bottom_colour: Colour
    stockings: Colour
    shoes: Colour
    backpack: bool
    bag_colour: Colour
    """Of the backpack or the bicycle."""


@dataclass(frozen=True)
class Shape:
    """A filled outline (n, 2), x right and y up, in shares of the person's height."""

    outline: np.ndarray
    colour: Colour
    own: bool = True
    """False for the bicycle that the person sits on."""


@dataclass(frozen=True)
class Figure:
    """A drawn person: the cut-out, which of its pixels are the person's own, and the column of its axis."""

    pixels: np.ndarray
    """(h, w, 4) uint8: colours already multiplied by the coverage, and the coverage."""
    body: np.ndarray
    """(h, w) bool: the person, without a bicycle or bench."""
    axis: float
    """Midway between the head and the feet, in pixels from the sprite's left side."""


def look_by_lot(rng: np.random.Generator, *, child: bool = False) -> Look:
    """A passer-by."""
    warm = chance(rng, 0.35)  # the weather of each person's own clothes
    top = jitter(rng, pick(rng, BRIGHT_CLOTHES if chance(rng, 0.92) else DARK_CLOTHES))
    bottom: Literal["trousers", "shorts", "skirt"]
    bottom = pick(rng, ("trousers", "shorts", "skirt"), (0.8, 0.08 if warm else 0.0, 0.16))
    coat = not warm and chance(rng, 0.4)
    skin = jitter(rng, pick(rng, SKINS, (3, 3, 3, 2, 1.5, 1)), 6)
    return Look(
        build=between(rng, 0.9, 1.14),
        head=between(rng, 1.16, 1.32) if child else between(rng, 0.96, 1.06),
        skin=skin,
        hair=jitter(rng, pick(rng, HAIRS, (3, 3, 3, 2, 1.5, 1, 0.6, 1)), 6),
        hair_length=between(rng, 0.5, 1.0) if chance(rng, 0.45) else 0.0,
        cap=jitter(rng, pick(rng, DARK_CLOTHES + BRIGHT_CLOTHES)) if chance(rng, 0.14) else None,
        top=top,
        sleeves=not warm or chance(rng, 0.3),
        hem=between(rng, 0.26, 0.38) if coat else between(rng, 0.44, 0.49),
        bottom=bottom,
        bottom_colour=jitter(rng, pick(rng, BRIGHT_CLOTHES if chance(rng, 0.6) else TROUSERS)),
        stockings=skin if warm or chance(rng, 0.3) else jitter(rng, (42, 38, 38), 8),
        shoes=jitter(rng, pick(rng, SHOES, (4, 2, 2, 2, 0.6)), 6),
        backpack=chance(rng, 0.25),
        bag_colour=jitter(rng, pick(rng, BAGS)),
    )


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
    body = solid(pixels) if mask is None else shrunk(mask, times) >= SOLID
    box = bounds(solid(pixels)) or (0, 0, *size)
    axis = (_axis(joints) - float(origin[0])) * unit / block - box[0]
    part = np.s_[box[1] : box[3], box[0] : box[2]]
    return Figure(pixels[part], body[part], axis)


def shrunk(pixels: np.ndarray, times: int) -> np.ndarray:
    """Halve an image some times; OpenCV's halving is the rounded mean of four, in integers."""
    for _ in range(times):
        pixels = cv2.resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return pixels


def _axis(joints: Skeleton) -> float:
    feet = [joints.spot(leg.ankle)[0] for leg in joints.legs]
    return (joints.spot(joints.head)[0] + sum(feet) / 2) / 2


def dressed(joints: Skeleton, look: Look, pose: Pose, light: int, *, detailed: bool) -> list[Shape]:
    """All shapes of a person, from the farthest to the nearest; `light` is the side that it comes from."""
    toward = joints.facing[0]
    legs = sorted(joints.legs, key=lambda leg: joints.nearness(leg.knee))
    arms = sorted(joints.arms, key=lambda arm: joints.nearness(arm.elbow))
    shapes = _leg(joints, legs[0], look, light, detailed, 0.82)
    if pose.kind == "riding":
        shapes += _bicycle(joints, look.bag_colour)
    shapes += _leg(joints, legs[1], look, light, detailed, 1.0)
    behind, before = (_back_hair(joints, look), []) if toward >= -0.2 else ([], _back_hair(joints, look))
    bag = _backpack(joints, look) if look.backpack else []
    shapes += behind
    if toward > -0.25:
        shapes += bag
    shapes += _arm(joints, arms[0], look, light, detailed, 0.82)
    neck = capsule(_along(joints, 0.98, 0.0), 0.033, _along(joints, 1.18, 0.0), 0.03)
    shapes.append(Shape(neck, scaled(look.skin, 0.8)))
    shapes += _torso(joints, look, pose, light, detailed)
    if toward <= -0.25:
        shapes += bag
    shapes += _head(joints, look, light, detailed)
    shapes += before
    return shapes + _arm(joints, arms[1], look, light, detailed, 0.94)


def capsule(start: Spot, start_radius: float, end: Spot, end_radius: float) -> np.ndarray:
    """The outline of a limb: two circles and what lies between them."""
    ahead = CIRCLE[:, 0] * (end[0] - start[0]) + CIRCLE[:, 1] * (end[1] - start[1]) > 0
    radius = np.where(ahead, end_radius, start_radius)[:, None]
    return np.where(ahead[:, None], np.array(end), np.array(start)) + radius * CIRCLE


def ellipse(centre: Spot, across: float, up: float) -> np.ndarray:
    """The outline of an upright ellipse with two radii."""
    return np.array(centre) + CIRCLE * np.array((across, up))


def _limb(start: Spot, r1: float, end: Spot, r2: float, colour: Colour, light: int, detailed: bool) -> list[Shape]:
    """A limb, and on large figures its lit side."""
    if not detailed:
        return [Shape(capsule(start, r1, end, r2), colour)]
    lit_start = (start[0] + 0.3 * light * r1, start[1] + 0.1 * r1)
    lit_end = (end[0] + 0.3 * light * r2, end[1] + 0.1 * r2)
    return [
        Shape(capsule(start, r1, end, r2), scaled(colour, 0.86 if light else 0.92)),
        Shape(capsule(lit_start, 0.68 * r1, lit_end, 0.68 * r2), scaled(colour, 1.04)),
    ]


def _half_width(joints: Skeleton, front: float, side: float) -> float:
    """Half the width of an elliptic body with the figure's heading."""
    cosine, sine = joints.facing
    return math.sqrt((front * cosine) ** 2 + (side * sine) ** 2)


def _along(joints: Skeleton, share: float, aside: float) -> Spot:
    """A point beside the spine: 0 at the hip, 1 at the shoulders."""
    hip, shoulder = joints.spot(joints.hip), joints.spot(joints.shoulder)
    dx, dy = shoulder[0] - hip[0], shoulder[1] - hip[1]
    length = math.sqrt(dx * dx + dy * dy)
    return hip[0] + share * dx + aside * dy / length, hip[1] + share * dy - aside * dx / length


def _band(joints: Skeleton, levels: list[tuple[float, float, float]]) -> np.ndarray:
    """An outline along the spine, from levels of (share, middle, half width)."""
    left = [_along(joints, share, middle - half) for share, middle, half in levels]
    right = [_along(joints, share, middle + half) for share, middle, half in levels]
    return np.array(left + right[::-1])


def _leg(joints: Skeleton, leg: Leg, look: Look, light: int, detailed: bool, shade: float) -> list[Shape]:
    hip, knee, ankle, heel, toe = (joints.spot(joint) for joint in (leg.hip, leg.knee, leg.ankle, leg.heel, leg.toe))
    cloth, bare = scaled(look.bottom_colour, shade), scaled(look.stockings, shade)
    long = look.bottom == "trousers"
    shin = (0.042, 0.031) if long else (0.036, 0.023)
    shapes = _limb(knee, shin[0] * look.build, ankle, shin[1], cloth if long else bare, light, detailed)
    shoe = capsule((heel[0], heel[1] + 0.006), 0.022, toe, 0.019)
    shapes.append(Shape(shoe, scaled(look.shoes, shade)))
    thigh = bare if look.bottom == "skirt" else cloth
    return shapes + _limb(hip, 0.066 * look.build, knee, 0.045 * look.build, thigh, light, detailed)


def _arm(joints: Skeleton, arm: Arm, look: Look, light: int, detailed: bool, shade: float) -> list[Shape]:
    top, elbow, hand = (joints.spot(joint) for joint in (arm.shoulder, arm.elbow, arm.hand))
    sleeve, skin = scaled(look.top, shade), scaled(look.skin, shade)
    lower, width = (sleeve, 0.030) if look.sleeves else (skin, 0.024)
    shapes = [Shape(ellipse((hand[0], hand[1] - 0.008), 0.02, 0.024), skin)]
    shapes += _limb(elbow, width * look.build, hand, 0.021, lower, light, detailed)
    upper = (top[0], top[1] - 0.01)
    return shapes + _limb(upper, 0.037 * look.build, elbow, 0.032 * look.build, sleeve, light, detailed)


def _torso(joints: Skeleton, look: Look, pose: Pose, light: int, detailed: bool) -> list[Shape]:
    upright = pose.kind in ("walking", "standing")
    if look.bottom == "skirt" and upright:
        below = _hem(joints, 0.27, 0.112 * look.build)
    else:
        below = ellipse(joints.spot(joints.hip), _half_width(joints, 0.098, 0.08) * look.build, 0.06)
    shapes = [Shape(below, look.bottom_colour)]
    if upright:
        coat = _hem(joints, look.hem, (0.1 + 0.06 * (0.49 - look.hem)) * look.build)
        shapes.append(Shape(coat, scaled(look.top, 0.93)))
    halves = [(share, _half_width(joints, front, side) * look.build) for share, front, side in _TORSO]
    body = _band(joints, [(share, 0.0, half) for share, half in halves])
    shapes.append(Shape(body, scaled(look.top, 0.84 if light and detailed else 0.95)))
    if detailed:
        lit = _band(joints, [(share, half * 0.28 * light, half * 0.7) for share, half in halves[:-1]])
        shapes.append(Shape(lit, scaled(look.top, 1.05)))
    return shapes


def _hem(joints: Skeleton, end: float, half: float) -> np.ndarray:
    """The part of a coat or skirt below the waist: it hangs from the hips and spreads over the legs."""
    waist = _half_width(joints, 0.088, 0.072)
    middle, hips = joints.spot(joints.hip)
    knees = [joints.spot(leg.knee) for leg in joints.legs]
    reach = (hips - end) / max(hips - min(knee[1] for knee in knees), 0.05)
    sides = [middle + (knee[0] - middle) * min(reach, 1.3) for knee in knees]
    spread = _half_width(joints, half, 0.84 * half)
    left = min(min(sides) - 0.045, middle - spread)
    right = max(max(sides) + 0.045, middle + spread)
    return np.array([
        (middle - waist, hips + 0.05), (middle + waist, hips + 0.05), (middle + waist * 1.12, hips - 0.02),
        (right, end + 0.01), ((left + right) / 2, end - 0.004), (left, end + 0.01),
        (middle - waist * 1.12, hips - 0.02),
    ])  # fmt: skip


def _head(joints: Skeleton, look: Look, light: int, detailed: bool) -> list[Shape]:
    toward, right = joints.facing
    x, y = joints.spot(joints.head)
    size = look.head
    across, up = _half_width(joints, 0.047, 0.056) * size, 0.066 * size
    if toward < -0.45:  # from behind: hair
        shapes = [Shape(ellipse((x, y - 0.012), across * 0.98, up * 0.86), scaled(look.skin, 0.85))]
        shapes.append(Shape(ellipse((x, y + 0.006), across * 1.04, up * 0.94), look.hair))
    else:
        shapes = [Shape(ellipse((x, y), across, up), look.hair)]
        half, middle = across * (0.86 - 0.12 * abs(right)), x + right * 0.017 * size
        face = ellipse((middle, y - 0.013 * size), half, up * 0.80)
        shapes.append(Shape(face, scaled(look.skin, 0.9 if light and detailed else 0.98)))
        if detailed:
            lit = ellipse((middle + 0.010 * light, y - 0.012 * size), half * 0.76, up * 0.7)
            shapes.append(Shape(lit, scaled(look.skin, 1.06)))
            for side in (-1, 1):
                if side * right > -0.55:  # else it is on the far side
                    eye = ellipse((middle + right * 0.016 + side * 0.42 * half, y - 0.004), 0.0075, 0.0055)
                    shapes.append(Shape(eye, mix(look.skin, (30, 30, 40), 0.72)))
        shapes.append(Shape(ellipse((x - right * 0.012, y + 0.036 * size), across * 0.94, up * 0.46), look.hair))
    if look.cap is not None:
        shapes.append(Shape(ellipse((x - right * 0.006, y + 0.03 * size), across * 1.06, up * 0.6), look.cap))
        brim = right * 0.03 if toward > -0.45 else 0.0
        shapes.append(Shape(ellipse((x + brim, y + 0.012 * size), across * 1.08, up * 0.16), scaled(look.cap, 0.8)))
    return shapes


def _back_hair(joints: Skeleton, look: Look) -> list[Shape]:
    if look.hair_length <= 0:
        return []
    right = joints.facing[1]
    x, y = joints.spot(joints.head)
    across = _half_width(joints, 0.05, 0.04) * look.head
    start, end = (x - right * 0.024, y), (x - right * 0.032, y - 0.045 - 0.085 * look.hair_length)
    return [Shape(capsule(start, across, end, across * 0.86), scaled(look.hair, 0.92))]


def _backpack(joints: Skeleton, look: Look) -> list[Shape]:
    half, middle = _half_width(joints, 0.085, 0.052), -0.085 * joints.facing[1]
    pack = _band(joints, [(0.2, middle, half), (0.9, middle, half * 0.9), (0.98, middle, half * 0.5)])
    pocket = _band(joints, [(0.26, middle, half * 0.7), (0.5, middle, half * 0.7)])
    return [Shape(pack, scaled(look.bag_colour, 0.9)), Shape(pocket, scaled(look.bag_colour, 0.75))]


def _bicycle(joints: Skeleton, colour: Colour) -> list[Shape]:
    """A bicycle under its rider: wheels, frame, handlebar. The saddle is at the hip."""
    wheel, base = 0.19, 0.3
    ground = min(joints.spot(leg.ankle)[1] for leg in joints.legs) - 0.09
    saddle, crank = (0.0, joints.hip[1] - 0.07, -0.03), (0.0, ground + 0.15, 0.0)
    back, front = (0.0, ground + wheel, -base), (0.0, ground + wheel, base)
    head, bar = (0.0, ground + wheel + 0.28, base - 0.08), (0.0, ground + wheel + 0.34, base - 0.06)
    shapes = [_wheel(joints, hub, wheel) for hub in (back, front)]
    tubes: tuple[tuple[Joint, Joint, Colour], ...] = (
        (saddle, crank, colour), (crank, head, colour), (saddle, head, colour), (back, crank, colour),
        (back, saddle, colour), (front, bar, colour), ((-0.13, bar[1], bar[2]), (0.13, bar[1], bar[2]), TYRE),
        ((0.0, saddle[1] + 0.012, -0.08), (0.0, saddle[1] + 0.012, 0.06), TYRE),
    )  # fmt: skip
    for start, end, tint in tubes:
        shapes.append(Shape(capsule(joints.spot(start), 0.012, joints.spot(end), 0.012), tint, own=False))
    return shapes


def _wheel(joints: Skeleton, hub: Joint, radius: float) -> Shape:
    across = max(radius * abs(joints.facing[1]), 0.014)
    outer = ellipse(joints.spot(hub), across, radius)
    if across < 0.05:
        return Shape(outer, TYRE, own=False)
    inner = ellipse(joints.spot(hub), across - 0.018, radius - 0.018)
    # One outline that goes around outside and back inside leaves the middle open.
    return Shape(np.concatenate([outer, outer[:1], inner[:1], inner[::-1]]), TYRE, own=False)
