"""`alfnet data anchors`: which cache it takes, and what it draws."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alfnet.annotations.data_set import training_rule
from alfnet.annotations.images import annotated_image
from alfnet.annotations.training_cache import TrainingRule, write_training_cache
from alfnet.params import load_params
from tests.commands import alfnet
from tests.tiny import ROOT, write_params


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(ROOT / "profiles", tmp_path / "profiles")
    write_params(tmp_path / "params.yaml")
    return tmp_path


def cache(folder: Path, rule: TrainingRule, height: int = 256, width: int = 512) -> None:
    boxes = [[20 + 9 * n, 10, 30 + n, 80 + 4 * n] for n in range(20)]
    image = annotated_image("a.png", height, width, boxes, pedestrian=[True] * 20)
    write_training_cache([image], "train", folder / "cache/train.json", rule, "a")


def test_anchors_are_not_told_of_another_data_sets_cache(folder: Path) -> None:
    said = alfnet("data", "anchors", cwd=folder, code=2)
    assert "no such file; make it with: dvc repro cache_annotations" in said
    rule = training_rule(load_params(folder / "params.yaml").data)
    cache(folder, rule)
    assert "20 pedestrians" in alfnet("data", "anchors", cwd=folder)
    cache(folder, rule, height=300)
    said = alfnet("data", "anchors", cwd=folder, code=2)
    assert "images of another size" in said
    assert "dvc repro cache_annotations" in said
    cache(folder, TrainingRule(33))
    assert "another rule" in alfnet("data", "anchors", cwd=folder, code=2)
    shutil.copytree(folder / "cache", folder / "mine")
    assert "20 pedestrians" in alfnet("data", "anchors", "--cache", "mine/train.json", cwd=folder)
    cache(folder, rule)
    data = YAML(typ="safe").load(folder / "params.yaml")["data"]
    stage = {"params": {"params.yaml": {"data": data | {"folder": "data/another"}}}}
    YAML(typ="safe").dump({"stages": {"cache_annotations@train": stage}}, folder / "dvc.lock")
    assert "it was made with another data than" in alfnet("data", "anchors", cwd=folder, code=2)


def test_anchors_that_are_the_best_stand_alone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache(folder, training_rule(load_params(folder / "params.yaml").data))
    drawn = []
    monkeypatch.setattr("alfnet.inspection.anchors.suggest", lambda sizes, anchors: anchors)
    monkeypatch.setattr("alfnet.inspection.anchors.write_plot", lambda *given: drawn.append(given[3]))
    said = alfnet("data", "anchors", "--out", "anchors.png", cwd=folder)
    assert "No better anchors were found" in said
    assert "suggested" not in said
    assert drawn == [None]
