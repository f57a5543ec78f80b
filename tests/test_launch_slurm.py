"""`alfnet launch --on slurm` without a Slurm: what it asks for, what it reads in the queue, and when a job starts again."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from submitit.core.utils import FailedJobError

from alfnet.errors import AlfnetError
from alfnet.launch import jobs, slurm
from alfnet.launch.jobs import Job
from alfnet.launch.run import RUNS_AT_MOST, Options, _Progress, _reason, _Work
from alfnet.params import MachineSettings, Params, check_params
from tests.throwaway import run
from tests.tiny import raw_params


def command(folder: Path, name: str, text: str) -> None:
    """Put a shell script where programs are looked for."""
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that holds Slurm's programs, as far as these tests need them; `queue` and `nodes` are what they say."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name in ("sbatch", "srun"):
        command(folder, name, "exit 1")
    command(folder, "scancel", f'echo "$@" >> {folder}/cancelled')
    command(folder, "squeue", f'echo "$@" > {folder}/asked; cat {folder}/queue')
    command(folder, "sinfo", f'echo "$@" > {folder}/asked; cat {folder}/nodes')
    (folder / "queue").touch()
    (folder / "nodes").touch()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.delenv("SBATCH_PARTITION", raising=False)
    return folder


def params_with(accelerator: str, devices: int = 1, workers: int = 0) -> Params:
    runtime = "portable" if accelerator == "cpu" and devices == 1 else "native"
    return check_params(
        raw_params(
            runtime=runtime, machine__accelerator=accelerator, machine__devices=devices, machine__workers=workers,
            train__batch=12,
        ),
        "p",
    )  # fmt: skip


def machine(accelerator: str, devices: int = 1, workers: int = 0) -> MachineSettings:
    return params_with(accelerator, devices, workers).machine


def batch_file(asked: dict[str, Any], at_once: int | None = None, count: int = 30) -> list[str]:
    """The lines that sbatch would get for an array."""
    executor = slurm.executor(Path("/logs"), asked, at_once)
    executor.parameters["map_count"] = count
    return list(executor._make_submission_file_text(executor._submitit_command_str, "id").splitlines())


def options_in(lines: list[str]) -> dict[str, str]:
    marked = [line.removeprefix("#SBATCH --") for line in lines if line.startswith("#SBATCH --")]
    return {line.partition("=")[0]: line.partition("=")[2] for line in marked}


def test_a_job_has_a_day_a_gpu_for_each_device_and_a_core_for_each_process(cluster: Path) -> None:
    asked = slurm.parameters(machine("cuda", devices=2, workers=8), {"partition": "gpu"}, {})
    options = options_in(batch_file(asked))
    assert options["partition"] == "gpu"
    assert options["time"] == "1440"
    assert options["gpus-per-node"] == "2"
    assert options["cpus-per-task"] == "18"
    assert options["array"] == "0-29%30", "all at once that Slurm starts"
    assert options["job-name"] == "alfnet"
    assert slurm.in_words(asked, machine("cuda")) == (
        "each job asks Slurm for 2 GPUs, 18 cores, 1440 minutes, as often as needed"
    )
    assert options_in(batch_file(asked, at_once=8))["array"] == "0-29%8"


def test_what_the_command_says_goes_before_the_settings(cluster: Path) -> None:
    given = {"time": 240, "gpus_per_node": 4, "cpus_per_task": 3, "array_parallelism": 5}
    asked = slurm.parameters(machine("cuda", workers=8), given, slurm.sbatch_options(["mem=32G", "exclusive=true"]))
    lines = batch_file(asked, at_once=8)
    options = options_in(lines)
    assert (options["time"], options["gpus-per-node"], options["cpus-per-task"]) == ("240", "4", "3")
    assert options["array"] == "0-29%5"
    assert options["mem"] == "32G"
    assert "#SBATCH --exclusive" in lines
    assert slurm.in_words(asked, machine("cuda")).endswith(
        "4 GPUs, 3 cores, 240 minutes, as often as needed, --mem=32G, --exclusive"
    )


def test_the_signal_before_the_end_reaches_python_alone_and_the_job_may_be_queued_again(cluster: Path) -> None:
    lines = batch_file({})
    options = options_in(lines)
    assert options["signal"] == "B:USR2@90"
    assert "requeue" in options
    assert options["time"] == "1440"
    (started,) = [line for line in lines if "submitit.core._submit" in line]
    assert started.startswith("exec /"), "a shell in between would be ended by the signal"
    assert "srun" not in started


@pytest.mark.parametrize(
    ("accelerator", "partition", "nodes", "gpus", "said"),
    [
        ("cpu", "gpu", "gpu gpu:4", None, "no GPU (machine.accelerator: cpu)"),
        ("cuda", "cpu", "cpu (null)", 1, "1 GPU, 3 cores"),
        ("auto", "gpu", "gpu gpu:h100:4(S:0-1)", 1, "1 GPU, 3 cores"),
        ("auto", "mixed", "mixed (null)\nmixed lustre:1,gpu:2", 1, "1 GPU"),
        (
            "auto",
            "cpu",
            "cpu (null)",
            None,
            "no GPU (machine.accelerator: auto, and sinfo names none in the partition;",
        ),
        ("auto", "cpu", "cpu gpufs:1", None, "no GPU"),
        ("auto", None, "gpu gpu:4\nmain* (null)", None, "no GPU"),
        ("auto", None, "gpu (null)\nmain* gpu:4", 1, "1 GPU"),
        ("auto", None, "", None, "no GPU"),
    ],
)
def test_whoever_has_gpus_gets_them_and_who_has_none_is_not_refused(
    cluster: Path, accelerator: str, partition: str | None, nodes: str, gpus: int | None, said: str
) -> None:
    (cluster / "nodes").write_text(nodes + "\n")
    settings = machine(accelerator, workers=2)
    asked = slurm.parameters(settings, {"partition": partition} if partition else {}, {})
    assert asked.get("gpus_per_node") == gpus
    assert said in slurm.in_words(asked, settings)
    if accelerator == "auto":
        assert (f"--partition={partition}" in (cluster / "asked").read_text()) == (partition is not None)


def test_the_partition_of_the_environment_is_looked_at(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SBATCH_PARTITION", "gpu")
    (cluster / "nodes").write_text("gpu gpu:1\n")
    assert slurm.has_gpus(None)
    assert "--partition=gpu" in (cluster / "asked").read_text()
    monkeypatch.setenv("PATH", "")
    assert not slurm.has_gpus("gpu")


@pytest.mark.parametrize("option", ["gres=gpu:a100:1", "--gpus=1", "gpus_per_task=1"])
def test_gpus_asked_for_in_sbatchs_words_are_not_asked_for_again(cluster: Path, option: str) -> None:
    extra = slurm.sbatch_options([option])
    asked = slurm.parameters(machine("cuda"), {}, extra)
    assert "gpus_per_node" not in asked
    assert "no GPU" not in slurm.in_words(asked, machine("cuda"))
    (name, value) = next(iter(extra.items()))
    assert options_in(batch_file(asked))[name] == value


def test_no_gpu_can_be_asked_for(cluster: Path) -> None:
    asked = slurm.parameters(machine("cuda"), {"gpus_per_node": 0}, {})
    assert "gpus-per-node" not in options_in(batch_file(asked)), "a Slurm without GPUs knows no such option"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("account", "--sbatch account: KEY=VALUE was expected"),
        ("account=", "--sbatch account=: KEY=VALUE was expected"),
        ("=vision", "--sbatch =vision: KEY=VALUE was expected"),
        ("A=vision", "an option of sbatch in full"),
        ("account=vi\nsion", "KEY=VALUE was expected"),
        ("time=60", "--sbatch time=60: that has an option of its own: --time 60"),
        ("cpus_per_task=4", "that has an option of its own: --cpus-per-task 4"),
        ("array=0-3", "the launch sets array itself"),
        ("nodes=2", "the launch sets nodes itself, one task on one node"),
    ],
)
def test_an_option_of_sbatch_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(AlfnetError) as caught:
        slurm.sbatch_options([text])
    assert said in str(caught.value)


def test_options_of_sbatch_are_read() -> None:
    texts = ["account=vision", "--qos=long", "mail-user=a@b=c", "exclusive=true"]
    assert slurm.sbatch_options(texts) == {
        "account": "vision", "qos": "long", "mail-user": "a@b=c", "exclusive": True
    }  # fmt: skip
    with pytest.raises(AlfnetError, match="qos is given twice"):
        slurm.sbatch_options(["qos=a", "qos=b"])


def test_without_slurm_there_is_no_executor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(AlfnetError, match="sbatch: no such command"):
        slurm.executor(Path("/logs"), {}, None)


def test_the_queue_is_read(cluster: Path) -> None:
    (cluster / "queue").write_text(
        "12_0 RUNNING None\n12_1 PENDING Resources\n12_2 PENDING launch failed requeued held\n\n13 COMPLETING None\n"
    )
    assert slurm.queue() == {
        "12_0": ("RUNNING", "None"),
        "12_1": ("PENDING", "Resources"),
        "12_2": ("PENDING", "launch failed requeued held"),
        "13": ("COMPLETING", "None"),
    }
    asked = (cluster / "asked").read_text()
    assert "--array" in asked, "or waiting tasks are listed together, as 12_[1-2]"
    command(cluster, "squeue", "exit 1")
    assert slurm.queue() is None


class Executor:
    """In place of submitit's: gives out the ids of an array for each batch."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.array, self.tasks = folder, 11, 0

    @contextlib.contextmanager
    def batch(self) -> Iterator[None]:
        self.array, self.tasks = self.array + 1, 0
        yield

    def submit(self, job: Job) -> SimpleNamespace:
        name = f"{self.array}_{self.tasks}"
        self.tasks += 1
        paths = SimpleNamespace(stdout=self.folder / f"{name}.out", result_pickle=self.folder / f"{name}.pkl")
        return SimpleNamespace(job_id=name, paths=paths, result=lambda: 0)


@pytest.fixture
def work(tmp_path: Path, cluster: Path) -> Iterator[_Work]:
    """A launch of two jobs that Slurm has taken as 12_0 and 12_1."""
    root = tmp_path / "project"
    root.mkdir()
    run("git", "init", "-q", cwd=root)
    run("dvc", "init", "-q", cwd=root)
    run("git", "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "--allow-empty", "-m", "first", cwd=root)
    work = _Work(
        root,
        root / ".scratch/launch/now",
        [_Progress("a", 1), _Progress("b", 1)],
        Options(on="slurm", slurm={"time": 60}),
        "portable",
    )
    work.folder.mkdir(parents=True, exist_ok=True)
    work.environment = {"ALFNET_SCRATCH": str(root / ".scratch")}
    work.executor = Executor(tmp_path)
    work.step()
    yield work
    work.trees.clean()


def look(work: _Work, cluster: Path, queue: str) -> list[tuple[str, str]]:
    """State and words of the jobs when Slurm's queue is as said."""
    (cluster / "queue").write_text(queue)
    work.queue_read = -1e9
    work.step()
    return [(row.state, row.words) for row in work.rows]


def test_jobs_that_wait_in_slurms_queue_are_queued_and_their_clock_starts_when_they_run(
    work: _Work, cluster: Path, tmp_path: Path
) -> None:
    first, second = work.rows
    assert first.state == second.state == "queued"
    waiting = look(work, cluster, "12_0 PENDING Priority\n12_1 PENDING None\n")
    assert waiting == [("queued", "Priority"), ("queued", "")]
    first.started = second.started = time.monotonic() - 1000
    assert look(work, cluster, "12_0 RUNNING None\n12_1 PENDING Priority\n") == [
        ("running", ""),
        ("queued", "Priority"),
    ]
    assert first.seconds < 100
    assert second.seconds == 0
    # What a job writes tells of it between two looks at the queue.
    (tmp_path / "12_1.out").write_text("Running stage 'train@b-1':\ntrain b-1: 3/4, 1 s left\n")
    work.step()
    assert (second.state, second.words) == ("running", "train 3/4")
    # Queued again: what its last run wrote does not.
    second.started = time.monotonic() - 1000
    assert look(work, cluster, "12_0 RUNNING None\n12_1 PENDING BeginTime\n")[1] == ("queued", "BeginTime")
    work.step()
    assert second.state == "queued"
    assert look(work, cluster, "12_0 RUNNING None\n12_1 RUNNING None\n")[1] == ("running", "train 3/4")
    assert second.seconds < 100
    assert second.runs == 1


def test_a_job_that_slurm_no_longer_knows_runs_again(
    work: _Work, cluster: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    look(work, cluster, "12_0 RUNNING None\n12_1 RUNNING None\n")
    look(work, cluster, "12_1 RUNNING None\n")
    assert work.rows[0].state == "running", "once may be chance"
    look(work, cluster, "12_1 RUNNING None\n")
    assert (work.rows[0].state, work.rows[0].runs, work.rows[0].handle.job_id) == ("queued", 2, "13_0")
    assert "a-1: its job is no longer in Slurm's queue and left no result" in capsys.readouterr().err
    assert (cluster / "cancelled").read_text().split() == ["12_0"]
    work.stop()
    assert (cluster / "cancelled").read_text().splitlines()[1] == "13_0 12_1"


def kill(work: _Work, row: _Progress) -> None:
    """The job is killed, as its log and its result tell."""
    row.handle.paths.result_pickle.write_bytes(pickle.dumps(("success", 255)))
    row.handle.paths.stdout.write_text("starting stages of a-1\nfailed to run: train, exited with -9\n")
    row.handle.result = lambda: 255
    work.step()


def checkpoint(work: _Work, update: int, fingerprint: str = "0123456789abcdef") -> None:
    folder = work.root / ".scratch" / f"a-1-{fingerprint}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{update:09d}-{'0' * 8}.ckpt").touch()


def test_a_job_that_keeps_more_each_time_runs_as_often_as_it_is_killed(work: _Work) -> None:
    row = work.rows[0]
    for runs in range(1, 3 * RUNS_AT_MOST):
        checkpoint(work, 10 * runs)
        kill(work, row)
        assert (row.state, row.runs) == ("queued", runs + 1)
    # With new settings it begins anew, in another folder. A stage that ended counts, too.
    checkpoint(work, 5, "fedcba9876543210")
    kill(work, row)
    assert row.fruitless == 0
    kill(work, row)
    assert row.fruitless == 1
    assert row.job is not None
    (row.job.folder / "dvc.lock").write_text("schema: '2.0'\nstages:\n  train@a-1:\n    cmd: x\n")
    kill(work, row)
    assert row.fruitless == 0
    # Others' checkpoints and stages do not.
    (work.root / ".scratch/a-12-0123456789abcdef").mkdir()
    (work.root / ".scratch/a-12-0123456789abcdef/000009999-00.ckpt").touch()
    (row.job.folder / "dvc.lock").write_text(
        "schema: '2.0'\nstages:\n  train@a-1:\n    cmd: x\n  train@b-1:\n    cmd: x\n"
    )
    for _ in range(RUNS_AT_MOST - 1):
        kill(work, row)
        assert row.state == "queued"
    kill(work, row)
    assert row.state == "failed"
    assert work.rows[1].state == "queued"


def test_a_job_stops_its_stage_before_it_is_queued_again(tmp_path: Path) -> None:
    job = Job("a", 1, tmp_path / "a-1", {"ALFNET_SCRATCH": str(tmp_path)}, minutes=60)
    stage = subprocess.Popen(["sleep", "600"], start_new_session=True)
    try:
        job.group_file.write_text(str(stage.pid))
        again = job.checkpoint()
        assert stage.wait(timeout=30) == -signal.SIGTERM
    finally:
        stage.kill()
    assert again.function is job


def test_a_job_whose_time_was_up_is_queued_again_where_more_is_kept(tmp_path: Path) -> None:
    """Preempted, it is in any case: it may have run for a minute."""
    job = Job("a", 1, tmp_path / "a-1", {"ALFNET_SCRATCH": str(tmp_path)}, minutes=60)
    job.begun, job.kept_before = time.monotonic() - 60, job.kept()
    assert job.checkpoint().function is job
    job.begun -= 57 * 60
    with pytest.raises(AlfnetError, match="in 60 minutes it came to no new checkpoint; give it more with --time"):
        job.checkpoint()
    (tmp_path / "a-1-0123456789abcdef").mkdir()
    (tmp_path / "a-1-0123456789abcdef/000000010-00.ckpt").touch()
    assert job.checkpoint().function is job


@pytest.mark.parametrize("told", [True, False])
def test_a_job_that_slurm_tells_to_end_leaves_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """It may be queued again by Slurm itself, and a result would have the launch start another."""

    def wait(timeout: float) -> int:
        if told:
            os.kill(os.getpid(), signal.SIGTERM)
        return 255

    (tmp_path / "a-1").mkdir()
    monkeypatch.setattr(jobs.subprocess, "Popen", lambda *_, **__: SimpleNamespace(pid=2**22 + 1, wait=wait))
    before = signal.getsignal(signal.SIGTERM)
    job = Job("a", 1, tmp_path / "a-1", {"ALFNET_SCRATCH": str(tmp_path)})
    try:
        if told:
            with pytest.raises(SystemExit):
                job()
        else:
            assert job() == 255
    finally:
        signal.signal(signal.SIGTERM, before)


def test_why_a_job_ended_is_said_in_a_line() -> None:
    dashes = "-" * 22
    trace = (
        f"Traceback (most recent call last):\n  File\n{'alfnet.errors.AlfnetError: in 60 minutes it came to nothing'}"
    )
    error = FailedJobError(f"Job (task=0) failed during processing with trace:\n{dashes}\n{trace}\n{dashes}\nYou can")
    assert _reason(error) == "in 60 minutes it came to nothing"
    assert _reason(RuntimeError(f"Job 3 has not produced any output\n{dashes}\nx\n{dashes}\n")) == (
        "Job 3 has not produced any output"
    )
    assert _reason(ValueError()) == "ValueError"
