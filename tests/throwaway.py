"""Throwaway repositories with the project's code and a setting of seconds, and one in which the pipeline has run."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from tests.tiny import ROOT, write_params

PROJECT = (
    "alfnet",
    "stages",
    "streetscenes",
    "profiles",
    "weights",
    "deploy/README.md",
    "tests/golden",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
)
VARIANTS = ("resnet50-1s", "mobilenet-2s")
SEEDS = (1, 2)


def run(*command: str, cwd: Path, check: bool = True, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command with the tests' Python first on the path; output as text."""
    result = subprocess.run(
        command,
        cwd=cwd,
        env=environment(cwd) | variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if check and result.returncode:
        pytest.fail(f"{' '.join(command)} ended with {result.returncode}:\n{result.stdout[-3000:]}")
    return result


def environment(folder: Path) -> dict[str, str]:
    """The environment variables with which commands run the code in `folder`."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return os.environ | {"PATH": path, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def ran(output: str) -> set[str]:
    """The stages that a `dvc repro` ran."""
    return {line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage '")}


def new_repository(folder: Path, **changes) -> Path:
    """A repository with the project's code and a parameter file of seconds."""
    folder.mkdir(parents=True)
    for part in PROJECT:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__", "*.safetensors"))
        else:
            (folder / part).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, folder / part)
    write_params(folder / "params.yaml", **changes)
    run("git", "init", "-q", "-b", "main", cwd=folder)
    run("git", "config", "user.email", "test@example.invalid", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    run("dvc", "init", "-q", "-f", cwd=folder)
    run("dvc", "config", "core.analytics", "false", cwd=folder)
    shutil.copy(ROOT / ".dvc/config", folder / ".dvc/config")  # `dvc init` empties the folder
    commit(folder)
    return folder


def commit(folder: Path) -> None:
    run("git", "add", "-A", cwd=folder)
    run("git", "commit", "-q", "-m", "state", cwd=folder)


@pytest.fixture(scope="session")
def reproduced(tmp_path_factory) -> Path:
    """A repository after `alfnet launch`, committed, with its data pushed to a local remote. Not to be changed by tests.

    A blank, brackets and a quotation mark in its path, as people's folders have. One for all processes of the tests: the
    first that needs it makes it.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with FileLock(shared / "pipeline.lock"):
        if not (shared / "pipeline" / "made").is_file():
            shutil.rmtree(shared / "pipeline", ignore_errors=True)
            _reproduce(shared / "pipeline" / "my papers' (2)")
            (shared / "pipeline" / "made").touch()
    return shared / "pipeline" / "my papers' (2)"


def _reproduce(folder: Path) -> None:
    new_repository(folder, variants=VARIANTS, seeds=list(SEEDS))
    output = run("alfnet", "launch", "--jobs", "2", cwd=folder).stdout
    assert {"dataset@synthetic", "summarise@mobilenet-2s", "report"} <= ran(output)
    for variant in VARIANTS:
        for seed in SEEDS:
            assert f"Stage 'train@{variant}-{seed}' didn't change, skipping" in output, "ran in a worktree"
            assert f"{variant}-{seed}: done" in output
    run("dvc", "remote", "add", "-q", "-d", "local", str(folder.parent / "remote"), cwd=folder)
    commit(folder)
    run("dvc", "push", "-q", cwd=folder)


@pytest.fixture
def clone(reproduced, tmp_path) -> Path:
    """A clone of the reproduced repository, with its data from the same cache."""
    folder = clone_of(reproduced, tmp_path / "clone")
    run("dvc", "config", "--local", "cache.dir", str(reproduced / ".dvc/cache"), cwd=folder)
    run("dvc", "checkout", "-q", cwd=folder)
    return folder


@pytest.fixture
def bare(reproduced, tmp_path) -> Path:
    """A clone without data."""
    return clone_of(reproduced, tmp_path / "bare")


def clone_of(repository: Path, folder: Path) -> Path:
    run("git", "clone", "-q", str(repository), str(folder), cwd=repository)
    run("git", "config", "user.email", "test@example.invalid", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    return folder
