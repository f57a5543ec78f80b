"""The tool that makes the detector in the box."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from alfnet.errors import AlfnetError
from alfnet.network.file_origin import read_origin
from alfnet.network.origin import trained_frame
from alfnet.network.weight_files import read_weights
from alfnet.params import Params, check_params
from tests.test_formats_through_the_pipeline import cross_validation, parameters
from tools.photos import AUGMENT, CROP, DETECT, FRAME, THRESHOLDS, TRAIN, pack, settings


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
