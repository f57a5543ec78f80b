"""Full disks: every command that writes, on a disk that has no room, leaves its earlier result and names the place."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

from tools.soak.commands import Command, command_line, content, environment, leftovers, make_inputs, named, run


def full_disks(names: set[str] | None = None) -> tuple[int, list[str]]:
    """Try each command (or those called `names`) on full disks; return the number of tries, and what went wrong."""
    tries, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        folder = Path(scratch)
        make_inputs(folder)
        for command in named(names):
            done = run(command, folder)
            if done.returncode:
                raise RuntimeError(f"alfnet {command.name}: {done.stderr}")
            for name, start in _WAYS.items():
                ended = start(command, folder)
                if ended is None:
                    continue
                tries += 1
                faults += [f"{command.name}, {name}: {fault}" for fault in ended]
    return tries, faults


def _limited(command: Command, folder: Path) -> list[str] | None:
    """No file may grow beyond 100 bytes."""
    before = content(folder / command.output)

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))

    done = run(command, folder, preexec_fn=limit)
    return _judge(command, done.returncode, done.stderr, before, content(folder / command.output), leftovers(folder))


def _tmpfs(command: Command, folder: Path) -> list[str] | None:
    """A disk of its own, full to the last page. Needs root."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        return None
    disk = folder / "disk"
    disk.mkdir(exist_ok=True)
    out = folder / "after"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    words = [("disk/" + word if word == command.output else word) for word in command_line(command)]
    if command.output not in command_line(command):
        return None  # it writes where it stands
    script = (
        'mount -t tmpfs -o size=4m tmpfs disk && cp -r "$1" disk/ && { cat /dev/zero > disk/filler 2>/dev/null; '
        'shift; "$@"; code=$?; rm disk/filler; cp -r disk/. after/; exit $code; }'
    )
    before = content(folder / command.output)
    if sum(map(len, before.values())) > 3_500_000:
        return None
    done = subprocess.run(
        ["unshare", "-m", "bash", "-c", script, "bash", command.output, *words],
        cwd=folder, env=environment(), capture_output=True, text=True,
    )  # fmt: skip
    if "mount" in done.stderr and "permission" in done.stderr.lower():
        return None
    return _judge(command, done.returncode, done.stderr, before, content(out / command.output), leftovers(out), "disk")


_WAYS = {"a limit on file sizes": _limited, "a full disk": _tmpfs}


def _judge(
    command: Command,
    code: int,
    said: str,
    before: dict[str, bytes],
    after: dict[str, bytes],
    left: list[str],
    place: str | None = None,
) -> list[str]:
    faults = []
    if "Traceback" in said:
        faults.append(f"traceback: {said.strip().splitlines()[-1]}")
    elif code != 2:
        faults.append(f"exit code {code}: {said.strip()[-200:]}")
    elif Path(command.output).name not in said and (place is None or place not in said):
        faults.append(f"the message names no place: {said.strip()[-200:]}")
    if after != before:
        faults.append("the earlier result is not what it was")
    if left:
        faults.append(f"left behind: {', '.join(left[:3])}")
    return faults
