"""Signals and races: a command that is interrupted, or runs beside another, leaves whole results or the earlier ones."""

from __future__ import annotations

import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tools.soak.commands import (
    Command,
    command_line,
    comparable,
    content,
    environment,
    leftovers,
    make_inputs,
    named,
    run,
)

_SAFE = {signal.SIGINT: (0, 130, -2), signal.SIGTERM: (0, 143, -15), signal.SIGKILL: (0, -9)}


def signals(
    tries: int, seed: int, *, names: set[str] | None = None, on_case: Callable[[], object] = lambda: None
) -> tuple[int, list[str]]:
    """Send each signal at a random moment, `tries` times in all; return that number and what went wrong.

    names: of the commands to interrupt; None: all.
    """
    rng = random.Random(seed)
    faults = []
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        folder = Path(scratch)
        make_inputs(folder)
        lengths = {}
        for command in named(names):
            started = time.monotonic()
            if (done := run(command, folder)).returncode:
                raise RuntimeError(f"alfnet {command.name}: {done.stderr}")
            lengths[command] = time.monotonic() - started
        for number in range(tries):
            command = named(names)[number % len(lengths)]
            kind = list(_SAFE)[number // len(lengths) % len(_SAFE)]
            whole = comparable(content(folder / command.output))
            moment = rng.uniform(0.1, lengths[command])
            process = _start(command, folder)
            time.sleep(moment)
            process.send_signal(kind)
            _, said = process.communicate()
            where = f"{command.name}, {kind.name} after {moment:.2f} s"
            if process.returncode not in _SAFE[kind] or ("Traceback" in said and moment > 0.15):
                faults.append(f"{where}: exit code {process.returncode}, {said.strip()[-200:]}")
            if comparable(content(folder / command.output)) != whole:
                faults.append(f"{where}: the result is neither the earlier nor the new one")
            on_case()
        for command in named(names):  # what a killed run left behind goes with the next one
            if (done := run(command, folder)).returncode:
                faults.append(f"{command.name}: after the signals: {done.stderr.strip()[-200:]}")
        if left := leftovers(folder):
            faults.append(f"left behind after the next runs: {', '.join(left[:5])}")
    return tries, faults


def races(rounds: int, names: set[str] | None = None) -> tuple[int, list[str]]:
    """Run two of each command at once on one output; return the number of races, and what went wrong."""
    count, faults = 0, []
    with tempfile.TemporaryDirectory(prefix="alfnet-soak-") as scratch:
        folder = Path(scratch)
        make_inputs(folder)
        for command in named(names):
            if (done := run(command, folder)).returncode:
                raise RuntimeError(f"alfnet {command.name}: {done.stderr}")
            whole = comparable(content(folder / command.output))
            for _ in range(rounds):
                count += 1
                pair = [_start(command, folder) for _ in range(2)]
                said = [process.communicate()[1] for process in pair]
                for process, text in zip(pair, said, strict=True):
                    if process.returncode not in (0, 2) or "Traceback" in text:
                        faults.append(f"{command.name}: exit code {process.returncode}, {text.strip()[-200:]}")
                if all(process.returncode for process in pair):
                    faults.append(f"{command.name}: neither of two got through: {said[0].strip()[-200:]}")
                if comparable(content(folder / command.output)) != whole:
                    faults.append(f"{command.name}: the result of two at once is not that of one")
        if left := leftovers(folder):
            faults.append(f"left behind: {', '.join(left[:5])}")
    return count, faults


def _start(command: Command, folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command_line(command),
        cwd=folder,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        # What a shell starts in the background ignores Ctrl-C, and so would what a soak starts there.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
