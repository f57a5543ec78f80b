"""What people look like and wear, drawn by lot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from streetscenes.canvas import Colour

T = TypeVar("T")
Bottom = Literal["trousers", "shorts", "skirt"]
Bag = Literal["none", "backpack", "shoulder", "hand"]

SKINS: tuple[Colour, ...] = (
    (170, 196, 232),
    (150, 180, 222),
    (128, 160, 206),
    (104, 136, 186),
    (74, 104, 150),
    (48, 70, 108),
)
HAIRS: tuple[Colour, ...] = (
    (24, 24, 28), (32, 38, 48), (36, 50, 74), (52, 74, 108),
    (96, 138, 176), (120, 168, 204), (40, 66, 128), (168, 170, 172),
)  # fmt: skip
DARK_CLOTHES: tuple[Colour, ...] = (
    (30, 28, 28), (58, 42, 32), (84, 54, 34), (48, 46, 46), (38, 50, 66), (46, 62, 52), (44, 34, 64), (66, 62, 60),
)  # fmt: skip
BRIGHT_CLOTHES: tuple[Colour, ...] = (
    (40, 40, 190), (40, 150, 226), (170, 84, 30), (206, 150, 50), (60, 140, 42), (150, 110, 224), (50, 190, 236),
    (140, 50, 140), (60, 90, 214), (190, 110, 40), (60, 60, 160), (90, 170, 60),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (34, 30, 30), (96, 66, 44), (124, 88, 60), (70, 48, 34), (52, 50, 50), (64, 84, 102),
    (110, 146, 170), (46, 54, 48), (150, 146, 142),
)  # fmt: skip
SHOES: tuple[Colour, ...] = ((24, 24, 26), (34, 46, 70), (50, 50, 52), (214, 214, 214), (60, 60, 150))
BAGS: tuple[Colour, ...] = ((30, 30, 34), (40, 64, 110), (60, 60, 160), (130, 90, 50), (70, 110, 80), (90, 130, 170))

PLASTIC: Colour = (206, 214, 220)


@dataclass(frozen=True)
class Look:
    """A person's build, colours and clothes. Lengths are shares of the height."""

    build: float
    """Width of the body as a multiple of the average."""
    head: float
    """Size of the head as a multiple of the average; children's are larger."""
    skin: Colour
    hair: Colour
    hair_length: float
    """0 is short, 1 reaches the shoulders."""
    cap: Colour | None
    face: bool
    """Mannequins have none."""
    top: Colour
    sleeves: bool
    open_front: Colour | None
    """The colour of a shirt that shows between the sides of a coat."""
    hem: float
    """Where the top or coat ends, as a height above the ground."""
    bottom: Bottom
    bottom_colour: Colour
    stockings: Colour
    shoes: Colour
    bag: Bag
    bag_colour: Colour
    scarf: Colour | None


def pick(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of the items by lot, evenly or by weights."""
    if weights is None:
        return items[int(rng.integers(len(items)))]
    level = float(rng.random()) * sum(weights)
    for item, weight in zip(items, weights, strict=True):
        level -= weight
        if level < 0:
            return item
    return items[-1]


def between(rng: np.random.Generator, low: float, high: float) -> float:
    """A number between two, evenly."""
    return low + (high - low) * float(rng.random())


def chance(rng: np.random.Generator, probability: float) -> bool:
    """True with a probability."""
    return float(rng.random()) < probability


def jitter(rng: np.random.Generator, colour: Colour, amount: int = 12) -> Colour:
    """A colour near to another: all channels move together, and a little apart."""
    together = int(rng.integers(-amount, amount + 1))
    b, g, r = (int(part) for part in rng.integers(-amount // 3, amount // 3 + 1, 3) + together)
    return _level(colour[0] + b), _level(colour[1] + g), _level(colour[2] + r)


def _level(value: int) -> int:
    return min(max(value, 6), 248)


def person(rng: np.random.Generator, *, child: bool = False) -> Look:
    """A passer-by."""
    warm = chance(rng, 0.35)  # the weather of each person's own clothes
    bright = chance(rng, 0.92)
    top = jitter(rng, pick(rng, BRIGHT_CLOTHES if bright else DARK_CLOTHES))
    bottom: Bottom = pick(rng, ("trousers", "shorts", "skirt"), (0.8, 0.08 if warm else 0.0, 0.16))
    coat = not warm and chance(rng, 0.4)
    long_hair = chance(rng, 0.45)
    skin = jitter(rng, pick(rng, SKINS, (3, 3, 3, 2, 1.5, 1)), 6)
    return Look(
        build=between(rng, 0.9, 1.14),
        head=between(rng, 1.16, 1.32) if child else between(rng, 0.96, 1.06),
        skin=skin,
        hair=jitter(rng, pick(rng, HAIRS, (3, 3, 3, 2, 1.5, 1, 0.6, 1)), 6),
        hair_length=between(rng, 0.5, 1.0) if long_hair else 0.0,
        cap=jitter(rng, pick(rng, DARK_CLOTHES + BRIGHT_CLOTHES)) if chance(rng, 0.14) else None,
        face=True,
        top=top,
        sleeves=not warm or chance(rng, 0.3),
        open_front=jitter(rng, pick(rng, BRIGHT_CLOTHES)) if not warm and chance(rng, 0.35) else None,
        hem=between(rng, 0.26, 0.38) if coat else between(rng, 0.44, 0.49),
        bottom=bottom,
        bottom_colour=jitter(rng, pick(rng, BRIGHT_CLOTHES if chance(rng, 0.6) else TROUSERS)),
        stockings=skin if warm or chance(rng, 0.3) else jitter(rng, (42, 38, 38), 8),
        shoes=jitter(rng, pick(rng, SHOES, (4, 2, 2, 2, 0.6)), 6),
        bag=pick(rng, ("none", "backpack", "shoulder", "hand"), (0.5, 0.16, 0.2, 0.14)),
        bag_colour=jitter(rng, pick(rng, BAGS)),
        scarf=jitter(rng, pick(rng, BRIGHT_CLOTHES)) if not warm and chance(rng, 0.2) else None,
    )


def mannequin(rng: np.random.Generator) -> Look:
    """A dummy in a shop window: plastic all over, without a face, half dressed."""
    plastic = jitter(rng, pick(rng, (PLASTIC, (232, 232, 232), (52, 52, 54), (150, 176, 200))), 6)
    dressed = jitter(rng, pick(rng, BRIGHT_CLOTHES + DARK_CLOTHES))
    return Look(
        build=0.86, head=0.9, skin=plastic, hair=plastic, hair_length=0.0, cap=None, face=False,
        top=dressed if chance(rng, 0.8) else plastic, sleeves=chance(rng, 0.4),
        open_front=None, hem=between(rng, 0.4, 0.49),
        bottom=pick(rng, ("trousers", "skirt"), (0.3, 0.7)), bottom_colour=dressed if chance(rng, 0.5) else plastic,
        stockings=plastic, shoes=plastic, bag="none", bag_colour=plastic, scarf=None,
    )  # fmt: skip
