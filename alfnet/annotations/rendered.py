"""Rendered street scenes as a data set in CityPersons' own formats.

The renderer (`streetscenes`) knows people and their boxes. Here they become annotation rows, with Cityscapes' folders and
file names and anno_{train,val}.mat; and CityPersons' rows become layouts for the renderer.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import cv2
import numpy as np

import streetscenes
from alfnet.annotations.citypersons import (
    BOX,
    CLASS,
    COLUMNS,
    VISIBLE_BOX,
    ImageAnnotations,
    Split,
    read_mat,
    write_mat,
)
from alfnet.errors import AlfnetError
from alfnet.files import atomic_path
from alfnet.params import SyntheticSettings
from alfnet.progress import progress_report

WORKERS = 2
"""Processes; the images do not depend on it."""

# Invented towns, so that nobody takes the images for real ones. No town is in both splits.
CITIES: dict[Split, tuple[str, ...]] = {
    "train": ("altenfurt", "birkenau", "dornhagen", "eschwerda", "hohenrode", "lindenbruck"),
    "val": ("kronstedt", "marienloh", "weidental"),
}
FRAME = 19  # of Cityscapes' 30-frame snippets the annotated one is the 20th

ANNOTATED_WIDTH, ANNOTATED_HEIGHT = 2048, 1024
"""The size in pixels of the images that CityPersons' boxes belong to."""

KINDS: dict[int, streetscenes.Kind] = {
    0: "unclear",
    1: "upright",
    2: "rider",
    3: "sitting",
    4: "unusual",
    5: "group",
}
"""What CityPersons' classes are to the renderer."""

# Cityscapes' label numbers, which CityPersons' instance numbers start from: label * 1000 + count for one person, the bare
# label for a group, 0 for an ignore region.
PERSON_LABEL, RIDER_LABEL = 24, 25

# Huffman coding alone: its bytes follow from the pixels by rule, without a search that libraries do each their own way.
_PNG = [
    cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_HUFFMAN_ONLY,
    cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_UP,
]  # fmt: skip


@dataclass(frozen=True)
class _Task:
    """One image to render."""

    path: Path
    settings: streetscenes.Settings
    seed: tuple[int, int, int]
    rows: np.ndarray | None
    """The rows (n, 10) of its layout, None where the renderer places the people."""


def render_from_settings(settings: SyntheticSettings, folder: Path, *, workers: int = WORKERS) -> None:
    """Render the data set of `settings` to `folder`; with `layout`, from the annotation files that it names.

    Raises AlfnetError for annotation files that cannot be used.
    """
    layout: dict[Split, list[ImageAnnotations]] | None = None
    if settings.layout is not None:
        layout = {
            "train": read_mat(_in_environment(settings.layout.train), "train"),
            "val": read_mat(_in_environment(settings.layout.val), "val"),
        }
    with progress_report(f"render {folder.name}", settings.train_images + settings.val_images) as report:
        render_dataset(
            settings, folder, layout=layout, progress=lambda done, total: report.update(done), workers=workers
        )


def render_dataset(
    settings: SyntheticSettings,
    folder: Path,
    *,
    layout: dict[Split, list[ImageAnnotations]] | None = None,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> None:
    """Render `folder`/leftImg8bit/{train,val}/<city>/*_leftImg8bit.png and `folder`/annotations/anno_{train,val}.mat.

    The PNG files are (height, width, 3) 8-bit colour. Every image follows from (seed, split, index) alone: neither their
    number nor `workers` (processes) changes one. With `layout`, the first `train_images` and `val_images` of its
    annotations give names, boxes, visible boxes, classes and ignore regions, scaled from 2048 x 1024 px to the settings'
    size. `progress` is called with the images done and all images.

    Raises AlfnetError where `layout` has too few images. The folder is replaced as a whole, or left as it was.
    """
    import scipy.io  # noqa: F401  writes the annotations when all images are rendered: if it is missing, say so now

    with atomic_path(folder) as temporary:
        tasks: list[_Task] = []
        named: dict[Split, list[tuple[str, str]]] = {}
        for number, split in enumerate(get_args(Split)):
            count = settings.train_images if split == "train" else settings.val_images
            given = _given(layout, split, count)
            named[split] = [(image.city, image.file_name) for image in given] if given else _names(split, count)
            for index, (city, name) in enumerate(named[split]):
                rows = scaled_rows(given[index].rows, settings.height, settings.width) if given else None
                # Training images are busier, so that a short training meets many pedestrians.
                scene = streetscenes.Settings(
                    settings.height, settings.width, split == "train", None if rows is None else people_of(rows)
                )
                path = temporary / "leftImg8bit" / split / city / name
                tasks.append(_Task(path, scene, (settings.seed, number, index), rows))
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


def rows_of(people: Sequence[streetscenes.Person]) -> np.ndarray:
    """CityPersons' rows (n, 10) of rendered people, with instance numbers in their order."""
    classes = {kind: number for number, kind in KINDS.items()}
    counts = {PERSON_LABEL: 0, RIDER_LABEL: 0}
    rows = []
    for person in people:
        instance = 0
        if person.kind == "group":
            instance = PERSON_LABEL
        elif person.kind != "unclear":
            label = RIDER_LABEL if person.kind == "rider" else PERSON_LABEL
            instance = 1000 * label + counts[label]
            counts[label] += 1
        # The real files give a group no visible box.
        rows.append([classes[person.kind], *person.box, instance, *(person.visible or (0, 0, 0, 0))])
    return np.array(rows, dtype=np.float64).reshape(-1, len(COLUMNS))


def people_of(rows: np.ndarray) -> tuple[streetscenes.Person, ...]:
    """The renderer's people of CityPersons' rows (n, 10) in pixels of the image to render."""

    def region(box: np.ndarray) -> streetscenes.Region:
        x, y, w, h = box.astype(np.int64).tolist()
        return x, y, w, h

    people = []
    for row in rows:
        full, visible = region(row[BOX]), region(row[VISIBLE_BOX])
        seen = visible if visible[2] > 0 and visible[3] > 0 else None
        people.append(streetscenes.Person(KINDS[int(row[CLASS])], (*full[:2], max(full[2], 1), max(full[3], 1)), seen))
    return tuple(people)


def scaled_rows(rows: np.ndarray, height: int, width: int) -> np.ndarray:
    """CityPersons' rows (n, 10) scaled from 2048 x 1024 px to another size, in whole pixels; no box vanishes."""
    scaled = rows.copy()
    for first, factor in ((1, width / ANNOTATED_WIDTH), (2, height / ANNOTATED_HEIGHT)):
        for start in (first, first + 5):
            low = np.floor(rows[:, start] * factor + 0.5)
            high = np.floor((rows[:, start] + rows[:, start + 2]) * factor + 0.5)
            scaled[:, start] = low
            scaled[:, start + 2] = np.where(rows[:, start + 2] > 0, np.maximum(high - low, 1), 0)
    return scaled


def encode_png(image: np.ndarray) -> bytes:
    """Encode an image (H, W, 3) uint8 BGR as PNG; equal pixels give equal bytes."""
    done, content = cv2.imencode(".png", image, _PNG)
    if not done:
        raise AlfnetError(f"OpenCV cannot encode a PNG file of {image.shape[1]} x {image.shape[0]} pixels")
    return content.tobytes()


def _in_environment(path: str) -> str:
    """The path with `$NAME` replaced by the environment's value. Raises AlfnetError where it has none."""
    expanded = os.path.expandvars(path)
    missing = re.search(r"\$\{?(\w+)", expanded)
    if missing:
        raise AlfnetError(
            f"{path}: {missing[1]} is not in the environment; set it to the folder that holds CityPersons' {Path(path).name}"
        )
    return expanded


def _render(task: _Task) -> np.ndarray:
    image, people = streetscenes.render(task.settings, task.seed)
    task.path.write_bytes(encode_png(image))
    return rows_of(people) if task.rows is None else task.rows


def _names(split: Split, count: int) -> list[tuple[str, str]]:
    """City and file name of each image: the towns in order, each with its share of the images in a row."""
    cities = CITIES[split]
    names = []
    for index in range(count):
        town = index * len(cities) // count
        first = -(-town * count // len(cities))
        names.append((cities[town], f"{cities[town]}_{index - first:06d}_{FRAME:06d}_leftImg8bit.png"))
    return names


def _given(
    layout: dict[Split, list[ImageAnnotations]] | None, split: Split, count: int
) -> list[ImageAnnotations] | None:
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
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_end_with_the_parent) as pool:
        try:
            yield lambda function, tasks: pool.map(function, tasks, chunksize=4)
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _end_with_the_parent() -> None:
    """Leave Ctrl-C to the parent, and end when it was killed, which ends no pool."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_wait_for_the_parent, daemon=True).start()


def _wait_for_the_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
