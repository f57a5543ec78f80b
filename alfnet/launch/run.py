"""`alfnet launch`: what `dvc repro` would run per variant and seed, side by side; then `dvc repro` checks it and goes on."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, NoReturn

from rich.console import Console
from rich.live import Live
from rich.table import Table

from alfnet.errors import AlfnetError
from alfnet.launch.jobs import Job, end_groups, progress_in, stage_was_killed
from alfnet.launch.lock_file import leave_out, mend_lock, record, recorded
from alfnet.launch.worktrees import Worktrees, claimed, remove_left
from alfnet.params import Params

FIRST = ("parameters", "cache_annotations", "ground_truth", "first_weights")
"""What all jobs need, and what these need themselves; it runs in the project's folder before them."""
PER_SEED = ("train", "validate", "detect", "evaluate")
AFTER = ("summarise", "deploy", "report")
"""What depends on the jobs, and no job on it."""
RUNS_AT_MOST = 3
"""A job that was killed (not one that failed) is started again, to go on from its checkpoint."""
SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_QUEUES = 10.0
"""Between two looks at Slurm's queue, which all users share."""
FOREVER_MINUTES = 60 * 24 * 365

State = Literal["waiting", "running", "done", "failed"]


@dataclass
class Options:
    """How the jobs run. The number of jobs at once changes no result."""

    on: Literal["local", "slurm"] = "local"
    jobs: int | None = None
    """At once; None: one per GPU, or as many as there are cores."""
    gpus: Sequence[str] = ()
    """Local: jobs take turns on these, one each: values of CUDA_VISIBLE_DEVICES."""
    slurm: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of submitit's Slurm executor, without their prefix slurm_."""

    @property
    def at_once(self) -> int:
        """How many jobs run at a time."""
        return self.jobs or len(self.gpus) or len(os.sched_getaffinity(0))


@dataclass
class _Progress:
    """One row of the table."""

    variant: str
    seed: int
    state: State = "waiting"
    words: str = ""
    part: float = 0.0
    runs: int = 0
    started: float = 0.0
    seconds: float = 0.0
    log: Path | None = None
    job: Job | None = None
    handle: Any = None
    slot: int = 0
    missed: int = 0
    """How often in succession Slurm's queue was without this job."""

    @property
    def name(self) -> str:
        return f"{self.variant}-{self.seed}"


def launch(params: Params, root: Path, options: Options) -> int:
    """Reproduce the pipeline with the trainings side by side; return the exit code.

    Raises AlfnetError where this is no Git repository with a DVC pipeline, or where Slurm or enough GPUs are not there.
    """
    launches = (root / ".scratch" / "launch").resolve()
    if not (root / "dvc.yaml").is_file():
        raise AlfnetError(f"{root / 'dvc.yaml'}: no such file; run this in the project's folder")
    if said := mend_lock(root):
        print(said, file=sys.stderr)
    for folder in remove_left(root, launches):
        print(f"removed what an earlier launch left: {folder}", file=sys.stderr)
    if code := _dvc(root, "repro", *FIRST):
        return code
    rows = pending(root, params)
    if options.on == "local":
        options = replace(options, gpus=turns_of_gpus(params, options.gpus))
    if rows and (code := _run(root, launches, rows, options, params.runtime)):
        return code
    return _dvc(root, "repro")


def turns_of_gpus(params: Params, named: Sequence[str] = ()) -> list[str]:
    """The GPUs of each job at a time, `machine.devices` of them, as values of CUDA_VISIBLE_DEVICES.

    named: those to share; left out: all that there are, where the parameters ask for a GPU. Raises AlfnetError where a
    training has more devices than there are named.
    """
    machine = params.machine
    gpus = list(named)
    if not gpus and machine.accelerator != "cpu":
        import torch

        count = torch.cuda.device_count()  # of those that CUDA_VISIBLE_DEVICES leaves
        listed = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
        gpus = [listed[index] if index < len(listed) and listed[0] else str(index) for index in range(count)]
    if gpus and len(gpus) < machine.devices:
        raise AlfnetError(
            f"machine.devices: {machine.devices} for each training, and {len(gpus)} GPUs are there ({', '.join(gpus)}); "
            "lower it, or name more with --gpus"
        )
    return [
        ",".join(gpus[at : at + machine.devices]) for at in range(0, len(gpus) - machine.devices + 1, machine.devices)
    ]


def pending(root: Path, params: Params) -> list[_Progress]:
    """The variants and seeds of which `dvc repro` would run a stage, in the order of the parameters."""
    # Not `dvc repro --dry`: it stops where an input is not made yet, and takes what a stage will change for unchanged.
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "status", "--json", *PER_SEED]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True)
    if result.returncode:
        raise AlfnetError(f"dvc status: {result.stderr.strip()}; alfnet check says more")
    listed = set(json.loads(result.stdout))
    return [
        _Progress(variant, seed)
        for variant in params.variants
        for seed in params.seeds
        if listed & set(_stages_of(f"{variant}-{seed}"))
    ]


def _run(root: Path, launches: Path, rows: list[_Progress], options: Options, runtime: str) -> int:
    folder = launches / f"{time.strftime('%Y%m%d-%H%M%S')}-{uuid.uuid4().hex[:4]}"
    console = Console(stderr=True)
    ending: list[SystemExit] = []

    def end(number: int, frame: Any) -> NoReturn:
        ending.append(SystemExit(128 + number))
        raise ending[-1]

    signal.signal(signal.SIGTERM, end)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # `nohup` ignores it
        signal.signal(signal.SIGHUP, end)
    with claimed(folder):
        work = _Work(root, folder, rows, options, runtime)
        try:
            with Live(console=console, auto_refresh=False, transient=False) as live:
                while not work.step():
                    if ending:  # an exception out of a signal's handler may get lost in C code
                        raise ending[-1]
                    if console.is_terminal:
                        live.update(work.table(), refresh=True)
                    else:
                        work.say(console)
                    time.sleep(SECONDS_BETWEEN_LOOKS)
                if console.is_terminal:
                    live.update(work.table(), refresh=True)
                else:
                    work.say(console)
        except BaseException:
            with contextlib.suppress(OSError):  # the terminal, or whoever read this, may be gone
                print("stopping the jobs; what their checkpoints hold is kept", file=sys.stderr, flush=True)
            work.stop()
            raise
        finally:
            work.trees.clean()
        work.collect()
    failed = [row for row in rows if row.state == "failed"]
    for row in failed:
        print(f"failed: {row.name}; its log: {row.log or 'none, it never ran'}", file=sys.stderr)
    if not failed:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failed else 0


class _Work:
    """The jobs of one launch."""

    def __init__(self, root: Path, folder: Path, rows: list[_Progress], options: Options, runtime: str) -> None:
        self.root, self.folder, self.rows, self.options = root, folder, rows, options
        self.trees = Worktrees(root, folder / "trees")
        self.started = time.monotonic()
        self.said: dict[str, str] = {}
        self.recorded: dict[str, Any] = {}
        scratch = Path(os.environ.get("ALFNET_SCRATCH", root / ".scratch")).resolve()
        self.environment: dict[str, str | None] = {"ALFNET_SCRATCH": str(scratch)}
        if options.on == "local":  # submitit hides all GPUs from its local jobs
            self.environment["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES")
        if runtime == "native" and not options.gpus and options.on == "local":
            cores = len(os.sched_getaffinity(0))
            self.environment["OMP_NUM_THREADS"] = str(max(1, cores // options.at_once))
        self.executor = _executor(folder / "logs", options)
        self.queue_read = 0.0

    def step(self) -> bool:
        """Look at what runs, start what may; True when all has ended."""
        self._look_at_queue()
        for row in self.rows:
            if row.state == "running":
                self._look(row)
        running = [row for row in self.rows if row.state == "running"]
        waiting = [row for row in self.rows if row.state == "waiting"]
        if self.options.on == "slurm":
            self._submit(waiting)  # Slurm has a queue of its own
        else:
            slots = sorted(set(range(self.options.at_once)) - {row.slot for row in running})
            for row, slot in zip(waiting, slots, strict=False):
                row.slot = slot
                self._submit([row])
        return all(row.state in ("done", "failed") for row in self.rows)

    def stop(self) -> None:
        """Stop all that this launch started."""
        running = [row for row in self.rows if row.state == "running"]
        for row in running:
            if self.options.on == "slurm":
                row.handle.cancel(check=False)
        if self.options.on == "slurm":
            return
        self._end_processes(running)

    def _end_processes(self, rows: list[_Progress]) -> None:
        """Stop what works for local jobs. It outlives submitit's processes, where it is these that were killed."""
        groups = [row.job.group for row in rows if row.job is not None]
        end_groups([group for group in groups if group is not None])

    def collect(self) -> None:
        """Put the results of the jobs that are done into the project's folder, from the cache that they share with it."""
        if not self.recorded:
            return
        record(self.root, self.recorded)
        # Where that fails, `dvc repro`, which follows, says why or mends it. Forced, as it would be there.
        _dvc(self.root, "checkout", "--quiet", "--force", *self.recorded)

    def table(self) -> Table:
        """What the terminal shows."""
        done = sum(1.0 if row.state in ("done", "failed") else row.part for row in self.rows)
        elapsed = time.monotonic() - self.started
        left = f"{_time(elapsed * (len(self.rows) - done) / done)} left" if done > 0.02 else ""
        table = Table(title=f"{done:.1f} of {len(self.rows)} jobs in {_time(elapsed)}  {left}", title_justify="left")
        for column in ("job", "state", "progress", "time"):
            table.add_column(column, justify="right" if column == "time" else "left")
        for row in self.rows:
            state = row.state + (f" (run {row.runs})" if row.runs > 1 else "")
            table.add_row(row.name, state, row.words, _time(row.seconds) if row.seconds else "")
        return table

    def say(self, console: Console) -> None:
        """Without a terminal: a line for each change."""
        for row in self.rows:
            again = f" again (run {row.runs})" if row.runs > 1 else ""
            line = f"{row.name}: {row.state}"
            if row.state == "running":
                line += f"{again}, {row.words.split(' ')[0] or 'started'}"
            if self.said.get(row.name) != line and row.state != "waiting":
                console.print(line, highlight=False)
                self.said[row.name] = line

    def _submit(self, rows: list[_Progress]) -> None:
        for row in rows:
            try:
                row.job = self._job(row)
            except (AlfnetError, OSError) as error:  # such as a full disk: the others go on
                print(f"{row.name}: its folder cannot be made: {error}", file=sys.stderr)
                self.trees.remove(self.trees.folder / row.name)
                row.state, row.part = "failed", 1.0
        rows = [row for row in rows if row.state != "failed"]
        if not rows:
            return
        # Ctrl-C reaches all processes of a terminal, but it is this one that stops the jobs; it waits until they are noted.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            if self.options.on == "slurm":
                from submitit.core.utils import FailedJobError

                try:
                    with self.executor.batch():
                        handles = [self.executor.submit(row.job) for row in rows]
                except FailedJobError as error:  # what sbatch said is in it
                    print(f"Slurm takes no job: {error}", file=sys.stderr)
                    for row in rows:
                        row.state, row.part = "failed", 1.0
                    return
                with (self.folder / "slurm-jobs").open("a") as file:
                    file.write("".join(f"{handle.job_id}\n" for handle in handles))
            else:
                handles = [self.executor.submit(row.job) for row in rows]
            for row, handle in zip(rows, handles, strict=True):
                row.handle, row.state, row.runs, row.missed = handle, "running", row.runs + 1, 0
                row.started, row.log, row.words = time.monotonic(), Path(handle.paths.stdout), ""
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _job(self, row: _Progress) -> Job:
        """The job of a row, in the worktree that it has or in a new one, and on the GPU of its present turn."""
        environment = dict(self.environment)
        if self.options.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = self.options.gpus[row.slot % len(self.options.gpus)]
        if row.job is not None:
            return replace(row.job, environment=environment)
        tree = self.trees.make(row.name)
        leave_out(tree / "dvc.lock", partial(_is_of_others, row.name))
        owner = self.folder / "owner" if self.options.on == "local" else None
        return Job(row.variant, row.seed, tree, environment, owner)

    def _look(self, row: _Progress) -> None:
        row.seconds = time.monotonic() - row.started
        if log := _text(row.log):
            row.words, row.part = progress_in(log)
        if self._ended(row):
            code = self._exit_code(row)
        elif row.missed > 1:
            print(f"{row.name}: its job is no longer in Slurm's queue and left no result", file=sys.stderr)
            code = None
        else:
            return
        if code is None and self.options.on == "local":
            self._end_processes([row])
        if code is None and row.runs < RUNS_AT_MOST:
            row.state, row.words = "waiting", "was killed; again from its checkpoint"
            return
        row.state = "done" if code == 0 else "failed"
        row.words, row.part = "", 1.0
        assert row.job is not None
        if code == 0:
            _copy_timings(row.job.folder, self.root)
            self.recorded |= recorded(row.job.folder / "dvc.lock", _stages_of(row.name))
        self.trees.remove(row.job.folder)

    def _ended(self, row: _Progress) -> bool:
        # submitit would ask `sacct`, which knows nothing where Slurm keeps no accounts, and then wait for ever.
        return bool(row.handle.paths.result_pickle.is_file() if self.options.on == "slurm" else row.handle.done())

    def _look_at_queue(self) -> None:
        """Note which jobs Slurm no longer knows: those that were killed with all that could have told of it."""
        if self.options.on != "slurm" or time.monotonic() - self.queue_read < SECONDS_BETWEEN_QUEUES:
            return
        self.queue_read = time.monotonic()
        command = ["squeue", "--noheader", "--array", "--format=%i", f"--user={os.getuid()}"]
        listed = subprocess.run(command, capture_output=True, text=True)
        if listed.returncode:  # Slurm is busy or being restarted
            return
        known = set(listed.stdout.split())
        for row in self.rows:
            if row.state == "running":
                row.missed = 0 if row.handle.job_id in known else row.missed + 1

    def _exit_code(self, row: _Progress) -> int | None:
        """DVC's exit code; None where the job, or a process of one of its stages, was killed."""
        try:
            code = row.handle.result()
        except Exception as error:  # submitit: no result, or what the job raised
            print(f"{row.name}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
            return None
        killed = code < 0 or (code > 0 and stage_was_killed(_text(row.log)))
        return None if killed else int(code)


def _executor(logs: Path, options: Options) -> Any:
    import submitit

    executor: Any
    if options.on == "local":
        executor = submitit.LocalExecutor(logs)
        executor.update_parameters(timeout_min=FOREVER_MINUTES, stderr_to_stdout=True)
        return executor
    if not shutil.which("sbatch"):
        raise AlfnetError("sbatch: no such command; is Slurm on this machine? Without it: alfnet launch --on local")
    # Without Slurm's accounting submitit warns at every look; the jobs' own result files tell it all the same.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    executor = submitit.SlurmExecutor(logs, max_num_timeout=1000)
    executor.update_parameters(
        **{"array_parallelism": options.at_once, "stderr_to_stdout": True, "use_srun": False, **options.slurm}
    )
    return executor


def _text(log: Path | None) -> str:
    return log.read_text(errors="replace") if log is not None and log.is_file() else ""


def _stages_of(job: str) -> list[str]:
    return [f"{stage}@{job}" for stage in PER_SEED]


def _is_of_others(job: str, stage: str) -> bool:
    """Whether a job needs nothing of a stage, by the stage's name."""
    return stage.split("@")[0] in PER_SEED + AFTER and stage not in _stages_of(job)


def _copy_timings(worktree: Path, root: Path) -> None:
    """Seconds per image are no output of a stage, and would go with the worktree."""
    for path in (worktree / "timings").rglob("*.json"):
        target = root / path.relative_to(worktree)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target)


def _dvc(root: Path, *arguments: str) -> int:
    return subprocess.run([sys.executable, "-m", "dvc", "--wait-for-lock", *arguments], cwd=root).returncode


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"
