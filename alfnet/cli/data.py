"""`alfnet data`: data sets, annotation caches and ground truths."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import ParamsOption, Split, set_up
from alfnet.errors import AlfnetError

app = typer.Typer(no_args_is_help=True, help="Data sets, annotation caches and ground truths.")


@app.command("synthetic")
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
    from alfnet.annotations.rendered import render_from_settings
    from alfnet.outputs import own_folder
    from alfnet.params import SyntheticSettings, check_section

    with own_folder(out, "alfnet data synthetic") as temporary:
        render_from_settings(check_section(SyntheticSettings, settings, "data synthetic"), temporary)


@app.command("cache")
def data_cache(
    annotations: Annotated[Path, typer.Option(help="anno_train.mat or anno_val.mat.")],
    split: Annotated[Split, typer.Option(help="Which of the two.")],
    out: Annotated[Path, typer.Option(help="The cache to write (JSON, COCO layout).")],
    height: Annotated[int, typer.Option(help="Of the images, pixels.")] = 1024,
    width: Annotated[int, typer.Option(help="Of the images, pixels.")] = 2048,
    minimum_height: Annotated[float, typer.Option(help="Lower pedestrians are ignore regions, pixels.")] = 50,
) -> None:
    """Make the training cache from CityPersons' annotations, by the published rule."""
    from alfnet.annotations.cache import write_training_cache
    from alfnet.outputs import check_outputs, check_replaceable, starts_with

    check_outputs({"--out": out}, {"--annotations": annotations})
    check_replaceable(out, "annotation cache", starts_with('{"info":{"split":'))
    counts = write_training_cache(
        annotations, split.value, out, width=width, height=height, minimum_height=minimum_height
    )
    print(f"{out}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


@app.command("ground-truth")
def data_ground_truth(
    annotations: Annotated[Path, typer.Option(help="anno_val.mat.")],
    out: Annotated[Path, typer.Option(help="The ground truth to write (JSON, COCO layout).")],
    height: Annotated[int, typer.Option(help="Of the images, pixels.")] = 1024,
    width: Annotated[int, typer.Option(help="Of the images, pixels.")] = 2048,
) -> None:
    """Make the evaluation ground truth from CityPersons' annotations."""
    from alfnet.annotations.ground_truth import write_ground_truth
    from alfnet.outputs import check_outputs, check_replaceable, starts_with

    check_outputs({"--out": out}, {"--annotations": annotations})
    check_replaceable(out, "ground truth", starts_with('{"categories":[{"id":1,"name":"pedestrian"}'))
    write_ground_truth(annotations, out, width=width, height=height)
    print(out)
