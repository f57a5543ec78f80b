"""Drawing lots. Only what gives the same numbers with every NumPy and on every machine is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from streetscenes.canvas import Colour

T = TypeVar("T")


def pick(rng: np.random.Generator, items: Sequence[T], weights: Sequence[float] | None = None) -> T:
    """One of the items, evenly or by weights."""
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
    moved = rng.integers(-amount // 3, amount // 3 + 1, 3) + together + np.array(colour)
    b, g, r = (min(max(int(value), 6), 248) for value in moved)
    return b, g, r
