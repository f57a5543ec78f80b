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
    from alfnet.network.file_origin import read_origin
    from alfnet.network.origin import imported_origin
    from alfnet.network.weight_files import is_weight_file
    from alfnet.outputs import check_outputs, check_replaceable
    from alfnet.pretrained.keras import import_detector

    check_outputs({"--out": out}, {"the file to import": file})
    # Not any detector: a trained one is no earlier output of this command.
    check_replaceable(out, "import", lambda path: is_weight_file(path) and "release" in read_origin(path))
    model = import_detector(file, backbone.value, steps)
    parameters = count_parameters(model)
    model.save(out, extra={"parameters": str(parameters), **imported_origin(backbone.value)})
    print(f"{out}: {backbone.value}, {steps} steps, {parameters / 1e6:.1f} M parameters")


@app.command("info")
def weights_info(
    file: Annotated[Path, typer.Argument(help="A weight file that alfnet wrote, or a file of alfnet export.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Show what is in a weight file: the network, and what it was trained on."""
    import json

    from alfnet.detection.weights import check_not_folder, exported_as
    from alfnet.errors import extra_needed
    from alfnet.network.file_origin import weights_summary

    check_not_folder(file)
    if exported_as(file) is None:
        summary = weights_summary(file)
    else:
        with extra_needed("export"):
            from alfnet.export.runtimes import exported_summary
        summary = exported_summary(file)
    if as_json:
        print(json.dumps(summary, indent=1))
        return
    width = max(map(len, summary))
    for key, value in summary.items():
        parts = [f"{name} {each}" for name, each in value.items()] if isinstance(value, dict) else value
        shown = ", ".join(map(str, parts)) if isinstance(parts, list) else value
        print(f"{key.replace('_', ' '):<{width}}  {shown}")


@app.command("stamp")
def weights_stamp(
    file: Annotated[Path, typer.Argument(help="A detector.")],
    metrics: Annotated[
        Path, typer.Option(help="Its miss rates: metrics/VARIANT.json, or what `evaluate --out` wrote.")
    ],
    out: Annotated[Path, typer.Option(help="The safetensors file to write: the same weights.")],
) -> None:
    """Copy a detector with its miss rates in the file, so that whoever gets it can read them (`weights info`)."""
    from alfnet.detection.weights import check_not_exported, check_not_folder
    from alfnet.network.file_origin import read_origin, stamp
    from alfnet.network.weight_files import is_weight_file
    from alfnet.outputs import check_outputs, check_replaceable

    check_not_folder(file)
    check_not_exported(file, "alfnet weights stamp")
    check_outputs({"--out": out}, {"the detector": file, "--metrics": metrics})
    check_replaceable(
        out, "stamped detector", lambda path: is_weight_file(path) and "miss_rate_percent" in read_origin(path)
    )
    rates = stamp(file, metrics, out)
    print(f"{out}: " + ", ".join(f"{value} % at IoU {iou}" for iou, value in rates.items()))
