"""The comparison behind the command `alfnet compare` and behind `alfnet.compare`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from alfnet.evaluation.api import compare
from alfnet.evaluation.compare import FPPI
from alfnet.evaluation.comparison import Comparison
from alfnet.files import write_json
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections


def compare_files(
    ground_truth: Path,
    first: Path,
    second: Path,
    *,
    iou: Sequence[float] = (0.5, 0.75),
    protocol: str | None = None,
    fppi: float = FPPI,
    resamples: int = 1000,
    seed: int = 0,
) -> tuple[Comparison, list[str]]:
    """Compare two files of detections; returns the comparison and what looks wrong in the files.

    Raises AlfnetError for files that are certainly wrong and for settings that cannot be.
    """
    truth = read_ground_truth(ground_truth)
    found = [read_detections(path, truth) for path in (first, second)]
    comparison = compare(
        truth,
        *found,
        iou=iou,
        protocol=protocol,
        names=_names(first, second),
        fppi=fppi,
        resamples=resamples,
        seed=seed,
    )
    return comparison, [*truth.warnings, *found[0].warnings, *found[1].warnings]


def compare_and_print(
    ground_truth: Path,
    first: Path,
    second: Path,
    *,
    iou: Sequence[float],
    protocol: str | None,
    fppi: float,
    resamples: int,
    seed: int,
    out: Path | None,
    page: Path | None,
    images: Path | None,
) -> None:
    """Compare, print, and write what was asked for; warnings go to stderr."""
    comparison, warnings = compare_files(
        ground_truth, first, second, iou=iou, protocol=protocol, fppi=fppi, resamples=resamples, seed=seed
    )
    for warning in warnings:
        print(f"warning: {warning}", file=sys.stderr)
    if page is not None:
        from alfnet.explorer.data import comparison_data, find_pictures
        from alfnet.explorer.page import write_explorer

        truth = comparison.kinds[0].outcomes.ground_truth
        pictures = None if images is None else find_pictures(truth, images, page)
        title = f"{comparison.names[0]} and {comparison.names[1]}: found by one alone"
        write_explorer(page, comparison_data(comparison, title, pictures))
    if out is not None:
        write_json(out, comparison.to_dict(), indent=1)
    comparison.print(Console())


def _names(first: Path, second: Path) -> tuple[str, str]:
    """The shortest ends of the paths that differ."""
    parts = [path.resolve().parts for path in (first, second)]
    for length in range(1, min(map(len, parts)) + 1):
        ends = [str(Path(*part[-length:])) for part in parts]
        if ends[0] != ends[1]:
            return ends[0], ends[1]
    return str(first), str(second)
