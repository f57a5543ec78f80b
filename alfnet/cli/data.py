"""`alfnet data`: data sets, annotation caches and ground truths."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from alfnet.cli.common import ParamsOption, Split, set_up
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from alfnet.annotations.data_set import Source

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


class Format(StrEnum):
    """The formats of annotations."""

    citypersons = "citypersons"
    coco = "coco"
    caltech = "caltech"
    crowdhuman = "crowdhuman"
    eurocity = "eurocity"
    pennfudan = "pennfudan"


FormatOption = Annotated[Format, typer.Option(help="What the annotations are.")]
ImagesOption = Annotated[
    Path | None, typer.Option(help="The folder of images (caltech, crowdhuman: their names or sizes come from it).")
]
CategoryOption = Annotated[str | None, typer.Option(help="Of a COCO file: the category of people.")]
SideOption = Annotated[
    int | None, typer.Option(help="Of the images, pixels (citypersons: 1024 x 2048, caltech: 480 x 640).")
]


@app.command("cache")
def data_cache(
    annotations: Annotated[
        Path, typer.Option(help="anno_train.mat or anno_val.mat, or another format's file or folder.")
    ],
    split: Annotated[Split, typer.Option(help="Which of the two.")],
    out: Annotated[Path, typer.Option(help="The cache to write (JSON, COCO layout).")],
    format: FormatOption = Format.citypersons,
    images: ImagesOption = None,
    category: CategoryOption = None,
    height: SideOption = None,
    width: SideOption = None,
    minimum_height: Annotated[float, typer.Option(help="Lower pedestrians are ignore regions, pixels.")] = 50,
) -> None:
    """Make the training cache from a split's annotations, by the published rule."""
    from alfnet.annotations.data_set import clipping_of, read_annotations
    from alfnet.annotations.training_cache import TrainingRule, write_training_cache
    from alfnet.outputs import check_outputs, check_replaceable, starts_with

    check_outputs({"--out": out}, {"--annotations": annotations})
    check_replaceable(out, "annotation cache", starts_with('{"info":{"split":'))
    read = read_annotations(_source(annotations, split.value, format, images, category, height, width))
    rule = TrainingRule(minimum_height, clipping=clipping_of(format.value))
    counts = write_training_cache(read, split.value, out, rule, str(annotations))
    print(f"{out}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


@app.command("ground-truth")
def data_ground_truth(
    annotations: Annotated[Path, typer.Option(help="anno_val.mat, or another format's file or folder.")],
    out: Annotated[Path, typer.Option(help="The ground truth to write (JSON, COCO layout).")],
    format: FormatOption = Format.citypersons,
    images: ImagesOption = None,
    category: CategoryOption = None,
    height: SideOption = None,
    width: SideOption = None,
) -> None:
    """Make the evaluation ground truth from the annotations of val."""
    from alfnet.annotations.data_set import read_annotations
    from alfnet.annotations.ground_truth import write_ground_truth
    from alfnet.outputs import check_outputs, check_replaceable, starts_with

    check_outputs({"--out": out}, {"--annotations": annotations})
    check_replaceable(out, "ground truth", starts_with('{"categories":[{"id":1,"name":"pedestrian"}'))
    read = read_annotations(_source(annotations, "val", format, images, category, height, width))
    write_ground_truth(read, out, str(annotations), citypersons=format == Format.citypersons)
    print(out)


_SIZES = {Format.citypersons: (1024, 2048), Format.caltech: (480, 640)}  # height, width as published


def _source(
    annotations: Path,
    split: Literal["train", "val"],
    format: Format,
    images: Path | None,
    category: str | None,
    height: int | None,
    width: int | None,
) -> Source:
    from alfnet.annotations.data_set import Source

    if images is None and format in (Format.caltech, Format.crowdhuman):
        raise AlfnetError(f"--images: name the folder of images, which --format {format.value} needs")
    if format in _SIZES:
        height, width = height or _SIZES[format][0], width or _SIZES[format][1]
    elif (height is None) != (width is None):
        raise AlfnetError("--height and --width go together")
    folder = images or annotations.parent
    size = None if height is None or width is None else (height, width)
    return Source(format.value, annotations, split, folder, folder, category, size)
