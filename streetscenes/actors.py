"""People in a scene: a figure at its place, its full box, and the visible box measured from the pixels drawn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from streetscenes.canvas import Canvas, Sprite, bounds
from streetscenes.figures import Figure

IGNORE, PEDESTRIAN, RIDER, SITTING, UNUSUAL, GROUP = range(6)

# CityPersons' full boxes of upright people have this width / height (spec/method.md, "Default boxes").
RATIO = 0.41

# Someone of whom less than this share is to be seen is no pedestrian to find, but no background either.
LEAST_VISIBLE = 0.06

# Cityscapes' label numbers times 1000, which CityPersons' instance numbers start from: person and rider.
PERSON_LABEL, RIDER_LABEL = 24, 25


@dataclass
class Actor:
    """A person in the picture, or one of a group; `number` marks its pixels and is shared by a group."""

    kind: int
    number: int
    depth: float
    figure: Figure
    x: int
    y: int
    """Where the corner of the figure's sprite lies."""

    @property
    def body(self) -> tuple[int, int, int, int]:
        """x1 y1 x2 y2 (one past the end) of the person's own pixels, beyond the picture's border too."""
        x1, y1, x2, y2 = bounds(self.figure.body) or (0, 0, 1, 1)
        return self.x + x1, self.y + y1, self.x + x2, self.y + y2

    @property
    def full_box(self) -> tuple[int, int, int, int]:
        """The full box x y w h: from the top of the head to the feet, and 0.41 as wide, where the person is upright."""
        x1, y1, x2, y2 = self.body
        if self.kind in (PEDESTRIAN, RIDER):
            return upright_box(self.x + self.figure.axis, y1, y2 - y1)
        return x1, y1, x2 - x1, y2 - y1

    def paint(self, canvas: Canvas) -> None:
        """Draw the figure and mark its pixels: the person's with its number, a bicycle's with 0."""
        canvas.paste(self.figure.sprite, self.x, self.y, 0)
        h, w = self.figure.body.shape
        x1, y1, x2, y2 = max(self.x, 0), max(self.y, 0), min(self.x + w, canvas.width), min(self.y + h, canvas.height)
        if x1 < x2 and y1 < y2:
            body = self.figure.body[y1 - self.y : y2 - self.y, x1 - self.x : x2 - self.x]
            canvas.ids[y1:y2, x1:x2][body] = self.number


def upright_box(axis: float, top: int, height: int) -> tuple[int, int, int, int]:
    """The full box x y w h of an upright person around the column of its axis."""
    width = max(int(RATIO * height + 0.5), 1)
    return int(np.floor(axis - width / 2 + 0.5)), top, width, height


def annotation_rows(actors: list[Actor], ignored: list[tuple[int, int, int, int]], ids: np.ndarray) -> np.ndarray:
    """CityPersons' rows (n, 10) for what is to be seen: people in the order of their numbers, then ignore regions.

    `ids` is the finished buffer; `ignored` are boxes x y w h. People who can't be seen have no row; those of whom too
    little is left become ignore regions.
    """
    rows: list[list[int]] = []
    hidden: list[tuple[int, int, int, int]] = []
    numbers: dict[int, list[Actor]] = {}
    for actor in actors:
        numbers.setdefault(actor.number, []).append(actor)
    counts = {PERSON_LABEL: 0, RIDER_LABEL: 0}
    for number, members in sorted(numbers.items()):
        seen = _seen(ids, number, members)
        if seen is None:
            continue
        (x1, y1, x2, y2), share = seen
        if members[0].kind == GROUP:
            # The real files give groups the bare label number and no visible box.
            rows.append([GROUP, x1, y1, x2 - x1, y2 - y1, PERSON_LABEL, 0, 0, 0, 0])
            continue
        actor = members[0]
        full = actor.full_box
        visible = visible_box(full, actor.body, (x1, y1, x2, y2), *ids.shape)
        if visible is None or share < LEAST_VISIBLE:
            hidden.append((x1, y1, x2 - x1, y2 - y1))
            continue
        label = RIDER_LABEL if actor.kind == RIDER else PERSON_LABEL
        instance = 1000 * label + counts[label]
        counts[label] += 1
        if actor.kind in (SITTING, UNUSUAL):  # annotated by what is visible, as in the real files
            full = visible
        rows.append([actor.kind, *full, instance, *visible])
    rows += [[IGNORE, *box, 0, *box] for box in (*hidden, *ignored)]
    return np.array(rows, dtype=np.float64).reshape(-1, 10)


def _seen(ids: np.ndarray, number: int, members: list[Actor]) -> tuple[tuple[int, int, int, int], float] | None:
    boxes = [member.body for member in members]
    left, top = max(min(box[0] for box in boxes), 0), max(min(box[1] for box in boxes), 0)
    right, bottom = max(max(box[2] for box in boxes), 0), max(max(box[3] for box in boxes), 0)
    region = ids[top:bottom, left:right] == number
    box = bounds(region)
    if box is None:
        return None
    total = sum(int(member.figure.body.sum()) for member in members)
    return (box[0] + left, box[1] + top, box[2] + left, box[3] + top), int(region.sum()) / total


def visible_box(
    full: tuple[int, int, int, int],
    body: tuple[int, int, int, int],
    seen: tuple[int, int, int, int],
    height: int,
    width: int,
) -> tuple[int, int, int, int] | None:
    """The full box x y w h cut where the body is hidden, and at the borders of the picture of height x width px.

    `body` and `seen` are x1 y1 x2 y2 of all the person's pixels and of the visible ones.
    A side where nothing is hidden stays where the full box has it, for an arm does not always reach there. None where
    nothing of the full box is left.
    """
    slack = max(1, (body[3] - body[1]) // 40)  # less hidden than that is no occlusion
    x1, y1 = max(full[0], 0), max(full[1], 0)
    x2, y2 = min(full[0] + full[2], width), min(full[1] + full[3], height)
    if seen[0] > body[0] + slack:
        x1 = max(x1, seen[0])
    if seen[1] > body[1] + slack:
        y1 = max(y1, seen[1])
    if seen[2] < body[2] - slack:
        x2 = min(x2, seen[2])
    if seen[3] < body[3] - slack:
        y2 = min(y2, seen[3])
    if x1 >= x2 or y1 >= y2:
        return None
    return x1, y1, x2 - x1, y2 - y1


def in_air(figure: Figure, haze: tuple[int, int, int], share: float, shade: int) -> Figure:
    """The figure in the air between it and the camera; `shade` of 256 is the light that reaches it."""
    sprite = figure.sprite
    if shade != 256:
        pixels = sprite.pixels.copy()
        pixels[..., :3] = (pixels[..., :3].astype(np.uint16) * shade) >> 8
        sprite = Sprite(pixels)
    return Figure(sprite.faded(haze, share), figure.body, figure.axis)
