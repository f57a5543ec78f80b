"""Boxes measured from the pixels drawn."""

from __future__ import annotations

import numpy as np
import pytest

from streetscenes import Kind, Person
from streetscenes.canvas import Canvas
from streetscenes.figures import Figure
from streetscenes.stage import Actor, people_seen, upright_box

HEIGHT, WIDTH = 120, 200


def block(width: int, height: int) -> Figure:
    """A figure without shape: one full rectangle."""
    pixels = np.full((height, width, 4), 255, dtype=np.uint8)
    return Figure(pixels, np.ones((height, width), dtype=bool), width / 2)


def actor(kind: Kind, number: int, x: int, y: int, width: int = 20, height: int = 60) -> Actor:
    return Actor(kind, number, 10.0, block(width, height), x, y)


def seen(actors: list[Actor], *hiding: tuple[int, int, int, int]) -> list[Person]:
    """People of an image where the actors are painted in order and then rectangles x1 y1 x2 y2 over them."""
    canvas = Canvas(HEIGHT, WIDTH)
    for one in actors:
        one.paint(canvas)
    for x1, y1, x2, y2 in hiding:
        canvas.ids[y1:y2, x1:x2] = 0
    return people_seen(actors, [], canvas.ids)


def test_nothing_hidden_is_all_visible() -> None:
    # 0.41 x 60 = 24.6: a box 25 wide around the axis at 50.
    assert upright_box(50.0, 20, 60) == (38, 20, 25, 60)
    assert seen([actor("upright", 1, 40, 20)]) == [Person("upright", (38, 20, 25, 60), (38, 20, 25, 60))]


@pytest.mark.parametrize(
    ("hiding", "visible"),
    [
        ((40, 60, 60, 90), (38, 20, 25, 40)),  # a wall before the legs
        ((40, 10, 60, 30), (38, 30, 25, 50)),  # an awning before the head
        ((30, 10, 50, 90), (50, 20, 13, 60)),  # something on the left
        ((55, 10, 70, 90), (38, 20, 17, 60)),  # and on the right
        ((48, 10, 52, 90), (38, 20, 25, 60)),  # a pole in the middle leaves the box as it is
        ((40, 79, 60, 90), (38, 20, 25, 60)),  # one row is no occlusion
    ],
)
def test_hidden_sides_cut_the_visible_box(
    hiding: tuple[int, int, int, int], visible: tuple[int, int, int, int]
) -> None:
    assert seen([actor("upright", 1, 40, 20)], hiding) == [Person("upright", (38, 20, 25, 60), visible)]


def test_the_border_of_the_image_hides_too() -> None:
    assert seen([actor("upright", 1, -10, 20)]) == [Person("upright", (-12, 20, 25, 60), (0, 20, 13, 60))]
    assert seen([actor("upright", 1, 190, 20)]) == [Person("upright", (188, 20, 25, 60), (188, 20, 12, 60))]


def test_one_person_before_another() -> None:
    first, second = seen([actor("upright", 1, 40, 20), actor("upright", 2, 50, 24)])
    # The four rows above the nearer one's head still reach the right side, but that is head, not width.
    assert first.visible == (38, 20, 25, 60)
    assert second.visible == (48, 24, 25, 60)
    first, _ = seen([actor("upright", 1, 40, 24), actor("upright", 2, 50, 20, height=70)])
    assert first.visible == (38, 24, 12, 60)


def test_hidden_people() -> None:
    assert seen([actor("upright", 1, 40, 20)], (0, 0, 200, 120)) == []
    # A strip of 2 of 60 rows: too little to be a pedestrian.
    strip = (40, 20, 20, 2)
    assert seen([actor("upright", 1, 40, 20)], (0, 22, 200, 120)) == [Person("unclear", strip, strip)]


def test_other_kinds() -> None:
    people = [actor("rider", 1, 40, 20), actor("sitting", 2, 100, 50, 30, 40)]
    people += [actor("group", 3, 140, 30), actor("group", 3, 155, 32)]
    assert seen(people) == [
        Person("rider", (38, 20, 25, 60), (38, 20, 25, 60)),
        Person("sitting", (100, 50, 30, 40), (100, 50, 30, 40)),
        Person("group", (140, 30, 35, 62), None),
    ]


def test_what_cannot_be_told_comes_last() -> None:
    canvas = Canvas(HEIGHT, WIDTH)
    person = actor("upright", 1, 40, 20)
    person.paint(canvas)
    people = people_seen([person], [(5, 6, 7, 8)], canvas.ids)
    assert [one.kind for one in people] == ["upright", "unclear"]
    assert people[1] == Person("unclear", (5, 6, 7, 8), (5, 6, 7, 8))
    assert people_seen([], [], canvas.ids) == []
