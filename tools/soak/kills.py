"""Kills: the whole pipeline, at a setting of seconds, dies by SIGKILL at random moments and ends with the same bytes."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.test_pipeline import environment, new_repository
from tools.soak.commands import leftovers

_OUTPUTS = ("cache", "weights", "models", "detections", "evaluation", "summaries", "metrics", "plots", "report", "data")


@dataclass
class Killed:
    """What the kills did."""

    kills: int = 0
    finished: int = 0
    """Runs that got through between kills, each compared with the reference."""
    faults: list[str] = field(default_factory=list)


def kill_pipeline(kills: int, seed: int, *, on_case: Callable[[], object] = lambda: None) -> Killed:
    """Kill `dvc repro` and all its processes so many times, beginning anew whenever it gets through."""
    rng = random.Random(seed)
    result = Killed()
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        reference = new_repository(Path(scratch) / "reference", variants=("mobilenet-2s",), seeds=[1], train__updates=8)
        started = time.monotonic()
        _repro(reference).wait()
        length = time.monotonic() - started
        expected = _outputs(reference)
        folder = Path(scratch) / "killed"
        shutil.copytree(reference, folder)
        _reset(folder)
        while result.kills < kills:
            subprocess.run(
                ["alfnet", "check"], cwd=folder, env=environment(folder), capture_output=True, check=False
            )  # as `make repro` does
            process = _repro(folder)
            try:
                process.wait(rng.uniform(0.3, max(2.0, length / 3)))
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                result.kills += 1
                on_case()
                continue
            if process.returncode:
                result.faults.append(f"after {result.kills} kills: dvc repro ends with {process.returncode}")
                _reset(folder)
                continue
            result.finished += 1
            result.faults += _compare(folder, expected, result.kills)
            _reset(folder)
        _repro(folder).wait()
        result.finished += 1
        result.faults += _compare(folder, expected, result.kills)
    return result


def _repro(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        ["dvc", "repro"],
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


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
