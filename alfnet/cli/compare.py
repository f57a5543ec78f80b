"""`alfnet compare`: two sets of detections side by side."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.errors import AlfnetError


def compare(
    first: Annotated[Path, typer.Argument(metavar="A", help="Detections, in any format that alfnet evaluate reads.")],
    second: Annotated[Path, typer.Argument(metavar="B", help="Other detections of the same images.")],
    ground_truth: Annotated[Path, typer.Option("--ground-truth", "--gt", help="Their ground truth.")],
    out: Annotated[
        Path | None, typer.Option(help="Write everything here (JSON), with the list of pedestrians.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write a page (HTML) with the pedestrians that one alone finds.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with the images, for the page.")] = None,
    iou: Annotated[list[float] | None, typer.Option(help="IoU thresholds, 0.5 ... 0.95; may be repeated.")] = None,
    protocol: Annotated[
        str | None, typer.Option(help="citypersons, caltech or crowdhuman; by default the ground truth's.")
    ] = None,
    subsets: Annotated[
        str | None,
        typer.Option(
            help="A published set (citypersons, r-ho, pedestron, caltech, heights, ...), or a YAML or JSON file. "
            "Whom one alone finds is told of its first subset."
        ),
    ] = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=RANGES",
            help="One more, before the others, so that whom one alone finds is told of it, e.g. "
            "R+HO=height:50-,visible:0.2-; may be repeated.",
        ),
    ] = None,
    detection_width: Annotated[
        str | None,
        typer.Option(help="Caltech: 'given', or '0.41h' as the 2014 toolbox sets it (the default for .vbb files)."),
    ] = None,
    fppi: Annotated[float, typer.Option(help="False positives per image at which pedestrians count as found.")] = 0.316,
    resamples: Annotated[
        int, typer.Option(min=2, help="Resampled data sets, and exchanges of the permutation test.")
    ] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of both.")] = 0,
) -> None:
    """Compare two sets of detections: miss rates, whether they differ, and whom one alone finds."""
    from alfnet.evaluation.comparing import compare_and_print
    from alfnet.evaluation.subsets import parse_subset, read_subsets
    from alfnet.outputs import check_outputs, check_replaceable, json_with, starts_with

    if [str(path) for path in (ground_truth, first, second)].count("-") > 1:
        raise AlfnetError("-: only one of A, B and --gt can come from a pipe; write the others into files first")
    if images is not None and page is None:
        raise AlfnetError("--images: is for the page; say where to write it: --page OUT.html")
    inputs = {"A": first, "B": second, "--ground-truth": ground_truth}
    check_outputs({"--out": out, "--page": page}, inputs)
    check_replaceable(out, "comparison", json_with("miss_rates"))
    check_replaceable(page, "page", starts_with("<!doctype html>\n<!-- alfnet explorer"))
    compare_and_print(
        ground_truth,
        first,
        second,
        iou=iou or [0.5, 0.75],
        protocol=protocol,
        subsets=None if subsets is None else read_subsets(subsets),
        more_subsets=[parse_subset(text) for text in subset or ()],
        detection_width=detection_width,
        fppi=fppi,
        resamples=resamples,
        seed=seed,
        out=out,
        page=page,
        images=images,
    )
