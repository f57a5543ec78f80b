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


@dataclass(frozen=True)
class Pose:
    """What a figure does."""

    kind: Posture
    heading: float
    """Degrees: 0 looks at the camera, 90 to the right, 180 away."""
    stride: float
    """Largest angle of the thigh from the vertical, in radians."""
    phase: float
    """Where in the step, 0 to 1."""
    arms: tuple[float, float]
    """How far each elbow is bent, in radians."""


@dataclass(frozen=True)
class Leg:
    """The joints of a leg."""

    hip: Joint
    knee: Joint
    ankle: Joint
    heel: Joint
    toe: Joint


@dataclass(frozen=True)
class Arm:
    """The joints of an arm."""

    shoulder: Joint
    elbow: Joint
    hand: Joint


@dataclass(frozen=True)
class Skeleton:
    """All joints of a figure, and the heading that turns them towards the camera."""

    heading: float
    hip: Joint
    shoulder: Joint
    head: Joint
    legs: tuple[Leg, Leg]
    arms: tuple[Arm, Arm]

    @property
    def facing(self) -> tuple[float, float]:
        """How much the figure looks at the camera, and how much to the right: cosine and sine of the heading."""
        angle = math.radians(self.heading)
        return math.cos(angle), math.sin(angle)

    def spot(self, joint: Joint) -> Spot:
        """Where a joint falls on the image: x to the right, y up."""
        cosine, sine = self.facing
        x, y, z = joint
        return x * cosine + z * sine, y - TILT * (z * cosine - x * sine)

    def nearness(self, joint: Joint) -> float:
        """How much nearer to the camera than the figure's axis a joint is."""
        cosine, sine = self.facing
        return joint[2] * cosine - joint[0] * sine


def skeleton(pose: Pose) -> Skeleton:
    """Place the joints of a pose. The lowest point is not yet the ground: whoever draws the figure scales it."""
    pitch = {"bending": 1.15, "riding": 0.5, "crouching": 0.45, "sitting": -0.05, "walking": 0.04}.get(pose.kind, 0.0)
    hip = (0.0, HIP, 0.0)
    shoulder = _up(hip, SPINE, pitch)
    head = _up(shoulder, HEAD_DISTANCE, 0.55 * pitch)
    swing = math.sin(2 * math.pi * pose.phase)
    legs = (_leg(pose, 1, swing), _leg(pose, -1, -swing))
    arms = (_arm(pose, shoulder, 1, -swing, pose.arms[0]), _arm(pose, shoulder, -1, swing, pose.arms[1]))
    return Skeleton(pose.heading, hip, shoulder, head, legs, arms)


def _leg(pose: Pose, side: int, swing: float) -> Leg:
    thigh = pose.stride * swing
    # The leg that comes forward is bent most while it passes the other one.
    lifted = max(0.0, math.cos(2 * math.pi * pose.phase) * side)
    bend = 0.06 + pose.stride * (0.75 * max(0.0, -swing) + 1.3 * lifted)
    if pose.kind == "sitting":
        thigh, bend = 1.38, 1.35 + 0.15 * swing
    elif pose.kind == "riding":
        thigh, bend = 0.75 + 0.42 * swing, 0.85 + 0.4 * swing
    elif pose.kind == "crouching":
        thigh, bend = 1.75 - 0.3 * side, 2.35 - 0.35 * side
    elif pose.kind == "bending":
        thigh, bend = 0.05 + 0.12 * side, 0.15
    hip = (side * HIP_HALF, HIP, 0.0)
    knee = _down(hip, THIGH, thigh)
    ankle = _down(knee, SHIN, thigh - bend)
    tip = 0.45 * min(0.0, thigh - bend + 0.15) if pose.kind != "crouching" else 0.0
    heel = _turned(ankle, -0.025, -0.032, tip)
    toe = _turned(ankle, 0.088, -0.036, tip)
    return Leg(hip, knee, ankle, heel, toe)


def _arm(pose: Pose, shoulder: Joint, side: int, swing: float, elbow_bend: float) -> Arm:
    upper = 0.85 * pose.stride * swing
    bend = elbow_bend
    if pose.kind == "riding":
        upper, bend = 0.95, 0.25
    elif pose.kind == "bending":
        upper, bend = 0.35 + 0.25 * side, 0.2
    elif pose.kind == "sitting":
        upper, bend = 0.35, 1.1
    elif pose.kind == "crouching":
        upper, bend = 0.7, 0.6
    top = (side * SHOULDER_HALF, shoulder[1] - 0.012, shoulder[2])
    elbow = _down((top[0] + side * 0.022, top[1], top[2]), UPPER_ARM, upper)
    hand = _down((elbow[0] - side * 0.25 * FOREARM * min(bend, 1.0), elbow[1], elbow[2]), FOREARM, upper + bend)
    return Arm(top, elbow, hand)


def _down(start: Joint, length: float, angle: float) -> Joint:
    """From a joint along a bone that hangs down at angle 0, and swings forward as it grows."""
    return start[0], start[1] - length * math.cos(angle), start[2] + length * math.sin(angle)


def _up(start: Joint, length: float, angle: float) -> Joint:
    """From a joint along a bone that stands up at angle 0, and leans forward as it grows."""
    return start[0], start[1] + length * math.cos(angle), start[2] + length * math.sin(angle)


def _turned(ankle: Joint, forward: float, up: float, angle: float) -> Joint:
    cosine, sine = math.cos(angle), math.sin(angle)
    return ankle[0], ankle[1] + up * cosine + forward * sine, ankle[2] + forward * cosine - up * sine
