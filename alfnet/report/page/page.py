"""The page: text, tables and charts in one HTML file that needs no network, with the images' data beside it."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup

from alfnet.evaluation.subsets import SUBSETS, Subset
from alfnet.explorer.page import json_for_script, shared_script, shared_style
from alfnet.files import write_text
from alfnet.params import Params
from alfnet.report.charts import filled, library, rows_of
from alfnet.report.curves import curve_points
from alfnet.report.page.explorer import FALSE_POSITIVES_PER_IMAGE, ExplorerData
from alfnet.report.results import Sample, VariantResults
from alfnet.report.table import Table, format_cell, format_number
from alfnet.report.tables import evaluated_subsets, subset_meaning

# What the subsets' names stand for (docs/method.md#miss-rate): height in pixels, visible part.
SUBSET_MEANINGS = {
    "reasonable": "from 50 px, 65 % visible",
    "heavy": "from 50 px, up to 65 % visible",
    "partial": "from 50 px, 65 to 90 % visible",
    "bare": "from 50 px, 90 % visible",
    "occluded": "from 50 px, 20 to 65 % visible",
    "small": "50 to 75 px, 65 % visible",
    "medium": "75 to 100 px, 65 % visible",
    "large": "from 100 px, 65 % visible",
    "all": "from 20 px, 20 % visible",
}
HEADINGS = {
    "ablation": "Ablation table",
    "steps": "Steps in training by step tested",
    "fusion": "Fusion of scores and boxes",
    "thresholds": "IoU thresholds in training",
    "backbones": "Backbones",
    "subsets": "Subsets, and other methods",
    "precision": "Average precision",
    "caltech": "The paper's second data set, Caltech",
    "deploy": "Exported detectors: float32 and int8",
}
RENDERED = (
    "The images are rendered street scenes in CityPersons' formats, with their annotations known exactly; no figure here "
    "says anything about real streets. They were made easy so that minutes of training teach something: people wear "
    "strong colours on a muted street, and their heights were chosen where thin networks can learn them."
)
_SCRIPTS = ("state.js", "charts.js", "compare.js", "explorer.js", "main.js")


@dataclass(frozen=True)
class PageContent:
    """What `write_page` shows."""

    params: Params
    results: Sequence[VariantResults]
    tables: Sequence[Table]
    """The ablation table first, with the statements in its footer."""
    frames: Mapping[str, pd.DataFrame]
    """The charts' rows, by the charts' names."""
    explorer: ExplorerData
    images: int
    pedestrians: int
    """Of the Reasonable subset, in all validation images."""


def write_page(path: Path, content: PageContent) -> None:
    """Write the page to `path`, whole or not at all; equal content gives equal bytes."""
    settings = content.params
    size = f"{settings.data.width} × {settings.data.height} px" if settings.data.width else "several"
    text = (
        _environment()
        .get_template("page.html")
        .render(
            title=f"ALFNet: {settings.profile}",
            script=Markup(shared_script()) + _scripts(*_SCRIPTS),
            library=Markup(library()),
            data=Markup(json_for_script(_data(content))),
            facts=[
                ("Profile", settings.profile),
                ("Data set", settings.data.name),
                ("Validation images", f"{content.images:,}"),
                ("Pedestrians (Reasonable)", f"{content.pedestrians:,}"),
                ("Image size", size),
                ("Training", f"{settings.train.updates:,} updates of {settings.train.batch} images"),
                ("Seeds", ", ".join(map(str, settings.seeds))),
            ],
            statements=content.tables[0].footer,
            rendered=RENDERED if settings.data.name in settings.synthetic else "",
            comparability=_comparability(settings),
            scores=settings.detect.scores,
            tables=[_shown(table) for table in content.tables],
            subsets=[(one.name, _meaning(one)) for one in evaluated_subsets(settings)],
            test_steps=range(1, max(result.last_step for result in content.results) + 1),
            several_seeds=len(settings.seeds) > 1,
            has_losses=not content.frames["training"].empty,
            explorer_text=_explorer_text(content.explorer),
        )
    )
    write_text(path, text)


def _shown(table: Table) -> dict[str, Any]:
    """A table for the template: columns that hold something, cells as text, the best of each column marked."""
    shown = table.filled()
    columns = [
        {
            "title": table.columns[index].title.replace("IoU ", "IoU\u00a0"),
            "number": table.is_numeric(index),
            "paper": table.columns[index].is_paper,
            "minor": table.columns[index].name in ("backbone", "steps", "source"),
        }
        for index in shown
    ]
    best = [_best(table, index) for index in shown]
    rows = []
    for place, row in enumerate(table.rows):
        cells = [
            {
                "text": table.text(row[index]),
                "none": row[index] is None,
                "best": best[n] is not None and format_number(row[index]) == best[n],
                "told": _told(table, row[index]),
            }
            for n, index in enumerate(shown)
        ]
        rows.append({"cells": cells, "first": place == 0 or table.rows[place - 1][0] != row[0]})
    return {
        "name": table.name,
        "heading": HEADINGS.get(table.name, table.name),
        "columns": columns,
        "rows": rows,
        "caption": table.caption,
        "forms": [("CSV", table.csv()), ("Markdown", table.markdown()), ("LaTeX", table.latex())],
    }


def _told(table: Table, cell: Any) -> str:
    """What a Sample's tooltip says: each seed's value, and the interval that the images leave it."""
    if not isinstance(cell, Sample):
        return ""
    said = []
    for place, value in enumerate(cell.values):
        if value is None:
            continue
        parts = [f"seed {table.seeds[place]}: {value:.2f}"] if cell.n > 1 else []
        if place < len(cell.over_images) and (interval := cell.over_images[place]) is not None:
            parts.append(f"over images: {interval[0]:.2f} to {interval[1]:.2f}")
        said.append(", ".join(parts))
    return "; ".join(filter(None, said))


def _best(table: Table, index: int) -> str | None:
    """The lowest measured miss rate of a column, or the highest precision, as printed; None for columns that are not ranked."""
    name = table.columns[index].name
    precision = table.name == "precision"
    if not (name.startswith("mr_") or precision or (table.name == "subsets" and not table.columns[index].is_paper)):
        return None
    means = [cell.mean for row in table.rows if isinstance(cell := row[index], Sample) and cell.n]
    return f"{(max if precision else min)(means):.2f}" if len(means) > 1 else None


def _comparability(params: Params) -> str:
    if params.data.name == "citypersons":
        return (
            "Published figures stand in columns of their own. In the ablation table they are given only where a "
            "run's settings are the paper's."
        )
    return (
        f"Measured on the data set '{params.data.name}', not on CityPersons. Published figures stand in columns of "
        "their own, to compare in direction only: the numbers differ in size because the images, the networks and "
        "the training do."
    )


def _explorer_text(explorer: ExplorerData) -> str:
    index = explorer.index
    shown, sets = len(index["images"]), len(index["sets"])
    pictured = sum(image["has"] for image in index["images"])
    beside = (
        "Another variant, seed or test step beside it gives both miss rates, what their difference is worth, and whom one "
        "alone finds. "
        if sets > 1 or len(index["sets"][0]["steps"]) > 1
        else ""
    )
    sizes = (
        f"Thumbnails ({_megabytes(explorer.bytes_of_thumbnails)} in all) load as you scroll, an image "
        f"({_megabytes(explorer.bytes_of_images / max(1, pictured))}) when it is enlarged or cropped, the detections "
        f"of a variant and seed ({_megabytes(explorer.bytes_of_outcomes / max(1, sets))}) when they are chosen."
    )
    return (
        f"All {shown:,} validation images. {sizes} At first, detections are shown down to the score that gives "
        f"{FALSE_POSITIVES_PER_IMAGE:g} false positives per image over all of them, which makes variants comparable; or "
        f"choose a score of your own. {beside}The address keeps what you choose: copy it to show somebody else the same."
    )


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{max(1, round(size / 1e3))} KB"


def _data(content: PageContent) -> dict[str, Any]:
    ious = sorted(content.params.evaluate.iou)
    names = [result.name for result in content.results]
    subsets = [one.name for one in evaluated_subsets(content.params)]
    return {
        "variants": [{"name": result.name, "steps": list(result.steps)} for result in content.results],
        "ious": [f"{iou:g}" for iou in ious],
        "missRates": {
            result.name: {
                str(step): {f"{iou:g}": _rates(result, step, iou, subsets, len(content.params.seeds)) for iou in ious}
                for step in result.steps
            }
            for result in content.results
        },
        "curves": {result.name: _curves(result, ious) for result in content.results},
        "charts": {
            name: filled(name, [] if name == "miss_rate" else rows_of(_lean(frame)))
            for name, frame in content.frames.items()
        },
        "chartVariants": names,
        "explorer": content.explorer.index,
    }


def _lean(frame: pd.DataFrame) -> pd.DataFrame:
    """Four significant digits: more cannot be seen. NaN (no JSON) becomes None."""
    lean = frame.apply(
        lambda column: (
            column.map(lambda value: float(f"{value:.4g}")) if pd.api.types.is_float_dtype(column) else column
        )
    ).astype(object)
    return lean.where(lean.notna(), None)


def _meaning(subset: Subset) -> str:
    return SUBSET_MEANINGS[subset.name] if subset in SUBSETS else subset_meaning(subset)


def _rates(result: VariantResults, step: int, iou: float, subsets: Sequence[str], seeds: int) -> dict[str, str]:
    """The miss rates of a test step as they are printed, by subset."""
    return {subset: format_cell(result.miss_rate(step, iou, subset), seeds) for subset in subsets}


def _curves(result: VariantResults, ious: Sequence[float]) -> dict[str, Any]:
    """Per test step, IoU and subset: [FPPI, mean, lowest, highest miss rate], from the first detection on."""
    curves: dict[str, Any] = {str(step): {f"{iou:g}": {} for iou in ious} for step in result.steps}
    for (step, iou, subset), band in result.curves.items():
        points = [point for point in curve_points(band) if 0.0099 <= point[0] <= 10.01]
        if points and step in result.steps and iou in ious:
            curves[str(step)][f"{iou:g}"][subset] = [_short(column) for column in zip(*points, strict=True)]
    return curves


def _short(values: Sequence[float]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]


@functools.cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_part), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.globals["style"] = Markup(shared_style() + _part("style.css"))
    return environment


def _scripts(*names: str) -> Markup:
    return Markup("\n".join(_part(name) for name in names))


def _part(name: str) -> str:
    return resources.files("alfnet.report.page").joinpath(name).read_text(encoding="utf-8")
