"""Tables that are put into documents, and the one of a cross-validation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alfnet.errors import AlfnetError
from tests.tiny import write_params
from tools.documents import put
from tools.folds import folds
from tools.folds import main as write_folds


def result(ap: float, *steps: str) -> dict[str, Any]:
    step = {
        "AP": ap,
        "AP50": 2 * ap,
        "AP75": ap / 2,
        "iou_0.50": {"reasonable": 10.0},
        "iou_0.75": {"reasonable": 80.0},
    }
    return {"steps": dict.fromkeys(steps, step)}


def test_only_what_stands_between_the_marks_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.md"
    path.write_text("before\n<!-- t -->\nold\n<!-- /t -->\nafter\n")
    put(path, "t", "new\n")
    assert path.read_text() == "before\n<!-- t -->\nnew\n<!-- /t -->\nafter\n"
    for content in ("nothing", "<!-- t -->\nold\n", "<!-- /t -->\n<!-- t -->"):
        path.write_text(content)
        with pytest.raises(AlfnetError, match="has no lines"):
            put(path, "t", "new")
        assert path.read_text() == content


def test_mean_and_spread_over_the_folds() -> None:
    text = folds({"a-1s": [result(40, "1"), result(44, "1")], "a-2s": [result(50, "1", "2"), result(50, "1", "2")]})
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines()[2:5]]
    assert rows[0] == ["a-1s", "1", "42.0 ± 2.8", "84.0 ± 5.7", "21.0 ± 1.4", "10.0 ± 0.0", "80.0 ± 0.0"]
    assert [row[1] for row in rows] == ["1", "1", "2"]
    assert "over 2 folds" in text
    with pytest.raises(AlfnetError, match="same folds"):
        folds({"a": [result(40, "1")], "b": [result(40, "1"), result(41, "1")]})


def test_the_results_of_a_tree_are_put_into_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_params(tmp_path / "params.yaml", variants=("mobilenet-2s",), seeds=[1, 2])
    for seed in (1, 2):
        folder = tmp_path / "evaluation" / "mobilenet-2s" / str(seed)
        folder.mkdir(parents=True)
        (folder / "results.json").write_text(json.dumps(result(40, "1", "2")))
    (tmp_path / "a.md").write_text("<!-- folds -->\n<!-- /folds -->\n")
    write_folds("a.md")
    assert "| mobilenet-2s |" in (tmp_path / "a.md").read_text()
    write_folds()
    assert "| mobilenet-2s |" in capsys.readouterr().out
