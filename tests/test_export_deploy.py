"""The stage `deploy`: both files are evaluated and timed, and what int8 changes is told per subset."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.annotations.cache import CachedImage
from alfnet.detection.detector import published_settings
from alfnet.errors import AlfnetError
from alfnet.export.deploy import deploy_variant, headline, report, sentence
from alfnet.export.run import spread
from alfnet.params import DeploySettings, EvaluateSettings
from alfnet.report.results import read_deployed
from alfnet.report.tables import deploy_table
from tests.report_data import mini_params
from tests.test_report_tables import means
from tests.test_training_train import network, noisy_pictures

DETECT = published_settings().model_copy(update={"score_threshold": 0.0})
EVALUATE = EvaluateSettings(protocol="citypersons", subsets=["citypersons"], iou=[0.5, 0.75], tested="last")
RATES: dict[str, Any] = {
    "float32": {"iou_0.50": {"reasonable": 8.0, "heavy": None}, "iou_0.75": {"reasonable": 20.0, "heavy": 50.0}},
    "int8": {"iou_0.50": {"reasonable": 8.25, "heavy": None}, "iou_0.75": {"reasonable": 19.5, "heavy": 51.0}},
}


def cache(path: Path, split: str, images: list[CachedImage]) -> Path:
    annotations = [
        {"image_id": image.id, "ignore": int(ignore), "bbox": box, "vis_bbox": box}
        for image in images
        for ignore, boxes in ((False, image.pedestrians), (True, image.ignore_regions))
        for box in [[x1, y1, x2 - x1, y2 - y1] for x1, y1, x2, y2 in boxes.tolist()]
    ]
    listed = [
        {"id": image.id, "file_name": image.file_name, "height": image.height, "width": image.width} for image in images
    ]
    path.write_text(json.dumps({"info": {"split": split}, "images": listed, "annotations": annotations}))
    return path


def ground_truth(path: Path, images: list[CachedImage]) -> Path:
    annotations = [
        {
            "id": 1 + index, "image_id": image.id, "category_id": 1, "iscrowd": 0, "ignore": 0, "vis_ratio": 1.0,
            "bbox": [x1, y1, x2 - x1, y2 - y1], "vis_bbox": [x1, y1, x2 - x1, y2 - y1], "height": y2 - y1,
        }
        for index, (image, (x1, y1, x2, y2)) in enumerate(
            (image, box) for image in images for box in image.pedestrians.tolist()
        )
    ]  # fmt: skip
    listed = [
        {"id": image.id, "im_name": image.file_name, "height": image.height, "width": image.width} for image in images
    ]
    categories = [{"id": 1, "name": "pedestrian"}]
    path.write_text(json.dumps({"images": listed, "annotations": annotations, "categories": categories}))
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
def test_both_files_are_evaluated_and_timed(tmp_path: Path, kind: str) -> None:
    pytest.importorskip("nncf")
    images = noisy_pictures(tmp_path)
    network().save(tmp_path / "model.safetensors")
    for name in ("a", "b"):
        deploy_variant(
            tmp_path / "model.safetensors",
            train_cache=cache(tmp_path / "train.json", "train", images),
            val_cache=cache(tmp_path / "val.json", "val", images),
            ground_truth=ground_truth(tmp_path / "ground_truth.json", images),
            folder=tmp_path,
            size=(128, 256),
            settings=DeploySettings.model_validate({"variants": ["v"], "format": kind, "calibration_images": 3}),
            detect=DETECT,
            evaluate=EVALUATE,
            out=tmp_path / name,
            metrics=tmp_path / "metrics.json",
            timings=tmp_path / "timings.json",
            title="deploy v, seed 1",
        )
    files = sorted(path.name for path in (tmp_path / "a").iterdir())
    suffixes = [".onnx"] if kind == "onnx" else [".bin", ".xml"]
    assert files == sorted(
        ["report.json", *(f"{each}{end}" for each in ("float32", "int8") for end in (*suffixes, ".json"))]
    )
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    found = json.loads((tmp_path / "a/report.json").read_text())
    assert found["calibrated_on"] == ["0.png", "1.png", "3.png"]
    assert found["bytes"]["int8"] < found["bytes"]["float32"]
    rates = found["miss_rates"]
    assert found["change"]["iou_0.50"]["reasonable"] == pytest.approx(
        rates["int8"]["iou_0.50"]["reasonable"] - rates["float32"]["iou_0.50"]["reasonable"], abs=1e-6
    )
    assert (tmp_path / "a/int8.json").read_text() != (tmp_path / "a/float32.json").read_text()
    timings = json.loads((tmp_path / "timings.json").read_text())
    for precision in ("float32", "int8"):
        file = (tmp_path / "b" / precision).with_suffix(suffixes[-1])
        assert hashlib.md5(file.read_bytes()).hexdigest() in timings[precision]["md5"]
        assert timings[precision]["images"] == 5
    assert set(json.loads((tmp_path / "metrics.json").read_text())) == {
        "int8_mr_50", "int8_change_50", "int8_mr_75", "int8_change_75",
    }  # fmt: skip


def test_changes_are_int8_less_float32() -> None:
    found = report(RATES)
    assert found["change"] == {
        "iou_0.50": {"reasonable": 0.25, "heavy": None},
        "iou_0.75": {"reasonable": -0.5, "heavy": 1.0},
    }
    assert headline(RATES) == {
        "int8_mr_50": 8.25, "int8_change_50": 0.25, "int8_mr_75": 19.5, "int8_change_75": -0.5,
    }  # fmt: skip
    assert "8.00 -> 8.25 % at IoU 0.50" in sentence(RATES)
    assert "no ground truth" in sentence({"float32": {}, "int8": {}})


def test_calibration_images_are_spread_over_all() -> None:
    nothing = np.zeros((0, 4), np.float32)
    images = [CachedImage(index, f"{index}.png", 64, 64, nothing, nothing, nothing) for index in range(10)]
    assert [image.id for image in spread(images, 3)] == [0, 3, 6]
    assert len(spread(images, 64)) == 10


def test_the_report_has_the_table_where_a_variant_is_deployed(tmp_path: Path) -> None:
    params = mini_params(**{"deploy.variants": ["mobilenet-2s"], "seeds": [1, 2]})
    with pytest.raises(AlfnetError, match=r"dvc repro deploy@mobilenet-2s-1"):
        read_deployed(params, tmp_path)
    for seed in (1, 2):
        path = tmp_path / f"deploy/mobilenet-2s/{seed}/report.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(report(RATES) | {"bytes": {"float32": 2_000_000, "int8": 500_000 * seed}}))
    deployed = read_deployed(params, tmp_path)
    table = deploy_table(params, deployed)
    assert means(table, "float32") == [8.0, 20.0]
    assert means(table, "change_reasonable") == [0.25, -0.5]
    assert table.column("change_heavy")[0] is None
    assert table.column("int8_megabytes") == [0.5, 0.5]
    assert "8.25" in table.markdown()
    path.write_text("{}")
    with pytest.raises(AlfnetError, match=r"run: dvc repro -f deploy@mobilenet-2s-1"):
        read_deployed(params, tmp_path)
    assert read_deployed(mini_params(), tmp_path) == []
