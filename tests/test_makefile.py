"""The Makefile and .ci/run: any folder will do, and pages are never left unseen without a word."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests import browser


def make(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": f"{folder}:/usr/bin:/bin"}
    return subprocess.run(["make", *words], cwd=folder, env=environment, capture_output=True, text=True, timeout=120)


def test_a_folder_with_blanks_and_brackets(root: Path, tmp_path: Path) -> None:
    """The environment is built in it with each of its commands, and its programs are the ones that then run."""
    folder = tmp_path / "my papers (2)"
    folder.mkdir()
    shutil.copy(root / "Makefile", folder)
    (folder / "requirements.lock").write_text("# nothing to install\n")
    # A Python that makes an environment of one program, which writes down what it is asked.
    program = folder / "python"
    program.write_text(
        "#!/bin/bash\n"
        'case "$*" in\n'
        '  "-m venv --clear .venv") mkdir -p .venv/bin; cp "$0" .venv/bin/python; cp "$0" .venv/bin/alfnet;;\n'
        "esac\n"
        'echo "$0 $*" >> asked\n'
    )
    program.chmod(0o755)
    done = make(folder, "repro", f"PYTHON={program.name}")
    assert (done.returncode, done.stderr) == (0, "")
    asked = (folder / "asked").read_text().splitlines()
    inside = [line.removeprefix(f"{folder}/.venv/bin/") for line in asked if line.startswith(f"{folder}/.venv/bin/")]
    commands = [line.removeprefix("alfnet ") for line in inside if line.startswith("alfnet")]
    assert commands == ["check", "launch", "artifacts", "table"]
    assert sum(line.startswith("python -m pip install") for line in inside) == 2
    # Built once: with the same lock file the second run only computes.
    assert make(folder, "environment", "PYTHON=/nowhere").returncode == 0
    (folder / "requirements.lock").write_text("# another\n")
    assert make(folder, "environment", "PYTHON=/nowhere").returncode != 0


@pytest.mark.parametrize(("ci", "outcome"), [("", pytest.skip.Exception), ("true", pytest.fail.Exception)])
def test_a_missing_browser(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: type[BaseException]) -> None:
    monkeypatch.setenv("CI", ci)
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(outcome, match="apt-get install chromium chromium-driver"):
        browser.programs()


def test_the_end_of_a_run_says_how_to_get_a_browser(root: Path, tmp_path: Path) -> None:
    """Without a browser on PATH a test of a page is left out with a word, and fails where .ci/run asks for it."""
    case = tmp_path / "test_page.py"
    case.write_text("from tests.browser import programs\n\n\ndef test_page() -> None:\n    programs()\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        f"--rootdir={root}",
        "-p",
        "tests.conftest",
        str(case),
    ]
    for ci, code, said in (("", 0, "1 tests were left out"), ("true", 1, "1 failed")):
        environment = {"PATH": "/nowhere", "PYTHONPATH": str(root), "CI": ci}
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)
        assert done.returncode == code, done.stdout
        assert said in done.stdout
        assert "apt-get install chromium chromium-driver" in done.stdout


def test_the_check_of_a_change_asks_for_the_browser(root: Path, tmp_path: Path) -> None:
    """.ci/run, with a `make` that writes down what it is asked."""
    (tmp_path / ".ci").mkdir()
    shutil.copy(root / ".ci/run", tmp_path / ".ci/run")
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("chromium", "chromedriver", "make"):
        (programs / name).write_text('#!/bin/bash\necho "$1 CI=$CI" >> asked\n')
        (programs / name).chmod(0o755)
    subprocess.run([".ci/run"], cwd=tmp_path, env={"PATH": f"{programs}:/usr/bin:/bin"}, check=True, timeout=60)
    assert (tmp_path / "asked").read_text().splitlines() == ["lint CI=true", "test CI=true"]
