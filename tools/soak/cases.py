"""Running one case in a process of its own, with limits on time and memory, and saying how it ended."""

from __future__ import annotations

import contextlib
import faulthandler
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from alfnet.errors import exit_with_message

Outcome = Literal["accepted", "refused", "traceback", "crash", "hang", "silent"]
BAD: tuple[Outcome, ...] = ("traceback", "crash", "hang", "silent")

SECONDS = 10
"""Of a processor."""
PATIENCE = 300.0
"""Seconds by the clock, for a case that waits for something; long, since others may keep the processors busy."""
BYTES = 2 * 2**30


@dataclass(frozen=True)
class Ending:
    """How a case ended, and what it printed last."""

    outcome: Outcome
    said: str
    result: str
    """What was read, as `str(function())`; empty unless accepted."""
    seconds: float
    """Of a processor."""


def run_case(
    function: Callable[[], object], folder: Path, *, seconds: int = SECONDS, patience: float = PATIENCE
) -> Ending:
    """Run `function` in a forked child, as a command would run it, and wait for its end.

    accepted: it returned. refused: one message and exit code 2. traceback: any other exception. crash: died by a signal,
    its memory limit included. hang: not done after so many `seconds` of a processor, or `patience` by the clock.
    """
    said, result = folder / "said", folder / "result"
    said.write_bytes(b"")
    result.write_bytes(b"")
    child = os.fork()
    if child == 0:
        _child(function, said, result, seconds)
    status, took = _wait(child, patience)
    printed = said.read_text(errors="replace").strip()
    last = printed.splitlines()[-1] if printed else ""
    if status is None or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGXCPU):
        return Ending("hang", last, "", took)
    if os.WIFSIGNALED(status):
        return Ending("crash", f"signal {os.WTERMSIG(status)} {last}", "", took)
    code = os.WEXITSTATUS(status)
    if code == 0:
        return Ending("accepted", last, result.read_text(errors="replace"), took)
    # One message is one error; more than that, or a traceback's own words, is none.
    if code == 2 and "error:" in printed and "Traceback" not in printed:
        return Ending("refused", last, "", took)
    return Ending("traceback", last, "", took)


def _child(function: Callable[[], object], said: Path, result: Path, seconds: int) -> None:
    code = 1
    try:
        os.setpgid(0, 0)
        faulthandler.disable()  # a test runner's
        used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, used + BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        out = os.open(said, os.O_WRONLY | os.O_APPEND)
        for stream in (1, 2):
            os.dup2(out, stream)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False)
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
        found = exit_with_message(function)()
        result.write_text(str(found))
        code = 0
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else 1
    except BaseException:
        import traceback

        with contextlib.suppress(BaseException):
            traceback.print_exc()
    finally:
        with contextlib.suppress(BaseException):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code & 0xFF)


def _wait(child: int, patience: float) -> tuple[int | None, float]:
    """The child's status, None if it had to be killed, and the seconds of a processor that it used."""
    deadline = time.monotonic() + patience
    pause = 0.001
    while time.monotonic() < deadline:
        done, status, used = os.wait4(child, os.WNOHANG)
        if done:
            return status, used.ru_utime + used.ru_stime
        time.sleep(pause)
        pause = min(pause * 1.5, 0.05)
    for stop in (os.killpg, os.kill):
        with contextlib.suppress(ProcessLookupError):
            stop(child, signal.SIGKILL)
    _, _, used = os.wait4(child, 0)
    return None, used.ru_utime + used.ru_stime


def prepare() -> None:
    """Import what the cases use, once, before they fork; one thread, since a fork has no other."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    import cv2
    import h5py  # noqa: F401
    import scipy.io  # noqa: F401
    import torch

    torch.set_num_threads(1)
    cv2.setNumThreads(0)
    gc.freeze()
