"""A rendered data set in CityPersons' own formats: Cityscapes' folders and file names, and anno_{train,val}.mat."""

from __future__ import annotations

import multiprocessing
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

from alfnet.annotations.citypersons import ImageAnnotations, Split, write_mat
from alfnet.errors import AlfnetError
from alfnet.files import atomic_path
from alfnet.params import SyntheticSettings
from streetscenes.layout import render_layout, scaled_rows
from streetscenes.scene import render_scene

# Invented towns, so that nobody takes the pictures for real ones. No town is in both splits.
CITIES: dict[Split, tuple[str, ...]] = {
    "train": ("altenfurt", "birkenau", "dornhagen", "eschwerda", "hohenrode", "lindenbruck"),
    "val": ("kronstedt", "marienloh", "weidental"),
}
FRAME = 19  # of Cityscapes' 30-frame snippets the annotated one is the 20th

# Huffman coding alone: its bytes follow from the pixels by rule, without a search that libraries do each their own way.
_PNG = [
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
]  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """One image to render."""

    path: Path
    entropy: tuple[int, int, int]
    height: int
    width: int
    busy: bool
    """Whether many people are about."""
    rows: np.ndarray | None
    """The annotated rows to follow, None for the generator's own."""


def render_dataset(
    settings: SyntheticSettings,
    folder: Path,
    *,
    layout: dict[str, list[ImageAnnotations]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Render `folder`/leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and `folder`/annotations/anno_{train,val}.mat.

    The PNG files are (height, width, 3) 8-bit colour. Every image follows from (seed, split, index) alone, so neither
    their number nor `workers` (processes) changes one. With `layout`, per split the annotations to follow, the first
    `train_images` and `val_images` of them give names, boxes, visible boxes, classes and ignore regions, scaled from
    CityPersons' 2048 x 1024 to the settings' size. `progress` is called with the images done and all images.

    Raises AlfnetError where `layout` has too few images. The folder is replaced as a whole, or left as it was.
    """
    with atomic_path(folder) as temporary:
        tasks: list[_Task] = []
        named: dict[Split, list[tuple[str, str]]] = {}
        for number, split in enumerate(get_args(Split)):
            count = settings.train_images if split == "train" else settings.val_images
            given = _given(layout, split, count)
            named[split] = [(image.city, image.file_name) for image in given] if given else _names(split, count)
            for index, (city, name) in enumerate(named[split]):
                rows = scaled_rows(given[index].rows, settings.height, settings.width) if given else None
                path = temporary / "leftImg8bit" / split / city / name
                # Training pictures are busier, so that a short training meets many pedestrians.
                busy = split == "train"
                tasks.append(_Task(path, (settings.seed, number, index), settings.height, settings.width, busy, rows))
        for parent in sorted({task.path.parent for task in tasks}):
            parent.mkdir(parents=True, exist_ok=True)
        rendered = []
        with _mapping(workers) as mapping:
            for rows in mapping(_render, tasks):
                rendered.append(rows)
                if progress is not None:
                    progress(len(rendered), len(tasks))
        start = 0
        for split, names in named.items():
            part = rendered[start : start + len(names)]
            start += len(names)
            images = [ImageAnnotations(city, name, rows) for (city, name), rows in zip(names, part, strict=True)]
            write_mat(temporary / "annotations" / f"anno_{split}.mat", images, split)


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image (H, W, 3) uint8 BGR as PNG; equal pixels give equal bytes."""
    done, content = cv2.imencode(".png", image, _PNG)
    if not done:
        raise AlfnetError(f"OpenCV cannot encode a PNG file of {image.shape[1]} x {image.shape[0]} pixels")
    return content.tobytes()


def _render(task: _Task) -> np.ndarray:
    cv2.setNumThreads(1)
    seed = np.random.SeedSequence(task.entropy)
    if task.rows is None:
        image, rows = render_scene(seed, task.height, task.width, busy=task.busy)
    else:
        image, rows = render_layout(seed, task.height, task.width, task.rows)
    task.path.write_bytes(encode_png(image))
    return rows


def _names(split: Split, count: int) -> list[tuple[str, str]]:
    """City and file name of each image: the towns in order, each with its share of the images in a row."""
    cities = CITIES[split]
    names = []
    for index in range(count):
        town = index * len(cities) // count
        first = -(-town * count // len(cities))
        names.append((cities[town], f"{cities[town]}_{index - first:06d}_{FRAME:06d}_leftImg8bit.png"))
    return names


def _given(layout: dict[str, list[ImageAnnotations]] | None, split: Split, count: int) -> list[ImageAnnotations] | None:
    if layout is None:
        return None
    given = layout[split]
    if len(given) < count:
        raise AlfnetError(
            f"{split}_images: {count} images are asked for, and the {split} layout has {len(given)}; ask for fewer"
        )
    return given[:count]


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[[Callable[[_Task], np.ndarray], list[_Task]], Iterable[np.ndarray]]]:
    if workers <= 1:
        yield lambda function, tasks: map(function, tasks)
        return
    # spawn: a forked child would inherit the state of threads that don't exist in it.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_leave_interrupts_to_the_parent) as pool:
        try:
            yield lambda function, tasks: pool.map(function, tasks, chunksize=4)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
