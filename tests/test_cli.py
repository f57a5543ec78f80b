"""The command line: what each command writes and prints, and how it refuses."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alfnet.network.alfnet import ALFNet
from tests.test_training_train import network
from tests.tiny import ROOT, write_params


def alfnet(*arguments: str, cwd: Path, code: int = 0) -> str:
    """Run the command; its output, with stderr."""
    result = subprocess.run(
        [sys.executable, "-m", "alfnet.cli", *arguments],
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == code, result.stdout
    assert "Traceback" not in result.stdout
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
    assert (folder / "params.yaml").read_bytes() == (ROOT / "profiles/citypersons.yaml").read_bytes()
    assert alfnet("profile", cwd=folder).splitlines() == ["* citypersons", "  mini"]
    alfnet("profile", "mini", cwd=folder)
    assert "there are citypersons, mini" in alfnet("profile", "maxi", cwd=folder, code=2)


def test_check_and_prune_find_what_removed_variants_left(folder):
    assert "profile mini, 5 variants" in alfnet("check", cwd=folder)
    for name in ("resnet50-1s", "gone"):
        (folder / "models" / name).mkdir(parents=True)
    (folder / "metrics").mkdir()
    (folder / "metrics/gone.json").write_text("{}")
    assert "models/gone, metrics/gone.json" in alfnet("check", cwd=folder)
    alfnet("prune", cwd=folder)
    assert (folder / "models/resnet50-1s").is_dir()
    assert not (folder / "models/gone").exists()
    assert not (folder / "metrics/gone.json").exists()


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


def test_detect_draws_and_writes_and_names_what_is_missing(folder):
    network().save(folder / "model.safetensors")
    alfnet("data", "synthetic", "--out", "scenes", "--train-images", "1", "--val-images", "2", cwd=folder)
    val = "scenes/leftImg8bit/val"
    assert "2 pictures" in alfnet("detect", val, "--weights", "model.safetensors", "--out", "found", cwd=folder)
    assert {path.name for path in (folder / "found").iterdir()} == {
        "detections.json", "detections.txt", "images.json", "pictures"
    }  # fmt: skip
    assert len(list((folder / "found/pictures").glob("*.png"))) == 2
    picture = next((folder / val).rglob("*.png"))
    picture.write_bytes(picture.read_bytes()[:2000])
    before = sorted(path.stat().st_mtime_ns for path in (folder / "found").rglob("*"))
    message = alfnet("detect", val, "--weights", "model.safetensors", "--out", "found", cwd=folder, code=2)
    assert f"{picture.name}: this PNG file was cut short" in message
    assert sorted(path.stat().st_mtime_ns for path in (folder / "found").rglob("*")) == before
    assert "no such picture" in alfnet(
        "detect", "x.png", "--weights", "model.safetensors", "--out", "f", cwd=folder, code=2
    )
    assert "no such file" in alfnet("detect", val, "--weights", "none", "--out", "f", cwd=folder, code=2)


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


def test_weights_import_gives_a_detector(folder, shared):
    source = shared / "data" / "weights" / "alfnet_mobilenet025_2step.hdf5"
    out = folder / "weights.safetensors"
    alfnet("weights", "import", str(source), "--backbone", "mobilenet", "--steps", "2", "--out", str(out), cwd=folder)
    assert ALFNet.load(out).settings.steps == 2
    wrong = ("--backbone", "resnet50", "--steps", "2", "--out", str(folder / "x.safetensors"))
    assert "holds a mobilenet" in alfnet("weights", "import", str(source), *wrong, cwd=folder, code=2)
    assert not (folder / "x.safetensors").exists()
