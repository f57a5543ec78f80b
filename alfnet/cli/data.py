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
    from alfnet.params import Params

TRAINING_CACHE = Path("cache/train.json")
"""What the pipeline writes."""
_REMAKE = "make it with: dvc repro cache_annotations"

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


@app.command("check")
def data_check(
    path: Annotated[
        Path | None,
        typer.Argument(help="A COCO file, or the folder of a CityPersons copy; left out: the data set of params.yaml."),
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="The images of a COCO file; left out: images/ beside it, or its own folder.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Of a COCO file: the category of people.")] = None,
    sheet: Annotated[Path | None, typer.Option(help="Write a contact sheet with boxes there (PNG).")] = None,
    unpack: Annotated[
        bool, typer.Option("--unpack", help="Unpack leftImg8bit_trainvaltest.zip beside it first.")
    ] = False,
    use: Annotated[
        bool, typer.Option("--use", help="Where nothing is wrong, write a params.yaml that trains on this COCO file.")
    ] = False,
    force: Annotated[bool, typer.Option(help="With --use: replace a params.yaml with changes of yours.")] = False,
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """Look at a data set before anything runs on it: counts, sizes, missing images, doubtful boxes, a contact sheet.

    The exit code is 1 where something keeps it from being used.
    """
    from alfnet.inspection.run import check_data_set, check_path
    from alfnet.outputs import check_outputs, check_replaceable, marked_png

    check_outputs({"--sheet": sheet}, {"the data set": path, "--images": images})
    check_replaceable(sheet, "contact sheet", marked_png("alfnet data check"))
    if unpack:
        from alfnet.inspection.citypersons import unpack_images
        from alfnet.inspection.findings import plural
        from alfnet.progress import progress_report

        if path is None or not path.is_dir():
            raise AlfnetError("--unpack: name the folder that holds leftImg8bit_trainvaltest.zip")
        with progress_report("unpack", 3475) as report:
            written = unpack_images(path, lambda done, total: report.update(done))
        print(f"{plural(written, 'image')} unpacked")
    if use and (path is None or path.is_dir()):
        raise AlfnetError("--use: name the COCO file to train on")
    found = check_data_set(set_up(params_file), sheet) if path is None else check_path(path, images, category, sheet)
    for line in found.facts:
        print(line)
    for line in found.doubts:
        print(f"doubtful: {line}")
    for line in found.problems:
        print(f"wrong: {line}")
    if found.problems:
        raise typer.Exit(1)
    print("nothing is wrong" if not found.doubts else "nothing is certainly wrong")
    if use and path is not None:
        from alfnet.inspection.own_data import write_own_params

        print(write_own_params(path, images, category, params_file, force=force))


@app.command("anchors")
def data_anchors(
    cache: Annotated[Path, typer.Option(help="The training cache.")] = TRAINING_CACHE,
    out: Annotated[Path | None, typer.Option(help="Write a plot there (PNG).")] = None,
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """How many pedestrians have an anchor at IoU 0.5, as they are trained on; suggested widths and ratio for this data."""
    from rich.console import Console
    from rich.table import Table

    from alfnet.annotations.cache import load_cache
    from alfnet.inspection.anchors import LEVELS, anchor_fit, pedestrian_sizes, suggest, training_scales, write_plot
    from alfnet.inspection.anchors import yaml_lines as lines_of
    from alfnet.outputs import check_outputs, check_replaceable, marked_png

    params = set_up(params_file)
    check_outputs({"--out": out}, {"--cache": cache})
    check_replaceable(out, "plot of anchors", marked_png("alfnet data anchors"))
    if not cache.is_file():
        raise AlfnetError(f"{cache}: no such file; {_REMAKE}")
    images = load_cache(cache)
    if cache == TRAINING_CACHE:  # another one is taken as it is
        _check_cache(cache, params, params_file)
    sizes = pedestrian_sizes(images)
    if not len(sizes):
        raise AlfnetError(f"{cache}: there is no pedestrian in it, so anchors cannot be fitted; annotate some")
    scales = training_scales(images, params.train.augment)
    trained = (sizes[:, None] * scales[..., None]).reshape(-1, 2)
    present = params.head.anchors
    suggested = suggest(trained, present)
    better = suggested if suggested != present else None
    table = Table(title=f"{len(sizes):,} pedestrians, as training scales them: shares with an anchor at IoU 0.5")
    for name in ("anchors", "best", "worst", *LEVELS):
        table.add_column(name, justify="left" if name == "anchors" else "right", no_wrap=True)
    for name, anchors in (("now", present), *((("suggested", better),) if better is not None else ())):
        fit = anchor_fit(trained, anchors)
        table.add_row(name, *(f"{100 * share:.1f} %" for share in (*fit.share(), *fit.per_level())))
    Console().print(table)
    print("best: the pedestrian's centre on that of a cell; worst: half a cell away on both axes.")
    print("/8 ... /64: by the anchors of the level of this stride alone, at the best place.")
    if better is None:
        print("No better anchors were found: none are to be changed.")
    else:
        print(f"The lines for {params_file}:\n{lines_of(better)}")
    if out is not None:
        write_plot(out, trained, present, better)
        print(out)


def _check_cache(cache: Path, params: Params, params_file: Path) -> None:
    """Raise AlfnetError where the pipeline's cache is of another data set, or of other rules, than the parameters."""
    from alfnet.annotations.data_set import training_rule
    from alfnet.annotations.training_cache import training_cache
    from alfnet.files import read_json
    from alfnet.launch.records import departure, recorded_stages, source_departure

    reason = None
    rule = training_cache([], "train", training_rule(params.data))["info"]["rule"]
    content = read_json(cache)
    sizes = {(image["height"], image["width"]) for image in content["images"]}
    if content["info"].get("rule") != rule:
        reason = f"it was made with another rule than data in {params_file} has"
    elif params.data.height is not None and sizes - {(params.data.height, params.data.width)}:
        reason = f"it has images of another size than data in {params_file}"
    elif Path("dvc.lock").is_file():
        stages = recorded_stages(Path("dvc.lock"))
        name = "cache_annotations@train"
        reason = departure(stages, name, str(cache), params_file) or source_departure(
            stages, name, params.data.folder, params_file
        )
    if reason is not None:
        raise AlfnetError(f"{cache}: is not of the data set that {params_file} names: {reason}; {_REMAKE}")


@app.command("frames")
def data_frames(
    videos: Annotated[Path, typer.Argument(help="The folder with set00/V000.seq, ... of the Caltech pedestrians.")],
    out: Annotated[Path, typer.Option(help="The folder for the images: train/ and test/ are made in it.")],
    train_every: Annotated[int, typer.Option(help="Take every so manieth frame of set00 to set05.")] = 3,
    test_every: Annotated[int, typer.Option(help="Take every so manieth frame of set06 to set10.")] = 30,
) -> None:
    """Take the benchmark's frames out of Caltech's videos, as the JPEG files that they are."""
    from alfnet.annotations.seq import extract_frames
    from alfnet.progress import progress_report

    files = sorted(videos.glob("set[0-9][0-9]/V[0-9][0-9][0-9].seq"))
    if not files:
        raise AlfnetError(f"{videos}: no videos setXX/VYYY.seq in this folder")
    written = 0
    with progress_report("frames", len(files)) as report:
        for number, file in enumerate(files, start=1):
            test = int(file.parent.name[3:]) >= 6
            written += extract_frames(file, out / ("test" if test else "train"), test_every if test else train_every)
            report.update(number)
    print(f"{out}: {written} images written, of {len(files)} videos")


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
