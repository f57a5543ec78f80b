"""The detector: any form of image, any size, batches as single images, and no more boxes than the image holds."""

from __future__ import annotations

import itertools
import json
import logging
import sys
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import alfnet
from alfnet.annotations.cache import CachedImage
from alfnet.boxes.anchors import anchors
from alfnet.boxes.coding import step_boxes
from alfnet.detection import run
from alfnet.detection.backend import BACKENDS, TorchBackend, padded_size, torch_device
from alfnet.detection.detections import Detections
from alfnet.detection.detector import Detector, as_bgr, default_weights, published_settings
from alfnet.detection.postprocess import select
from alfnet.detection.tiles import merge_tiles, tile_grid
from alfnet.detection.timing import doubts, measure
from alfnet.errors import AlfnetError
from alfnet.export.settings import METADATA_KEY
from alfnet.network.alfnet import normalise
from alfnet.network.file_origin import stamp
from alfnet.network.origin import KEY, describe
from alfnet.params import load_params
from tests.test_training_train import network

LOW = published_settings().model_copy(update={"score_threshold": 0.0})
"""With it a network of random weights finds something."""


def detector(**options) -> Detector:
    return Detector(TorchBackend(network(), torch.device("cpu")), LOW, **options)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    """R G B."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    origin = {"data_set": "synthetic", "rendered": True, "images": 8, "image_size": [512, 256], "profile": "mini"}
    network().save(path, extra={KEY: json.dumps(origin | {"updates": 3, "seed": 1})})
    return path


def test_the_published_settings_are_the_defaults() -> None:
    settings = published_settings()
    assert settings == load_params("profiles/citypersons.yaml").detect
    assert (settings.score_threshold, settings.nms_iou, settings.minimum_side) == (0.1, 0.5, 16)
    assert (settings.before_nms, settings.after_nms) == (6000, 100)


def test_boxes_are_those_of_the_method_put_together_by_hand() -> None:
    """Padding with the mean colour after normalisation, each step from the boxes before, clipped to the image itself."""
    image = noise(100, 150)
    model = network()
    padded = torch.zeros(1, 3, 128, 192)
    padded[..., :100, :150] = normalise(torch.from_numpy(image[..., ::-1].copy())[None])
    with torch.inference_mode():
        predictions = model.eval()(padded)
    boxes, scores = anchors(128, 192, model.settings.anchors), torch.ones(1)
    for logits, offsets in predictions:
        boxes = step_boxes(boxes, offsets[0], 100, 150)
        scores = scores * logits[0].sigmoid()
    wanted = select(boxes, scores, **LOW.model_dump(exclude={"scores"}))
    found = detector()(image)
    np.testing.assert_allclose(found.boxes, wanted.boxes, atol=1e-3)
    np.testing.assert_allclose(found.scores, wanted.scores, atol=1e-6)
    assert found.step == 2


@pytest.mark.parametrize(("height", "width"), [(1, 1), (17, 40), (64, 64), (65, 190), (130, 70)])
def test_any_size_is_padded_and_boxes_stay_in_the_image(height: int, width: int) -> None:
    found = detector()(noise(height, width))
    assert (found.height, found.width) == (height, width)
    assert (found.boxes >= 0).all()
    assert (found.boxes <= [width - 1, height - 1, width - 1, height - 1]).all()
    sides = found.boxes[:, 2:] - found.boxes[:, :2] + 1
    assert (sides >= 16).all()
    assert len(found) > 0 or min(height, width) < 16
    assert (np.diff(found.scores) <= 0).all()


def test_padding_makes_no_difference_to_a_padded_image() -> None:
    """Only the clipping tells an image from the same image padded beforehand with the (rounded) mean colour."""
    image = noise(128, 128)
    padded = np.full((128, 192, 3), (124, 117, 104), np.uint8)
    padded[:, :128] = image
    logits, _ = detector().backend.predict(image[None, ..., ::-1].copy())[0]
    wider, _ = detector().backend.predict(padded[None, ..., ::-1].copy())[0]
    assert logits.shape[1] < wider.shape[1]
    assert padded_size(1, 65) == (64, 128)


def test_a_batch_equals_single_images_in_any_form_and_order(tmp_path: Path) -> None:
    images = [noise(70, 90, seed) for seed in range(3)] + [noise(64, 128, 9), noise(70, 90, 4)]
    detect = detector()
    singles = [detect(image) for image in images]
    Image.fromarray(images[1]).save(tmp_path / "b.png")
    given: list[Any] = [images[0], tmp_path / "b.png", Image.fromarray(images[2]), images[3], images[4]]
    for batch in (None, 1, 2, 8):
        several = detect(given, batch=batch)
        assert len(several) == 5
        for one, other in zip(singles, several, strict=True):
            np.testing.assert_allclose(one.boxes, other.boxes, atol=1e-3)
            np.testing.assert_allclose(one.scores, other.scores, atol=1e-6)
    stacked = detect(np.stack(images[:3]))
    assert [len(found) for found in stacked] == [len(found) for found in singles[:3]]
    assert detect([]) == []


def test_forms_of_an_image_are_one_image(tmp_path: Path) -> None:
    image = noise(40, 60)
    Image.fromarray(image).save(tmp_path / "a.png")
    expected = image[..., ::-1]
    for given, bgr in (
        (str(tmp_path / "a.png"), False),
        (image, False),
        (expected, True),
        (Image.fromarray(image), False),
        (np.dstack([image, image[..., :1]]), False),
        (torch.from_numpy(image), False),
    ):
        np.testing.assert_array_equal(as_bgr(given, bgr), expected)
    grey = image[..., 0]
    premultiplied = Image.fromarray(grey).convert("LA").convert("La")
    for given in (grey, grey[..., None], Image.fromarray(grey), premultiplied):
        np.testing.assert_array_equal(as_bgr(given), np.dstack([grey] * 3))
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(image).save(tmp_path / "turned.png", exif=exif.tobytes())
    with Image.open(tmp_path / "turned.png") as opened:
        np.testing.assert_array_equal(as_bgr(opened), as_bgr(tmp_path / "turned.png"))
    assert as_bgr(tmp_path / "turned.png").shape == (60, 40, 3)


@pytest.mark.parametrize(
    ("image", "match"),
    [
        (np.zeros((5, 5, 3)), "float64: uint8 is expected"),
        (np.zeros((5, 5, 3), np.uint16), "image >> 8"),
        (np.zeros((3, 5, 7), np.uint8), "shape"),
        (np.zeros((0, 5, 3), np.uint8), "shape"),
        (Image.new("F", (5, 5)), r"mode F, .*astype\('uint8'\)"),
        (Image.new("I", (5, 5)), r"mode I, .*astype\('uint8'\)"),
        (None, "NoneType instead of an image: a path, a uint8 array .* a PIL image"),
        (7, "int instead of an image: a path"),
        (b"content", r"bytes instead of an image: .*PIL\.Image\.open\(io\.BytesIO\(content\)\)"),
        ("none.png", "no such image"),
    ],
)
def test_what_is_no_image_is_refused(image: object, match: str) -> None:
    for look in (as_bgr, detector(), lambda given: detector()([given])):
        with pytest.raises(AlfnetError, match=match):
            look(image)


@pytest.mark.parametrize("tile", ["512x512", 512, (512,), (64, 64, 3), (512.0, 512.0), (True, 64)])
def test_a_tile_is_height_and_width(tile: Any) -> None:
    with pytest.raises(
        AlfnetError, match=r"tile=.*: \(height, width\) in pixels is expected, e\.g\. tile=\(1024, 2048\)"
    ):
        detector()(noise(64, 64), tile=tile)


def test_16_bits_are_read_as_from_the_file(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 65536, (40, 60)).astype(np.uint16)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(values).save(tmp_path / "a.png", exif=exif.tobytes())
    Image.fromarray(values).save(tmp_path / "a.tif")
    for name in ("a.png", "a.tif"):
        with Image.open(tmp_path / name) as opened:
            assert opened.mode == "I;16"
            np.testing.assert_array_equal(as_bgr(opened), as_bgr(tmp_path / name))
    big_endian = Image.frombytes("I;16B", (60, 40), values.astype(">u2").tobytes())
    np.testing.assert_array_equal(as_bgr(big_endian), np.dstack([values >> 8] * 3))


def test_results_in_other_forms() -> None:
    image = noise(128, 256)
    found = detector()(image)
    rows = found.to_coco(7)
    assert len(rows) == len(found) == len(found.to_frame())
    assert rows[0]["image_id"] == 7
    x1, y1, x2, y2 = found.boxes[0].tolist()
    assert rows[0]["bbox"] == pytest.approx([x1, y1, x2 - x1, y2 - y1], abs=1e-3)
    assert list(found.to_frame().columns) == ["x1", "y1", "x2", "y2", "score", "step"]
    drawn = found.draw()
    assert drawn.shape == image.shape
    assert (drawn != image).any()
    swapped = detector()(image[..., ::-1], bgr=True)
    np.testing.assert_array_equal(swapped.draw()[..., ::-1], drawn)
    np.testing.assert_array_equal(found.draw(image), drawn)
    with pytest.raises(AlfnetError, match="the one that was looked at 256 x 128"):
        found.draw(image[:64])
    assert "pedestrians (256 x 128 px" in repr(found)


def test_boxes_are_drawn_where_they_are_on_any_form_of_image(tmp_path: Path) -> None:
    grey = noise(64, 128)[..., 0]
    Image.fromarray(grey).save(tmp_path / "a.png")
    box, score = np.array([[10, 20, 30, 50]], np.float32), np.ones(1, np.float32)
    colours = np.dstack([grey] * 3)
    drawn = Detections(box, score, 2, 64, 128, image=colours).draw()
    assert (drawn[35, 10] != colours[35, 10]).any()
    assert (drawn[:, 64:] == colours[:, 64:]).all()
    for given in (grey, Image.fromarray(grey), tmp_path / "a.png", np.dstack([colours, grey])):
        np.testing.assert_array_equal(Detections(box, score, 2, 64, 128).draw(given), drawn)
    as_bgr_arrays = Detections(box, score, 2, 64, 128, bgr=True)
    for given in (grey, colours, Image.fromarray(grey)):
        np.testing.assert_array_equal(as_bgr_arrays.draw(given), drawn[..., ::-1])


def test_results_are_compared_as_objects() -> None:
    found, other = (Detections(np.zeros((2, 4)), np.zeros(2), 2, 64, 128) for _ in range(2))
    assert found != other
    assert other in [found, other]
    assert len({found, other}) == 2


def test_a_table_without_pandas_names_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(AlfnetError, match=r"needs pandas, .*pip install 'alfnet\[notebook\]'"):
        Detections(np.zeros((2, 4)), np.zeros(2), 2, 64, 128).to_frame()


def test_supervision(monkeypatch: pytest.MonkeyPatch) -> None:
    found = detector()(noise(64, 128))
    monkeypatch.setitem(sys.modules, "supervision", None)
    with pytest.raises(AlfnetError, match="pip install supervision"):
        found.to_supervision()
    monkeypatch.undo()
    pytest.importorskip("supervision")
    assert_same_in_supervision(found)


def test_supervision_by_its_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a class that takes what `supervision.Detections` 0.31 takes, and checks it as that does."""

    @dataclass
    class Stub:
        xyxy: np.ndarray
        mask: np.ndarray | None = None
        confidence: np.ndarray | None = None
        class_id: np.ndarray | None = None
        tracker_id: np.ndarray | None = None
        data: dict[str, np.ndarray] = field(default_factory=dict)
        metadata: dict[str, object] = field(default_factory=dict)

        def __post_init__(self) -> None:
            assert self.xyxy.ndim == 2
            assert self.xyxy.shape[1] == 4
            assert all(
                each is not None and each.shape == (len(self.xyxy),) for each in (self.confidence, self.class_id)
            )
            assert all(len(each) == len(self.xyxy) for each in self.data.values())

    monkeypatch.setitem(sys.modules, "supervision", SimpleNamespace(Detections=Stub))
    assert_same_in_supervision(detector()(noise(64, 128)))
    empty = Detections(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), 2, 64, 128)
    assert empty.to_supervision().xyxy.shape == (0, 4)


def assert_same_in_supervision(found: Detections) -> None:
    converted = found.to_supervision()
    np.testing.assert_array_equal(converted.xyxy, found.boxes)
    np.testing.assert_array_equal(converted.confidence, found.scores)
    assert set(converted.class_id.tolist()) == {0}
    assert converted.data["class_name"].tolist() == ["pedestrian"] * len(found)


def test_settings_and_steps(weights: Path) -> None:
    image = noise(128, 256)
    loaded = Detector.load(weights, score=0.0, top=5, nms=1.0)
    assert len(loaded(image)) == 5
    assert (loaded.test_step, loaded(image).step) == (2, 2)
    first = Detector.load(weights, score=0.0, test_step=1)(image)
    assert first.step == 1
    assert first.scores[0] > loaded(image).scores[0]  # not yet multiplied by the second step's
    with pytest.raises(AlfnetError, match="steps 1 to 2"):
        Detector.load(weights, test_step=3)
    with pytest.raises(AlfnetError, match="score_threshold"):
        Detector.load(weights, score=1.5)
    with pytest.raises(AlfnetError, match="there are torch"):
        Detector.load(weights, backend="abacus")
    for step in ("1", 1.0, True):
        with pytest.raises(AlfnetError, match=r"test_step=.*a whole number is expected"):
            Detector.load(weights, test_step=step)  # type: ignore[arg-type]
    numbers = {"score": np.float32(0.25), "nms": np.float64(0.5), "top": np.int64(5), "test_step": np.int64(1)}
    settings = Detector.load(weights, **numbers).settings  # type: ignore[arg-type]
    assert (settings.score_threshold, settings.nms_iou, settings.after_nms) == (0.25, 0.5, 5)
    assert len(loaded([image, image], batch=np.int64(1))) == 2
    for batch in (0, "2", 1.0):
        with pytest.raises(AlfnetError, match="batch="):
            loaded([image], batch=batch)  # type: ignore[arg-type]
    assert alfnet.Detector is Detector
    assert set(BACKENDS) >= {"torch"}


def test_loading_says_once_what_it_was_trained_on(weights: Path, caplog: pytest.LogCaptureFixture) -> None:
    from alfnet.detection import detector as module

    module._TOLD.clear()
    with caplog.at_level(logging.WARNING):
        Detector.load(weights)
        Detector.load(weights)
    assert len(caplog.messages) == 1
    assert "rendered street scenes only (8 images of 512 x 256 px; profile mini, 3 updates, seed 1)" in caplog.text
    assert "never seen a photograph" in caplog.text
    assert "does not say" in describe({})
    assert "CityPersons" in describe({"release": "2018"})


def test_loading_says_the_miss_rates_that_the_pipeline_measured(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They are not in the file: it is written before anything is measured."""
    path = tmp_path / "models" / "mobilenet-2s" / "1" / "model.safetensors"
    path.parent.mkdir(parents=True)
    network().save(path, extra={KEY: json.dumps({"data_set": "synthetic", "rendered": True})})
    (tmp_path / "metrics").mkdir()
    metrics = tmp_path / "metrics" / "mobilenet-2s.json"
    metrics.write_text(json.dumps({"mr_50": 12.31, "mr_75": 25.91}))
    Detector.load(path, device="cpu")
    rates = "12.31 % at IoU 0.50, 25.91 % at IoU 0.75"
    (said,) = caplog.messages
    assert said.endswith(f"; miss rate: {rates} (metrics/mobilenet-2s.json: mean over its seeds, last step)")
    # Of a stamped file they are said once, as they stand in it.
    stamp(path, metrics, path.with_name("stamped.safetensors"))
    Detector.load(path.with_name("stamped.safetensors"), device="cpu")
    assert caplog.messages[1].count("miss rate") == 1
    assert rates in caplog.messages[1]


def test_loading_says_the_miss_rates_of_an_exported_file(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    model = onnx.load(str(default_weights().with_suffix(".onnx")))
    (entry,) = (each for each in model.metadata_props if each.key == METADATA_KEY)
    description = json.loads(entry.value)
    for rates, end in (("7 % at IoU 0.50 (metrics/a.json)", "; miss rate: 7 % at IoU 0.50 (metrics/a.json)"), (3, "")):
        description["extra"] = {KEY: json.dumps({"data_set": "synthetic"}), "miss_rates": rates}
        entry.value = json.dumps(description)
        path = tmp_path / f"{type(rates).__name__}.onnx"
        onnx.save(model, str(path))
        caplog.clear()
        loaded = Detector.load(path, device="cpu")
        assert caplog.messages == [f"{path}: {describe(loaded.backend.trained_on)}{end}"]  # type: ignore[attr-defined]


def test_devices_that_are_not_there() -> None:
    assert torch_device("cpu", "x").type == "cpu"
    with pytest.raises(AlfnetError, match="--device: abacus: no such device"):
        torch_device("abacus", "--device")
    if not torch.cuda.is_available():
        assert torch_device("auto", "x").type == "cpu"
        with pytest.raises(AlfnetError, match=r"machine\.accelerator: cuda, but torch sees no GPU"):
            torch_device("cuda", "machine.accelerator")


def test_an_image_beyond_memory_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from alfnet.detection import detector as module

    monkeypatch.setattr(module, "free_memory", lambda: 2**30)
    monkeypatch.setattr(module, "_CHECK_MEMORY_FROM", 100)
    monkeypatch.setattr(TorchBackend, "bytes_needed", lambda self, height, width: 2**31)
    with pytest.raises(AlfnetError, match=r"needs about 2.0 GiB, 1.0 GiB are free; detect in parts of it with --tile"):
        detector()(noise(64, 64))
    monkeypatch.undo()
    assert detector().backend.bytes_needed(64, 64) > 64 * 64 * 12


def test_the_memory_of_a_narrow_image_is_that_of_the_padded_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from alfnet.detection import detector as module

    monkeypatch.setattr(module, "free_memory", lambda: 64 * 1000)
    monkeypatch.setattr(module, "_CHECK_MEMORY_FROM", 64 * 640)
    monkeypatch.setattr(TorchBackend, "bytes_needed", lambda self, height, width: height * width)
    assert len(detector()(noise(1, 960)).boxes) >= 0
    with pytest.raises(AlfnetError, match="an image of 1024 x 1 px: needs about"):
        detector()(noise(1, 1024))
    assert module.batch_size(1, 64 * 1024) == 1


@pytest.mark.parametrize(("height", "width"), [(64, 64), (100, 1000), (513, 700), (128, 129)])
def test_tiles_cover_the_image_and_overlap(height: int, width: int) -> None:
    tile = (128, 256)
    grid = tile_grid(height, width, tile)
    cover = np.zeros((height, width), int)
    for top, left in grid:
        assert 0 <= top <= max(0, height - tile[0])
        assert 0 <= left <= max(0, width - tile[1])
        cover[top : top + tile[0], left : left + tile[1]] += 1
    assert cover.min() == 1 or len(grid) > 1
    for side, part, starts in ((height, 128, sorted({t for t, _ in grid})), (width, 256, sorted({x for _, x in grid}))):
        assert all(b - a <= part * 0.75 + 1 for a, b in itertools.pairwise(starts))
        assert starts[-1] + part >= side
    with pytest.raises(AlfnetError, match="at least 64"):
        tile_grid(100, 100, (32, 64))


def test_what_tiles_cut_is_merged() -> None:
    from alfnet.detection.postprocess import Selection

    grid, tile = [(0, 0), (0, 150)], (200, 200)  # they share columns 150 to 199
    left = Selection(torch.tensor([[160.0, 20, 199, 120], [10, 10, 40, 80]]), torch.tensor([0.9, 0.8]))
    right = Selection(torch.tensor([[10.0, 20, 60, 120], [100, 10, 130, 90]]), torch.tensor([0.7, 0.6]))
    merged = merge_tiles([left, right], grid, tile, (200, 350), nms_iou=0.5, top=100)
    # The first is cut at the inner edge; the right part has it whole, though with a lower score.
    assert merged.boxes.tolist() == [[10, 10, 40, 80], [160, 20, 210, 120], [250, 10, 280, 90]]
    assert merged.scores.tolist() == pytest.approx([0.8, 0.7, 0.6])
    # At the image's own edge nothing is cut, and what both parts have whole is one.
    edge = Selection(torch.tensor([[0.0, 0, 30, 90], [160, 20, 190, 120]]), torch.tensor([0.9, 0.5]))
    twice = Selection(torch.tensor([[10.0, 20, 41, 120]]), torch.tensor([0.6]))
    merged = merge_tiles([edge, twice], grid, tile, (200, 350), nms_iou=0.5, top=100)
    assert merged.boxes.tolist() == [[0, 0, 30, 90], [160, 20, 191, 120]]


def test_a_tiled_image_finds_what_lies_whole_in_a_tile() -> None:
    image = noise(128, 512)
    detect = detector()
    whole = detect(image, tile=(128, 512))
    np.testing.assert_array_equal(whole.boxes, detect(image).boxes)
    tiled = detect(image, tile=(128, 256))
    assert (tiled.boxes[:, 2] > 300).any()
    assert (tiled.boxes[:, 0] < 200).any()
    assert len(tiled) <= 100


def test_split_has_every_step_and_fusion_and_is_the_same_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = []
    for index, (height, width) in enumerate(((64, 128), (70, 100), (64, 128))):
        cv2.imwrite(str(tmp_path / f"{index}.png"), noise(height, width, index))
        truth = np.array([[10, 5, 30, 60]], np.float32)
        rows.append(CachedImage(10 + index, f"{index}.png", height, width, truth, truth, np.zeros((0, 4), np.float32)))
    monkeypatch.setattr(run, "load_fold", lambda cache, split, fold: rows)
    network(3).save(tmp_path / "model.safetensors")
    for name in ("a", "b"):
        run.detect_split(
            tmp_path / "model.safetensors",
            tmp_path / "cache",
            tmp_path,
            LOW,
            accelerator="cpu",
            out=tmp_path / name,
            timings=tmp_path / "timings.json",
            title="detect",
        )
    files = sorted(str(path.relative_to(tmp_path / "a")) for path in (tmp_path / "a").rglob("*") if path.is_file())
    assert files == sorted(
        ["positives.json", *(f"step{step}.{kind}" for step in (1, 2, 3) for kind in ("json", "txt"))]
        + [f"fusion/{name}.json" for name in ("C1B1", "C1B3", "C3B3", "C1+C2+C3_B3", "C1*C2*C3_B3")]
    )
    for name in files:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    last = json.loads((tmp_path / "a/step3.json").read_text())
    assert last == json.loads((tmp_path / "a/fusion/C1*C2*C3_B3.json").read_text())
    assert {row["image_id"] for row in last} == {10, 11, 12}
    single = Detector.load(tmp_path / "model.safetensors", score=0.0)(tmp_path / "1.png").to_coco(11)
    assert [row for row in last if row["image_id"] == 11] == single
    timings = json.loads((tmp_path / "timings.json").read_text())
    assert timings["images"] == 3
    assert "cores; torch" in timings["machine"]


def test_times_are_of_a_second_pass_and_a_busy_machine_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    from alfnet.detection import timing

    calls = []
    measured = measure(lambda image: calls.append(image), [np.zeros(1)] * 3, runs="nothing")
    assert len(calls) == 4
    assert measured["images"] == 3
    machine, own = iter([0.0, 1e6]), iter([0.0, 1.0])
    monkeypatch.setattr(timing, "_machine_seconds", lambda: next(machine))
    monkeypatch.setattr(timing, "_own_seconds", lambda: next(own))
    measured = measure(lambda image: None, [np.zeros(1)] * 2, runs="nothing")
    assert measured["busy"]
    assert "other processes took" in doubts(measured)
    assert doubts(measured | {"busy": False, "steady": True}) is None
