"""Folders of detections: Caltech's result files (setXX/VYYY.txt) and YOLO's label files (one per image)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.columns import Columns
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats, explain, read_content, shorten
from alfnet.reading.tables import load_numbers

FRAME_NAME = re.compile(r"(set\d\d)[_/](V\d\d\d)[_/]I?(\d+)(?:\.\w+)?$")
"""An image's name in Caltech: set06_V000_I00029.jpg, or set06_V000_29.png as some converters write it; 0-based frame."""

_YOLO = "class x_centre y_centre width height confidence, as fractions of the image"


def read_folder(path: Path, ground_truth: GroundTruth) -> Columns:
    """Read a folder of detections for the images of a ground truth.

    Raises AlfnetError for a folder of another kind and for files that are not as they should be.
    """
    videos = sorted(path.glob("set[0-9][0-9]/V[0-9][0-9][0-9].txt"))
    if videos:
        return _caltech(path, videos, ground_truth)
    labels = path / "labels" if (path / "labels").is_dir() else path
    files = sorted(file for file in labels.glob("*.txt") if file.stem not in ("classes", "README"))
    by_name = ground_truth.ids_by_name()
    if files and (len(files) > 1 or files[0].stem in by_name):
        return _yolo(path, files, ground_truth)
    inside = ", ".join(sorted(file.name for file in path.iterdir())[:5]) or "nothing"
    raise AlfnetError(
        f"{path}: is a folder, with {inside} in it; name the file with the detections, or a folder of Caltech's result files "
        "(setXX/VYYY.txt) or of YOLO's labels (a .txt file per image)"
    )


def frames_of(ground_truth: GroundTruth) -> dict[tuple[str, str], dict[int, int]]:
    """Image ids of Caltech's frames by (set, video) and 0-based frame, from the images' names."""
    found: dict[tuple[str, str], dict[int, int]] = {}
    for name, image_id in zip(ground_truth.file_names, ground_truth.image_ids.tolist(), strict=True):
        if parts := FRAME_NAME.search(name):
            found.setdefault((parts[1], parts[2]), {})[int(parts[3])] = image_id
    return found


def _caltech(path: Path, files: Sequence[Path], ground_truth: GroundTruth) -> Columns:
    """Rows frame x y w h score, the frame 1-based; rows of frames that the ground truth has not are passed over."""
    videos = frames_of(ground_truth)
    if not videos:
        example = next(filter(None, ground_truth.file_names), "none")
        raise AlfnetError(
            f"{path}: these are Caltech's result files, but the ground truth's images are not called like "
            f"set06_V000_I00029 (e.g. {example!r}); take Caltech's ground truth"
        )
    by_video = {(file.parent.name, file.stem): file for file in files}
    missing = sorted("/".join(video) for video in videos.keys() - by_video.keys())
    if missing:
        found = f"no file for {len(missing)} of the ground truth's {len(videos)} videos"
        raise AlfnetError(explain(path, found, f"{missing[0]}.txt", "a video without detections has an empty file"))
    parts, sources = [], []
    passed_over: list[Path] = []
    from_0 = False
    for video, frames in sorted(videos.items()):
        rows = _rows(by_video[video], 6, "frame x y width height score, the frame counted from 1")
        wanted = np.isin(rows[:, 0], np.array(list(frames)) + 1)
        if len(rows) and not wanted.any():
            passed_over.append(by_video[video])
            from_0 |= bool(np.isin(rows[:, 0], list(frames)).any())
        rows = rows[wanted]
        rows[:, 0] = [frames[int(frame) - 1] for frame in rows[:, 0]]
        # As the images stand in the ground truth, and within an image as in the file.
        parts.append(rows[np.argsort(rows[:, 0], kind="stable")])
        sources += [by_video[video]] * len(rows)
    if not passed_over:
        return _columns(parts, sources, [])
    found = f"{len(passed_over)} of {len(videos)} result files have rows, but none of a frame of the ground truth"
    if not sources:
        first = next(iter(videos.values()))
        remedy = f"the ground truth's frames are, counted from 1, {', '.join(str(one + 1) for one in sorted(first)[:3])}, ..."
        if from_0:
            remedy = "the frames are 0-based: add 1 to each"
        raise AlfnetError(explain(path, found, str(passed_over[0]), remedy))
    remedy = "these rows are passed over; are their frames counted from 1, and those of the whole video?"
    return _columns(parts, sources, [explain(path, found, str(passed_over[0]), remedy)])


def _yolo(path: Path, files: Sequence[Path], ground_truth: GroundTruth) -> Columns:
    """Files named like the images; class 0 is a person, as in COCO's 80 classes."""
    by_name = ground_truth.ids_by_name()
    strange = [file.name for file in files if file.stem not in by_name]
    if strange:
        known = next(filter(None, ground_truth.file_names), None)
        found = f"{len(strange)} of {len(files)} label files are named like no image of the ground truth"
        remedy = f"its images are called like {known!r}" if known else "it has no file names to find the images by"
        raise AlfnetError(explain(path, found, strange[0], remedy))
    sizes = dict(zip(ground_truth.image_ids.tolist(), ground_truth.image_sizes.tolist(), strict=True))
    unsized = [file.name for file in files if np.isnan(sizes[by_name[file.stem]]).any()]
    if unsized:
        found = f"the ground truth does not say the size of {len(unsized)} of {len(files)} images"
        remedy = "fractions become pixels by it: give width and height in its 'images'"
        raise AlfnetError(explain(path, found, unsized[0], remedy))
    parts, sources, others, pixels = [], [], 0, 0
    for file in files:
        rows = _rows(file, 6, _YOLO)
        people = rows[:, 0] == 0
        others += int((~people).sum())
        rows = rows[people]
        height, width = sizes[by_name[file.stem]]
        pixels += int((rows[:, 1:5] > 2).any(axis=1).sum())
        centres, extents = rows[:, 1:3] * (width, height), rows[:, 3:5] * (width, height)
        ids = np.full((len(rows), 1), by_name[file.stem])
        parts.append(np.hstack([ids, centres - extents / 2, extents, rows[:, 5:]]))
        sources += [file] * len(rows)
    if not sources and others:
        raise AlfnetError(f"{path}: none of {others} boxes is of class 0, YOLO's person; write 0 as class")
    if pixels > len(sources) / 2:
        raise AlfnetError(f"{path}: {pixels} of {len(sources)} boxes are larger than fractions of the image; {_YOLO}")
    remarks = [f"{path}: {others} boxes of other classes than 0, YOLO's person, are left out"] if others else []
    return _columns(parts, sources, remarks)


def _columns(parts: list[Floats], sources: list[Path], remarks: list[str]) -> Columns:
    rows = np.concatenate([np.empty((0, 6)), *parts])
    # In the order of the images' ids, which is what equal scores go by.
    order = np.argsort(rows[:, 0], kind="stable")
    rows = rows[order]
    return Columns(
        rows[:, 0].astype(np.int64), rows[:, 1:5], rows[:, 5], lambda index: str(sources[order[index]]), remarks
    )


def _rows(file: Path, width: int, meaning: str) -> Floats:
    """The rows of a file of numbers, (n, width); n is 0 where it is empty."""
    text, _ = read_content(file)
    if not text.strip():
        return np.empty((0, width))
    rows = load_numbers(text, "," if "," in text else None)
    if rows is None or rows.shape[1] != width:
        first = shorten(text.strip().splitlines()[0], 60)
        raise AlfnetError(f"{file}: no rows of {width} numbers ({first!r}); expected {meaning}")
    return rows
