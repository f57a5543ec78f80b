"""DVC before and after the jobs: what is read from its output, and that it ends with the launch."""

from __future__ import annotations

import io
import os
import signal
import sys
from pathlib import Path

import pytest
from rich.console import Console

from alfnet.launch.jobs import is_alive
from alfnet.launch.repro import CLOSING_LINES, LINES_OF_A_FAILURE, Dvc, closing_lines, failure_lines, stage_in
from alfnet.launch.view import View

SKIPPED = "Stage 'parameters' didn't change, skipping\n"
RENDERS = "Running stage 'dataset@synthetic':\n> python stages/dataset.py --name 'synthetic'\n"


def test_the_stage_and_its_count_are_read_from_what_dvc_prints() -> None:
    assert stage_in("") == ""
    assert stage_in(SKIPPED) == "parameters"
    assert stage_in(SKIPPED + RENDERS) == "dataset@synthetic"
    counted = SKIPPED + RENDERS + "render synthetic: 60/520, 90 s left  \nrender synthetic: 120/520, 75 s left  \n"
    assert stage_in(counted) == "dataset@synthetic 120/520"
    assert stage_in(counted + "Updating lock file 'dvc.lock'\n\nRunning stage 'ground_truth':\n") == "ground_truth"


def test_what_dvc_says_at_its_end_is_told() -> None:
    assert closing_lines("") == []
    assert closing_lines(SKIPPED + "Data and pipelines are up to date.\n") == ["Data and pipelines are up to date."]
    said = (
        "Running stage 'report':\n> python stages/report.py\na word of the stage\nUpdating lock file 'dvc.lock'\n\n"
        "To track the changes with git, run:\n\n\tgit add plots/steps.csv dvc.lock\n\n"
        "To enable auto staging, run:\n\n\tdvc config core.autostage true\n"
        "Use `dvc push` to send your updates to remote storage.\n"
    )
    assert closing_lines(said) == [
        "To track the changes with git, run: git add plots/steps.csv dvc.lock",
        "Use `dvc push` to send your updates to remote storage.",
    ]
    assert len(closing_lines("line\n" * 99)) == CLOSING_LINES


def test_a_failure_shows_the_end_and_where_the_rest_is(tmp_path: Path) -> None:
    lines = failure_lines("".join(f"line {number}\n" for number in range(100)), tmp_path / "dvc.log")
    assert lines[-2:] == ["line 99", f"all that DVC printed: {tmp_path / 'dvc.log'}"]
    assert len(lines) == LINES_OF_A_FAILURE + 1
    assert failure_lines("", tmp_path / "dvc.log") == [], "it was printed for all to see"


FAKE = """\
import os, pathlib, sys, time
print("Stage 'parameters' didn't change, skipping")
print("Running stage 'dataset@synthetic':", *sys.argv[1:], flush=True)
if os.environ["FAKE"] == "hangs":
    pathlib.Path("pid").write_text(str(os.getpid()))
    time.sleep(600)
sys.exit(int(os.environ["FAKE"]))
"""


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> View:
    """A view of a terminal, where `python -m dvc` is a program of this test's."""
    (tmp_path / "dvc.py").write_text(FAKE)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *sys.path]))
    return View(Console(file=io.StringIO(), force_terminal=True, width=100))


def test_output_of_dvc_goes_to_the_log_and_its_code_comes_back(
    tmp_path: Path, terminal: View, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    dvc = Dvc(tmp_path, tmp_path / "dvc.log", terminal, [])
    monkeypatch.setenv("FAKE", "0")
    assert dvc.repro(terminal.before, "parameters") == 0
    assert (terminal.before.state, terminal.before.part, terminal.before.words) == ("done", 1.0, "")
    monkeypatch.setenv("FAKE", "3")
    assert dvc.repro(terminal.after) == 3
    assert terminal.after.state == "failed"
    assert dvc.said == f"{SKIPPED}Running stage 'dataset@synthetic': --wait-for-lock repro\n", "of the last run alone"
    assert (tmp_path / "dvc.log").read_text().count("Running stage") == 2
    captured = capfd.readouterr()
    assert captured.out + captured.err == ""


def test_without_a_terminal_dvc_prints_for_itself(
    tmp_path: Path, terminal: View, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    view = View(Console(file=io.StringIO()))
    dvc = Dvc(tmp_path, tmp_path / "dvc.log", view, [])
    monkeypatch.setenv("FAKE", "1")
    assert dvc.repro(view.before, "parameters") == 1
    assert dvc.said == ""
    assert capfd.readouterr().out == f"{SKIPPED}Running stage 'dataset@synthetic': --wait-for-lock repro parameters\n"
    assert not (tmp_path / "dvc.log").exists()


def test_dvc_ends_with_the_launch(tmp_path: Path, terminal: View, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a signal's exception was lost, the list of them tells."""
    ending: list[SystemExit] = []
    dvc = Dvc(tmp_path, tmp_path / "dvc.log", terminal, ending)
    monkeypatch.setenv("FAKE", "hangs")
    pid = tmp_path / "pid"

    def show() -> None:
        if pid.exists() and pid.read_text():
            ending.append(SystemExit(128 + signal.SIGTERM))

    monkeypatch.setattr(terminal, "show", show)
    with pytest.raises(SystemExit) as stopped:
        dvc.repro(terminal.before)
    assert stopped.value.code == 143
    assert terminal.before.words == "dataset@synthetic"
    assert not is_alive(int(pid.read_text()))
