"""Results as they come: every format is written image by image, so memory does not grow with their number."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import cv2
import numpy as np

from alfnet.detection.drawing import draw_detections
from alfnet.detection.results import ImageDetections, coco_rows, text_lines
from alfnet.detection.video import Frame, VideoWriter
from alfnet.errors import AlfnetError

JPEG_QUALITY = 92
_STEM_BYTES = 200
"""Of a source's name in the names of files that are made of it: with numbers and endings they keep within the 255 bytes that
file systems take."""


class Save(StrEnum):
    """What can be written."""

    pictures = "pictures"
    video = "video"
    coco = "coco"
    txt = "txt"
    csv = "csv"
    crops = "crops"


@dataclass(frozen=True)
class Result:
    """What was found in one image, or in one frame of a video."""

    image: np.ndarray
    """uint8 (H, W, 3), channels B G R."""
    boxes: np.ndarray
    scores: np.ndarray
    step: int
    source: str
    frame: Frame | None = None
    """Of a video."""
    rate: Fraction = Fraction(25)
    """Of a video, frames per second."""


class Saver:
    """Writes results into a folder, in the order in which they come."""

    def __init__(self, folder: Path, formats: Sequence[Save], *, strict: bool = False) -> None:
        """`strict`: raise what is else noted in `failures`."""
        self.folder, self.formats, self.strict = folder, set(formats), strict
        self.number = 0
        self.failures: dict[str, str] = {}
        """By source a message of why its pictures, crops or video cannot be written; the rest of it is."""
        self._files: dict[str, IO[str]] = {}
        self._first_result = True
        self._video: tuple[str, VideoWriter] | None = None
        self._names: set[str] = set()
        self._open("images.json").write("[")
        if Save.coco in self.formats:
            self._open("detections.json").write("[")
        if Save.txt in self.formats:
            self._open("detections.txt")
        if Save.csv in self.formats:
            self._table = csv.writer(self._open("detections.csv"), lineterminator="\n")
            self._table.writerow(["image_id", "file_name", "frame", "x1", "y1", "x2", "y2", "score", "step"])
        for name in {Save.pictures, Save.crops} & self.formats:
            (folder / name).mkdir()

    def add(self, result: Result) -> None:
        """Write one result; its image id is the number of results so far.

        Raises OSError where the disk is full, ...; an image that a format cannot hold is noted in `failures`.
        """
        self.number += 1
        found = ImageDetections(self.number, result.boxes, result.scores)
        self._describe(result)
        if Save.coco in self.formats:
            for row in coco_rows(found):
                # The number only says which image came how far; by the name it is found among those of a ground truth.
                named = row if result.frame is not None else row | {"file_name": _text(result.source)}
                comma = "" if self._first_result else ","
                self._files["detections.json"].write(comma + json.dumps(named, separators=(",", ":"), allow_nan=False))
                self._first_result = False
        if Save.txt in self.formats:
            self._files["detections.txt"].write(text_lines(self.number, found))
        if Save.csv in self.formats:
            frame = "" if result.frame is None else result.frame.number
            for box, score in zip(result.boxes, result.scores, strict=True):
                corners = [f"{value:.4f}" for value in box.tolist()]
                cells = [self.number, _text(result.source), frame, *corners, f"{score:.4f}", result.step]
                self._table.writerow(cells)
        if result.source not in self.failures:  # of a video, which fails at every frame
            try:
                self._add_images(result)
            except AlfnetError as error:
                self._fail(result.source, error)

    def _add_images(self, result: Result) -> None:
        as_video = result.frame is not None and Save.video in self.formats
        if as_video or Save.pictures in self.formats:
            drawn = draw_detections(result.image, result.boxes, result.scores)
            if as_video and result.frame is not None:
                self._add_frame(result, Frame(drawn, result.frame.number, result.frame.seconds))
            else:
                write_picture(self.folder / "pictures" / self._file_name(result), drawn)
        if Save.crops in self.formats:
            self._add_crops(result)

    def end_source(self) -> None:
        """Finish the video that is being written, if one is."""
        if self._video is not None:
            self._video[1].close()
            self._video = None

    def _fail(self, source: str, error: AlfnetError) -> None:
        if self.strict:
            raise error
        self.failures[source] = f"{source}: {error}"
        if self._video is not None and self._video[0] == source:
            self._video[1].abandon()
            self._video = None

    def close(self) -> None:
        """Finish all files."""
        self.end_source()
        for name, file in self._files.items():
            if name == "images.json":
                file.write("\n]\n" if self.number else "]\n")
            elif name == "detections.json":
                file.write("]\n")
            file.close()
        self._files = {}

    def abandon(self) -> None:
        """Close all files as they are: they will be deleted."""
        for file in self._files.values():
            file.close()
        if self._video is not None:
            try:
                self._video[1].close()
            except Exception:  # of a file that nobody will see
                self._video = None

    def _open(self, name: str) -> IO[str]:
        self._files[name] = open(self.folder / name, "w", encoding="utf-8", newline="")  # noqa: SIM115
        return self._files[name]

    def _describe(self, result: Result) -> None:
        height, width = result.image.shape[:2]
        entry: dict[str, Any] = {"id": self.number, "file_name": _text(result.source), "height": height, "width": width}
        if result.frame is not None:
            entry |= {"frame": result.frame.number, "seconds": round(result.frame.seconds, 4)}
        self._files["images.json"].write(("," if self.number > 1 else "") + "\n " + json.dumps(entry))

    def _file_name(self, result: Result) -> str:
        stem = _stem(result.source)
        if result.frame is not None:
            return f"{self.number:05d}_{stem}_{result.frame.number:06d}.jpg"
        suffix = ".jpg" if Path(result.source).suffix.lower() in (".jpg", ".jpeg", ".jpe", ".jfif") else ".png"
        return f"{self.number:05d}_{stem}{suffix}"

    def _add_frame(self, result: Result, frame: Frame) -> None:
        if self._video is None or self._video[0] != result.source or not self._video[1].takes(frame.image):
            self.end_source()  # of a video whose frames change their size, too: the next part is a video of its own
            stem = _stem(result.source)
            name, count = f"{stem}.mp4", 1
            while name in self._names:
                count += 1
                name = f"{stem}_{count}.mp4"
            self._names.add(name)
            (self.folder / "videos").mkdir(exist_ok=True)
            self._video = (result.source, VideoWriter(self.folder / "videos" / name, result.rate))
        self._video[1].write(frame)

    def _add_crops(self, result: Result) -> None:
        height, width = result.image.shape[:2]
        stem = Path(self._file_name(result)).stem
        for index, box in enumerate(result.boxes.tolist(), start=1):
            left, top = max(0, int(box[0])), max(0, int(box[1]))
            right, bottom = min(width, int(box[2]) + 1), min(height, int(box[3]) + 1)
            if right > left and bottom > top:
                write_picture(self.folder / "crops" / f"{stem}_{index:03d}.png", result.image[top:bottom, left:right])


def _stem(source: str) -> str:
    """The name of a source without its ending, for names of files."""
    stem = Path(source.replace(":", "")).stem
    while len(os.fsencode(stem)) > _STEM_BYTES:
        stem = stem[:-1]
    return stem


def _text(source: str) -> str:
    """A source as tables name it, which are UTF-8: what is none in a file's name is shown as such."""
    return os.fsencode(source).decode("utf-8", "replace")


def write_picture(path: Path, image: np.ndarray) -> None:
    """Write a JPEG or PNG file by the suffix, into a folder that is itself whole or not at all.

    Raises AlfnetError for an image that the format cannot hold.
    """
    if path.suffix == ".png":
        # For looking at: what is fast to write, a third of the time of `write_png`, and no promise about bytes.
        options = [cv2.IMWRITE_PNG_COMPRESSION, 1, cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE]
        options += [cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB]
    else:
        options = [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    done, encoded = cv2.imencode(path.suffix, np.ascontiguousarray(image), options)
    if not done:
        raise AlfnetError(
            f"an image of {image.shape[1]} x {image.shape[0]} px cannot be written as {path.suffix.removeprefix('.').upper()}"
        )
    path.write_bytes(encoded.tobytes())
