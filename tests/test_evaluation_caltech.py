"""Caltech's protocol against the official evaluation's exact figures."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.evaluation.miss_rate import evaluate, iou_key, match, miss_rates_at_points, outside
from alfnet.evaluation.protocol import CALTECH_NEW, CALTECH_NEW_2016, CALTECH_ORIGINAL, Protocol
from alfnet.evaluation.subsets import EVERYTHING, PUBLISHED, Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.results_file import Detections

PROTOCOL = {"new-2016": CALTECH_NEW_2016, "new-2020": CALTECH_NEW, "original": CALTECH_ORIGINAL}


@pytest.fixture(scope="module")
def caltech(shared: Path) -> Path:
    folder = shared / "data" / "caltech"
    if not folder.is_dir():
        pytest.skip("the real Caltech data is not here")
    return folder


@pytest.fixture(scope="module")
def annotations(caltech: Path) -> dict[str, Any]:
    return {
        kind: json.loads((caltech / f"annotations_{kind}.json").read_text())["images"] for kind in ("new", "original")
    }


def truth_of(rows: list[tuple[int, list[float], float, bool]], images: int) -> GroundTruth:
    """Rows of image id, box, visible ratio, ignored; images of Caltech's size."""
    boxes = np.array([row[1] for row in rows], dtype=float).reshape(-1, 4)
    return GroundTruth(
        image_ids=np.arange(1, images + 1),
        file_names=("",) * images,
        image_sizes=np.tile([480.0, 640.0], (images, 1)),
        annotation_image_ids=np.array([row[0] for row in rows], dtype=np.int64),
        boxes=boxes,
        heights=boxes[:, 3],
        visible_ratios=np.array([row[2] for row in rows], dtype=float),
        ignored=np.array([row[3] for row in rows], dtype=bool),
    )


def new_truth(images: list[dict[str, Any]], setting: str) -> GroundTruth:
    """The new annotations with the flags of a published ground truth (their visible boxes are not to be had)."""
    rows = []
    for number, image in enumerate(images, start=1):
        for box, flag in zip(image["boxes"], image["ignore"].get(setting, ""), strict=True):
            if setting.startswith("new-2020"):
                box = [math.floor(value + 0.5) for value in box]
            rows.append((number, box, 1.0, flag == "1"))
    return truth_of(rows, len(images))


def original_truth(images: list[dict[str, Any]]) -> GroundTruth:
    rows = []
    for number, image in enumerate(images, start=1):
        for label, box, visible in zip(image["labels"], image["boxes"], image["visible"], strict=True):
            if label != "person-fa":
                ratio = visible[2] * visible[3] / (box[2] * box[3]) if any(visible) else math.inf
                rows.append((number, box, ratio, label != "person"))
    return truth_of(rows, len(images))


def detections_of(path: Path) -> Detections:
    records = json.loads(path.read_text())
    return Detections(
        np.array([record["image_id"] for record in records]),
        np.array([record["bbox"] for record in records], dtype=float),
        np.array([record["score"] for record in records], dtype=float),
    )


def setting_of(record: dict[str, Any], flagged: bool) -> Subset:
    """The subset of a record; with flags given, the height range alone, and the tolerance."""
    low, high = record["height"]
    margin = None if record["expand"] == 1.25 else record["expand"]
    name = f"{record['setting']} {record['expand']}"
    if flagged:
        return Subset(name, (low, math.inf if high is None else high), EVERYTHING, margin=margin)
    (subset,) = [subset for subset in PUBLISHED["caltech"] if subset.name == record["setting"].lower()]
    return replace(subset, name=name, margin=margin)


@pytest.mark.costly
def test_all_official_figures(caltech: Path, annotations: dict[str, Any]) -> None:
    expected = json.loads((caltech / "expected.json").read_text())
    assert len(expected["records"]) == 196
    assert expected["fppi"] == pytest.approx(CALTECH_NEW.fppi_points, abs=0, rel=1e-15)
    found = {
        name: detections_of(caltech / "detections" / f"{name}.json") for name in ("dense", "sparse", "exact", "few")
    }
    truths: dict[str, GroundTruth] = {"original": original_truth(annotations["original"])}
    groups: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for record in expected["records"]:
        kind = record["annotations"]
        key = kind if kind == "original" else f"{kind}/{record['setting']}"
        groups.setdefault((key, record["detections"], record["detection_width"]), []).append(record)
    for (key, name, width), records in groups.items():
        if key not in truths:
            truths[key] = new_truth(annotations["new"], key)
        protocol: Protocol = PROTOCOL[key.partition("/")[0]]
        protocol = replace(protocol, detection_aspect=0.41 if width == "0.41h" else None)
        if key != "original":
            protocol = replace(protocol, border=None)  # in the flags already
        subsets = {setting_of(record, flagged=key != "original") for record in records}
        thresholds = [record["iou"] for record in records]
        rates = evaluate(truths[key], found[name], thresholds, sorted(subsets, key=str), protocol)
        for record in records:
            subset = f"{record['setting']} {record['expand']}"
            assert rates.pedestrians[subset] == record["positives"]
            figure = rates.percent[iou_key(record["iou"])][subset]
            assert figure == pytest.approx(record["miss_rate"], abs=1e-5, rel=0), record
            curve = rates.curves[iou_key(record["iou"])][subset]
            assert curve is not None
            assert len(curve.fppi) - 1 == record["tp"] + record["fp"]
            assert miss_rates_at_points(curve, protocol) == pytest.approx(record["reference_miss_rates"], abs=1e-8)


def test_flags_of_the_original_annotations_follow_from_the_rules(annotations: dict[str, Any]) -> None:
    images = annotations["original"]
    truth = original_truth(images)
    for subset in PUBLISHED["caltech"][:-2]:
        name = next(key for key in images[0]["ignore"] if key.lower() == subset.name)
        flags = "".join(image["ignore"].get(name, "") for image in images).replace("-", "")
        assert outside(subset, truth, CALTECH_ORIGINAL).tolist() == [flag == "1" for flag in flags], name


def test_six_images_through_the_official_matcher(golden: Path) -> None:
    case = json.loads((golden / "caltech_mini_case.json").read_text())
    rows = [
        (image, box, 1.0, flag == 1)
        for image, truths in enumerate(case["ground_truth"], start=1)
        for *box, flag in truths
    ]
    truth = truth_of(rows, len(case["ground_truth"]))
    table = [(image, *row) for image, rows in enumerate(case["detections"], start=1) for row in rows]
    found = Detections(
        np.array([row[0] for row in table]), np.array([row[1:5] for row in table]), np.array([row[5] for row in table])
    )
    protocol = replace(CALTECH_NEW, truth_aspect=None, border=None)
    subset = Subset("all", EVERYTHING, EVERYTHING)
    rates = evaluate(truth, found, [case["iou"]], [subset], protocol)
    assert rates.percent["iou_0.50"]["all"] == pytest.approx(case["miss_rate"], abs=1e-6)
    curve = rates.curves["iou_0.50"]["all"]
    assert curve is not None
    assert miss_rates_at_points(curve, protocol) == pytest.approx(case["reference_miss_rates"])
    assert curve.fppi[1:] == pytest.approx([row[0] for row in case["curve"]])
    assert curve.miss_rate[1:] == pytest.approx([row[1] for row in case["curve"]])

    state = {1: "true_positive", 0: "false_positive", -1: "ignored"}
    matches = match(truth, found, case["iou"], subset, protocol)
    for image, results in enumerate(case["dt_result"], start=1):
        own = np.flatnonzero(found.image_ids == image)
        own = own[np.argsort(-found.scores[own], kind="stable")]
        assert matches.detections[own].tolist() == [state[row[5]] for row in results]
