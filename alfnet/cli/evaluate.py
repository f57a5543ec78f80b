"""`alfnet evaluate`: miss rates of anybody's detections."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.collector import collector_paused
from alfnet.errors import AlfnetError


def evaluate(
    truth_argument: Annotated[Path | None, typer.Argument(metavar="GROUND_TRUTH", show_default=False)] = None,
    found_argument: Annotated[Path | None, typer.Argument(metavar="DETECTIONS", show_default=False)] = None,
    ground_truth: Annotated[
        Path | None,
        typer.Option(
            "--ground-truth",
            "--gt",
            help="JSON in COCO's layout, CrowdHuman's .odgt, or Caltech's annotations (a folder of .vbb or text files).",
        ),
    ] = None,
    detections: Annotated[
        Path | None,
        typer.Option(
            "--detections",
            "--dt",
            help="COCO results (JSON, JSON Lines), the 2018 text, CSV or TSV with a heading, MOT's rows, .odgt, or a folder "
            "of Caltech's result files or YOLO's labels; - is standard input, and gzip is unpacked.",
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Write the miss rates here (JSON).")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write miss rate over FPPI here (CSV).")] = None,
    iou: Annotated[list[float] | None, typer.Option(help="IoU thresholds, 0.5 ... 0.95; may be repeated.")] = None,
    protocol: Annotated[
        str | None,
        typer.Option(
            help="citypersons, caltech or crowdhuman; by default the one that the ground truth's format belongs to."
        ),
    ] = None,
    subsets: Annotated[
        str | None,
        typer.Option(
            help="A published set (citypersons, r-ho, pedestron, caltech, heights, ...), or a YAML or JSON file."
        ),
    ] = None,
    subset: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=RANGES", help="One more, e.g. R+HO=height:50-,visible:0.2-; may be repeated."),
    ] = None,
    detection_width: Annotated[
        str | None,
        typer.Option(help="Caltech: 'given', or '0.41h' as the 2014 toolbox sets it (the default for .vbb files)."),
    ] = None,
    bootstrap: Annotated[
        int | None,
        typer.Option(min=2, max=100_000, help="Give each figure a 95 % interval: resample the images so often (1000)."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the resampling.")] = 0,
    errors: Annotated[
        bool, typer.Option("--errors", help="Print what went wrong, by kind (and write it to --out).")
    ] = False,
    page: Annotated[
        Path | None, typer.Option(help="Write a page (HTML) with every miss and false positive of the first subset.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder with the images, for the page.")] = None,
    got: Annotated[
        list[str] | None, typer.Option(help="Why did I get 12.19? Try what is usually done differently.")
    ] = None,
    got_from: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A figure of another subset: small=49.7, reasonable@0.75=38.14."),
    ] = None,
) -> None:
    """Compute the miss rate (MR^-2) of anybody's detections, by CityPersons', Caltech's or CrowdHuman's protocol.

    The two files are given as arguments, first the ground truth, or as options.
    """
    truth, found = given_files([truth_argument, found_argument], ground_truth, detections)
    with collector_paused():
        from alfnet.evaluation.run import evaluate_and_print
        from alfnet.evaluation.subsets import SUBSETS, parse_subset, read_subsets
        from alfnet.outputs import check_outputs, check_replaceable, json_with, starts_with

    for option, output in (("--out", out), ("--curves", curves), ("--page", page)):
        if str(output) == "-":
            raise AlfnetError(f"{option} -: is written as a whole file; give it a name")
    check_outputs({"--out": out, "--curves": curves, "--page": page}, {"--ground-truth": truth, "--detections": found})
    check_replaceable(out, "miss rates", json_with("average_precision"))
    check_replaceable(curves, "curves", starts_with("iou,subset,"))
    known = None if subsets is None else read_subsets(subsets)
    more = [parse_subset(text) for text in subset or ()]
    if images is not None and page is None:
        raise AlfnetError("--images: is for the page; say where to write it: --page OUT.html")
    figures = [*(got or ()), *(got_from or ())]
    if figures:
        from alfnet.evaluation.explain import parse_got

        for text in figures:  # before any work
            parse_got(text, [*(known or SUBSETS), *more])
    check_replaceable(page, "page", starts_with("<!doctype html>\n<!-- alfnet explorer"))
    evaluate_and_print(
        truth,
        found,
        iou=iou or [0.5, 0.75],
        out=out,
        curves=curves,
        protocol=protocol,
        subsets=known,
        more_subsets=more,
        bootstrap=bootstrap,
        seed=seed,
        errors=errors,
        page=page,
        images=images,
        got=figures,
        **({} if detection_width is None else {"detection_aspect": _aspect(detection_width)}),
    )


def _aspect(width: str) -> float | None:
    if width == "given":
        return None
    if width.replace(" ", "") == "0.41h":
        return 0.41
    raise AlfnetError(f"--detection-width {width}: expected given or 0.41h")


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
    if str(ground_truth) == str(detections) == "-":
        raise AlfnetError(
            "only one of ground truth and detections can come from standard input; name a file for the other"
        )
    return ground_truth, detections
