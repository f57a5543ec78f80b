"""`alfnet launch` on a toy pipeline of the same stages: jobs that fail, die, are interrupted; what is carried and left."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML
from submitit.core.utils import FailedJobError

from alfnet.errors import AlfnetError
from alfnet.launch.jobs import Job, began_in, is_alive, is_free, progress_in, stage_was_killed, works_in
from alfnet.launch.lock_file import leave_out, lock_fault, mend_lock, record, recorded
from alfnet.launch.run import RUNS_AT_MOST, Options, _Progress, _Work, launch, turns_of_gpus
from alfnet.launch.worktrees import Worktrees, claimed, git, present_state, remove_left
from alfnet.params import check_params
from tests.throwaway import environment, new_repository, run
from tests.tiny import ROOT, raw_params

DVC_YAML = """\
stages:
  parameters:
    cmd: echo checked > parameters.txt
    deps: [params.yaml]
    outs: [parameters.txt]
  cache_annotations:
    cmd: echo boxes > cache.txt
    deps: [parameters.txt]
    outs: [cache.txt]
  ground_truth:
    cmd: echo truth > truth.txt
    deps: [parameters.txt]
    outs: [truth.txt]
  first_weights:
    matrix: {variant: "${variants}"}
    cmd: python work.py first ${item}
    deps: [parameters.txt]
    outs: ["first/${item.variant}.txt"]
"""
STAGE = """\
  %s:
    matrix: {variant: "${variants}", seed: "${seeds}"}
    cmd: python work.py %s ${item}
    deps: [work.py, %s]
    outs: ["%s/${item.variant}-${item.seed}.txt"]
"""
WORK = """\
import os, sys, time
from pathlib import Path
stage, _, variant, *rest = sys.argv[1:]
name = "-".join([variant, *rest[1:]])
state = Path(os.environ["TOY_STATE"])
(state / f"{stage}-{name}").open("a").write(f"{os.getpid()}\\n")
if stage == "train":
    print(f"train {name}: 3/4, 1 s left", file=sys.stderr, flush=True)
    if name == os.environ.get("TOY_FAILS"):
        sys.exit("error: this one fails")
    for _ in range(6000 if name in os.environ.get("TOY_WAITS", "").split() else 0):  # until it is told to go on, or stopped
        if (state / "go").exists():
            break
        time.sleep(0.1)
out = Path("first" if stage == "first" else stage) / f"{name}.txt"
out.parent.mkdir(exist_ok=True)
out.write_text(f"{stage} {name} {Path('note.txt').read_text()}")
"""
LAUNCH = """\
import signal, sys
from pathlib import Path
from types import SimpleNamespace
from alfnet.errors import exit_with_message
from alfnet.launch.run import Options, launch
machine = SimpleNamespace(accelerator="cpu", devices=1, nodes=1)
variant, training = SimpleNamespace(steps=1, weights=None), SimpleNamespace(updates=4)
params = SimpleNamespace(
    variants={"a": variant, "b": variant}, seeds=[1, 2], runtime="portable", machine=machine, training=lambda name: training
)
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs, perhaps these tests, ignore it
@exit_with_message
def main():
    sys.exit(launch(params, Path.cwd(), Options(jobs=int(sys.argv[1]), on=sys.argv[2])))
main()
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (tmp_path / "state").mkdir()
    name = "${item.variant}-${item.seed}.txt"
    chain = (
        ("train", "first/${item.variant}.txt"),
        ("validate", f"train/{name}"),
        ("detect", f"validate/{name}"),
        ("evaluate", f"detect/{name}"),
    )
    text = DVC_YAML + "".join(STAGE % (stage, stage, f'"{needs}"', stage) for stage, needs in chain)
    (folder / "dvc.yaml").write_text(text)
    (folder / "work.py").write_text(WORK)
    (folder / "note.txt").write_text("committed")
    (folder / "params.yaml").write_text("variants:\n  a: {}\n  b: {}\nseeds: [1, 2]\n")
    (folder / ".gitignore").write_text("/.scratch/\n/parameters.txt\n/cache.txt\n/truth.txt\n")
    (folder / ".dvcignore").write_text(".scratch/\n")
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "config", "user.email", "test@example.invalid", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    run("dvc", "init", "-q", cwd=folder)
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-q", "-m", "toy", cwd=folder)
    return folder


def start(folder: Path, jobs: int = 2, on: str = "local", **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(jobs), on],
        cwd=folder,
        env=environment(ROOT) | {"TOY_STATE": str(folder.parent / "state")} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=900)
    return process.returncode, output


def runs(folder: Path, name: str) -> int:
    path = folder.parent / "state" / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def process_of(folder: Path, name: str) -> int:
    """The process of a stage's latest run."""
    return int((folder.parent / "state" / name).read_text().split()[-1])


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    wait_until(path.exists, process)


def wait_until(true: Callable[[], bool], process: subprocess.Popen[str], seconds: float = 900) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert process.poll() is None or true(), f"ended before its time: {process.communicate()[0]}"
        assert time.monotonic() < deadline, "does not come"
        time.sleep(0.05)


@pytest.mark.long
def test_a_failing_job_leaves_the_others_running_and_names_its_log(toy: Path) -> None:
    (toy / "note.txt").write_text("changed")
    (toy / "untracked.txt").write_text("new")
    code, output = end(start(toy, TOY_FAILS="a-2"))
    assert code == 1, output
    assert "a-2: failed" in output
    for name in ("a-1", "b-1", "b-2"):
        assert f"{name}: done" in output
        assert runs(toy, f"evaluate-{name}") == 1
    log = Path(output.split("its log: ")[1].splitlines()[0])
    assert "this one fails" in log.read_text()
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1
    # What is done is collected, with the change that was not committed; mended, only the job that failed runs.
    assert (toy / "evaluate/b-1.txt").read_text() == "evaluate b-1 changed"
    code, output = end(start(toy))
    assert code == 0, output
    assert "b-1: " not in output
    assert "Stage 'train@b-1' didn't change, skipping" in output
    assert "Stage 'evaluate@a-2' didn't change, skipping" in output
    assert runs(toy, "train-a-1") == 1
    assert runs(toy, "train-a-2") == 2
    assert not log.exists(), "logs stay until the next launch"


def in_terminal(folder: Path, until: str = "", **variables: str) -> tuple[int, str, str]:
    """A launch with a terminal of its own: (exit code, what the terminal got, what the last table was).

    until: the launch gets Ctrl-C when the terminal has got this.
    """
    own, other = os.openpty()
    termios.tcsetwinsize(other, (40, 120))
    environ = environment(ROOT) | {"TOY_STATE": str(folder.parent / "state"), "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCH, "2", "local"],
        cwd=folder, env=environ | variables, stdin=other, stdout=other, stderr=other, start_new_session=True,
    )  # fmt: skip
    os.close(other)
    output = b""
    with contextlib.suppress(OSError):  # how Linux says that nobody writes any more
        while part := os.read(own, 65536):
            output += part
            if until and until in output.decode(errors="replace"):
                process.send_signal(signal.SIGINT)
                until = ""
    os.close(own)
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", output.decode(errors="replace")).replace("\r\n", "\n")
    return process.wait(timeout=60), text, text[text.rindex("data set, annotations") :]


@pytest.mark.long
def test_one_table_in_a_terminal_has_the_whole_launch(toy: Path) -> None:
    code, output, table = in_terminal(toy, TOY_FAILS="a-2")
    assert code == 1, output
    assert "Running stage" not in output, "DVC's own"
    names = ("data set, annotations, first weights", "a-1", "a-2", "b-1", "b-2", "tables, report")
    rows = [[cell.strip() for cell in line.split("│")] for line in ("│" + table).splitlines() if "│" in line]
    states = {row[1]: row[2] for row in rows if row[1] in names}
    assert states == dict(zip(names, ("done", "done", "failed", "done", "done", "waiting"), strict=True))
    assert "failed: a-2; its log: " in table

    code, output, table = in_terminal(toy)
    assert code == 0, output
    assert "tables, report" in table
    assert "Data and pipelines are up to date." in table
    assert not list((toy / ".scratch/launch").glob("*"))

    work = (toy / "work.py").read_text()
    (toy / "work.py").write_text(
        work.replace("stage, _, variant", "sys.exit('error: none of it works')\nstage, _, variant")
    )
    (toy / "params.yaml").write_text("variants:\n  a: {}\n  b: {}\n  c: {}\nseeds: [1, 2]\n")
    code, output, table = in_terminal(toy)
    assert code not in (0, 1, 130), output
    assert "error: none of it works" in table
    assert Path(table.split("all that DVC printed: ")[1].splitlines()[0]).is_file()


def test_an_interrupted_launch_in_a_terminal_leaves_nothing(toy: Path) -> None:
    code, output, _ = in_terminal(toy, until="train 3/4", TOY_WAITS="a-1 a-2")
    assert code == 130, output
    assert "stopping the jobs; what their checkpoints hold is kept" in output
    assert "Traceback" not in output
    assert not is_alive(process_of(toy, "train-a-1"))
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1


def test_a_launch_that_is_ended_before_its_jobs_stops_what_it_started(toy: Path) -> None:
    work = (toy / "work.py").read_text()
    (toy / "work.py").write_text(work.replace('if stage == "train":', 'if stage in ("first", "train"):'))
    process = start(toy, TOY_WAITS="a b")
    wait_until(lambda: runs(toy, "first-a") + runs(toy, "first-b") == 1, process)
    (stage,) = (toy.parent / "state").glob("first-*")
    working = os.getpgid(process_of(toy, stage.name))
    process.send_signal(signal.SIGTERM)
    code, output = end(process)
    assert code == 143, output
    assert "Traceback" not in output
    assert not is_alive(working)
    assert runs(toy, "train-a-1") == 0


def test_a_killed_job_starts_again_and_an_interrupted_launch_stops_its_jobs(toy: Path) -> None:
    process = start(toy, jobs=1, TOY_WAITS="a-1")  # it waits for a file that never comes
    wait_for(toy.parent / "state/train-a-1", process)
    (group,) = toy.glob(".scratch/launch/*/trees/a-1.group")
    os.killpg(int(group.read_text()), signal.SIGKILL)
    wait_until(lambda: runs(toy, "train-a-1") == 2, process)
    os.kill(process_of(toy, "train-a-1"), signal.SIGKILL)  # as for want of memory: DVC says that the stage failed
    wait_until(lambda: runs(toy, "train-a-1") == 3, process)
    third = int(group.read_text())
    process.send_signal(signal.SIGINT)
    code, output = end(process)
    assert code == 130, output
    assert "a-1: running again (run 3)" in output
    assert "Traceback" not in output
    assert not is_alive(third)
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1


@contextlib.contextmanager
def killed_launch(toy: Path, *, watcher_hangs: bool) -> Iterator[tuple[Path, int]]:
    """Kill a launch, whose job waits for ever; the file that names the job's group of processes, and the group.

    watcher_hangs: the process that watches the job does, and so does not notice.
    """
    process = start(toy, jobs=1, TOY_WAITS="a-1")
    wait_for(toy.parent / "state/train-a-1", process)
    (group,) = toy.glob(".scratch/launch/*/trees/a-1.group")
    working = int(group.read_text())
    watching = int(Path(f"/proc/{working}/stat").read_text().rsplit(")", 1)[1].split()[1])
    try:
        if watcher_hangs:
            os.kill(watching, signal.SIGSTOP)
        process.kill()
        process.wait()
        assert is_alive(working) or not watcher_hangs
        yield group, working
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(watching, signal.SIGKILL)


def test_a_killed_launch_takes_its_jobs_along(toy: Path) -> None:
    with killed_launch(toy, watcher_hangs=False) as (group, working):
        until = time.monotonic() + 60
        while (is_alive(working) or group.exists()) and time.monotonic() < until:
            time.sleep(0.1)
        assert not is_alive(working)
        (log,) = toy.glob(".scratch/launch/*/logs/*_log.out")
        assert "the launch has ended, and this job with it" in log.read_text()
    assert runs(toy, "detect-a-1") == 0


def test_a_launch_is_seen_to_live_by_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where flock is made of locks of ranges of bytes, which want a file to be readable, as on NFS; and when it is gone."""
    assert is_free(tmp_path / "none" / "owner")
    folder = tmp_path / "launch"
    with claimed(folder):
        assert not is_free(folder / "owner")
        (folder / "log").touch()
    assert (folder / "owner").exists()
    assert is_free(folder / "owner")
    monkeypatch.setattr(fcntl, "flock", fcntl.lockf)
    assert is_free(folder / "owner")
    with claimed(tmp_path / "another"):
        pass
    assert not (tmp_path / "another").exists(), "nothing came of it"


@pytest.mark.long
def test_what_a_killed_launch_left_goes_with_the_next(toy: Path) -> None:
    with killed_launch(toy, watcher_hangs=True) as (_, working):
        _removed_by_the_next(toy, working)


def _removed_by_the_next(toy: Path, working: int) -> None:
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 2
    (toy.parent / "state/go").touch()
    code, output = end(start(toy, jobs=4))
    assert code == 0, output
    assert "removed what an earlier launch left" in output
    assert not is_alive(working)
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1
    assert not list((toy / ".scratch/launch").glob("*"))


def test_the_jobs_of_a_killed_launch_are_stopped_before_their_folders_go(toy: Path) -> None:
    with killed_launch(toy, watcher_hangs=True) as (group, working):
        assert not works_in(working, toy.parent / "elsewhere")
        assert [folder.name for folder in remove_left(toy, toy / ".scratch/launch")] == [group.parents[1].name]
        assert not is_alive(working)


def test_a_launch_whose_reader_is_gone_stops_its_jobs(toy: Path) -> None:
    """As of `alfnet launch 2>&1 | head`, or of a terminal that was closed."""
    process = start(toy, jobs=1, TOY_WAITS="a-1")
    wait_for(toy.parent / "state/train-a-1", process)
    (group,) = toy.glob(".scratch/launch/*/trees/a-1.group")
    working = int(group.read_text())
    assert process.stdout is not None
    process.stdout.close()
    process.send_signal(signal.SIGHUP)
    assert process.wait(timeout=60) != 0
    assert not is_alive(working)
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1


def test_a_job_takes_the_gpu_of_its_turn_and_one_without_a_folder_fails_alone(
    toy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [_Progress("a", 1), _Progress("a", 2), _Progress("b", 1)]
    work = _Work(toy, toy / ".scratch/launch/now", rows, Options(gpus=("4", "7")), "portable")
    submitted: list[Job] = []

    def submit(job: Job) -> SimpleNamespace:
        submitted.append(job)
        return SimpleNamespace(paths=SimpleNamespace(stdout="none"), done=lambda: False)

    monkeypatch.setattr(work.executor, "submit", submit)
    (toy / ".scratch/launch/now/trees/a-2").mkdir(parents=True)
    (toy / ".scratch/launch/now/trees/a-2/file").touch()  # Git refuses to make a worktree of it
    work.step()
    work.step()
    assert [row.state for row in rows] == ["running", "failed", "running"]
    assert "a-2: its folder cannot be made: git worktree add" in capsys.readouterr().err
    assert not (toy / ".scratch/launch/now/trees/a-2").exists()
    assert [job.name for job in submitted] == ["a-1", "b-1"]
    # b-1 is killed and waits; a-1 has ended by then, and another job has taken the GPU that b-1 had.
    rows[2].state, rows[2].slot = "waiting", 0
    work._submit(rows[2:])
    assert [job.environment["CUDA_VISIBLE_DEVICES"] for job in submitted] == ["4", "7", "4"]
    assert submitted[2].folder == submitted[1].folder
    work.trees.clean()
    assert [path.name for path in (toy / ".scratch/launch/now").iterdir() if path.name != "logs"] == ["trees"]
    assert not list((toy / ".scratch/launch/now/trees").iterdir())


@pytest.mark.parametrize(
    ("accelerator", "devices", "named", "visible", "turns"),
    [
        ("cpu", 1, [], "0,1", []),
        ("auto", 1, [], None, ["0", "1", "2", "3"]),
        ("cuda", 1, [], "5,GPU-77,2,3", ["5", "GPU-77", "2", "3"]),
        ("cuda", 2, [], None, ["0,1", "2,3"]),
        ("cuda", 3, [], None, ["0,1,2"]),
        ("auto", 2, ["1", "3"], "5,6,7,8", ["1,3"]),
    ],
)
def test_each_job_has_gpus_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
    accelerator: str,
    devices: int,
    named: list[str],
    visible: str | None,
    turns: list[str],
) -> None:
    params = check_params(
        raw_params(runtime="native", machine__accelerator=accelerator, machine__devices=devices, train__batch=12), "p"
    )
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert turns_of_gpus(params, named) == turns


def test_a_training_of_more_gpus_than_there_are_is_refused() -> None:
    params = check_params(
        raw_params(runtime="native", machine__accelerator="cuda", machine__devices=2, train__batch=12), "p"
    )
    with pytest.raises(AlfnetError, match=r"machine\.devices: 2 for each training, and 1 GPUs are there \(3\)"):
        turns_of_gpus(params, ["3"])


def test_a_training_on_several_nodes_is_refused(tmp_path: Path) -> None:
    """Its processes on the other nodes would never come, and the training would wait for them."""
    params = check_params(raw_params(runtime="native", machine__nodes=2, train__batch=12), "p")
    with pytest.raises(
        AlfnetError, match=r"^machine\.nodes: 2: a pipeline's stage runs on one node; .* or set nodes: 1$"
    ):
        launch(params, tmp_path, Options())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("visible", ["3", None])
def test_jobs_see_the_gpus_that_the_launch_sees(
    toy: Path, monkeypatch: pytest.MonkeyPatch, visible: str | None
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    work = _Work(toy, toy / ".scratch/launch/now", [], Options(), "portable")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # as submitit has it for local jobs
    assert Job("a", 1, toy, work.environment).whole_environment().get("CUDA_VISIBLE_DEVICES") == visible
    work.trees.clean()


def test_what_slurm_refuses_fails_and_is_said(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [_Progress("a", 1), _Progress("b", 1)]
    work = _Work(toy, toy / ".scratch/launch/now", rows, Options(), "portable")
    work.options = Options(on="slurm")

    class Refusing:
        @contextlib.contextmanager
        def batch(self):
            yield
            raise FailedJobError("sbatch: error: invalid partition specified: gpuu")

        def submit(self, job: Job) -> None:
            pass

    work.executor = Refusing()
    work._submit(rows)
    assert [row.state for row in rows] == ["failed", "failed"]
    assert "invalid partition specified: gpuu" in capsys.readouterr().err
    work.trees.clean()


def test_every_worktree_has_the_untracked_files_of_the_start(toy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (toy / "images").mkdir()
    for name in ("helper.txt", "gone.txt", "images/small.JPG"):
        (toy / name).write_text("first")
    (toy / "link").symlink_to("helper.txt")
    run("git", "init", "-q", "nested", cwd=toy)
    (toy / "nested/file").touch()
    trees = Worktrees(toy, toy / ".scratch/launch/now/trees")
    assert "nested/: a Git repository of its own; the jobs run without it" in capsys.readouterr().err
    (toy / "gone.txt").unlink()
    (toy / "helper.txt").write_text("second")
    tree = trees.make("a-1")
    assert [(tree / name).read_text() for name in ("helper.txt", "gone.txt", "link")] == ["first"] * 3
    assert not (tree / "nested").exists()
    assert os.path.samefile(tree / "images/small.JPG", toy / "images/small.JPG"), "copied"
    assert not os.path.samefile(tree / "gone.txt", trees.make("a-2") / "gone.txt"), "a job could change another's"
    (trees.kept / "gone.txt").unlink()
    with pytest.raises(FileNotFoundError):
        trees.make("b-1")
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 4
    trees.clean()
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A Git repository with a file that holds "first"."""
    run("git", "init", "-q", cwd=tmp_path)
    (tmp_path / "file").write_text("first")
    run("git", "add", "file", cwd=tmp_path)
    run("git", "-c", "user.name=a", "-c", "user.email=b", "commit", "-q", "-m", "first", cwd=tmp_path)
    return tmp_path


def test_the_present_state_is_the_commit_where_files_were_written_anew(repository: Path) -> None:
    """As dvc.lock by a `dvc repro` in a fresh clone, when `git stash create` fails without a word."""
    head = run("git", "rev-parse", "HEAD", cwd=repository).stdout.strip()
    assert present_state(repository) == head
    (repository / "file").write_text("first")
    os.utime(repository / "file", (1, 1))
    assert present_state(repository) == head


def test_the_present_state_is_had_while_another_program_locks_the_index(repository: Path) -> None:
    head = run("git", "rev-parse", "HEAD", cwd=repository).stdout.strip()
    (repository / ".git/index.lock").touch()
    assert present_state(repository) == head
    (repository / "file").write_text("other")  # as long, and within the same second
    state = present_state(repository)
    assert state != head
    assert run("git", "show", f"{state}:file", cwd=repository).stdout == "other"
    with pytest.raises(AlfnetError, match=r"git show nothing: .*unknown revision"):
        git(repository, "show", "nothing")


def test_the_present_state_has_files_that_are_announced_to_git(repository: Path) -> None:
    for name in ("new", "deleted"):
        (repository / name).write_text("new")
    run("git", "add", "--intent-to-add", "new", "deleted", cwd=repository)
    (repository / "deleted").unlink()
    state = present_state(repository)
    assert run("git", "ls-tree", "--name-only", state, cwd=repository).stdout.split() == ["file", "new"]
    assert run("git", "show", f"{state}:new", cwd=repository).stdout == "new"


def test_a_stage_that_was_killed_is_read_from_a_log() -> None:
    said = "ERROR: failed to reproduce 'train@a-1': failed to run: python work.py train, exited with %s\n"
    for code in ("-9", "137", "-15", "143"):
        assert stage_was_killed("starting stages of a-1\n" + said % code + "submitit INFO - Job completed\n")
    assert not stage_was_killed(said % "1")
    assert not stage_was_killed(said % "99")
    assert not stage_was_killed(said % "-9" + "starting stages of a-1\n" + said % "1")


def test_progress_is_read_from_a_log() -> None:
    assert progress_in("") == ("", 0.0)
    log = "Running stage 'train@a-1':\ntrain a-1: 50/100, 3 s left  loss 0.5\n"
    assert progress_in(log) == ("train 50/100", pytest.approx(0.425))
    assert progress_in(log + "Running stage 'detect@a-1':\n") == ("detect", pytest.approx(0.88))
    assert progress_in(log + "Running stage 'evaluate@a-1':\n") == ("evaluate", 1.0)


def test_where_a_job_began_is_read_from_a_log() -> None:
    start = "starting stages of a-1\n"
    skipped, trains = "Stage 'train@a-1' didn't change, skipping\n", "Running stage 'train@a-1':\n"
    assert began_in("") == began_in(start + skipped) == (1.0, 1.0)
    assert began_in(start + trains + "train a-1: 50/100, 3 s left\n") == (0.0, 0.0)
    assert began_in(start + skipped + "Running stage 'detect@a-1':\n") == (0.88, 0.88)
    assert began_in(start + "Running stage 'first_weights@a':\n" + trains) == (0.0, 0.0)
    again = start + trains + "going on after update 40 of 100\ntrain a-1: 50/100, 3 s left\n"
    assert began_in(start + trains + again) == (0.0, pytest.approx(0.34))
    assert began_in(again + start + trains) == (0.0, 0.0), "of the last start alone"


def test_a_lock_file_is_whole_or_not(tmp_path: Path) -> None:
    path = tmp_path / "dvc.lock"
    assert lock_fault(path) is None
    text = (ROOT / "dvc.lock").read_text()
    path.write_text(text)
    assert lock_fault(path) is None
    path.write_text("")
    assert lock_fault(path) == "is empty"
    path.write_text(text[: text.index("md5: ") + 9])
    assert lock_fault(path) == "ends within a line"
    path.write_text("schema: '2.0'\nstages:\n  a:\n    deps: x\n")
    assert lock_fault(path) == "lacks part of its content"
    path.write_text("schema: '2.0'\nstages:\n  a: {")
    assert lock_fault(path) == "is no YAML"


def test_a_job_gets_its_part_of_the_lock_file_and_what_it_records_is_collected(repository: Path) -> None:
    run("dvc", "init", "-q", cwd=repository)
    path, job = repository / "dvc.lock", repository / "job.lock"
    text = (ROOT / "dvc.lock").read_text()
    path.write_text(text)
    job.write_text(text)
    leave_out(job, lambda stage: not stage.startswith("cache"))
    assert set(recorded(job, ["cache_annotations@val", "train@a-1"])) == {"cache_annotations@val"}
    assert lock_fault(job) is None
    job.write_text(job.read_text().replace("cmd: python stages/cache_annotations.py", "cmd: python other.py"))
    record(repository, recorded(job, ["cache_annotations@val"]))
    # As DVC would have written it: in its place, and nothing else touched.
    command = "cmd: python stages/cache_annotations.py --split val"
    assert path.read_text() == text.replace(command, "cmd: python other.py --split val")
    record(repository, {})
    missing = repository / "missing.lock"
    leave_out(missing, lambda stage: True)
    assert not missing.exists()
    assert recorded(missing, ["a"]) == {}
    path.unlink()
    record(repository, recorded(job, ["cache_annotations@val"]))
    assert lock_fault(path) is None


@pytest.mark.parametrize("content", ["", '{"a": '])
def test_a_list_of_files_in_use_cut_short_is_dropped(tmp_path: Path, content: str) -> None:
    path = tmp_path / ".dvc/tmp/rwlock"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert mend_lock(tmp_path) is None
    assert path.exists()
    path.write_text(content)
    assert mend_lock(tmp_path) is None
    assert not path.exists()


def test_a_lock_file_that_dvc_is_writing_is_left_to_it(tmp_path: Path) -> None:
    new_repository(tmp_path / "project")
    (tmp_path / "project/dvc.lock").write_text("schema: '2.0'\nstages:\n  a:\n    cm")
    with Repo(str(tmp_path / "project")).lock:
        said = mend_lock(tmp_path / "project")
    assert said is not None
    assert "DVC is running here, perhaps writing it" in said
    assert (tmp_path / "project/dvc.lock").exists()
    said = mend_lock(tmp_path / "project")
    assert said is not None
    assert "DVC was stopped while it wrote it" in said
    assert not (tmp_path / "project/dvc.lock").exists()


def process_of_slurm_job(job: str) -> int:
    """The process of submitit in a task of an array, such as 3_0."""
    task = f"SLURM_ARRAY_TASK_ID={job.split('_')[1]}".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            if b"submitit.core._submit" in words.split(b"\0") and task in variables.split(b"\0"):
                return int(folder.name)
    raise AssertionError(f"job {job} does not run")


def locked(folder: Path) -> Any:
    """What dvc.lock says, checksums of all outputs included. The order of its stages is that in which they first ran."""
    return YAML(typ="safe").load((folder / "dvc.lock").read_text())


@pytest.fixture(scope="module")
def node() -> Iterator[None]:
    """A real Slurm of this machine alone."""
    tool = os.environ.get("SLURM_NODE", str(ROOT.parent / "shared/tools/one-node-slurm"))
    if not Path(tool).is_file() or os.geteuid():
        pytest.skip("needs one-node-slurm (SLURM_NODE) and root")
    # `nproc`, by which the node counts its cores, heeds OMP_NUM_THREADS.
    plain = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    subprocess.run([tool, "start"], check=True, env=plain)
    yield
    subprocess.run(["scancel", f"--user={os.getuid()}"])  # or the next start would find what a failed test has left
    subprocess.run([tool, "stop"])


def launched_on_slurm(folder: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        ["alfnet", "launch", "--on", "slurm", *options],
        cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.mark.slurm
def test_slurm_jobs_that_are_killed_run_again(toy: Path, node: None) -> None:
    """One by `scancel`, one with all that could have told of it; the bytes are those of a serial `dvc repro`."""
    serial = toy.parent / "serial"
    shutil.copytree(toy, serial)
    launched = start(toy, on="slurm", TOY_WAITS="a-1 a-2")
    try:
        for name in ("a-1", "a-2"):
            wait_for(toy.parent / f"state/train-{name}", launched)
        submitted = next(toy.glob(".scratch/launch/*/slurm-jobs")).read_text().split()
        assert len(submitted) == 4
        assert len({job.split("_")[0] for job in submitted}) == 1, "one array"
        subprocess.run(["scancel", "--signal=KILL", "--full", submitted[0]], check=True)
        os.kill(process_of_slurm_job(submitted[1]), signal.SIGKILL)
        wait_until(lambda: runs(toy, "train-a-1") == 2 and runs(toy, "train-a-2") == 2, launched)
        (toy.parent / "state/go").touch()
        code, output = end(launched)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
    print(output)
    assert code == 0, output
    assert "a-2: its job is no longer in Slurm's queue" in output
    for name in ("a-1", "a-2"):
        assert f"{name}: running again (run 2)" in output
    for name in ("a-1", "a-2", "b-1", "b-2"):
        assert f"{name}: done" in output
        assert f"Stage 'train@{name}' didn't change, skipping" in output
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1
    run("dvc", "repro", cwd=serial, TOY_STATE=str(toy.parent / "state"))
    assert locked(toy) == locked(serial)


@pytest.mark.slurm
def test_slurm_gives_the_bytes_of_a_serial_run(tmp_path: Path, node: None) -> None:
    """Two tiny variants of the pipeline itself; one job is killed once and goes on from its checkpoint."""
    variants = ("mobilenet-1s", "mobilenet-2s")
    folder = new_repository(tmp_path / "slurm", variants=variants, seeds=[1], train__updates=20)
    serial = tmp_path / "serial"
    shutil.copytree(folder, serial, symlinks=True)
    launched = launched_on_slurm(folder, "--jobs", "2", "--time", "60")
    try:
        wait_until(lambda: bool(list((folder / ".scratch").glob("mobilenet-2s-1-*/*.ckpt"))), launched)
        (job,) = next(folder.glob(".scratch/launch/*/slurm-jobs")).read_text().split()[1:]
        subprocess.run(["scancel", "--signal=KILL", "--full", job], check=True)
        output, _ = launched.communicate(timeout=1800)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
    print(output)
    assert launched.returncode == 0, output
    assert "mobilenet-2s-1: running again (run 2)" in output
    run("dvc", "repro", cwd=serial)
    assert locked(folder) == locked(serial)
    for name in (*(f"metrics/{variant}.json" for variant in variants), "plots/ablation.csv", "report/index.html"):
        assert (folder / name).read_bytes() == (serial / name).read_bytes(), name


def start_soon(job: str, process: subprocess.Popen[str]) -> None:
    """Slurm lets a job that is queued again wait for two minutes; at once, its node would take it for the one that ended."""
    command = ["squeue", "--noheader", "--format=%T %r", f"--jobs={job}"]
    wait_until(lambda: "BeginTime" in subprocess.run(command, capture_output=True, text=True).stdout, process)
    subprocess.run(["scontrol", "update", f"JobId={job}", "StartTime=now+5"], check=True)


@pytest.mark.slurm
def test_a_slurm_job_that_is_signalled_again_and_again_is_queued_again_and_goes_on(tmp_path: Path, node: None) -> None:
    """As it is before a time limit and at a preemption: more often than a job may be killed; the bytes are a serial run's."""
    folder = new_repository(
        tmp_path / "slurm", variants=("mobilenet-1s",), seeds=[1], train__updates=60, machine__checkpoint_every=1
    )
    serial = tmp_path / "serial"
    shutil.copytree(folder, serial, symlinks=True)
    launched = launched_on_slurm(folder, "--sbatch", "comment=signalled")
    went_on: list[int] = []

    def log() -> str:
        return "".join(path.read_text() for path in folder.glob(".scratch/launch/*/logs/*_log.out"))

    def moved() -> bool:
        kept = [int(path.name.split("-")[0]) for path in (folder / ".scratch").glob("mobilenet-1s-1-*/*.ckpt")]
        return max(kept, default=0) > max(went_on, default=0)

    def goes_on() -> bool:
        return log().count("going on after update ") > len(went_on)

    try:
        for _ in range(RUNS_AT_MOST + 1):
            wait_until(moved, launched)
            (job,) = next(folder.glob(".scratch/launch/*/slurm-jobs")).read_text().split()
            subprocess.run(["scancel", "--batch", "--signal=USR2", job], check=True)
            start_soon(job, launched)
            wait_until(goes_on, launched)
            went_on = [int(update) for update in re.findall(r"going on after update (\d+) ", log())]
        output, _ = launched.communicate(timeout=1800)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(launched.pid, signal.SIGKILL)
    print(output)
    assert launched.returncode == 0, output
    assert went_on == sorted(set(went_on)), "each run came further than the one before it"
    assert "mobilenet-1s-1: done" in output
    assert "run 2" not in output, "it is the same job to Slurm and to the launch"
    run("dvc", "repro", cwd=serial)
    assert locked(folder) == locked(serial)
    for name in ("metrics/mobilenet-1s.json", "plots/ablation.csv", "report/index.html"):
        assert (folder / name).read_bytes() == (serial / name).read_bytes(), name
