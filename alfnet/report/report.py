"""The report: all tables, charts and the page, from the files that the stages before it wrote."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from alfnet.errors import AlfnetError
from alfnet.evaluation.miss_rate import SUBSETS, outside
from alfnet.evaluation.outcomes import outcomes
from alfnet.evaluation.protocol import find_protocol
from alfnet.files import atomic_path, write_json, write_text
from alfnet.params import Params
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections
from alfnet.report.charts import csv_text, filled, rows_of, write_png
from alfnet.report.curves import curves_frame, steps_frame, training_frame
from alfnet.report.page.explorer import DetectionSet, FindImage, write_explorer_data
from alfnet.report.page.page import PageContent, write_page
from alfnet.report.paper import THRESHOLDS_MODEL
from alfnet.report.positives import positives_frame
from alfnet.report.results import VariantResults, read_deployed, read_results, read_timings
from alfnet.report.sheet import SHEET_IMAGES, choose_images, write_sheet
from alfnet.report.summary import print_summary
from alfnet.report.table import Table
from alfnet.report.tables import IOUS, ablation_table, all_tables, timings_table

__all__ = ["Report", "make_report", "print_summary", "reference_variant", "write_timings"]

CHARTS = {
    "steps": "plots/steps",
    "miss_rate": "plots/miss_rate_curves",
    "positives": "plots/positives",
    "training": "plots/training_losses",
}
"""The charts' names and their CSV and PNG files, without suffix."""


@dataclass(frozen=True)
class Report:
    """What was measured, and the tables made of it."""

    results: list[VariantResults]
    ablation: Table
    tables: list[Table]


def make_report(params: Params, *, root: Path) -> Report:
    """Read the results of all variants of the parameters below `root`, and write the report there.

    Reads summaries/, detections/, models/, plots/training/, cache/ground_truth.json and the validation images; writes
    plots/ablation.csv and .md, plots/tables/, a CSV and a PNG file per chart (`CHARTS`), plots/detections.png and the
    folder report/ with index.html: the same bytes for the same results. What differs from run to run, the time per
    image, goes to timings/ and nowhere else (`write_timings`).

    Args:
        params: only the variants and seeds named there are read.
        root: the project's folder.

    Raises:
        AlfnetError: a variant has no results yet (the message names the stage to run), or a file is not what it should
        be. Nothing was written then.
    """
    results = read_results(params, root)
    ground_truth_path = root / "cache" / "ground_truth.json"
    if not ground_truth_path.is_file():
        raise AlfnetError("cache/ground_truth.json: no such file; run: dvc repro ground_truth")
    ground_truth = read_ground_truth(ground_truth_path)
    sets = _detection_sets(params, results, root, ground_truth)
    find_image = image_finder(root / params.data.gallery_folder)
    reference = reference_variant(results)
    protocol = find_protocol(params.evaluate.protocol)
    ablation = ablation_table(params, results)
    report = Report(results, ablation, all_tables(params, results, read_deployed(params, root)))
    frames = {
        "steps": steps_frame(results),
        "miss_rate": curves_frame(results),
        "positives": positives_frame(results),
        "training": training_frame(results),
    }
    with atomic_path(root / "report") as folder:
        explorer = write_explorer_data(
            folder,
            sets,
            ground_truth,
            find_image,
            ious=IOUS,
            protocol=protocol,
            reference=reference,
            width=params.report.image_width,
        )
        content = PageContent(
            params=params,
            results=results,
            tables=[ablation, *report.tables],
            frames=frames,
            explorer=explorer,
            images=len(ground_truth.image_ids),
            pedestrians=int((~outside(SUBSETS[0], ground_truth, protocol)).sum()),
        )
        write_page(folder / "index.html", content)
        shown = next(_detection_sets(params, [one for one in results if one.name == reference], root, ground_truth))
        _write_sheet(root / "plots" / "detections.png", shown, find_image)
        _write_charts(root, frames)
        write_text(root / "plots" / "ablation.csv", ablation.csv())
        write_text(root / "plots" / "ablation.md", ablation.markdown())
        with atomic_path(root / "plots" / "tables") as tables:
            tables.mkdir()
            for table in report.tables:
                _write_table(tables, table)
    write_timings(results, read_timings(params, root), root)
    return report


def write_timings(results: list[VariantResults], timings: Mapping[str, Mapping[str, Any]], root: Path) -> None:
    """Write what detection measured of its speed to timings/timings.{csv,md,tex}, and timings.js, which the page loads.

    Without measurements nothing is written.
    """
    if not timings:
        return
    table = timings_table(results, timings)
    folder = root / "timings"
    _write_table(folder, table)
    rows = [[_plain(cell) for cell in row] for row in table.rows]
    shown = {"columns": [column.title for column in table.columns], "rows": rows, "caption": table.caption}
    write_json(folder / "timings.json", shown)
    text = (folder / "timings.json").read_text(encoding="utf-8").strip()
    write_text(folder / "timings.js", f"window.alfnetTimings = {text};\n")
    (folder / "timings.json").unlink()


def image_finder(folder: Path) -> FindImage:
    """Return where an image lies below `folder`: by its name, or (CityPersons) in the folder of its city."""

    def find(name: str) -> Path:
        direct = folder / name
        return direct if direct.is_file() else folder / name.split("_")[0] / name

    return find


def reference_variant(results: list[VariantResults]) -> str:
    """Return the variant that images show first: resnet50-2s, as in the paper, or the first with the most steps."""
    names = [result.name for result in results]
    if THRESHOLDS_MODEL in names:
        return THRESHOLDS_MODEL
    return max(results, key=lambda result: result.settings.steps).name


def _detection_sets(
    params: Params, results: list[VariantResults], root: Path, ground_truth: GroundTruth
) -> Iterator[DetectionSet]:
    """Read one set after the other; a file that is missing is told before the first."""
    places = [(result, seed, _step_files(result, seed, root)) for result in results for seed in result.seeds]
    return (_detection_set(params, *place, ground_truth) for place in places)


def _step_files(result: VariantResults, seed: int, root: Path) -> dict[int, Path]:
    folder = root / "detections" / result.name / str(seed)
    files = {step: folder / f"step{step}.json" for step in result.steps}
    for path in files.values():
        if not path.is_file():
            raise AlfnetError(
                f"{path.relative_to(root).as_posix()}: no such file, variant {result.name} lacks it; "
                f"run: dvc repro detect@{result.name}-{seed}"
            )
    return files


def _detection_set(
    params: Params, result: VariantResults, seed: int, files: Mapping[int, Path], ground_truth: GroundTruth
) -> DetectionSet:
    own = ground_truth.of_fold(params.data.fold(seed))
    return DetectionSet(result.name, {step: read_detections(path, own) for step, path in files.items()}, seed, own)


def _write_charts(root: Path, frames: Mapping[str, pd.DataFrame]) -> None:
    for name, frame in frames.items():
        write_text(root / f"{CHARTS[name]}.csv", csv_text(frame))
        if name != "training":  # many small panels: for the screen, where they can be enlarged
            write_png(root / f"{CHARTS[name]}.png", filled(name, rows_of(frame)))


def _write_sheet(path: Path, shown: DetectionSet, find_image: FindImage) -> None:
    first, last = (outcomes(shown.ground_truth, shown.steps[step]) for step in (min(shown.steps), max(shown.steps)))
    steps = max(shown.steps)
    title = (
        f"{shown.name} (seed {shown.seed}), test step {steps} of {steps}, at the score that gives 0.316 false positives "
        "per image (IoU 0.5)"
    )
    write_sheet(path, title, last, choose_images(first, last, SHEET_IMAGES), find_image)


def _write_table(folder: Path, table: Table) -> None:
    write_text(folder / f"{table.name}.csv", table.csv())
    write_text(folder / f"{table.name}.md", table.markdown())
    write_text(folder / f"{table.name}.tex", table.latex())


def _plain(cell: Any) -> Any:
    return round(cell, 4) if isinstance(cell, float) else cell
