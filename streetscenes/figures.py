"""People as sprites: looks drawn by lot, a skeleton dressed in shapes from the farthest to the nearest, drawn large and
shrunk, so that edges are smooth and masks exact.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from streetscenes.canvas import CIRCLE, SHIFT, SOLID, Colour, bounds, ellipse, fixed, mix, scaled, solid
from streetscenes.skeleton import HIP, Joint, Pose, Posture, Skeleton, Spot
from streetscenes.world import between, chance, jitter, pick

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
    (-0.12, 0.094, 0.078), (0.0, 0.092, 0.076), (0.35, 0.082, 0.066), (0.72, 0.106, 0.080), (0.93, 0.116, 0.072),
    (1.02, 0.085, 0.055), (1.09, 0.036, 0.036),
)  # fmt: skip

# Sprites are drawn at a multiple of their size that makes them about this high, in pixels.
_DRAWN_HEIGHT = 260

# A filled outline (n, 2), x right and y up, in shares of the person's height; False for the bicycle that it sits on.
Shape = tuple[np.ndarray, Colour, bool]


class Look:
    """The build, colours and clothes of a passer-by, drawn by lot. Lengths are shares of the height."""

    def __init__(self, rng: np.random.Generator, *, child: bool = False) -> None:
        warm = chance(rng, 0.35)  # the weather of each person's own clothes
        self.top = jitter(rng, pick(rng, BRIGHT_CLOTHES if chance(rng, 0.92) else DARK_CLOTHES))
        self.bottom = pick(rng, ("trousers", "shorts", "skirt"), (0.8, 0.08 if warm else 0.0, 0.16))
        coat = not warm and chance(rng, 0.4)
        self.skin = jitter(rng, pick(rng, SKINS, (3, 3, 3, 2, 1.5, 1)), 6)
        # Multiples of the average: the width of the body and the size of the head.
        self.build = between(rng, 0.9, 1.14)
        self.head = between(rng, 1.16, 1.32) if child else between(rng, 0.96, 1.06)
        self.hair = jitter(rng, pick(rng, HAIRS, (3, 3, 3, 2, 1.5, 1, 0.6, 1)), 6)
        self.hair_length = between(rng, 0.5, 1.0) if chance(rng, 0.45) else 0.0  # 0 is short, 1 reaches the shoulders
        self.cap = jitter(rng, pick(rng, DARK_CLOTHES + BRIGHT_CLOTHES)) if chance(rng, 0.14) else None
        self.sleeves = not warm or chance(rng, 0.3)
        self.hem = between(rng, 0.26, 0.38) if coat else between(rng, 0.44, 0.49)  # where the top or coat ends
        self.bottom_colour = jitter(rng, pick(rng, BRIGHT_CLOTHES if chance(rng, 0.6) else TROUSERS))
        self.stockings = self.skin if warm or chance(rng, 0.3) else jitter(rng, (42, 38, 38), 8)
        self.shoes = jitter(rng, pick(rng, SHOES, (4, 2, 2, 2, 0.6)), 6)
        self.backpack = chance(rng, 0.25)
        self.bag_colour = jitter(rng, pick(rng, BAGS))  # of the backpack or the bicycle


@dataclass(frozen=True)
class Figure:
    """A drawn person: the cut-out, which of its pixels are the person's own, and the column of its axis."""

    pixels: np.ndarray  # (h, w, 4) uint8: colours already multiplied by the coverage, and the coverage
    body: np.ndarray  # (h, w) bool: the person, without a bicycle or bench
    axis: float  # midway between the head and the feet, in pixels from the sprite's left side


def draw(height: int, look: Look, pose: Pose, light: int) -> Figure:
    """Draw a person whose solid pixels are `height` rows high.

    `light` is the side the light comes from: -1 left, 1 right, 0 all around. A person on a bicycle is `height` high
    from the head to the lower shoe.
    """
    tailor = _Tailor(Skeleton(pose), look, light, detailed=height >= 70)
    tailor.dress(pose.kind)
    extent = height - 0.3
    for _ in range(6):
        figure = _rasterised(tailor.shapes, tailor.joints, extent)
        _, top, _, bottom = bounds(figure.body) or (0, 0, 0, 0)
        if bottom - top == height:
            break
        extent += 0.4 * (height - (bottom - top))  # half-covered rows at the ends of head and shoes do not count
    return figure


def _rasterised(shapes: list[Shape], joints: Skeleton, extent: float) -> Figure:
    own_rows = np.concatenate([outline[:, 1] for outline, _, own in shapes if own])
    everything = np.concatenate([outline for outline, _, _ in shapes])
    (left, bottom), (right, top) = everything.min(axis=0), everything.max(axis=0)
    halvings = 1 + sum(extent * 2**times < _DRAWN_HEIGHT for times in (1, 2))
    block = 1 << halvings
    unit = extent * block / (own_rows.max() - own_rows.min())
    columns = -(-int((right - left) * unit + 3 * block) // block)
    rows = -(-int((top - bottom) * unit + block) // block)
    origin = np.array((left - 1.5 * block / unit, top))
    large = np.zeros((rows * block, columns * block, 4), dtype=np.uint8)
    mask = None if all(own for _, _, own in shapes) else np.zeros(large.shape[:2], dtype=np.uint8)
    for outline, colour, own in shapes:
        corners = fixed((outline - origin) * np.array((1.0, -1.0)), unit)
        cv2.fillPoly(large, [corners], (*colour, 255), cv2.LINE_8, SHIFT)
        if mask is not None:
            cv2.fillPoly(mask, [corners], (255 if own else 0,), cv2.LINE_8, SHIFT)
    pixels = shrunk(large, halvings)
    body = solid(pixels) if mask is None else shrunk(mask, halvings) >= SOLID
    x1, y1, x2, y2 = bounds(solid(pixels)) or (0, 0, columns, rows)
    feet = sum(ankle[0] for _, _, ankle, _, _ in joints.legs)
    axis = ((joints.head[0] + feet / 2) / 2 - origin[0]) * unit / block - x1
    return Figure(pixels[y1:y2, x1:x2], body[y1:y2, x1:x2], float(axis))


def shrunk(pixels: np.ndarray, times: int) -> np.ndarray:
    """Halve an image some times; OpenCV's halving is the rounded mean of four, in integers."""
    for _ in range(times):
        pixels = cv2.resize(pixels, (pixels.shape[1] // 2, pixels.shape[0] // 2), interpolation=cv2.INTER_AREA)
    return pixels


def capsule(start: Spot, start_radius: float, end: Spot, end_radius: float) -> np.ndarray:
    """The outline of a limb: two circles and what lies between them."""
    ahead = CIRCLE[:, 0] * (end[0] - start[0]) + CIRCLE[:, 1] * (end[1] - start[1]) > 0
    radius = np.where(ahead, end_radius, start_radius)[:, None]
    return np.where(ahead[:, None], np.array(end), np.array(start)) + radius * CIRCLE


class _Tailor:
    """Makes the shapes of a person, each in front of those made earlier."""

    def __init__(self, joints: Skeleton, look: Look, light: int, detailed: bool) -> None:
        self.joints, self.look, self.light, self.detailed = joints, look, light, detailed
        self.shapes: list[Shape] = []

    def dress(self, kind: Posture) -> None:
        """Make all shapes, from the farthest to the nearest."""
        joints, toward = self.joints, self.joints.facing[0]
        self.leg(joints.legs[0], 0.82)
        if kind == "riding":
            self.bicycle()
        self.leg(joints.legs[1], 1.0)
        if toward >= -0.2:
            self.back_hair()
        if toward > -0.25:
            self.backpack()
        self.arm(joints.arms[0], 0.82)
        self.add(capsule(self.along(0.98, 0.0), 0.033, self.along(1.18, 0.0), 0.03), self.look.skin, 0.8)  # the neck
        self.torso(upright=kind in ("walking", "standing"))
        if toward <= -0.25:
            self.backpack()
        self.head()
        if toward < -0.2:
            self.back_hair()
        self.arm(joints.arms[1], 0.94)

    def add(self, outline: np.ndarray, colour: Colour, factor: float = 1.0, *, own: bool = True) -> None:
        """A shape, with a factor on its colour's lightness."""
        self.shapes.append((outline, scaled(colour, factor), own))

    def limb(self, start: Spot, r1: float, end: Spot, r2: float, colour: Colour) -> None:
        """A limb, and on large figures its lit side."""
        if not self.detailed:
            self.add(capsule(start, r1, end, r2), colour)
            return
        lit_start = (start[0] + 0.3 * self.light * r1, start[1] + 0.1 * r1)
        lit_end = (end[0] + 0.3 * self.light * r2, end[1] + 0.1 * r2)
        self.add(capsule(start, r1, end, r2), colour, 0.86 if self.light else 0.92)
        self.add(capsule(lit_start, 0.68 * r1, lit_end, 0.68 * r2), colour, 1.04)

    def half_width(self, front: float, side: float) -> float:
        """Half the width of an elliptic body with the figure's heading."""
        cosine, sine = self.joints.facing
        return math.sqrt((front * cosine) ** 2 + (side * sine) ** 2)

    def along(self, share: float, aside: float) -> Spot:
        """A point beside the spine: 0 at the hip, 1 at the shoulders."""
        hip, shoulder = self.joints.hip, self.joints.shoulder
        dx, dy = shoulder[0] - hip[0], shoulder[1] - hip[1]
        length = math.sqrt(dx * dx + dy * dy)
        return hip[0] + share * dx + aside * dy / length, hip[1] + share * dy - aside * dx / length

    def band(self, levels: list[tuple[float, float, float]]) -> np.ndarray:
        """An outline along the spine, from levels of (share, middle, half width)."""
        left = [self.along(share, middle - half) for share, middle, half in levels]
        right = [self.along(share, middle + half) for share, middle, half in levels]
        return np.array(left + right[::-1])

    def leg(self, leg: list[Spot], shade: float) -> None:
        (hip, knee, ankle, heel, toe), look = leg, self.look
        cloth, bare = scaled(look.bottom_colour, shade), scaled(look.stockings, shade)
        (upper, lower), (wide, narrow) = (cloth, bare), (0.036, 0.023)
        if look.bottom == "trousers":
            lower, (wide, narrow) = cloth, (0.042, 0.031)
        elif look.bottom == "skirt":
            upper = bare
        self.limb(knee, wide * look.build, ankle, narrow, lower)
        self.add(capsule((heel[0], heel[1] + 0.006), 0.022, toe, 0.019), look.shoes, shade)
        self.limb(hip, 0.066 * look.build, knee, 0.045 * look.build, upper)

    def arm(self, arm: list[Spot], shade: float) -> None:
        (top, elbow, hand), look = arm, self.look
        sleeve, skin = scaled(look.top, shade), scaled(look.skin, shade)
        lower, width = (sleeve, 0.030) if look.sleeves else (skin, 0.024)
        self.add(ellipse((hand[0], hand[1] - 0.008), 0.02, 0.024), skin)
        self.limb(elbow, width * look.build, hand, 0.021, lower)
        self.limb((top[0], top[1] - 0.01), 0.037 * look.build, elbow, 0.032 * look.build, sleeve)

    def torso(self, *, upright: bool) -> None:
        look, light, detailed = self.look, self.light, self.detailed
        if look.bottom == "skirt" and upright:
            below = self.hem(0.27, 0.112 * look.build)
        else:
            below = ellipse(self.joints.hip, self.half_width(0.098, 0.08) * look.build, 0.06)
        self.add(below, look.bottom_colour)
        if upright:
            self.add(self.hem(look.hem, (0.1 + 0.06 * (0.49 - look.hem)) * look.build), look.top, 0.93)
        halves = [(share, self.half_width(front, side) * look.build) for share, front, side in _TORSO]
        body = self.band([(share, 0.0, half) for share, half in halves])
        self.add(body, look.top, 0.84 if light and detailed else 0.95)
        if detailed:
            lit = self.band([(share, half * 0.28 * light, half * 0.7) for share, half in halves[:-1]])
            self.add(lit, look.top, 1.05)

    def hem(self, end: float, half: float) -> np.ndarray:
        """The part of a coat or skirt below the waist: it hangs from the hips and spreads over the legs."""
        waist, spread = self.half_width(0.088, 0.072), self.half_width(half, 0.84 * half)
        middle, hips = self.joints.hip
        knees = [knee for _, knee, _, _, _ in self.joints.legs]
        reach = (hips - end) / max(hips - min(knee[1] for knee in knees), 0.05)
        sides = [middle + (knee[0] - middle) * min(reach, 1.3) for knee in knees]
        left = min(min(sides) - 0.045, middle - spread)
        right = max(max(sides) + 0.045, middle + spread)
        return np.array([
            (middle - waist, hips + 0.05), (middle + waist, hips + 0.05), (middle + waist * 1.12, hips - 0.02),
            (right, end + 0.01), ((left + right) / 2, end - 0.004), (left, end + 0.01),
            (middle - waist * 1.12, hips - 0.02),
        ])  # fmt: skip

    def head(self) -> None:
        (toward, right), (x, y), look, size = self.joints.facing, self.joints.head, self.look, self.look.head
        across, up = self.half_width(0.047, 0.056) * size, 0.066 * size
        if toward < -0.45:
            self.add(ellipse((x, y - 0.012), across * 0.98, up * 0.86), look.skin, 0.85)
            self.add(ellipse((x, y + 0.006), across * 1.04, up * 0.94), look.hair)
        else:
            self.add(ellipse((x, y), across, up), look.hair)
            half, middle = across * (0.86 - 0.12 * abs(right)), x + right * 0.017 * size
            face = ellipse((middle, y - 0.013 * size), half, up * 0.80)
            self.add(face, look.skin, 0.9 if self.light and self.detailed else 0.98)
            if self.detailed:
                lit = ellipse((middle + 0.010 * self.light, y - 0.012 * size), half * 0.76, up * 0.7)
                self.add(lit, look.skin, 1.06)
                for side in (-1, 1):
                    if side * right > -0.55:  # else the eye is on the far side
                        eye = ellipse((middle + right * 0.016 + side * 0.42 * half, y - 0.004), 0.0075, 0.0055)
                        self.add(eye, mix(look.skin, (30, 30, 40), 0.72))
            self.add(ellipse((x - right * 0.012, y + 0.036 * size), across * 0.94, up * 0.46), look.hair)
        if look.cap is not None:
            self.add(ellipse((x - right * 0.006, y + 0.03 * size), across * 1.06, up * 0.6), look.cap)
            brim = right * 0.03 if toward > -0.45 else 0.0
            self.add(ellipse((x + brim, y + 0.012 * size), across * 1.08, up * 0.16), look.cap, 0.8)

    def back_hair(self) -> None:
        """Long hair, behind the shoulders."""
        (x, y), right, length = self.joints.head, self.joints.facing[1], self.look.hair_length
        if length > 0:
            across = self.half_width(0.05, 0.04) * self.look.head
            start, end = (x - right * 0.024, y), (x - right * 0.032, y - 0.045 - 0.085 * length)
            self.add(capsule(start, across, end, across * 0.86), self.look.hair, 0.92)

    def backpack(self) -> None:
        """A backpack with its pocket, for who has one."""
        if self.look.backpack:
            half, middle = self.half_width(0.085, 0.052), -0.085 * self.joints.facing[1]
            pack = self.band([(0.2, middle, half), (0.9, middle, half * 0.9), (0.98, middle, half * 0.5)])
            self.add(pack, self.look.bag_colour, 0.9)
            self.add(self.band([(0.26, middle, half * 0.7), (0.5, middle, half * 0.7)]), self.look.bag_colour, 0.75)

    def bicycle(self) -> None:
        """A bicycle under its rider: wheels, frame, handlebar. The saddle is at the hip."""
        spot, colour = self.joints.spot, self.look.bag_colour
        wheel, base = 0.19, 0.3
        ground = min(ankle[1] for _, _, ankle, _, _ in self.joints.legs) - 0.09
        saddle, crank = (0.0, HIP - 0.07, -0.03), (0.0, ground + 0.15, 0.0)
        back, front = (0.0, ground + wheel, -base), (0.0, ground + wheel, base)
        head, bar = (0.0, ground + wheel + 0.28, base - 0.08), (0.0, ground + wheel + 0.34, base - 0.06)
        across = max(wheel * abs(self.joints.facing[1]), 0.014)
        for hub in (back, front):
            rim = ellipse(spot(hub), across, wheel)
            if across >= 0.05:
                # One outline that goes around outside and back inside leaves the middle open.
                inner = ellipse(spot(hub), across - 0.018, wheel - 0.018)
                rim = np.concatenate([rim, rim[:1], inner[:1], inner[::-1]])
            self.add(rim, TYRE, own=False)
        tubes: tuple[tuple[Joint, Joint, Colour], ...] = (
            (saddle, crank, colour), (crank, head, colour), (saddle, head, colour), (back, crank, colour),
            (back, saddle, colour), (front, bar, colour), ((-0.13, bar[1], bar[2]), (0.13, bar[1], bar[2]), TYRE),
            ((0.0, saddle[1] + 0.012, -0.08), (0.0, saddle[1] + 0.012, 0.06), TYRE),
        )  # fmt: skip
        for start, end, tint in tubes:
            self.add(capsule(spot(start), 0.012, spot(end), 0.012), tint, own=False)
