"""What a caller hands to the renderer and gets from it: the settings, the people with their boxes, the error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Kind = Literal["upright", "rider", "sitting", "unusual", "group", "unclear"]
"""upright: walks or stands. unusual: bends or crouches. group: people in one box. unclear: too far or hidden to tell."""

Region = tuple[int, int, int, int]
"""A box x, y, w, h in pixels: x + w and y + h are one past the last pixel."""


class StreetError(ValueError):
    """Settings that no street can be rendered by; the message says what was found and what is expected."""


@dataclass(frozen=True)
class Person:
    """A person in the image, or several in one box.

    `box` is the full box, which may leave the image: for upright people and riders from the top of the head to the feet
    and 0.41 as wide, else what is visible. `visible` is its visible part, None for a group.
    """

    kind: Kind
    box: Region
    visible: Region | None


@dataclass(frozen=True)
class Settings:
    """The scene to render."""

    height: int
    """Pixels, like all lengths here."""
    width: int
    busy: bool = False
    """About sixteen pedestrians in place of about five."""
    layout: tuple[Person, ...] | None = None
    """People to be drawn where and how they are given here. None: drawn by lot."""

    def __post_init__(self) -> None:
        if self.height < 64 or self.width < 64:
            raise StreetError(f"an image of {self.width} x {self.height} px; a street needs at least 64 x 64")
        for person in self.layout or ():
            if person.kind not in get_args(Kind) or person.box[2] < 1 or person.box[3] < 1:
                raise StreetError(f"{person}: the box must be at least 1 x 1, the kind one of {get_args(Kind)}")
