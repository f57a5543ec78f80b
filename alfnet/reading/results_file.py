"""Reading detections: COCO results, the 2018 text and many other forms, with every usual mistake recognised by name."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.columns import Columns
from alfnet.reading.diagnosis import check_layout, doubtful_values
from alfnet.reading.folders import read_folder
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.image_ids import check_ids, ids_beside_names, ids_of_names, ids_of_records
from alfnet.reading.json_list import RECORDS_AT_ONCE, check_density, is_json_lines, records_in
from alfnet.reading.records import (
    Floats,
    Integers,
    as_json,
    box_column,
    check_numbers,
    check_records,
    check_sizes,
    explain,
    number_column,
    parse_json,
    plain,
    read_content,
    shorten,
)
from alfnet.reading.tables import read_table
from alfnet.reading.traps import check_coordinates, find_traps

_REMEDY = (
    'expected a list of detections like {"image_id": 1, "category_id": 1, "bbox": [x, y, width, height], "score": 0.9}'
)
_OTHER_NAMES = {
    "image_id": ("img_id", "imageId", "image", "id", "file_name", "im_name"),
    "category_id": ("category", "class_id", "class", "label", "cls"),
    "bbox": ("box", "boxes", "bounding_box", "xywh", "xyxy"),
    "score": ("confidence", "conf", "prob", "probability", "scores"),
}


@dataclass(frozen=True, eq=False)
class Detections:
    """D detections in columns, in file order."""

    image_ids: Integers
    """(D,) ids of the ground truth's images."""
    boxes: Floats
    """(D, 4) x, y, width, height in pixels of the full image."""
    scores: Floats
    """(D,)"""
    warnings: tuple[str, ...] = ()
    image_sizes: Floats | None = None
    """(I, 2) height and width of the ground truth's images where this file alone says them (CrowdHuman's), else NaN."""


def read_detections(path: Path, ground_truth: GroundTruth) -> Detections:
    """Read detections for the images of a ground truth; "-" is standard input, and gzip is unpacked on the way.

    The form is recognised by the content: COCO results (a JSON list or JSON Lines), CrowdHuman's .odgt, the 2018 text,
    CSV or TSV with a heading, MOT's rows; a folder holds Caltech's result files or YOLO's labels. An empty list, and an
    empty text file, are zero detections. Where `file_name` stands beside `image_id`, the name says the image.
    Raises AlfnetError for what is certainly wrong; what only looks wrong is named in `warnings`.
    """
    path = Path(path)
    if _is_folder(path):
        return _checked(path, read_folder(path, ground_truth), ground_truth)
    text, warnings = read_content(path)
    start = text.lstrip()[:1]
    quoted = start == '"' and not re.match(r'\s*"[^"\n]*"[,;\t]', text)  # a CSV heading may be quoted, too
    if start in ("[", "{") or quoted or (not start and path.name.removesuffix(".gz").endswith(".json")):
        columns = _from_json(path, text, ground_truth)
    else:
        columns = read_table(path, text, ground_truth)
    del text
    columns.warnings[:0] = warnings
    return _checked(path, columns, ground_truth)


def detections_of_records(path: Path, records: Any, ground_truth: GroundTruth) -> Detections:
    """Return detections given as COCO results in memory; `path` stands for them in messages. See `read_detections`.

    Numpy's numbers and arrays may stand in them, and tuples as boxes.
    """
    if not isinstance(records, list):
        raise AlfnetError(f"{path}: {_other_top_level(records)}; {_REMEDY}")

    def columns(records: list[Any]) -> Columns:
        chunks = (records[start : start + RECORDS_AT_ONCE] for start in range(0, len(records), RECORDS_AT_ONCE))
        return _of_records(path, chunks, ground_truth)

    try:
        found = columns(records)
    except AlfnetError:  # converting takes longer than reading, and mostly there is nothing to convert
        found = columns(plain(records))
    return _checked(path, found, ground_truth)


def detections_of_rows(path: Path, rows: Floats, ground_truth: GroundTruth) -> Detections:
    """Return detections given as an array (D, 6) of image id, x, y, width, height, score. See `read_detections`."""
    check_numbers(path, rows[:, 0], "image id", lambda index: f"row {index}")
    ids = ids_of_records(path, rows[:, 0].tolist(), ground_truth, first=0)
    check_ids(path, ids, ground_truth)
    columns = Columns(ids, rows[:, 1:5].copy(), rows[:, 5].copy(), lambda index: f"row {index}")
    return _checked(path, columns, ground_truth)


def _checked(path: Path, columns: Columns, ground_truth: GroundTruth) -> Detections:
    """Look at all detections together."""
    image_ids, boxes, scores = columns.image_ids, columns.boxes, columns.scores

    def place(index: int) -> str:
        return f"{columns.place(index)} (image {image_ids[index]})"

    check_numbers(path, boxes, "box", place)
    check_numbers(path, scores, "score", place)
    check_sizes(path, boxes, place)
    check_coordinates(path, boxes, place)
    warnings = list(columns.warnings)
    if not len(scores):
        warnings.append(
            f"{path}: holds no detections at all, so everybody in the {len(ground_truth.image_ids)} images is missed (100 %); if "
            "that is not meant: was it cut short, or did the program that wrote it find no images?"
        )
    warnings += find_traps(path, ground_truth, image_ids, boxes, scores, place)
    warnings += check_layout(path, ground_truth, image_ids, boxes, place)
    warnings += doubtful_values(path, ground_truth, image_ids, boxes, scores, place)
    return Detections(image_ids, boxes, scores, tuple(warnings), columns.image_sizes)


def _is_folder(path: Path) -> bool:
    try:
        return str(path) != "-" and path.is_dir()
    except (OSError, ValueError):
        return False


def _from_json(path: Path, text: str, ground_truth: GroundTruth) -> Columns:
    lines = text.lstrip().startswith("{") and (
        is_json_lines(text) or path.name.removesuffix(".gz").endswith((".jsonl", ".ndjson", ".odgt"))
    )
    if not lines and not text.lstrip().startswith("["):
        check_density(path, text)
        raise AlfnetError(f"{path}: {_other_top_level(parse_json(path, text))}; {_REMEDY}")
    return _of_records(path, records_in(path, text), ground_truth)


def _of_records(path: Path, chunks: Iterable[list[Any]], ground_truth: GroundTruth) -> Columns:
    """Turn records, which come in lists, into columns; those of other categories than pedestrians are left out."""
    parts: list[tuple[Integers, Floats, Floats]] = []
    numbers: list[Integers] = []
    names: list[Any] = []
    others: Counter[Any] = Counter()
    sizes = np.full_like(ground_truth.image_sizes, np.nan)
    total, per_image = 0, False
    for records in chunks:
        first = total + 1
        total += len(records)
        if records and all(type(record) is dict and "dtboxes" in record for record in records):
            per_image = True
            records = _of_images(path, records, ground_truth, sizes, first)
        keys = ["image_id", "category_id", "bbox", "score"]
        check_records(path, records, "detection", keys, _REMEDY, _OTHER_NAMES, first=first)
        categories = number_column(path, records, "detection", "category_id", first=first)
        kept = np.flatnonzero(categories == ground_truth.category)
        if len(kept) < len(records):
            pedestrian = categories == ground_truth.category
            others.update(record["category_id"] for record, right in zip(records, pedestrian, strict=True) if not right)
            records = [records[i] for i in kept.tolist()]
        ids = ids_of_records(path, [record["image_id"] for record in records], ground_truth, first)
        boxes = box_column(path, records, "detection", first=first)
        parts.append((ids, boxes, number_column(path, records, "detection", "score", first=first)))
        numbers.append(kept + first)
        if records and "file_name" in records[0]:
            names += [record.get("file_name") for record in records]
    image_ids, boxes, scores = (
        np.concatenate([empty, *(part[column] for part in parts)])
        for column, empty in enumerate((np.empty(0, np.int64), np.empty((0, 4)), np.empty(0)))
    )
    del parts
    number = np.concatenate([np.empty(0, np.int64), *numbers])
    remarks = _other_categories(path, others, total, len(scores), ground_truth)
    named = None
    if names and len(names) == len(image_ids) and set(map(type, names)) == {str}:
        named = ids_beside_names(path, names, image_ids, ground_truth, remarks)
    if named is None:
        check_ids(path, image_ids, ground_truth)
    else:
        image_ids = named
    noun = "box" if per_image else "detection"
    known_sizes = sizes if per_image and not np.isnan(sizes).all() else None
    return Columns(image_ids, boxes, scores, lambda index: f"{noun} {number[index]}", remarks, known_sizes)


def _of_images(
    path: Path, records: list[dict[str, Any]], ground_truth: GroundTruth, sizes: Floats, first: int
) -> list[dict[str, Any]]:
    """Records of CrowdHuman's form, {"ID": ..., "dtboxes": [{"box": [x, y, w, h], "score": ...}]}, as COCO results."""
    remedy = 'expected {"ID": "273271,c9db000d5146c15", "dtboxes": [{"box": [x, y, width, height], "score": 0.9}, ...]}'
    check_records(path, records, "line", ["ID", "dtboxes"], remedy, first=first)
    wrong = [i for i, r in enumerate(records) if type(r["ID"]) is not str or type(r["dtboxes"]) is not list]
    if wrong:
        found = f"{len(wrong)} of {len(records)} lines have no text as ID or no list as dtboxes"
        raise AlfnetError(explain(path, found, f"line {wrong[0] + first}", remedy))
    ids = ids_of_names(path, [record["ID"] for record in records], ground_truth).tolist()
    position = {image_id: index for index, image_id in enumerate(ground_truth.image_ids.tolist())}
    found_boxes: list[dict[str, Any]] = []
    for number, (image_id, record) in enumerate(zip(ids, records, strict=True), first):
        for axis, key in enumerate(("height", "width")):
            if type(record.get(key)) in (int, float) and 0 < record[key] < 1e6:
                sizes[position[image_id], axis] = record[key]
        check_records(path, record["dtboxes"], f"box of line {number} that is number", ["box", "score"], remedy)
        for box in record["dtboxes"]:
            found_boxes.append(
                {
                    "image_id": image_id,
                    "category_id": ground_truth.category,
                    "bbox": box["box"],
                    "score": box["score"],
                }
            )
    return found_boxes


def _other_categories(path: Path, others: Counter[Any], total: int, kept: int, ground_truth: GroundTruth) -> list[str]:
    """A warning for detections that were left out as of other categories. Raises AlfnetError where all were."""
    if not others:
        return []
    category = ground_truth.category
    example = ", ".join(f"{other} ({count} times)" for other, count in others.most_common(3))
    remedy = f'write "category_id": {category} for pedestrians'
    if 0 in others:
        remedy += " (class numbers that begin with 0 are one too low)"
    if not kept:
        found = f"none of {total} detections has category_id {category}, the ground truth's pedestrian"
        raise AlfnetError(explain(path, found, example, remedy))
    found = f"{others.total()} of {total} detections have another category_id than {category} and are left out"
    return [explain(path, found, example, remedy)]


def _other_top_level(content: Any) -> str:
    if not isinstance(content, dict):
        return f"a value of type {type(content).__name__} was found"
    if {"images", "annotations"} <= content.keys():
        return (
            f"a COCO ground truth (of {_length(content['annotations'])} annotations) was found instead of detections; were "
            "the two files exchanged? If its annotations are detections, save that list alone, with a score each"
        )
    for key, value in content.items():
        if isinstance(value, list) and value and isinstance(value[0], dict) and "bbox" in value[0]:
            return f"an object was found whose {key!r} holds {len(value)} detections; save that list alone"
    if {"image_id", "bbox", "score"} <= content.keys():
        return "a single detection was found; write [ and ] around it"
    return f"an object with the keys {shorten(list(content)[:5])} was found"


def _length(value: Any) -> int | str:
    return len(value) if isinstance(value, (list, dict)) else as_json(value)[:20]
