"""The pipeline itself: dvc.yaml against the code, and runs in throwaway repositories with a setting of seconds."""

from __future__ import annotations

import ast
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.tiny import ROOT, write_params

pytestmark = pytest.mark.pipeline

# They check, carry and show; what they compute with stands in other modules.
NOT_DEPENDENCIES = {f"alfnet/{name}.py" for name in ("errors", "extras", "files", "params", "progress", "yaml_file")}
PROJECT = (
    "alfnet",
    "stages",
    "streetscenes",
    "profiles",
    "weights",
    "tests/golden",
    "dvc.yaml",
    ".dvcignore",
    ".gitignore",
)
VARIANTS = ("resnet50-1s", "mobilenet-2s")


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


def stages() -> dict:
    return YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


# dvc.yaml against the code


def modules_of(file: Path, seen: set[Path]) -> set[Path]:
    """The files of the project that `file` imports, in functions too, and those that they import."""
    if file in seen:
        return seen
    seen.add(file)
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            for base in (ROOT, ROOT / "stages"):
                module = base / (name.replace(".", "/") + ".py")
                package = base / name.replace(".", "/") / "__init__.py"
                if module.is_file():
                    modules_of(module, seen)
                elif package.is_file() and "import " in package.read_text() and package.parent.name != "alfnet":
                    modules_of(package, seen)
    return seen


@pytest.mark.parametrize("name", stages())
def test_dependencies_are_the_modules_that_a_stage_uses(name):
    stage = stages()[name].get("do", stages()[name])
    used = {str(path.relative_to(ROOT)) for path in modules_of(ROOT / stage["cmd"].split()[1], set())}
    used -= NOT_DEPENDENCIES
    listed = [
        dependency for dependency in stage["deps"] if dependency.startswith(("alfnet/", "stages/", "streetscenes"))
    ]
    missing = {path for path in used if not any(path == entry or path.startswith(entry + "/") for entry in listed)}
    assert not missing, f"stage {name} does not depend on {sorted(missing)}"
    unused = {entry for entry in listed if not any(path == entry or path.startswith(entry + "/") for path in used)}
    assert not unused, f"stage {name} depends on {sorted(unused)} without using it"
    assert all((ROOT / entry).exists() for entry in listed)


def test_every_stage_describes_itself():
    assert all(stage.get("do", stage).get("desc") for stage in stages().values())


def test_lock_matches_code_and_parameters():
    result = run("dvc", "repro", "--dry", "--allow-missing", cwd=ROOT)
    assert not ran(result.stdout), "code or parameters changed since the last `make repro`: run it, and commit dvc.lock"


# throwaway repositories


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


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory) -> Path:
    """A repository after `dvc repro`, committed, with its data pushed to a local remote. Not to be changed by tests."""
    folder = new_repository(tmp_path_factory.mktemp("pipeline") / "origin", variants=VARIANTS)
    output = run("dvc", "repro", cwd=folder).stdout
    assert {"dataset@synthetic", "train@resnet50-1s", "evaluate@mobilenet-2s", "report"} <= ran(output)
    run("dvc", "remote", "add", "-q", "-d", "local", str(folder.parent / "remote"), cwd=folder)
    commit(folder)
    run("dvc", "push", "-q", cwd=folder)
    return folder


@pytest.fixture
def clone(reproduced, tmp_path) -> Path:
    """A clone of the reproduced repository, with its data."""
    folder = clone_of(reproduced, tmp_path / "clone")
    run("dvc", "pull", "-q", cwd=folder)
    return folder


def clone_of(repository: Path, folder: Path) -> Path:
    run("git", "clone", "-q", str(repository), str(folder), cwd=repository)
    run("git", "config", "user.email", "test@example.invalid", cwd=folder)
    run("git", "config", "user.name", "test", cwd=folder)
    return folder


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_report_holds_the_table(reproduced):
    header, *rows = (reproduced / "plots" / "ablation.csv").read_text().splitlines()
    assert header == "variant,backbone,steps,test_step,mr_50,mr_75,paper_mr_50,paper_mr_75,parameters_millions"
    assert [row.split(",")[:4] for row in rows] == [
        ["resnet50-1s", "resnet50", "1", "1"],
        ["mobilenet-2s", "mobilenet", "2", "1"],
        ["mobilenet-2s", "mobilenet", "2", "2"],
    ]
    assert all(row.split(",")[6:8] == ["", ""] for row in rows), "the paper's figures beside results on other data"
    assert (reproduced / "report" / "index.html").stat().st_size > 10_000
    assert "resnet50-1s" in run("alfnet", "table", cwd=reproduced).stdout


def test_second_repro_changes_nothing_within_five_seconds(clone):
    run("dvc", "repro", cwd=clone)
    started = time.monotonic()
    output = run("dvc", "repro", cwd=clone).stdout
    seconds = time.monotonic() - started
    assert not ran(output)
    assert "Data and pipelines are up to date" in output
    assert not run("git", "status", "--porcelain", cwd=clone).stdout
    assert seconds < 5


def test_rerun_gives_the_same_bytes(clone):
    lock = (clone / "dvc.lock").read_bytes()
    assert "train@mobilenet-2s" in ran(run("dvc", "repro", "-f", cwd=clone).stdout)
    assert (clone / "dvc.lock").read_bytes() == lock
    assert not run("git", "status", "--porcelain", cwd=clone).stdout


def test_edits_rerun_only_what_depends_on_them(clone):
    with (clone / "alfnet/report/figures.py").open("a") as file:
        file.write("\n# edited\n")
    assert ran(run("dvc", "repro", "--dry", cwd=clone).stdout) == {"report"}
    edit(clone / "params.yaml", "steps: 2", "steps: 3")
    assert ran(run("dvc", "repro", cwd=clone).stdout) == {
        "first_weights@mobilenet-2s", "train@mobilenet-2s", "detect@mobilenet-2s", "evaluate@mobilenet-2s", "report"
    }  # fmt: skip


def test_commands_that_read_work_without_data(reproduced, tmp_path):
    folder = clone_of(reproduced, tmp_path / "bare")
    assert not (folder / "models").exists()
    assert not ran(run("dvc", "repro", "--dry", "--allow-missing", cwd=folder).stdout)
    shown = run("dvc", "metrics", "show", cwd=folder).stdout
    assert "metrics/mobilenet-2s.json" in shown
    assert "miss_rate_percent.reasonable.iou_0.50" in shown
    edit(folder / "metrics/mobilenet-2s.json", '"iou_0.50": ', '"iou_0.50": 1')
    assert "miss_rate_percent.reasonable.iou_0.50" in run("dvc", "metrics", "diff", cwd=folder).stdout
    page = run("dvc", "plots", "show", "--out", "shown", cwd=folder).stdout
    assert "index.html" in page
    html = (folder / "shown" / "index.html").read_text()
    assert "mobilenet-2s" in html
    assert '"log"' in html, "the curves' axes"
    run("dvc", "plots", "diff", "--out", "diff", "--targets", "plots/miss_rate_curves.csv", cwd=folder)


def test_experiments(clone):
    run("dvc", "exp", "run", "-S", "train.updates=2", "--name", "shorter", "train@mobilenet-2s", cwd=clone)
    assert "shorter" in run("dvc", "exp", "show", "--no-pager", "--csv", cwd=clone).stdout
    run("dvc", "exp", "run", "-S", "+variants.added={backbone: mobilenet, steps: 1}", "--name", "added", cwd=clone)
    assert json.loads((clone / "metrics/added.json").read_text())
    assert "added,mobilenet,1,1," in (clone / "plots/ablation.csv").read_text()
    table = run("dvc", "exp", "show", "--no-pager", "--csv", cwd=clone).stdout
    assert "metrics/added.json:miss_rate_percent.reasonable.iou_0.50" in table


def checkpoints(folder: Path) -> set[Path]:
    return set(folder.glob("*/*.ckpt"))


def test_killed_repro_ends_with_the_same_bytes(clone, tmp_path):
    """`dvc repro` and its stage die by SIGKILL again and again; a last one ends as if nothing had happened."""
    edit(clone / "params.yaml", "updates: 3", "updates: 40")
    target, scratch = "evaluate@mobilenet-2s", tmp_path / "scratch"
    seed = time.time_ns()
    print("moments of the kills from seed", seed)
    moments = random.Random(seed)
    for _ in range(3):
        before = checkpoints(scratch)
        repro = subprocess.Popen(
            ["dvc", "repro", target],
            cwd=clone,
            env=environment(clone) | {"ALFNET_SCRATCH": str(scratch)},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        while not checkpoints(scratch) - before and repro.poll() is None:
            time.sleep(0.01)
        time.sleep(moments.uniform(0, 0.25))
        os.killpg(repro.pid, signal.SIGKILL)
        assert repro.wait() == -signal.SIGKILL, "killed after its end"
        assert checkpoints(scratch), "killed before its first checkpoint"
    assert "going on after update" in run("dvc", "repro", target, cwd=clone, ALFNET_SCRATCH=str(scratch)).stdout
    assert not checkpoints(scratch), "checkpoints are left behind"
    interrupted = {path: path.read_bytes() for path in outputs(clone)}
    assert len(interrupted) > 5

    # Without the run cache, which would hand the interrupted run's results out again.
    output = run("dvc", "repro", "-f", "--no-run-cache", target, cwd=clone).stdout
    assert {"train@mobilenet-2s", "detect@mobilenet-2s", target} <= ran(output)
    assert {path: path.read_bytes() for path in outputs(clone)} == interrupted


def outputs(folder: Path) -> list[Path]:
    """Weights, logs, detections, metrics and the lock of a variant."""
    folders = [folder / "plots/training/mobilenet-2s", folder / "detections/mobilenet-2s"]
    files = [path for part in folders for path in part.rglob("*") if path.is_file()]
    named = ("models/mobilenet-2s/model.safetensors", "metrics/mobilenet-2s.json", "dvc.lock")
    return [*(folder / name for name in named), *files]


def test_variant_from_imported_weights(clone):
    """An imported detector takes the place of training, and only its own variant notices it."""
    shutil.copy(clone / "models/mobilenet-2s/model.safetensors", clone / "weights/detectors/released.safetensors")
    with (clone / "params.yaml").open("a") as file:
        file.write(
            "  released:\n    backbone: mobilenet\n    steps: 2\n    weights: weights/detectors/released.safetensors\n"
        )
    output = ran(run("dvc", "repro", cwd=clone).stdout)
    assert "train@released" in output
    assert "train@mobilenet-2s" not in output
    rows = (clone / "plots/ablation.csv").read_text().splitlines()
    trained, released = (
        [row.split(",")[2:] for row in rows if row.startswith(name + ",")] for name in ("mobilenet-2s", "released")
    )
    assert trained == released


# the README


def readme_blocks() -> list[tuple[str, str]]:
    """The README's command blocks with the note that stands before each, if any."""
    pattern = r"(?:<!-- ([^>]*) -->\n)?```bash\n(.*?)```"
    return re.findall(pattern, (ROOT / "README.md").read_text(), flags=re.DOTALL)


def test_readme_commands(clone):
    """Every command block runs as it stands, but for those marked as set-up (which CI does), data or GPU."""
    ran_blocks = 0
    for note, block in readme_blocks():
        assert not note or note.startswith(("set-up", "needs data", "needs a GPU"))
        if not note:
            run("bash", "-euo", "pipefail", "-c", block, cwd=clone)
            ran_blocks += 1
    assert ran_blocks >= 5
    assert json.loads((clone / "rates.json").read_text())["iou_0.50"]["reasonable"] == 32.943294
    assert list((clone / "found" / "pictures").glob("*.png"))


def test_readme_shows_the_last_table():
    shown = (ROOT / "README.md").read_text().split("<!-- table -->")[1].split("<!-- /table -->")[0]
    assert shown.strip() == (ROOT / "plots" / "ablation.md").read_text().strip()


def test_other_seeds(clone):
    shutil.copytree(ROOT / "benchmarks", clone / "benchmarks", ignore=shutil.ignore_patterns("__pycache__"))
    first = run(sys.executable, "-m", "benchmarks.seeds", "7", "--variants", "mobilenet-2s", cwd=clone).stdout
    assert "| variant | test step | seed 1 | seed 7 |" in first
    assert "mobilenet-2s: last step better than the first at IoU 0.75 with" in first
    assert "of 2 seeds" in first
    rates = clone / ".seeds/7/metrics/mobilenet-2s.json"
    written = rates.stat().st_mtime_ns
    again = run(sys.executable, "-m", "benchmarks.seeds", "7", "--variants", "mobilenet-2s", cwd=clone).stdout
    assert again.splitlines()[-4:] == first.splitlines()[-4:]
    assert rates.stat().st_mtime_ns == written, "what is there is not computed again"


# bad input


@pytest.mark.parametrize(
    ("command", "break_it", "message"),
    [
        (
            "dvc repro detect@resnet50-1s",
            lambda folder: cut_short(next((folder / "data/synthetic/leftImg8bit/val").rglob("*.png"))),
            "_leftImg8bit.png: this PNG file was cut short",
        ),
        (
            "dvc repro cache_annotations@val",
            lambda folder: (folder / "data/synthetic/annotations/anno_val.mat").write_bytes(b"nothing"),
            "anno_val.mat: ",
        ),
        ("alfnet check", lambda folder: edit(folder / "params.yaml", "updates:", "updates_:"), "train.updates_: unknown key"),
        ("python stages/train.py nobody", lambda folder: None, "variants.nobody: no such variant"),
    ],
    ids=["picture", "annotations", "unknown key", "unknown variant"],
)  # fmt: skip
def test_bad_input_gives_one_message(clone, command, break_it, message):
    before = {path: path.read_bytes() for path in (clone / "detections").rglob("*") if path.is_file()}
    if command.startswith("dvc"):  # as the user meets it: DVC runs the stage
        run("dvc", "unprotect", "data/synthetic", cwd=clone, check=False)
        stage = command.split()[-1]
        command = f"python stages/{stage.split('@')[0]}.py {stage.split('@')[1]}"
    break_it(clone)
    result = run(*command.split(), cwd=clone, check=False)
    assert result.returncode == 2, result.stdout
    assert f"{message}" in result.stdout
    assert "error: " in result.stdout
    assert "Traceback" not in result.stdout
    assert {path: path.read_bytes() for path in (clone / "detections").rglob("*") if path.is_file()} == before


def test_cache_of_the_wrong_split(clone):
    (clone / "cache/train.json").unlink()
    shutil.copy(clone / "cache/val.json", clone / "cache/train.json")
    result = run("python", "stages/train.py", "mobilenet-2s", cwd=clone, check=False)
    assert result.returncode == 2
    assert "cache/train.json" in result.stdout
    assert "val" in result.stdout
    assert "Traceback" not in result.stdout


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
