"""The comparison behind the command `alfnet compare`: results printed and written."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from alfnet.evaluation.api import compare
from alfnet.evaluation.subsets import Subset
from alfnet.files import write_json

_MOST_PARTS = 4
"""So many parts of a path make a name that is short enough."""


def compare_and_print(
    ground_truth: Path,
    first: Path,
    second: Path,
    *,
    iou: Sequence[float],
    protocol: str | None,
    subsets: Sequence[Subset] | None,
    more_subsets: Sequence[Subset],
    detection_width: str | None,
    fppi: float,
    resamples: int,
    seed: int,
    out: Path | None,
    page: Path | None,
    images: Path | None,
) -> None:
    """Compare, print, and write what was asked for; warnings go to stderr. Arguments: see `alfnet.compare`.

    Raises AlfnetError for files that are certainly wrong and for settings that cannot be.
    """
    names = _names(first, second)
    comparison = compare(
        ground_truth,
        first,
        second,
        iou=iou,
        protocol=protocol,
        subsets=subsets,
        more_subsets=more_subsets,
        detection_width=detection_width,
        names=names,
        fppi=fppi,
        resamples=resamples,
        seed=seed,
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
    """What follows the folders that both lie in; of places far from each other the shortest ends that differ."""
    parts = [path.resolve().parts for path in (first, second)]
    shared = next((place for place, pair in enumerate(zip(*parts, strict=False)) if pair[0] != pair[1]), 0)
    if shared and max(map(len, parts)) - shared <= _MOST_PARTS:
        return str(Path(*parts[0][shared:])), str(Path(*parts[1][shared:]))
    for length in range(1, min(map(len, parts)) + 1):
        ends = [str(Path(*part[-length:])) for part in parts]
        if ends[0] != ends[1]:
            return ends[0], ends[1]
    return str(first), str(second)
