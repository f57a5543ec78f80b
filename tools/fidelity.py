"""Writes docs/fidelity.md: each numerical part, what it was compared with, and the largest difference (`make fidelity`).

Needs the real data of ../shared (or $ALFNET_SHARED); the files in tests/golden are enough for the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from alfnet.runtime import configure

configure("portable")

import numpy as np  # noqa: E402
import torch  # noqa: E402

from alfnet.annotations.cache import load_cache  # noqa: E402
from alfnet.annotations.citypersons import annotated, read_mat  # noqa: E402
from alfnet.annotations.ground_truth import write_ground_truth  # noqa: E402
from alfnet.annotations.images import Split  # noqa: E402
from alfnet.annotations.training_cache import TrainingRule, write_training_cache  # noqa: E402
from alfnet.boxes.anchors import anchors  # noqa: E402
from alfnet.boxes.coding import step_boxes  # noqa: E402
from alfnet.boxes.targets import assign  # noqa: E402
from alfnet.detection.postprocess import select, step_scores  # noqa: E402
from alfnet.evaluation.evaluate import evaluate_files  # noqa: E402
from alfnet.network.alfnet import ALFNet, count_parameters, make_backbone_module, normalise  # noqa: E402
from alfnet.network.settings import NetworkSettings  # noqa: E402
from alfnet.params import load_params  # noqa: E402
from alfnet.pretrained.keras import import_detector, load_backbone  # noqa: E402
from alfnet.training.losses import step_loss  # noqa: E402

SPLITS: tuple[Split, ...] = ("train", "val")
ROOT = Path(__file__).resolve().parent.parent
GOLDEN = ROOT / "tests" / "golden"
SHARED = Path(os.environ.get("ALFNET_SHARED", ROOT.parent / "shared"))
ANCHORS = load_params(ROOT / "profiles" / "citypersons.yaml").head.anchors
TARGETS = {  # golden name -> step, lower, upper, order
    "t1": (1, 0.3, 0.5, "positives_first"),
    "t2pf": (2, 0.5, 0.7, "positives_first"),
    "t2": (2, 0.5, 0.7, "valid_first"),
    "t3": (3, 0.5, 0.75, "valid_first"),
}


class Row(NamedTuple):
    """A part, what it was compared with, and the difference."""

    part: str
    compared_with: str
    difference: str
    data: str = "here"
    """Where the data is to be had: a key of DATA."""


DATA = {
    "here": (
        "in this repository (tests/golden), or made by the comparison itself. The tests compare the same, for anybody."
    ),
    "owner": (
        "its owners publish it under terms of their own, so there is no copy here. The annotations (`anno_train.mat`, "
        "`anno_val.mat`) and the evaluation's ground truth: [CityPersons](https://github.com/cvgroup-njust/CityPersons). "
        "The images, which no row needs: [Cityscapes](https://www.cityscapes-dataset.com), after registration. The "
        "training caches and the released models: [ALFNet](https://github.com/liuwei16/ALFNet); the caches are compared "
        "as JSON files of their content."
    ),
    "not public": (
        "it cannot be had publicly, so an outsider cannot repeat the row. The stored TensorFlow outputs and the detector of "
        "random heads were made for this project; the ImageNet weights under them are public "
        "([Keras Applications](https://github.com/fchollet/deep-learning-models/releases)). The published detections were "
        'handed to this project without an address; a released model makes others (README, "Use released weights").'
    ),
}


def rows() -> Iterator[Row]:
    """All comparisons, in the order of the data's flow."""
    yield from annotation_rows()
    scenes = dict(np.load(GOLDEN / "alf_targets.npz"))
    yield from boxes(scenes)
    yield from network()
    yield augmentation()
    yield losses()
    yield from training()
    yield from detections(scenes)
    yield from miss_rates()


def annotation_rows() -> Iterator[Row]:
    folder = SHARED / "data" / "citypersons"
    with tempfile.TemporaryDirectory() as scratch:
        for split in SPLITS:
            out = Path(scratch) / f"{split}.json"
            images = annotated(read_mat(folder / f"anno_{split}.mat", split), split, height=1024, width=2048)
            write_training_cache(images, split, out, TrainingRule(50), split)
            published = json.loads((folder / f"published_cache_{split}.json").read_text())
            cached = load_cache(out, split)
            different = abs(len(cached) - len(published)) + sum(
                image.file_name != expected["file"]
                or image.pedestrians.tolist() != [list(map(float, box)) for box in expected["boxes"]]
                or image.ignore_regions.tolist() != [list(map(float, box)) for box in expected["ignore"]]
                for image, expected in zip(cached, published, strict=False)
            )
            counts = sum(len(i.pedestrians) for i in cached), sum(len(i.ignore_regions) for i in cached)
            yield Row(
                f"annotation cache, {split}: {len(cached)} images, {counts[0]:,} pedestrians, {counts[1]:,} ignore regions",
                f"the published cache (`published_cache_{split}.json`)",
                f"{different} images differ",
                "owner",
            )
        out = Path(scratch) / "ground_truth.json"
        images = annotated(read_mat(folder / "anno_val.mat", "val"), "val", height=1024, width=2048)
        write_ground_truth(images, out, "val", citypersons=True)
        found, expected = json.loads(out.read_text()), json.loads((folder / "val_gt.json").read_text())
        different = sum(a != b for a, b in zip(found["annotations"], expected["annotations"], strict=True))
        same = found["images"] == expected["images"] and found["categories"] == expected["categories"]
        yield Row(
            f"evaluation ground truth: {len(found['annotations']):,} annotations, {len(found['images'])} images",
            "`val_gt.json`, every field",
            f"{different} annotations differ; images and categories {'equal' if same else 'DIFFER'}",
            "owner",
        )


def boxes(scenes: dict[str, np.ndarray]) -> Iterator[Row]:
    found = anchors(640, 1280, ANCHORS)
    difference = np.abs(found.numpy() - scenes["anchors_640_1280"]).max()
    yield Row("34,000 anchors at 640 x 1280", "golden coordinates", f"{difference:g} px")
    large = anchors(1024, 2048, ANCHORS).double()
    total, count = scenes["anchors_1024_2048_checksum"]
    yield Row(
        "anchors at 1024 x 2048",
        "golden sum and count",
        f"{abs(float(large.sum()) - total):g}, {abs(len(large) - int(count))}",
    )
    truth = [torch.from_numpy(scenes[f"s{n}_gt"]) for n in range(4)]
    ignore = [torch.from_numpy(scenes[f"s{n}_ig"]) for n in range(4)]
    for name, (step, lower, upper, order) in TARGETS.items():
        starts = torch.from_numpy(scenes["anchors_640_1280"])
        for earlier in range(1, step):
            offsets = torch.from_numpy(np.stack([scenes[f"s{n}_r{earlier}"] for n in range(4)]))
            starts = step_boxes(starts, offsets, 640, 1280)
        targets = assign(starts, truth, ignore, lower=lower, upper=upper, order=order)  # type: ignore[arg-type]
        different, largest = 0, 0.0
        for n in range(4):
            positives = scenes[f"s{n}_{name}_pos"]
            expected = np.zeros(targets.positive.shape[1], bool)
            expected[positives] = True
            negatives = np.unpackbits(scenes[f"s{n}_{name}_neg"])[: len(expected)].astype(bool)
            different += int((targets.positive[n].numpy() != expected).sum())
            different += int((targets.negative[n].numpy() != negatives).sum())
            if len(positives):
                regression = np.abs(targets.offsets[n, positives].numpy() - scenes[f"s{n}_{name}_reg"])
                largest = float(np.maximum(largest, regression.max()))  # NaN stays, which `max` may pass over
        yield Row(
            f"targets of step {step}, {lower}/{upper}, {order.replace('_', ' ')}, 4 scenes",
            f"golden sets and offsets (`{name}`)",
            f"{different} boxes differ; offsets {largest:.1e}",
        )


def network() -> Iterator[Row]:
    published = {
        ("resnet50", 1): 39_525_032,
        ("resnet50", 2): 48_383_696,
        ("mobilenet", 1): 12_088_296,
        ("mobilenet", 2): 17_408_016,
    }
    for (backbone, steps), expected in published.items():
        settings = NetworkSettings(
            backbone=backbone,
            steps=steps,
            backbone_width=1.0,
            head_width=1.0,
            batch_norm="fixed",
            batch_norm_momentum=0.01,
            freeze=True,
            anchors=ANCHORS,
        )
        with torch.device("meta"):
            number = count_parameters(ALFNet(settings))
        yield Row(
            f"parameters of {backbone}, {steps} step{'s' * (steps > 1)}: {number:,}",
            "published",
            f"{number - expected}",
        )
    folder = SHARED / "data" / "weights"
    state, width = load_backbone(folder / "mobilenet_2_5_224_tf_no_top.h5", "mobilenet")
    backbone_module = make_backbone_module("mobilenet", width=width, momentum=0.01, fixed=True)
    backbone_module.load_state_dict(state)
    stored = np.load(folder / "mobilenet_2_5_features.npz")
    with torch.no_grad():
        features = backbone_module.eval()(torch.from_numpy(stored["image_rgb"]).permute(2, 0, 1)[None] / 127.5 - 1)
    for feature, name in zip(features, ("stride8", "stride16", "stride32"), strict=True):
        difference = np.abs(feature[0].permute(1, 2, 0).numpy() - stored[name]).max()
        yield Row(
            f"MobileNet 0.25, ImageNet weights, features of {name}",
            "stored TensorFlow features",
            f"{difference:.1e}",
            "not public",
        )
    model = import_detector(folder / "alfnet_mobilenet025_2step.hdf5", "mobilenet", 2)
    stored = np.load(folder / "alfnet_mobilenet025_2step_outputs.npz")
    with torch.no_grad():
        outputs = model(normalise(torch.from_numpy(stored["image_bgr"])[None]))
    for step, (logits, offsets) in enumerate(outputs, start=1):
        scores = np.abs(logits[0].sigmoid().numpy() - stored[f"cls_{step}"][:, 0]).max()
        moved = np.abs(offsets[0].numpy() - stored[f"regr_{step}"]).max()
        yield Row(
            f"ALFNet 2-step, released layout, outputs of step {step}",
            "stored TensorFlow outputs",
            f"scores {scores:.1e}, offsets {moved:.1e}",
            "not public",
        )


def augmentation() -> Row:
    """One painted pedestrian on black: the paint's bounding box after the augmentation against the box that is returned."""
    from alfnet.training.augment import augment
    from tests.test_training_augment import NONE, SETTINGS, boxes_apart, rng

    largest, compared = 0.0, 0
    for seed in range(40):
        box = boxes_apart(seed, 512, 1024, 4)[1:2]
        x1, y1, x2, y2 = box[0].astype(int)
        image = np.zeros((512, 1024, 3), np.uint8)
        image[y1:y2, x1:x2] = 200
        sample = augment(image, box, NONE, SETTINGS, rng(seed))
        if not len(sample.pedestrians):
            continue
        paint = sample.image[..., 0] > sample.image.max() / 2
        rows, columns = np.flatnonzero(paint.any(1)), np.flatnonzero(paint.any(0))
        found = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        largest, compared = max(largest, float(np.abs(found - sample.pedestrians[0]).max())), compared + 1
    return Row(
        f"augmentation, boxes of {compared} samples", "the painted pixels in the augmented image", f"{largest:.2f} px"
    )


def losses() -> Row:
    from tests.test_training_losses import random_case, slow_loss

    largest = 0.0
    for seed in range(8):
        logits, offsets, targets = random_case(seed, dtype=torch.float32)
        found = step_loss(logits, offsets, targets)
        for value, expected in zip(found[:2], slow_loss(logits, offsets, targets), strict=True):
            largest = max(largest, abs(value.item() - expected) / expected)
    return Row(
        "focal and smooth L1 loss, single precision, 8 cases", "a loop in double precision", f"{largest:.1e} (relative)"
    )


def training() -> Iterator[Row]:
    from tests import test_training_train as cases

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pictures = (cases.noisy_pictures(folder), folder)
        for precision, words in (("64-true", "double"), ("32-true", "single")):
            (_, whole), (_, parts) = cases.accumulated(pictures, [1, 2], precision)
            one, other = cases.whole_gradient(whole), cases.whole_gradient(parts)
            yield Row(
                f"gradients accumulated over 4 x 1 images, {words} precision, fixed batch norm",
                "one batch of 4",
                f"{(one - other).abs().max():.1e}; {(one - other).norm() / one.norm():.1e} of the gradient's length",
            )
        for changes in ({}, {"steps": "alternating"}, {"weight_average": 0.9}):
            run_settings = cases.settings(**changes)
            whole = cases.run(pictures, folder / f"whole{changes}", run_settings)
            with contextlib.suppress(KeyboardInterrupt):
                cases.run(pictures, folder / f"broken{changes}", run_settings, stop_after=5)
            resumed = cases.run(pictures, folder / f"broken{changes}", run_settings)
            different = sum(not torch.equal(tensor, resumed[0][name]) for name, tensor in whole[0].items())
            words = ", ".join(f"{key} {value}" for key, value in changes.items()) or "joint"
            yield Row(
                f"training interrupted after update 5 of 6 and resumed ({words})",
                "the same without interruption",
                f"{different} tensors differ; log {'equal' if whole[1] == resumed[1] else 'DIFFERS'}",
            )
        model, picture = cases.network().eval(), torch.from_numpy(np.zeros((1, 64, 128, 3), np.uint8))
        model.save(folder / "model.safetensors")
        with torch.no_grad():
            pairs = zip(
                model(normalise(picture)), ALFNet.load(folder / "model.safetensors")(normalise(picture)), strict=True
            )
            largest = max(float((a - b).abs().max()) for one, other in pairs for a, b in zip(one, other, strict=True))
        yield Row("a detector saved and loaded, its outputs", "before saving", f"{largest:g}")


def detections(scenes: dict[str, np.ndarray]) -> Iterator[Row]:
    found = torch.from_numpy(scenes["anchors_640_1280"])
    scores = step_scores([torch.from_numpy(scenes[f"cls{step}"][:, 0]) for step in range(3)], "product")
    for step, threshold in enumerate((0.1, 0.02, 0.004)):
        found = step_boxes(found, torch.from_numpy(scenes[f"reg{step}"]), 640, 1280)
        chosen = select(
            found, scores[step], score_threshold=threshold, nms_iou=0.5, minimum_side=16, before_nms=6000, after_nms=100
        )
        expected = scenes[f"d{step + 1}"]
        if len(chosen.boxes) != len(expected):
            difference = f"{len(chosen.boxes)} boxes, {len(expected)} expected"
        else:
            moved = np.abs(chosen.boxes.numpy() - expected[:, :4]).max()
            scored = np.abs(chosen.scores.numpy() - expected[:, 4]).max()
            difference = f"boxes {moved:.1e} px, scores {scored:g}"
        yield Row(f"final detections of test step {step + 1}", f"golden detections (`d{step + 1}`)", difference)


def miss_rates() -> Iterator[Row]:
    cases = [
        (GOLDEN / f"{name}_gt.json", GOLDEN / f"{name}_dt.json", expected) for name, expected in golden_rates().items()
    ]
    folder = SHARED / "data"
    published = json.loads((folder / "detections" / "expected.json").read_text())
    cases += [
        (folder / "citypersons" / "val_gt.json", folder / "detections" / name, expected)
        for name, expected in published.items()
    ]
    for truth, file, expected in cases:
        found = evaluate_files(truth, file, iou=[0.5, 0.75]).results
        pairs = [(found[iou][subset], value) for iou, row in expected.items() for subset, value in row.items()]
        largest = max(abs(value - wanted) for value, wanted in pairs)
        data = "here" if file.parent == GOLDEN else "not public"
        yield Row(
            f"miss rates of `{file.name}`, {len(pairs)} figures", "expected figures (percent)", f"{largest:.1e}", data
        )
    found = evaluate_files(*cases[2][:2], iou=[0.5, 0.75]).results
    measured = ", ".join(f"{found[iou]['reasonable']:.3f}" for iou in ("iou_0.50", "iou_0.75"))
    yield Row(
        "ALFNet ResNet-50 2-step, released detections, IoU 0.5 and 0.75",
        "the paper: 12.01, 36.49",
        measured,
        "not public",
    )


def golden_rates() -> dict:
    return json.loads((GOLDEN / "miss_rate_expected.json").read_text())


def main() -> int:
    """Write the document."""
    if not (SHARED / "data").is_dir():
        print(f"error: the real data is not at {SHARED}; set ALFNET_SHARED", file=sys.stderr)
        return 2
    lines = [
        "# Fidelity to the published method",
        "",
        "Written by `make fidelity`. Differences are the largest absolute ones unless said otherwise.",
        "",
        "The rules compared: [method.md](method.md). The golden files: [tests/golden](../tests/golden/README.md).",
        "",
        "| part | compared with | largest difference | data |",
        "| --- | --- | --- | --- |",
        *(f"| {row.part} | {row.compared_with} | {row.difference} | {row.data} |" for row in rows()),
        "",
        "Where the data of a row is:",
        "",
        *(f"- **{name}**: {words}" for name, words in DATA.items()),
        "",
        "Where the method leaves something open, the docstrings say what was chosen and why: `alfnet/boxes/targets.py` (a ground",
        "truth that no box touches), `alfnet/training/losses.py` (a box that is positive and negative at once),",
        "`alfnet/detection/postprocess.py` (the sum of scores as their mean).",
    ]
    (ROOT / "docs" / "fidelity.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
