"""`alfnet detect`: pedestrians in images and videos."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfnet.cli.common import set_up
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from alfnet.detection.saving import Save

DEFAULT_FORMATS = "pictures,video,coco,txt"


def detect(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Images, videos, folders, patterns in quotes, camera:0, a list of paths (.txt), or - (stdin).",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="The folder to write: new, empty, or an earlier result.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            "--weights",
            "-w",
            help="A detector: a model.safetensors, trained or imported, or an exported file (.onnx, .xml, .param); left out: the "
            "one that comes with the project.",
        ),
    ] = None,
    save: Annotated[str, typer.Option(help="What to write, of pictures,video,coco,txt,csv,crops.")] = DEFAULT_FORMATS,
    score: Annotated[
        float | None,
        typer.Option(help="Scores above this are kept. As published: 0.1; photos: 0.35."),
    ] = None,
    nms: Annotated[
        float | None, typer.Option(help="Of boxes with a larger IoU the best stays. As published: 0.5; photos: 0.45.")
    ] = None,
    maximum: Annotated[
        int | None, typer.Option("--max", help="Detections per image at most. As published: 100.")
    ] = None,
    test_step: Annotated[
        int | None,
        typer.Option(
            help="The step whose boxes are taken, from 1, also of exported files; else the one that the file was exported for, "
            "or the last."
        ),
    ] = None,
    device: Annotated[str | None, typer.Option(help="auto, cpu, cuda, cuda:1, ..., mps.")] = None,
    batch: Annotated[int | None, typer.Option(min=1, help="Images at once; else by their size.")] = None,
    backend: Annotated[
        str, typer.Option(help="torch; onnx, openvino or ncnn for exported files; auto: by the file's ending.")
    ] = "auto",
    tile: Annotated[
        str | None,
        typer.Option(
            help="Look at very large images in parts of WIDTHxHEIGHT, e.g. 2048x1024; the detector in the box, which shrinks "
            "parts into 384 x 192 px: 768x384."
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option(help="Stop at the first file that cannot be read or written, and write nothing.")
    ] = False,
    params_file: Annotated[
        Path | None, typer.Option("--params", help="Take `detect`, `machine` and `runtime` from this parameter file.")
    ] = None,
) -> None:
    """Find pedestrians in images and videos: drawn pictures and videos, COCO results, the 2018 text format, tables.

    Exit code 1: some files could not be read or written (named at the end), the others are done.
    """
    params = None if params_file is None else set_up(params_file)
    formats = _formats(save)
    from alfnet.detection.backend import torch_device
    from alfnet.detection.detector import Detector
    from alfnet.detection.stream import detect_sources
    from alfnet.outputs import check_own_folder

    check_own_folder(out)
    if params is not None and device is None:
        torch_device(params.machine.accelerator, f"{params_file}: machine.accelerator")
        device = params.machine.accelerator
    detector = Detector.load(
        weights,
        device=device or "auto",
        backend=backend,
        score=score,
        nms=nms,
        top=maximum,
        test_step=test_step,
        settings=None if params is None else params.detect,
    )
    summary = detect_sources(detector, sources, out, formats=formats, batch=batch, tile=_tile(tile), strict=strict)
    images = "1 image" if summary.images == 1 else f"{summary.images} images"
    speed = summary.images / max(1e-9, summary.seconds)
    print(f"{out}: {summary.found} pedestrians in {images} ({speed:.1f} images/s, {detector.backend.name})")
    if summary.left_out:
        print(summary.left_out, file=sys.stderr)
    for failures, what in ((summary.failures, "read"), (summary.not_written, "written as a picture or video")):
        if failures:
            print(f"{len(failures)} could not be {what}:", *failures, sep="\n  ", file=sys.stderr)
    if summary.failures or summary.not_written:
        raise typer.Exit(1)


def _formats(text: str) -> list[Save]:
    from alfnet.detection.saving import Save

    known = [each.value for each in Save]
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise AlfnetError(f"--save {text}: {', '.join(unknown) or 'nothing'}; there are {', '.join(known)}")
    return [Save(name) for name in names]


def _tile(text: str | None) -> tuple[int, int] | None:
    if text is None:
        return None
    parts = re.fullmatch(r"(\d{2,6})(?:x(\d{2,6}))?", text)
    if parts is None:
        raise AlfnetError(f"--tile {text}: WIDTHxHEIGHT is expected, e.g. 2048x1024")
    width = int(parts[1])
    return int(parts[2] or width), width
