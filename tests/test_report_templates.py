"""DVC's plot templates in .dvc/plots, filled as `dvc plots` fills them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dvc_render.vega import VegaRenderer

POINTS = [
    {"variant": "a", "iou": "0.50", "fppi": "0.1", "miss_rate": "0.5", "rev": rev, "stage": "step1", "boxes": "3"}
    for rev in ("workspace", "HEAD")
]


def filled(root: Path, template: str, x: str, y: str) -> dict[str, Any]:
    renderer = VegaRenderer(
        POINTS,
        "file.csv",
        template=template,
        template_dir=root / ".dvc" / "plots",
        x=x,
        y=y,
        x_label="horizontal",
        y_label="vertical",
        title="A title",
        revs_with_datapoints=["workspace", "HEAD"],
        anchors_y_definitions=[{"filename": "file.csv", "field": y}],
    )
    return json.loads(renderer.partial_html())


@pytest.mark.parametrize(("template", "x", "y"), [("miss_rate", "fppi", "miss_rate"), ("positives", "stage", "boxes")])
def test_every_placeholder_is_filled(root: Path, template: str, x: str, y: str) -> None:
    plot = filled(root, template, x, y)
    assert "<DVC" not in json.dumps(plot)
    assert plot["data"]["values"] == POINTS
    assert plot["title"]["text"] == "A title"
    fields = {part["field"] for part in plot["spec"]["encoding"].values() if isinstance(part, dict)}
    made = {step["as"] for step in plot["transform"] if "as" in step}
    assert fields <= made | set(POINTS[0])


def test_miss_rate_has_logarithmic_axes(root: Path) -> None:
    encoding = filled(root, "miss_rate", "fppi", "miss_rate")["spec"]["encoding"]
    assert encoding["x"]["scale"]["type"] == encoding["y"]["scale"]["type"] == "log"
    assert (encoding["x"]["title"], encoding["y"]["title"]) == ("horizontal", "vertical")
    assert encoding["strokeDash"]["field"] == "rev"
