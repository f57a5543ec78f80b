"""What every annotation format is read into: an image and its boxes."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import Literal

import numpy as np

from alfnet.errors import AlfnetError

Split = Literal["train", "val"]


@dataclass(frozen=True, eq=False)
class AnnotatedImage:
    """An image and its n annotated objects, in the file's order.

    Boxes are x, y, width, height in pixels of the full image, float64, as annotated: they may leave the image.
    """

    file_name: str
    """Relative to the data set's folder of images, with forward slashes."""
    height: int
    width: int
    boxes: np.ndarray
    """(n, 4)"""
    visible: np.ndarray
    """(n, 4) the visible parts; the whole boxes where the format knows none."""
    visible_ratios: np.ndarray
    """(n,) visible area / full area."""
    pedestrian: np.ndarray
    """(n,) bool: a person that a detector must find. Other objects (riders, groups, ...) are ignore regions."""
    crowd: np.ndarray
    """(n,) bool: a group of people in one box."""
    fold: int | None = None
    """Its part of the data set, where a seeded rule parts it for cross-validation."""


def annotated_image(
    file_name: str,
    height: int,
    width: int,
    boxes: Iterable[Iterable[float]],
    *,
    pedestrian: Iterable[bool],
    visible: Iterable[Iterable[float]] | None = None,
    visible_ratios: Iterable[float] | None = None,
    crowd: Iterable[bool] | None = None,
) -> AnnotatedImage:
    """Put lists together; what is left out: everything visible, the ratio of the areas, no crowd."""
    full = np.array(list(boxes), dtype=np.float64).reshape(-1, 4)
    parts = full.copy() if visible is None else np.array(list(visible), dtype=np.float64).reshape(-1, 4)
    if visible_ratios is None:
        areas = full[:, 2:].prod(axis=1)
        # Visible parts may be drawn a little larger than the whole; a box without an area shows nothing.
        ratios = np.minimum(parts[:, 2:].prod(axis=1) / np.where(areas > 0, areas, np.inf), 1.0)
    else:
        ratios = np.array(list(visible_ratios), dtype=np.float64)
    person = np.array(list(pedestrian), dtype=np.bool_)
    crowded = np.zeros(len(full), np.bool_) if crowd is None else np.array(list(crowd), dtype=np.bool_)
    return AnnotatedImage(file_name, height, width, full, parts, ratios, person, crowded)


def check_name(name: str, where: str) -> str:
    """Return an image's file name, whose parts may be folders. Raises AlfnetError where it leads out of the data set."""
    path = PurePosixPath(name)
    if not name.strip() or path.is_absolute() or ".." in path.parts or "\\" in name or _has_control(name):
        raise AlfnetError(
            f"{where}: the file name is {name!r:.100}; a name relative to the folder of images was expected, with / "
            "between folders and without control characters"
        )
    return str(path)


def _has_control(name: str) -> bool:
    """Control characters, and halves of characters, which no file system takes. Odd blanks are fine: macOS writes them."""
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in name)


def deal_into_folds(images: list[AnnotatedImage], seed: int, folds: int) -> list[AnnotatedImage]:
    """Give every image a fold, 0 to folds - 1, by a seeded shuffle; folds differ by one image at most.

    The fold follows from the names, the seed and the number of folds: the order in the file does not matter.
    Raises AlfnetError where there are fewer images than folds.
    """
    if len(images) < folds:
        raise AlfnetError(f"{len(images)} images cannot be parted into {folds} folds; lower data.split.folds")
    order = sorted(range(len(images)), key=lambda index: images[index].file_name)
    shuffled = np.random.Generator(np.random.PCG64(seed)).permutation(len(images))
    fold_of = {order[place]: position % folds for position, place in enumerate(shuffled.tolist())}
    return [replace(image, fold=fold_of[index]) for index, image in enumerate(images)]
