"""ONNX Runtime takes the device that was asked for, or says that it cannot; with a stand-in for it, as there is no GPU here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from alfnet.errors import AlfnetError
from alfnet.export.onnx_session import CPU, CUDA, open_session
from alfnet.export.runtimes import OnnxBackend
from alfnet.export.settings import METADATA_KEY, ExportSettings, describe
from alfnet.serve.finder import OnnxFinder
from tests.test_training_train import network

OPENED: list[Callable[[Path, str], Any]] = [
    lambda path, device: OnnxBackend(path, device, threads=1),
    lambda path, device: OnnxFinder(path, device=device, threads=1),
]


class Runtime:
    """Stands in for the module `onnxruntime`: built for `available`, of which `loads` can be loaded."""

    __version__ = "9.9"

    def __init__(self, available: list[str], loads: list[str]) -> None:
        self.available, self.loads = available, loads
        self.asked: list[Any] = []

    def get_available_providers(self) -> list[str]:
        return self.available

    def SessionOptions(self) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace()

    def InferenceSession(self, path: str, options: SimpleNamespace, providers: list[Any]) -> SimpleNamespace:  # noqa: N802
        self.asked.append(providers)
        names = [each if isinstance(each, str) else each[0] for each in providers]
        text = describe(network().settings, ExportSettings(format="onnx", size=None, nms=True), {})
        return SimpleNamespace(
            get_providers=lambda: [name for name in names if name in self.loads],
            get_modelmeta=lambda: SimpleNamespace(custom_metadata_map={METADATA_KEY: text}),
        )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "m.onnx"
    path.touch()
    return path


def install(monkeypatch: pytest.MonkeyPatch, available: list[str], loads: list[str]) -> Runtime:
    runtime = Runtime(available, loads)
    monkeypatch.setitem(sys.modules, "onnxruntime", runtime)
    return runtime


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize(
    ("device", "providers", "where"),
    [
        ("cuda:1", [(CUDA, {"device_id": 1}), CPU], "GPU 1"),
        ("cuda", [(CUDA, {"device_id": 0}), CPU], "GPU"),
        ("auto", [(CUDA, {"device_id": 0}), CPU], "GPU"),
        ("cpu", [CPU], "CPU"),
    ],
)
def test_the_gpu_that_is_asked_for_is_taken(
    monkeypatch: pytest.MonkeyPatch, file: Path, opened: Any, device: str, providers: list[Any], where: str
) -> None:
    runtime = install(monkeypatch, [CUDA, CPU], [CUDA, CPU])
    assert opened(file, device).name == f"ONNX Runtime 9.9 (float32) on {where}"
    assert runtime.asked == [providers]


@pytest.mark.parametrize("opened", OPENED)
def test_a_gpu_that_does_not_load_is_no_gpu(monkeypatch: pytest.MonkeyPatch, file: Path, opened: Any) -> None:
    """ONNX Runtime goes on with the CPU: what was asked for by name is refused, `auto` says what it has."""
    install(monkeypatch, [CUDA, CPU], [CPU])
    for device in ("cuda", "cuda:1"):
        with pytest.raises(AlfnetError, match=rf"--device {device}: ONNX Runtime could not use this GPU.*or set cpu"):
            opened(file, device)
    assert opened(file, "auto").name.endswith("on CPU")


@pytest.mark.parametrize("opened", OPENED)
@pytest.mark.parametrize("device", ["banana", "mps", "gpu", "cuda:", "cuda:x", "CUDA", "cudabanana", ""])
def test_other_devices_are_refused(monkeypatch: pytest.MonkeyPatch, file: Path, opened: Any, device: str) -> None:
    runtime = install(monkeypatch, [CUDA, CPU], [CUDA, CPU])
    with pytest.raises(AlfnetError, match=rf"--device {device}: .*there are auto, cpu, cuda, cuda:0, cuda:1"):
        opened(file, device)
    assert not runtime.asked


@pytest.mark.parametrize("opened", OPENED)
def test_a_runtime_without_gpus_names_the_one_with_them(
    monkeypatch: pytest.MonkeyPatch, file: Path, opened: Any
) -> None:
    runtime = install(monkeypatch, [CPU], [CPU])
    with pytest.raises(AlfnetError, match=f"--device cuda: .*built for {CPU}; install onnxruntime-gpu, or set cpu"):
        opened(file, "cuda")
    assert opened(file, "auto").name.endswith("on CPU")
    assert runtime.asked == [[CPU]]


def test_the_memory_of_a_gpu_is_not_this_machines(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    install(monkeypatch, [CUDA, CPU], [CUDA, CPU])
    assert OnnxBackend(file, "cuda", threads=1).bytes_needed(1024, 2048) == 0
    assert OnnxBackend(file, "cpu", threads=1).bytes_needed(1024, 2048) > 0


def test_the_real_runtime_on_the_cpu(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07broken")
    with pytest.raises(AlfnetError, match=r"m\.onnx: ONNX Runtime cannot open it \(.*\); export it again"):
        open_session(tmp_path / "m.onnx", "cpu", 1)
