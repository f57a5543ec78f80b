"""What a launch shows of itself: one table in a terminal, lines elsewhere; and how much time the whole still needs."""

from __future__ import annotations

import contextlib
import heapq
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Literal, Self

from rich.console import Console
from rich.live import Live
from rich.table import Table

State = Literal["waiting", "queued", "running", "done", "failed"]
"""Queued: by Slurm."""

SHARE_BEFORE, SHARE_AFTER = 0.1, 0.15
"""The work before and after the jobs, in jobs of middling weight: a guess."""
EVIDENCE = 0.02
"""Of one job; the time left is told when so much has been done."""
SECONDS_BETWEEN_LINES = 60.0
LINES_AROUND = 9
"""Of the table and the terminal, beside the jobs'."""


@dataclass(kw_only=True)
class Row:
    """One row of the table: a job, or what runs before or after all jobs."""

    name: str = ""
    weight: float = 1.0
    """Its work beside that of the other rows."""
    state: State = "waiting"
    words: str = ""
    part: float = 0.0
    """How far it is, 0 to 1."""
    skipped: float = 0.0
    """Where its first stage that ran stands, 0 to 1: what comes before did not have to run."""
    began: float = 0.0
    """How far it was when it began, 0 to 1: `skipped`, or more where it went on from a checkpoint."""
    runs: int = 0
    started: float = 0.0
    """By the monotonic clock, in seconds."""
    seconds: float = 0.0
    """Since it started; in the end, what it took."""


def seconds_left(jobs: Sequence[Row], after: Row, at_once: int) -> float | None:
    """Estimate the seconds until all is done, from what the jobs have done so far; None without evidence.

    What runs goes on at the mean pace, and each free place takes the next job that waits. A job that nobody has seen is
    taken to skip what all that were seen have skipped.
    """
    seen = [row for row in jobs if row.state in ("running", "done") and row.part > row.began]
    if sum(row.part - row.began for row in seen) < EVIDENCE:
        return None
    pace = sum(row.seconds for row in seen) / sum(row.weight * (row.part - row.began) for row in seen)
    skipped = min(row.skipped for row in seen)
    ends = [0.0] * at_once
    unfinished = [row for row in jobs if row.state not in ("done", "failed")]
    for row in sorted(unfinished, key=lambda row: row.state != "running"):
        heapq.heapreplace(ends, ends[0] + pace * row.weight * (1 - max(row.part, skipped)))
    rest = 0.0 if after.state == "done" else max(0.0, pace * after.weight - after.seconds)
    return max(ends) + rest


class View:
    """Shows the rows while they change: in the terminal as a table, elsewhere as lines on stderr."""

    def __init__(self, console: Console | None = None) -> None:
        """console: left out, stderr, which counts as a terminal where stdout is one, too."""
        self.console = console or Console(stderr=True)
        terminal = self.console.is_terminal and (console is not None or sys.stdout.isatty())
        self.live = Live(console=self.console, auto_refresh=False) if terminal else None
        """None: there is no terminal."""
        self.before = Row(name="data set, annotations, first weights", weight=SHARE_BEFORE)
        self.after = Row(name="tables, report", weight=SHARE_AFTER)
        self.jobs: Sequence[Row] | None = None
        """None: not known yet."""
        self.at_once = 1
        self.started = self.told = time.monotonic()
        self.told_progress: tuple[int, str] | None = None
        self.said: dict[str, str] = {}

    def __enter__(self) -> Self:
        if self.live is not None:
            self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self.live is not None:
            with contextlib.suppress(OSError):  # the terminal may be gone
                self.live.update(self.table(whole=True), refresh=True)
                self.live.stop()

    def set_jobs(self, jobs: Sequence[Row], at_once: int) -> None:
        """Show these jobs, too, of which so many run at a time; the progress of the whole is told from now on."""
        self.jobs, self.at_once = jobs, at_once
        middle = fmean([row.weight for row in jobs]) if jobs else 1.0
        self.before.weight, self.after.weight = SHARE_BEFORE * middle, SHARE_AFTER * middle

    def show(self) -> None:
        """Show the present state."""
        if self.live is not None:
            self.live.update(self.table(), refresh=True)
            return
        for line in self.lines():
            self.console.print(line, highlight=False, markup=False, soft_wrap=True)

    def table(self, *, whole: bool = False) -> Table:
        """What the terminal shows. Where the jobs are more than its lines, those that run and failed, unless the `whole`."""
        percent, left = self._progress()
        title = f"{percent} % in {_clock(self._elapsed())}" if self.jobs is not None else _clock(self._elapsed())
        table = Table(title=f"{title}{left and ', ' + left}", title_justify="left", caption_justify="left")
        for column in ("job", "state", "progress", "time"):
            table.add_column(column, justify="right" if column == "time" else "left")
        jobs = list(self.jobs or ())
        if not whole and len(jobs) > self.console.height - LINES_AROUND:
            hidden = [row.state == "done" for row in jobs if row.state not in ("running", "failed")]
            table.caption = f"and {hidden.count(True)} jobs done, {hidden.count(False)} waiting"
            jobs = [row for row in jobs if row.state in ("running", "failed")]
        for row in (self.before, *jobs, self.after):
            state = row.state + (f" (run {row.runs})" if row.runs > 1 else "")
            table.add_row(row.name, state, row.words, _clock(row.seconds) if row.seconds else "")
        return table

    def lines(self) -> list[str]:
        """What is new since the last call: each job's changes and, once a minute at most, how far the whole is."""
        new = []
        for row in self.jobs or ():
            again = f" again (run {row.runs})" if row.runs > 1 else ""
            line = f"{row.name}: {row.state}"
            if row.state == "running":
                line += f"{again}, {row.words.split(' ')[0] or 'started'}"
            if self.said.get(row.name) != line and row.state != "waiting":
                new.append(line)
                self.said[row.name] = line
        progress = self._progress()
        if self.jobs and progress != self.told_progress and time.monotonic() - self.told >= SECONDS_BETWEEN_LINES:
            self.told, self.told_progress = time.monotonic(), progress
            percent, left = progress
            new.append(f"{percent} % in {_clock(self._elapsed())}{left and ', ' + left}")
        return new

    def _elapsed(self) -> float:
        return time.monotonic() - self.started

    def _progress(self) -> tuple[int, str]:
        """How much of the whole is done, in percent, and the time left in words, '' where nothing can be said of it."""
        rows = (self.before, *(self.jobs or ()), self.after)
        done = sum(row.weight * row.part for row in rows) / sum(row.weight for row in rows)
        left = seconds_left(self.jobs or (), self.after, self.at_once)
        return int(100 * done), f"about {_minutes(left)} left" if left else ""


def _minutes(seconds: float) -> str:
    minutes = max(1, round(seconds / 60))
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
