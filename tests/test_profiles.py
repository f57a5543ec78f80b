"""Profiles: merged key by key, comments with their values, and the schemas of the present types."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.profiles import PACKAGED, load_profile, merged_text, paper_params, profiles, schema
from alfnet.yaml_file import read_yaml
from tests.tiny import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def merged(folder: Path, text: str) -> str:
    (folder / "mine.yaml").write_text(text)
    return merged_text("mine", folder)


def read(folder: Path, text: str) -> dict:
    written = folder / "params.yaml"
    written.write_text(merged(folder, text))
    return read_yaml(written)


def test_the_packages_profiles_are_the_projects() -> None:
    assert PACKAGED.resolve() == ROOT / "profiles"
    assert set(profiles()) == {path.stem for path in (ROOT / "profiles").glob("*.yaml")}


def test_the_complete_profile_is_itself(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text(merged_text("citypersons"))
    assert read_yaml(tmp_path / "params.yaml") == read_yaml(ROOT / "profiles" / "citypersons.yaml")
    assert paper_params() == load_profile("citypersons")
    comments = [line.strip() for line in (ROOT / "profiles/citypersons.yaml").read_text().splitlines() if "#" in line]
    kept = [line.strip() for line in merged_text("citypersons").splitlines() if "#" in line]
    assert kept[1:] == comments[1:], "no comment is lost; the first line names the schema"


def test_values_are_merged_and_sets_of_names_replaced(folder: Path) -> None:
    text = """\
profile: mine
train:
  batch: 40
  targets:
    thresholds:
      '2':
        - lower: 0.2
          upper: 0.4
        - lower: 0.4
          upper: 0.6
head:
  width: 0.5
evaluate:
  iou:
    - 0.75
    - 0.5
variants:
  only:
    backbone: mobilenet
    steps: 2
"""
    base, found = read_yaml(ROOT / "profiles/citypersons.yaml"), read(folder, text)
    assert list(found["variants"]) == ["only"]
    assert list(found["train"]["targets"]["thresholds"]) == ["2"]
    assert found["train"]["targets"]["later_steps"] == base["train"]["targets"]["later_steps"]
    assert found["evaluate"]["iou"] == [0.75, 0.5]
    assert found["train"] | {"batch": 20, "targets": 0} == base["train"] | {"targets": 0}
    assert found["head"] == base["head"] | {"width": 0.5}
    assert found["backbones"] == base["backbones"]
    assert list(found) == list(base), "the order of the complete profile"


def test_comments_go_with_their_values(folder: Path) -> None:
    text = "profile: mine\ntrain:\n  # Why so many.\n  updates: 30000\n  weight_average: null\n"
    lines = [line.strip() for line in merged(folder, text).splitlines()]
    assert lines[lines.index("updates: 30000") - 1] == "# Why so many."
    assert not any('150 "epochs"' in line for line in lines)
    assert not any("11.97" in line for line in lines)
    assert any("What fits into a GPU" in line for line in lines)


def test_keys_may_be_merged_in(folder: Path) -> None:
    text = "profile: mine\nvariants:\n  a: &a\n    backbone: mobilenet\n    steps: 1\n"
    text += "  b:\n    <<: *a\n    # One more.\n    steps: 2\n"
    lines = [line.strip() for line in merged(folder, text).splitlines()]
    assert lines[lines.index("b:") :][:4] in (
        ["b:", "backbone: mobilenet", "# One more.", "steps: 2"],
        ["b:", "# One more.", "steps: 2", "backbone: mobilenet"],
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("profile: mine\ntrain:\n  updats: 3\n", "train.updats: unknown key; did you mean updates"),
        ("profile: mine\nvariants:\n  x:\n    backbone: mobilenet\n", "variants.x.steps: missing"),
        ("- 1\n", "holds no keys"),
        ("", "holds no keys"),
        ("profile: [\n", "not readable as YAML"),
        ("train: 3\n", "train"),
    ],
)
def test_a_wrong_profile_is_named(folder: Path, text: str, message: str) -> None:
    with pytest.raises(AlfnetError, match=r"mine\.yaml") as caught:
        merged(folder, text)
    assert message in str(caught.value)


def test_schemas_are_fresh_and_described() -> None:
    for name, complete in (("params", True), ("profile", False)):
        written = json.loads((ROOT / "profiles" / f"{name}.schema.json").read_text())
        assert written == schema(complete=complete), "run: alfnet schema"
    described = schema(complete=True)
    assert described["$defs"]["TrainSettings"]["properties"]["batch"]["description"]
    assert "updates" in described["$defs"]["TrainSettings"]["required"]
    assert "required" not in schema(complete=False)["$defs"]["TrainSettings"]
    assert (
        (ROOT / "params.yaml").read_text().startswith("# yaml-language-server: $schema=profiles/params.schema.json\n")
    )
