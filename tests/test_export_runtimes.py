"""Exported files and memory, and what they say of themselves; what they compute: tests/test_export.py."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from alfnet.detection.backend import TorchBackend, bytes_needed
from alfnet.detection.detector import Detector, default_weights
from alfnet.errors import AlfnetError
from alfnet.export.runtimes import ExportedBackend, OnnxBackend, exported_summary
from alfnet.export.settings import METADATA_KEY, ExportSettings, fixed_selection, fixed_threshold
from tests.test_training_train import network

NO_MEMORY = [
    RuntimeError(
        "[ONNXRuntimeError] : 6 : RUNTIME_EXCEPTION : Non-zero status code returned while running Conv node. Name:'/c' Status "
        "Message: bfc_arena.cc:376 void* onnxruntime::BFCArena::AllocateRawInternal(size_t, bool) Failed to allocate memory for "
        "requested buffer of size 9663676416"
    ),
    RuntimeError("Exception from src/inference/src/cpp/infer_request.cpp:223:\nstd::bad_alloc"),
    RuntimeError("CUDA failure 2: out of memory ; GPU=0"),
    RuntimeError("could not allocate memory"),
    RuntimeError("CUDNN failure 4: CUDNN_STATUS_ALLOC_FAILED"),
    MemoryError("Unable to allocate 9.00 GiB for an array"),
]


class Failing(ExportedBackend):
    """A runtime that fails with what ONNX Runtime would raise."""

    def __init__(self, error: Exception, size: tuple[int, int] | None = None) -> None:
        self.path, self.settings, self.origin = Path("m.onnx"), network().settings, {}
        self.export = ExportSettings(format="onnx", size=size)
        self.error = error
        self.name = "failing"

    def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        backend = object.__new__(OnnxBackend)
        backend.path, backend.session = self.path, self
        return backend._run(images)

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        raise self.error


@pytest.mark.parametrize("error", NO_MEMORY, ids=lambda error: str(error)[-30:])
def test_where_memory_does_not_suffice_parts_are_advised(error: Exception) -> None:
    image = np.zeros((1, 70, 100, 3), np.uint8)
    with pytest.raises(AlfnetError, match=r"an image of 100 x 70 px: 1 at once do not fit .* --tile 2048x1024") as said:
        Failing(error).predict(image)
    assert "export it again" not in str(said.value)
    with pytest.raises(AlfnetError, match=r"m\.onnx: memory does not suffice for images of 192 x 128 px.*--dynamic"):
        Failing(error, size=(128, 192)).predict(image)


def test_other_failures_are_the_files() -> None:
    for text in ("kernel_shape is not compatible", "node Reallocation_3: wrong shape", "the location failed"):
        with pytest.raises(AlfnetError, match=r"cannot run it .*; export it again"):
            Failing(RuntimeError(text)).predict(np.zeros((1, 64, 64, 3), np.uint8))


def test_an_image_beyond_memory_is_refused_before_it_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    from alfnet.detection import detector as module

    monkeypatch.setattr(module, "free_memory", lambda: 2**20)
    monkeypatch.setattr(module, "_CHECK_MEMORY_FROM", 100)
    exported = Detector.load(default_weights().with_suffix(".onnx"), device="cpu")
    small = np.zeros((128, 256, 3), np.uint8)
    # Of a detector with a frame the parts are of twice its size.
    with pytest.raises(AlfnetError, match=r"needs about .* GiB are free; .* --tile 768x384 .*tile=\(384, 768\)"):
        exported(small)
    exported.frame = None
    with pytest.raises(AlfnetError, match=r"needs about .* --tile 2048x1024 "):
        exported(small)
    monkeypatch.setattr(module, "free_memory", lambda: 2**32)
    assert len(exported(small).boxes) >= 0


def test_the_estimate_is_pytorchs() -> None:
    exported = OnnxBackend(default_weights().with_suffix(".onnx"), "cpu")
    needed = TorchBackend.open(default_weights(), "cpu").bytes_needed(1024, 2048)
    assert exported.bytes_needed(1024, 2048) == needed == bytes_needed(exported.settings, 1024, 2048)


def with_description(path: Path, **entries: object) -> Path:
    """The ONNX file in the box with other entries in its description."""
    model = onnx.load(str(default_weights().with_suffix(".onnx")))
    (entry,) = (each for each in model.metadata_props if each.key == METADATA_KEY)
    entry.value = json.dumps(json.loads(entry.value) | entries)
    onnx.save(model, str(path))
    return path


def test_the_selection_in_the_graph_is_shown(tmp_path: Path) -> None:
    detect = {"score_threshold": 0.2, "nms_iou": 0.4}
    file = with_description(tmp_path / "m.onnx", detect=detect)
    summary = exported_summary(file)
    assert summary["fixed_in_graph"] == detect
    assert summary["detect"]["score_threshold"] == 0.35  # what the weights ask for
    assert "fixed_in_graph" not in exported_summary(with_description(tmp_path / "n.onnx", detect=None))


def test_a_description_that_says_nothing_says_nothing() -> None:
    for text in (None, "", "[1]", "no JSON", '{"detect": 3}', "{}", '{"detect": null}'):
        assert fixed_selection(text) == {}
    assert fixed_selection('{"detect": {"score_threshold": 0.1}}') == {"score_threshold": 0.1}
    assert fixed_threshold({"score_threshold": 0.1}) == 0.1
    for value in (None, "0.1", True, -1, 7):
        assert fixed_threshold({"score_threshold": value}) is None
