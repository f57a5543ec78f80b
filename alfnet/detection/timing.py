"""How long an image takes: on a second pass, when memory and algorithms are settled, and with a look at the machine."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

# Of one core; more than that, taken by others while it was measured, makes a figure doubtful.
BUSY_CORES = 0.2
# Of the times, 90th percentile over median; a processor that throttles, or one that others use at times.
UNSTEADY = 1.3


def measure(
    work: Callable[[np.ndarray], Any], images: Iterable[np.ndarray], *, runs: str, seconds: float = 5.0
) -> dict[str, Any]:
    """Time `work` on each of `images` after one that does not count, for at most about `seconds`.

    runs: names what `work` runs on, e.g. the backend.

    Returns {"seconds_per_image": median, "images", "machine": in words, "other_cores": processor time that other
    processes took meanwhile in cores (None where the system does not say), "steady", "busy"}.
    """
    times: list[float] = []
    others = _OtherProcesses()
    begin = None
    for image in images:
        if begin is None:
            work(image)
            others.start()
            begin = time.perf_counter()
        started = time.perf_counter()
        work(image)
        times.append(time.perf_counter() - started)
        if time.perf_counter() - begin > seconds:
            break
    processors = None if begin is None else others.cores()
    median = float(np.median(times)) if times else 0.0
    steady = not times or float(np.percentile(times, 90)) <= UNSTEADY * median
    return {
        "seconds_per_image": median,
        "images": len(times),
        "machine": f"{machine()}; {runs}",
        "other_cores": None if processors is None else round(processors, 2),
        "steady": steady,
        "busy": processors is not None and processors > BUSY_CORES,
    }


def machine() -> str:
    """The processor and its number of cores that this process may use."""
    model = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    except OSError:
        pass
    return f"{model}, {available_cores()} cores"


def available_cores() -> int:
    """Cores that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1


def doubts(measured: dict[str, Any]) -> str | None:
    """What makes a measured time doubtful, in words; None where nothing does."""
    found = []
    if measured["busy"]:
        found.append(f"other processes took {measured['other_cores']:.1f} cores meanwhile")
    if not measured["steady"]:
        found.append("the times vary by more than 30 %")
    return "; ".join(found) or None


class _OtherProcesses:
    """Processor time of the whole machine, less this process's."""

    def start(self) -> None:
        self._begin = (_machine_seconds(), _own_seconds(), time.perf_counter())

    def cores(self) -> float | None:
        machine_begin, own_begin, begin = self._begin
        machine_end = _machine_seconds()
        if machine_begin is None or machine_end is None:
            return None
        busy = (machine_end - machine_begin) - (_own_seconds() - own_begin)
        return max(0.0, busy / max(1e-9, time.perf_counter() - begin))


def _own_seconds() -> float:
    times = os.times()
    return times.user + times.system


def _machine_seconds() -> float | None:
    """Seconds in which the machine's cores were not idle, stolen time (by other virtual machines) included."""
    try:
        fields = [int(value) for value in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return None
    user, nice, system, _idle, _waiting, interrupts, soft, stolen = fields
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")
