"""Prints a hash for each kind of bytes that the pipeline makes; run by tests/portability.py, natively and emulated."""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

from alfnet.params import check_params
from alfnet.runtime import configure, configure_libraries
from tests.tiny import ROOT, raw_params


def main() -> None:
    """Run the pipeline's parts in a temporary folder, thin and for a few updates."""
    params = check_params(
        raw_params(
            variants=("resnet50-2s", "mobilenet-2s"),
            synthetic__synthetic__train_images=2,
            synthetic__synthetic__val_images=1,
            synthetic__synthetic__height=256,
            synthetic__synthetic__width=512,
            data__height=256,
            data__width=512,
            head__width=0.125,
            backbones__resnet50__width=0.125,
            backbones__mobilenet__width=0.25,
        ),
        "probe",
    )
    configure(params.runtime)
    configure_libraries(params.runtime)
    hashes: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        for name, step in (("scenes", render), ("training", train), ("detection", detect), ("evaluation", evaluate)):
            step(params)
            collect(Path(), hashes)
            print(f"  {name} done", file=sys.stderr, flush=True)
        plot(params)
        collect(Path(), hashes)
    json.dump(hashes, sys.stdout, indent=1)


def collect(folder: Path, hashes: dict[str, str]) -> None:
    """Add the hash of every file that is new."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and not path.is_relative_to("timings") and str(path) not in hashes:
            hashes[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()


def render(params) -> None:
    from alfnet.annotations.cache import write_training_cache
    from alfnet.annotations.ground_truth import write_ground_truth
    from alfnet.synthetic.run import render_from_settings

    data = params.data
    render_from_settings(params.synthetic["synthetic"], Path(data.folder), workers=1)
    for split in ("train", "val"):
        write_training_cache(
            Path(data.annotations) / f"anno_{split}.mat", split, Path(f"cache/{split}.json"),
            width=data.width, height=data.height, minimum_height=data.minimum_pedestrian_height,
        )  # fmt: skip
    write_ground_truth(
        Path(data.annotations) / "anno_val.mat", Path("cache/ground_truth.json"), width=data.width, height=data.height
    )


def train(params) -> None:
    from alfnet.network.backbone_weights import make_backbone
    from alfnet.training.run import train_variant

    for name, variant in params.variants.items():
        first = Path(f"weights/{variant.backbone}.safetensors")
        make_backbone(params.backbones[variant.backbone], variant.backbone, params.seed, first)
        train_variant(
            params, name, first=first, cache=Path("cache/train.json"), out=Path(f"models/{name}.safetensors"),
            scratch=Path("scratch"), make_logger=lambda: lambda update, losses: print(update, losses, file=sys.stderr),
        )  # fmt: skip


def detect(params) -> None:
    from alfnet.detection.run import detect_split

    settings = params.detect.model_copy(update={"score_threshold": 0.0})
    for name in params.variants:
        detect_split(
            Path(f"models/{name}.safetensors"), Path("cache/val.json"), Path(params.data.folder) / "leftImg8bit", settings,
            out=Path("detections") / name, timings=Path("timings") / name, title=name,
        )  # fmt: skip


def evaluate(params) -> None:
    from alfnet.evaluation.run import evaluate_to_files

    golden = ROOT / "tests" / "golden"
    Path("golden/fusion").mkdir(parents=True)
    Path("golden/step1.json").write_bytes((golden / "miss_rate_24_dt.json").read_bytes())
    evaluate_to_files(
        golden / "miss_rate_24_gt.json", Path("golden"), iou=[0.5, 0.75], results=Path("evaluation"),
        metrics=Path("metrics.json"), curve=Path("curve.csv"),
    )  # fmt: skip


def plot(params) -> None:
    pass


if __name__ == "__main__":
    main()
