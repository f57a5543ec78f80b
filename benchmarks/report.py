"""What the report costs at the paper's size: 500 images of 1024 x 2048 px, ten variants, three seeds, all test steps.

    python -m benchmarks.report [--detections 53039] [--folder FOLDER]

Makes up such results from a seed (four rendered scenes, linked under 500 names; detections as many as in the published
file), runs the stage's code on them as a process of its own, and prints processor time, time by the clock, peak memory and
the size of the page. FOLDER keeps what was made up for the next time.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from ruamel.yaml import YAML

import streetscenes
from alfnet.detection.postprocess import combinations
from alfnet.evaluation.run import evaluate_to_files
from alfnet.evaluation.summary import summarise_to_files
from alfnet.images import write_png
from alfnet.network.weight_files import write_weights
from alfnet.params import Params, check_params
from alfnet.profiles import merged_text
from benchmarks.miss_rate import DETECTIONS, HEIGHT, ROOT, WIDTH, make_files

SCENES, UPDATES_LOGGED = 4, 150
"""Pictures that are rendered; points of a loss curve (15,000 updates, logged every 100)."""
BINS = [3000, 1400, 600, 200, 100]

_REPORT = """
import json, resource, sys, time
from pathlib import Path
started = time.monotonic()
from alfnet.params import load_params
from alfnet.report.report import make_report
make_report(load_params(), root=Path())
both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
peak = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(json.dumps({
    "clock": time.monotonic() - started,
    "processor": sum(used.ru_utime + used.ru_stime for used in both),
    "peak": peak * 1024,
}))
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Make up the results, write the report, print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--detections", type=int, default=DETECTIONS, help="of a test step")
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        root = (given.folder or Path(temporary)).resolve()
        params = _params(root)
        if not (root / "made").is_file():
            _make(root, params, given.detections)
            (root / "made").touch()
        for name in ("report", "plots/tables"):
            shutil.rmtree(root / name, ignore_errors=True)
        done = subprocess.run(
            [sys.executable, "-c", _REPORT],
            cwd=root,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.PIPE,
        )
        done.check_returncode()
        cost = json.loads(done.stdout.splitlines()[-1])
        sizes = {
            name: sum(path.stat().st_size for path in (root / "report").glob(pattern))
            for name, pattern in (
                ("the page itself", "index.html"),
                ("thumbnails, as one scrolls", "thumbnails/*"),
                ("images, one at a time", "images/*"),
                ("outcomes, a variant and seed at a time", "outcomes/*"),
            )
        }
    print("| what | measured |\n|---|---:|")
    print(f"| processor time | {cost['processor']:.1f} s |\n| by the clock | {cost['clock']:.1f} s |")
    print(f"| peak memory | {cost['peak'] / 1e9:.2f} GB |")
    for name, size in sizes.items():
        print(f"| {name} | {size / 1e6:.1f} MB |")


def _params(root: Path) -> Params:
    raw = YAML(typ="safe").load(merged_text("citypersons", ROOT / "profiles"))
    raw["data"] |= {"folder": "data/made-up", "annotations": "data/made-up/annotations"}
    root.mkdir(parents=True, exist_ok=True)
    (root / "params.yaml").write_text(json.dumps(raw))
    return check_params(raw, "params.yaml")


def _make(root: Path, params: Params, detections: int) -> None:
    started = time.monotonic()
    cache = root / "cache"
    cache.mkdir(exist_ok=True)
    _, found = make_files(cache, 0, detections)
    truth = json.loads((cache / "ground_truth.json").read_text())
    for image in truth["images"]:
        image["file_name"] = f"frankfurt_{image['id']:06d}_000019_leftImg8bit.png"
    (cache / "ground_truth.json").write_text(json.dumps(truth))
    _link_images(root / params.data.gallery_folder, [image["file_name"] for image in truth["images"]])
    records = json.loads(found.read_text())
    for index, name in enumerate(params.variants):
        for seed in params.seeds:
            _make_run(root, params, name, seed, records, 100 * seed + index)
            print(f"made up {name}-{seed}, {time.monotonic() - started:.0f} s", file=sys.stderr)
        summarise_to_files(
            {seed: root / "evaluation" / name / str(seed) for seed in params.seeds},
            summary=root / "summaries" / name,
            metrics=root / "metrics" / f"{name}.json",
        )


def _link_images(folder: Path, names: Sequence[str]) -> None:
    settings = streetscenes.Settings(height=HEIGHT, width=WIDTH)
    if (folder / "frankfurt").is_dir():
        return
    for scene in range(SCENES):
        write_png(folder / f"scene{scene}.png", streetscenes.render(settings, scene)[0])
    (folder / "frankfurt").mkdir()
    for index, name in enumerate(names):
        os.link(folder / f"scene{index % SCENES}.png", folder / "frankfurt" / name)


def _make_run(root: Path, params: Params, name: str, seed: int, records: list[dict], number: int) -> None:
    """What training, detection and evaluation leave. Variants of as many steps, and their seeds, have the same miss rates."""
    steps = params.variants[name].steps
    model = root / "models" / name / str(seed) / "model.safetensors"
    if model.is_file():
        return
    rng = np.random.Generator(np.random.PCG64(number))
    folder = root / "detections" / name / str(seed)
    (folder / "fusion").mkdir(parents=True, exist_ok=True)
    boxes = np.array([record["bbox"] for record in records])
    scores = np.array([record["score"] for record in records])
    for step in range(1, steps + 1):
        moved = boxes + rng.normal(0, 0.06 / step, boxes.shape) * np.tile(boxes[:, 2:], 2)
        moved[:, 2:] = np.maximum(moved[:, 2:], 4)
        changed = np.clip(scores + rng.normal(0, 0.05, len(scores)), 0, 1)
        listed = [
            {**record, "bbox": box, "score": score}
            for record, box, score in zip(records, moved.round(4).tolist(), changed.round(4).tolist(), strict=True)
        ]
        (folder / f"step{step}.json").write_text(json.dumps(listed))
    for combination in combinations(steps):
        fused = folder / "fusion" / f"{combination}.json"
        fused.unlink(missing_ok=True)
        os.link(folder / f"step{steps}.json", fused)
    stages = ["default", *(f"step{step}" for step in range(1, steps + 1))]
    figures = {stage: {"total": sum(BINS), "bins": BINS} for stage in stages}
    (folder / "positives.json").write_text(json.dumps({"ground_truths": 1579, **figures}))
    results = root / "evaluation" / name / str(seed)
    alike = next(other for other, settings in params.variants.items() if settings.steps == steps)
    first = root / "evaluation" / alike / str(params.seeds[0])
    if results == first:
        truth = root / "cache" / "ground_truth.json"
        evaluate_to_files(truth, folder, iou=params.evaluate.iou, protocol=params.evaluate.protocol, results=results)
    else:
        shutil.copytree(first, results, dirs_exist_ok=True)
    parts = [f"step{step}_{part}" for step in range(1, steps + 1) for part in ("classification", "regression")]
    for series in ("loss", *parts):
        path = root / "plots/training" / name / str(seed) / "plots/metrics" / f"{series}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["step", series])
            writer.writerows((100 * (i + 1), 3 / (1 + i / 9) + rng.random() / 9) for i in range(UPDATES_LOGGED))
    extra = {"settings": {}, "extra": {"parameters": "48400000"}}
    write_weights(model, "detector", {"x": torch.zeros(1)}, extra)  # last: it stands for all


if __name__ == "__main__":
    main()
