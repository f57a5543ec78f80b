"""Reading a ground truth, of whatever format; COCO's layout, with height, vis_ratio and ignore, here."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.collector import collector_paused
from alfnet.errors import AlfnetError
from alfnet.reading.annotation_traps import check_annotations
from alfnet.reading.ground_truth import PEDESTRIAN, GroundTruth
from alfnet.reading.json_list import check_density
from alfnet.reading.records import (
    Booleans,
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

_REMEDY = (
    "expected COCO layout with height, vis_ratio and ignore per annotation, as in CityPersons' val_gt.json or the "
    "pipeline's cache/ground_truth.json (the training caches train.json and val.json do not serve)"
)


def read_ground_truth(path: Path, *, whole_numbers: bool = True) -> GroundTruth:
    """Read a ground truth, gzip-compressed or not; "-" is standard input.

    COCO's layout, CrowdHuman's .odgt, one of Caltech's .vbb files or a folder of them, or a folder of the text files of
    Caltech's new annotations (whose numbers are rounded, as by the benchmark's reader, unless `whole_numbers` is off).

    Raises AlfnetError for a missing, broken or differently built file, double ids, annotations of unknown images and
    values that cannot be. Annotations of other categories than 1 are left out, as by the public script, with a warning.
    """
    path = Path(path)
    if str(path) != "-" and _is_folder(path):
        from alfnet.reading.caltech import read_caltech_folder

        return _checked(path, read_caltech_folder(path, whole_numbers=whole_numbers))
    if path.suffix == ".vbb":
        from alfnet.reading.caltech import read_vbb_files

        return _checked(path, read_vbb_files(path, [path]))
    text, warnings = read_content(path)
    start = text.lstrip()[:200_000]
    if start.startswith("{") and '"gtboxes"' in start:
        from alfnet.reading.odgt import read_odgt

        return _checked(path, read_odgt(path, text, warnings))
    if start and start[0] not in "[{":
        raise AlfnetError(f"{path}: no JSON (it starts with {start[:30]!r}); {_other_text(start)}{_REMEDY}")
    check_density(path, text)
    with collector_paused():
        content = parse_json(path, text)
    return ground_truth_of(path, content, warnings)


def _checked(path: Path, truth: GroundTruth) -> GroundTruth:
    """The ground truth with what looks wrong in its annotations among the warnings."""
    found = check_annotations(
        path,
        image_heights=truth.sizes_of(truth.annotation_image_ids)[:, 1],
        image_ids=truth.annotation_image_ids,
        boxes=truth.boxes,
        heights=truth.heights,
        ignored=truth.ignored,
    )
    return replace(truth, warnings=(*truth.warnings, *found)) if found else truth


def ground_truth_of(path: Path, content: Any, warnings: Sequence[str] = ()) -> GroundTruth:
    """Return a ground truth given in COCO's layout; `path` stands for it in messages. See `read_ground_truth`.

    Where no annotation has a height or an ignore flag, the box's height and `iscrowd` (or 0) take their place. Where none
    has `vis_ratio`, `visible_ratio` does, else the part of the box that `vis_bbox` takes up (1 where there is none), else
    nothing (NaN). A warning says so.
    """
    remarks = list(warnings)
    images, annotations = _lists(path, content)
    check_records(path, images, "image", ["id"], _REMEDY)
    image_ids = _ids(path, images, "image", "id")
    unique, counts = np.unique(image_ids, return_counts=True)
    if (double := counts > 1).any():
        found = f"{double.sum()} of {len(unique)} image ids stand more than once"
        raise AlfnetError(explain(path, found, str(unique[double][0]), "give every image an id of its own"))

    keys = ["image_id", "category_id", "bbox"]
    check_records(path, annotations, "annotation", keys, _REMEDY)
    optional = ("height", "vis_ratio", "ignore")
    present = set(chain.from_iterable(annotations))
    lacking = {key for key in optional if annotations and key not in present}
    info = content.get("info")
    if isinstance(info, dict) and "rule" in info:
        lacking = set()  # a training cache, in which small pedestrians are no pedestrians any more
    check_records(path, annotations, "annotation", [key for key in optional if key not in lacking], _REMEDY)
    categories = number_column(path, annotations, "annotation", "category_id")
    category = _category(content, categories)
    if (others := categories != category).any():
        found = f"{others.sum()} of {len(annotations)} annotations have another category than {category}"
        remedy = f"they are left out (an ignore region is category {category} with ignore 1)"
        remarks.append(explain(path, found, f"{categories[others][0]:g}", remedy))
        annotations = [annotation for annotation, other in zip(annotations, others, strict=True) if not other]
    if category != PEDESTRIAN:
        remarks.append(f"{path}: pedestrians are category {category} in it, and have to be in the detections")

    annotation_image_ids = _ids(path, annotations, "annotation", "image_id")
    boxes = box_column(path, annotations, "annotation")
    heights = boxes[:, 3] if "height" in lacking else number_column(path, annotations, "annotation", "height")
    ignored = _ignored(path, annotations, lacking)
    instead = {"height": "the box's height", "ignore": "iscrowd where it is there, else 0"}
    if "vis_ratio" not in lacking:
        visible_ratios = number_column(path, annotations, "annotation", "vis_ratio")
    elif "visible_ratio" in present:
        check_records(path, annotations, "annotation", ["visible_ratio"], _REMEDY)
        visible_ratios = number_column(path, annotations, "annotation", "visible_ratio")
        lacking.remove("vis_ratio")  # it is there, by another name
    elif "vis_bbox" in present:
        visible_ratios = _visible_parts(path, annotations, boxes)
        instead["vis_ratio"] = "the part of the box that vis_bbox takes up"
    else:
        visible_ratios = np.full(len(annotations), np.nan)
    if replaced := sorted(lacking & set(instead)):
        taken = "; ".join(f"{key}: {instead[key]}" for key in replaced)
        remarks.append(f"{path}: no annotation has {' or '.join(replaced)}; taken instead: {taken}")
    lacking -= {"vis_ratio"} & set(instead)

    def place(index: int) -> str:
        return f"annotation {index + 1}"

    def require(right: Booleans, values: Floats | Integers, found: str, remedy: str) -> None:
        if not right.all():
            wrong = np.flatnonzero(~right)
            found = f"{len(wrong)} of {len(annotations)} annotations have {found}"
            raise AlfnetError(explain(path, found, f"{values[wrong[0]]} in {place(wrong[0])}", remedy))

    numbers = [("bbox", boxes), ("height", heights), ("vis_ratio", visible_ratios), ("ignore", ignored)]
    for name, values in numbers:
        if name not in lacking:
            check_numbers(path, values, name, place)
    check_sizes(path, boxes, place)
    known = np.isin(annotation_image_ids, image_ids)
    require(known, annotation_image_ids, "an image_id that is no image's id", "take both lists from the same data set")
    fraction = (visible_ratios >= 0) & (visible_ratios <= 1 + 1e-9)  # a quotient of equal areas may round up
    fraction |= "vis_ratio" in lacking
    require(fraction, visible_ratios, "a vis_ratio outside [0, 1]", "write visible area / full area")
    require((ignored == 0) | (ignored == 1), ignored, "an ignore that is neither 0 nor 1", "write 1 to ignore, else 0")
    image_sizes = np.array([[_size(image.get(key)) for key in ("height", "width")] for image in images])
    image_order = np.argsort(image_ids, kind="stable")
    places = image_order[np.searchsorted(image_ids, annotation_image_ids, sorter=image_order)]
    numbered = [annotation.get("id") for annotation in annotations]
    remarks += check_annotations(
        path,
        image_heights=image_sizes[places, 0],
        image_ids=annotation_image_ids,
        boxes=boxes,
        heights=heights,
        ignored=ignored == 1,
        ids=np.array(numbered) if set(map(type, numbered)) == {int} else None,
    )
    return GroundTruth(
        image_ids=image_ids,
        file_names=tuple(str(image.get("file_name", image.get("im_name", ""))) for image in images),
        image_sizes=image_sizes,
        annotation_image_ids=annotation_image_ids,
        boxes=boxes,
        heights=heights,
        visible_ratios=visible_ratios,
        ignored=ignored == 1,
        warnings=tuple(remarks),
        category=category,
        crowds=_crowds(annotations),
        folds=_folds(images),
    )


def _crowds(annotations: list[Any]) -> Booleans | None:
    crowds = [annotation.get("iscrowd") for annotation in annotations]
    return np.array(crowds) == 1 if set(map(type, crowds)) <= {int, bool} and crowds else None


def _folds(images: list[Any]) -> tuple[int | None, ...]:
    folds = tuple(image.get("fold") if type(image.get("fold")) is int else None for image in images)
    return folds if any(fold is not None for fold in folds) else ()


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):
        return False


def _other_text(start: str) -> str:
    if start.startswith("% bbGt"):
        return "this is one of Caltech's new annotation files: name their folder instead; "
    return "were the two files exchanged? "


def _category(content: dict[str, Any], categories: Floats) -> int:
    """The category of pedestrians: 1 if any annotation has it, else the one that the file's categories call so."""
    if (categories == PEDESTRIAN).any() or not len(categories):
        return PEDESTRIAN
    listed = content.get("categories")
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, dict) and type(entry.get("id")) is int and abs(entry["id"]) < 2**53:
            name = str(entry.get("name")).lower()
            if (
                name in ("person", "pedestrian", "people", "persons", "pedestrians")
                and (categories == entry["id"]).any()
            ):
                return int(entry["id"])
    return PEDESTRIAN


def _ignored(path: Path, annotations: list[Any], lacking: set[str]) -> Floats:
    if "ignore" not in lacking:
        return number_column(path, annotations, "annotation", "ignore", flag=True)
    crowds = [{"iscrowd": annotation.get("iscrowd", 0)} for annotation in annotations]
    return number_column(path, crowds, "annotation", "iscrowd", flag=True)


def _visible_parts(path: Path, annotations: list[Any], boxes: Floats) -> Floats:
    """Which part (n,) of the boxes (n, 4) `vis_bbox` takes up; 1 where there is none, as in COCO files of own data."""
    visible = [{"vis_bbox": annotation.get("vis_bbox", annotation["bbox"])} for annotation in annotations]
    parts = box_column(path, visible, "annotation", key="vis_bbox")
    check_numbers(path, parts, "vis_bbox", lambda index: f"annotation {index + 1}")
    check_sizes(path, parts, lambda index: f"annotation {index + 1}")
    whole, part = boxes[:, 2] * boxes[:, 3], parts[:, 2] * parts[:, 3]
    return np.minimum(1, part / np.where(whole > 0, whole, 1))


def _lists(path: Path, content: Any) -> tuple[list[Any], list[Any]]:
    """Return the file's lists of images and annotations."""
    if isinstance(content, list):
        detections = bool(content) and isinstance(content[0], dict) and "score" in content[0]
        hint = "these look like detections: were the two files exchanged? " if detections else ""
        raise AlfnetError(f"{path}: a list of {len(content)} was found; {hint}{_REMEDY}")
    if not isinstance(content, dict):
        raise AlfnetError(f"{path}: a value of type {type(content).__name__} was found; {_REMEDY}")
    for key in ("images", "annotations"):
        if not isinstance(content.get(key), list):
            keys = shorten(", ".join(content)) or "none"
            raise AlfnetError(f"{path}: there is no list under {key!r} (the keys are: {keys}); {_REMEDY}")
    if not content["images"]:
        raise AlfnetError(f"{path}: there are no images in it; {_REMEDY}")
    return content["images"], content["annotations"]


def _ids(path: Path, records: list[Any], noun: str, key: str) -> Integers:
    values = number_column(path, records, noun, key)
    wrong = np.flatnonzero(~((np.abs(values) < 2**53) & (values == np.floor(values))))
    if len(wrong):
        found = f"{len(wrong)} of {len(records)} {noun}s have a {key!r} that is no whole number"
        example = f"{values[wrong[0]]:g} in {noun} {wrong[0] + 1}"
        raise AlfnetError(explain(path, found, example, "write ids as 1, 2, 3, ..."))
    return values.astype(np.int64)


def _size(value: Any) -> float:
    return float(value) if type(value) in (int, float) and 0 < value < 1e9 else float("nan")
