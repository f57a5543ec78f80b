"""`alfnet weights`: weight files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import BackboneName

app = typer.Typer(no_args_is_help=True, help="Weight files.")


@app.command("import")
def weights_import(
    file: Annotated[Path, typer.Argument(help="A detector of the 2018 release (Keras HDF5).")],
    backbone: Annotated[BackboneName, typer.Option(help="Its backbone.")],
    steps: Annotated[int, typer.Option(help="Its number of localisation steps.", min=1)],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
) -> None:
    """Convert a released Keras detector."""
    from alfnet.network.alfnet import count_parameters
    from alfnet.network.origin import imported_origin
    from alfnet.network.weight_files import is_weight_file
    from alfnet.outputs import check_outputs, check_replaceable
    from alfnet.pretrained.keras import import_detector

    check_outputs({"--out": out}, {"the file to import": file})
    check_replaceable(out, "detector", is_weight_file)
    model = import_detector(file, backbone.value, steps)
    parameters = count_parameters(model)
    model.save(out, extra={"parameters": str(parameters), **imported_origin(backbone.value)})
    print(f"{out}: {backbone.value}, {steps} steps, {parameters / 1e6:.1f} M parameters")
