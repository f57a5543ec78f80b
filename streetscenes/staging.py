"""The stage of a scene: the things and people on it, who hides whom, and where people walk."""

from __future__ import annotations

import cv2
import numpy as np

from streetscenes import looks
from streetscenes.actors import RIDER, Actor, in_air
from streetscenes.canvas import Canvas
from streetscenes.figures import Figure, draw
from streetscenes.looks import between, pick
from streetscenes.skeleton import Pose
from streetscenes.things import Box, Thing, ground_oval
from streetscenes.world import World

# The spots of a box that tell how much of it is hidden.
_GRID = np.stack(np.meshgrid((np.arange(7) + 0.5) / 7, (np.arange(14) + 0.5) / 14), axis=-1).reshape(-1, 2)


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

    def hidden_share(self, box: Box, depth: float, extra: Box | None = None) -> float:
        """Roughly how much of a box (x1 y1 x2 y2) nearer things and people, the picture's border and `extra` hide."""
        spots = _GRID * (box[2] - box[0], box[3] - box[1]) + (box[0], box[1])
        hidden = (
            (spots[:, 0] < 0)
            | (spots[:, 0] >= self.world.width)
            | (spots[:, 1] < 0)
            | (spots[:, 1] >= self.world.height)
        )
        nearer = [cover for other, cover in self._covers if other < depth]
        if extra is not None:
            nearer.append(extra)
        for x1, y1, x2, y2 in nearer:
            if x1 < box[2] and x2 > box[0] and y1 < box[3] and y2 > box[1]:
                hidden |= (spots[:, 0] >= x1) & (spots[:, 0] < x2) & (spots[:, 1] >= y1) & (spots[:, 1] < y2)
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

    def add_actor(
        self, kind: int, number: int, look: looks.Look, pose: Pose, place: tuple[float, float, int], limit: float
    ) -> Actor:
        """Put a person on the stage: `place` is x in pixels of the axis, depth in metres and the height in pixels."""
        world = self.world
        column, depth, height = place
        start = self.rng.integers(0, self.tile.shape[0] // 2, 2)
        figure = draw(height, look, pose, world.light.side, self.tile[start[0] :, start[1] :])
        foot = int(np.floor(world.camera.foot(depth) + 0.5))
        figure = self._in_place(figure, column, depth, foot)
        rows = np.flatnonzero(figure.body.any(axis=1))
        actor = Actor(kind, number, depth, figure, int(np.floor(column - figure.axis + 0.5)), foot - int(rows[-1]) - 1)
        self.actors.append(actor)
        x1, y1, x2, y2 = actor.body
        self._covers.append((depth, slim((x1, y1, x2, y2)) if kind != RIDER else (x1, y1, x2, y2)))
        self._limits.append((depth, (x1, y1, x2, y2), limit))
        self._cast_shadow(column, depth, height, foot)
        return actor

    def _in_place(self, figure: Figure, column: float, depth: float, foot: int) -> Figure:
        light = self.world.light
        shaded = False
        if self.shade is not None:
            row, at = min(max(foot - 1, 0), self.world.height - 1), min(max(int(column), 0), self.world.width - 1)
            shaded = bool(self.shade[row, at])
        return in_air(figure, light.haze, light.haze_share(depth), 196 if shaded else 256)

    def _cast_shadow(self, column: float, depth: float, height: int, foot: int) -> None:
        world = self.world
        x = world.camera.across(column, depth)
        self.shadows.append(ground_oval(world, x, depth, 0.27, 0.2))
        if world.light.side and height >= 30:
            side = world.light.side
            self.shadows.append(ground_oval(world, x - side * 0.85, depth + 0.12, 0.95, 0.17))

    def zones(self, depth: float) -> list[tuple[float, float, float]]:
        """Where people walk at a depth: from and to in metres across, and a weight; only what the picture shows."""
        street = self.world.street
        if street.kind == "precinct":
            found = [(street.left_front + 0.5, street.right_front - 0.5, 1.0)]
        else:
            found = [
                (street.left_front + 0.4, street.left_kerb - 0.35, 1.0),
                (street.right_kerb + 0.35, street.right_front - 0.4, 1.0),
            ]
            near_crossing = street.crossing is not None and -0.5 < depth - street.crossing < 4
            found.append(
                (
                    street.left_kerb + 0.3,
                    street.right_kerb - 0.3,
                    2.5 if near_crossing else (0.6 if depth < 14 else 0.3),
                )
            )
        low = self.world.camera.across(0, depth)
        high = self.world.camera.across(self.world.width, depth)
        visible = [(max(a, low), min(b, high), weight) for a, b, weight in found]
        return [(a, b, weight * (b - a) ** 0.5) for a, b, weight in visible if b - a > 0.1]

    def candidate(self, height: int, metres: float) -> tuple[float, float] | None:
        """A place for someone of a height in pixels: the column of the axis and the depth, if people walk there."""
        depth = self.world.camera.pixels(metres, 1.0) / height
        if self.world.camera.foot(depth) > self.world.height - 1:
            return None
        zones = self.zones(depth)
        if not zones:
            return None
        low, high, _ = pick(self.rng, zones, [weight for _, _, weight in zones])
        return self.world.camera.column(between(self.rng, low, high), depth), depth


def paint_shadows(canvas: Canvas, stage: Stage) -> None:
    """Darken the ground where people and things throw their shadows."""
    shadow = np.zeros(canvas.ids.shape, dtype=np.uint8)
    for outline in stage.shadows:
        if len(outline):
            corners = np.rint(np.minimum(np.maximum(outline, -30000), 30000)).astype(np.int32)
            cv2.fillPoly(shadow, [corners], (255,))
    canvas.darken(cv2.blur(shadow, (5, 5)), 0.42 if stage.world.light.side else 0.3)


def slim(box: Box) -> Box:
    """The middle of a box, where a figure nearly fills it."""
    x1, y1, x2, y2 = box
    edge = 0.14 * (x2 - x1)
    return x1 + edge, y1, x2 - edge, y2
