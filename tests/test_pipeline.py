"""The pipeline itself: dvc.yaml against the code, and runs in throwaway repositories with a setting of seconds."""

from __future__ import annotations

import ast
import csv
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

from alfnet.cli.artifacts import best_seeds, with_artifacts
from alfnet.params import load_params
from tests.throwaway import SEEDS, VARIANTS, clone_of, commit, environment, ran, run
from tests.tiny import ROOT

pytestmark = pytest.mark.pipeline

# They check, carry and show; what they compute with stands in other modules.
NOT_DEPENDENCIES = {
    f"alfnet/{name}.py" for name in ("collector", "errors", "extras", "files", "params", "progress", "yaml_file")
}
# Imported by functions that commands call and no stage does: stages read the ground truth that the pipeline made.
OTHER_GROUND_TRUTHS = {"alfnet/annotations/mat_file.py", "alfnet/annotations/vbb.py"}
EXPLORER = {"alfnet/explorer/data.py", "alfnet/explorer/page.py"}
FOR_COMMANDS = {
    "deploy": {"alfnet/profiles.py"} | EXPLORER | OTHER_GROUND_TRUTHS,
    "detect": {"alfnet/profiles.py"},
    "validate": {"alfnet/profiles.py"} | EXPLORER | OTHER_GROUND_TRUTHS,
    "evaluate": EXPLORER | OTHER_GROUND_TRUTHS,
    "report": OTHER_GROUND_TRUTHS,
}


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
    used -= NOT_DEPENDENCIES | FOR_COMMANDS.get(name, set())
    listed = [
        dependency for dependency in stage["deps"] if dependency.startswith(("alfnet/", "stages/", "streetscenes"))
    ]
    missing = {path for path in used if not any(path == entry or path.startswith(entry + "/") for entry in listed)}
    assert not missing, f"stage {name} does not depend on {sorted(missing)}"
    unused = {entry for entry in listed if not any(path == entry or path.startswith(entry + "/") for path in used)}
    assert not unused, f"stage {name} depends on {sorted(unused)} without using it"
    assert all((ROOT / entry).exists() for entry in listed)


def test_names_reach_commands_as_quoted_options_only():
    """DVC writes `${item}` as `--variant 'x' --seed 1`; any other name would be read by the shell."""
    for name, stage in stages().items():
        assert "foreach" not in stage, name
        written = re.findall(r"\$\{[^}]*\}", stage["cmd"])
        assert written == (["${item}"] if "matrix" in stage else []), name


def test_artifacts_are_the_best_models_of_the_variants() -> None:
    artifacts = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["artifacts"]
    params = load_params(ROOT / "params.yaml")
    best = best_seeds(params, ROOT / "plots/ablation.csv")
    assert {name: artifact["path"] for name, artifact in artifacts.items()} == {
        name: f"models/{name}/{seed}/model.safetensors" for name, (seed, _) in best.items()
    }, "run: alfnet artifacts"
    with (ROOT / "plots/ablation.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for name, (seed, rate) in best.items():
        row = [row for row in rows if row["variant"] == name][-1]
        rates = [float(row[f"mr_50_seed_{one}"]) for one in params.seeds]
        assert rate == min(rates) == float(row[f"mr_50_seed_{seed}"])
        assert artifacts[name]["type"] == "model"
        assert artifacts[name]["labels"]


def test_artifacts_are_written_anew_and_the_rest_stays() -> None:
    text = (ROOT / "dvc.yaml").read_text()
    params = load_params(ROOT / "params.yaml")
    best: dict[str, tuple[int, float | None]] = {"mobilenet-2s": (2, 9.123), "resnet50-1s": (1, None)}
    written = with_artifacts(text, params, best)
    assert written.split("\n# The ")[0] == text.split("\n# The ")[0]
    assert with_artifacts(written + "\nmore:\n- 1\n", params, best) == written + "\nmore:\n- 1\n"
    section = YAML(typ="safe").load(written)["artifacts"]
    assert section["mobilenet-2s"] == {
        "path": "models/mobilenet-2s/2/model.safetensors",
        "type": "model",
        "desc": "ALFNet on MobileNet with 2 localisation steps, seed 2, MR 9.12 % on synthetic",
        "labels": ["pedestrian-detection", "mobilenet"],
    }
    assert section["resnet50-1s"]["desc"] == "ALFNet on ResNet-50 with 1 localisation step, seed 1"
    assert section.keys() == best.keys()  # the other variants' entries are gone

    own = "  detections:  # for the colleagues\n    path: detections\n    desc: what was found\n"
    again = with_artifacts(written + own + "\nmore:\n- 1\n", params, best)
    assert again == written + own + "\nmore:\n- 1\n"


def test_every_stage_describes_itself():
    assert all(stage.get("do", stage).get("desc") for stage in stages().values())


def test_lock_matches_code_and_parameters():
    result = run("dvc", "repro", "--dry", "--allow-missing", cwd=ROOT)
    assert not ran(result.stdout), "code or parameters changed since the last `make repro`: run it, and commit dvc.lock"


# throwaway repositories


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def changed(folder: Path) -> set[str]:
    """The stages whose own inputs, command or parameters have changed."""
    found = json.loads(run("dvc", "status", "--json", cwd=folder).stdout)
    return {
        name
        for name, changes in found.items()
        if any(set(change) - {"changed outs"} for change in changes if isinstance(change, dict))
        or "changed command" in changes
    }


def of_variant(name: str, *seeds: int) -> set[str]:
    return {f"{stage}@{name}-{seed}" for stage in ("train", "validate", "detect", "evaluate") for seed in seeds}


def test_launch_leaves_results_and_nothing_else(reproduced):
    assert not run("git", "status", "--porcelain", cwd=reproduced).stdout
    assert len(run("git", "worktree", "list", cwd=reproduced).stdout.splitlines()) == 1
    assert not list((reproduced / ".scratch/launch").glob("*"))
    assert (reproduced / "timings/mobilenet-2s/2.json").is_file()


def test_report_holds_the_table(reproduced):
    rows = (reproduced / "plots" / "ablation.csv").read_text()
    assert "resnet50-1s" in rows
    assert "mobilenet-2s" in rows
    assert (reproduced / "report" / "index.html").stat().st_size > 10_000
    assert "resnet50-1s" in run("alfnet", "table", cwd=reproduced).stdout


def test_metrics_are_means_over_the_seeds(reproduced):
    for name in VARIANTS:
        found = [json.loads((reproduced / f"evaluation/{name}/{seed}/results.json").read_text()) for seed in SEEDS]
        rates = [result["steps"][max(result["steps"])]["iou_0.75"]["reasonable"] for result in found]
        headline = json.loads((reproduced / f"metrics/{name}.json").read_text())
        assert headline["mr_75"] == pytest.approx(sum(rates) / 2, abs=1e-6)
        assert headline["sd_75"] == pytest.approx(abs(rates[0] - rates[1]) / 2**0.5, abs=1e-6)
        assert headline["n"] == 2


@pytest.mark.long
def test_rerun_one_after_the_other_gives_the_same_bytes(clone):
    """What ran side by side in worktrees, run again here without the run cache."""
    lock = (clone / "dvc.lock").read_bytes()
    output = run("dvc", "repro", "-f", "--no-run-cache", "-s", *sorted(of_variant("mobilenet-2s", 1)), cwd=clone).stdout
    assert of_variant("mobilenet-2s", 1) <= ran(output)
    assert (clone / "dvc.lock").read_bytes() == lock
    output = run("dvc", "repro", cwd=clone).stdout
    assert not ran(output)
    assert "Data and pipelines are up to date" in output
    assert not run("git", "status", "--porcelain", cwd=clone).stdout


def test_edits_rerun_only_what_depends_on_them(clone):
    with (clone / "alfnet/report/figures.py").open("a") as file:
        file.write("\n# edited\n")
    assert changed(clone) == {"report"}
    run("git", "checkout", "-q", ".", cwd=clone)

    edit(clone / "params.yaml", "checkpoint_every: 1", "checkpoint_every: 2")
    assert changed(clone) == {"parameters"}
    run("git", "checkout", "-q", ".", cwd=clone)

    edit(clone / "params.yaml", "steps: 2", "steps: 3")
    output = ran(run("dvc", "repro", "first_weights@mobilenet-2s", cwd=clone).stdout)
    assert output == {"parameters", "first_weights@mobilenet-2s"}
    assert {"train@mobilenet-2s-1", "train@mobilenet-2s-2"} <= changed(clone)
    assert not {name for name in changed(clone) if "resnet50-1s-" in name}
    run("git", "checkout", "-q", ".", cwd=clone)
    run("dvc", "checkout", "-q", cwd=clone)

    edit(clone / "params.yaml", "width: 0.05", "width: 0.1")  # of the backbone resnet50
    run("dvc", "repro", "first_weights", cwd=clone)
    assert {name for name in changed(clone) if name.startswith("train@")} == {
        f"train@resnet50-1s-{seed}" for seed in SEEDS
    }


@pytest.mark.long
def test_a_seed_more_trains_itself_alone(clone):
    run("dvc", "exp", "run", "-S", "seeds=[1,2,3]", "--name", "more", "summarise@mobilenet-2s", cwd=clone)
    assert json.loads((clone / "metrics/mobilenet-2s.json").read_text())["n"] == 3
    assert "more" in run("dvc", "exp", "show", "--no-pager", "--csv", cwd=clone).stdout
    difference = run("git", "diff", "dvc.lock", cwd=clone).stdout
    assert not [line for line in difference.splitlines() if line.startswith("-  train@")]
    assert changed(clone) >= {"train@resnet50-1s-3"}
    assert not changed(clone) & (of_variant("mobilenet-2s", 1, 2, 3) | of_variant("resnet50-1s", 1, 2))


def test_commands_that_read_work_without_data(bare):
    folder = bare
    assert not (folder / "models").exists()
    assert not ran(run("dvc", "repro", "--dry", "--allow-missing", cwd=folder).stdout)
    shown = run("dvc", "metrics", "show", cwd=folder).stdout
    assert "metrics/mobilenet-2s.json" in shown
    assert "mr_75" in shown
    edit(folder / "metrics/mobilenet-2s.json", '"mr_50": ', '"mr_50": 1')
    assert "mr_50" in run("dvc", "metrics", "diff", cwd=folder).stdout
    page = run("dvc", "plots", "show", "--out", "shown", cwd=folder).stdout
    assert "index.html" in page
    html = (folder / "shown" / "index.html").read_text()
    assert "mobilenet-2s" in html
    assert '"log"' in html, "the curves' axes"
    run("dvc", "plots", "diff", "--out", "diff", "--targets", "plots/miss_rate_curves.csv", cwd=folder)


def test_data_that_dvc_add_put_there_survives(bare, tmp_path):
    """`dvc add` of a data set and of imported weights, checkout, push, and pull in a clone."""
    data, weights = bare / "data/citypersons", bare / "weights/detectors/released.safetensors"
    (data / "annotations").mkdir(parents=True)
    (data / "annotations/anno_train.mat").write_bytes(b"annotations")
    weights.write_bytes(b"weights")
    run("dvc", "add", "-q", str(data), str(weights), cwd=bare)
    commit(bare)
    assert "data/citypersons.dvc" in run("git", "ls-files", cwd=bare).stdout
    targets = ("data/citypersons.dvc", "weights/detectors/released.safetensors.dvc")
    run("dvc", "checkout", cwd=bare, check=False)  # the stages' outputs are not in this cache
    assert (data / "annotations/anno_train.mat").read_bytes() == b"annotations"
    assert weights.read_bytes() == b"weights"
    run("dvc", "remote", "add", "-q", "-d", "-f", "local", str(tmp_path / "remote"), cwd=bare)
    commit(bare)
    run("dvc", "push", "-q", *targets, cwd=bare)
    other = clone_of(bare, tmp_path / "other")
    run("dvc", "pull", "-q", *targets, cwd=other)
    assert (other / "data/citypersons/annotations/anno_train.mat").read_bytes() == b"annotations"
    assert (other / "weights/detectors/released.safetensors").read_bytes() == b"weights"


@pytest.mark.parametrize("command", [("repro",), ("repro", "-s", "train@x; touch PWNED #-1"), ("exp", "run", "--temp")])
def test_names_are_never_read_by_a_shell(bare, command):
    edit(
        bare / "params.yaml", "variants:\n", "variants:\n  'x; touch PWNED #':\n    backbone: mobilenet\n    steps: 1\n"
    )
    if "-s" in command:  # past the stage that refuses
        (bare / "weights/first").mkdir(parents=True)
        (bare / "weights/first/x; touch PWNED #.safetensors").write_bytes(b"x")
    result = run("dvc", *command, cwd=bare, check=False)
    assert result.returncode
    if "-s" not in command:
        assert "variants.x; touch PWNED #" in result.stdout
    assert not list(bare.rglob("PWNED*"))


def test_stages_use_the_package_beside_them(bare, reproduced):
    """Whatever is installed or on PYTHONPATH: a queued experiment's edits count, and no other tree's."""
    with (bare / "alfnet/annotations/ground_truth.py").open("a") as file:
        file.write("\nraise SystemExit(77)\n")
    result = run(sys.executable, "stages/ground_truth.py", cwd=bare, check=False, PYTHONPATH=str(reproduced))
    assert result.returncode == 77, result.stdout
    shutil.rmtree(bare / "alfnet")
    result = run(sys.executable, "stages/ground_truth.py", cwd=bare, check=False, PYTHONPATH=str(reproduced))
    assert result.returncode == 1
    assert "would run the package in" in result.stdout


@pytest.mark.slow
def test_queued_experiments_use_their_own_code(clone):
    """Edit the evaluation, queue, take the edit back, run the queue: the figures are those of the edit."""
    before = json.loads((clone / "metrics/mobilenet-2s.json").read_text())
    n = '"n": min((rate["n"] for rate in rates.values()), default=len(summary["seeds"]))'
    edit(clone / "alfnet/evaluation/summary.py", n, '"n": 77')
    run("dvc", "exp", "run", "--queue", "--name", "edited", "summarise@mobilenet-2s", cwd=clone)
    run("git", "checkout", "-q", "alfnet", cwd=clone)
    run("dvc", "queue", "start", "-j", "2", cwd=clone)
    deadline = time.monotonic() + 300
    while "Running" in (status := run("dvc", "queue", "status", cwd=clone).stdout) or "Queued" in status:
        assert time.monotonic() < deadline, status
        time.sleep(1)
    assert "Success" in status
    table = run("dvc", "exp", "show", "--no-pager", "--json", cwd=clone).stdout
    assert '"n": 77' in table
    assert json.loads((clone / "metrics/mobilenet-2s.json").read_text()) == before


@pytest.mark.slow
def test_experiments_travel_over_a_git_remote(clone, tmp_path):
    """`dvc exp push`, and in a colleague's clone `dvc exp list`, `pull` and `apply`: parameters and figures arrive."""
    run("git", "clone", "-q", "--bare", str(clone), str(tmp_path / "host.git"), cwd=tmp_path)
    run("git", "remote", "set-url", "origin", str(tmp_path / "host.git"), cwd=clone)
    run("dvc", "exp", "run", "-S", "detect.nms_iou=0.4", "--name", "closer", "summarise@mobilenet-2s", cwd=clone)
    figures = (clone / "metrics/mobilenet-2s.json").read_bytes()
    run("dvc", "exp", "push", "origin", "closer", cwd=clone)
    other = clone_of(tmp_path / "host.git", tmp_path / "other")
    assert "closer" in run("dvc", "exp", "list", "origin", cwd=other).stdout
    run("dvc", "exp", "pull", "origin", "closer", cwd=other)
    run("dvc", "exp", "apply", "closer", cwd=other, check=False)  # the other stages' outputs are not in this cache
    assert load_params(other / "params.yaml").detect.nms_iou == 0.4
    assert (other / "metrics/mobilenet-2s.json").read_bytes() == figures


@pytest.mark.slow
def test_a_conflict_in_the_lock_file_is_settled_by_a_run(clone):
    """As docs/dvc.md says: either side is taken, `dvc repro` puts it right, and what a side has run does not run again."""
    target = "evaluate@mobilenet-2s-1"
    for branch, old, new in (("theirs", "nms_iou: 0.5", "nms_iou: 0.4"), ("main", "- 0.75", "- 0.75\n  - 0.9")):
        run("git", "checkout", "-q", *(["-b"] if branch == "theirs" else []), branch, cwd=clone)
        edit(clone / "params.yaml", old, new)
        run("dvc", "repro", target, cwd=clone)
        commit(clone)
    merge = run("git", "merge", "theirs", cwd=clone, check=False)
    assert merge.returncode
    assert "CONFLICT (content): Merge conflict in dvc.lock" in merge.stdout
    run("git", "checkout", "-q", "--theirs", ".", cwd=clone)
    assert ran(run("dvc", "repro", target, cwd=clone).stdout) <= {"parameters", target}
    assert not changed(clone) & of_variant("mobilenet-2s", 1)
    commit(clone)
    assert "<<<<" not in (clone / "dvc.lock").read_text()


@pytest.mark.slow
def test_annotations_come_from_an_address(bare, tmp_path):
    """`dvc import-url`, and `dvc update` when the file there has changed."""
    source, place = tmp_path / "host/anno_val.mat", "data/citypersons/annotations/anno_val.mat"
    source.parent.mkdir()
    source.write_bytes(b"first")
    (bare / place).parent.mkdir(parents=True)
    run("dvc", "import-url", str(source), place, cwd=bare)
    assert (bare / place).read_bytes() == b"first"
    source.write_bytes(b"second version")
    run("dvc", "update", f"{place}.dvc", cwd=bare)
    assert (bare / place).read_bytes() == b"second version"
    assert f"{place}.dvc" in run("git", "status", "--porcelain", "-uall", cwd=bare).stdout


def test_a_lock_file_cut_short_is_mended(clone):
    lock = (clone / "dvc.lock").read_bytes()
    within_a_line = (
        lock.index(b"\n", len(lock) // 2) - 3
    )  # a cut between two stages leaves a sound file of fewer stages
    for content in (b"", lock[:within_a_line]):
        (clone / "dvc.lock").write_bytes(content)
        assert "DVC was stopped while it wrote it" in run("alfnet", "check", cwd=clone).stdout
        assert not (clone / "dvc.lock").exists()
    output = run("dvc", "repro", "evaluate@mobilenet-2s-1", cwd=clone).stdout
    assert not ran(output) & of_variant("mobilenet-2s", 1), "the run cache knows them"


def checkpoints(folder: Path) -> set[Path]:
    return set(folder.glob("*/*.ckpt"))


@pytest.mark.long
def test_killed_repro_ends_with_the_same_bytes(clone, tmp_path):
    """`dvc repro` and its stage die by SIGKILL again and again; a last one ends as if nothing had happened."""
    edit(clone / "params.yaml", "updates: 3", "updates: 40")
    target, scratch = "evaluate@mobilenet-2s-1", tmp_path / "scratch"
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
    run("alfnet", "check", cwd=clone)  # puts a dvc.lock right that was cut short
    assert "going on after update" in run("dvc", "repro", target, cwd=clone, ALFNET_SCRATCH=str(scratch)).stdout
    interrupted = {path: path.read_bytes() for path in outputs(clone)}
    assert len(interrupted) > 5

    # Without the run cache, which would hand the interrupted run's results out again.
    stages_of_it = sorted(of_variant("mobilenet-2s", 1))
    output = run(
        "dvc", "repro", "-f", "--no-run-cache", "-s", *stages_of_it, cwd=clone, ALFNET_SCRATCH=str(tmp_path / "new")
    ).stdout
    assert set(stages_of_it) <= ran(output)
    assert {path: path.read_bytes() for path in outputs(clone)} == interrupted


def outputs(folder: Path) -> list[Path]:
    """Weights, logs, detections, miss rates and the lock of a variant and seed."""
    names = ("plots/training", "detections", "evaluation", "models")
    files = [path for name in names for path in (folder / name / "mobilenet-2s/1").rglob("*") if path.is_file()]
    return [folder / "dvc.lock", *files]


@pytest.mark.long
def test_variant_from_imported_weights(clone):
    """An imported detector takes the place of training, and only its own variant notices it."""
    shutil.copy(clone / "models/mobilenet-2s/1/model.safetensors", clone / "weights/detectors/released.safetensors")
    with (clone / "params.yaml").open("a") as file:
        file.write(
            "  released:\n    backbone: mobilenet\n    steps: 2\n    weights: weights/detectors/released.safetensors\n"
        )
    output = ran(run("dvc", "repro", "summarise@released", cwd=clone).stdout)
    assert "train@released-1" in output
    assert "train@mobilenet-2s-1" not in output
    results = [
        json.loads((clone / f"evaluation/{name}/1/results.json").read_text()) for name in ("mobilenet-2s", "released")
    ]
    assert results[0] == results[1]
    assert json.loads((clone / "metrics/released.json").read_text())["n"] == 1, "one detector for all seeds"


# the README


# bad input


@pytest.mark.parametrize(
    ("command", "break_it", "message"),
    [
        (
            "dvc repro detect@resnet50-1s-1",
            lambda folder: cut_short(next((folder / "data/synthetic/leftImg8bit/val").rglob("*.png"))),
            "_leftImg8bit.png: this PNG file was cut short",
        ),
        (
            "dvc repro cache_annotations@val",
            lambda folder: (folder / "data/synthetic/annotations/anno_val.mat").write_bytes(b"nothing"),
            "anno_val.mat: ",
        ),
        ("alfnet check", lambda folder: edit(folder / "params.yaml", "updates:", "updates_:"), "train.updates_: unknown key"),
        ("python stages/train.py nobody 1", lambda folder: None, "variants.nobody: no such variant"),
    ],
    ids=["picture", "annotations", "unknown key", "unknown variant"],
)  # fmt: skip
def test_bad_input_gives_one_message(clone, command, break_it, message):
    before = {path: path.read_bytes() for path in (clone / "detections").rglob("*") if path.is_file()}
    if command.startswith("dvc"):  # as the user meets it: DVC runs the stage
        run("dvc", "unprotect", "data/synthetic", cwd=clone, check=False)
        stage = command.split()[-1]
        stage, _, item = stage.partition("@")
        command = " ".join(["python", f"stages/{stage}.py", *item.rsplit("-", item[-1:].isdigit())])
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
    result = run("python", "stages/train.py", "mobilenet-2s", "1", cwd=clone, check=False)
    assert result.returncode == 2
    assert "cache/train.json" in result.stdout
    assert "val" in result.stdout
    assert "Traceback" not in result.stdout


def cut_short(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    path.write_bytes(content[: len(content) // 2])
