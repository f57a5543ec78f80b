"""`alfnet check`: what the parameters name outside themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alfnet.cli.pipeline import check_names
from alfnet.errors import AlfnetError
from alfnet.params import Params, check_params
from alfnet.profiles import load_profile
from tests.commands import alfnet
from tests.tiny import raw_params, write_params

BACKBONE: dict[str, Any] = {
    "init": "random", "width": 1.0, "url": None, "bytes": None, "md5": None,
    "batch_norm": "trained", "batch_norm_momentum": 0.1, "freeze": False,
}  # fmt: skip


def own(url: str) -> Params:
    params = load_profile("own")
    prepare = params.prepare["own"].model_copy(update={"url": url})
    return params.model_copy(update={"prepare": {"own": prepare}})


def test_detectors_and_images_that_are_not_there_are_named(tmp_path: Path) -> None:
    content = raw_params()
    content["variants"]["old"] = {"backbone": "resnet50", "steps": 2, "weights": "weights/detectors/none.safetensors"}
    (said,) = check_names(check_params(content, "p"), tmp_path / "params.yaml")
    assert "variants.old.weights: weights/detectors/none.safetensors: no such file or folder" in said
    (tmp_path / "weights/detectors").mkdir(parents=True)
    (tmp_path / "weights/detectors/none.safetensors").touch()
    assert check_names(check_params(content, "p"), tmp_path / "params.yaml") == []


def test_a_source_that_is_not_there_is_named(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    (said,) = check_names(own(file.as_uri()), tmp_path / "params.yaml")
    assert f"prepare.own.url: {file}: no such file or folder" in said
    file.write_text("{}")
    assert check_names(own(file.as_uri()), tmp_path / "params.yaml") == []
    for url in ("people.json", str(file), "file://people.json"):
        with pytest.raises(AlfnetError, match=r"prepare\.own\.url: .*file://"):
            check_names(own(url), tmp_path / "params.yaml")


def test_a_detector_to_start_from_is_there(tmp_path: Path) -> None:
    write_params(tmp_path / "params.yaml", train__init_from="weights/detectors/mine.safetensors")
    said = " ".join(alfnet("check", cwd=tmp_path, code=2).split())
    assert "train.init_from: weights/detectors/mine.safetensors: no such file" in said
    (tmp_path / "weights/detectors").mkdir(parents=True)
    (tmp_path / "weights/detectors/mine.safetensors").write_bytes(b"")
    alfnet("check", cwd=tmp_path)


def test_a_start_that_the_pipeline_does_not_watch_is_named(tmp_path: Path) -> None:
    params = check_params(raw_params(train__init_from="mine.safetensors"), "params.yaml")
    (tmp_path / "mine.safetensors").touch()
    (said,) = check_names(params, tmp_path / "params.yaml")
    assert "train.init_from: mine.safetensors: lies outside weights/detectors" in said


def test_other_tables_than_the_ablation(tmp_path: Path) -> None:
    (tmp_path / "plots/tables").mkdir(parents=True)
    (tmp_path / "plots/tables/precision.md").write_text("| AP |\n")
    assert alfnet("table", "precision", cwd=tmp_path) == "| AP |\n"
    assert "nothing: no such table; there are ablation, precision" in alfnet("table", "nothing", cwd=tmp_path, code=2)


VIT = "timm/vit_tiny_patch16_224"


def test_backbones_are_models_of_timm(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    variants = {"a-1s": {"backbone": "timm/resnet18d", "steps": 1}, "b-1s": {"backbone": "timm/resnet18dd", "steps": 1}}
    backbones = {"timm/resnet18d": BACKBONE, "timm/resnet18dd": BACKBONE}
    params = check_params(raw_params() | {"backbones": backbones, "variants": variants}, "params.yaml")
    with pytest.raises(AlfnetError, match=r"params\.yaml: backbone timm/resnet18dd: timm .* has no such model"):
        check_names(params, tmp_path / "params.yaml")
    unfit = {"backbones": {VIT: BACKBONE}, "variants": {"a-1s": {"backbone": VIT, "steps": 1}}}
    with pytest.raises(AlfnetError, match=r"vit_tiny_patch16_224: offers maps of stride 16, 16, 16"):
        check_names(check_params(raw_params() | unfit, "params.yaml"), tmp_path / "params.yaml")
    del params.variants["b-1s"]  # what no variant uses does not matter
    assert check_names(params, tmp_path / "params.yaml") == []


def test_the_file_of_a_backbone_in_the_project_is_there(tmp_path: Path) -> None:
    file = "weights/pretrained/mobilenet.safetensors"
    changes = {"backbones__mobilenet__init": "download", "backbones__mobilenet__url": file}
    params = check_params(raw_params(variants=("mobilenet-1s",), **changes), "params.yaml")
    (said,) = check_names(params, tmp_path / "params.yaml")
    assert f"backbones.mobilenet.url: {file}: no such file in the project" in said
    (tmp_path / file).mkdir(parents=True)
    assert len(check_names(params, tmp_path / "params.yaml")) == 1, "a folder is none"
    (tmp_path / file).rmdir()
    (tmp_path / file).touch()
    assert check_names(params, tmp_path / "params.yaml") == []
