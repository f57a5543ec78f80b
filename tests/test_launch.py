"""`alfnet launch` on a toy pipeline of the same stages: jobs that fail, die, are interrupted; what is carried and left."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from alfnet.launch.jobs import is_alive, progress_in
from alfnet.launch.lock_file import lock_fault
from tests.test_pipeline import environment, new_repository, run
from tests.tiny import ROOT

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
(state / f"{stage}-{name}").open("a").write("run\\n")
if stage == "train":
    print(f"train {name}: 3/4, 1 s left", file=sys.stderr, flush=True)
    if name == os.environ.get("TOY_FAILS"):
        sys.exit("error: this one fails")
    for _ in range(6000 if name == os.environ.get("TOY_WAITS") else 0):  # until it is told to go on, or stopped
        if (state / "go").exists():
            break
        time.sleep(0.1)
out = Path("first" if stage == "first" else stage) / f"{name}.txt"
out.parent.mkdir(exist_ok=True)
out.write_text(f"{stage} {name} {Path('note.txt').read_text()}")
"""
LAUNCH = """\
import sys
from pathlib import Path
from types import SimpleNamespace
from alfnet.errors import exit_with_message
from alfnet.launch.run import Options, launch
params = SimpleNamespace(variants=["a", "b"], seeds=[1, 2], runtime="portable")
@exit_with_message
def main():
    sys.exit(launch(params, Path.cwd(), Options(jobs=int(sys.argv[1]))))
main()
"""


@pytest.fixture
def toy(tmp_path: Path) -> Path:
    folder = tmp_path / "toy"
    folder.mkdir()
    (tmp_path / "state").mkdir()
    chain = ("train", "first/${item.variant}.txt"), ("detect", "train/${item.variant}-${item.seed}.txt"), (
        "evaluate", "detect/${item.variant}-${item.seed}.txt"
    )  # fmt: skip
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


def start(folder: Path, jobs: int = 2, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", LAUNCH, str(jobs)],
        cwd=folder,
        env=environment(ROOT) | {"TOY_STATE": str(folder.parent / "state")} | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def end(process: subprocess.Popen[str]) -> tuple[int, str]:
    output, _ = process.communicate(timeout=240)
    return process.returncode, output


def runs(folder: Path, name: str) -> int:
    path = folder.parent / "state" / name
    return len(path.read_text().splitlines()) if path.exists() else 0


def wait_for(path: Path) -> None:
    wait_until(path.exists)


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 240
    while not true():
        assert time.monotonic() < deadline, "does not come"
        time.sleep(0.05)


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
    # Mended, only this one runs; the others come from the run cache, with the change that was not committed.
    code, output = end(start(toy))
    assert code == 0, output
    assert runs(toy, "train-a-1") == 1
    assert runs(toy, "train-a-2") == 2
    assert (toy / "evaluate/b-1.txt").read_text() == "evaluate b-1 changed"
    assert not log.exists(), "logs stay until the next launch"


def test_a_killed_job_starts_again_and_an_interrupted_launch_stops_its_jobs(toy: Path) -> None:
    process = start(toy, jobs=1, TOY_WAITS="a-1")  # it waits for a file that never comes
    wait_for(toy.parent / "state/train-a-1")
    (group,) = toy.glob(".scratch/launch/*/trees/a-1.group")
    os.killpg(int(group.read_text()), signal.SIGKILL)
    wait_until(lambda: runs(toy, "train-a-1") == 2)
    second = int(group.read_text())
    process.send_signal(signal.SIGINT)
    code, output = end(process)
    assert code == 130, output
    assert "Traceback" not in output
    assert not is_alive(second)
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1


def test_what_a_killed_launch_left_goes_with_the_next(toy: Path) -> None:
    process = start(toy, jobs=1, TOY_WAITS="a-1")
    wait_for(toy.parent / "state/train-a-1")
    (group,) = toy.glob(".scratch/launch/*/trees/a-1.group")
    process.kill()
    process.wait()
    os.killpg(int(group.read_text()), signal.SIGKILL)
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 2
    (toy.parent / "state/go").touch()
    code, output = end(start(toy, jobs=4))
    assert code == 0, output
    assert "removed what an earlier launch left" in output
    assert len(run("git", "worktree", "list", cwd=toy).stdout.splitlines()) == 1
    assert not list((toy / ".scratch/launch").glob("*"))


def test_progress_is_read_from_a_log() -> None:
    assert progress_in("") == ("", 0.0)
    log = "Running stage 'train@a-1':\ntrain a-1: 50/100, 3 s left  loss 0.5\n"
    assert progress_in(log) == ("train 50/100", pytest.approx(0.425))
    assert progress_in(log + "Running stage 'detect@a-1':\n") == ("detect", pytest.approx(0.85))


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


@pytest.mark.slurm
def test_slurm(tmp_path: Path) -> None:
    """Two tiny variants through a real Slurm of one node; one job is killed once; the bytes are those of `dvc repro`."""
    node = os.environ.get("SLURM_NODE", str(ROOT.parent / "shared/tools/one-node-slurm"))
    if not Path(node).is_file() or os.geteuid():
        pytest.skip("needs one-node-slurm (SLURM_NODE) and root")
    variants = ("resnet50-1s", "mobilenet-2s")
    folder = new_repository(tmp_path / "slurm", variants=variants, seeds=[1], train__updates=60)
    serial = tmp_path / "serial"
    shutil.copytree(folder, serial, symlinks=True)
    subprocess.run([node, "start"], check=True)
    try:
        launched = subprocess.Popen(
            ["alfnet", "launch", "--on", "slurm", "--jobs", "2", "--time", "60"],
            cwd=folder, env=environment(folder), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        deadline = time.monotonic() + 300
        while not list((folder / ".scratch").glob("mobilenet-2s-1-*/*.ckpt")):
            assert time.monotonic() < deadline
            assert launched.poll() is None, launched.communicate()[0]
            time.sleep(0.05)
        submitted = next(folder.glob(".scratch/launch/*/slurm-jobs")).read_text().split()
        subprocess.run(["scancel", "--signal=KILL", "--full", submitted[-1]], check=True)
        output, _ = launched.communicate(timeout=500)
        assert launched.returncode == 0, output
        assert "was killed" in output or "run 2" in output or "running" in output
    finally:
        subprocess.run([node, "stop"], check=True)
    run("dvc", "repro", cwd=serial)
    assert (folder / "dvc.lock").read_bytes() == (serial / "dvc.lock").read_bytes()
    metrics = [json.loads((tree / "metrics/mobilenet-2s.json").read_text()) for tree in (folder, serial)]
    assert metrics[0] == metrics[1]
