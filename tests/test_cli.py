"""The command line: what each command writes and prints, and how it refuses."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from alfnet.cli import COMMANDS, command_line, dvc_views
from alfnet.network.alfnet import ALFNet
from alfnet.profiles import merged_text
from tests.commands import alfnet
from tests.test_training_train import network
from tests.tiny import ROOT, write_params


def alfnet_process(*arguments: str, cwd: Path) -> str:
    """Run the command as a process of its own; its output, with stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "alfnet.cli", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout
    return result.stdout


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with profiles and a parameter file of seconds."""
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    write_params(tmp_path / "params.yaml")
    return tmp_path


def test_profile_switches_and_keeps_changes(folder):
    before = (folder / "params.yaml").read_bytes()
    assert "keep them as profiles/YOURS.yaml" in alfnet("profile", "citypersons", cwd=folder, code=2)
    assert (folder / "params.yaml").read_bytes() == before
    alfnet("profile", "citypersons", "--force", cwd=folder)
    assert (folder / "params.yaml").read_text() == merged_text("citypersons", ROOT / "profiles")
    listed = alfnet("profile", cwd=folder).splitlines()
    assert [line for line in listed if line.startswith("*")] == ["* citypersons"]
    assert "  mini" in listed
    alfnet("profile", "mini", cwd=folder)
    assert "there are caltech, citypersons" in alfnet("profile", "maxi", cwd=folder, code=2)


def test_check_and_prune_find_what_removed_variants_left_and_nothing_else(folder):
    assert "profile mini, 5 variants" in alfnet("check", cwd=folder)
    for name in ("resnet50-1s", "gone"):
        network().save(folder / "models" / name / "model.safetensors")
    (folder / "metrics/deploy/gone").mkdir(parents=True)
    (folder / "metrics/gone.json").write_text('{"mr_50": 10.0}')
    (folder / "metrics/deploy/gone/1.json").write_text('{"int8_mr_50": 10.0}')
    (folder / "deploy/gone/1").mkdir(parents=True)
    (folder / "deploy/gone/1/report.json").write_text('{"miss_rates": {}}')
    (folder / "deploy/gone/1/int8.onnx").write_bytes(b"graph")
    mine = {
        "models/my-best.safetensors": "weights",
        "models/gone-too/model.safetensors": "weights of another program",
        "models/yolov8x.pt": "mine",
        "models/gone/notes.txt": "mine",
        "evaluation/notes.txt": "mine",
        "detections/csp.json": '[{"image_id":1}]',
        "metrics/paper_numbers.json": "{}",
        "deploy/gone/1/notes.json": "mine",
        "deploy/other.onnx": "mine",
    }
    for name, content in mine.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content)
    network().save(folder / "outside/1/model.safetensors")
    (folder / "models/archive").symlink_to(folder / "outside")
    listed = [
        "models/gone/model.safetensors",
        "deploy/gone/1/int8.onnx",
        "deploy/gone/1/report.json",
        "metrics/deploy/gone/1.json",
        "metrics/gone.json",
    ]
    said = alfnet("check", cwd=folder)
    assert all(name in said for name in listed)
    assert alfnet("prune", "--dry-run", cwd=folder).splitlines() == listed
    assert "--yes" in alfnet("prune", cwd=folder, code=2)
    assert (folder / "models/gone/model.safetensors").exists()
    assert "removed 5 files" in alfnet("prune", "--yes", cwd=folder)
    assert (folder / "models/resnet50-1s/model.safetensors").exists()
    assert not any((folder / name).exists() for name in listed)
    assert {name: (folder / name).read_text() for name in mine} == mine
    assert (folder / "models/archive/1/model.safetensors").exists()
    (folder / "elsewhere/models/gone").mkdir(parents=True)
    network().save(folder / "elsewhere/models/gone/model.safetensors")
    alfnet("prune", "--yes", "--params", "../params.yaml", cwd=folder / "elsewhere")
    assert (folder / "elsewhere/models/gone/model.safetensors").exists()


def test_check_and_prune_find_what_removed_seeds_left_and_nothing_else(folder):
    """Six seeds, then three: `summarise` and `report` depend on whole folders, in which the others' results still lie."""
    write_params(folder / "params.yaml", seeds=[1, 2, 3])
    network().save(folder / "one.safetensors")
    weights, log = (folder / "one.safetensors").read_bytes(), b"step\tloss\n1\t0.5\n"
    written = {
        "models/%s/%d/model.safetensors": weights,
        "models/%s/%d/snapshots/100.safetensors": weights,
        "models/%s/%d/snapshots/kept.json": b'{"updates": [100]}',
        "detections/%s/%d/step1.json": b"[]",
        "detections/%s/%d/positives.json": b'{"ground_truths": 3}',
        "validation/%s/%d/tested.json": b'{"weights": "model.safetensors"}',
        "evaluation/%s/%d/results.json": b'{"steps": {}}',
        "evaluation/%s/%d/curves.csv": b"test_step,iou\n",
        "deploy/%s/%d/report.json": b'{"miss_rates": {}}',
        "metrics/deploy/%s/%d.json": b'{"int8_mr_50": 10.0}',
        "plots/training/%s/%d/train/loss/total.tsv": log,
        "plots/training/%s/%d/metrics.json": b'{"step": 3}',
        "timings/%s/%d.json": b'{"seconds_per_image": 0.1}',
    }
    names = {seed: [name % ("resnet50-1s", seed) for name in written] for seed in (3, 4, 12)}
    mine = {
        "models/resnet50-1s/best/model.safetensors": weights,  # no seed
        "models/resnet50-1s/04/model.safetensors": weights,  # not as a stage writes it
        "models/resnet50-1s/5.safetensors": weights,
        "models/resnet50-1s/4/notes.txt": b"mine",
        "evaluation/resnet50-1s/4/results-2018.json": b'{"steps": {}}',
        "evaluation/resnet50-1s/4/curves.csv.bak": b"test_step,",
        "metrics/resnet50-1s.json": b'{"mr_50": 10.0}',
        "metrics/deploy/resnet50-1s/4.txt": b"mine",
        "timings/timings.csv": b"variant",
        "summaries/resnet50-1s/summary.json": b'{"seeds": [1]}',
        "outside/model.safetensors": weights,
    }
    for seed, listed in names.items():
        for name, content in [*zip(listed, written.values(), strict=True), *(mine.items() if seed == 4 else ())]:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content)
    (folder / "models/resnet50-1s/6").symlink_to(folder / "outside")

    said = alfnet("check", cwd=folder)
    assert (
        "outputs of variants or seeds that params.yaml does not have: models/resnet50-1s/12/model.safetensors" in said
    )
    assert "and 21 more" in said
    assert "remove them with: alfnet prune" in said
    assert set(alfnet("prune", "--dry-run", cwd=folder).splitlines()) == {*names[4], *names[12]}
    assert "removed 26 files" in alfnet("prune", "--yes", cwd=folder)
    assert not any((folder / name).exists() for name in names[4] + names[12])
    assert {name: (folder / name).read_bytes() for name in mine} == mine
    assert all((folder / name).exists() for name in names[3])
    assert not (folder / "evaluation/resnet50-1s/12").exists()
    assert (folder / "models/resnet50-1s/6/model.safetensors").exists()
    assert "alfnet prune" not in alfnet("check", cwd=folder)
    assert alfnet("prune", "--yes", cwd=folder) == "nothing to remove\n"


@pytest.mark.slow
def test_data_commands_from_scenes_to_ground_truth(folder):
    alfnet("data", "synthetic", "--out", "scenes", "--train-images", "2", "--val-images", "1", cwd=folder)
    assert len(list((folder / "scenes/leftImg8bit").rglob("*.png"))) == 3
    size = ("--height", "256", "--width", "512")
    for split in ("train", "val"):
        alfnet(
            "data", "cache", "--annotations", f"scenes/annotations/anno_{split}.mat", "--split", split,
            "--out", f"{split}.json", "--minimum-height", "20", *size, cwd=folder,
        )  # fmt: skip
    alfnet(
        "data",
        "ground-truth",
        "--annotations",
        "scenes/annotations/anno_val.mat",
        "--out",
        "gt.json",
        *size,
        cwd=folder,
    )
    assert (folder / "gt.json").exists()
    wrong = (
        "data",
        "cache",
        "--annotations",
        "scenes/annotations/anno_val.mat",
        "--split",
        "train",
        "--out",
        "train.json",
    )
    before = (folder / "train.json").read_bytes()
    assert "anno_val.mat" in alfnet(*wrong, *size, cwd=folder, code=2)
    assert (folder / "train.json").read_bytes() == before


@pytest.mark.slow
def test_detect_draws_and_writes_and_names_what_is_missing(folder, caplog):
    network().save(folder / "model.safetensors")
    alfnet("data", "synthetic", "--out", "scenes", "--train-images", "1", "--val-images", "2", cwd=folder)
    (folder / "params.yaml").unlink()  # not needed
    val = "scenes/leftImg8bit/val"
    command = ("detect", val, "--weights", "model.safetensors", "--out", "found")
    output = alfnet(*command, cwd=folder)
    assert "in 2 images" in output
    assert "does not say what it was trained on" in caplog.text
    assert {path.name for path in (folder / "found").iterdir()} == {
        "alfnet-files.json", "detections.json", "detections.txt", "images.json", "pictures"
    }  # fmt: skip
    assert len(list((folder / "found/pictures").glob("*.png"))) == 2
    picture = next((folder / val).rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:2000])
    before = sorted(path.stat().st_mtime_ns for path in (folder / "found").rglob("*"))
    assert f"{picture.name}: this PNG file was cut short" in alfnet(*command, "--strict", cwd=folder, code=2)
    assert sorted(path.stat().st_mtime_ns for path in (folder / "found").rglob("*")) == before
    message = alfnet(*command, cwd=folder, code=1)
    assert "in 1 image " in message
    assert f"1 could not be read:\n  {val}" in message
    assert len(list((folder / "found/pictures").glob("*.png"))) == 1
    assert "no such image" in alfnet(
        "detect", "x.png", "--weights", "model.safetensors", "--out", "f", cwd=folder, code=2
    )
    assert "no such file" in alfnet("detect", val, "--weights", "none", "--out", "f", cwd=folder, code=2)
    assert not (folder / "f").exists()


def test_evaluate_prints_and_writes(folder, golden):
    files = (
        "--ground-truth",
        str(golden / "miss_rate_24_gt.json"),
        "--detections",
        str(golden / "miss_rate_24_dt.json"),
    )
    output = alfnet("evaluate", *files, "--out", "m.json", "--curves", "c.csv", "--iou", "0.5", cwd=folder)
    assert "25.96" in output
    assert (folder / "c.csv").read_text().startswith("iou,subset,fppi,miss_rate")
    assert "no such file" in alfnet("evaluate", *files[:3], "nothing.json", cwd=folder, code=2)


@pytest.mark.slow
def test_weights_import_gives_a_detector(folder, shared):
    source = shared / "data" / "weights" / "alfnet_mobilenet025_2step.hdf5"
    out = folder / "weights.safetensors"
    alfnet("weights", "import", str(source), "--backbone", "mobilenet", "--steps", "2", "--out", str(out), cwd=folder)
    assert ALFNet.load(out).settings.steps == 2
    alfnet("weights", "import", str(source), "--backbone", "mobilenet", "--steps", "2", "--out", str(out), cwd=folder)
    wrong = ("--backbone", "resnet50", "--steps", "2", "--out", str(folder / "x.safetensors"))
    assert "holds a mobilenet" in alfnet("weights", "import", str(source), *wrong, cwd=folder, code=2)
    assert not (folder / "x.safetensors").exists()


def test_no_command_writes_over_an_input_or_a_stranger(folder):
    golden = ROOT / "tests/golden"
    shutil.copy(golden / "miss_rate_24_gt.json", folder / "gt.json")
    shutil.copy(golden / "miss_rate_24_dt.json", folder / "dt.json")
    (folder / "thesis.json").write_text('{"chapter": 1}')
    (folder / "city").mkdir()
    (folder / "city/thesis.txt").write_text("mine")
    (folder / "link.json").symlink_to("dt.json")
    network().save(folder / "mine.safetensors")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    rates = ("evaluate", "--ground-truth", "gt.json", "--detections", "dt.json")
    for out in ("dt.json", "gt.json", "./city/../dt.json", "link.json"):
        assert "input" in alfnet(*rates, "--out", out, cwd=folder, code=2)
    assert "thesis.json" in alfnet(*rates, "--out", "thesis.json", cwd=folder, code=2)
    assert "--curves" in alfnet(*rates, "--out", "x", "--curves", "x", cwd=folder, code=2)
    for out in (".", "", "/", "city"):
        assert ("folder" if out else "--out: is empty") in alfnet(*rates, "--out", out, cwd=folder, code=2)
    small = ("--height", "64", "--width", "128", "--train-images", "1", "--val-images", "1")
    assert "thesis.txt" in alfnet("data", "synthetic", "--out", "city", *small, cwd=folder, code=2)
    for out in (".", "", "/", "thesis.json"):
        alfnet("data", "synthetic", "--out", out, *small, cwd=folder, code=2)
    options = ("--backbone", "mobilenet", "--steps", "2")
    assert "input" in alfnet("weights", "import", "gt.json", *options, "--out", "gt.json", cwd=folder, code=2)
    assert "dt.json" in alfnet("weights", "import", "gt.json", *options, "--out", "dt.json", cwd=folder, code=2)
    trained = ("mine.safetensors", "no earlier")
    assert all(
        word in alfnet("weights", "import", "gt.json", *options, "--out", trained[0], cwd=folder, code=2)
        for word in trained
    )
    (folder / "copy.safetensors").write_bytes((folder / "mine.safetensors").read_bytes())
    stamp = ("weights", "stamp", "copy.safetensors", "--metrics", "gt.json", "--out", "mine.safetensors")
    assert all(word in alfnet(*stamp, cwd=folder, code=2) for word in trained)
    for file, said in (("found.onnx", "found.onnx: an exported file already (ONNX)"), (".", ".: is a folder")):
        assert said in alfnet("weights", "stamp", file, *stamp[3:], cwd=folder, code=2)
    (folder / "copy.safetensors").unlink()
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    for _ in range(2):  # its own output it does replace
        alfnet(*rates, "--out", "rates.json", "--curves", "curves.csv", cwd=folder)
        alfnet("data", "synthetic", "--out", "new", *small, cwd=folder)


def test_results_go_through_links_pipes_and_devices(folder):
    golden = ROOT / "tests/golden"
    truth, found = golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"
    rates = ("evaluate", "--ground-truth", str(truth), "--detections", str(found))
    (folder / "real.json").write_text("")
    (folder / "link.json").symlink_to("real.json")
    alfnet_process(*rates, "--out", "link.json", cwd=folder)
    assert (folder / "link.json").is_symlink()
    expected = json.loads((folder / "real.json").read_text())
    printed = alfnet_process(*rates, "--out", "/dev/stdout", cwd=folder)
    assert json.loads(printed[printed.index("{") : printed.rindex("}") + 1]) == expected
    os.mkfifo(folder / "pipe")
    reader = subprocess.Popen(["timeout", "60", "cat", "pipe"], cwd=folder, stdout=subprocess.PIPE)
    alfnet_process(*rates, "--out", "pipe", cwd=folder)
    assert json.loads(reader.communicate()[0]) == expected
    assert stat.S_ISFIFO((folder / "pipe").stat().st_mode)
    alfnet_process(*rates, "--out", "/dev/null", cwd=folder)
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


@pytest.mark.parametrize("columns", [160, 120, 80, 60])
def test_experiments_are_shown_whole_at_any_width(columns, monkeypatch, tmp_path):
    names = ["resnet50-1s", "resnet50-2s", "resnet50-3s", "mobilenet-1s", "mobilenet-2s"]
    rows = [
        ("main", [], dict.fromkeys(names, "12.5/31.4")),
        ("  shorter", ["seeds: [1]", "train.updates: 200"], dict.fromkeys(names, "22.5/41.4")),
        ("  three-steps", ["variants.mobilenet-3s.steps: 3"], dict.fromkeys([*names, "mobilenet-3s"], "13.5/32.4")),
    ]
    monkeypatch.setattr(dvc_views, "_experiments", lambda: rows)
    monkeypatch.setenv("COLUMNS", str(columns))
    shown = alfnet("experiments", cwd=tmp_path)
    assert all(len(line) <= columns for line in shown.splitlines())
    assert "…" not in shown
    assert (shown.count("12.5/31.4"), shown.count("22.5/41.4"), shown.count("13.5/32.4")) == (5, 5, 6)
    assert all(text in shown for text in ("shorter", "three-steps", "seeds: [1]", "train.updates: 200"))


def test_revisions_have_their_names_or_the_start_of_their_hash():
    assert dvc_views._name({"name": "main", "rev": "a" * 40}) == "main"
    assert dvc_views._name({"name": None, "rev": "0123456789" * 4}) == "0123456"
    assert dvc_views._name({"rev": "workspace"}) == "workspace"


@pytest.mark.parametrize(
    ("arguments", "where"),
    [
        (("evaluate", "gt.json", "dt.json", "--out", ""), "--out"),
        (("evaluate", "gt.json", "dt.json", "--curves="), "--curves"),
        (("evaluate", "", "dt.json"), "argument 2"),
        (("detect", "street.jpg", "--out", "", "--weights", "w"), "--out"),
        (("report", "--compare", ""), "--compare"),
    ],
)
def test_an_empty_argument_is_refused_and_not_taken_for_this_folder(arguments, where, tmp_path):
    said = alfnet(*arguments, cwd=tmp_path, code=2)
    assert said.startswith(f"error: {where}: is empty; ")
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", ["nan", "inf", "-5", "101", "nobody=3", "reasonable@nan=4", "small=1e400"])
def test_a_figure_that_is_none_is_refused_before_any_work(value, golden, tmp_path):
    files = (str(golden / "miss_rate_150_gt.json"), str(golden / "miss_rate_150_dt.json"))
    said = alfnet("evaluate", *files, "--out", "rates.json", "--got", value, cwd=tmp_path, code=2)
    assert said.startswith(f"error: {value!r}: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_built_alone_is_the_one_of_the_whole_command_line(name):
    runner = CliRunner()
    alone = runner.invoke(command_line([name]), [name, "--help"])
    assert alone.exit_code == 0
    assert alone.output == runner.invoke(command_line(), [name, "--help"]).output


def test_an_unknown_command_is_compared_with_all(tmp_path):
    assert "Did you mean 'evaluate'" in alfnet("evaluat", cwd=tmp_path, code=2)
    shown = alfnet("--help", cwd=tmp_path)
    assert all(name in shown for name in COMMANDS)
