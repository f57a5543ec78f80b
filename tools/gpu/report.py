"""The table that `make gpu` writes: checks with their tolerances, then figures; on disk after every line."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

from alfnet.files import write_text

Outcome = Literal["passed", "FAILED", "not checked", ""]


class Report:
    """Lines of the table, written to a file whenever one is added, so that a run which is cut short leaves the others."""

    def __init__(self, out: Path | None, title: str, *, seconds: float) -> None:
        """`out`: the Markdown file; None: standard output alone. `seconds`: after so many no section begins any more."""
        self.out, self.title, self.seconds = out, title, seconds
        self.lines: list[tuple[str, str, str, Outcome]] = []
        self.started = time.monotonic()

    @property
    def failed(self) -> bool:
        """Whether any check failed."""
        return any(outcome == "FAILED" for *_, outcome in self.lines)

    def check(self, what: str, value: float, limit: float | None) -> None:
        """Add a check that passes where `value` is at most `limit`; one that is not finite fails. None: a figure."""
        if self._not_finite(what, value):
            return
        if limit is None:
            self.figure(what, f"{value:.2g}", "no limit")
            return
        self._add(what, f"{value:.2g}", f"at most {limit:g}", "passed" if value <= limit else "FAILED")

    def check_spread(self, what: str, value: float, spread: float, factor: float) -> None:
        """Add a check that passes where `value` is at most `factor` times what rounding does on the CPU.

        Where that is more than 1 rounding alone leaves nothing to be compared, and the value is a figure. What is not
        finite fails in any case.
        """
        if self._not_finite(what, value) or self._not_finite(f"{what}, the CPU's own by rounding", spread):
            return
        own = f"{factor:g} x {spread:.2g}, the CPU's own by rounding"
        if factor * spread > 1:
            self.figure(what, f"{value:.2g}", f"no limit: {own}")
            return
        self._add(what, f"{value:.2g}", f"at most {own}", "passed" if value <= factor * spread else "FAILED")

    def _not_finite(self, what: str, value: float) -> bool:
        """Whether `value` is NaN or infinite: then a failed line says so."""
        if math.isfinite(value):
            return False
        self._add(what, f"{value}", "a finite number", "FAILED")
        return True

    def not_checked(self, what: str, why: str) -> None:
        """Add a check that could not be made here."""
        self._add(what, why, "", "not checked")

    def figure(self, what: str, measured: str, beside: str = "") -> None:
        """Add a figure that nothing is asked of; `beside`: what it is compared with."""
        self._add(what, measured, beside, "")

    def attempt(self, what: str, function: Callable[[], None]) -> None:
        """Run part of a section: what it raises becomes a failed line, and the rest goes on."""
        with self._mended(what):
            function()

    def section(self, name: str, function: Callable[[], None]) -> None:
        """Run a section, unless the time is spent, and note how long it took."""
        spent = time.monotonic() - self.started
        if spent > self.seconds:
            self.not_checked(f"section {name}", f"{spent:.0f} s were spent; more with --seconds")
            return
        with self._mended(f"section {name}"):
            function()
        self.figure(f"section {name}: time", f"{time.monotonic() - self.started - spent:.1f} s")

    def markdown(self) -> str:
        """The table, as it is pasted into an issue."""
        rows = [f"| {what} | {measured} | {limit} | {outcome} |" for what, measured, limit, outcome in self.lines]
        heads = ["| what | measured | asked, or beside it | |", "|---|---|---|---|"]
        return "\n".join([self.title, "", *heads, *rows]) + "\n"

    @contextmanager
    def _mended(self, what: str) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # whatever it is belongs into the table, and the other checks still count
            lines = str(error).strip().splitlines() or [""]
            self._add(what, f"{type(error).__name__}: {lines[0][:200]}".replace("|", "/"), "no error", "FAILED")

    def _add(self, what: str, measured: str, limit: str, outcome: Outcome) -> None:
        self.lines.append((what, measured, limit, outcome))
        print(
            f"{time.monotonic() - self.started:6.1f} s  {what}: {measured} {limit and f'({limit})'} {outcome}",
            flush=True,
        )
        if self.out is not None:
            write_text(self.out, self.markdown())
