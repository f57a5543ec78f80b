"""Prints a hash for each kind of bytes that the pipeline makes; run by tools/portability.py, natively and emulated."""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import json
import os
import sys
import tempfile
from pathlib import Path

from alfnet.params import load_params
from alfnet.profiles import load_profile
from tests.tiny import ROOT, write_params


def main() -> None:
    """Run the pipeline's stages in a temporary folder, on small images and for a few updates."""
    sys.path.insert(0, str(ROOT / "stages"))
    hashes: dict[str, str] = {}
    mini = load_profile("mini", ROOT / "profiles")  # its widths: which kernels are used depends on the channels
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        write_params(
            Path("params.yaml"),
            variants=("resnet50-2s", "mobilenet-2s"),
            seeds=[1],
            synthetic__synthetic__train_images=2,
            synthetic__synthetic__val_images=1,
            synthetic__synthetic__height=256,
            synthetic__synthetic__width=512,
            data__height=256,
            data__width=512,
            head__width=mini.head.width,
            backbones__resnet50__width=mini.backbones["resnet50"].width,
            backbones__mobilenet__width=mini.backbones["mobilenet"].width,
            detect__score_threshold=0.0,  # few updates find nobody
        )
        params = load_params()
        render()
        for split in ("train", "val"):
            stage("cache_annotations", split)
        stage("ground_truth")
        collect("scenes and annotations", hashes)
        for backbone in params.backbones:
            stage("backbone", backbone)
        for name in params.variants:
            stage("first_weights", name)
            stage("train", name, "1")
            collect(f"training {name}", hashes)
            stage("validate", name, "1")
            stage("detect", name, "1")
            collect(f"detection {name}", hashes)
            stage("evaluate", name, "1")
            stage("summarise", name)
        golden_rates()
        collect("evaluation", hashes)
        stage("report")
        collect("report", hashes)
    json.dump(hashes, sys.stdout, indent=1)


def stage(name: str, *arguments: str) -> None:
    """Run a stage file in this process: one that it started would not be emulated."""
    with contextlib.redirect_stdout(sys.stderr):
        importlib.import_module(name).main(*arguments)


def collect(title: str, hashes: dict[str, str]) -> None:
    """Add the hash of every file that is new."""
    unseen = [path for path in sorted(Path().rglob("*")) if path.is_file() and str(path) not in hashes]
    for path in unseen:
        if path.parts[0] not in ("timings", ".scratch"):
            hashes[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
    print(f"  {title}: {len(unseen)} files", file=sys.stderr, flush=True)


def render() -> None:
    """The stage `dataset`, but in this process alone."""
    from alfnet.runtime import configure, configure_libraries

    params = load_params()
    configure(params.runtime)
    configure_libraries(params.runtime)
    from alfnet.annotations.rendered import render_from_settings

    render_from_settings(params.synthetic["synthetic"], Path(params.data.folder), workers=1)


def golden_rates() -> None:
    """Miss rates of detections that find somebody."""
    from alfnet.evaluation.run import evaluate_to_files

    golden = ROOT / "tests" / "golden"
    Path("golden/fusion").mkdir(parents=True)
    Path("golden/step1.json").write_bytes((golden / "miss_rate_24_dt.json").read_bytes())
    truth = golden / "miss_rate_24_gt.json"
    evaluate_to_files(truth, Path("golden"), iou=[0.5, 0.75], results=Path("golden/evaluation"))


if __name__ == "__main__":
    main()
