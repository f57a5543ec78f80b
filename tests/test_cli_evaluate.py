"""`alfnet evaluate` and `alfnet compare` as a user runs them: what they print and write, and what they refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

import alfnet
from alfnet.cli import app
from alfnet.errors import AlfnetError


@pytest.fixture(scope="module")
def files(golden: Path) -> list[str]:
    return [str(golden / f"miss_rate_150_{part}.json") for part in ("gt", "dt")]


@pytest.fixture
def fewer(files: list[str], tmp_path: Path) -> str:
    """Two thirds of the detections."""
    records = json.loads(Path(files[1]).read_text())
    (tmp_path / "fewer.json").write_text(json.dumps([r for number, r in enumerate(records) if number % 3]))
    return str(tmp_path / "fewer.json")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_intervals_errors_and_page(files: list[str], tmp_path: Path) -> None:
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    options = ["--bootstrap", "50", "--errors", "--out", str(out), "--page", str(page)]
    for _ in range(2):  # a second time over its own output
        printed = run("evaluate", *files, *options)
    assert "What went wrong: reasonable, IoU 0.5" in printed
    assert "95 %" in printed
    written = json.loads(out.read_text())
    interval = written["intervals"]["iou_0.50"]["reasonable"]
    assert interval["low"] < written["iou_0.50"]["reasonable"] < interval["high"]
    assert [found["iou"] for found in written["errors"]] == [0.5, 0.75]
    kinds = written["errors"][0]["kinds"]
    assert sum(row["misses"] for row in kinds.values()) == len(written["errors"][0]["misses"])
    assert sum(row["false_positives"] for row in kinds.values()) == len(written["errors"][0]["false_positives"])
    assert all(row["kind"] in kinds for row in written["errors"][0]["misses"])
    assert page.read_text().startswith("<!doctype html>\n<!-- alfnet explorer -->")


def test_got(files: list[str]) -> None:
    right = f"{alfnet.evaluate(*files, iou=0.5).miss_rate['reasonable']:.2f}"
    assert "That is the protocol's figure" in run("evaluate", *files, "--got", right)
    truncated = alfnet.evaluate(files[0], _truncated(files[1]), iou=0.75).miss_rate["all"]
    answer = run("evaluate", *files, "--got-from", f"all@0.75={truncated:.4f}")
    assert "1. " in answer
    assert "the boxes were cut to integers" in answer


def _truncated(path: str) -> list[dict[str, object]]:
    return [record | {"bbox": np.trunc(record["bbox"]).tolist()} for record in json.loads(Path(path).read_text())]


def test_compare(files: list[str], fewer: str, tmp_path: Path) -> None:
    out, page = tmp_path / "out.json", tmp_path / "page.html"
    for _ in range(2):
        printed = run(
            "compare", files[1], fewer, "--gt", files[0], "--resamples", "100", "--out", str(out), "--page", str(page)
        )
    assert "A: miss_rate_150_dt.json\nB: fewer.json\n" in printed
    assert "by A alone" in printed
    written = json.loads(out.read_text())
    assert written["miss_rates"]["iou_0.50"]["reasonable"]["high"] < 0
    assert len(written["found"]["alone"]) == written["found"]["by_a_alone"] + written["found"]["by_b_alone"]
    assert "found by one alone" in page.read_text()


def test_pages_replace_no_other_file(files: list[str], fewer: str, tmp_path: Path) -> None:
    (tmp_path / "mine.html").write_text("<html>mine</html>")
    for command in (["evaluate", *files], ["compare", files[1], fewer, "--gt", files[0]]):
        with pytest.raises(AlfnetError, match="holds no earlier page of alfnet"):
            run(*command, "--page", str(tmp_path / "mine.html"))
        with pytest.raises(AlfnetError, match="an input is never written over"):
            run(*command, "--page", files[0])
    assert (tmp_path / "mine.html").read_text() == "<html>mine</html>"


def test_from_python(files: list[str], fewer: str, tmp_path: Path) -> None:
    result = alfnet.evaluate(*files, bootstrap=50, seed=1)
    assert result.intervals is not None
    assert result.intervals["iou_0.50"]["reasonable"] is not None
    assert "95 %" in str(result)
    assert result.errors("all", 0.75).outcomes.subset.name == "all"
    with pytest.raises(AlfnetError, match="no subset 'tiny'"):
        result.errors("tiny")
    result.write_page(tmp_path / "page.html")
    assert (tmp_path / "page.html").is_file()
    assert "the protocol's figure" in str(result.explain(f"{result.miss_rate['reasonable']:.3f}"))
    crowd = alfnet.evaluate(*files, protocol="crowdhuman")
    with pytest.raises(AlfnetError, match="CityPersons' protocol alone"):
        crowd.explain(12)
    comparison = alfnet.compare(files[0], files[1], fewer, resamples=20)
    assert "A alone" in str(comparison)
    assert comparison.differences["iou_0.50"]["reasonable"].value < 0
