"""A skeleton dressed: legs, arms, body, head, clothes and bags as shapes, from the farthest to the nearest."""

from __future__ import annotations

import numpy as np

from streetscenes.bicycle import bicycle
from streetscenes.canvas import mix, scaled
from streetscenes.looks import Look
from streetscenes.shapes import Shape, along, capsule, ellipse, half_width, limb
from streetscenes.skeleton import Arm, Leg, Pose, Skeleton

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


def dressed(joints: Skeleton, look: Look, pose: Pose, light: int, *, detailed: bool) -> list[Shape]:
    """All shapes of a person, from the farthest to the nearest."""
    shapes: list[Shape] = []
    toward = joints.facing[0]
    legs = sorted(joints.legs, key=lambda leg: joints.nearness(leg.knee))
    arms = sorted(joints.arms, key=lambda arm: joints.nearness(arm.elbow))
    if pose.kind == "riding":
        shapes += _leg(joints, legs[0], look, light, detailed, shade=0.8)
        shapes += bicycle(joints, look)
        shapes += _leg(joints, legs[1], look, light, detailed, shade=1.0)
    else:
        for leg, shade in zip(legs, (0.84, 1.0), strict=True):
            shapes += _leg(joints, leg, look, light, detailed, shade=shade)
    back_hair = _back_hair(joints, look)
    if toward >= -0.2:
        shapes += back_hair
    if look.bag == "backpack" and toward > -0.25:
        shapes += _backpack(joints, look, 0.8)
    shapes += _arm(joints, arms[0], look, light, detailed, shade=0.82)
    shapes += _neck(joints, look)
    shapes += _torso(joints, look, pose, light, detailed)
    if look.bag == "backpack" and toward <= -0.25:
        shapes += _backpack(joints, look, 1.0)
    shapes += _head(joints, look, light, detailed)
    if toward < -0.2:
        shapes += back_hair
    if look.bag == "shoulder":
        shapes += _shoulder_bag(joints, look)
    shapes += _arm(joints, arms[1], look, light, detailed, shade=0.94)
    if look.bag == "hand":
        shapes += _hand_bag(joints, arms[1], look)
    if pose.kind == "carrying":
        shapes += _carried_child(joints, look)
    return shapes


def _leg(joints: Skeleton, leg: Leg, look: Look, light: int, detailed: bool, shade: float) -> list[Shape]:
    hip, knee, ankle, heel, toe = (joints.spot(joint) for joint in (leg.hip, leg.knee, leg.ankle, leg.heel, leg.toe))
    cloth = scaled(look.bottom_colour, shade)
    bare = scaled(look.stockings, shade)
    wide = look.build
    thigh_colour = cloth if look.bottom != "skirt" else bare
    shin_colour = cloth if look.bottom == "trousers" else bare
    shin = (0.042, 0.031) if look.bottom == "trousers" else (0.036, 0.023)
    shapes = limb(knee, shin[0] * wide, ankle, shin[1], shin_colour, light, detailed)
    shoe = capsule((heel[0], heel[1] + 0.006), 0.022, (toe[0], toe[1]), 0.019)
    shapes.append(Shape(shoe, scaled(look.shoes, shade)))
    shapes += limb(hip, 0.066 * wide, knee, 0.045 * wide, thigh_colour, light, detailed)
    return shapes


def _arm(joints: Skeleton, arm: Arm, look: Look, light: int, detailed: bool, shade: float) -> list[Shape]:
    top, elbow, hand = (joints.spot(joint) for joint in (arm.shoulder, arm.elbow, arm.hand))
    sleeve, skin = scaled(look.top, shade), scaled(look.skin, shade)
    wide = look.build
    lower = sleeve if look.sleeves else skin
    shapes = [Shape(ellipse((hand[0], hand[1] - 0.008), 0.02, 0.024), skin)]
    shapes += limb(elbow, (0.030 if look.sleeves else 0.024) * wide, hand, 0.021, lower, light, detailed)
    shapes += limb((top[0], top[1] - 0.01), 0.037 * wide, elbow, 0.032 * wide, sleeve, light, detailed)
    return shapes


def _torso(joints: Skeleton, look: Look, pose: Pose, light: int, detailed: bool) -> list[Shape]:
    shapes: list[Shape] = []
    walking = pose.kind in ("walking", "standing", "carrying")
    if look.bottom == "skirt" and walking:
        shapes.append(Shape(_hem(joints, 0.27, 0.112 * look.build), look.bottom_colour))
    elif look.bottom != "skirt" or not walking:
        hips = ellipse(joints.spot(joints.hip), half_width(joints, 0.098, 0.08) * look.build, 0.06)
        shapes.append(Shape(hips, look.bottom_colour))
    if walking:
        shapes.append(
            Shape(_hem(joints, look.hem, (0.1 + 0.06 * (0.49 - look.hem)) * look.build), scaled(look.top, 0.93))
        )
    halves = [(share, half_width(joints, front, side) * look.build) for share, front, side in _TORSO]
    levels = [(along(joints, share, -half), along(joints, share, half)) for share, half in halves]
    outline = [first for first, _ in levels] + [second for _, second in reversed(levels)]
    shapes.append(Shape(np.array(outline), scaled(look.top, 0.84 if light and detailed else 0.95)))
    toward, right = joints.facing
    if detailed:
        lit = [(share, half * 0.7, half * 0.28 * light) for share, half in halves[:-1]]
        left = [along(joints, share, shift - half) for share, half, shift in lit]
        far = [along(joints, share, shift + half) for share, half, shift in lit]
        shapes.append(Shape(np.array(left + far[::-1]), scaled(look.top, 1.05)))
    if look.open_front is not None and toward > 0.3:
        half, shift = 0.035 * toward, 0.05 * right
        strip = [(-0.1, half * 0.7), (0.5, half * 0.8), (1.03, half)]
        left = [along(joints, share, shift - width) for share, width in strip]
        far = [along(joints, share, shift + width) for share, width in strip]
        shapes.append(Shape(np.array(left + far[::-1]), look.open_front))
    if look.scarf is not None:
        centre = along(joints, 1.05, 0.02 * right)
        shapes.append(Shape(ellipse(centre, 0.058, 0.034), look.scarf))
    return shapes


def _hem(joints: Skeleton, end: float, half: float) -> np.ndarray:
    """The part of a coat or skirt below the waist: it hangs from the hips and spreads over the legs."""
    waist = half_width(joints, 0.088, 0.072)
    middle = joints.spot(joints.hip)[0]
    knees = [joints.spot(leg.knee) for leg in joints.legs]
    hips = joints.spot(joints.hip)[1]
    reach = (hips - end) / max(hips - min(knee[1] for knee in knees), 0.05)
    sides = [middle + (knee[0] - middle) * min(reach, 1.3) for knee in knees]
    spread = half_width(joints, half, 0.84 * half)
    left = min(min(sides) - 0.045, middle - spread)
    right = max(max(sides) + 0.045, middle + spread)
    return np.array([
        (middle - waist, hips + 0.05), (middle + waist, hips + 0.05), (middle + waist * 1.12, hips - 0.02),
        (right, end + 0.01), ((left + right) / 2, end - 0.004), (left, end + 0.01),
        (middle - waist * 1.12, hips - 0.02),
    ])  # fmt: skip


def _neck(joints: Skeleton, look: Look) -> list[Shape]:
    start, end = joints.spot(joints.neck), joints.spot(joints.head)
    return [
        Shape(
            capsule(along(joints, 0.98, 0.0), 0.033, ((start[0] + end[0]) / 2, (start[1] + end[1]) / 2), 0.03),
            scaled(look.skin, 0.8),
        )
    ]


def _head(joints: Skeleton, look: Look, light: int, detailed: bool) -> list[Shape]:
    toward, right = joints.facing
    x, y = joints.spot(joints.head)
    size = look.head
    across = half_width(joints, 0.047, 0.056) * size
    up = 0.066 * size
    skull = ellipse((x, y), across, up)
    shapes: list[Shape] = []
    if toward < -0.45:  # from behind: hair, an ear at most
        shapes.append(Shape(ellipse((x, y - 0.012), across * 0.98, up * 0.86), scaled(look.skin, 0.85)))
        shapes.append(Shape(ellipse((x, y + 0.006), across * 1.04, up * 0.94), look.hair))
    else:
        shapes.append(Shape(skull, look.hair))
        face_across = across * (0.86 - 0.12 * abs(right))
        face_x = x + right * 0.017 * size
        face = ellipse((face_x, y - 0.013 * size), face_across, up * 0.80)
        shapes.append(Shape(face, scaled(look.skin, 0.9 if light and detailed else 0.98)))
        if detailed:
            shapes.append(
                Shape(
                    ellipse((face_x + 0.010 * light, y - 0.012 * size), face_across * 0.76, up * 0.7),
                    scaled(look.skin, 1.06),
                )
            )
        if right * right > 0.2:  # the nose shows from the side, the ear too
            side = 1 if right > 0 else -1
            nose = [
                (face_x + side * face_across * 0.85, y + 0.008),
                (face_x + side * (face_across + 0.012), y - 0.017),
                (face_x + side * face_across * 0.8, y - 0.024),
            ]
            shapes.append(Shape(np.array(nose), look.skin))
            shapes.append(Shape(ellipse((x - side * 0.012, y - 0.008), 0.009, 0.014), scaled(look.skin, 0.82)))
        if look.face and detailed:
            shapes += _features(face_x, y, face_across, look, right)
        fringe = ellipse((x - right * 0.012, y + 0.036 * size), across * 0.94, up * 0.46)
        shapes.append(Shape(fringe, look.hair))
    if look.cap is not None:
        shapes.append(Shape(ellipse((x - right * 0.006, y + 0.03 * size), across * 1.06, up * 0.6), look.cap))
        brim = right * 0.03 if toward > -0.45 else 0.0
        shapes.append(Shape(ellipse((x + brim, y + 0.012 * size), across * 1.08, up * 0.16), scaled(look.cap, 0.8)))
    return shapes


def _features(x: float, y: float, half: float, look: Look, right: float) -> list[Shape]:
    dark = mix(look.skin, (30, 30, 40), 0.72)
    shapes = []
    for side in (-1, 1):
        if side * right < -0.55:  # the eye on the far side
            continue
        shapes.append(Shape(ellipse((x + right * 0.016 + side * 0.42 * half, y - 0.004), 0.0075, 0.0055), dark))
    shapes.append(Shape(ellipse((x + right * 0.02, y - 0.041), 0.011, 0.0035), mix(look.skin, (60, 60, 130), 0.5)))
    shapes.append(Shape(ellipse((x + right * 0.02, y - 0.022), 0.005, 0.0045), scaled(look.skin, 0.84)))
    return shapes


def _back_hair(joints: Skeleton, look: Look) -> list[Shape]:
    if look.hair_length <= 0:
        return []
    right = joints.facing[1]
    x, y = joints.spot(joints.head)
    across = half_width(joints, 0.05, 0.04) * look.head
    x -= right * 0.024
    end = y - 0.045 - 0.085 * look.hair_length
    return [Shape(capsule((x, y), across, (x - right * 0.008, end), across * 0.86), scaled(look.hair, 0.92))]


def _backpack(joints: Skeleton, look: Look, shade: float) -> list[Shape]:
    right = joints.facing[1]
    half = half_width(joints, 0.085, 0.052)
    shift = -0.085 * right
    outline = [
        along(joints, share, shift + side)
        for share, side in (
            (0.2, -half),
            (0.9, -half * 0.9),
            (0.98, -half * 0.5),
            (0.98, half * 0.5),
            (0.9, half * 0.9),
            (0.2, half),
        )
    ]
    pocket = [
        along(joints, share, shift + side)
        for share, side in ((0.26, -half * 0.7), (0.5, -half * 0.7), (0.5, half * 0.7), (0.26, half * 0.7))
    ]
    colour = scaled(look.bag_colour, shade)
    return [Shape(np.array(outline), colour), Shape(np.array(pocket), scaled(colour, 0.82))]


def _shoulder_bag(joints: Skeleton, look: Look) -> list[Shape]:
    toward = joints.facing[0]
    side = 1 if toward >= 0 else -1
    start, end = (
        along(joints, 1.0, -0.07 * side * abs(toward)),
        along(joints, -0.05, 0.09 * side * max(abs(toward), 0.3)),
    )
    x, y = end
    bag = np.array([(x - 0.045, y + 0.02), (x + 0.045, y + 0.02), (x + 0.05, y - 0.075), (x - 0.05, y - 0.075)])
    return [
        Shape(capsule(start, 0.0075, end, 0.0075), scaled(look.bag_colour, 0.75)),
        Shape(bag, look.bag_colour),
        Shape(bag * np.array((1.0, 0.35)) + np.array((0.0, 0.65 * (y + 0.02))), scaled(look.bag_colour, 0.85)),
    ]


def _hand_bag(joints: Skeleton, arm: Arm, look: Look) -> list[Shape]:
    x, y = joints.spot(arm.hand)
    y -= 0.02
    bag = np.array([(x - 0.05, y - 0.05), (x + 0.05, y - 0.05), (x + 0.056, y - 0.16), (x - 0.056, y - 0.16)])
    handle = np.array([(x - 0.035, y - 0.05), (x - 0.006, y), (x + 0.006, y), (x + 0.035, y - 0.05)])
    return [Shape(handle, scaled(look.bag_colour, 0.7)), Shape(bag, look.bag_colour)]


def _carried_child(joints: Skeleton, look: Look) -> list[Shape]:
    toward, right = joints.facing
    x, y = along(joints, 0.62, 0.06 * toward + 0.075 * right)
    clothes = look.bag_colour
    return [
        Shape(capsule((x, y - 0.02), 0.05, (x, y + 0.08), 0.045), clothes),
        Shape(capsule((x, y - 0.04), 0.03, (x + 0.04 * (right or 1), y - 0.15), 0.02), scaled(clothes, 0.7)),
        Shape(ellipse((x, y + 0.155), 0.042, 0.048), look.hair),
        Shape(ellipse((x + 0.008 * right, y + 0.146), 0.034, 0.038), look.skin),
        Shape(capsule((x - 0.06, y - 0.05), 0.025, (x + 0.05, y - 0.03), 0.022), scaled(look.top, 0.9)),
    ]
