"""Damaged files for every reader: each is read or refused with one message, and a certainly bad one is never taken."""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tools.soak.cases import BAD, Outcome, run_case
from tools.soak.mutations import MUTATIONS
from tools.soak.readers import Reader


@dataclass
class Tally:
    """How the cases of one reader ended."""

    name: str
    outcomes: Counter[Outcome] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """The bad endings: which mutation and seed, and what was said."""
    slowest: float = 0.0


def fuzz(
    reader: Reader, cases: int, seed: int, *, keep: Path | None = None, on_case: Callable[[], object] = lambda: None
) -> Tally:
    """Read so many damaged files, each kind of damage in turn.

    keep: a folder for the files of bad endings.
    """
    tally = Tally(reader.name)
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        folder = Path(scratch)
        path = folder / reader.file_name
        reader.make(path)
        whole = path.read_bytes()
        healthy = run_case(partial(reader.read, path), folder)
        if healthy.outcome != "accepted":
            raise RuntimeError(f"{reader.name}: the whole file ends with {healthy.outcome}: {healthy.said}")
        for number in range(cases):
            case_seed = f"{seed}-{reader.name}-{number}"
            rng = random.Random(case_seed)
            mutation = MUTATIONS[number % len(MUTATIONS)]
            damaged = mutation(whole, rng)
            path.write_bytes(damaged)
            ending = run_case(partial(reader.read, path), folder)
            outcome = ending.outcome
            certain = mutation.__name__ in reader.certain and damaged != whole
            if outcome == "accepted" and certain and ending.result != healthy.result:
                outcome = "silent"
            tally.outcomes[outcome] += 1
            tally.slowest = max(tally.slowest, ending.seconds)
            if outcome in BAD:
                tally.faults.append(f"{reader.name}, {mutation.__name__} {case_seed!r}: {outcome}: {ending.said}")
                if keep is not None:
                    keep.mkdir(parents=True, exist_ok=True)
                    (keep / f"{number:05d}-{outcome}-{reader.file_name}").write_bytes(damaged)
            on_case()
    return tally
