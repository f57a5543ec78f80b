"""Scenes by a given layout."""

from __future__ import annotations

import numpy as np
import pytest

from streetscenes import Person, Region, Settings, StreetError, render
from streetscenes.canvas import Canvas, bounds
from streetscenes.layout import fitted_camera
from streetscenes.scene import compose
from streetscenes.settings import Kind
from streetscenes.world import World


def shown(kind: Kind, *box: int) -> Person:
    x, y, w, h = box
    return Person(kind, (x, y, w, h), None if kind == "group" else (x, y, w, h))


# Two people in full view, one behind something that hides the legs, one cut by the border, one of each other kind.
PEOPLE = (
    shown("upright", 150, 190, 41, 100),
    shown("upright", 350, 200, 21, 50),
    Person("upright", (450, 195, 33, 80), (450, 195, 33, 40)),
    Person("upright", (550, 195, 33, 80), (570, 195, 13, 80)),
    Person("upright", (-15, 190, 41, 100), (0, 190, 26, 100)),
    shown("rider", 650, 200, 29, 70),
    shown("sitting", 750, 215, 30, 45),
    shown("unusual", 825, 210, 45, 55),
    shown("group", 900, 200, 90, 40),
    shown("unclear", 250, 190, 30, 20),
)


def composed(people: tuple[Person, ...], seed: int = 1) -> Canvas:
    return compose(Settings(512, 1024, layout=people), seed)[0]


def test_figures_are_where_the_boxes_say() -> None:
    canvas = composed(PEOPLE)
    seen = [bounds(canvas.ids == number) for number in range(1, 11)]
    for index in (0, 1, 5):  # in full view
        x, y, w, h = PEOPLE[index].box
        box = seen[index]
        assert box is not None
        assert (box[1], box[3]) == (y, y + h)
        assert x - 0.5 * w < box[0] < box[2] < x + 1.5 * w
    legs, side, border = seen[2], seen[3], seen[4]
    assert legs is not None
    assert legs[3] == 235  # what hides the legs begins where the visible box ends
    assert side is not None
    assert side[0] >= 570
    assert border is not None
    assert border[0] == 0
    for index in (6, 7):  # stretched to their boxes
        x, y, w, h = PEOPLE[index].box
        box = seen[index]
        assert box is not None
        assert x <= box[0] < box[2] <= x + w
        assert y <= box[1] < box[3] <= y + h
        assert box[3] - box[1] > 0.9 * h
    group = seen[8]
    assert group is not None
    assert group[0] >= 900
    assert group[2] <= 990
    assert seen[9] is None  # nobody in particular


def test_people_are_returned_as_given() -> None:
    image, people = render(Settings(512, 1024, layout=PEOPLE), 1)
    assert tuple(people) == PEOPLE
    assert image.shape == (512, 1024, 3)


def test_what_hides_is_painted_over_the_hidden_part() -> None:
    free = (*PEOPLE[:2], shown("upright", *PEOPLE[2].box), *PEOPLE[3:])
    hidden, whole = composed(PEOPLE), composed(free)
    assert bounds(whole.ids == 3) is not None
    assert (whole.ids[236:275, 450:483] == 3).any()
    assert not (hidden.ids[236:275, 450:483] == 3).any()
    legs = np.abs(hidden.image[236:275, 450:483].astype(int) - whole.image[236:275, 450:483]).mean()
    assert legs > 5


def test_camera_follows_the_people() -> None:
    drawn = World(np.random.default_rng(0), 1024, 2048).camera
    people = tuple(shown("upright", 0, round(430 + h * 1.2 / 1.74 - h), 10, h) for h in (50, 80, 120, 300))
    assert fitted_camera(people, drawn, 1024, 2048).horizon == pytest.approx(430, abs=1)
    assert fitted_camera((), drawn, 1024, 2048).horizon == pytest.approx(0.4 * 1024)


AWKWARD: list[tuple[Kind, Region, Region | None]] = [
    ("upright", (2040, 10, 3, 7), (2040, 10, 3, 7)),
    ("upright", (0, 0, 400, 965), (0, 0, 400, 913)),
    ("upright", (5, 900, 60, 146), (5, 900, 60, 1)),
    ("rider", (-100, 300, 60, 146), (0, 300, 1, 146)),
    ("sitting", (5, 5, 1, 3), (5, 5, 1, 3)),
    ("unusual", (5, 5, 600, 3), (5, 5, 600, 3)),
    ("group", (613, 445, 1, 1), None),
    ("group", (100, 300, 1900, 40), None),
    ("unclear", (1900, 1000, 200, 5), (1900, 1000, 200, 5)),
]


def test_awkward_boxes_are_drawn() -> None:
    for size in ((128, 256), (256, 512)):
        people = tuple(Person(*person) for person in AWKWARD)
        assert render(Settings(*size, layout=people), 1)[0].shape == (*size, 3)


def test_impossible_settings_are_refused() -> None:
    with pytest.raises(StreetError, match="32 x 512"):
        Settings(512, 32)
    with pytest.raises(StreetError, match="at least 1 x 1"):
        Settings(512, 1024, layout=(Person("upright", (0, 0, 0, 10), None),))
