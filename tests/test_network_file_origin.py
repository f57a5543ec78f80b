"""What a weight file says of itself, and its miss rates put into it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet
from alfnet.network.file_origin import read_origin, stamp, weights_summary
from alfnet.network.origin import KEY, describe, imported_origin, training_origin
from alfnet.params import check_params
from tests.commands import alfnet
from tests.test_training_train import network
from tests.tiny import raw_params


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "models/mobilenet-2s/1/model.safetensors"
    params = check_params(raw_params(), "tiny")
    network().save(path, extra={"parameters": "7"} | training_origin(params, "mobilenet-2s", 1, 8))
    return path


def test_a_training_leaves_its_origin(file: Path) -> None:
    origin = read_origin(file)
    assert origin["rendered"]
    assert (origin["images"], origin["updates"], origin["seed"], origin["variant"]) == (8, 3, 1, "mobilenet-2s")
    assert "rendered street scenes only (8 images of 512 x 256 px" in describe(read_origin(file))
    content = file.read_bytes()
    network().save(
        file, extra={"parameters": "7"} | training_origin(check_params(raw_params(), "x"), "mobilenet-2s", 1, 8)
    )
    assert file.read_bytes() == content


def test_summary_names_network_origin_and_the_rates_beside(file: Path) -> None:
    summary = weights_summary(file)
    assert (summary["holds"], summary["backbone"], summary["steps"], summary["parameters"]) == (
        "detector",
        "mobilenet",
        2,
        "7",
    )
    assert "miss_rates" not in summary
    metrics = file.parents[3] / "metrics/mobilenet-2s.json"
    metrics.parent.mkdir()
    metrics.write_text(json.dumps({"mr_50": 12.011, "mr_75": 36.483, "sd_50": 0.1, "n": 3}))
    assert weights_summary(file)["miss_rates"].startswith("12.01 % at IoU 0.50, 36.48 % at IoU 0.75")


def test_stamp_copies_the_weights_with_their_rates(file: Path, tmp_path: Path) -> None:
    metrics, out = tmp_path / "rates.json", tmp_path / "stamped.safetensors"
    metrics.write_text(json.dumps({"iou_0.50": {"reasonable": 12.011, "all": 40}, "average_precision": {"AP": 3}}))
    assert stamp(file, metrics, out) == {"0.50": 12.01}
    assert "; miss rate: 12.01 % at IoU 0.50" in describe(read_origin(out))
    assert weights_summary(out)["parameters"] == "7"
    one, other = ALFNet.load(file).state_dict(), ALFNet.load(out).state_dict()
    assert all(one[name].equal(other[name]) for name in one)
    metrics.write_text("[]")
    with pytest.raises(AlfnetError, match="no miss rates"):
        stamp(file, metrics, tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()
    with pytest.raises(AlfnetError, match="not a whole safetensors file"):
        weights_summary(metrics)


def test_imported_and_silent_files(tmp_path: Path) -> None:
    network().save(tmp_path / "a.safetensors", extra=imported_origin("mobilenet"))
    assert "layout of the 2018 release" in describe(read_origin(tmp_path / "a.safetensors"))
    network().save(tmp_path / "b.safetensors")
    assert "does not say" in describe(read_origin(tmp_path / "b.safetensors"))


def test_info_is_for_people_or_programs(tmp_path: Path) -> None:
    origin = {"data_set": "people", "detect": {"nms_iou": 0.45}, "frame": [512, 256]}
    network().save(tmp_path / "a.safetensors", extra={KEY: json.dumps(origin)})
    said = alfnet("weights", "info", "a.safetensors", cwd=tmp_path)
    assert re.search(r"^detect +nms_iou 0\.45$", said, re.MULTILINE)
    assert re.search(r"^frame +512, 256$", said, re.MULTILINE)
    assert json.loads(alfnet("weights", "info", "a.safetensors", "--json", cwd=tmp_path))["detect"] == {"nms_iou": 0.45}
