"""The report as one HTML file that needs no network: text, tables, charts and images, with their script inside."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from alfnet.files import write_text
from alfnet.params import Params
from alfnet.report.gallery import FALSE_POSITIVES_PER_IMAGE
from alfnet.report.positives import BINS, PositivesPanel
from alfnet.report.results import Curve, VariantResults, iou_key
from alfnet.report.table import Table, format_cell
from alfnet.report.tables import IOUS, SUBSETS

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
}
LOSS_POINTS = 150
_LATEX = "LaTeX"


@dataclass(frozen=True)
class PageContent:
    """What `write_page` shows."""

    params: Params
    results: Sequence[VariantResults]
    tables: Sequence[Table]
    """The ablation table first."""
    panels: Sequence[PositivesPanel]
    gallery: dict[str, Any]
    """From `gallery_data`."""
    conclusions: Sequence[str]
    images: int
    pedestrians: int
    """Of the Reasonable subset, in all validation images."""


def write_page(path: Path, content: PageContent) -> None:
    """Write the page to `path`, whole or not at all; equal content gives equal bytes."""
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=False)
    losses = _losses(content.results)
    settings = content.params
    text = environment.from_string(_part("page.html")).render(
        title=f"ALFNet: {settings.profile}",
        style=Markup(_part("style.css")),
        script=Markup("\n".join(_part(name) for name in ("charts.js", "gallery.js", "main.js"))),
        data=Markup(_json_for_script(_data(content, losses))),
        facts=[
            ("Profile", settings.profile),
            ("Data set", settings.data.name),
            ("Validation images", f"{content.images:,}"),
            ("Pedestrians (Reasonable)", f"{content.pedestrians:,}"),
            ("Image size", f"{settings.data.width} × {settings.data.height} px"),
            ("Training", f"{settings.train.updates:,} updates of {settings.train.batch} images"),
        ],
        conclusions=content.conclusions,
        comparability=_comparability(settings),
        tables=[
            {"name": table.name, "heading": HEADINGS.get(table.name, table.name), "html": table_html(table)}
            for table in content.tables
        ],
        subsets=[(name, SUBSET_MEANINGS[name]) for name in SUBSETS],
        ious=[f"{iou:g}" for iou in sorted(settings.evaluate.iou)],
        test_steps=range(1, max(result.last_step for result in content.results) + 1),
        positive_bins=BINS,
        has_losses=bool(losses),
        has_gallery=bool(content.gallery["images"]),
        gallery_text=(
            f"{len(content.gallery['images'])} of {content.images} validation images, chosen by a fixed rule: those "
            "with the most pedestrians found, the most missed, the most false positives, the most changes from first "
            "to last step, and some evenly spaced. At first, detections are shown down to the score that gives "
            f"{FALSE_POSITIVES_PER_IMAGE:g} false positives per image over all validation images, which makes "
            "variants comparable; or choose a score of your own."
        ),
    )
    write_text(path, text)


def table_html(table: Table) -> Markup:
    """Return a table as HTML with its caption and, folded up, the forms to copy; paper columns have their own class."""
    if not table.rows:
        return Markup('<p class="caption">{}</p>').format(table.caption)
    numeric = [table.is_numeric(index) for index in range(len(table.columns))]
    minor = [_is_minor(table, index) for index in range(len(table.columns))]
    best = [_best(table, index) for index in range(len(table.columns))]
    head = Markup("").join(
        Markup('<th scope="col"{}>{}</th>').format(
            _classes(number=numeric[index], paper=column.is_paper, minor=minor[index]), _heading(column.title)
        )
        for index, column in enumerate(table.columns)
    )
    body = Markup("")
    for place, row in enumerate(table.rows):
        is_first = place == 0 or table.rows[place - 1][0] != row[0]
        cells = Markup('<th scope="row">{}</th>').format(row[0])
        for index, cell in enumerate(row[1:], start=1):
            classes = _classes(
                number=numeric[index],
                paper=table.columns[index].is_paper,
                best=best[index] is not None and format_cell(cell, "") == best[index],
                none=cell is None,
                minor=minor[index],
            )
            cells += Markup("<td{}>{}</td>").format(classes, format_cell(cell, "–"))
        body += Markup("<tr{}>{}</tr>\n").format(_classes(first=is_first), cells)
    forms = Markup("").join(
        Markup("<details><summary>{}</summary><pre>{}</pre></details>").format(f"as {name}", text)
        for name, text in (("CSV", table.csv()), ("Markdown", table.markdown()), (_LATEX, table.latex()))
    )
    return Markup(
        '<div class="scroll" tabindex="0" role="region" aria-label="{}"><table>\n<thead><tr>{}</tr></thead>\n'
        '<tbody>\n{}</tbody>\n</table></div>\n<p class="caption">{}</p>\n<div class="forms">{}</div>'
    ).format(HEADINGS.get(table.name, table.name), head, body, table.caption, forms)


def _classes(**present: bool) -> Markup:
    names = " ".join(name for name, there in present.items() if there)
    return Markup(' class="{}"').format(names) if names else Markup("")


def _heading(title: str) -> Markup:
    title = title.replace("IoU ", "IoU\u00a0")
    prefix, _, rest = title.rpartition(": ") if title.startswith("Paper: ") else ("", "", title)
    return Markup("{}:<br>{}").format(prefix, rest) if prefix else escape(rest)


def _is_minor(table: Table, index: int) -> bool:
    """Whether a narrow window leaves a column out: the variants' names say the same, or it is empty."""
    return table.columns[index].name in ("backbone", "steps", "source") or all(row[index] is None for row in table.rows)


def _best(table: Table, index: int) -> str | None:
    """The lowest measured miss rate of a column, as printed; None for columns that are not ranked."""
    name = table.columns[index].name
    if not (name.startswith("mr_") or name in SUBSETS):
        return None
    cells = [row[index] for row in table.rows if isinstance(row[index], float)]
    return format_cell(min(cells), "") if len(cells) > 1 else None  # type: ignore[type-var]


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


def _data(content: PageContent, losses: dict[str, dict[str, Any]]) -> dict[str, Any]:
    ious = sorted(content.params.evaluate.iou)
    return {
        "variants": [
            {"name": result.name, "backbone": result.settings.backbone, "steps": list(result.steps)}
            for result in content.results
        ],
        "tableIous": [f"{iou:g}" for iou in IOUS],
        "missRates": {
            result.name: {
                str(step): {f"{iou:g}": metrics[iou_key(iou)] for iou in ious if iou_key(iou) in metrics}
                for step, metrics in result.steps.items()
            }
            for result in content.results
        },
        "curves": {result.name: _curves(result, ious) for result in content.results},
        "positiveBins": BINS,
        "positives": [
            {
                "name": panel.name,
                "stages": [stage.replace("step", "step ") for stage in panel.stages],
                "bins": panel.bins,
                "groundTruths": panel.ground_truths,
            }
            for panel in content.panels
        ],
        "lossSeries": list(losses),
        "losses": losses,
        "gallery": content.gallery,
    }


def _curves(result: VariantResults, ious: Sequence[float]) -> dict[str, Any]:
    curves: dict[str, Any] = {str(step): {f"{iou:g}": {} for iou in ious} for step in result.steps}
    for (step, iou, subset), curve in result.curves.items():
        if step in result.steps and iou in ious:
            curves[str(step)][f"{iou:g}"][subset] = [_short(curve[0]), _short(curve[1])]
    return curves


def _losses(results: Sequence[VariantResults]) -> dict[str, dict[str, Any]]:
    names = dict.fromkeys(name for result in results for name in result.losses)
    return {
        name: {result.name: _thinned(result.losses[name]) for result in results if name in result.losses}
        for name in names
    }


def _thinned(curve: Curve) -> list[list[float]]:
    """At most LOSS_POINTS points, each the mean of neighbours; values that are no numbers are left out."""
    points = [(x, y) for x, y in zip(*curve, strict=True) if math.isfinite(y)]
    size = max(1, math.ceil(len(points) / LOSS_POINTS))
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    means = [[sum(values) / len(group) for values in zip(*group, strict=True)] for group in groups]
    return [_short([x for x, _ in means]), _short([y for _, y in means])]


def _short(values: Sequence[float]) -> list[float]:
    """Four significant digits: more cannot be seen."""
    return [float(f"{value:.4g}") for value in values]


def _json_for_script(value: Any) -> str:
    # A "</script>" inside a string would end the script element.
    return json.dumps(value, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _part(name: str) -> str:
    return resources.files("alfnet.report").joinpath("page", name).read_text(encoding="utf-8")
