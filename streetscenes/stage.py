"""The stage of a scene: the things and people on it, who hides whom, where people walk, and what is seen of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np

from streetscenes.canvas import Canvas, bounds, faded
from streetscenes.figures import Figure, Look, draw
from streetscenes.objects import Box, Thing, ground_oval
from streetscenes.settings import Kind, Person, Region
from streetscenes.skeleton import Pose
from streetscenes.world import Light, World, between, pick

# Whose full box goes from the head to the feet, seen or not, and how wide it is for its height, as in data sets.
UPRIGHT: tuple[Kind, ...] = ("upright", "rider")
RATIO = 0.41
# Someone of whom less than this share is to be seen is no pedestrian to find, but no background either.
LEAST_VISIBLE = 0.06

Place = tuple[float, float, int]  # the axis' column in pixels, the depth in metres and the height in pixels

# The spots of a box that tell how much of it is hidden.
_GRID = np.stack(np.meshgrid((np.arange(7) + 0.5) / 7, (np.arange(14) + 0.5) / 14), axis=-1).reshape(-1, 2)


@dataclass
class Actor:
    """A person on the stage, or one of a group; `number` marks its pixels and is shared by a group."""

    kind: Kind
    number: int
    depth: float
    figure: Figure
    x: int  # where the corner of the figure's sprite lies, in pixels
    y: int

    @property
    def body(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 (one past the end) of the person's own pixels, beyond the image's border too."""
        x1, y1, x2, y2 = bounds(self.figure.body) or (0, 0, 1, 1)
        return self.x + x1, self.y + y1, self.x + x2, self.y + y2

    @property
    def full_box(self) -> Region:
        """From the top of the head to the feet, and 0.41 as wide, where the person is upright."""
        x1, y1, x2, y2 = self.body
        if self.kind in UPRIGHT:
            return upright_box(self.x + self.figure.axis, y1, y2 - y1)
        return x1, y1, x2 - x1, y2 - y1

    def paint(self, canvas: Canvas, within: Region | None = None) -> None:
        """Draw the figure, or what of it is `within` a box: the person's pixels get its number, a bicycle's get 0."""
        canvas.paste(self.figure.pixels, self.x, self.y, self.figure.body, self.number, within)


class Stage:
    """The things and actors of a scene, and what they cover."""

    def __init__(self, world: World, rng: np.random.Generator, shade: np.ndarray) -> None:
        self.world, self.rng = world, rng
        self.shade = shade  # (H, W) uint8, set where the houses' shadow lies on the ground
        self.things: list[Thing] = []
        self.actors: list[Actor] = []
        self.shadows: list[np.ndarray] = []  # the people's; things bring their own
        self.numbers = count(1)  # for the actors' pixels
        self._covers: list[tuple[float, Box]] = []
        self._limits: list[tuple[float, Box, float]] = []

    def add_thing(self, thing: Thing) -> None:
        """Put a thing on the stage."""
        self.things.append(thing)
        self._covers += [(thing.depth, box) for box in thing.cover]

    def add_actor(self, kind: Kind, look: Look, pose: Pose, place: Place, limit: float, number: int = 0) -> Actor:
        """Put a person on the stage, of whom others may hide a share of `limit`.

        Its pixels get a `number` of their own where none is given.
        """
        light, camera = self.world.light, self.world.camera
        column, depth, height = place
        foot = math.floor(camera.foot(depth) + 0.5)
        row, at = min(max(foot - 1, 0), self.world.height - 1), min(max(int(column), 0), self.world.width - 1)
        figure = in_air(draw(height, look, pose, light.side), light, depth, 196 if self.shade[row, at] else 256)
        lowest = int(np.flatnonzero(figure.body.any(axis=1))[-1])
        left = math.floor(column - figure.axis + 0.5)
        actor = Actor(kind, number or next(self.numbers), depth, figure, left, foot - lowest - 1)
        self.actors.append(actor)
        body: Box = actor.body
        self._covers.append((depth, body if kind == "rider" else slim(body)))
        self._limits.append((depth, body, limit))
        x = camera.across(column, depth)
        self.shadows.append(ground_oval(self.world, x, depth, 0.27, 0.2))
        if light.side and height >= 30:
            self.shadows.append(ground_oval(self.world, x - light.side * 0.85, depth + 0.12, 0.95, 0.17))
        return actor

    def hidden_share(self, box: Box, depth: float, extra: Box | None = None) -> float:
        """Roughly how much of a box nearer things and people, the image's border and `extra` hide."""
        spots = _GRID * (box[2] - box[0], box[3] - box[1]) + (box[0], box[1])
        x, y = spots[:, 0], spots[:, 1]
        hidden = (x < 0) | (x >= self.world.width) | (y < 0) | (y >= self.world.height)
        nearer = [cover for other, cover in self._covers if other < depth]
        for cover in nearer if extra is None else [*nearer, extra]:
            if overlap(cover, box):
                hidden |= (x >= cover[0]) & (x < cover[2]) & (y >= cover[1]) & (y < cover[3])
        return int(hidden.sum()) / len(spots)

    def fits(self, box: Box, depth: float, low: float, high: float) -> bool:
        """Whether a person there would be hidden by a share within the limits, and would not hide others too much."""
        narrow = slim(box)
        return low <= self.hidden_share(box, depth) <= high and not any(
            farther > depth and overlap(other, narrow) and self.hidden_share(other, farther, narrow) > limit
            for farther, other, limit in self._limits
        )

    def somewhere(self, depth: float) -> float:
        """Metres across of a place by lot where people walk at a depth, of what the image shows."""
        street, camera = self.world.street, self.world.camera
        if street.precinct:
            zones = [(street.left_front + 0.5, street.right_front - 0.5, 1.0)]
        else:
            crossing = street.crossing is not None and -0.5 < depth - street.crossing < 4
            on_the_road = 2.5 if crossing else (0.6 if depth < 14 else 0.3)
            zones = [
                (street.left_front + 0.4, street.left_kerb - 0.35, 1.0),
                (street.right_kerb + 0.35, street.right_front - 0.4, 1.0),
                (street.left_kerb + 0.3, street.right_kerb - 0.3, on_the_road),
            ]
        low, high = camera.across(0, depth), camera.across(self.world.width, depth)
        shown = [(max(a, low), min(b, high), weight) for a, b, weight in zones]
        shown = [zone for zone in shown if zone[1] - zone[0] > 0.1]  # never empty: the camera looks along the road
        low, high, _ = pick(self.rng, shown, [weight * (b - a) ** 0.5 for a, b, weight in shown])
        return between(self.rng, low, high)

    def candidate(self, height: int, metres: float) -> tuple[float, float] | None:
        """A column and a depth for someone of a height in pixels and in metres, if the image shows the feet."""
        camera = self.world.camera
        depth = camera.pixels(metres, 1.0) / height
        if camera.foot(depth) > self.world.height - 1:
            return None
        return camera.column(self.somewhere(depth), depth), depth

    def perform(self, canvas: Canvas, acts: Sequence[tuple[float, Callable[[Canvas], None]]]) -> None:
        """Paint the shadows on the ground, then the things and the `acts` at their depths, from far to near."""
        shadows = self.shadows + [outline for thing in self.things for outline in thing.shadow]
        canvas.shade(shadows, 0.42 if self.world.light.side else 0.3, blur=5)
        canvas.recording = True
        layers = [*((thing.depth, thing.paint) for thing in self.things), *acts]
        for _, paint in sorted(layers, key=lambda layer: -layer[0]):
            paint(canvas)


def overlap(first: Box, second: Box) -> bool:
    """Whether two boxes have a part in common."""
    return first[0] < second[2] and first[2] > second[0] and first[1] < second[3] and first[3] > second[1]


def slim(box: Box) -> Box:
    """The middle of a box, where a figure nearly fills it."""
    edge = 0.14 * (box[2] - box[0])
    return box[0] + edge, box[1], box[2] - edge, box[3]


def in_air(figure: Figure, light: Light, depth: float, shade: int = 256) -> Figure:
    """The figure in the air between it and the camera; `shade` of 256 is the light that reaches it."""
    pixels = figure.pixels.copy()
    pixels[..., :3] = (pixels[..., :3].astype(np.uint16) * shade) >> 8
    return Figure(faded(pixels, light.haze, light.haze_share(depth)), figure.body, figure.axis)


def upright_box(axis: float, top: int, height: int) -> Region:
    """The full box of an upright person around the column of its axis."""
    width = max(int(RATIO * height + 0.5), 1)
    return math.floor(axis - width / 2 + 0.5), top, width, height


def people_seen(actors: list[Actor], unclear: list[Region], ids: np.ndarray) -> list[Person]:
    """Everybody who is to be seen in the finished buffer `ids`, by numbers, then what can't be told.

    People who can't be seen are left out; those of whom too little is left become unclear.
    """
    people: list[Person] = []
    hidden: list[Region] = []
    for number in sorted({actor.number for actor in actors} - {0}):
        members = [actor for actor in actors if actor.number == number]
        bodies = np.array([member.body for member in members]).clip(0)
        left, top = bodies[:, :2].min(axis=0).tolist()
        right, bottom = bodies[:, 2:].max(axis=0).tolist()
        mask = ids[top:bottom, left:right] == number
        box = bounds(mask)
        if box is None:
            continue
        x1, y1, x2, y2 = box[0] + left, box[1] + top, box[2] + left, box[3] + top
        seen: Region = (x1, y1, x2 - x1, y2 - y1)
        actor = members[0]
        visible = _visible_box(actor, (x1, y1, x2, y2), *ids.shape)
        if actor.kind == "group":
            people.append(Person("group", seen, None))
        elif visible is None or int(mask.sum()) / int(actor.figure.body.sum()) < LEAST_VISIBLE:
            hidden.append(seen)
        else:
            # Who sits or bends is boxed by what is visible.
            people.append(Person(actor.kind, actor.full_box if actor.kind in UPRIGHT else visible, visible))
    return people + [Person("unclear", region, region) for region in (*hidden, *unclear)]


def _visible_box(actor: Actor, seen: Region, height: int, width: int) -> Region | None:
    """The full box x, y, w, h cut where the body is hidden, and at the borders of the image; None where nothing is left.

    `seen` is x1, y1, x2, y2 of the pixels that are visible. A side where nothing is hidden stays where the full box has
    it, for an arm does not always reach there.
    """
    full, body = actor.full_box, actor.body
    slack = max(1, (body[3] - body[1]) // 40)  # less hidden than that is no occlusion
    x1, y1 = max(full[0], 0), max(full[1], 0)
    x2, y2 = min(full[0] + full[2], width), min(full[1] + full[3], height)
    x1 = max(x1, seen[0]) if seen[0] > body[0] + slack else x1
    y1 = max(y1, seen[1]) if seen[1] > body[1] + slack else y1
    x2 = min(x2, seen[2]) if seen[2] < body[2] - slack else x2
    y2 = min(y2, seen[3]) if seen[3] < body[3] - slack else y2
    return (x1, y1, x2 - x1, y2 - y1) if x1 < x2 and y1 < y2 else None
