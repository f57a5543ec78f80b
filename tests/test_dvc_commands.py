"""The commands that docs/dvc.md tells, and the check of pull requests, in throwaway repositories."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.throwaway import SEEDS, VARIANTS, clone_of, commit, ran, run
from tests.tiny import ROOT

pytestmark = [pytest.mark.pipeline, pytest.mark.long]

VARIANT = "mobilenet-2s"


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture
def host(reproduced: Path, tmp_path: Path) -> Path:
    """A bare Git repository with the reproduced state, as on a host; its data are in the DVC remote that it names."""
    run("git", "clone", "-q", "--bare", str(reproduced), str(tmp_path / "host.git"), cwd=tmp_path)
    return tmp_path / "host.git"


# another machine


def test_changed_stages_fetch_what_they_need_and_run_alone(host, reproduced, tmp_path):
    """`dvc repro --pull --allow-missing`, in a clone without any data: the evaluation anew, of detections made elsewhere."""
    folder, target, results = clone_of(host, tmp_path / "other"), f"evaluate@{VARIANT}-1", f"evaluation/{VARIANT}/1"
    edit(folder / "params.yaml", "- 0.75", "- 0.75\n  - 0.9")
    assert not (folder / "detections").exists()
    assert ran(run("dvc", "repro", "--pull", "--allow-missing", target, cwd=folder).stdout) == {"parameters", target}
    before, after = (json.loads((root / results / "results.json").read_text()) for root in (reproduced, folder))
    for step, rates in before["steps"].items():
        assert after["steps"][step].items() > rates.items()
        assert "iou_0.90" in after["steps"][step]
    assert not (folder / "models").exists(), "nobody asked for the models"
    assert not ran(run("dvc", "repro", "--pull", "--allow-missing", target, cwd=folder).stdout), (
        "nothing is left to run"
    )


# registries


def test_a_version_is_registered_and_fetched_elsewhere(host, reproduced, tmp_path):
    """`alfnet artifacts`, `gto register` and `gto show`; in another clone `dvc artifacts get` of that version."""
    folder = clone_of(host, tmp_path / "author")
    run("alfnet", "artifacts", cwd=folder)
    artifacts = YAML(typ="safe").load((folder / "dvc.yaml").read_text())["artifacts"]
    if run("git", "status", "--porcelain", cwd=folder).stdout:
        commit(folder)
    run("git", "push", "-q", "origin", "main", cwd=folder)
    run("gto", "register", VARIANT, "--version", "v1.0.0", "--push", cwd=folder)
    tag = f"{VARIANT}@v1.0.0"
    assert tag in run("git", "tag", cwd=host).stdout.split()
    table = run("gto", "show", cwd=folder).stdout
    assert tag in table or "v1.0.0" in table
    assert VARIANT in table
    assert run("gto", "check-ref", tag, "--name", cwd=folder).stdout.strip() == VARIANT
    path = artifacts[VARIANT]["path"]

    # Later commits do not move what a version is.
    edit(folder / "dvc.yaml", f"path: {path}", "path: models/another.safetensors")
    commit(folder)
    run("git", "push", "-q", "origin", "main", cwd=folder)
    other = clone_of(host, tmp_path / "other")
    run("dvc", "artifacts", "get", ".", VARIANT, "--rev", "v1.0.0", cwd=other)
    assert (other / "model.safetensors").read_bytes() == (reproduced / path).read_bytes()


# queued experiments

MEETING = """
import sys, time
from pathlib import Path

mine, others = Path({mine!r}), Path({others!r})
mine.touch()
begun = time.monotonic()
while not others.exists():
    if time.monotonic() - begun > 240:
        sys.exit("the other experiment did not run meanwhile")
    time.sleep(0.1)
"""


def test_queued_experiments_run_side_by_side(clone, tmp_path):
    """`dvc queue start -j 2`: two experiments, each of which waits until the other one is running, both end."""
    names, stage = ("first", "second"), clone / "stages/summarise.py"
    original = stage.read_text()
    for name, other in (names, names[::-1]):
        wait = MEETING.format(mine=str(tmp_path / name), others=str(tmp_path / other))
        stage.write_text(original.replace("\nfrom pathlib import Path\n", wait, 1))
        assert "the other experiment" in stage.read_text()
        run("dvc", "exp", "run", "--queue", "--name", name, f"summarise@{VARIANT}", cwd=clone)
        stage.write_text(original)
    run("dvc", "queue", "start", "-j", "2", cwd=clone)
    deadline = time.monotonic() + 600
    while "Running" in (status := run("dvc", "queue", "status", cwd=clone).stdout) or "Queued" in status:
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert [line.split()[1] for line in status.splitlines() if line.endswith("Success")] in ([*names], [*names[::-1]])
    assert set(run("dvc", "exp", "list", "--name-only", cwd=clone).stdout.split()) == set(names)
    assert not run("git", "status", "--porcelain", cwd=clone).stdout


# pull requests


@pytest.fixture
def proposed(host, tmp_path) -> Path:
    """A clone with the check in it, on a branch."""
    folder = clone_of(host, tmp_path / "proposed")
    run("git", "checkout", "-q", "-b", "proposal", cwd=folder)
    (folder / ".ci").mkdir()
    shutil.copy(ROOT / ".ci/pull-request", folder / ".ci")
    return folder


def check(folder: Path, **variables: str) -> tuple[int, str, str]:
    """Exit code, printed text and the written Markdown of the check against main, started as the workflow does."""
    (folder / "comment.md").unlink(missing_ok=True)
    variables = {"GITHUB_STEP_SUMMARY": ""} | variables
    done: subprocess.CompletedProcess[str] = run(
        ".ci/pull-request", "main", "comment.md", cwd=folder, check=False, **variables
    )
    comment = folder / "comment.md"
    return done.returncode, done.stdout, comment.read_text() if comment.exists() else ""


def test_a_pull_request_that_is_reproduced_passes(proposed, tmp_path):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    code, output, comment = check(proposed, GITHUB_STEP_SUMMARY=str(summary))
    assert code == 0, output
    assert comment.startswith("`dvc.lock` fits the code and the parameters.\n\nNo metric changed.\n\n")
    assert comment.endswith((proposed / "plots/ablation.md").read_text())
    assert summary.read_text() == f"before\n{comment}"


@pytest.mark.parametrize("data", [False, True], ids=["as in the workflow", "with the data"])
def test_a_pull_request_with_a_changed_stage_names_it(proposed, reproduced, data):
    if data:
        run("dvc", "config", "--local", "cache.dir", str(reproduced / ".dvc/cache"), cwd=proposed)
        run("dvc", "checkout", "-q", cwd=proposed)
    with (proposed / "alfnet/evaluation/summary.py").open("a") as file:
        file.write("\n# edited\n")
    edit(proposed / f"metrics/{VARIANT}.json", '"n": 2', '"n": 7')
    commit(proposed)
    code, output, comment = check(proposed)
    assert code == 1, output
    assert comment.startswith("**`dvc.lock` is older than the code or the parameters.** Run `make repro`")
    named = {line.removeprefix("- `").removesuffix("`") for line in comment.splitlines() if line.startswith("- `")}
    if data:
        assert {name.partition("@")[0] for name in named} == {"validate", "evaluate", "summarise", "report"}
    else:  # those that come first
        assert named == {f"validate@{name}-{seed}" for name in VARIANTS for seed in SEEDS}
    (row,) = [line for line in comment.splitlines() if f"metrics/{VARIANT}.json" in line]
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == ["n", "2", "7", "5"]
    assert "<details><summary>Metrics that changed</summary>" in comment


def test_a_pull_request_that_dvc_cannot_read_is_told_so(proposed):
    edit(proposed / "params.yaml", "\nvariants:\n", "\nvariants_:\n")
    code, output, comment = check(proposed)
    assert code == 2
    assert "variants" in output
    assert not comment
