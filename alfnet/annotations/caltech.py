"""Caltech's pedestrians: the new annotations' texts (Zhang et al., CVPR 2016) or the original .vbb, by the image's name.

Images are frames of videos, `set06_V000_I00029.jpg`: set, video and the frame, counted from 0. Some converters write
`set06_V000_29.png`. A text (`set06_V000_I00029.txt`) begins with `% bbGt version=3`; a row is
`label x y w h occ xv yv wv hv ignore angle`. A row without its ignore mark is a
pedestrian of the training cache (docs/method.md#caltech-annotations).
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from alfnet.annotations.images import AnnotatedImage, annotated_image
from alfnet.annotations.vbb import VbbObject, read_vbb
from alfnet.errors import AlfnetError

FrameKey = tuple[int, int, int]
"""Set, video and frame (from 0), all as numbers: the order in which the benchmark goes through them."""

_NAME = re.compile(r"^set(\d{2})_?V(\d{3})_?I?(\d{1,6})$")
_HEADER = "% bbGt version="
_IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png")

# Of the original annotations, "Reasonable" is what the training set of the new ones carries as its ignore mark.
_MINIMUM_HEIGHT, _MINIMUM_VISIBLE = 50, 0.65


@dataclass(frozen=True)
class TextObject:
    """A row of a text; boxes are x, y, width, height in pixels as written (mostly whole numbers, some with fractions)."""

    label: str
    box: tuple[float, float, float, float]
    occluded: bool
    visible: tuple[float, float, float, float]
    ignore: bool

    @property
    def visible_ratio(self) -> float:
        """1 for what is not occluded; 0 where the visible box equals the box, as the benchmark's code has it."""
        if not self.occluded or not any(self.visible):
            return 1.0
        if self.visible == self.box:
            return 0.0
        return min(1.0, self.visible[2] * self.visible[3] / max(self.box[2] * self.box[3], 1e-9))


def frame_of(name: str) -> FrameKey | None:
    """Set, video and frame (from 0) in a file's name without suffix; None for other names."""
    found = _NAME.match(name)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def read_text_annotation(path: Path) -> list[TextObject]:
    """Read one text of the new annotations. Raises AlfnetError, naming file and line, for another layout."""
    try:
        lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    except OSError as error:
        raise AlfnetError(f"{path}: {error.strerror}") from None
    if not lines or not lines[0].startswith(_HEADER):
        raise AlfnetError(f"{path}: the first line is {''.join(lines[:1])!r:.60}; '{_HEADER}3' was expected")
    return [_row(line, f"{path}: line {number}") for number, line in enumerate(lines[1:], start=2) if line.strip()]


def read_caltech(
    annotations: Path, images: Path, split_images: Path, *, height: int, width: int
) -> list[AnnotatedImage]:
    """Read the annotations of a split's images, in the benchmark's order: set, video, frame.

    `annotations` holds texts (every text's image has to be there) or .vbb files in setXX/ (then the images that are there
    are the split). `images` is the folder that names are relative to, `split_images` the split's, itself or below.
    Raises AlfnetError for missing images and for files of another layout.
    """
    if not annotations.is_dir():
        raise AlfnetError(f"{annotations}: no such folder; put the texts or the .vbb files of the annotations there")
    files = _images_by_frame(split_images)
    written = sorted(annotations.rglob("*.txt"))
    texts = {key: path for path in written if (key := frame_of(_without_image_suffix(path.stem))) is not None}
    if not texts and written and not next(annotations.rglob("*.vbb"), None):
        raise AlfnetError(
            f"{annotations}: none of its {len(written)} .txt files is named like a frame, e.g. {written[0].name}; expected "
            "set06_V000_I00029.txt, or set06_V000_I00029.jpg.txt"
        )
    if texts:
        missing = sorted(texts.keys() - files.keys())
        if missing:
            raise AlfnetError(
                f"{split_images}: {len(missing)} of {len(texts)} annotated images are not there, e.g. {_show(missing[0])}.jpg; "
                "extract them with: alfnet data frames"
            )
        objects: Iterator[tuple[FrameKey, list[_Row]]] = (
            (key, _of_texts(read_text_annotation(texts[key]))) for key in sorted(texts)
        )
    else:
        objects = _of_videos(annotations, files)
    return [
        annotated_image(
            files[key].relative_to(images).as_posix(),
            height,
            width,
            [row[0] for row in rows],
            visible=[row[1] for row in rows],
            visible_ratios=[row[2] for row in rows],
            pedestrian=[row[3] for row in rows],
            crowd=[row[4] for row in rows],
        )
        for key, rows in objects
    ]


_Row = tuple[tuple[float, ...], tuple[float, ...], float, bool, bool]
"""Box, visible box, visible ratio, pedestrian or not, group or not."""


def _of_texts(objects: list[TextObject]) -> list[_Row]:
    return [
        (
            one.box,
            one.visible if one.occluded and any(one.visible) else one.box,
            one.visible_ratio,
            not one.ignore and one.label != "ignore",
            one.label == "people",
        )
        for one in objects
    ]


def _of_videos(annotations: Path, files: dict[FrameKey, Path]) -> Iterator[tuple[FrameKey, list[_Row]]]:
    if not files:
        raise AlfnetError(
            f"no images of the form set00_V000_I00029.jpg are there for {annotations}; see: alfnet data frames"
        )
    video, frames = None, list[list[VbbObject]]()
    for key in sorted(files):
        if key[:2] != video:
            video = key[:2]
            path = annotations / f"set{key[0]:02}" / f"V{key[1]:03}.vbb"
            frames = read_vbb(path)
        if key[2] >= len(frames):
            raise AlfnetError(f"{files[key]}: frame {key[2]}, but {path} has {len(frames)} frames")
        yield key, [_vbb_row(one) for one in frames[key[2]] if one.label != "person-fa"]


def _vbb_row(one: VbbObject) -> _Row:
    ratio = 1.0
    if any(one.visible):
        ratio = min(1.0, one.visible[2] * one.visible[3] / max(one.box[2] * one.box[3], 1e-9))
    reasonable = one.label == "person" and one.box[3] >= _MINIMUM_HEIGHT and ratio >= _MINIMUM_VISIBLE
    return one.box, one.visible if any(one.visible) else one.box, ratio, reasonable, one.label == "people"


def _without_image_suffix(stem: str) -> str:
    """The name of set06_V000_I00029.jpg.txt, as some copies call the texts, like that of set06_V000_I00029.txt."""
    name, suffix = os.path.splitext(stem)
    return name if suffix.lower() in _IMAGE_SUFFIXES else stem


def _images_by_frame(folder: Path) -> dict[FrameKey, Path]:
    files: dict[FrameKey, Path] = {}
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        for name in sorted(names):
            stem, suffix = os.path.splitext(name)
            key = frame_of(stem) if suffix.lower() in _IMAGE_SUFFIXES else None
            if key is not None:
                if key in files:
                    raise AlfnetError(f"{Path(root) / name}: the same frame as {files[key]}; leave one of them")
                files[key] = Path(root) / name
    return files


def _show(key: FrameKey) -> str:
    return f"set{key[0]:02}_V{key[1]:03}_I{key[2]:05}"


def _row(line: str, where: str) -> TextObject:
    fields = line.split()
    label, numbers = fields[0], fields[1:]
    try:
        values = [float(number) for number in numbers]
    except ValueError:
        values = []
    if len(values) not in (10, 11) or not all(math.isfinite(value) for value in values):
        raise AlfnetError(
            f"{where} is {line!r:.80}; a label and 11 numbers were expected: x y w h occ xv yv wv hv ignore angle"
        )
    x, y, w, h, occluded, xv, yv, wv, hv, ignore = values[:10]
    return TextObject(label, (x, y, w, h), occluded != 0, (xv, yv, wv, hv), ignore != 0)
