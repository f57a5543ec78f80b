"""A command's time and peak memory, with those of the processes that it starts."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 0.1
"""Seconds between two looks at the memory."""


@dataclass(frozen=True)
class Cost:
    """What a command took."""

    clock: float
    """Seconds by the clock."""
    processor: float
    """Seconds of processors, user and system, with those of all processes that it waited for."""
    peak: int
    """Bytes in memory at most: what its processes share counts once."""


def run(
    command: Sequence[str],
    folder: Path,
    environment: dict[str, str],
    *,
    log: Path,
    stop: Callable[[], bool] = lambda: False,
) -> Cost:
    """Run a command in a folder, its output to `log`, and return its cost; killed, with what it started, once `stop()`.

    Raises CalledProcessError where it fails otherwise.
    """
    started = time.monotonic()
    with open(log, "ab") as file:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=file, stderr=subprocess.STDOUT, start_new_session=True
        )
    peak, over, stopped = [0], threading.Event(), [False]

    def watch() -> None:
        pause = INTERVAL
        while not over.wait(pause):
            before = time.monotonic()
            peak[0] = max(peak[0], memory(process.pid))
            # A look at gigabytes takes a while of a processor, which the command may want.
            pause = max(INTERVAL, 20 * (time.monotonic() - before))
            if stop():
                stopped[0] = True
                os.killpg(process.pid, 9)
                return

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        _, status, used = os.wait4(process.pid, 0)
    finally:
        over.set()
        watcher.join()
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and not stopped[0]:
        raise subprocess.CalledProcessError(process.returncode, list(command))
    # The system's own peak (ru_maxrss) is of no use: it counts the memory of the process that started this one, too.
    return Cost(time.monotonic() - started, used.ru_utime + used.ru_stime, peak[0])


def memory(session: int) -> int:
    """Bytes that a session's processes hold in memory; what n of them share counts 1/n for each."""
    total = 0
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            if int((entry / "stat").read_text().rpartition(")")[2].split()[3]) != session:
                continue
            lines = (entry / "smaps_rollup").read_text().splitlines()
        except (OSError, IndexError):  # gone meanwhile
            continue
        total += sum(1024 * int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total
