"""How much memory is left: of the machine, or of the container that the process runs in."""

from __future__ import annotations

from pathlib import Path


def free_memory() -> int | None:
    """Bytes that this process can still take; None where the system does not say."""
    limits = [_machine(), _container()]
    known = [limit for limit in limits if limit is not None]
    return min(known) if known else None


def _machine() -> int | None:
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        return int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _container() -> int | None:
    try:
        group = Path("/proc/self/cgroup").read_text().strip().splitlines()[-1].split(":")[-1].lstrip("/")
    except (OSError, IndexError):
        return None
    for folder in (Path("/sys/fs/cgroup") / group, Path("/sys/fs/cgroup")):
        try:
            limit, used = ((folder / name).read_text().strip() for name in ("memory.max", "memory.current"))
            return None if limit == "max" else int(limit) - int(used)
        except (OSError, ValueError):
            continue
    return None
