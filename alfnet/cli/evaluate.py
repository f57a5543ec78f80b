"""`alfnet evaluate`: miss rates of anybody's detections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.errors import AlfnetError


def evaluate(
    truth_argument: Annotated[Path | None, typer.Argument(metavar="GROUND_TRUTH", show_default=False)] = None,
    found_argument: Annotated[Path | None, typer.Argument(metavar="DETECTIONS", show_default=False)] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option("--ground-truth", "--gt", help="Ground truth (JSON, COCO layout with height and vis_ratio)."),
    ] = None,
    detections: Annotated[
        Path | None, typer.Option("--detections", "--dt", help="COCO results (JSON), or the 2018 text format.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the miss rates here (JSON).")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write miss rate over FPPI here (CSV).")] = None,
    iou: Annotated[list[float] | None, typer.Option(help="IoU thresholds, 0.5 ... 0.95; may be repeated.")] = None,
) -> None:
    """Compute the miss rate (MR^-2) of anybody's detections, by CityPersons' protocol.

    The two files are given as arguments, first the ground truth, or as options.
    """
    truth, found = given_files([truth_argument, found_argument], ground_truth, detections)
    from alfnet.evaluation.run import evaluate_and_print
    from alfnet.outputs import check_outputs, check_replaceable, json_with, starts_with

    check_outputs({"--out": out, "--curves": curves}, {"--ground-truth": truth, "--detections": found})
    check_replaceable(out, "miss rates", json_with("average_precision"))
    check_replaceable(curves, "curves", starts_with("iou,subset,"))
    evaluate_and_print(truth, found, iou=iou or [0.5, 0.75], out=out, curves=curves)


def given_files(arguments: list[Path | None], ground_truth: Path | None, detections: Path | None) -> tuple[Path, Path]:
    """Return ground truth and detections, each given as an option or, in this order, as an argument.

    Raises AlfnetError where one is missing or given twice.
    """
    waiting = [argument for argument in arguments if argument is not None]
    if ground_truth is None and waiting:
        ground_truth = waiting.pop(0)
    if detections is None and waiting:
        detections = waiting.pop(0)
    if waiting:
        raise AlfnetError(
            f"{waiting[0]}: ground truth and detections were both given as options already; leave this out"
        )
    if ground_truth is None or detections is None:
        missing = "ground truth" if ground_truth is None else "detections"
        raise AlfnetError(f"no {missing} given; the command is: alfnet evaluate GROUND_TRUTH DETECTIONS")
    return ground_truth, detections
