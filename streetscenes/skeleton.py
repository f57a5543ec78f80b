"""People's proportions and poses: joints in space, and how they fall on the image.

A figure's own axes: x to its left and right, y up, z to where it looks; a standing adult is 1 high. The heading turns
it: 0 degrees looks at the camera, 90 walks to the right, 180 away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Posture = Literal["walking", "standing", "sitting", "riding", "bending", "crouching"]
Joint = tuple[float, float, float]
Spot = tuple[float, float]

# Body measures as shares of the height (an adult is 7 to 8 heads tall).
HIP, SPINE = 0.515, 0.305
THIGH, SHIN = 0.235, 0.225
UPPER_ARM, FOREARM = 0.165, 0.16
SHOULDER_HALF, HIP_HALF = 0.108, 0.046
HEAD_DISTANCE = 0.112

# How much nearer things are drawn lower, for a camera at the height of the chest.
TILT = 0.07

# How far the back leans forward, in radians.
_PITCH = {"bending": 1.15, "riding": 0.5, "crouching": 0.45, "sitting": -0.05, "walking": 0.04, "standing": 0.0}

# Angles in radians of who doesn't walk or stand: the thigh from the vertical and the bend of the knee, each as a mean and
# what the swing of the step and the side (-1 or 1) add; the upper arm as a mean and by side, and the bend of the elbow.
_LIMBS = {
    "sitting": ((1.38, 0.0, 0.0), (1.35, 0.15, 0.0), (0.35, 0.0), 1.1),
    "riding": ((0.75, 0.42, 0.0), (0.85, 0.4, 0.0), (0.95, 0.0), 0.25),
    "crouching": ((1.75, 0.0, -0.3), (2.35, 0.0, -0.35), (0.7, 0.0), 0.6),
    "bending": ((0.05, 0.0, 0.12), (0.15, 0.0, 0.0), (0.35, 0.25), 0.2),
}


@dataclass(frozen=True)
class Pose:
    """What a figure does."""

    kind: Posture
    heading: float  # degrees: 0 looks at the camera, 90 to the right, 180 away
    stride: float  # largest angle of the thigh from the vertical, in radians
    phase: float  # where in the step, 0 to 1
    arms: tuple[float, float]  # how far each elbow is bent, in radians


class Skeleton:
    """The joints of a pose where they fall on the image: x to the right, y up.

    The lowest point is not yet the ground: whoever draws the figure scales it.
    """

    def __init__(self, pose: Pose) -> None:
        angle, pitch = math.radians(pose.heading), _PITCH[pose.kind]
        self.facing = math.cos(angle), math.sin(angle)  # how much it looks at the camera, and how much to the right
        hip = (0.0, HIP, 0.0)
        shoulder = (0.0, HIP + SPINE * math.cos(pitch), SPINE * math.sin(pitch))
        nod = 0.55 * pitch
        head = (0.0, shoulder[1] + HEAD_DISTANCE * math.cos(nod), shoulder[2] + HEAD_DISTANCE * math.sin(nod))
        self.hip, self.shoulder, self.head = self.spot(hip), self.spot(shoulder), self.spot(head)
        swing = math.sin(2 * math.pi * pose.phase)
        # The farther one, then the nearer one: hip, knee, ankle, heel and toe of a leg; shoulder, elbow and hand of an arm.
        self.legs = self._ordered(_leg(pose, 1, swing), _leg(pose, -1, -swing))
        left, right = pose.arms
        self.arms = self._ordered(_arm(pose, shoulder, 1, -swing, left), _arm(pose, shoulder, -1, swing, right))

    def spot(self, joint: Joint) -> Spot:
        """Where a joint falls on the image."""
        cosine, sine = self.facing
        return joint[0] * cosine + joint[2] * sine, joint[1] - TILT * self._nearness(joint)

    def _nearness(self, joint: Joint) -> float:
        """How much nearer to the camera than the figure's axis a joint is."""
        cosine, sine = self.facing
        return joint[2] * cosine - joint[0] * sine

    def _ordered(self, *limbs: list[Joint]) -> list[list[Spot]]:
        by_knee_or_elbow = sorted(limbs, key=lambda limb: self._nearness(limb[1]))
        return [[self.spot(joint) for joint in limb] for limb in by_knee_or_elbow]


def _leg(pose: Pose, side: int, swing: float) -> list[Joint]:
    if pose.kind in _LIMBS:
        thigh, bend = (mean + by_swing * swing + by_side * side for mean, by_swing, by_side in _LIMBS[pose.kind][:2])
    else:
        thigh = pose.stride * swing
        # The leg that comes forward is bent most while it passes the other one.
        lifted = max(0.0, math.cos(2 * math.pi * pose.phase) * side)
        bend = 0.06 + pose.stride * (0.75 * max(0.0, -swing) + 1.3 * lifted)
    hip = (side * HIP_HALF, HIP, 0.0)
    knee = _down(hip, THIGH, thigh)
    ankle = _down(knee, SHIN, thigh - bend)
    tip = 0.45 * min(0.0, thigh - bend + 0.15) if pose.kind != "crouching" else 0.0
    cosine, sine = math.cos(tip), math.sin(tip)
    heel, toe = (
        (ankle[0], ankle[1] + up * cosine + forward * sine, ankle[2] + forward * cosine - up * sine)
        for forward, up in ((-0.025, -0.032), (0.088, -0.036))
    )
    return [hip, knee, ankle, heel, toe]


def _arm(pose: Pose, shoulder: Joint, side: int, swing: float, bend: float) -> list[Joint]:
    upper = 0.85 * pose.stride * swing
    if pose.kind in _LIMBS:
        (mean, by_side), bend = _LIMBS[pose.kind][2:]
        upper = mean + by_side * side
    top = (side * SHOULDER_HALF, shoulder[1] - 0.012, shoulder[2])
    elbow = _down((top[0] + side * 0.022, top[1], top[2]), UPPER_ARM, upper)
    hand = _down((elbow[0] - side * 0.25 * FOREARM * min(bend, 1.0), elbow[1], elbow[2]), FOREARM, upper + bend)
    return [top, elbow, hand]


def _down(start: Joint, length: float, angle: float) -> Joint:
    """From a joint along a bone that hangs down at angle 0, and swings forward as it grows."""
    return start[0], start[1] - length * math.cos(angle), start[2] + length * math.sin(angle)
