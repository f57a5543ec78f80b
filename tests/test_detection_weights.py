"""Which backend reads a file, and what is said of names that none can read."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from alfnet.detection.detector import Detector, default_weights
from alfnet.detection.weights import backend_of
from alfnet.errors import AlfnetError
from alfnet.serve.finder import open_finder


def test_the_ending_tells_the_backend() -> None:
    found = [backend_of(Path(name)) for name in ("a.safetensors", "b/c.ONNX", "d.xml", "n.param", "e.bin", "f")]
    assert found == ["torch", "onnx", "openvino", "ncnn", None, None]
    exported = Detector.load(default_weights().with_suffix(".onnx"), device="cpu")
    assert exported.backend.name.startswith("ONNX Runtime")
    assert Detector.load(device="cpu").backend.name.startswith("torch")


@pytest.mark.parametrize(
    ("name", "backend", "said"),
    [
        (
            "m.onnx",
            "torch",
            "m.onnx: an exported file (ONNX), which --backend torch does not read; give --backend onnx,",
        ),
        (
            "m.xml",
            "torch",
            "m.xml: an exported file (OpenVINO), which --backend torch does not read; give --backend openv",
        ),
        (
            "m.param",
            "torch",
            "m.param: an exported file (ncnn), which --backend torch does not read; give --backend ncnn",
        ),
        ("m.xml", "onnx", "m.xml: an exported file (OpenVINO), which --backend onnx does not read"),
    ],
)
def test_a_backend_that_does_not_read_a_file_names_the_one_that_does(
    tmp_path: Path, name: str, backend: str, said: str
) -> None:
    (tmp_path / name).write_bytes(b"\x08\x07")
    for opened in (Detector.load, open_finder):
        with pytest.raises(AlfnetError, match=re.escape(said)):
            opened(tmp_path / name, backend=backend, device="cpu")


def test_a_folder_is_said_to_be_one_and_its_file_is_named(tmp_path: Path) -> None:
    cases: tuple[tuple[list[str], str], ...] = (
        ([], "is a folder; no .safetensors file lies in it"),
        (["model.safetensors"], f"is a folder; name the file in it: {tmp_path / 'model.safetensors'}"),
        (["other.safetensors"], "is a folder; name one of the 2 .safetensors files in it, e.g."),
    )
    for files, said in cases:
        for name in files:
            (tmp_path / name).touch()
        for opened in (Detector.load, open_finder):
            with pytest.raises(AlfnetError, match=re.escape(f"{tmp_path}: {said}")):
                opened(tmp_path, device="cpu")
