"""`alfnet detect`: pedestrians in pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import ParamsOption, set_up


def detect(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    weights: Annotated[Path, typer.Option(help="A detector: models/VARIANT/model.safetensors, or an imported one.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """Find pedestrians in pictures: COCO results, the 2018 text format, and the pictures with boxes drawn."""
    params = set_up(params_file)
    from alfnet.detection.run import detect_pictures

    number = detect_pictures(weights, pictures, params.detect, accelerator=params.machine.accelerator, out=out)
    print(f"{out}: detections of {number} pictures, and the pictures with boxes")
