"""`alfnet export`: a detector for other runtimes."""

from __future__ import annotations

import mmap
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alfnet.export.settings import Format


class ExportFormat(StrEnum):
    """File formats."""

    onnx = "onnx"
    openvino = "openvino"
    ncnn = "ncnn"


def export(
    weights: Annotated[
        Path, typer.Option(help="A detector: models/VARIANT/SEED/model.safetensors, or an imported one.")
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The file to write: NAME.onnx, NAME.xml (and NAME.bin) for OpenVINO, or NAME.param (and NAME.bin, NAME.json) "
            "for ncnn."
        ),
    ],
    format: Annotated[ExportFormat | None, typer.Option(help="Left out: by the ending of --out.")] = None,
    height: Annotated[
        int | None,
        typer.Option(
            help="Of the input, pixels, a multiple of 64; smaller images are padded. Left out: as the detector was trained where "
            "its images were shrunk into a frame, else 1024."
        ),
    ] = None,
    width: Annotated[int | None, typer.Option(help="Likewise; else 2048.")] = None,
    dynamic: Annotated[
        bool,
        typer.Option(
            "--dynamic", help="Any number of images of any size (multiples of 64); not of timm's transformers."
        ),
    ] = False,
    rgb: Annotated[
        bool, typer.Option("--rgb", help="The input's channels are R G B (else B G R, as OpenCV's).")
    ] = False,
    decode: Annotated[bool, typer.Option("--decode", help="Boxes and scores of every step in the graph.")] = False,
    nms: Annotated[
        bool, typer.Option("--nms", help="Final detections in the graph: image, x1, y1, x2, y2, score.")
    ] = False,
    test_step: Annotated[int | None, typer.Option(min=1, help="Of --nms: the step; left out, the last.")] = None,
    half: Annotated[bool, typer.Option("--half", help="Convolutions in float16 (for GPUs).")] = False,
    int8: Annotated[bool, typer.Option("--int8", help="Convolutions in int8 (for CPUs); needs --calibration.")] = False,
    calibration: Annotated[
        Path | None, typer.Option(help="A folder of training images, of which 64 are used, spread over their names.")
    ] = None,
) -> None:
    """Write a detector as an ONNX, OpenVINO or ncnn file, and compare it with PyTorch."""
    from pydantic import ValidationError

    from alfnet.detection.backend import padded_size
    from alfnet.detection.detector import settings_of
    from alfnet.detection.weights import check_not_exported, check_not_folder
    from alfnet.errors import AlfnetError
    from alfnet.export.run import export_detector
    from alfnet.export.settings import ExportSettings, files_of
    from alfnet.network.file_origin import read_origin, weights_summary
    from alfnet.network.origin import trained_frame
    from alfnet.outputs import check_outputs

    check_not_folder(weights)
    check_not_exported(weights, "alfnet export")
    chosen = _format(out, format)
    if test_step is not None and not nms:
        raise AlfnetError(f"--test-step {test_step}: is of --nms, without which the file gives all steps; add --nms")
    outputs = {"--out" if path == out else f"--out {out} and its {path.suffix}": path for path in files_of(out, chosen)}
    check_outputs(outputs, {"--weights": weights, "--calibration": calibration})
    _check_replaceable(out, chosen)
    if int8 and calibration is None:
        raise AlfnetError("--int8 needs --calibration FOLDER: images like those that the detector will see")
    origin = read_origin(weights)
    takes_any = dynamic or (chosen == "ncnn" and height is None and width is None)
    usual = padded_size(*(trained_frame(origin) or (1024, 2048)))
    try:
        settings = ExportSettings(
            format=chosen,
            size=None if takes_any else (usual[0] if height is None else height, usual[1] if width is None else width),
            channels="rgb" if rgb else "bgr",
            decode=decode,
            nms=nms,
            test_step=test_step if nms else None,
            half=half,
            int8=int8,
        )
    except ValidationError as error:
        raise AlfnetError("; ".join(each["msg"].removeprefix("Value error, ") for each in error.errors())) from None
    images = _images(calibration) if calibration is not None and int8 else []
    detect = settings_of(origin, weights)
    # Where the pipeline's models are, their miss rates lie in another file, which does not go along.
    beside = {key: value for key, value in weights_summary(weights).items() if key == "miss_rates"}
    difference = export_detector(weights, out, settings, detect, test_step=test_step, calibration=images, origin=beside)
    print(f"{out}: {chosen}, {settings.precision}; {difference}")


def _format(out: Path, format: ExportFormat | None) -> Format:
    """The format that --format or else the ending of `out` asks for; AlfnetError where they do not go together."""
    from alfnet.errors import AlfnetError
    from alfnet.export.settings import SUFFIXES

    by_suffix: dict[str, Format] = {suffix: name for name, suffix in SUFFIXES.items()}
    chosen = by_suffix.get(out.suffix) if format is None else format.value
    if chosen is None:
        raise AlfnetError(f"--out {out}: name it NAME.onnx for ONNX, NAME.xml for OpenVINO, or NAME.param for ncnn")
    if out.suffix != SUFFIXES[chosen]:
        raise AlfnetError(f"--out {out}: with --format {chosen} name it {out.with_suffix(SUFFIXES[chosen]).name}")
    return chosen


def _images(folder: Path) -> list[Path]:
    from alfnet.errors import AlfnetError
    from alfnet.export.run import spread
    from alfnet.images import IMAGE_SUFFIXES

    found = sorted(path for path in folder.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
    if not found:
        raise AlfnetError(f"--calibration {folder}: no image in this folder")
    return spread(found, 64)


def _check_replaceable(out: Path, kind: Format) -> None:
    from alfnet.export.settings import MARKS, files_of
    from alfnet.outputs import check_replaceable, json_with

    def is_ours(path: Path) -> bool:
        with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return content.find(MARKS[kind]) >= 0

    check_replaceable(out, "export", is_ours, largest=2**31)  # the published networks take 0.2 GB
    is_earlier = out.exists() and out.stat().st_size > 0  # or the weights beside it are another file's
    for path in files_of(out, kind)[1:]:
        if path.suffix == ".json":
            check_replaceable(path, "export", json_with("settings", "export", "sha256"))
        else:
            check_replaceable(path, "export", lambda _: is_earlier, largest=2**31)
