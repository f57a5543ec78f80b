"""`alfnet compare`: what it prints and writes, and options that do not go together."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.commands import alfnet

GOLDEN = Path(__file__).resolve().parent / "golden"
TRUTH, FOUND = (str(GOLDEN / f"miss_rate_24_{name}.json") for name in ("gt", "dt"))


@pytest.fixture
def fewer(tmp_path: Path) -> str:
    """Other detections of the same images: every third one is not there."""
    found = json.loads(Path(FOUND).read_text())
    (tmp_path / "fewer.json").write_text(json.dumps([one for place, one in enumerate(found) if place % 3]))
    return "fewer.json"


def test_compares_prints_and_writes_json_and_a_page_with_the_images(tmp_path: Path, fewer: str) -> None:
    for image in json.loads(Path(TRUTH).read_text())["images"]:
        picture = tmp_path / "images" / image["file_name"]
        picture.parent.mkdir(parents=True, exist_ok=True)
        picture.write_bytes(b"")  # the page links to it
    outputs = ("--out", "out.json", "--page", "page.html", "--images", "images")
    said = alfnet("compare", FOUND, fewer, "--gt", TRUTH, "--resamples", "100", *outputs, cwd=tmp_path)
    written = json.loads((tmp_path / "out.json").read_text())
    rates = written["miss_rates"]["iou_0.50"]["reasonable"]
    assert f"{rates['a']:.2f}" in said
    assert rates["a"] < rates["b"]
    assert rates["low"] <= rates["a_minus_b"] <= rates["high"]
    found = written["found"]
    assert (found["subset"], found["iou"]) == ("reasonable", 0.5)
    assert found["by_a_alone"] == sum(one["found_by"] == "a" for one in found["alone"]) > 3
    assert f"{found['by_a_alone']} by A alone, {found['by_b_alone']} by B alone" in said
    page = (tmp_path / "page.html").read_text()
    content = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert content
    data = json.loads(content[1])
    assert len(data["cases"]) == len(found["alone"])
    assert data["pictures"] == len(data["images"]) > 0
    assert all((tmp_path / image["src"]).is_file() for image in data["images"])


def test_the_two_are_told_apart_by_what_follows_the_folders_that_they_share(tmp_path: Path) -> None:
    folder = tmp_path / "detections"
    names = ("resnet50-2s/1/step2.json", "mobilenet-2s/2/step2.json", "mobilenet-2s/2/step1.json")
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(Path(FOUND).read_bytes())

    def told(first: str, second: str) -> list[str]:
        said = alfnet("compare", first, second, "--gt", TRUTH, "--resamples", "2", cwd=tmp_path)
        return [line[3:] for line in said.splitlines() if line.startswith(("A: ", "B: "))]

    assert told(f"detections/{names[0]}", f"detections/{names[1]}") == list(names[:2])
    assert told(f"detections/{names[1]}", f"detections/{names[2]}") == ["step2.json", "step1.json"]
    far = tmp_path / "a/b/c/d/e.json"
    far.parent.mkdir(parents=True)
    far.write_bytes(Path(FOUND).read_bytes())
    assert told(f"detections/{names[0]}", "a/b/c/d/e.json") == ["step2.json", "e.json"]


def test_whom_one_alone_finds_is_told_of_the_subset_that_was_asked_for(tmp_path: Path, fewer: str) -> None:
    whole = ("compare", FOUND, fewer, "--gt", TRUTH, "--resamples", "2", "--out", "out.json")
    told = {}
    for name, options in (
        ("reasonable", ()),
        ("R", ("--subsets", "r-ho")),
        ("tall", ("--subset", "tall=height:100-,visible:0.65-")),
        ("hidden", ("--subsets", "r-ho", "--subset", "hidden=height:50-,visible:-0.65")),
    ):
        alfnet(*whole, *options, cwd=tmp_path)
        written = json.loads((tmp_path / "out.json").read_text())
        assert written["found"]["subset"] == name
        assert next(iter(written["miss_rates"]["iou_0.50"])) == name
        told[name] = written
    assert set(told["tall"]["miss_rates"]["iou_0.50"]) == {"tall", *told["reasonable"]["miss_rates"]["iou_0.50"]}
    assert set(told["hidden"]["miss_rates"]["iou_0.50"]) == {"hidden", "R", "HO", "R+HO"}
    assert told["R"]["found"]["alone"] == told["reasonable"]["found"]["alone"]
    assert all(one["height"] >= 100 for one in told["tall"]["found"]["alone"])
    assert 0 < told["tall"]["found"]["pedestrians"] < told["reasonable"]["found"]["pedestrians"]


def test_the_width_of_detections_is_the_one_that_was_asked_for(tmp_path: Path, fewer: str) -> None:
    whole = ("compare", FOUND, fewer, "--gt", TRUTH, "--resamples", "2", "--out", "out.json", "--protocol", "caltech")
    figures = []
    for width in ((), ("--detection-width", "given"), ("--detection-width", "0.41h")):
        alfnet(*whole, *width, cwd=tmp_path)
        compared = json.loads((tmp_path / "out.json").read_text())["miss_rates"]["iou_0.75"]["reasonable"]["a"]
        evaluated = ("evaluate", TRUTH, FOUND, "--protocol", "caltech", "--iou", "0.75", "--out", "rates.json", *width)
        alfnet(*evaluated, cwd=tmp_path)
        rates = json.loads((tmp_path / "rates.json").read_text())["iou_0.75"]
        assert compared == pytest.approx(rates["reasonable"], abs=1e-5)
        figures.append(compared)
    assert figures[0] == figures[1] != figures[2]
    said = alfnet(*whole, "--detection-width", "wide", cwd=tmp_path, code=2)
    assert "detection width wide: expected given or 0.41h" in " ".join(said.split())


def test_images_without_a_page_and_two_pipes_are_refused(tmp_path: Path) -> None:
    said = alfnet("compare", "a.json", "b.json", "--gt", "gt.json", "--images", "images", cwd=tmp_path, code=2)
    assert "--images: is for the page; say where to write it: --page OUT.html" in " ".join(said.split())
    for names in (("-", "-", "--gt", "gt.json"), ("-", "b.json", "--gt", "-")):
        said = alfnet("compare", *names, cwd=tmp_path, code=2)
        assert "only one of A, B and --gt can come from a pipe" in " ".join(said.split())
