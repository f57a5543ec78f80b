"""The evaluation behind the pipeline's stage and behind the command: results written and printed."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from alfnet.evaluation.evaluate import evaluate_files, evaluate_variant
from alfnet.evaluation.printing import print_error_kinds
from alfnet.evaluation.subsets import chosen_subsets
from alfnet.files import atomic_path, write_json, write_text


def evaluate_to_files(
    ground_truth: Path,
    detections: Path,
    *,
    iou: Sequence[float],
    results: Path,
    fold: int | None = None,
    protocol: str = "citypersons",
    subsets: Sequence[str] = ("citypersons",),
) -> None:
    """Evaluate the detections of a variant (the folder that `detect_split` wrote).

    fold: only on the images of this part of a cross-validation. protocol: the benchmark whose rules hold.
    subsets: sets of subsets, or one's own (`chosen_subsets`).
    results: a folder with results.json (every test step, IoU, subset and score fusion) and curves.csv (every test step).
    """
    found, rows = evaluate_variant(
        ground_truth, detections, iou=iou, fold=fold, protocol=protocol, subsets=chosen_subsets(subsets)
    )
    with atomic_path(results) as temporary:
        temporary.mkdir()
        write_json(temporary / "results.json", found, indent=1)
        write_text(temporary / "curves.csv", _csv(("test_step", "iou", "subset", "fppi", "miss_rate"), rows))


def evaluate_and_print(
    ground_truth: Path,
    detections: Path,
    *,
    iou: Sequence[float],
    out: Path | None,
    curves: Path | None,
    errors: bool = False,
    page: Path | None = None,
    images: Path | None = None,
    got: Sequence[str] = (),
    **options: Any,
) -> None:
    """Evaluate anybody's detections and print the table; warnings go to stderr. Options: see `evaluate_files`.

    errors: print the kinds of errors, too. page: write the explorer, with the images in the folder `images`. got: figures
    that somebody got, to be explained.
    """
    evaluation = evaluate_files(ground_truth, detections, iou=iou, out=out, curves=curves, errors=errors, **options)
    for warning in evaluation.warnings:
        print(f"warning: {warning}", file=sys.stderr)
    console = Console()
    evaluation.print(console)
    if errors:
        print_error_kinds([evaluation.errors(iou=threshold) for threshold in sorted(set(iou))], console)
    if page is not None:
        evaluation.write_page(page, images)
    if got:
        evaluation.explain(*got).print(console)


def _csv(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    return "\n".join(",".join(map(str, row)) for row in [header, *rows]) + "\n"
