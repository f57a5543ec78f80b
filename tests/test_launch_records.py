"""What dvc.lock says of outputs: whether they are of the present parameters."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from alfnet.errors import AlfnetError
from alfnet.launch.records import departure, recorded_stages, source_departure


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def stages() -> dict[str, Any]:
    return {
        "prepare@own": {
            "params": {"params.yaml": {"prepare.own": {"url": "file:///a.json"}, "runtime": "portable"}},
            "outs": [{"path": "data/own", "md5": "1.dir"}],
        },
        "cache": {
            "params": {"params.yaml": {"data": {"folder": "data/own"}, "report": {"image_width": 5}}},
            "deps": [{"path": "data/own", "md5": "1.dir"}],
            "outs": [{"path": "cache.json", "md5": md5("cache")}],
        },
    }


@pytest.fixture
def params_file(tmp_path: Path) -> Path:
    content = {
        "data": {"folder": "data/own"},
        "report": {"image_width": 5},
        "prepare": {"own": {"url": "file:///a.json"}},
    }
    YAML(typ="safe").dump(content, tmp_path / "params.yaml")
    (tmp_path / "cache.json").write_text("cache")
    return tmp_path / "params.yaml"


def test_an_output_belongs_to_the_parameters_that_its_stage_had(params_file: Path) -> None:
    assert departure(stages(), "cache", "cache.json", params_file) is None
    other = stages()
    other["cache"]["params"]["params.yaml"]["report"] = {"image_width": 6}
    assert "another report than" in str(departure(other, "cache", "cache.json", params_file))
    assert departure(other, "cache", "cache.json", params_file, ["report"]) is None
    assert departure({}, "cache", "cache.json", params_file) == "dvc.lock knows no stage cache"
    (params_file.parent / "cache.json").write_text("another")
    assert departure(stages(), "cache", "cache.json", params_file) == "it is not the file that dvc.lock names"


def test_a_source_is_what_was_prepared_by_the_present_parameters(params_file: Path) -> None:
    assert source_departure(stages(), "cache", "data/own", params_file) is None
    assert source_departure(stages(), "cache", "data/elsewhere", params_file) is None  # no stage makes it
    other = stages()
    other["prepare@own"]["outs"][0]["md5"] = "2.dir"
    assert source_departure(other, "cache", "data/own", params_file) == "data/own has been made anew since"
    other = stages()
    other["prepare@own"]["params"]["params.yaml"]["prepare.own"] = {"url": "file:///b.json"}
    assert "another prepare.own than" in str(source_departure(other, "cache", "data/own", params_file))
    del other["prepare@own"]
    assert source_departure(other, "cache", "data/own", params_file) == "data/own has not been made yet"


def test_lock_files_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match="no such file; run: dvc repro"):
        recorded_stages(tmp_path / "dvc.lock")
    for text in ("", "a: [", "schema: 1\n"):
        (tmp_path / "dvc.lock").write_text(text)
        with pytest.raises(AlfnetError, match="no whole lock file; put it right with: alfnet check"):
            recorded_stages(tmp_path / "dvc.lock")
