"""People where a given layout has them: full boxes, visible parts, sitters, groups and unclear ones."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from streetscenes.backdrop import patch
from streetscenes.canvas import Canvas, Colour, scaled, solid
from streetscenes.figures import Figure, draw, look_by_lot
from streetscenes.lots import between, chance, jitter, pick
from streetscenes.objects import ground_oval
from streetscenes.placing import STATURE, walking_pose
from streetscenes.settings import Person, Region
from streetscenes.skeleton import Pose, Posture
from streetscenes.stage import Actor, Stage, in_air
from streetscenes.world import Camera

# Cameras in cars stand about 1.2 m above the road, and adults are about 1.74 m tall.
CAMERA_HEIGHT, ADULT = 1.2, 1.74

_STONE: tuple[Colour, ...] = ((128, 132, 136), (104, 120, 140), (90, 100, 130), (150, 154, 156), (62, 76, 88))


@dataclass
class _Role:
    """A person of the layout, and the figures that play it."""

    person: Person
    depth: float
    actors: list[Actor]

    @property
    def upright(self) -> bool:
        """Whether the person has a full and a visible box of its own."""
        return self.person.kind in ("upright", "rider")

    @property
    def hidden(self) -> dict[str, Region]:
        """By side, the parts of the full box beyond the visible box, where they exceed the annotators' slack."""
        if not self.upright:
            return {}
        x, y, w, h = self.person.box
        vx, vy, vw, vh = self.person.visible or self.person.box
        across, up = max(2, round(0.16 * w)), max(2, round(0.045 * h))
        beyond = {
            "left": (vx - x, across, (x, y, vx - x, h)),
            "right": (x + w - vx - vw, across, (vx + vw, y, x + w - vx - vw, h)),
            "top": (vy - y, up, (x, y, w, vy - y)),
            "bottom": (y + h - vy - vh, up, (x, vy + vh, w, y + h - vy - vh)),
        }
        return {side: part for side, (length, slack, part) in beyond.items() if length > slack}

    @property
    def shown(self) -> Region:
        """The box that may be painted: cut to the visible box where something is hidden."""
        x, y, w, h = self.person.box
        if not self.upright:
            return x, y, w, h
        vx, vy, vw, vh = self.person.visible or self.person.box
        sides = self.hidden
        x1, x2 = vx if "left" in sides else x - w, vx + vw if "right" in sides else x + 2 * w
        wheels = h // 4 if self.person.kind == "rider" else 1
        y1, y2 = vy if "top" in sides else y - 1, vy + vh if "bottom" in sides else y + h + wheels
        return x1, y1, x2 - x1, y2 - y1


def fitted_camera(people: tuple[Person, ...], drawn: Camera, height: int, width: int) -> Camera:
    """The camera under which the people stand on flat ground: feet are lower the taller someone is."""
    boxes = [person.box for person in people if person.kind in ("upright", "rider")]
    horizon = 0.4 * height
    if boxes:
        guesses = sorted(y + h * (1 - CAMERA_HEIGHT / ADULT) for _, y, _, h in boxes)
        horizon = min(max(guesses[len(guesses) // 2], 0.3 * height), 0.55 * height)
    return Camera(1.1 * width, drawn.centre, horizon, CAMERA_HEIGHT)


def perform_layout(canvas: Canvas, stage: Stage, people: tuple[Person, ...]) -> None:
    """Paint the things of the stage and the people, from far to near, with what hides the parts that are not visible.

    A person's pixels get its position in `people`, from 1. Things that would hide somebody are left out.
    """
    roles = [_role(stage, number, person) for number, person in enumerate(people, start=1)]
    roles.sort(key=lambda role: -role.depth)
    stage.things = [thing for thing in stage.things if _harmless(thing.depth, thing.cover, roles)]
    stage.shadows += [outline for thing in stage.things for outline in thing.shadow]
    stage.paint_shadows(canvas)
    canvas.recording = True
    queue = [(-thing.depth, 0, k) for k, thing in enumerate(stage.things)]
    queue += [(-role.depth, 1, k) for k, role in enumerate(roles)]
    kept = np.zeros(canvas.ids.shape, dtype=bool)  # the visible boxes of the people painted so far
    for _, is_role, k in sorted(queue):
        if not is_role:
            stage.things[k].paint(canvas)
            continue
        role = roles[k]
        for actor in role.actors:
            _cut(actor, role.shown).paint(canvas)
        if role.person.kind != "group":
            x1, y1, x2, y2 = canvas.inside(*role.shown)
            kept[y1:y2, x1:x2] = True
        nearer = [other.person.box for other in roles[k + 1 :] if other.person.kind != "unclear"]
        for side, part in role.hidden.items():
            if not _covered(part, nearer):
                _hide(canvas, stage, part, side, role, kept)


def _role(stage: Stage, number: int, person: Person) -> _Role:
    camera = stage.world.camera
    x, y, w, h = person.box
    share = {"sitting": STATURE["sitting"], "unusual": STATURE["bending"]}.get(person.kind, 1.0)
    depth = camera.pixels(share * ADULT, 1.0) / h
    if person.kind == "unclear":
        depth = max(depth, camera.depth(y + h)) + 3  # a reflection or poster hangs on something behind
    if person.kind in ("unclear", "group"):
        return _Role(person, depth, _crowd(stage, 0 if person.kind == "unclear" else number, person, depth))
    rng, light = stage.rng, stage.world.light
    if person.kind in ("sitting", "unusual"):
        figure = draw(max(h, 8), look_by_lot(rng), _shaped_pose(rng, person), light.side)
        pixels = cv2.resize(figure.pixels, (w, h), interpolation=cv2.INTER_LINEAR_EXACT)
        figure, left, top = Figure(pixels, solid(pixels), w / 2), x, y
    else:
        riding = Pose("riding", between(rng, 0, 360), 0.4, float(rng.random()), (0.3, 0.3))
        pose = riding if person.kind == "rider" else walking_pose(rng)
        figure = draw(max(h, 4), look_by_lot(rng), pose, light.side)
        left, top = int(np.floor(x + w / 2 - figure.axis + 0.5)), y
    if y + h > camera.horizon + 4:  # else the ground where the feet are is above the horizon
        foot = camera.depth(y + h)
        half = 0.15 * h * foot / camera.focal
        stage.shadows.append(ground_oval(stage.world, camera.across(x + w / 2, foot), foot, half, half * 0.8))
    return _Role(person, depth, [Actor(person.kind, number, depth, in_air(figure, light, depth), left, top)])


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
        pixels = draw(high, look_by_lot(rng), walking_pose(rng), light.side).pixels[:h]
        left = x + int((k + 0.5) * w / many - pixels.shape[1] / 2)
        # Nothing of it may leave the box.
        cut_left, cut_right = max(x - left, 0), max(left + pixels.shape[1] - x - w, 0)
        pixels = pixels[:, cut_left : pixels.shape[1] - cut_right]
        if person.kind == "unclear":
            pixels = ((pixels.astype(np.uint16) * 154) >> 8).astype(np.uint8)  # 154 of 256: 0.6 of the coverage
        if pixels.shape[1]:
            figure = in_air(Figure(pixels, solid(pixels), pixels.shape[1] / 2), light, depth)
            members.append(Actor(person.kind, number, depth, figure, left + cut_left, y + h - pixels.shape[0]))
    return members


def _hide(canvas: Canvas, stage: Stage, part: Region, side: str, role: _Role, kept: np.ndarray) -> None:
    """Paint a pillar, an awning or a wall over a hidden part; pixels in `kept` (H, W) bool stay as they are."""
    rng, (x, y, w, h), (_, top, wide, tall) = stage.rng, part, role.person.box
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
    colour = stage.world.light.seen(jitter(rng, pick(rng, _STONE)), role.depth)
    long = x2 - x1 if side in ("left", "right") else y2 - y1
    if side in ("left", "right"):  # round: darker towards both edges
        shares = [0.72 + 0.4 * (1 - abs(2 * (k + 0.5) / long - 0.9)) for k in range(long)]
    else:
        lit, dark = max(1, long // 12), max(1, long // 8)
        shares = [1.2 if k < lit else (0.75 if k >= long - dark else 1.0) for k in range(long)]
    tones = np.array([scaled(colour, share) for share in shares], dtype=np.int16)
    painted = tones[None] if side in ("left", "right") else tones[:, None]
    painted = painted + patch(stage.tile, rng, y2 - y1, x2 - x1)[..., None]
    free = ~kept[y1:y2, x1:x2]
    canvas.image[y1:y2, x1:x2][free] = np.clip(painted, 0, 255).astype(np.uint8)[free]
    canvas.ids[y1:y2, x1:x2][free] = 0


def _cut(actor: Actor, region: Region) -> Actor:
    """The actor with nothing outside a region of the image."""
    height, width = actor.figure.body.shape
    x1, y1 = max(region[0] - actor.x, 0), max(region[1] - actor.y, 0)
    x2 = max(min(region[0] + region[2] - actor.x, width), x1)
    y2 = max(min(region[1] + region[3] - actor.y, height), y1)
    pixels, body = actor.figure.pixels[y1:y2, x1:x2], actor.figure.body[y1:y2, x1:x2]
    return replace(actor, figure=Figure(pixels, body, actor.figure.axis - x1), x=actor.x + x1, y=actor.y + y1)


def _covered(part: Region, boxes: list[Region]) -> bool:
    """Whether boxes of nearer people cover at least half of a part."""
    mask = np.zeros((max(part[3], 1), max(part[2], 1)), dtype=bool)
    for x, y, w, h in boxes:
        x2, y2 = x + w - part[0], y + h - part[1]
        if x2 > 0 and y2 > 0:
            mask[max(y - part[1], 0) : y2, max(x - part[0], 0) : x2] = True
    return 2 * int(mask.sum()) >= mask.size


def _harmless(depth: float, cover: list[tuple[float, float, float, float]], roles: list[_Role]) -> bool:
    """Whether a thing of the street hides nobody of the layout."""
    for role in roles:
        x, y, w, h = role.person.box
        if depth <= role.depth and any(a < x + w and c > x and b < y + h and d > y for a, b, c, d in cover):
            return False
    return True
