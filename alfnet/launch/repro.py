"""DVC in the project's own folder, before and after the jobs: watched, stopped with the launch, and shown in a row."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from alfnet.launch.jobs import end_groups, end_with_parent
from alfnet.launch.view import Row, View

SECONDS_BETWEEN_LOOKS = 0.5
LINES_OF_A_FAILURE = 30
CLOSING_LINES = 3
_STAGE = re.compile(r"^(?:Running stage|Stage) '([^']+)'", re.MULTILINE)
_COUNT = re.compile(r"^[^\n]*?(\d+/\d+), ", re.MULTILINE)
_OF_STAGES = (
    "Running stage '",
    "Stage '",
    "Updating lock file",
    "Generating lock file",
    "Verifying data sources",
    "> ",
)
"""How DVC begins lines about single stages."""


class Dvc:
    """Runs DVC for a launch. Where the view has the terminal, what DVC and its stages print goes to a log file instead."""

    def __init__(self, root: Path, log: Path, view: View, ending: Sequence[SystemExit]) -> None:
        """ending: holds what a signal has asked for, if one has."""
        self.root, self.log, self.view, self.ending = root, log, view, ending
        self.said = ""
        """What the last run printed; empty where it did so for all to see."""

    def repro(self, row: Row, *stages: str) -> int:
        """Run `dvc repro`, shown as `row`, which it ends; return DVC's exit code."""
        code = self.run(row, "repro", *stages)
        row.state, row.words, row.part = "done" if code == 0 else "failed", "", 1.0
        self.view.show()
        return code

    def run(self, row: Row, *arguments: str) -> int:
        """Run DVC, shown as `row`; return its exit code. It ends, with what it started, when anything interrupts this."""
        if row.state == "waiting":
            row.state, row.started = "running", time.monotonic()
        keep = self.view.live is not None
        with open(self.log, "ab") if keep else contextlib.nullcontext() as output:
            begin = output.tell() if output else 0
            process = subprocess.Popen(
                [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
                cwd=self.root,
                env={**os.environ, "PYTHONUNBUFFERED": "1"} if keep else None,
                stdout=output,
                stderr=subprocess.STDOUT if keep else None,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
            try:
                while process.poll() is None:
                    if self.ending:  # an exception out of a signal's handler may get lost in C code
                        raise self.ending[-1]
                    row.seconds = time.monotonic() - row.started
                    row.words = stage_in(self._text(begin))
                    self.view.show()
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        process.wait(timeout=SECONDS_BETWEEN_LOOKS)
            except BaseException:
                end_groups([process.pid])
                process.wait()
                raise
        self.said = self._text(begin)
        return process.returncode

    def _text(self, begin: int) -> str:
        if not self.log.is_file():
            return ""
        with self.log.open("rb") as file:
            file.seek(begin)
            return file.read().decode(errors="replace")


def stage_in(said: str) -> str:
    """The stage that DVC is at, with its own count where it prints one: 'dataset@synthetic 120/520'; '' before the first."""
    stages = list(_STAGE.finditer(said))
    if not stages:
        return ""
    counts = _COUNT.findall(said, stages[-1].end())
    return f"{stages[-1][1]} {counts[-1]}" if counts else stages[-1][1]


def closing_lines(said: str) -> list[str]:
    """What DVC says after its last stage, such as that all is up to date; without the advice to stage files automatically."""
    lines = said.splitlines()
    last = max((place for place, line in enumerate(lines) if line.startswith(_OF_STAGES)), default=-1)
    told: list[str] = []
    for line in (line.strip() for line in lines[last + 1 :] if line.strip()):
        if told and told[-1].endswith(":"):
            told[-1] += f" {line}"
        else:
            told.append(line)
    return [line for line in told if not line.startswith("To enable auto staging")][-CLOSING_LINES:]


def failure_lines(said: str, log: Path) -> list[str]:
    """The end of what DVC printed, and where the whole stands; nothing where it was seen."""
    if not said:
        return []
    return [*said.rstrip().splitlines()[-LINES_OF_A_FAILURE:], f"all that DVC printed: {log}"]
