"""The tool that makes the detector in the box."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alfnet.errors import AlfnetError
from alfnet.files import read_json, write_json
from alfnet.images import read_image, write_png
from alfnet.network.file_origin import read_origin
from alfnet.network.origin import trained_frame
from alfnet.network.weight_files import read_weights
from alfnet.params import Params, check_params
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.results_file import Detections
from tests.test_formats_through_the_pipeline import cross_validation, parameters
from tools.documents import around
from tools.photos import AUGMENT, CROP, DETECT, FRAME, THRESHOLDS, TRAIN, count, halved, main, pack, settings


def test_a_packed_detector_is_half_as_large_and_says_how_it_is_used(tmp_path: Path, root: Path) -> None:
    shipped = root / "weights" / "photos.safetensors"
    pack(shipped, tmp_path / "again.safetensors")
    tensors, _ = read_weights(tmp_path / "again.safetensors", "detector")
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    assert read_origin(tmp_path / "again.safetensors")["detect"] == DETECT
    assert trained_frame(read_origin(tmp_path / "again.safetensors")) == FRAME
    assert (tmp_path / "again.safetensors").read_bytes() == shipped.read_bytes(), (
        "weights/photos.safetensors is packed by it"
    )


def _parameters(folder: Path, height: int) -> Params:
    folder.mkdir()
    content = parameters(folder, cross_validation(folder))
    content["data"] |= {"height": height, "width": 2 * height}
    return check_params(content, "params.yaml")


def test_it_is_trained_on_every_photograph(tmp_path: Path) -> None:
    params = _parameters(tmp_path / "data", FRAME[0])
    on_all, in_folds = settings(params, folds=False), settings(params, folds=True)
    assert on_all.data.fold(1) is None
    assert [in_folds.data.fold(seed) for seed in (1, 2)] == [0, 1]
    assert on_all.train == in_folds.train
    changed = on_all.train.model_dump()
    assert changed["batch"] == TRAIN["batch"]
    assert changed["augment"]["scale"] == AUGMENT["scale"]
    assert changed["targets"]["thresholds"]["2"] == THRESHOLDS
    assert on_all.thresholds("mobilenet-2s")[1].upper == THRESHOLDS[1]["upper"]
    assert (on_all.data.height, on_all.data.width) == FRAME
    assert (on_all.train.augment.height, on_all.train.augment.width) == CROP


def test_photographs_in_another_frame_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"data\.height and data\.width are 256 and 512, not 192 and 384"):
        settings(_parameters(tmp_path / "data", 256), folds=False)


def _truth(image_ids: list[int], boxes: list[list[float]], ignored: list[bool], ids: list[int]) -> GroundTruth:
    return GroundTruth(
        image_ids=np.array(ids),
        file_names=tuple(f"{number}.png" for number in ids),
        image_sizes=np.full((len(ids), 2), 200.0),
        annotation_image_ids=np.array(image_ids),
        boxes=np.array(boxes, dtype=np.float64),
        heights=np.array(boxes, dtype=np.float64)[:, 3],
        visible_ratios=np.ones(len(boxes)),
        ignored=np.array(ignored),
    )


def test_people_found_and_false_boxes_are_counted() -> None:
    person, region = [10.0, 10, 60, 150], [100.0, 10, 60, 150]
    truth = _truth([1, 1, 2], [person, region, person], [False, True, False], [1, 2])
    boxes = [person, [12, 10, 60, 150], [10, 10, 12, 30], [40, 10, 60, 150], [120, 100, 20, 99], [10, 10, 60, 150]]
    scores = [0.9, 0.8, 0.7, 0.6, 0.5, 0.1]
    found = Detections(np.array([1, 1, 1, 1, 1, 2]), np.array(boxes, dtype=np.float64), np.array(scores))
    # Found; a second box; a small part of the person (IoU 0.04); beside it (0.33); partly in the region; a score too low.
    assert count(truth, found) == [1, 2, 3, 2]


def test_halved_photographs_have_halved_people(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    images = [{"id": 1, "file_name": "a.png", "height": 64, "width": 128}]
    person = {"id": 1, "image_id": 1, "bbox": [10, 20, 8, 20], "vis_bbox": [10, 20, 8, 10], "height": 20, "ignore": 0}
    for name in ("val.json", "truth.json"):
        write_json(tmp_path / name, {"images": images, "annotations": [person]})
    write_png(tmp_path / "photos" / "a.png", pixels)
    given = (tmp_path / "photos", tmp_path / "val.json", tmp_path / "truth.json")
    folder, val, truth = halved(*given, tmp_path / "half")
    small = read_image(folder / "a.png")
    assert small.shape == pixels.shape
    np.testing.assert_allclose(small[:32, :64].mean((0, 1)), pixels.mean((0, 1)), atol=1)
    assert len(np.unique(small[32:].reshape(-1, 3), axis=0)) == 1
    for file in (val, truth):
        (changed,) = read_json(file)["annotations"]
        assert (changed["bbox"], changed["vis_bbox"], changed["height"]) == ([5, 10, 4, 10], [5, 10, 4, 5], 10)
    assert read_image(given[0] / "a.png").tolist() == pixels.tolist(), "what was given stays"


def test_the_document_has_its_places(root: Path) -> None:
    for name in ("folds", "look"):
        around(root / "docs" / "photos.md", name)


def test_a_document_without_places_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    params = _parameters(tmp_path / "data", FRAME[0])
    monkeypatch.setattr("tools.photos.load_params", lambda _: params)
    monkeypatch.setattr("tools.photos.validate", lambda _: pytest.fail("it trained"))
    (tmp_path / "photos.md").write_text("<!-- folds -->\n<!-- /folds -->\n")
    with pytest.raises(SystemExit):
        main("validate", str(tmp_path / "photos.md"))
    assert "has no lines <!-- look --> and <!-- /look -->" in capsys.readouterr().err
