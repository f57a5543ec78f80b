"""Trains, detects and evaluates the variants of params.yaml with other seeds: how far do miss rates follow from the method?

    python -m benchmarks.seeds 2 3            # all variants, one after the other
    python -m benchmarks.seeds --summary      # the tables of all seeds that are there

Data set and annotation caches are those of the pipeline (`dvc repro cache_annotations ground_truth`); results go to
.seeds/SEED/metrics/VARIANT.json, and what is there is not computed again: delete .seeds after a change of code or parameters.
`runtime: native` with one thread per process, so that seeds can run side by side: other roundings than the pipeline's, the
same otherwise. The seed of params.yaml is the pipeline's own.
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path

from alfnet.errors import exit_with_message
from alfnet.params import Params, load_params

FOLDER = Path(".seeds")
Rates = dict[str, dict[int, float]]
"""Per variant and test step the miss rate in percent at one IoU, Reasonable."""


def run(params: Params, variant: str) -> None:
    """Train, detect and evaluate one variant."""
    from alfnet.detection.run import detect_split
    from alfnet.evaluation.run import evaluate_to_files
    from alfnet.pretrained.backbone_weights import make_backbone
    from alfnet.training.run import train_variant

    folder = FOLDER / str(params.seed)
    metrics = folder / "metrics" / f"{variant}.json"
    if metrics.exists():
        return
    backbone = params.variants[variant].backbone
    first = folder / "models" / f"first-{variant}.safetensors"
    make_backbone(params.backbones[backbone], backbone, params.seed, first)
    model = folder / "models" / f"{variant}.safetensors"
    train_variant(
        params,
        variant,
        first=first,
        cache=Path("cache/train.json"),
        out=model,
        scratch=folder / "scratch",
        make_logger=lambda: lambda update, losses: None,
    )
    detect_split(
        model,
        Path("cache/val.json"),
        Path(params.data.folder) / "leftImg8bit",
        params.detect,
        out=folder / "detections" / variant,
        timings=folder / "timings" / f"{variant}.json",
        title=f"detect {variant}",
    )
    evaluate_to_files(
        Path("cache/ground_truth.json"),
        folder / "detections" / variant,
        iou=params.evaluate.iou,
        results=folder / "evaluation" / variant,
        metrics=metrics,
        curve=folder / "curves" / f"{variant}.csv",
    )


def rates(folder: Path, iou: str) -> Rates:
    """Read the miss rates below `folder`/metrics."""
    found: Rates = {}
    for path in sorted((folder / "metrics").glob("*.json")):
        steps = json.loads(path.read_text())["miss_rate_percent_by_test_step"]
        found[path.stem] = {int(step.removeprefix("step_")): values[iou] for step, values in steps.items()}
    return found


def summarise(params: Params) -> None:
    """Print the miss rates of every seed, and how many seeds show that later steps help at IoU 0.75."""
    folders = {params.seed: Path()} | {int(path.name): path for path in sorted(FOLDER.glob("*")) if path.name.isdigit()}
    seeds = {seed: rates(folder, "iou_0.75") for seed, folder in folders.items()}
    halves = {seed: rates(folder, "iou_0.50") for seed, folder in folders.items()}
    print("Miss rate in percent at IoU 0.5 / 0.75, Reasonable, by seed")
    print("| variant | test step |", " | ".join(f"seed {seed}" for seed in seeds), "|")
    print("| --- | --- |", " | ".join("---:" for _ in seeds), "|")
    for name, variant in params.variants.items():
        for step in range(1, variant.steps + 1):
            cells = [
                f"{halves[seed][name][step]:.1f} / {found[name][step]:.1f}" if name in found else "–"
                for seed, found in seeds.items()
            ]
            print(f"| {name} | {step} of {variant.steps} |", " | ".join(cells), "|")
    for name, variant in params.variants.items():
        complete = [found for found in seeds.values() if name in found]
        if variant.steps > 1:
            better = sum(found[name][variant.steps] < found[name][1] for found in complete)
            print(f"{name}: last step better than the first at IoU 0.75 with {better} of {len(complete)} seeds")
        single = f"{variant.backbone}-1s"
        if variant.steps > 1 and single in params.variants:
            both = [found for found in complete if single in found]
            better = sum(found[name][variant.steps] < found[single][1] for found in both)
            print(f"{name}: better than {single} at IoU 0.75 with {better} of {len(both)} seeds")


@exit_with_message
def main() -> None:
    """Run the seeds given, then print the summary."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("seeds", nargs="*", type=int)
    parser.add_argument("--variants", nargs="*", help="default: all")
    parser.add_argument("--summary", action="store_true", help="print the tables only")
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    params = load_params()
    if not arguments.summary:
        for seed in arguments.seeds:
            changed = params.model_copy(update={"seed": seed, "runtime": "native"})
            for variant in arguments.variants or params.variants:
                run(changed, variant)
    summarise(params)


if __name__ == "__main__":
    main()
