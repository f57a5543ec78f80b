"""Kills: the pipeline, at a setting of seconds, dies at random moments, and a later run ends with the same bytes."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from alfnet.launch.jobs import is_alive
from tests.throwaway import environment, new_repository
from tools.soak.commands import leftovers

_LENGTH = ".git/seconds"
"""In the reference: how long it took."""
_OUTPUTS = ("cache", "weights", "models", "detections", "evaluation", "summaries", "metrics", "plots", "report", "data")


@dataclass
class Killed:
    """What the kills did."""

    kills: int = 0
    finished: int = 0
    """Runs that got through between kills, each compared with the reference."""
    faults: list[str] = field(default_factory=list)


def make_reference(folder: Path) -> None:
    """Make a repository in `folder` in which the pipeline has run; one that is there stays."""
    if folder.exists():
        return
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        made = new_repository(Path(scratch) / "reference", variants=("mobilenet-2s",), seeds=[1], train__updates=8)
        started = time.monotonic()
        if _repro(made).wait():
            raise RuntimeError(f"dvc repro ends with an error:\n{_said(made)}")
        (made / _LENGTH).write_text(str(time.monotonic() - started))
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = folder.with_name(folder.name + ".unfinished")
        shutil.rmtree(unfinished, ignore_errors=True)
        shutil.copytree(made, unfinished)
        unfinished.rename(folder)


def kill_pipeline(kills: int, seed: int, reference: Path, *, on_case: Callable[[], object] = lambda: None) -> Killed:
    """Kill `dvc repro` so many times at random moments, beginning anew whenever it gets through.

    In turn all its processes die by SIGKILL at once, or DVC alone does, by SIGTERM or SIGKILL: then its stage still runs
    when the next `dvc repro` begins. reference: made by `make_reference`.
    """
    rng = random.Random(seed)
    result = Killed()
    expected = _outputs(reference)
    length = float((reference / _LENGTH).read_text())
    groups: list[int] = []
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        folder = Path(scratch) / "killed"
        shutil.copytree(reference, folder)
        _reset(folder)
        try:
            while result.kills < kills:
                process = _repro(folder)
                groups.append(process.pid)
                try:
                    process.wait(rng.uniform(0.3, max(2.0, length / 3)))
                except subprocess.TimeoutExpired:
                    _kill(process, result.kills)
                    result.kills += 1
                    on_case()
                    continue
                _end(groups)
                _judge(folder, process, expected, result)
            process = _repro(folder)
            groups.append(process.pid)
            process.wait()
            _end(groups)
            _judge(folder, process, expected, result)
        finally:
            _end(groups)
    return result


def _end(groups: list[int]) -> None:
    """End what runs on of stages whose DVC was killed alone, or it would work in the folder while that is emptied."""
    for group in groups:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        while is_alive(group):
            time.sleep(0.05)
    groups.clear()


def _kill(process: subprocess.Popen[bytes], number: int) -> None:
    kind = number % 4
    if kind in (0, 2):
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.send_signal(signal.SIGTERM if kind == 1 else signal.SIGKILL)
    process.wait()


def _judge(folder: Path, process: subprocess.Popen[bytes], expected: dict[str, bytes], result: Killed) -> None:
    """Of a run that came to its end."""
    said = _said(folder)
    if process.returncode and "is at this very training; wait for it to end" in said:
        time.sleep(2)  # as it says
        return
    if process.returncode:
        result.faults.append(f"after {result.kills} kills: dvc repro ends with {process.returncode}: {said[-400:]}")
    else:
        result.finished += 1
        result.faults += _compare(folder, expected, result.kills)
    _reset(folder)


def _repro(folder: Path) -> subprocess.Popen[bytes]:
    """As `make repro` does it: `alfnet check`, which puts a dvc.lock right that was cut short, and then DVC."""
    subprocess.run(["alfnet", "check"], cwd=folder, env=environment(folder), capture_output=True, check=False)
    with (folder / ".git" / "said").open("wb") as said:
        return subprocess.Popen(
            [sys.executable, "-m", "dvc", "repro"],
            cwd=folder,
            env=environment(folder),
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _said(folder: Path) -> str:
    return (folder / ".git" / "said").read_text(errors="replace").strip()


def _reset(folder: Path) -> None:
    """As in a fresh clone: no outputs, no lock, no cache."""
    for name in (*_OUTPUTS, "dvc.lock", ".dvc/cache"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    subprocess.run(["git", "checkout", "-q", "."], cwd=folder, check=True)


def _outputs(folder: Path) -> dict[str, bytes]:
    files = (path for name in _OUTPUTS for path in sorted((folder / name).rglob("*")) if path.is_file())
    found = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    return found | {"dvc.lock": (folder / "dvc.lock").read_bytes()}


def _compare(folder: Path, expected: dict[str, bytes], kills: int) -> list[str]:
    found = _outputs(folder)
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    faults = [f"after {kills} kills: {', '.join(different[:5])} are not what they were"] if different else []
    left = [name for name in leftovers(folder) if not name.startswith((".scratch", ".dvc"))]
    return faults + ([f"after {kills} kills, left behind: {', '.join(left[:3])}"] if left else [])
