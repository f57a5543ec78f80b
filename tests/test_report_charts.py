"""The charts' specifications: filled as `dvc plots` fills them, and as the page and the PNG files do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from dvc_render.html import render_html
from dvc_render.image import ImageRenderer
from dvc_render.vega import VegaRenderer
from ruamel.yaml import YAML

from alfnet.report.charts import NAMES, csv_text, filled, rows_of, write_png
from alfnet.report.curves import curve_points, curves_frame, steps_frame, training_frame
from alfnet.report.positives import positives_frame
from alfnet.report.results import Band, VariantResults, read_results
from tests.browser import open_browser, visit
from tests.report_data import make_project, mini_params


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[VariantResults]:
    root = tmp_path_factory.mktemp("project")
    variants = {
        "resnet50-2s": {"backbone": "resnet50", "steps": 2},
        "mobilenet-1s": {"backbone": "mobilenet", "steps": 1},
    }
    params = mini_params(variants=variants, seeds=[1, 2])
    make_project(root, params, images=4)
    return read_results(params, root)


@pytest.fixture(scope="module")
def frames(results: list[VariantResults]) -> dict[str, pd.DataFrame]:
    return {
        "steps": steps_frame(results),
        "miss_rate": curves_frame(results),
        "positives": positives_frame(results),
        "training": training_frame(results),
    }


def declared(root: Path) -> dict[str, dict[str, Any]]:
    """The stage report's plots in dvc.yaml that have a template, by the template's name."""
    plots = YAML(typ="safe").load((root / "dvc.yaml").read_text())["stages"]["report"]["plots"]
    entries = {path: settings for plot in plots for path, settings in plot.items() if "template" in settings}
    return {Path(settings["template"]).stem: settings | {"path": path} for path, settings in entries.items()}


def renderer_of(root: Path, name: str, frame: pd.DataFrame, revisions: tuple[str, ...]) -> VegaRenderer:
    settings = declared(root)[name]
    points = [{**row, "rev": rev} for rev in revisions for row in frame.astype(str).to_dict(orient="records")]
    return VegaRenderer(
        points,
        settings["path"],
        template=str(root / settings["template"]),
        template_dir=None,
        x=settings["x"],
        y=settings["y"],
        title=settings["path"],
        revs_with_datapoints=list(revisions),
        anchors_y_definitions=[{"filename": settings["path"], "field": settings["y"]}],
    )


def by_dvc(root: Path, name: str, frame: pd.DataFrame, revisions: tuple[str, ...]) -> dict[str, Any]:
    return json.loads(renderer_of(root, name, frame, revisions).partial_html())


def fields(part: Any) -> set[str]:
    """Every field that a specification names."""
    if isinstance(part, dict):
        own = {part["field"]} if isinstance(part.get("field"), str) else set()
        return own.union(*(fields(value) for key, value in part.items() if key != "values"))
    return set().union(*(fields(entry) for entry in part)) if isinstance(part, list) else set()


def made(part: Any) -> set[str]:
    """Every field that its transforms make."""
    if isinstance(part, dict):
        own = {part["as"]} if isinstance(part.get("as"), str) else set()
        return own.union(*(made(value) for key, value in part.items() if key != "values"))
    return set().union(*(made(entry) for entry in part)) if isinstance(part, list) else set()


@pytest.mark.parametrize("name", NAMES)
def test_dvc_fills_it_and_finds_every_field(root: Path, name: str, frames: dict[str, pd.DataFrame]) -> None:
    chart = by_dvc(root, name, frames[name], ("workspace", "HEAD"))
    text = json.dumps(chart)
    assert "<DVC" not in text
    assert len(chart["data"]["values"]) == 2 * len(frames[name]) > 0
    assert fields(chart) - {"from", "to"} <= made(chart) | set(frames[name]) | {"rev"}
    assert "/" not in chart["title"]["text"]  # words, no path
    legends = [part for part in find(chart, "rev") if "legend" in part and part["legend"] is not None]
    assert len(legends) <= 1  # revisions are named once


def find(part: Any, field: str) -> list[dict[str, Any]]:
    if isinstance(part, dict):
        own = [part] if part.get("field") == field else []
        return own + [found for value in part.values() for found in find(value, field)]
    return [found for entry in part for found in find(entry, field)] if isinstance(part, list) else []


@pytest.mark.parametrize("name", NAMES)
def test_the_page_has_the_same_chart_without_revisions(name: str, frames: dict[str, pd.DataFrame]) -> None:
    rows = rows_of(frames[name])
    chart = filled(name, rows)
    assert chart["data"]["values"] == rows
    assert not find(chart, "rev")
    assert set(made(chart)) >= {"panel"}


def test_both_axes_of_the_miss_rate_are_logarithmic_with_round_ticks() -> None:
    chart = filled("miss_rate", [])
    x = chart["spec"]["encoding"]["x"]
    assert x["scale"]["type"] == "log"
    assert x["axis"]["values"] == [0.01, 0.03, 0.1, 0.3, 1, 3, 10]
    line = next(layer for layer in chart["spec"]["layer"] if layer["mark"]["type"] == "line")
    assert line["encoding"]["y"]["scale"]["type"] == "log"


def test_curves_begin_at_the_first_detection() -> None:
    band = Band(
        (0.0, 0.001, 0.01, 0.1, 1.0), (1.0, 1.0, 0.6, 0.3, 0.0), (1.0, 1.0, 0.5, 0.2, 0.0), (1.0, 1.0, 0.7, 0.4, 0.0)
    )
    assert curve_points(band) == [(0.01, 0.6, 0.5, 0.7), (0.1, 0.3, 0.2, 0.4)]


def test_frames_hold_every_seed_or_their_band(results: list[VariantResults], frames: dict[str, pd.DataFrame]) -> None:
    steps = frames["steps"]
    assert len(steps) == (2 + 1) * 2 * 2  # test steps, IoUs, seeds
    value = steps[(steps["variant"] == "resnet50-2s") & (steps["test_step"] == 2) & (steps["iou"] == "0.75")]
    sample = results[0].miss_rate(2, 0.75)
    assert sample is not None
    assert value["miss_rate"].tolist() == list(sample.values)
    curves = frames["miss_rate"]
    assert (curves["low"] <= curves["mean"]).all()
    assert (curves["mean"] <= curves["high"]).all()
    assert (curves["low"] < curves["high"]).any()
    assert frames["training"]["update"].max() > 400  # updates, not rows


def test_a_single_loss_is_drawn_as_a_point(tmp_path: Path, frames: dict[str, pd.DataFrame]) -> None:
    frame = frames["training"]
    coloured = []
    for rows in (frame[frame["update"] == frame["update"].min()], frame[frame["update"] < 0]):
        write_png(tmp_path / "drawn.png", filled("training", rows_of(rows)))
        image = cv2.imread(str(tmp_path / "drawn.png"))
        assert image is not None
        coloured.append(int((np.ptp(image, axis=2) > 60).sum()))
    assert coloured[0] > coloured[1] + 500  # not the legend alone


def test_positives_are_ours_and_the_papers(frames: dict[str, pd.DataFrame]) -> None:
    paper = frames["positives"][frames["positives"]["source"] == "published"]
    assert paper[paper["stage"] == "step2"]["boxes"].sum() == 100571
    ours = frames["positives"][frames["positives"]["source"] == "measured here"]
    assert len(ours) == 5 * (3 + 2)
    assert set(ours["seeds"]) == {2}


def test_csv_has_six_digits_and_nothing_for_none() -> None:
    frame = pd.DataFrame({"a": [1 / 3, 2.0], "b": ["x", None], "c": pd.Series([1, None], dtype=object)})
    assert csv_text(frame) == "a,b,c\n0.333333,x,1\n2,,\n"


def test_png_is_drawn_without_date_or_version(tmp_path: Path, frames: dict[str, pd.DataFrame]) -> None:
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        write_png(path, filled("steps", rows_of(frames["steps"])))
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert b"tIME" not in content
    image = cv2.imread(str(tmp_path / "a.png"))
    assert image is not None
    assert image.std() > 5


def test_the_page_of_dvc_plots_fits_its_window_and_titles_its_images(
    tmp_path: Path, root: Path, frames: dict[str, pd.DataFrame]
) -> None:
    """Written by DVC's own renderer from two revisions, looked at in a browser, wide and on a phone."""
    revisions = ("main", "workspace")
    picture = tmp_path / "picture.png"
    write_png(picture, filled("steps", rows_of(frames["steps"])))
    images = [{"rev": revision, "src": str(picture)} for revision in revisions]
    renderers = [renderer_of(root, name, frames[name], revisions) for name in NAMES]
    for path in ("plots/steps.png", "plots/other.png"):
        renderers.append(ImageRenderer(images, path))
    page = tmp_path / "index.html"
    render_html(renderers, page, html_template=root / "alfnet/report/page/plots.html")
    browser = open_browser(tmp_path / "profile")
    try:
        for width in (1400, 500):
            browser.set_window_size(width, 900)
            visit(browser, page.as_uri())
            headings = [each.text for each in browser.find_elements("css selector", "body > div > h2")]
            assert headings == ["plots/other.png", "Miss rate by the step that is tested"]
            widths = "return [document.documentElement.scrollWidth, innerWidth]"
            assert browser.execute_script(widths)[0] <= browser.execute_script(widths)[1]
    finally:
        browser.quit()
