"""A data set by its settings: each format's files become the same annotated images, training cache and ground truth."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from alfnet.annotations.citypersons import annotated
from alfnet.annotations.citypersons_json import read_citypersons
from alfnet.annotations.ground_truth import write_ground_truth
from alfnet.annotations.images import AnnotatedImage, Split, deal_into_folds
from alfnet.annotations.training_cache import Clipping, TrainingRule, write_training_cache
from alfnet.errors import AlfnetError

if TYPE_CHECKING:  # reading annotations needs no pydantic
    from alfnet.params import DataFormat, DataSettings


@dataclass(frozen=True)
class Source:
    """Where the annotations of one split are, and what their files do not tell."""

    format: DataFormat
    annotations: Path
    """A file, or a folder where the format has a file per image."""
    split: Split
    images: Path
    """The folder that names of images are relative to."""
    split_images: Path
    """The folder of this split's images: `images` or below it."""
    category: str | None = None
    """Of a COCO file, the name of the category of people."""
    size: tuple[int, int] | None = None
    """Height and width of all images in pixels, where it is fixed."""


def source_of(data: DataSettings, split: Split) -> Source:
    """A split of the data set that params.yaml describes."""
    train = split == "train"
    return Source(
        format=data.format,
        annotations=Path(data.annotations) / (data.train_annotations if train else data.val_annotations),
        split=split,
        images=data.images_folder,
        split_images=Path(data.folder) / (data.train_images if train else data.val_images),
        category=data.category,
        size=None if data.height is None or data.width is None else (data.height, data.width),
    )


def read_annotations(source: Source) -> list[AnnotatedImage]:
    """Read the annotated images of a split, in the format's order. Raises AlfnetError for what cannot be used."""
    return _READERS[source.format](source)


def read_split(data: DataSettings, split: Split) -> list[AnnotatedImage]:
    """Read the annotated images of a split by the settings `data`.

    With `data.split` both splits are one file, parted by a seeded rule: fold 0 is val and the rest train; under
    cross-validation every split holds all images, each with its fold. Raises AlfnetError for annotations that cannot be
    used.
    """
    images = read_annotations(source_of(data, split))
    if data.split is None:
        return images
    images = deal_into_folds(images, data.split.seed, data.split.folds)
    if data.split.cross_validation:
        return images
    return [image for image in images if (image.fold == 0) == (split == "val")]


def training_rule(data: DataSettings) -> TrainingRule:
    """The rule by which a data set's objects are trained on."""
    return TrainingRule(
        minimum_height=data.minimum_pedestrian_height,
        minimum_visible_ratio=data.minimum_visible_ratio,
        covered=data.covered,
        clipping=clipping_of(data.format),
    )


def clipping_of(format: DataFormat) -> Clipping:
    """How boxes of a format are clipped: as the published caches of its data set have it, where there are any."""
    return _CLIPPING.get(format, "inside")


def write_split_cache(data: DataSettings, split: Split, out: str | os.PathLike[str]) -> dict[str, int]:
    """Write the training cache of a split; return the numbers of images, pedestrians and ignore regions in it."""
    source = source_of(data, split)
    return write_training_cache(read_split(data, split), split, out, training_rule(data), str(source.annotations))


def write_val_ground_truth(data: DataSettings, out: str | os.PathLike[str]) -> dict[str, int]:
    """Write what detections on val are compared with; return the numbers of images and objects in it."""
    source = source_of(data, "val")
    images = read_split(data, "val")
    return write_ground_truth(images, out, str(source.annotations), citypersons=data.format == "citypersons")


def _citypersons(source: Source) -> list[AnnotatedImage]:
    height, width = _fixed_size(source)
    images = read_citypersons(source.annotations, source.split)
    return annotated(images, source.split, height=height, width=width)


def _coco(source: Source) -> list[AnnotatedImage]:
    from alfnet.annotations.coco import read_coco

    images = read_coco(source.annotations, source.category)
    for image in images:
        if source.size is not None and (image.height, image.width) != source.size:
            raise AlfnetError(
                f"{source.annotations}: {image.file_name} is {image.width} x {image.height} px, but data says "
                f"{source.size[1]} x {source.size[0]} (width x height); set data.height and data.width to null for "
                "images of any sizes"
            )
    return images


def _caltech(source: Source) -> list[AnnotatedImage]:
    from alfnet.annotations.caltech import read_caltech

    height, width = _fixed_size(source)
    return read_caltech(source.annotations, source.images, source.split_images, height=height, width=width)


def _crowdhuman(source: Source) -> list[AnnotatedImage]:
    from alfnet.annotations.crowdhuman import read_crowdhuman

    return read_crowdhuman(source.annotations, source.images)


def _eurocity(source: Source) -> list[AnnotatedImage]:
    from alfnet.annotations.eurocity import read_eurocity

    return read_eurocity(source.annotations, source.split_images.relative_to(source.images))


def _pennfudan(source: Source) -> list[AnnotatedImage]:
    from alfnet.annotations.pennfudan import read_pennfudan

    return read_pennfudan(source.annotations)


_READERS: dict[DataFormat, Callable[[Source], list[AnnotatedImage]]] = {
    "citypersons": _citypersons,
    "coco": _coco,
    "caltech": _caltech,
    "crowdhuman": _crowdhuman,
    "eurocity": _eurocity,
    "pennfudan": _pennfudan,
}
_CLIPPING: dict[DataFormat, Clipping] = {"citypersons": "published", "caltech": "whole_pixels"}


def _fixed_size(source: Source) -> tuple[int, int]:
    if source.size is None:
        raise AlfnetError(
            f"data.height and data.width: the images of data.format: {source.format} have one size; state it"
        )
    return source.size
