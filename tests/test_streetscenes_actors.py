"""Annotation rows measured from the pixels drawn."""

from __future__ import annotations

import numpy as np
import pytest

from streetscenes.actors import GROUP, PEDESTRIAN, RIDER, SITTING, Actor, annotation_rows, upright_box
from streetscenes.canvas import Canvas, Sprite
from streetscenes.figures import Figure

HEIGHT, WIDTH = 120, 200


def block(width: int, height: int) -> Figure:
    """A figure without shape: one full rectangle."""
    pixels = np.full((height, width, 4), 255, dtype=np.uint8)
    return Figure(Sprite(pixels), np.ones((height, width), dtype=bool), width / 2)


def actor(kind: int, number: int, x: int, y: int, width: int = 20, height: int = 60) -> Actor:
    return Actor(kind, number, 10.0, block(width, height), x, y)


def rows_of(actors: list[Actor], *hiding: tuple[int, int, int, int]) -> list[list[int]]:
    """Rows of a picture where the actors are painted in order and then rectangles x1 y1 x2 y2 over them."""
    canvas = Canvas(HEIGHT, WIDTH)
    for one in actors:
        one.paint(canvas)
    canvas.recording = True
    for x1, y1, x2, y2 in hiding:
        canvas.ids[y1:y2, x1:x2] = 0
    return annotation_rows(actors, [], canvas.ids).astype(int).tolist()


def test_nothing_hidden_is_all_visible() -> None:
    # 0.41 x 60 = 24.6: a box 25 wide around the axis at 50.
    assert upright_box(50.0, 20, 60) == (38, 20, 25, 60)
    assert rows_of([actor(PEDESTRIAN, 1, 40, 20)]) == [[1, 38, 20, 25, 60, 24000, 38, 20, 25, 60]]


@pytest.mark.parametrize(
    ("hiding", "visible"),
    [
        ((40, 60, 60, 90), [38, 20, 25, 40]),  # a wall before the legs
        ((40, 10, 60, 30), [38, 30, 25, 50]),  # an awning before the head
        ((30, 10, 50, 90), [50, 20, 13, 60]),  # something on the left
        ((55, 10, 70, 90), [38, 20, 17, 60]),  # and on the right
        ((48, 10, 52, 90), [38, 20, 25, 60]),  # a pole in the middle leaves the box as it is
        ((40, 79, 60, 90), [38, 20, 25, 60]),  # one row is no occlusion
    ],
)
def test_hidden_sides_cut_the_visible_box(hiding: tuple[int, int, int, int], visible: list[int]) -> None:
    assert rows_of([actor(PEDESTRIAN, 1, 40, 20)], hiding) == [[1, 38, 20, 25, 60, 24000, *visible]]


def test_the_border_of_the_picture_hides_too() -> None:
    assert rows_of([actor(PEDESTRIAN, 1, -10, 20)]) == [[1, -12, 20, 25, 60, 24000, 0, 20, 13, 60]]
    assert rows_of([actor(PEDESTRIAN, 1, 190, 20)]) == [[1, 188, 20, 25, 60, 24000, 188, 20, 12, 60]]


def test_one_person_before_another() -> None:
    behind, before = actor(PEDESTRIAN, 1, 40, 20), actor(PEDESTRIAN, 2, 50, 24)
    first, second = rows_of([behind, before])
    # The four rows above the nearer one's head still reach the right side, but that is head, not width.
    assert first == [1, 38, 20, 25, 60, 24000, 38, 20, 25, 60]
    assert second[5:] == [24001, 48, 24, 25, 60]
    behind, before = actor(PEDESTRIAN, 1, 40, 24), actor(PEDESTRIAN, 2, 50, 20, height=70)
    first, _ = rows_of([behind, before])
    assert first[6:] == [38, 24, 12, 60]


def test_hidden_people() -> None:
    assert rows_of([actor(PEDESTRIAN, 1, 40, 20)], (0, 0, 200, 120)) == []
    # A strip of 2 of 60 rows: too little to be a pedestrian, an ignore region instead.
    assert rows_of([actor(PEDESTRIAN, 1, 40, 20)], (0, 22, 200, 120)) == [[0, 40, 20, 20, 2, 0, 40, 20, 20, 2]]


def test_other_classes() -> None:
    rows = rows_of(
        [
            actor(RIDER, 1, 40, 20),
            actor(SITTING, 2, 100, 50, 30, 40),
            actor(GROUP, 3, 140, 30),
            actor(GROUP, 3, 155, 32),
        ]
    )
    assert rows == [
        [2, 38, 20, 25, 60, 25000, 38, 20, 25, 60],
        [3, 100, 50, 30, 40, 24000, 100, 50, 30, 40],
        # Like the real files: a bare label number, no visible box.
        [5, 140, 30, 35, 62, 24, 0, 0, 0, 0],
    ]


def test_ignore_regions_come_last() -> None:
    canvas = Canvas(HEIGHT, WIDTH)
    person = actor(PEDESTRIAN, 1, 40, 20)
    person.paint(canvas)
    rows = annotation_rows([person], [(5, 6, 7, 8)], canvas.ids)
    assert rows.shape == (2, 10)
    assert rows[1].tolist() == [0, 5, 6, 7, 8, 0, 5, 6, 7, 8]
    assert annotation_rows([], [], canvas.ids).shape == (0, 10)
