"""Progress of long work: a live bar in a terminal, a line now and then elsewhere (a log file, DVC's output)."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

SECONDS_BETWEEN_LINES = 15.0


class ProgressReport:
    """Shows how far work of `total` parts is."""

    def __init__(self, title: str, total: int, bar: Progress | None) -> None:
        self.title, self.total, self.detail = title, total, ""
        self._bar = bar
        self._task = None if bar is None else bar.add_task(title, total=total, detail="")
        self._started = self._printed = time.monotonic()
        self._first: int | None = None

    def update(self, done: int, detail: str | None = None) -> None:
        """Show that `done` parts are done; `detail` is a few words about the present state."""
        if self._first is None:
            self._first = max(0, done - 1)  # a resumed run starts its clock here
        if detail is not None:
            self.detail = detail
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, completed=done, detail=self.detail)
        elif time.monotonic() - self._printed >= SECONDS_BETWEEN_LINES:
            self._printed = time.monotonic()
            left = (self._printed - self._started) / max(1, done - self._first) * (self.total - done)
            print(f"{self.title}: {done}/{self.total}, {left:.0f} s left  {self.detail}", file=sys.stderr, flush=True)


@contextmanager
def progress_report(title: str, total: int) -> Iterator[ProgressReport]:
    """Show progress on stderr within the block."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield ProgressReport(title, total, None)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[detail]}"),
    )
    with Progress(*columns, console=console) as bar:
        yield ProgressReport(title, total, bar)
