"""A job: the stages of one variant and seed, run by DVC in a worktree of its own."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.launch.lock_file import mend_lock
from alfnet.launch.records import recorded_stages

_PROGRESS = re.compile(r"^(\w+) [^\n]*?(\d+)/(\d+), ", re.MULTILINE)
_RUNNING = re.compile(r"^Running stage '(\w+)@", re.MULTILINE)
_GOING_ON = re.compile(r"^going on after update (\d+) of (\d+)", re.MULTILINE)
_SHARES = {"train": (0.0, 0.85), "validate": (0.85, 0.88), "detect": (0.88, 1.0), "evaluate": (1.0, 1.0)}
"""Where in a job's time a stage stands, roughly."""
_KILLED = re.compile(r", exited with (-9|137|-15|143)$", re.MULTILINE)
"""DVC of a stage that SIGKILL or SIGTERM ended: -9 or -15, or as a shell and a training put it, 128 more."""
_STARTS = "starting stages of "
"""In the log, where a job starts: Slurm appends to it when it queues a job again."""
SECONDS_TO_STOP = 15.0
SECONDS_BETWEEN_LOOKS = 2.0
"""At the launch that a job belongs to."""


@dataclass(frozen=True)
class Kept:
    """What a job's next run would go on from."""

    checkpoints: Mapping[str, int]
    """The newest update by folder: a training with other settings has another one."""
    stages: Mapping[str, Any]
    """What DVC recorded of those that have ended."""

    def is_beyond(self, earlier: Kept) -> bool:
        """Whether there is more than at an earlier time."""
        trained = any(update > earlier.checkpoints.get(name, 0) for name, update in self.checkpoints.items())
        return trained or any(entry != earlier.stages.get(name) for name, entry in self.stages.items())


@dataclass
class Job:
    """What runs, in this process's words; submitit calls it in another process, perhaps on another machine."""

    variant: str
    seed: int
    folder: Path
    """The worktree."""
    environment: Mapping[str, str | None] = field(default_factory=dict)
    """Beside that of the process that runs it; None: unset."""
    owner: Path | None = None
    """A file that the launch holds locked: the job ends when the launch does, however that ends. None: it goes on (Slurm)."""
    minutes: int | None = None
    """Slurm: the time that it may take at once."""
    begun: float = field(default=0.0, init=False)
    """The present run, by `time.monotonic`."""
    kept_before: Kept | None = field(default=None, init=False)
    """What the present run went on from."""
    told_to_end: bool = field(default=False, init=False)

    @property
    def name(self) -> str:
        """VARIANT-SEED, as in the names of the stages."""
        return f"{self.variant}-{self.seed}"

    @property
    def group_file(self) -> Path:
        """Holds the id of the process group that works, for whoever wants to stop it."""
        return self.folder.parent / f"{self.name}.group"

    def __call__(self) -> int:
        """Run the stages; return DVC's exit code. What they print goes to the job's log."""
        print(f"{_STARTS}{self.name}", flush=True)
        if said := mend_lock(self.folder):  # an earlier run of this job was killed
            print(said, flush=True)
        self.begun, self.kept_before = time.monotonic(), self.kept()
        if self.owner is None:
            signal.signal(signal.SIGTERM, self._note_end)
        command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", f"evaluate@{self.name}"]
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.whole_environment(),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=end_with_parent,
        )
        self.group_file.write_text(str(process.pid))
        try:
            code = self._wait(process)
        finally:
            end_groups([process.pid])  # where DVC was killed, its stage goes on
            self.group_file.unlink(missing_ok=True)
        if code and self.told_to_end:
            # No result: Slurm may have queued the job again by itself, and the launch reads in the queue whether it has.
            print("told to end, as for a job of more importance", flush=True)
            raise SystemExit(1)
        return code

    def _note_end(self, number: int, frame: Any) -> None:
        """On SIGTERM, which Slurm sends to all processes of a job before it takes the node away."""
        self.told_to_end = True

    def kept(self) -> Kept:
        """What a next run would go on from, at this moment."""
        scratch = Path(self.whole_environment().get("ALFNET_SCRATCH", self.folder / ".scratch"))
        checkpoints: dict[str, int] = {}
        for path in scratch.glob(f"{self.name}-{'[0-9a-f]' * 16}/[0-9]*-*.ckpt"):
            folder, update = path.parent.name, path.name.split("-")[0]
            checkpoints[folder] = max(checkpoints.get(folder, 0), int(update))
        try:
            stages = recorded_stages(self.folder / "dvc.lock")
        except AlfnetError:  # there is none yet, or DVC was stopped while it wrote it
            stages = {}
        return Kept(checkpoints, {name: entry for name, entry in stages.items() if name.endswith(f"@{self.name}")})

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                return process.wait(timeout=SECONDS_BETWEEN_LOOKS)
            if self.owner is not None and is_free(self.owner):
                print(
                    "the launch has ended, and this job with it; the next one goes on from its checkpoint", flush=True
                )
                return 1

    def whole_environment(self) -> dict[str, str]:
        """What the stages get: the environment of this process, with the job's own in it."""
        given = {**os.environ, **self.environment, "PYTHONUNBUFFERED": "1"}
        return {name: value for name, value in given.items() if value is not None}

    def checkpoint(self) -> Any:
        """Called by submitit before a time limit or preemption: queue it again, to go on from its checkpoint.

        The stage is stopped first, in order. Raises AlfnetError, with which the run counts as killed, where the time was up
        and nothing more is kept than before it: so it would go on for ever.
        """
        from submitit.helpers import DelayedSubmission

        if (group := self.group) is not None:
            end_groups([group])
        time_was_up = self.minutes is not None and time.monotonic() - self.begun > 0.8 * 60 * self.minutes - 120
        if time_was_up and self.kept_before is not None and not self.kept().is_beyond(self.kept_before):
            raise AlfnetError(
                f"in {self.minutes} minutes it came to no new checkpoint; give it more with --time, or lower "
                "machine.checkpoint_every"
            )
        return DelayedSubmission(self)

    @property
    def group(self) -> int | None:
        """The group of processes that work now."""
        return group_in(self.group_file)


def is_free(owner: Path) -> bool:
    """Whether no living launch holds the file `owner` locked; it may be gone with its folder."""
    try:
        with open(owner, "a+") as file:  # to be read, too, without which NFS gives no shared lock
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)  # shared: others who look meanwhile see it free, too
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def group_in(path: Path) -> int | None:
    """The group of processes that a job's file names; None where there is no such file."""
    text = path.read_text() if path.is_file() else ""
    return int(text) if text.isdecimal() else None


def stop_group(group: int, number: int = signal.SIGTERM) -> None:
    """Send a signal to the processes of a group, where there are any."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def end_groups(groups: Sequence[int]) -> None:
    """Stop groups of processes of this machine and wait for their end; what is not done in time is killed."""
    alive = [group for group in groups if is_alive(group)]
    for group in alive:
        stop_group(group)
    until = time.monotonic() + SECONDS_TO_STOP
    while (alive := [group for group in alive if is_alive(group)]) and time.monotonic() < until:
        time.sleep(0.2)
    for group in alive:
        stop_group(group, signal.SIGKILL)


def is_alive(group: int) -> bool:
    """Whether a process of a group still runs on this machine; one that has ended and nobody has asked for does not."""
    return any(True for _ in _processes(group))


def works_in(group: int, folder: Path) -> bool:
    """Whether a process of a group runs on this machine below `folder`, an absolute path without links."""
    for process in _processes(group):
        with contextlib.suppress(OSError):
            if Path(os.readlink(process / "cwd")).is_relative_to(folder):
                return True
    return False


def _processes(group: int) -> Iterator[Path]:
    """The folders in /proc of the processes of a group that have not ended."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group, *_ = path.read_text().rsplit(")", 1)[1].split()
        except (OSError, IndexError, ValueError):
            continue
        if int(its_group) == group and state not in "ZX":
            yield path.parent


def progress_in(log: str) -> tuple[str, float]:
    """Return what a job's log says last: (words such as 'train 640/1300', its part of the job's time that has passed)."""
    found = _PROGRESS.findall(log)
    stages = _RUNNING.findall(log)
    stage = stages[-1] if stages else ""
    begin, end = _SHARES.get(stage, (0.0, 0.0))
    if found and found[-1][0] == stage:
        done, total = int(found[-1][1]), int(found[-1][2])
        return f"{stage} {done}/{total}", begin + (end - begin) * done / max(1, total)
    return stage, begin


def began_in(log: str) -> tuple[float, float]:
    """Return where in the job's time its last start began, 0 to 1: (by its first stage, by that stage's checkpoint, too).

    (1, 1) where no stage has run: all came out of the cache, or the first is still to come.
    """
    log = log[max(0, log.rfind(_STARTS)) :]
    first = _RUNNING.search(log)
    if first is None:
        return 1.0, 1.0
    begin, end = _SHARES.get(first[1], (0.0, 0.0))
    found = _GOING_ON.search(log)
    return begin, begin + (end - begin) * (int(found[1]) / max(1, int(found[2])) if found else 0.0)


def stage_was_killed(log: str) -> bool:
    """Whether a job's log says that a stage was killed since the job's last start. DVC itself ends as if it had failed."""
    return _KILLED.search(log, max(0, log.rfind(_STARTS))) is not None


def end_with_parent() -> None:
    """Linux: SIGTERM when the process that started this one ends, however that ends."""
    libc = ctypes.CDLL(None)
    libc.prctl(1, signal.SIGTERM)
