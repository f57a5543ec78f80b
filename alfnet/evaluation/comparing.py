"""The comparison behind the command `alfnet compare`: results printed and written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from alfnet.evaluation.api import compare
from alfnet.files import write_json


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
    """Compare, print, and write what was asked for; warnings go to stderr.

    Raises AlfnetError for files that are certainly wrong and for settings that cannot be.
    """
    names = _names(first, second)
    comparison = compare(
        ground_truth, first, second, iou=iou, protocol=protocol, names=names, fppi=fppi, resamples=resamples, seed=seed
    )
    for warning in comparison.warnings:
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
