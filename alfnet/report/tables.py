"""The ablation tables of the paper, with our measurements and the paper's figures in columns of their own.

Columns of published figures are called `paper_...`; nothing that was measured here stands in them, and the other way
round. Miss rates are log-average miss rates in percent, each a `Sample` over the seeds; without another word they are of
the Reasonable subset at the last test step.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from alfnet.evaluation.subsets import NOT_OCCLUDED, Subset, chosen_subsets
from alfnet.evaluation.subsets import SUBSETS as PUBLISHED_SUBSETS
from alfnet.params import Params
from alfnet.report.paper import (
    THRESHOLDS_MODEL,
    has_published_thresholds,
    model_name,
    paper_figures,
    published_miss_rates,
    published_model,
    step_miss_rates,
    threshold_miss_rates,
)
from alfnet.report.results import PRECISIONS, DeployedResults, VariantResults, iou_key
from alfnet.report.statements import statements
from alfnet.report.table import Cell, Column, Table

IOUS = (0.5, 0.75)
SUBSETS = ("reasonable", "heavy", "partial", "bare", "occluded", "small", "medium", "large", "all")
PAPER_SUBSETS = ("reasonable", "heavy", "partial", "bare")
"""CityPersons' subsets in the order of the tables."""
_VARIANT = Column("variant", "Variant")
_MEASURED = (Column("mr_50", "MR, IoU 0.5"), Column("mr_75", "MR, IoU 0.75"))
_PAPER = (Column("paper_mr_50", "Paper: MR, IoU 0.5"), Column("paper_mr_75", "Paper: MR, IoU 0.75"))


def all_tables(
    params: Params, results: Sequence[VariantResults], deployed: Sequence[DeployedResults] = ()
) -> list[Table]:
    """Return the tables besides the ablation table: steps, fusion, thresholds, backbones, subsets, precision, and deploy."""
    tables = [
        steps_table(params, results),
        fusion_table(params, results),
        thresholds_table(params, results),
        backbones_table(params, results),
        subsets_table(params, results),
        precision_table(params, results),
    ]
    if params.data.format == "caltech":
        tables.append(caltech_table(params, results))
    return [*tables, deploy_table(params, deployed)] if deployed else tables


def ablation_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return the table of all variants and test steps; paper columns only where the run's settings are the paper's."""
    rows: list[tuple[Cell, ...]] = []
    has_paper = False
    for result in results:
        for step in result.steps:
            paper = published_miss_rates(params, result.name, step, parameters=result.parameters)
            has_paper |= paper != (None, None)
            measured = [result.miss_rate(step, iou) for iou in IOUS]
            millions = result.parameters / 1e6
            rows.append(
                (result.name, result.settings.backbone, result.settings.steps, step, *measured, *paper, millions)
            )
    columns = (
        _VARIANT,
        Column("backbone", "Backbone"),
        Column("steps", "Steps"),
        Column("test_step", "Test step"),
        *_MEASURED,
        *_PAPER,
        Column("parameters_millions", "Parameters (millions)"),
    )
    paper_note = "The paper's figures on CityPersons val stand beside the rows whose settings are the paper's"
    if not has_paper:
        on_other_data = f" (the data set is {params.data.name})" if params.data.name != "citypersons" else ""
        paper_note += f"; here no row's are{on_other_data}"
    caption = (
        "MR: log-average miss rate in percent at IoU 0.5 and 0.75, Reasonable subset; lower is better. "
        f"Test step: after how many of the model's steps the boxes are taken. "
        f"{_seeds(params, results)}{_tested(params)}{paper_note}."
    )
    table = Table("ablation", columns, tuple(rows), caption, tuple(params.seeds))
    return replace(table, footer=tuple(statements(table.frame())))


def _tested(params: Params) -> str:
    """Which weights of each training the figures are of."""
    if params.evaluate.tested == "last":
        return "The last weights of each training are tested. "
    return (
        f"Of the weights of each training those are tested, of every {params.train.snapshot_every} updates, that have the "
        "lowest miss rate on the validation images (`evaluate.tested: best`), which makes the figures look better than they "
        "are. "
    )


def steps_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return the number of steps in training by the step that is tested: a row per variant and IoU."""
    most = max(result.last_step for result in results)
    most_in_paper = max(step for figures in paper_figures()["steps"].values() for step in figures if step != "time")
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        model = model_name(result.settings) if has_published_thresholds(params, result.name) else ""
        for index, iou in enumerate(IOUS):
            measured = [result.miss_rate(step, iou) if step in result.steps else None for step in range(1, most + 1)]
            paper = [step_miss_rates(model, step)[index] for step in range(1, most_in_paper + 1)]
            rows.append((result.name, result.settings.steps, iou, *measured, *paper))
    columns = (
        _VARIANT,
        Column("steps", "Steps"),
        Column("iou", "IoU"),
        *(Column(f"test_step_{step}", f"Test step {step}") for step in range(1, most + 1)),
        *(Column(f"paper_test_step_{step}", f"Paper: test step {step}") for step in range(1, most_in_paper + 1)),
    )
    caption = (
        "Miss rate in percent by the step whose scores and boxes are tested. "
        f"{_comparison(params, results, columns, rows)}"
    )
    return Table("steps", columns, tuple(rows), caption, tuple(params.seeds))


def precision_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return COCO's average precision of all variants and test steps, which counts everybody."""
    rows = [
        (result.name, step, *(found.get(key) for key in PRECISIONS))
        for result in results
        for step, found in result.precision.items()
    ]
    columns = (
        _VARIANT,
        Column("test_step", "Test step"),
        *(
            Column(key.lower(), title)
            for key, title in zip(PRECISIONS, ("AP", "AP, IoU 0.5", "AP, IoU 0.75"), strict=True)
        ),
    )
    caption = (
        "COCO's average precision in percent; higher is better. All annotated pedestrians count, whatever their height and "
        "visibility; ignore regions are crowds. Few pedestrians of the Reasonable subset make the miss rate coarse: then this "
        f"says more. {_seeds(params, results)}".rstrip()
    )
    return Table("precision", columns, tuple(rows), caption, tuple(params.seeds))


_FUSED = {"product": "The product", "mean": "The sum, divided by the number of steps,"}


def fusion_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return the combinations of the steps' scores (C) and boxes (B), for the models of two and more steps."""
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        has_paper = model_name(result.settings) == THRESHOLDS_MODEL and has_published_thresholds(params, result.name)
        for key in sorted(result.fusion, key=_fusion_order):
            measured = [result.fusion_miss_rate(key, iou) for iou in IOUS]
            paper = [paper_figures()["fusion"][f"iou_{iou:.2f}"].get(key) if has_paper else None for iou in IOUS]
            rows.append((result.name, fusion_title(key), *measured, *paper))
    columns = (_VARIANT, Column("combination", "Combination"), *_MEASURED, *_PAPER)
    caption = (
        "Miss rate in percent. C1, C2, ...: the scores of steps 1, 2, ...; B1, B2, ...: their boxes. "
        f"{_FUSED[params.detect.scores]} with the last step's boxes is what the last test step uses. "
        f"{_comparison(params, results, columns, rows)}"
    )
    if _has_paper(columns, rows):
        caption += " As printed, the paper's C1B2 equals test step 1 of its table of steps, not C1B1."
    return Table("fusion", columns, tuple(rows), caption, tuple(params.seeds))


def thresholds_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return the training IoU thresholds; rows where variants of one backbone and number of steps differ in them."""
    groups: dict[tuple[str, int], list[VariantResults]] = {}
    for result in results:
        if result.thresholds and len(result.thresholds) > 1:
            groups.setdefault((result.settings.backbone, result.settings.steps), []).append(result)
    shown = [group for group in groups.values() if len({result.thresholds for result in group}) > 1]
    most = max((group[0].settings.steps for group in shown), default=2)
    rows: list[tuple[Cell, ...]] = []
    for result in (result for group in shown for result in group):
        pairs = [
            *(f"({lower:g}, {upper:g})" for lower, upper in result.thresholds),
            *[None] * (most - len(result.thresholds)),
        ]
        measured = [result.miss_rate(result.last_step, iou) for iou in IOUS]
        has_paper = model_name(result.settings) == THRESHOLDS_MODEL
        rows.append(
            (result.name, *pairs, *measured, *(threshold_miss_rates(result.thresholds) if has_paper else (None, None)))
        )
    columns = (
        _VARIANT,
        *(Column(f"step_{step}", f"Step {step} (lower, upper)") for step in range(1, most + 1)),
        *_MEASURED,
        *_PAPER,
    )
    caption = (
        "Per step (lower, upper): in training a box is negative below the lower IoU and positive from the upper one "
        "on. Miss rate in percent at the last test step. "
    )
    if rows:
        caption += _comparison(params, results, columns, rows)
    else:
        caption += (
            "In this run no two variants differ in their thresholds alone. Variants with thresholds of their own "
            "fill the table; profiles/citypersons.yaml has the paper's six pairs."
        )
    return Table("thresholds", columns, tuple(rows), caption, tuple(params.seeds))


def backbones_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return backbones and sizes at the last test step. The paper's MobileNet has no figure with a source: none here."""
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        measured = [result.miss_rate(result.last_step, iou) for iou in IOUS]
        model = model_name(result.settings) if has_published_thresholds(params, result.name) else ""
        millions = paper_figures()["parameters_millions"].get(model)
        settings = (result.settings.backbone, result.settings.steps, result.parameters / 1e6)
        rows.append((result.name, *settings, *measured, millions, *step_miss_rates(model, result.last_step)))
    columns = (
        _VARIANT,
        Column("backbone", "Backbone"),
        Column("steps", "Steps"),
        Column("parameters_millions", "Parameters (millions)"),
        *_MEASURED,
        Column("paper_parameters_millions", "Paper: parameters (millions)"),
        *_PAPER,
    )
    caption = (
        f"Parameters, and miss rate in percent at the last test step. {_comparison(params, results, columns, rows)} "
        "The published layout's parameters were counted, not printed. The time per image stands in timings/timings.md, "
        "because it differs from run to run."
    )
    return Table("backbones", columns, tuple(rows), caption, tuple(params.seeds))


def subsets_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return all subsets at IoU 0.5 and the last test step, with the published rows of other methods below ours."""
    subsets = evaluated_subsets(params)
    # The published ones stand first, the paper's column beside ours; the same name with other ranges has none.
    of_paper = [one.name for one in subsets if one.name in PAPER_SUBSETS and one in PUBLISHED_SUBSETS]
    shown = [
        *(
            column
            for name in of_paper
            for column in (Column(name, name.capitalize()), Column(f"paper_{name}", f"Paper: {name.capitalize()}"))
        ),
        *(Column(one.name, one.name.capitalize()) for one in subsets if one.name not in of_paper),
    ]
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        measured = {one.name: result.miss_rate(result.last_step, 0.5, one.name) for one in subsets}
        rows.append((result.name, "measured here", *(measured.get(column.name) for column in shown)))
    # Caltech's published figures stand in a table of their own, and CityPersons' beside them would mislead.
    for method, figures in {} if params.data.format == "caltech" else paper_figures()["subsets"].items():
        name = f"{method} ({THRESHOLDS_MODEL})" if method == "ALFNet" else method
        published = {f"paper_{subset}": figure for subset, figure in zip(PAPER_SUBSETS, figures, strict=True)}
        rows.append((name, "published", *(published.get(column.name) for column in shown)))
    columns = (Column("method", "Method"), Column("source", "Source"), *shown)
    ranges = (
        "reasonable ≥ 50, ≥ 0.65; heavy ≥ 50, ≤ 0.65; partial ≥ 50, 0.65 to 0.9; bare ≥ 50, ≥ 0.9; occluded ≥ 50, 0.2 to "
        "0.65; small 50 to 75, medium 75 to 100, large ≥ 100, each ≥ 0.65; all ≥ 20, ≥ 0.2"
        if {one.name for one in subsets} == set(SUBSETS) and set(subsets) == set(PUBLISHED_SUBSETS)
        else "; ".join(f"{one.name} {', '.join(_bounds(one))}" for one in subsets)
    )
    caption = (
        f"Miss rate in percent at IoU 0.5, last test step. Subsets by height (px) and visible part: {ranges}. "
        f"{_comparison(params, results, columns, rows)}"
    )
    return Table("subsets", columns, tuple(rows), caption, tuple(params.seeds))


def evaluated_subsets(params: Params) -> list[Subset]:
    """The subsets of `evaluate.subsets` in the order of the tables: the paper's, CityPersons' other ones, one's own."""
    order = {name: place for place, name in enumerate(SUBSETS)}
    return sorted(chosen_subsets(params.evaluate.subsets), key=lambda one: order.get(one.name, len(order)))


def subset_meaning(subset: Subset) -> str:
    """What a subset holds, for readers: "height 50 to 75 px, visible from 65 %"."""
    height, visible, *more = _bounds(subset, percent=True)
    return ", ".join((f"height {height} px", f"visible {visible}", *more))


def _bounds(subset: Subset, *, percent: bool = False) -> list[str]:
    """The ranges of heights and of visible parts, and what else a subset asks for, as text."""
    if subset.visible_ratio == NOT_OCCLUDED:
        visible = "wholly"
    else:
        low, high = (bound * 100 if percent else bound for bound in subset.visible_ratio)
        visible = _span(low, high) + (" %" if percent else "")
    deviation = subset.aspect_deviation
    more = [] if deviation is None else [f"width / height off 0.41 by {_span(*deviation)}"]
    if subset.margin is not None:
        more.append(f"height margin {subset.margin:g}")
    return [_span(*subset.height), visible, *more]


def _span(low: float, high: float) -> str:
    if math.isinf(high):
        return f"≥ {max(low, 0):g}"
    return f"≤ {high:g}" if low <= 0 else f"{low:g} to {high:g}"


def caltech_table(params: Params, results: Sequence[VariantResults]) -> Table:
    """Return our models on the Caltech test set above what the paper shows there, Reasonable, at both IoU thresholds."""
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        measured = [result.miss_rate(result.last_step, iou) for iou in IOUS]
        rows.append((result.name, "measured here", *measured, None, None))
    rows += [(method, "published", None, None, *figures) for method, figures in paper_figures()["caltech"].items()]
    columns = (Column("method", "Method"), Column("source", "Source"), *_MEASURED, *_PAPER)
    caption = (
        f"Caltech test set, Reasonable, last test step: miss rate in percent. {_seeds(params, results)}Ours by the protocol "
        f"{params.evaluate.protocol}. The paper's figures are those of its plots, which do not say whether the original or "
        "the new annotations were used; that of RPN+BF (7.3) is known from the new ones. What ALFNet was trained with there "
        "is not published."
    )
    return Table("caltech", columns, tuple(rows), caption, tuple(params.seeds))


def deploy_table(params: Params, deployed: Sequence[DeployedResults]) -> Table:
    """Return what int8 costs: a row per deployed variant and IoU, with the change of every subset."""
    rows: list[tuple[Cell, ...]] = []
    subsets = [one.name for one in evaluated_subsets(params)]
    for result in deployed:
        for iou in IOUS:
            rates = [result.miss_rates[precision][iou_key(iou)]["reasonable"] for precision in ("float32", "int8")]
            changes = [result.change[iou_key(iou)].get(subset) for subset in subsets]
            rows.append((result.name, result.format, iou, *rates, *changes, result.bytes / 1e6))
    columns = (
        _VARIANT,
        Column("format", "Format"),
        Column("iou", "IoU"),
        Column("float32", "MR, float32"),
        Column("int8", "MR, int8"),
        *(Column(f"change_{subset}", f"Change: {subset.capitalize()}") for subset in subsets),
        Column("int8_megabytes", "int8, MB"),
    )
    caption = (
        "Exported detectors, last test step: miss rate in percent (Reasonable) of the file in float32 and of the one in int8, "
        f"and by how many points int8 is higher, per subset. {_seeds(params)}Calibrated on "
        f"{params.deploy.calibration_images} training images."
    )
    return Table("deploy", columns, tuple(rows), caption, tuple(params.seeds))


def timings_table(results: Sequence[VariantResults], timings: Mapping[str, Mapping[str, Any]]) -> Table:
    """Return seconds per image and what they were measured on. Not for files that are hashed: no two runs agree."""
    rows: list[tuple[Cell, ...]] = []
    for result in results:
        timing = timings.get(result.name, {})
        paper = paper_figures()["steps"].get(model_name(result.settings), {}).get("time", {}).get(result.last_step)
        seconds = timing.get("seconds_per_image")
        shown = (None, None) if seconds is None else (f"{seconds:.4f}", f"{1 / seconds:.1f}" if seconds else None)
        rows.append(
            (result.name, result.parameters / 1e6, *shown, timing.get("images"), _one(timing.get("machine")), paper)
        )
    columns = (
        _VARIANT,
        Column("parameters_millions", "Parameters (millions)"),
        Column("seconds_per_image", "Seconds per image"),
        Column("images_per_second", "Images per second"),
        Column("images", "Images measured"),
        Column("machine", "Machine"),
        Column("paper_seconds_per_image", "Paper: seconds per image"),
    )
    caption = (
        "Time per image, all steps, network to final boxes, measured on this machine with the first seed's weights. "
        "Paper: full-size models, 1024 × 2048 images, one GTX 1080Ti; the two are not comparable unless model, image "
        "size and device are."
    )
    return Table("timings", columns, tuple(rows), caption)


def _one(machine: str | None) -> str | None:
    """What a time was measured on, with '1 thread' for '1 threads'."""
    return None if machine is None else re.sub(r"\b1 threads\b", "1 thread", machine)


def _fusion_order(combination: str) -> tuple[bool, bool, str]:
    """The paper's order: C1B1, C1B2, C2B2, then the sum, then the product."""
    return ("_" in combination, "*" in combination, combination)


def fusion_title(combination: str) -> str:
    """Return the paper's spelling of a combination: 'C1+C2_B2' becomes '(C1+C2)B2', 'C1B1' stays."""
    scores, _, boxes = combination.rpartition("_")
    return f"({scores}){boxes}" if scores else boxes


def _seeds(params: Params, results: Sequence[VariantResults] = ()) -> str:
    """What the figures are means of; an imported detector among trained ones is not of the seeds."""
    n = len(params.seeds)
    if n == 1:
        return ""
    imported = [result.name for result in results if len(result.seeds) < n]
    verb = "is" if len(imported) == 1 else "are"
    apart = f"; {', '.join(imported)} {verb} imported and measured once (n = 1)" if imported else ""
    return f"Mean ± standard deviation over {n} seeds{apart}; the CSV file has each seed's value. "


def _has_paper(columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]]) -> bool:
    """Whether any of the paper's figures stands in the rows; a column without any is not shown."""
    paper = [index for index, column in enumerate(columns) if column.name.startswith("paper_")]
    return any(row[index] is not None for row in rows for index in paper)


def _comparison(
    params: Params, results: Sequence[VariantResults], columns: Sequence[Column], rows: Sequence[tuple[Cell, ...]]
) -> str:
    if not _has_paper(columns, rows):
        return f"{_seeds(params, results)}No row has the paper's settings, so none of its figures stands beside them."
    note = (
        f"{_seeds(params, results)}The paper's columns are published figures, measured on CityPersons val at full size "
        "(1024 × 2048)"
    )
    if params.data.name != "citypersons":
        size = f" ({params.data.height} × {params.data.width})" if params.data.height and params.data.width else ""
        return (
            f"{note}; ours were measured on the data set '{params.data.name}'{size}: the two are comparable in "
            "direction only, not in size."
        )
    same = all(
        published_model(params, result.name, parameters=result.parameters)
        or not has_published_thresholds(params, result.name)
        for result in results
    )
    return f"{note}." if same else f"{note}; some of our variants have other settings than the paper's."
