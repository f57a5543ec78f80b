"""`alfnet evaluate`: miss rates of anybody's detections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def evaluate(
    ground_truth: Annotated[Path, typer.Option(help="Ground truth (JSON, COCO layout with height and vis_ratio).")],
    detections: Annotated[Path, typer.Option(help="COCO results (JSON), or the 2018 text format.")],
    out: Annotated[Path | None, typer.Option(help="Write the miss rates here (JSON).")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write miss rate over FPPI here (CSV).")] = None,
    iou: Annotated[list[float] | None, typer.Option(help="IoU thresholds, 0.5 ... 0.95; may be repeated.")] = None,
) -> None:
    """Compute the miss rate (MR^-2) of anybody's detections, by CityPersons' protocol."""
    from alfnet.evaluation.run import evaluate_and_print
    from alfnet.outputs import check_outputs, check_replaceable, json_with, starts_with

    check_outputs({"--out": out, "--curves": curves}, {"--ground-truth": ground_truth, "--detections": detections})
    check_replaceable(out, "miss rates", json_with("average_precision"))
    check_replaceable(curves, "curves", starts_with("iou,subset,"))
    evaluate_and_print(ground_truth, detections, iou=iou or [0.5, 0.75], out=out, curves=curves)
