"""Detectors that were trained on photographs shrunk into a frame."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch

from alfnet.detection.detector import Detector, default_weights, published_settings
from alfnet.detection.postprocess import Selection
from alfnet.detection.stream import Summary
from alfnet.errors import AlfnetError
from alfnet.export.settings import METADATA_KEY, ExportSettings
from alfnet.images import shrink_to_frame
from alfnet.network.file_origin import read_origin
from alfnet.network.origin import KEY, trained_frame
from alfnet.network.weight_files import read_weights, write_weights
from alfnet.params import DetectSettings
from tests.commands import alfnet


@pytest.fixture(scope="module")
def detector() -> Detector:
    return Detector.load(device="cpu", score=0.0, top=20)


def test_the_detector_in_the_box_is_small_and_says_what_it_is() -> None:
    assert default_weights().stat().st_size < 6_000_000
    assert trained_frame(read_origin(default_weights())) == (192, 384)
    assert read_origin(default_weights())["data_set"] == "pennfudan"


def test_a_file_may_ask_for_another_overlap(detector: Detector, tmp_path: Path) -> None:
    published = published_settings()
    assert detector.settings.nms_iou == 0.45
    assert detector.settings.minimum_side == 8
    assert detector.settings.scores == "mean"
    asked_for = {key: getattr(published, key) for key in ("nms_iou", "minimum_side", "scores", "score_threshold")}
    assert detector.settings.model_copy(update=asked_for | {"after_nms": published.after_nms}) == published
    assert Detector.load(device="cpu").settings.score_threshold == 0.35
    assert Detector.load(device="cpu", nms=0.6).settings.nms_iou == 0.6
    assert Detector.load(device="cpu", settings=published).settings == published
    tensors, description = read_weights(default_weights(), "detector")
    for asked, message in (({"nms": 0.4}, "unknown key"), ({"nms_iou": "low"}, "nms_iou")):
        origin = read_origin(default_weights()) | {"detect": asked}
        path = tmp_path / "odd.safetensors"
        write_weights(path, "detector", tensors, description | {"extra": {KEY: json.dumps(origin)}})
        with pytest.raises(AlfnetError, match=message):
            Detector.load(path, device="cpu")


@pytest.mark.parametrize(
    ("file", "options", "overlap"),
    [
        ("shipped", [], 0.45),
        ("shipped", ["--nms", "0.6"], 0.6),
        ("shipped", ["--nms", "0.5"], 0.5),
        ("exported", [], 0.45),
        ("exported", ["--backend", "onnx"], 0.45),
        ("exported", ["--backend", "onnx", "--nms", "0.6"], 0.6),
        ("silent", [], 0.5),
        ("silent", ["--nms", "0.45"], 0.45),
        ("shipped", ["--params", "params.yaml"], 0.5),
    ],
)
def test_the_overlap_of_alfnet_detect(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, options: list[str], overlap: float
) -> None:
    """The file's own where it asks for one, else as published; what stands on the command line comes first."""
    weights = {"exported": default_weights().with_suffix(".onnx"), "silent": tmp_path / "silent.safetensors"}
    tensors, description = read_weights(default_weights(), "detector")
    origin = {key: value for key, value in read_origin(default_weights()).items() if key != "detect"}
    write_weights(weights["silent"], "detector", tensors, description | {"extra": {KEY: json.dumps(origin)}})
    used: list[DetectSettings] = []

    def note(detector: Detector, *_: Any, **__: Any) -> Summary:
        used.append(detector.settings)
        return Summary()

    monkeypatch.setattr("alfnet.detection.stream.detect_sources", note)
    monkeypatch.setattr("alfnet.detection.detector._TOLD", set())  # other tests see what is said once
    named = ["--weights", str(weights[file])] if file in weights else []
    options = [str(root / "params.yaml") if each == "params.yaml" else each for each in options]
    alfnet("detect", "a.png", "--out", "found", "--device", "cpu", *named, *options, cwd=tmp_path)
    assert used[0].nms_iou == overlap
    own = (
        {}
        if file == "silent" or "--params" in options
        else {"minimum_side": 8, "scores": "mean", "score_threshold": 0.35}
    )
    assert used[0] == published_settings().model_copy(update=own | {"nms_iou": overlap})


def test_boxes_are_of_the_image_as_it_is(detector: Detector) -> None:
    image = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (60, 50, 3), dtype=np.uint8)
    image = cv2.resize(image, (600, 720))
    whole = detector(image, bgr=True)
    framed, scale = shrink_to_frame(image, 192, 384)
    small = detector(framed, bgr=True)
    assert len(whole.boxes)
    kept = len(whole.boxes)
    expected = np.minimum(small.boxes / scale, [599, 719, 599, 719])
    inside = (expected[:, 2:] > expected[:, :2]).all(axis=1)  # others lie in the grey of the frame
    np.testing.assert_allclose(expected[inside], whole.boxes, atol=1e-3)
    np.testing.assert_array_equal(small.scores[inside], whole.scores)
    assert kept == inside.sum()


@pytest.mark.parametrize(("height", "width"), [(512, 512), (250, 900), (700, 300)])
def test_boxes_are_clipped_to_the_last_pixel_and_none_is_in_the_grey(height: int, width: int) -> None:
    """As `Detections.boxes` promises, also of images that do not have the frame's shape."""
    boxes: list[list[float]] = []

    class Fixed(Detector):
        def _select(self, *_: Any) -> Selection:
            return Selection(torch.tensor(boxes), torch.linspace(0.9, 0.5, len(boxes)))

    loaded = Detector.load(device="cpu")
    fixed = Fixed(loaded.backend, loaded.settings, frame=loaded.frame)
    scale = shrink_to_frame(np.zeros((height, width, 3), np.uint8), 192, 384)[1]
    right, bottom = width * scale, height * scale  # of the image in the frame
    boxes += [[5, 5, right / 2, bottom / 2], [10, 10, 383, 191]]
    if right < 380:
        boxes += [[right + 1, 20, 383, 100]]
    if bottom < 190:
        boxes += [[20, bottom + 1, 60, 191]]
    assert len(boxes) == 3
    found = fixed(np.zeros((height, width, 3), np.uint8))
    wanted = np.minimum(np.array(boxes[:2]) / scale, [width - 1, height - 1] * 2)
    assert (wanted[1, 2:] == [width - 1, height - 1]).any()
    np.testing.assert_allclose(found.boxes, wanted, rtol=1e-5)
    np.testing.assert_allclose(found.scores, [0.9, 0.7])


def test_large_parts_are_said_to_be_shrunk(
    detector: Detector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For the detector in the box parts of twice the frame's size are as large as is of use."""

    def nothing(self: Detector, images: np.ndarray) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        return [torch.zeros(len(images), 0, 4)] * 3, [torch.zeros(len(images), 0)] * 2

    monkeypatch.setattr(Detector, "_predict", nothing)
    image = np.zeros((400, 800, 3), np.uint8)
    for tile in ((192, 384), (384, 768), (200, 768)):
        detector(image, tile=tile)
    assert not caplog.messages
    for _ in range(2):
        detector(np.zeros((500, 900, 3), np.uint8), tile=(400, 800))
    (said,) = caplog.messages
    assert said == (
        "--tile 800x400: this detector shrinks every part into 384 x 192 px; for smaller people give parts of that size or "
        "twice that, --tile 768x384"
    )


def test_an_exported_file_is_looked_through_likewise(
    detector: Detector, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ONNX file in the box, by its name alone: it says what it was trained on, shrinks images and finds the same."""
    weights = default_weights().with_suffix(".onnx")
    monkeypatch.setattr("alfnet.detection.detector._TOLD", set())  # other tests see what is said once
    exported = Detector.load(weights, backend="onnx", device="cpu", score=0.0, top=20)
    assert "trained on pennfudan" in caplog.text
    assert exported.frame == detector.frame == (192, 384)
    image = np.kron(
        np.random.default_rng(2).integers(0, 256, (36, 30, 3), dtype=np.uint8), np.ones((20, 20, 1), np.uint8)
    )
    found, expected = exported(image, bgr=True), detector(image, bgr=True)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


def exported_for_step(path: Path, step: int) -> Path:
    """The ONNX file in the box, as if it had been exported with --test-step."""
    model = onnx.load(str(default_weights().with_suffix(".onnx")))
    (entry,) = (each for each in model.metadata_props if each.key == METADATA_KEY)
    description = json.loads(entry.value)
    description["export"]["test_step"] = step
    entry.value = json.dumps(description)
    onnx.save(model, str(path))
    return path


def exported_for_size(path: Path, height: int, width: int) -> Path:
    """The ONNX file in the box, as if it had been exported for one size."""
    model = onnx.load(str(default_weights().with_suffix(".onnx")))
    (entry,) = (each for each in model.metadata_props if each.key == METADATA_KEY)
    description = json.loads(entry.value)
    description["export"]["size"] = [height, width]
    entry.value = json.dumps(description)
    onnx.save(model, str(path))
    return path


def test_a_file_of_one_size_takes_what_fits_into_it(detector: Detector, tmp_path: Path) -> None:
    """A frame, or an image within it, is padded to the size of the export; its boxes stay where they are."""
    image = np.random.default_rng(2).integers(0, 256, (36, 30, 3), dtype=np.uint8)
    large, small = (np.kron(image, np.ones((side, side, 1), np.uint8)) for side in (20, 5))
    # What lies behind an image's edge is seen a little: the mean colour of the padding, where else there is none.
    for size, pixels, tolerance in (((192, 384), large, 0.05), ((192, 384), small, 2), ((256, 448), small, 2)):
        exported = Detector.load(exported_for_size(tmp_path / "model.onnx", *size), device="cpu", score=0.0)
        found, expected = exported(pixels, bgr=True), detector(pixels, bgr=True)
        np.testing.assert_allclose(found.boxes[0], expected.boxes[0], atol=tolerance)
        assert (found.boxes[:, 2:] <= [pixels.shape[1] - 1, pixels.shape[0] - 1]).all()
    narrow = Detector.load(exported_for_size(tmp_path / "model.onnx", 128, 384), device="cpu")
    with pytest.raises(AlfnetError, match=r"at most 384 x 128 px .*, not 384 x 192 \(the frame into which it shrinks"):
        narrow(large)


@pytest.mark.parametrize(
    ("options", "size"), [([], (192, 384)), (["--width", "128"], (192, 128)), (["--dynamic"], None)]
)
def test_an_export_has_the_size_of_the_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], size: tuple[int, int] | None
) -> None:
    asked = []

    def note(weights: Path, out: Path, settings: ExportSettings, *_: Any, **__: Any) -> str:
        asked.append(settings.size)
        return ""

    monkeypatch.setattr("alfnet.export.run.export_detector", note)
    alfnet("export", "--weights", str(default_weights()), "--out", "model.onnx", *options, cwd=tmp_path)
    tensors, description = read_weights(default_weights(), "detector")
    write_weights(tmp_path / "silent.safetensors", "detector", tensors, description | {"extra": {}})
    alfnet("export", "--weights", "silent.safetensors", "--out", "model.onnx", *options, cwd=tmp_path)
    assert asked == [size, size and (1024, 2048 if size[1] == 384 else 128)]


def test_the_step_that_a_file_was_exported_for_is_taken(tmp_path: Path) -> None:
    first = exported_for_step(tmp_path / "first.onnx", 1)
    image = np.zeros((64, 64, 3), np.uint8)
    assert Detector.load(default_weights().with_suffix(".onnx"), device="cpu").test_step == 2
    for asked, step in ((None, 1), (1, 1), (2, 2)):  # the file holds all steps
        detector = Detector.load(first, backend="onnx", device="cpu", test_step=asked)
        assert (detector.test_step, detector(image).step) == (step, step)
    cv2.imwrite(str(tmp_path / "a.png"), np.random.default_rng(1).integers(0, 256, (128, 128, 3), dtype=np.uint8))
    for options, wanted in (([], "1"), (["--test-step", "2"], "2")):
        options += ["--score", "0", "--save", "csv", "--weights", "first.onnx", "--device", "cpu"]
        alfnet("detect", "a.png", "--out", "found", *options, cwd=tmp_path)
        rows = (tmp_path / "found/detections.csv").read_text().splitlines()[1:]
        assert {row.rpartition(",")[2] for row in rows} == {wanted}
    with pytest.raises(AlfnetError, match=r"was exported for step 9, but its network has the steps 1 to 2"):
        Detector.load(exported_for_step(tmp_path / "ninth.onnx", 9), device="cpu")


def test_photographs_of_people(detector: Detector, shared: Path) -> None:
    """Photographs that it has not seen: most people are met, in pixels of the photograph."""
    folder = shared / "data" / "pennfudan"
    photograph = "FudanPed00009.jpg"
    content = json.loads((folder / "train.json").read_text())
    (image,) = (one for one in content["images"] if one["file_name"] == photograph)
    found = detector(folder / "images" / photograph)
    for x, y, w, h in (one["bbox"] for one in content["annotations"] if one["image_id"] == image["id"]):
        common = np.clip(
            np.minimum(found.boxes[:, 2:], [x + w, y + h]) - np.maximum(found.boxes[:, :2], [x, y]), 0, None
        ).prod(1)
        areas = (found.boxes[:, 2:] - found.boxes[:, :2]).prod(1)
        iou = common / (areas + w * h - common)
        assert iou[found.scores > 0.3].max() > 0.5


def test_the_readmes_lines_run(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A photograph of one's own, and the detector that comes with the project."""
    (block,) = [
        one
        for one in re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
        if "Detector" in one
    ]
    assert "Detector.load()" in block
    image = np.random.Generator(np.random.PCG64(1)).integers(0, 256, (90, 70, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "street.jpg"), cv2.resize(image, (700, 900)))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["detector"].frame == (192, 384)
    assert names["found"].boxes.shape == (len(names["found"].scores), 4)
