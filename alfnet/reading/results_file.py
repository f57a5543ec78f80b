"""Reading detections: COCO results (JSON) or the 2018 text format, with every usual mistake recognised by name."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.diagnosis import check_layout, doubtful_values
from alfnet.reading.ground_truth import PEDESTRIAN, GroundTruth
from alfnet.reading.image_ids import ids_of_positions, ids_of_records
from alfnet.reading.records import (
    Floats,
    Integers,
    box_column,
    check_numbers,
    check_records,
    check_sizes,
    explain,
    number_column,
    parse_json,
    read_content,
    shorten,
)
from alfnet.reading.traps import check_coordinates, find_traps

_REMEDY = (
    'expected a list of detections like {"image_id": 1, "category_id": 1, "bbox": [x, y, width, height], "score": 0.9}'
)
_TEXT_REMEDY = (
    "expected six numbers a line, image x y width height score, "
    "where image is the 1-based position in the ground truth's images"
)
_OTHER_NAMES = {
    "image_id": ("img_id", "imageId", "image", "id", "file_name", "im_name"),
    "category_id": ("category", "class_id", "class", "label", "cls"),
    "bbox": ("box", "boxes", "bounding_box", "xywh", "xyxy"),
    "score": ("confidence", "conf", "prob", "probability", "scores"),
}


@dataclass(frozen=True)
class Detections:
    """D detections in columns, in file order."""

    image_ids: Integers
    """(D,) ids of the ground truth's images."""
    boxes: Floats
    """(D, 4) x, y, width, height in pixels of the full image."""
    scores: Floats
    """(D,)"""
    warnings: tuple[str, ...] = ()


def read_detections(path: Path, ground_truth: GroundTruth) -> Detections:
    """Read detections for the images of a ground truth: COCO results or 2018 text, gzip-compressed or not.

    JSON is recognised by its first character. An empty list, and an empty text file, are zero detections. Raises
    AlfnetError for what is certainly wrong; what only looks wrong is named in `warnings`.
    """
    path = Path(path)
    text, warnings = read_content(path)
    start = text.lstrip()[:1]
    if start in ("[", "{", '"') or (not start and path.name.removesuffix(".gz").endswith(".json")):
        records, places, more = _pedestrians(path, parse_json(path, text))
        warnings += more
        image_ids = ids_of_records(path, [record["image_id"] for record in records], ground_truth)
        boxes = box_column(path, records, "detection")
        scores = number_column(path, records, "detection", "score")
    else:
        rows, places = _text_rows(path, text)
        check_numbers(path, rows[:, 0], "image number", lambda index: places[index])
        _check_columns(path, rows)
        image_ids = ids_of_positions(path, rows[:, 0], ground_truth)
        boxes, scores = rows[:, 1:5], rows[:, 5]

    def place(index: int) -> str:
        return f"{places[index]} (image {image_ids[index]})"

    check_numbers(path, boxes, "box", place)
    check_numbers(path, scores, "score", place)
    check_sizes(path, boxes, place)
    check_coordinates(path, boxes, place)
    if not text.strip():
        warnings.append(f"{path}: an empty file: no detections, everybody is missed (100 %); was it cut short?")
    warnings += find_traps(path, ground_truth, image_ids, boxes, scores, place)
    warnings += check_layout(path, ground_truth, image_ids, boxes, place)
    warnings += doubtful_values(path, ground_truth, image_ids, boxes, scores, place)
    return Detections(image_ids, boxes, scores, tuple(warnings))


def _pedestrians(path: Path, content: Any) -> tuple[list[dict[str, Any]], list[str], list[str]]:
    """Return the file's records of pedestrians, the name of each in messages, and warnings."""
    if not isinstance(content, list):
        raise AlfnetError(f"{path}: {_other_top_level(content)}; {_REMEDY}")
    check_records(path, content, "detection", ["image_id", "category_id", "bbox", "score"], _REMEDY, _OTHER_NAMES)
    places = [f"detection {number}" for number in range(1, len(content) + 1)]
    pedestrian = number_column(path, content, "detection", "category_id") == PEDESTRIAN
    if pedestrian.all():
        return content, places, []
    others = Counter(record["category_id"] for record, right in zip(content, pedestrian, strict=True) if not right)
    example = ", ".join(f"{category} ({count} times)" for category, count in others.most_common(3))
    remedy = f'write "category_id": {PEDESTRIAN} for pedestrians'
    if 0 in others:
        remedy += " (class numbers that begin with 0 are one too low)"
    if not pedestrian.any():
        found = f"none of {len(content)} detections has category_id {PEDESTRIAN}, the ground truth's pedestrian"
        raise AlfnetError(explain(path, found, example, remedy))
    found = f"{others.total()} of {len(content)} detections have another category_id than {PEDESTRIAN} and are left out"
    kept = np.flatnonzero(pedestrian).tolist()
    return [content[i] for i in kept], [places[i] for i in kept], [explain(path, found, example, remedy)]


def _other_top_level(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a JSON {type(content).__name__} was found"
    if {"images", "annotations"} <= content.keys():
        return (
            f"a COCO ground truth (of {len(content['annotations'])} annotations) was found instead of detections; were "
            "the two files exchanged? If its annotations are detections, save that list alone, with a score each"
        )
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and "bbox" in value[0]:
            return f"an object was found whose {key!r} holds {len(value)} detections; save that list alone"
    if {"image_id", "bbox", "score"} <= content.keys():
        return "a single detection was found; write [ and ] around it"
    return f"an object with the keys {shorten(list(content)[:5])} was found"


def _text_rows(path: Path, text: str) -> tuple[Floats, list[str]]:
    """Parse the 2018 format: values (D, 6) and the name of each line in messages; blank lines do not count."""
    lines = [(number, line.split()) for number, line in enumerate(text.splitlines(), 1)]
    places = [f"line {number}" for number, row in lines if row]
    rows = [row for _, row in lines if row]

    def example(index: int) -> str:
        return f"{places[index]}: {shorten(' '.join(rows[index]))}"

    if not set(map(len, rows)) <= {6}:
        wrong = [i for i, row in enumerate(rows) if len(row) != 6]
        if wrong == [len(rows) - 1] and len(rows) > 1:
            found = f"truncated in the last of {len(rows)} lines ({example(wrong[0])})"
            raise AlfnetError(f"{path}: {found}; copy or write it again; {_TEXT_REMEDY}")
        comma = "separate the values by blanks, not commas; " if "," in "".join(rows[wrong[0]]) else ""
        found = f"{len(wrong)} of {len(rows)} lines have not six values"
        raise AlfnetError(explain(path, found, example(wrong[0]), comma + _TEXT_REMEDY))
    try:
        return np.array([list(map(float, row)) for row in rows]).reshape(-1, 6), places
    except ValueError:
        wrong = [i for i, row in enumerate(rows) if not all(map(_is_number, row))]
        if all(all(map(_is_number, rows[i][1:])) for i in wrong):
            found = f"{len(wrong)} of {len(rows)} lines start with a file name or text instead of an image number"
        else:
            found = f"{len(wrong)} of {len(rows)} lines hold something that is no number"
        raise AlfnetError(explain(path, found, example(wrong[0]), _TEXT_REMEDY)) from None


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _check_columns(path: Path, rows: Floats) -> None:
    """Raise AlfnetError where the score stands in the second column, as in some tools' output."""
    second = (rows[:, 1] >= 0) & (rows[:, 1] <= 1)
    if len(rows) >= 10 and second.all() and (rows[:, 5] > 1).mean() > 0.5:
        found = f"in all {len(rows)} lines the second value lies in [0, 1], the last one not: the score comes second"
        raise AlfnetError(explain(path, found, " ".join(f"{value:g}" for value in rows[0]), _TEXT_REMEDY))
