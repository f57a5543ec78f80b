from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet
from alfnet.network.settings import NetworkSettings
from alfnet.network.weight_files import load_tensors, read_weights, write_weights
from alfnet.params import AnchorSettings

SETTINGS = NetworkSettings(
    backbone="mobilenet",
    steps=1,
    backbone_width=0.125,
    head_width=0.125,
    batch_norm="trained",
    batch_norm_momentum=0.1,
    freeze=False,
    anchors=AnchorSettings(widths=[[16], [32], [64], [128]], ratio=0.41),
)


@pytest.fixture
def detector(tmp_path: Path) -> Path:
    model = ALFNet(SETTINGS)
    model.initialise(np.random.default_rng(0))
    path = tmp_path / "model.safetensors"
    model.save(path)
    return path


def rewrite(path: Path, *, drop: str | None = None, change: dict | None = None, settings: dict | None = None) -> None:
    """Write the file again with other tensors or metadata, as a faulty program might."""
    tensors, description = read_weights(path, "detector")
    if drop is not None:
        del tensors[drop]
    tensors |= change or {}
    description["settings"] |= settings or {}
    write_weights(path, "detector", tensors, description)


def test_tensors_and_description_come_back(tmp_path: Path) -> None:
    tensors = {"b": torch.arange(6.0).reshape(2, 3), "a": torch.ones(2, 4, 3, 3).to(memory_format=torch.channels_last)}
    write_weights(tmp_path / "w.safetensors", "backbone", tensors, {"width": 0.25})
    found, description = read_weights(tmp_path / "w.safetensors", "backbone")
    assert description == {"width": 0.25}
    assert all(torch.equal(found[name], tensor) for name, tensor in tensors.items())


def test_failing_write_leaves_the_earlier_file(detector: Path) -> None:
    before = detector.read_bytes()
    with pytest.raises(ValueError, match="Out of range float"):
        write_weights(detector, "detector", {"a": torch.ones(1)}, {"width": float("nan")})
    assert detector.read_bytes() == before
    assert [path.name for path in detector.parent.iterdir()] == [detector.name]


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"none\.safetensors: no such file; a detector"):
        ALFNet.load(tmp_path / "none.safetensors")
    with pytest.raises(AlfnetError, match="no such file"):
        ALFNet.load(tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_truncated_file(detector: Path, keep: int) -> None:
    detector.write_bytes(detector.read_bytes()[:keep])
    with pytest.raises(AlfnetError, match=r"model\.safetensors: not a whole safetensors file"):
        ALFNet.load(detector)


def test_other_kinds_of_file(tmp_path: Path) -> None:
    pickle = tmp_path / "model.pt"
    torch.save({"a": torch.ones(1)}, pickle)
    with pytest.raises(AlfnetError, match="not a whole safetensors file"):
        ALFNet.load(pickle)
    keras = tmp_path / "model.hdf5"
    keras.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(AlfnetError, match="alfnet weights import"):
        ALFNet.load(keras)
    foreign = tmp_path / "foreign.safetensors"
    save_file({"a": torch.ones(1)}, foreign)
    with pytest.raises(AlfnetError, match="not written by alfnet"):
        ALFNet.load(foreign)


def test_backbone_in_place_of_a_detector_and_the_reverse(detector: Path, tmp_path: Path) -> None:
    backbone = tmp_path / "backbone.safetensors"
    write_weights(backbone, "backbone", {"a": torch.ones(1)}, {})
    with pytest.raises(AlfnetError, match="holds a backbone; a detector was expected"):
        ALFNet.load(backbone)
    with pytest.raises(AlfnetError, match="holds a detector; a backbone was expected"):
        read_weights(detector, "backbone")


def test_missing_unknown_and_misshapen_tensors_are_named(detector: Path) -> None:
    whole = detector.read_bytes()
    rewrite(detector, drop="p3.weight")
    with pytest.raises(AlfnetError, match=r"model\.safetensors: does not fit the network: lacks p3\.weight"):
        ALFNet.load(detector)
    detector.write_bytes(whole)
    rewrite(detector, change={"p9.weight": torch.ones(1)})
    with pytest.raises(AlfnetError, match=r"holds p9\.weight"):
        ALFNet.load(detector)
    detector.write_bytes(whole)
    rewrite(detector, change={"p3.bias": torch.ones(7)})
    with pytest.raises(AlfnetError, match=r"p3\.bias has shape \(7,\), expected \(64,\)"):
        ALFNet.load(detector)
    detector.write_bytes(whole)
    rewrite(detector, change={"p3.bias": torch.ones(64, dtype=torch.int64)})
    with pytest.raises(AlfnetError, match=r"p3\.bias holds torch\.int64"):
        ALFNet.load(detector)


def test_nothing_is_loaded_from_a_file_that_does_not_fit() -> None:
    module = nn.Linear(2, 2)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    with pytest.raises(AlfnetError, match="somewhere"):
        load_tensors(module, {"weight": torch.zeros(2, 2), "bias": torch.zeros(3)}, "somewhere")
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())


@pytest.mark.parametrize("settings", [{"backbone": "vgg"}, {"steps": 0}, {"later": 1}, {"anchors": None}])
def test_unknown_settings_are_refused(detector: Path, settings: dict) -> None:
    rewrite(detector, settings=settings)
    with pytest.raises(AlfnetError, match=f"settings that this version does not know.*{next(iter(settings))}"):
        ALFNet.load(detector)


def test_other_format_is_refused(detector: Path) -> None:
    tensors, description = read_weights(detector, "detector")
    save_file(tensors, detector, {"alfnet": json.dumps({"format": 99, **description})})
    with pytest.raises(AlfnetError, match="format 99, this version reads format 1"):
        ALFNet.load(detector)
    save_file(tensors, detector, {"alfnet": "{"})
    with pytest.raises(AlfnetError, match="metadata of the detector is broken"):
        ALFNet.load(detector)


@pytest.mark.parametrize(
    ("name", "value", "fault"),
    [
        ("p3.weight", float("nan"), "not finite"),
        ("p3.weight", float("inf"), "not finite"),
        ("backbone.stem.norm.running_var", -1.0, r"variance below zero \(-1\)"),
        ("p3.bias", 1e30, "beyond any that a network is made of"),
    ],
)
def test_numbers_that_no_network_computes_with_are_neither_written_nor_read(
    detector: Path, name: str, value: float, fault: str
) -> None:
    before = detector.read_bytes()
    tensors, description = read_weights(detector, "detector")
    tensors[name].view(-1)[0] = value
    with pytest.raises(AlfnetError, match=rf"not written: {name} holds .*{fault}"):
        write_weights(detector, "detector", tensors, description)
    assert detector.read_bytes() == before
    save_file(tensors, detector, {"alfnet": json.dumps({"format": 1, **description})})
    with pytest.raises(AlfnetError, match=rf"model\.safetensors: {name} holds .*{fault}"):
        ALFNet.load(detector)
