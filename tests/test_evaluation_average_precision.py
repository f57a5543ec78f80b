from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from alfnet.evaluation.average_precision import average_precision
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections


def by_cocoeval(truth_file: Path, detections: list[dict], folder: Path) -> dict[str, float]:
    """COCOeval from end to end, unchanged, with ignored annotations as crowds."""
    content = json.loads(truth_file.read_text())
    for annotation in content["annotations"]:
        annotation["iscrowd"] = annotation["ignore"]
        annotation["area"] = annotation["bbox"][2] * annotation["bbox"][3]
    (folder / "gt.json").write_text(json.dumps(content))
    truth = COCO(str(folder / "gt.json"))
    run = COCOeval(truth, truth.loadRes(detections), "bbox")
    run.evaluate()
    run.accumulate()
    run.summarize()
    return dict(zip(("AP", "AP50", "AP75"), (100 * run.stats[:3]).tolist(), strict=True))


@pytest.mark.parametrize("name", ["miss_rate_150", "miss_rate_24"])
@pytest.mark.parametrize("decimals", [3, 1])
def test_equals_cocoeval(golden: Path, tmp_path: Path, name: str, decimals: int) -> None:
    detections = json.loads((golden / f"{name}_dt.json").read_text())
    for detection in detections:
        detection["score"] = round(detection["score"], decimals)  # one decimal: many ties
    truth_file = golden / f"{name}_gt.json"
    (tmp_path / "dt.json").write_text(json.dumps(detections))
    truth = read_ground_truth(truth_file)
    found = average_precision(truth, read_detections(tmp_path / "dt.json", truth))
    assert found == pytest.approx(by_cocoeval(truth_file, detections, tmp_path), abs=1e-9)


def test_equals_cocoeval_with_more_than_100_detections_an_image(golden: Path, tmp_path: Path) -> None:
    truth_file = golden / "miss_rate_24_gt.json"
    rng = np.random.default_rng(0)
    detections = []
    for annotation in json.loads(truth_file.read_text())["annotations"]:
        for _ in range(60):
            box = np.array(annotation["bbox"]) + rng.normal(0, 3, 4)
            score = float(rng.integers(1, 100)) / 100
            record = {"category_id": 1, "bbox": np.maximum(box, 1).round(2).tolist(), "score": score}
            detections.append({"image_id": annotation["image_id"]} | record)
    (tmp_path / "dt.json").write_text(json.dumps(detections))
    truth = read_ground_truth(truth_file)
    found = average_precision(truth, read_detections(tmp_path / "dt.json", truth))
    assert found == pytest.approx(by_cocoeval(truth_file, detections, tmp_path), abs=1e-9)


@pytest.mark.costly
def test_equals_cocoeval_on_published_detections(shared: Path, tmp_path: Path) -> None:
    truth_file = shared / "data" / "citypersons" / "val_gt.json"
    path = shared / "data" / "detections" / "alfnet_resnet50_2s.json"
    truth = read_ground_truth(truth_file)
    found = average_precision(truth, read_detections(path, truth))
    assert found == pytest.approx(by_cocoeval(truth_file, json.loads(path.read_text()), tmp_path), abs=1e-9)


def test_prints_nothing(golden: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    average_precision(truth, read_detections(golden / "miss_rate_24_dt.json", truth))
    assert capsys.readouterr() == ("", "")


def test_no_detections_and_no_pedestrians(golden: Path) -> None:
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    nothing = Detections(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))
    assert average_precision(truth, nothing) == {"AP": 0, "AP50": 0, "AP75": 0}
    everything_ignored = GroundTruth(**{**vars(truth), "ignored": np.ones_like(truth.ignored)})
    found = read_detections(golden / "miss_rate_24_dt.json", truth)
    assert average_precision(everything_ignored, found) == {"AP": None, "AP50": None, "AP75": None}
