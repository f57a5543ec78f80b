"""A made-up finished pipeline in the files' real formats, small enough for tests of the report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from ruamel.yaml import YAML

from alfnet.detection.postprocess import combinations
from alfnet.evaluation.run import evaluate_to_files
from alfnet.evaluation.summary import summarise_to_files
from alfnet.network.weight_files import write_weights
from alfnet.params import Params, check_params
from alfnet.profiles import merged_text

ROOT = Path(__file__).resolve().parent.parent
HEIGHT, WIDTH = 256, 512
LOSSES = ("classification", "regression")


def raw_params(profile: str, **changes: Any) -> dict[str, Any]:
    """A profile with dotted keys replaced: raw_params("mini", **{"data.name": "citypersons"})."""
    raw = YAML(typ="safe").load(merged_text(profile, ROOT / "profiles"))
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = raw
        for parent in parents:
            section = section[parent]
        section[last] = value
    return raw


PUBLISHED_THRESHOLDS = {
    "1": [{"lower": 0.3, "upper": 0.5}],
    "2": [{"lower": 0.3, "upper": 0.5}, {"lower": 0.5, "upper": 0.7}],
    "3": [{"lower": 0.3, "upper": 0.5}, {"lower": 0.4, "upper": 0.65}, {"lower": 0.5, "upper": 0.75}],
}


def mini_params(**changes: Any) -> Params:
    """The mini profile on small images, with the published thresholds, so that the paper's rows stand beside its own."""
    settings = {"data.height": HEIGHT, "data.width": WIDTH, "train.targets.thresholds": PUBLISHED_THRESHOLDS} | changes
    rendered = {f"synthetic.synthetic.{side}": settings[f"data.{side}"] for side in ("height", "width")}
    return check_params(raw_params("mini", **(settings | rendered)), "test")


def published_params(**changes: Any) -> Params:
    """The paper's settings on CityPersons."""
    return check_params(raw_params("citypersons", **changes), "test")


def pairs(*thresholds: tuple[float, float]) -> list[dict[str, float]]:
    """Training thresholds as params.yaml has them."""
    return [{"lower": lower, "upper": upper} for lower, upper in thresholds]


def make_project(root: Path, params: Params, *, images: int = 9, parameters: int = 3_130_000, seed: int = 0) -> None:
    """Write everything that the report reads, for every variant; later steps and more steps are a little better."""
    rng = np.random.Generator(np.random.PCG64(seed))
    height, width = params.data.height, params.data.width
    assert height is not None
    assert width is not None
    truths = _ground_truth(rng, images, height, width)
    _write_json(root / "cache" / "ground_truth.json", truths)
    _draw_images(root / params.data.folder / "leftImg8bit" / "val", truths, rng)
    for index, name in enumerate(params.variants):
        for seed in params.seeds:
            _make_run(root, params, index, name, seed, truths, parameters)
        summarise_to_files(
            {seed: root / "evaluation" / name / str(seed) for seed in params.seeds},
            summary=root / "summaries" / name,
            metrics=root / "metrics" / f"{name}.json",
        )


def _make_run(
    root: Path, params: Params, index: int, name: str, seed: int, truths: dict[str, Any], parameters: int
) -> None:
    """What training, detection and evaluation of one variant and seed leave behind."""
    variant = params.variants[name]
    skill = 0.55 + 0.05 * variant.steps - 0.04 * (variant.backbone == "mobilenet")
    number = 100 * seed + index
    folder = root / "detections" / name / str(seed)
    for step in range(1, variant.steps + 1):
        _write_json(folder / f"step{step}.json", _detections(number, truths, skill + 0.05 * step, 0.09 / step))
    for place, combination in enumerate(combinations(variant.steps)):
        _write_json(folder / "fusion" / f"{combination}.json", _detections(number, truths, skill + 0.02 * place, 0.05))
    _write_json(folder / "positives.json", _positives(truths, variant.steps, seed))
    evaluate_to_files(
        root / "cache" / "ground_truth.json",
        folder,
        iou=params.evaluate.iou,
        subsets=params.evaluate.subsets,
        results=root / "evaluation" / name / str(seed),
    )
    description = {"settings": {}, "extra": {"parameters": str(parameters)}}
    path = root / "models" / name / str(seed) / "model.safetensors"
    write_weights(path, "detector", {"x": torch.zeros(1)}, description)
    rng = np.random.Generator(np.random.PCG64(number))
    parts = ("loss", *(f"step{step}_{part}" for step in range(1, variant.steps + 1) for part in LOSSES))
    for place, series in enumerate(parts):
        path = root / "plots" / "training" / name / str(seed) / "plots" / "metrics" / f"{series}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        noise = rng.normal(size=45)
        lines = [f"{10 * i}\t{(3 - place * 0.4) / (1 + i / 5) * (1 + 0.1 * noise[i]) + 0.2:.5f}" for i in range(45)]
        path.write_text("step\t" + series + "\n" + "\n".join(lines) + "\n")


def _ground_truth(rng: np.random.Generator, images: int, height: int, width: int) -> dict[str, Any]:
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for image_id in range(1, images + 1):
        name = f"frankfurt_{image_id:06d}_000019_leftImg8bit.png"
        listed.append({"id": image_id, "im_name": name, "height": height, "width": width})
        for place in range(0 if image_id == images else 3 + image_id % 4):
            h = int(rng.integers(52, height // 2)) if place else 30
            w = round(0.41 * h)
            x, y = int(rng.integers(0, width - w)), int(rng.integers(height // 8, height - h))
            visible = float([1, 0.95, 0.8, 0.7, 0.5, 0.3][int(rng.integers(6))])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image_id,
                    "category_id": 1,
                    "iscrowd": 0,
                    "ignore": int(place == 1),
                    "bbox": [x, y, w, h],
                    "vis_bbox": [x, y, round(w * visible), h],
                    "height": h,
                    "vis_ratio": visible,
                }
            )
    return {"categories": [{"id": 1, "name": "pedestrian"}], "images": listed, "annotations": annotations}


def _draw_images(folder: Path, truths: dict[str, Any], rng: np.random.Generator) -> None:
    for image in truths["images"]:
        height, width = image["height"], image["width"]
        shade = np.linspace(150, 70, height)[:, None, None] + rng.integers(0, 12, size=(height, width, 3))
        picture = np.ascontiguousarray(shade.astype(np.uint8))
        for annotation in truths["annotations"]:
            if annotation["image_id"] == image["id"]:
                x, y, w, h = annotation["bbox"]
                colour = [int(value) for value in rng.integers(0, 255, size=3)]
                cv2.rectangle(picture, (x + w // 5, y + h // 6), (x + w - w // 5, y + h), colour, -1)
                cv2.circle(picture, (x + w // 2, y + h // 12), max(2, h // 12), (160, 180, 220), -1)
        path = folder / "frankfurt" / image["im_name"]
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), picture)


def _detections(seed: int, truths: dict[str, Any], skill: float, shift: float) -> list[dict[str, Any]]:
    rng = np.random.Generator(np.random.PCG64([seed, round(skill * 1000)]))
    found = []
    for annotation in truths["annotations"]:
        x, y, w, h = annotation["bbox"]
        if rng.random() < skill:
            dx, dy, dw, dh = rng.normal(scale=shift, size=4)
            box = [x + dx * w, y + dy * h, w * (1 + dw), h * (1 + dh)]
            found.append(_detection(annotation["image_id"], box, 0.25 + 0.75 * rng.random()))
    for image in truths["images"]:
        for _ in range(int(rng.integers(0, 4))):
            h = float(rng.integers(50, image["height"] // 2))
            box = [rng.random() * (image["width"] - h), rng.random() * (image["height"] - h), 0.41 * h, h]
            found.append(_detection(image["id"], box, 0.1 + 0.6 * rng.random() ** 2))
    return sorted(found, key=lambda detection: (detection["image_id"], -detection["score"]))


def _detection(image_id: int, box: list[float], score: float) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": 1,
        "bbox": [round(float(value), 4) for value in box],
        "score": round(float(score), 4),
    }


def _positives(truths: dict[str, Any], steps: int, seed: int) -> dict[str, Any]:
    bins = np.array([30, 14, 6, 2, 1]) + seed
    stages = {"default": bins}
    for step in range(1, steps + 1):
        stages[f"step{step}"] = bins * (1 + 2 * step) + np.arange(5) * 9 * step
    figures = {name: {"total": int(counts.sum()), "bins": counts.tolist()} for name, counts in stages.items()}
    return {"ground_truths": sum(not truth["ignore"] for truth in truths["annotations"]), **figures}


def _write_json(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
