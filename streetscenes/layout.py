"""People where a given layout has them: full boxes, visible parts, sitters, groups and unclear ones."""

from __future__ import annotations

import math
from functools import partial

import cv2
import numpy as np

from streetscenes.canvas import Canvas, Colour, scaled, solid
from streetscenes.figures import Figure, Look, draw
from streetscenes.objects import Thing, ground_oval
from streetscenes.placing import STATURE, walking_pose
from streetscenes.settings import Person, Region
from streetscenes.skeleton import Pose, Posture
from streetscenes.stage import UPRIGHT, Actor, Stage, in_air, overlap
from streetscenes.world import Camera, between, chance, jitter, pick

# Cameras in cars stand about 1.2 m above the road, and adults are about 1.74 m tall.
CAMERA_HEIGHT, ADULT = 1.2, 1.74

_STONE: tuple[Colour, ...] = ((128, 132, 136), (104, 120, 140), (90, 100, 130), (150, 154, 156), (62, 76, 88))

Role = tuple[Person, list[Actor]]  # a person of the layout, and the figures that play it, all equally far


def fitted_camera(people: tuple[Person, ...], drawn: Camera, height: int, width: int) -> Camera:
    """The camera under which the people stand on flat ground: feet are lower the taller someone is."""
    boxes = [person.box for person in people if person.kind in UPRIGHT]
    horizon = 0.4 * height
    if boxes:
        guesses = sorted(y + h * (1 - CAMERA_HEIGHT / ADULT) for _, y, _, h in boxes)
        horizon = min(max(guesses[len(guesses) // 2], 0.3 * height), 0.55 * height)
    return Camera(1.1 * width, drawn.centre, horizon, CAMERA_HEIGHT)


def perform_layout(canvas: Canvas, stage: Stage, people: tuple[Person, ...]) -> None:
    """Paint the things of the stage and the people, from far to near, with what hides the parts that are not visible.

    A person's pixels get its position in `people`, from 1. Things that would hide somebody are left out.
    """
    roles: list[Role] = [(person, _actors(stage, number, person)) for number, person in enumerate(people, start=1)]
    roles.sort(key=lambda role: -role[1][0].depth)

    def harmless(thing: Thing) -> bool:
        farther = [person.box for person, actors in roles if actors[0].depth >= thing.depth]
        return not any(overlap(part, (x, y, x + w, y + h)) for part in thing.cover for x, y, w, h in farther)

    stage.things = [thing for thing in stage.things if harmless(thing)]
    kept = np.zeros(canvas.ids.shape, dtype=bool)
    acts = [(actors[0].depth, partial(_act, stage, roles[k:], kept)) for k, (_, actors) in enumerate(roles)]
    stage.perform(canvas, acts)


def _act(stage: Stage, roles: list[Role], kept: np.ndarray, canvas: Canvas) -> None:
    """Paint the first of the roles, and what hides it unless the other ones do, who are nearer.

    `kept` (H, W) bool has the visible boxes of the people painted so far.
    """
    (person, actors), *others = roles
    shown, hidden = _sight(person)
    for actor in actors:
        actor.paint(canvas, shown)
    if person.kind != "group":
        x1, y1, x2, y2 = canvas.inside(*shown)
        kept[y1:y2, x1:x2] = True
    nearer = [other.box for other, _ in others if other.kind != "unclear"]
    for side, part in hidden.items():
        if not _covered(part, nearer):
            _hide(canvas, stage, part, side, person.box, actors[0].depth, kept)


def _sight(person: Person) -> tuple[Region, dict[str, Region]]:
    """The box that may be painted, and by side the parts of the full box that something hides.

    They are the parts beyond the visible box where they exceed the annotators' slack; elsewhere limbs may stand out.
    """
    x, y, w, h = person.box
    if person.kind not in UPRIGHT:
        return person.box, {}
    vx, vy, vw, vh = person.visible or person.box
    across, up = max(2, round(0.16 * w)), max(2, round(0.045 * h))
    beyond = {
        "left": (vx - x, across, (x, y, vx - x, h)),
        "right": (x + w - vx - vw, across, (vx + vw, y, x + w - vx - vw, h)),
        "top": (vy - y, up, (x, y, w, vy - y)),
        "bottom": (y + h - vy - vh, up, (x, vy + vh, w, y + h - vy - vh)),
    }
    hidden = {side: part for side, (length, slack, part) in beyond.items() if length > slack}
    wheels = h // 4 if person.kind == "rider" else 1
    x1, x2 = vx if "left" in hidden else x - w, vx + vw if "right" in hidden else x + 2 * w
    y1, y2 = vy if "top" in hidden else y - 1, vy + vh if "bottom" in hidden else y + h + wheels
    return (x1, y1, x2 - x1, y2 - y1), hidden


def _actors(stage: Stage, number: int, person: Person) -> list[Actor]:
    camera, rng, light = stage.world.camera, stage.rng, stage.world.light
    x, y, w, h = person.box
    share = {"sitting": STATURE["sitting"], "unusual": STATURE["bending"]}.get(person.kind, 1.0)
    depth = camera.pixels(share * ADULT, 1.0) / h
    if person.kind == "group":
        return _crowd(stage, number, person, depth)
    if person.kind == "unclear":
        depth = max(depth, camera.depth(y + h)) + 3  # a reflection or poster hangs on something behind
        return _crowd(stage, 0, person, depth)
    if person.kind in ("sitting", "unusual"):
        figure = draw(max(h, 8), Look(rng), _shaped_pose(rng, person), light.side)
        pixels = cv2.resize(figure.pixels, (w, h), interpolation=cv2.INTER_LINEAR_EXACT)
        figure, left = Figure(pixels, solid(pixels), w / 2), x
    else:
        riding = Pose("riding", between(rng, 0, 360), 0.4, float(rng.random()), (0.3, 0.3))
        pose = riding if person.kind == "rider" else walking_pose(rng)
        figure = draw(max(h, 4), Look(rng), pose, light.side)
        left = math.floor(x + w / 2 - figure.axis + 0.5)
    if y + h > camera.horizon + 4:  # else the ground where the feet are is above the horizon
        foot = camera.depth(y + h)
        half = 0.15 * h * foot / camera.focal
        stage.shadows.append(ground_oval(stage.world, camera.across(x + w / 2, foot), foot, half, half * 0.8))
    return [Actor(person.kind, number, depth, in_air(figure, light, depth), left, y)]


def _shaped_pose(rng: np.random.Generator, person: Person) -> Pose:
    """A pose that comes near the shape of the box."""
    shape = person.box[2] / person.box[3]
    side = 90.0 if chance(rng, 0.5) else 270.0
    if person.kind == "sitting":
        heading = between(rng, -30, 30) % 360 if shape < 0.62 else side + between(rng, -25, 25)
        return Pose("sitting", heading, 0.1, 0.3, (0.8, 1.0))
    posture: Posture = "standing" if shape < 0.55 else ("crouching" if shape < 0.95 else "bending")
    return Pose(posture, side + between(rng, -20, 20), 0.2, float(rng.random()), (0.4, 0.4))


def _crowd(stage: Stage, number: int, person: Person, depth: float) -> list[Actor]:
    """People side by side in a box; unclear ones are faint, as a reflection or someone very far is."""
    rng, light = stage.rng, stage.world.light
    x, y, w, h = person.box
    step = max(0.41 * h, 2.0)
    many = max(1, min(int(w / (0.85 * step)), 24))
    members = []
    for k in range(many):
        high = max(int(h * between(rng, 0.85, 1.0)) if many > 1 else h, 4)
        pixels = draw(high, Look(rng), walking_pose(rng), light.side).pixels[:h]
        left = x + int((k + 0.5) * w / many - pixels.shape[1] / 2)
        if person.kind == "unclear":
            pixels = ((pixels.astype(np.uint16) * 154) >> 8).astype(np.uint8)  # 154 of 256: 0.6 of the coverage
        figure = in_air(Figure(pixels, solid(pixels), pixels.shape[1] / 2), light, depth)
        members.append(Actor(person.kind, number, depth, figure, left, y + h - pixels.shape[0]))
    return members


def _hide(canvas: Canvas, stage: Stage, part: Region, side: str, box: Region, depth: float, kept: np.ndarray) -> None:
    """Paint a pillar, an awning or a wall over a hidden part of a box; what is `kept` (H, W) bool stays as it is."""
    rng, (x, y, w, h), (_, top, wide, tall) = stage.rng, part, box
    margin = max(2, int(wide * between(rng, 0.2, 0.7)))
    if side == "top":
        area = (x - margin, y - h // 2 - 2, w + 2 * margin, h + h // 2 + 2)
    elif side == "bottom":
        area = (x - margin, y, w + 2 * margin, h + max(1, h // 12))
    else:
        left = x - margin // 2 if side == "left" else x
        area = (left, top - tall // 3, w + margin // 2, tall + tall // 3 + tall // 40)
    x1, y1, x2, y2 = canvas.inside(*area)
    if x1 >= x2 or y1 >= y2:
        return
    colour = stage.world.light.seen(jitter(rng, pick(rng, _STONE)), depth)
    if side in ("left", "right"):  # round: darker towards both edges
        long = x2 - x1
        shares = [0.72 + 0.4 * (1 - abs(2 * (k + 0.5) / long - 0.9)) for k in range(long)]
        shape = (1, long, 3)
    else:
        long = y2 - y1
        lit, dark = max(1, long // 12), max(1, long // 8)
        shares = [1.2 if k < lit else (0.75 if k >= long - dark else 1.0) for k in range(long)]
        shape = (long, 1, 3)
    tones = np.array([scaled(colour, share) for share in shares], dtype=np.int16).reshape(shape)
    painted = tones + stage.world.patch(rng, y2 - y1, x2 - x1)[..., None]
    free = ~kept[y1:y2, x1:x2]
    canvas.image[y1:y2, x1:x2][free] = np.clip(painted, 0, 255).astype(np.uint8)[free]
    canvas.ids[y1:y2, x1:x2][free] = 0


def _covered(part: Region, boxes: list[Region]) -> bool:
    """Whether boxes of nearer people cover at least half of a part."""
    mask = np.zeros((max(part[3], 1), max(part[2], 1)), dtype=bool)
    for x, y, w, h in boxes:
        x1, y1 = x - part[0], y - part[1]
        mask[max(y1, 0) : max(y1 + h, 0), max(x1, 0) : max(x1 + w, 0)] = True
    return 2 * int(mask.sum()) >= mask.size
