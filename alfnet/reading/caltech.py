"""Caltech's ground truths: the original annotations (.vbb, one file per video) and the new ones (text, one per image).

Formats and rules: docs/method.md#caltech-annotations.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from alfnet.annotations.vbb import read_vbb
from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import check_numbers, check_sizes, read_content, shorten

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
        frames = read_vbb(file)
        for frame in range(FIRST_FRAME, len(frames), FRAME_STEP):
            rows.names.append(f"{video}_I{frame:05d}")
            for one in frames[frame]:
                if one.label in _LABELS:
                    area = one.box[2] * one.box[3]
                    ratio = one.visible[2] * one.visible[3] / area if any(one.visible) and area > 0 else math.inf
                    rows.add(list(one.box), ratio, _LABELS[one.label], f"{file.name}, frame {frame}")
    if not rows.names:
        raise AlfnetError(
            f"{path}: its videos have fewer than {FIRST_FRAME + 1} frames, so there is no test image in them"
        )
    return rows.ground_truth(path, "vbb")


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
