"""The tool that makes the detector in the box."""

from __future__ import annotations

from pathlib import Path

import torch

from alfnet.network.file_origin import read_origin
from alfnet.network.origin import trained_frame
from alfnet.network.weight_files import read_weights
from alfnet.params import check_params
from tests.test_formats_through_the_pipeline import cross_validation, parameters
from tools.photos import AUGMENT, DETECT, TRAIN, on_all, pack


def test_a_packed_detector_is_half_as_large_and_says_how_it_is_used(tmp_path: Path, root: Path) -> None:
    shipped = root / "weights" / "photos.safetensors"
    pack(shipped, tmp_path / "again.safetensors")
    tensors, _ = read_weights(tmp_path / "again.safetensors", "detector")
    assert {t.dtype for t in tensors.values() if t.is_floating_point()} == {torch.float16}
    assert read_origin(tmp_path / "again.safetensors")["detect"] == DETECT
    assert trained_frame(read_origin(tmp_path / "again.safetensors")) == (256, 512)
    assert (tmp_path / "again.safetensors").read_bytes() == shipped.read_bytes(), (
        "weights/photos.safetensors is packed by it"
    )


def test_it_is_trained_on_every_photograph(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    params = check_params(parameters(tmp_path / "data", cross_validation(tmp_path / "data")), "params.yaml")
    assert params.data.fold(1) == 0
    assert on_all(params).data.fold(1) is None
    changed = on_all(params).train.model_dump()
    assert changed == params.train.model_dump() | TRAIN | {"augment": params.train.augment.model_dump() | AUGMENT}
