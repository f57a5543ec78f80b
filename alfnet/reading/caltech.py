"""Caltech's ground truths: the original annotations (.vbb, one file per video) and the new ones (text, one per image).

Formats and rules: docs/method.md#caltech-annotations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.matfile import read_matlab
from alfnet.reading.records import check_numbers, check_sizes, explain, read_bytes, read_content, shorten

HEIGHT, WIDTH = 480, 640
FIRST_FRAME, FRAME_STEP = 29, 30
"""Of a video's frames, counted from 0, those numbered 29, 59, 89, ... are the test images."""
_LABELS = {"person": False, "person?": True, "people": True, "ignore": True}
"""Labels of the original annotations that take part, and whether they are ignored."""
_FARTHEST = 1e7


@dataclass
class _Rows:
    names: list[str] = field(default_factory=list)
    image_ids: list[int] = field(default_factory=list)
    boxes: list[list[float]] = field(default_factory=list)
    visible: list[float] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    places: list[str] = field(default_factory=list)

    def add(self, box: list[float], visible: float, ignored: bool, place: str) -> None:
        """Add a box of the last image."""
        self.image_ids.append(len(self.names))
        self.boxes.append(box)
        self.visible.append(visible)
        self.ignored.append(ignored)
        self.places.append(place)

    def ground_truth(self, path: Path, kind: str) -> GroundTruth:
        boxes = np.array(self.boxes, dtype=np.float64).reshape(-1, 4)
        check_numbers(path, boxes, "box", lambda index: self.places[index])
        check_sizes(path, boxes, lambda index: self.places[index])
        return GroundTruth(
            image_ids=np.arange(1, len(self.names) + 1),
            file_names=tuple(self.names),
            image_sizes=np.tile([float(HEIGHT), float(WIDTH)], (len(self.names), 1)),
            annotation_image_ids=np.array(self.image_ids, dtype=np.int64),
            boxes=boxes,
            heights=boxes[:, 3],
            visible_ratios=np.array(self.visible, dtype=np.float64),
            ignored=np.array(self.ignored, dtype=np.bool_),
            annotations=kind,
        )


def read_caltech_folder(path: Path, *, whole_numbers: bool = True) -> GroundTruth:
    """Read a folder of .vbb files (setXX/VYYY.vbb, the sampled frames) or of text files (one per image).

    Images are in the order of their names, with ids from 1. Raises AlfnetError for a folder of something else.
    """
    videos = sorted(path.rglob("V[0-9][0-9][0-9].vbb"))
    if videos:
        return read_vbb_files(path, videos)
    texts = sorted((file for file in path.rglob("*.txt") if not file.name.startswith(".")), key=lambda file: file.name)
    if texts:
        return read_text_files(path, texts, whole_numbers=whole_numbers)
    inside = ", ".join(sorted(file.name for file in path.iterdir())[:5]) or "nothing"
    raise AlfnetError(
        f"{path}: is a folder, with {inside} in it; name the ground truth's file, or a folder of Caltech's annotations "
        "(setXX/VYYY.vbb, or a text file per image)"
    )


def read_text_files(path: Path, files: Sequence[Path], *, whole_numbers: bool = True) -> GroundTruth:
    """Read the new annotations' text files (Zhang et al., CVPR 2016): rows label x y w h occ xv yv wv hv ignore angle.

    Ignored are boxes whose ignore field is not 0 and those labelled `ignore`; person? and people count as pedestrians.
    The visible ratio is 1 where occ is 0 or the visible box is 0, and 0 where the visible box equals the box: the
    benchmark's rules. With `whole_numbers`, numbers are rounded half up, as by MATLAB's %d. Raises AlfnetError.
    """
    rows = _Rows()
    for file in files:
        rows.names.append(file.stem)
        lines = read_content(file)[0].splitlines()
        if not lines or not lines[0].startswith("% bbGt"):
            begun = shorten(lines[0], 40) if lines else "nothing"
            raise AlfnetError(
                f"{file}: no annotation file of Caltech: it begins with {begun!r}, not with % bbGt version=3"
            )
        for number, line in enumerate(lines[1:], 2):
            words = line.split()
            if not words:
                continue
            try:
                values = [_number(word, whole_numbers) for word in words[1:]]
            except ValueError:
                values = []
            if len(values) != 11:
                raise AlfnetError(
                    f"{file}: line {number} ({shorten(line, 60)}): expected label x y w h occ xv yv wv hv ignore angle"
                )
            box, occluded, visible, ignored = values[:4], values[4], values[5:9], values[9]
            flag = bool(ignored) or words[0] == "ignore"
            rows.add(box, _new_ratio(box, bool(occluded), visible), flag, f"{file.name}, line {number}")
    return rows.ground_truth(path, "bbgt")


def read_vbb_files(path: Path, files: Sequence[Path]) -> GroundTruth:
    """Read the original annotations: in each video the frames 29, 59, ... (counted from 0).

    Boxes labelled person are pedestrians, person?, people and ignore are ignored, others (person-fa) vanish. The visible
    ratio is infinite where the visible box is all 0, else its area / the box's area. Raises AlfnetError.
    """
    rows = _Rows()
    for file in sorted(files, key=lambda file: (file.parent.name, file.name)):
        folder = file.absolute().parent.name
        video = f"{folder}_{file.stem}" if re.fullmatch(r"set\d\d", folder) else file.stem
        annotation = _vbb(file)
        labels, frames = annotation["objLbl"], annotation["objLists"]
        for frame in range(FIRST_FRAME, len(frames), FRAME_STEP):
            rows.names.append(f"{video}_I{frame:05d}")
            for entry in frames[frame] if isinstance(frames[frame], list) else []:
                place = f"{file.name}, frame {frame}"
                number = _values(file, entry, "id", 1)[0]
                if not 1 <= number <= len(labels) or number != int(number):
                    raise AlfnetError(
                        f"{file}: frame {frame} has an object {number:g}; there are {len(labels)}; copy it again"
                    )
                label = labels[int(number) - 1]
                if label not in _LABELS:
                    continue
                box = _values(file, entry, "pos", 4)
                visible = _values(file, entry, "posv", 4) if "posv" in entry else [0.0] * 4
                area = box[2] * box[3]
                ratio = visible[2] * visible[3] / area if any(visible) and area > 0 else math.inf
                rows.add(box, ratio, _LABELS[label], place)
    if not rows.names:
        raise AlfnetError(
            f"{path}: its videos have fewer than {FIRST_FRAME + 1} frames, so there is no test image in them"
        )
    return rows.ground_truth(path, "vbb")


def _vbb(file: Path) -> dict[str, Any]:
    """The annotation in a .vbb file, with `objLists` and `objLbl` checked to be lists that fit."""
    found = read_matlab(file, read_bytes(file)).get("A")
    annotation = found[0] if isinstance(found, list) and found and isinstance(found[0], dict) else {}
    frames, labels = annotation.get("objLists"), annotation.get("objLbl")
    if not isinstance(frames, list) or not isinstance(labels, list):
        raise AlfnetError(
            f"{file}: a MATLAB file without Caltech's annotation A.objLists, A.objLbl; is it another file?"
        )
    if not all(isinstance(label, str) for label in labels):
        raise AlfnetError(f"{file}: its objLbl holds something that is no text; copy it again")
    for frame, entries in enumerate(frames):
        if isinstance(entries, list) and not all(isinstance(entry, dict) for entry in entries):
            raise AlfnetError(f"{file}: frame {frame} holds something that is no object; copy it again")
    return annotation


def _values(file: Path, entry: dict[str, Any], key: str, number: int) -> list[float]:
    value = entry.get(key)
    if not isinstance(value, np.ndarray) or value.size != number or not np.isfinite(value).all():
        found = "nothing" if value is None else shorten(repr(value), 60)
        raise AlfnetError(explain(file, f"an object without {number} finite numbers as {key}", found, "copy it again"))
    if np.abs(value).max() > _FARTHEST:
        raise AlfnetError(f"{file}: an object with {np.abs(value).max():g} as {key}, which is no pixel; copy it again")
    return [float(part) for part in value.ravel()]


def _number(word: str, whole: bool) -> float:
    value = float(word)
    if not abs(value) < _FARTHEST:
        raise ValueError(word)
    return math.floor(value + 0.5) if whole else value


def _new_ratio(box: list[float], occluded: bool, visible: list[float]) -> float:
    if not occluded or not any(visible):
        return 1.0
    if visible == box:
        return 0.0
    area = box[2] * box[3]
    return visible[2] * visible[3] / area if area > 0 else 0.0
