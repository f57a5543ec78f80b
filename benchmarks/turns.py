"""Ways of doing a job, timed by turns in one run, and their costs as ratios with their spread."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Compared:
    """A way beside its peer: milliseconds of a processor (median), and the ratio of each round to the peer's in it."""

    milliseconds: float
    ratio: float
    low: float
    high: float
    """Median and quartiles of the ratios."""


def by_turns(
    ways: Mapping[str, Callable[[], object]], peer: str, rounds: int, least: float = 0.02
) -> dict[str, Compared]:
    """Time every way once a round, after one to warm up, so that what else the machine does meets all of them alike.

    A way is repeated within its turn until about `least` seconds are over, as often in every round.
    """
    if rounds < 1 or peer not in ways:
        raise ValueError(
            f"{rounds} rounds, peer {peer}: expected at least one round and a peer among {', '.join(ways)}"
        )
    repeats = {}
    for name, way in ways.items():
        way()
        started = time.process_time()
        way()
        repeats[name] = max(1, round(least / max(1e-7, time.process_time() - started)))
    times = {name: np.empty(rounds) for name in ways}
    for turn in range(rounds):
        for name, way in ways.items():
            started = time.process_time()
            for _ in range(repeats[name]):
                way()
            times[name][turn] = 1e3 * (time.process_time() - started) / repeats[name]
    found = {}
    for name, each in times.items():
        low, middle, high = np.quantile(each / np.maximum(times[peer], 1e-9), (0.25, 0.5, 0.75))
        found[name] = Compared(float(np.median(each)), float(middle), float(low), float(high))
    return found


def row(what: str, compared: Compared, peer: str) -> str:
    """A line of a Markdown table."""
    spread = f"{compared.ratio:.2f} ({compared.low:.2f} - {compared.high:.2f})"
    return f"| {what} | {compared.milliseconds:.2f} | {peer} | {spread} |"


HEAD = ["| what | ms | beside | times as much (quartiles) |", "|---|---:|---|---:|"]
