"""The command `alfnet`. Each command reads its options and calls one function of the package."""

from __future__ import annotations

import shutil
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.params import Params, load_params

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ALFNet, a single-stage pedestrian detector: data, detection, evaluation, weights. The pipeline itself: dvc repro.",
)
data_app = typer.Typer(no_args_is_help=True, help="Data sets, annotation caches and ground truths.")
weights_app = typer.Typer(no_args_is_help=True, help="Weight files.")
app.add_typer(data_app, name="data")
app.add_typer(weights_app, name="weights")

PROFILES = Path("profiles")

ParamsOption = Annotated[Path, typer.Option("--params", help="The parameter file.")]
ExistingFile = Path


class Split(StrEnum):
    """The splits of CityPersons that have annotations."""

    train = "train"
    val = "val"


class BackboneName(StrEnum):
    """The backbones."""

    resnet50 = "resnet50"
    mobilenet = "mobilenet"


def set_up(params_file: Path) -> Params:
    """Read the parameters and set up the arithmetic that they ask for, before any library that it concerns."""
    from alfnet.runtime import configure, configure_libraries

    params = load_params(params_file)
    configure(params.runtime)
    configure_libraries(params.runtime)
    return params


@app.command()
def profile(
    name: Annotated[str | None, typer.Argument(help="A file in profiles/, without .yaml.")] = None,
    force: Annotated[
        bool, typer.Option(help="Replace a params.yaml that is no profile's, with changes of yours.")
    ] = False,
) -> None:
    """Replace params.yaml by profiles/NAME.yaml; without a name, list the profiles."""
    profiles = {path.stem: path for path in sorted(PROFILES.glob("*.yaml"))}
    if not profiles:
        raise AlfnetError(f"{PROFILES}/: no profiles here; run this in the project's folder")
    target = Path("params.yaml")
    present = target.read_bytes() if target.exists() else None
    if name is None:
        for profile_name, path in profiles.items():
            print(("* " if path.read_bytes() == present else "  ") + profile_name)
        return
    if name not in profiles:
        raise AlfnetError(f"profile {name}: there is none; there are {', '.join(profiles)}")
    load_params(profiles[name])
    known = {path.read_bytes() for path in profiles.values()}
    if present is not None and present not in known and not force:
        raise AlfnetError(
            "params.yaml holds changes that no profile has; keep them as profiles/YOURS.yaml, or add --force to lose them"
        )
    from alfnet.files import write_bytes

    write_bytes(target, profiles[name].read_bytes())
    print(f"params.yaml is now profiles/{name}.yaml; next: dvc repro")


@app.command()
def check(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Check the parameter file, and name outputs of variants that it no longer has."""
    params = load_params(params_file)
    left = leftovers(params)
    if left:
        print(f"outputs of variants that {params_file} does not have: {', '.join(map(str, left))}", file=sys.stderr)
        print("they change the report's inputs; remove them with: alfnet prune", file=sys.stderr)
    print(f"{params_file}: profile {params.profile}, {len(params.variants)} variants", file=sys.stderr)


@app.command()
def prune(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Remove outputs of variants that params.yaml no longer has (DVC keeps its copies in the cache)."""
    for path in leftovers(load_params(params_file)):
        print(f"removing {path}")
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def leftovers(params: Params) -> list[Path]:
    """Outputs, in this folder, of variants that the parameters do not have."""
    places = ("models/*", "detections/*", "evaluation/*", "metrics/*.json", "plots/curves/*.csv", "plots/training/*")
    return [path for place in places for path in sorted(Path().glob(place)) if path.stem not in params.variants]


@app.command()
def table(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Print the ablation table of the last `dvc repro`, and what it means."""
    from alfnet.report.report import print_summary

    print_summary(load_params(params_file), root=Path())


@data_app.command("synthetic")
def data_synthetic(
    out: Annotated[Path, typer.Option(help="The folder to write: leftImg8bit/ and annotations/.")],
    name: Annotated[str, typer.Option(help="The entry of `synthetic` in the parameter file.")] = "synthetic",
    train_layout: Annotated[
        Path | None,
        typer.Option(help="anno_train.mat of CityPersons: take positions, sizes and visible parts from it."),
    ] = None,
    val_layout: Annotated[Path | None, typer.Option(help="anno_val.mat, likewise.")] = None,
    height: Annotated[int | None, typer.Option(help="Instead of the parameter file's.")] = None,
    width: Annotated[int | None, typer.Option(help="Instead of the parameter file's.")] = None,
    train_images: Annotated[int | None, typer.Option(help="Instead of the parameter file's.")] = None,
    val_images: Annotated[int | None, typer.Option(help="Instead of the parameter file's.")] = None,
    seed: Annotated[int | None, typer.Option(help="Instead of the parameter file's.")] = None,
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """Render street scenes with pedestrians, in CityPersons' own formats."""
    params = set_up(params_file)
    if name not in params.synthetic:
        raise AlfnetError(f"synthetic.{name}: not in {params_file}; there are: {', '.join(params.synthetic) or 'none'}")
    if (train_layout is None) != (val_layout is None):
        raise AlfnetError("--train-layout and --val-layout go together")
    settings = params.synthetic[name].model_dump()
    for key, value in {
        "height": height,
        "width": width,
        "train_images": train_images,
        "val_images": val_images,
        "seed": seed,
        "layout": None if train_layout is None else {"train": str(train_layout), "val": str(val_layout)},
    }.items():
        if value is not None:
            settings[key] = value
    from alfnet.params import SyntheticSettings, check_section
    from alfnet.synthetic.run import render_from_settings

    render_from_settings(check_section(SyntheticSettings, settings, "data synthetic"), out)


@data_app.command("cache")
def data_cache(
    annotations: Annotated[ExistingFile, typer.Option(help="anno_train.mat or anno_val.mat.")],
    split: Annotated[Split, typer.Option(help="Which of the two.")],
    out: Annotated[Path, typer.Option(help="The cache to write (JSON, COCO layout).")],
    height: Annotated[int, typer.Option(help="Of the images, pixels.")] = 1024,
    width: Annotated[int, typer.Option(help="Of the images, pixels.")] = 2048,
    minimum_height: Annotated[float, typer.Option(help="Lower pedestrians are ignore regions, pixels.")] = 50,
) -> None:
    """Make the training cache from CityPersons' annotations, by the published rule."""
    from alfnet.annotations.cache import write_training_cache

    counts = write_training_cache(
        annotations, split.value, out, width=width, height=height, minimum_height=minimum_height
    )
    print(f"{out}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


@data_app.command("ground-truth")
def data_ground_truth(
    annotations: Annotated[ExistingFile, typer.Option(help="anno_val.mat.")],
    out: Annotated[Path, typer.Option(help="The ground truth to write (JSON, COCO layout).")],
    height: Annotated[int, typer.Option(help="Of the images, pixels.")] = 1024,
    width: Annotated[int, typer.Option(help="Of the images, pixels.")] = 2048,
) -> None:
    """Make the evaluation ground truth from CityPersons' annotations."""
    from alfnet.annotations.ground_truth import write_ground_truth

    write_ground_truth(annotations, out, width=width, height=height)
    print(out)


@app.command()
def detect(
    pictures: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    weights: Annotated[Path, typer.Option(help="A detector: models/VARIANT/model.safetensors, or an imported one.")],
    out: Annotated[Path, typer.Option(help="The folder to write.")],
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """Find pedestrians in pictures: COCO results, the 2018 text format, and the pictures with boxes drawn."""
    params = set_up(params_file)
    from alfnet.detection.run import detect_pictures

    number = detect_pictures(weights, pictures, params.detect, out=out)
    print(f"{out}: detections of {number} pictures, and the pictures with boxes")


@app.command()
def evaluate(
    ground_truth: Annotated[Path, typer.Option(help="Ground truth (JSON, COCO layout with height and vis_ratio).")],
    detections: Annotated[Path, typer.Option(help="COCO results (JSON), or the 2018 text format.")],
    out: Annotated[Path | None, typer.Option(help="Write the miss rates here (JSON).")] = None,
    curves: Annotated[Path | None, typer.Option(help="Write miss rate over FPPI here (CSV).")] = None,
    iou: Annotated[list[float] | None, typer.Option(help="IoU thresholds, 0.5 ... 0.95; may be repeated.")] = None,
) -> None:
    """Compute the miss rate (MR^-2) of anybody's detections, by CityPersons' protocol."""
    from alfnet.evaluation.run import evaluate_and_print

    evaluate_and_print(ground_truth, detections, iou=iou or [0.5, 0.75], out=out, curves=curves)


@weights_app.command("import")
def weights_import(
    file: Annotated[Path, typer.Argument(help="A detector of the 2018 release (Keras HDF5).")],
    backbone: Annotated[BackboneName, typer.Option(help="Its backbone.")],
    steps: Annotated[int, typer.Option(help="Its number of localisation steps.", min=1)],
    out: Annotated[Path, typer.Option(help="The safetensors file to write.")],
) -> None:
    """Convert a released Keras detector."""
    from alfnet.network.alfnet import count_parameters
    from alfnet.network.keras import import_detector

    model = import_detector(file, backbone.value, steps)
    parameters = count_parameters(model)
    model.save(out, extra={"parameters": str(parameters)})
    print(f"{out}: {backbone.value}, {steps} steps, {parameters / 1e6:.1f} M parameters")


@exit_with_message
def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
