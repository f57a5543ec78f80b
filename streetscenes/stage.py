"""The stage of a scene: the things and people on it, who hides whom, where people walk, and what is seen of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streetscenes.canvas import Canvas, bounds, faded
from streetscenes.figures import Figure, Look, draw
from streetscenes.lots import between, pick
from streetscenes.objects import Box, Thing, ground_oval
from streetscenes.settings import Kind, Person, Region
from streetscenes.skeleton import Pose
from streetscenes.world import Light, World

RATIO = 0.41
"""Width / height of the full box of upright people, as data sets of pedestrians have it."""

LEAST_VISIBLE = 0.06
"""Someone of whom less than this share is to be seen is no pedestrian to find, but no background either."""

# The spots of a box that tell how much of it is hidden.
_GRID = np.stack(np.meshgrid((np.arange(7) + 0.5) / 7, (np.arange(14) + 0.5) / 14), axis=-1).reshape(-1, 2)


@dataclass
class Actor:
    """A person on the stage, or one of a group; `number` marks its pixels and is shared by a group."""

    kind: Kind
    number: int
    depth: float
    figure: Figure
    x: int
    y: int
    """Where the corner of the figure's sprite lies."""

    @property
    def body(self) -> tuple[int, int, int, int]:
        """x1, y1, x2, y2 (one past the end) of the person's own pixels, beyond the image's border too."""
        x1, y1, x2, y2 = bounds(self.figure.body) or (0, 0, 1, 1)
        return self.x + x1, self.y + y1, self.x + x2, self.y + y2

    @property
    def full_box(self) -> Region:
        """From the top of the head to the feet, and 0.41 as wide, where the person is upright."""
        x1, y1, x2, y2 = self.body
        if self.kind in ("upright", "rider"):
            return upright_box(self.x + self.figure.axis, y1, y2 - y1)
        return x1, y1, x2 - x1, y2 - y1

    def paint(self, canvas: Canvas) -> None:
        """Draw the figure and mark its pixels: the person's with its number, a bicycle's with 0."""
        canvas.paste(self.figure.pixels, self.x, self.y, self.figure.body, self.number)


class Stage:
    """The things and actors of a scene, and what they cover."""

    def __init__(
        self, world: World, rng: np.random.Generator, tile: np.ndarray, shade: np.ndarray | None = None
    ) -> None:
        self.world = world
        self.rng = rng
        self.tile = tile
        self.shade = shade
        """(H, W) uint8, set where the houses' shadow lies on the ground."""
        self.things: list[Thing] = []
        self.actors: list[Actor] = []
        self.shadows: list[np.ndarray] = []
        self._covers: list[tuple[float, Box]] = []
        self._limits: list[tuple[float, Box, float]] = []
        self._number = 0

    def add_thing(self, thing: Thing) -> None:
        """Put a thing on the stage."""
        self.things.append(thing)
        self.shadows += thing.shadow
        self._covers += [(thing.depth, box) for box in thing.cover]

    def next_number(self) -> int:
        """A number for an actor's pixels."""
        self._number += 1
        return self._number

    def add_actor(
        self, kind: Kind, number: int, look: Look, pose: Pose, place: tuple[float, float, int], limit: float
    ) -> Actor:
        """Put a person on the stage, of whom others may hide a share of `limit`.

        `place` is the axis' column in pixels, the depth in metres and the height in pixels.
        """
        light, camera = self.world.light, self.world.camera
        column, depth, height = place
        foot = int(np.floor(camera.foot(depth) + 0.5))
        row, at = min(max(foot - 1, 0), self.world.height - 1), min(max(int(column), 0), self.world.width - 1)
        shaded = self.shade is not None and bool(self.shade[row, at])
        figure = draw(height, look, pose, light.side)
        figure = in_air(figure, light, depth, 196 if shaded else 256)
        lowest = int(np.flatnonzero(figure.body.any(axis=1))[-1])
        actor = Actor(kind, number, depth, figure, int(np.floor(column - figure.axis + 0.5)), foot - lowest - 1)
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
        for x1, y1, x2, y2 in nearer if extra is None else [*nearer, extra]:
            if x1 < box[2] and x2 > box[0] and y1 < box[3] and y2 > box[1]:
                hidden |= (x >= x1) & (x < x2) & (y >= y1) & (y < y2)
        return int(hidden.sum()) / len(spots)

    def fits(self, box: Box, depth: float, low: float, high: float) -> bool:
        """Whether a person there would be hidden by a share within the limits, and would not hide others too much."""
        if not low <= self.hidden_share(box, depth) <= high:
            return False
        narrow = slim(box)
        for other_depth, other, limit in self._limits:
            apart = other[2] <= narrow[0] or other[0] >= narrow[2] or other[3] <= narrow[1] or other[1] >= narrow[3]
            if other_depth > depth and not apart and self.hidden_share(other, other_depth, narrow) > limit:
                return False
        return True

    def zones(self, depth: float) -> list[tuple[float, float, float]]:
        """Where people walk at a depth: from and to in metres across, and a weight; only what the image shows."""
        street, camera = self.world.street, self.world.camera
        if street.kind == "precinct":
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
        return [(a, b, weight * (b - a) ** 0.5) for a, b, weight in shown if b - a > 0.1]

    def candidate(self, height: int, metres: float) -> tuple[float, float] | None:
        """A column and a depth for someone of a height in pixels and in metres, if people walk there."""
        camera = self.world.camera
        depth = camera.pixels(metres, 1.0) / height
        zones = self.zones(depth)
        if camera.foot(depth) > self.world.height - 1 or not zones:
            return None
        low, high, _ = pick(self.rng, zones, [weight for _, _, weight in zones])
        return camera.column(between(self.rng, low, high), depth), depth

    def paint_shadows(self, canvas: Canvas) -> None:
        """Darken the ground where people and things throw their shadows."""
        canvas.shade(self.shadows, 0.42 if self.world.light.side else 0.3, blur=5)


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
    return int(np.floor(axis - width / 2 + 0.5)), top, width, height


def people_seen(actors: list[Actor], unclear: list[Region], ids: np.ndarray) -> list[Person]:
    """Everybody who is to be seen in the finished buffer `ids`, by numbers, then what can't be told.

    People who can't be seen are left out; those of whom too little is left become unclear.
    """
    people: list[Person] = []
    hidden: list[Region] = []
    numbers: dict[int, list[Actor]] = {}
    for actor in actors:
        numbers.setdefault(actor.number, []).append(actor)
    for number, members in sorted(numbers.items()):
        bodies = np.array([member.body for member in members]).clip(0)
        left, top = (int(value) for value in bodies[:, :2].min(axis=0))
        right, bottom = (int(value) for value in bodies[:, 2:].max(axis=0))
        mask = ids[top:bottom, left:right] == number
        box = bounds(mask)
        if box is None:
            continue
        x1, y1, x2, y2 = box[0] + left, box[1] + top, box[2] + left, box[3] + top
        seen: Region = (x1, y1, x2 - x1, y2 - y1)
        actor = members[0]
        if actor.kind == "group":
            people.append(Person("group", seen, None))
            continue
        share = int(mask.sum()) / sum(int(member.figure.body.sum()) for member in members)
        visible = visible_box(actor.full_box, actor.body, (x1, y1, x2, y2), *ids.shape)
        if visible is None or share < LEAST_VISIBLE:
            hidden.append(seen)
        else:
            # Who sits or bends is boxed by what is visible.
            box_of = actor.full_box if actor.kind in ("upright", "rider") else visible
            people.append(Person(actor.kind, box_of, visible))
    return people + [Person("unclear", region, region) for region in (*hidden, *unclear)]


def visible_box(full: Region, body: Region, seen: Region, height: int, width: int) -> Region | None:
    """The full box x, y, w, h cut where the body is hidden, and at the borders of the image; None where nothing is left.

    `body` and `seen` are x1, y1, x2, y2 of all the person's pixels and of the visible ones. A side where nothing is
    hidden stays where the full box has it, for an arm does not always reach there.
    """
    slack = max(1, (body[3] - body[1]) // 40)  # less hidden than that is no occlusion
    x1, y1 = max(full[0], 0), max(full[1], 0)
    x2, y2 = min(full[0] + full[2], width), min(full[1] + full[3], height)
    x1 = max(x1, seen[0]) if seen[0] > body[0] + slack else x1
    y1 = max(y1, seen[1]) if seen[1] > body[1] + slack else y1
    x2 = min(x2, seen[2]) if seen[2] < body[2] - slack else x2
    y2 = min(y2, seen[3]) if seen[3] < body[3] - slack else y2
    return (x1, y1, x2 - x1, y2 - y1) if x1 < x2 and y1 < y2 else None
