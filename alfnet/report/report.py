"""The report: all tables, figures and the page, from the files that the stages before it wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alfnet.errors import AlfnetError
from alfnet.evaluation.miss_rate import SUBSETS, outside
from alfnet.files import write_text
from alfnet.params import Params
from alfnet.reading.ground_truth import read_ground_truth
from alfnet.report.curves import write_curves_csv, write_curves_png
from alfnet.report.gallery import choose_images, gallery_data
from alfnet.report.outcomes import read_outcomes
from alfnet.report.page import PageContent, write_page
from alfnet.report.paper import THRESHOLDS_MODEL
from alfnet.report.positives import positives_panels, write_positives_csv, write_positives_png
from alfnet.report.results import VariantResults, read_results, read_timings
from alfnet.report.sheet import SHEET_IMAGES, write_sheet
from alfnet.report.summary import ablation_rows, conclusions, print_summary
from alfnet.report.table import Table
from alfnet.report.tables import IOUS, ablation_table, all_tables, timings_table

__all__ = ["Report", "make_report", "print_summary", "reference_variant"]


@dataclass(frozen=True)
class Report:
    """What was measured, and the tables made of it."""

    results: list[VariantResults]
    ablation: Table
    tables: list[Table]
    conclusions: list[str]


def make_report(params: Params, *, root: Path, timings: Mapping[str, float] | None = None) -> Report:
    """Read the results of all variants of the parameters below `root`, and write the report there.

    Reads evaluation/, detections/, models/, plots/training/, cache/ground_truth.json and the validation images; writes
    plots/ablation.csv and .md, plots/tables/*, plots/miss_rate_curves.csv and .png, plots/positives.csv and .png,
    plots/detections.png and report/index.html: the same bytes for the same results.

    Args:
        params: only the variants named there are read.
        root: the project's folder.
        timings: seconds per image by variant; None takes what detection left in timings/. They are written to
            timings/timings.csv, .md and .tex and nowhere else, because no two runs agree.

    Raises:
        AlfnetError: a variant has no results yet (the message names the stage to run), or a file is not what it should
        be.
    """
    results = read_results(params, root)
    ground_truth_path = root / "cache" / "ground_truth.json"
    if not ground_truth_path.is_file():
        raise AlfnetError("cache/ground_truth.json: no such file; run: dvc repro ground_truth")
    ground_truth = read_ground_truth(ground_truth_path).of_fold(params.data.fold(params.seeds[0]))
    outcomes = read_outcomes(params, root, ground_truth, IOUS)
    chosen = choose_images(outcomes, ground_truth, params.report.gallery_images)
    images = root / params.data.gallery_folder
    reference = reference_variant(results)
    gallery = gallery_data(params, outcomes, ground_truth, chosen, images, reference=reference, ious=IOUS)
    panels = positives_panels(results)

    ablation = ablation_table(params, results)
    tables = all_tables(params, results)
    report = Report(results, ablation, tables, conclusions(ablation_rows(ablation)))

    plots = root / "plots"
    write_text(plots / "ablation.csv", ablation.csv())
    write_text(plots / "ablation.md", ablation.markdown())
    for table in tables:
        _write_table(plots / "tables", table)
    write_curves_csv(plots / "miss_rate_curves.csv", results)
    write_curves_png(plots / "miss_rate_curves.png", results)
    write_positives_csv(plots / "positives.csv", panels)
    write_positives_png(plots / "positives.png", panels)
    on_sheet = choose_images(outcomes, ground_truth, SHEET_IMAGES)
    last = max(outcomes[reference])
    title = (
        f"{reference}, test step {last} of {last}, at the score that gives 0.316 false positives per image (IoU 0.5)"
    )
    write_sheet(plots / "detections.png", title, outcomes[reference][last][0.5], ground_truth, on_sheet, images)
    content = PageContent(
        params=params,
        results=results,
        tables=[ablation, *tables],
        panels=panels,
        gallery=gallery,
        conclusions=report.conclusions,
        images=len(ground_truth.image_ids),
        pedestrians=int((~outside(SUBSETS[0], ground_truth)).sum()),
    )
    write_page(root / "report" / "index.html", content)
    seconds = read_timings(params, root) if timings is None else timings
    if seconds:
        _write_table(root / "timings", timings_table(results, seconds))
    return report


def _write_table(folder: Path, table: Table) -> None:
    write_text(folder / f"{table.name}.csv", table.csv())
    write_text(folder / f"{table.name}.md", table.markdown())
    write_text(folder / f"{table.name}.tex", table.latex())


def reference_variant(results: list[VariantResults]) -> str:
    """Return the variant that the images show first: resnet50-2s, as in the paper, or the first with the most steps."""
    names = [result.name for result in results]
    if THRESHOLDS_MODEL in names:
        return THRESHOLDS_MODEL
    return max(results, key=lambda result: result.settings.steps).name
