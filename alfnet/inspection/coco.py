"""Checking a COCO file and its images before they are trained on."""

from __future__ import annotations

import glob
import math
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from alfnet.annotations.coco import CocoFile, load_coco, read_coco
from alfnet.errors import AlfnetError
from alfnet.files import read_json
from alfnet.images import IMAGE_SUFFIXES, image_size, read_image
from alfnet.inspection.findings import Findings, plural, some

Progress = Callable[[int], None]

DECODED = 200
"""Images that are decoded, evenly over the file: a header does not tell that a file was cut short."""
_MOST = 0.5  # a share of the boxes from which on a hint is given
_LONGEST_NAME = 255  # characters; file systems have no longer ones


def check_coco(path: Path, images: Path, category: str | None, progress: Progress | None = None) -> Findings:
    """Check a COCO file and the images in the folder `images`; every image's header is read, `DECODED` of them as a whole.

    What the pipeline's own reader refuses is among the problems. Raises AlfnetError where the file has not COCO's layout,
    or the category of people is not clear.
    """
    content = load_coco(path, category)
    found = Findings()
    found.facts.append(
        f"{path}: {plural(len(content.images), 'image')}, {plural(len(content.annotations), 'annotation')} of category "
        f"{content.category!r}"
        + (f" ({content.other_annotations:,} of others are left out)" if content.other_annotations else "")
    )
    if not content.images:
        found.problems.append(f"{path}: there are no images in it")
        return found
    named = _check_entries(content, found, has_categories=bool(read_json(path).get("categories")))
    readable = not found.problems
    if named:
        _check_files(content, path, images, found, progress)
    before = len(found.problems)
    boxes, owners, people = _check_boxes(content, found)
    if len(boxes):
        _describe_people(content, boxes, owners, people, found)
        _hint_at_other_formats(content, boxes, owners, people, found)
    if not content.annotations:
        found.problems.append(f"no annotation of category {content.category!r}: nothing to train on")
    elif len(boxes) and not people.any():
        found.problems.append(
            f"all {len(boxes)} annotations of category {content.category!r} are ignore regions (ignore or iscrowd): nobody "
            "to train on; set both to 0 where the box is one person's"
        )
    if readable and len(found.problems) == before:
        try:
            read_coco(path, category)
        except AlfnetError as error:
            found.problems.append(str(error))
    return found


def _check_entries(content: CocoFile, found: Findings, *, has_categories: bool) -> bool:
    """Check ids and names of the images; return whether every image is named, once each."""
    kinds = {str(entry.get("category_id")) for entry in content.annotations}
    if len(kinds) > 1 and not has_categories:
        found.doubts.append(
            f"there is no list of categories, and the annotations have {len(kinds)} different category_id "
            f"({some(sorted(kinds))}): all are taken for people; add categories, and name that of people as --category NAME"
        )
    if odd := [image.get("id") for image in content.images if not isinstance(image.get("id"), int | str)]:
        found.problems.append(
            f"{len(odd)} of {len(content.images)} images have an id that is no number and no text, e.g. {odd[0]!r:.60}; give "
            "each a number of its own, and name it as image_id"
        )
    ids = Counter(str(image.get("id")) for image in content.images)
    if doubled := [number for number, count in ids.items() if count > 1]:
        found.problems.append(
            f"{plural(len(doubled), 'image id')} used more than once, e.g. {doubled[0]}; give each image its own"
        )
    nameless = [image for image in content.images if not isinstance(image.get("file_name"), str)]
    if nameless:
        keys = ", ".join(map(str, list(nameless[0])[:10])) or "none"
        found.problems.append(
            f"{len(nameless)} of {len(content.images)} images have no text as file_name (the keys are: {keys}); add the "
            "name of each image's file, relative to the folder of images, under file_name"
        )
    names = Counter(_name(image) for image in content.images if image not in nameless)
    if doubled := [name for name, count in names.items() if count > 1]:
        found.problems.append(
            f"{plural(len(doubled), 'file name')} used more than once, e.g. {doubled[0]}; leave one entry each"
        )
    return not nameless


def _name(image: dict[str, Any]) -> str:
    return str(image.get("file_name"))


def _check_files(content: CocoFile, path: Path, folder: Path, found: Findings, progress: Progress | None) -> None:
    missing, damaged, turned, other, silent = [], [], [], [], []
    decoded = set(np.linspace(1, len(content.images), min(DECODED, len(content.images))).astype(int).tolist())
    sizes: Counter[tuple[int, int]] = Counter()
    for number, image in enumerate(content.images, start=1):
        name = _name(image)
        said = (image.get("height"), image.get("width"))
        file = folder / name
        if not os.path.isfile(file):  # pathlib's raises for names that no file can have
            missing.append(name)
        else:
            try:
                size = image_size(file)
                if number in decoded:
                    read_image(file)
            except AlfnetError as error:
                damaged.append(str(error))
                size = None
            if size is not None:
                sizes[size] += 1
                if said == (None, None):
                    silent.append(name)
                elif said == (size[1], size[0]) != size:
                    turned.append(name)
                elif said != size:
                    other.append(f"{name} (says {said[1]} x {said[0]}, is {size[1]} x {size[0]})")
        if progress is not None:
            progress(number)
    total = len(content.images)
    if missing:
        found.problems.append(
            f"{folder}: {len(missing)} of {total} images are not there, e.g. {some(missing)}"
            + _elsewhere(folder, missing, all_of_them=len(missing) == total)
        )
    if damaged:
        found.problems.append(f"{len(damaged)} of {total} images cannot be read, e.g. {damaged[0]}")
    if turned:
        found.problems.append(
            f"{len(turned)} of {total} images have height and width exchanged in the file, e.g. {some(turned)}: a camera's "
            "turn (EXIF) is applied when images are read; write the sizes and boxes of the turned images"
        )
    if silent:
        found.problems.append(
            f"{len(silent)} of {total} images have no height and width in the file, e.g. {some(silent)}; write them"
        )
    if other:
        found.problems.append(
            f"{len(other)} of {total} images have another size than the file says, e.g. {some(other)}"
        )
    if sizes:
        heights, widths = zip(*sizes.elements(), strict=True)
        common, count = sizes.most_common(1)[0]
        found.facts.append(
            f"sizes: {min(widths)}-{max(widths)} x {min(heights)}-{max(heights)} px (width x height)"
            if len(sizes) > 1
            else f"sizes: all {common[1]} x {common[0]} px (width x height)"
        )
        if len(sizes) > 1:
            found.facts.append(f"most common size: {common[1]} x {common[0]} px, {count} of {total}")
    if folder.is_dir():
        listed = {os.path.realpath(folder / _name(image)) for image in content.images if "\0" not in _name(image)}
        there = (file for file in folder.rglob("*") if file.suffix.lower() in IMAGE_SUFFIXES)
        unlisted = sorted(file.relative_to(folder).as_posix() for file in there if os.path.realpath(file) not in listed)
        if unlisted:
            found.facts.append(
                f"{folder}: {plural(len(unlisted), 'image')} there but not in {path.name}, e.g. {some(unlisted)} (another "
                "split's, or not annotated: not used)"
            )


def _elsewhere(folder: Path, missing: list[str], *, all_of_them: bool) -> str:
    """What to do about missing images: they may be below the folder or above it, or have another suffix."""
    name = PurePosixPath(missing[0])
    if name.name in ("", "..") or "\\" in missing[0] or not missing[0].isprintable() or len(missing[0]) > _LONGEST_NAME:
        return "; correct file_name in the file (relative to the folder of images, with / between folders)"
    suffixed = sorted((folder / name).parent.glob(f"{glob.escape(name.stem)}.*"))
    if suffixed:
        beside = suffixed[0].relative_to(folder) if suffixed[0].is_relative_to(folder) else suffixed[0]
        return f"; there is {beside}: correct the suffixes in the file"
    if not all_of_them:
        return "; put them there, or leave them and their annotations out of the file"
    if not name.is_absolute():
        for root in folder.absolute().parents[: len(name.parts)]:
            if (root / name).is_file():
                shown = Path(os.path.relpath(root)) if root.is_relative_to(Path.cwd()) else root
                return f"; there is {shown / name}: name the folder {shown} as --images {shown}"
    below = next(iter(sorted(folder.rglob(glob.escape(name.name)))), None) if folder.is_dir() else None
    if below is None:
        return "; name their folder as --images"
    if len(name.parts) > 1:
        return f"; there is {below}: write file_name relative to {folder}"
    return f"; there is {below}: name that folder as --images"


def _check_boxes(content: CocoFile, found: Findings) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the boxes that are boxes, (n, 4) x, y, w, h, the position of each one's image (n,), and whose are people (n,)."""
    position = {
        image["id"]: index for index, image in enumerate(content.images) if isinstance(image.get("id"), int | str)
    }
    homeless, broken, flat, outlined = [], [], [], []
    boxes, owners, people = [], [], []
    for entry in content.annotations:
        box: Any = entry.get("bbox")
        where = f"annotation {entry.get('id')}"
        image_id = entry.get("image_id")
        if not isinstance(image_id, int | str) or image_id not in position:
            homeless.append(where)
        elif box is None and entry.get("segmentation"):
            outlined.append(where)
        elif not _is_box(box):
            broken.append(f"{where}: {box!r:.60}")
        elif box[2] <= 0 or box[3] <= 0:
            flat.append(f"{where}: {box}")
        else:
            boxes.append([float(value) for value in box])
            owners.append(position[image_id])
            people.append(not _is_region(entry))
    total = len(content.annotations)
    for listed, what in (
        (homeless, "belong to no image (image_id)"),
        (broken, "have no bbox of four numbers [x, y, width, height]"),
        (flat, "have a width or height of 0 or less"),
        (
            outlined,
            "have a segmentation but no bbox; make it of the smallest and largest x and y of the polygons' points, "
            "[x1, y1, x2 - x1, y2 - y1] (of a run-length mask: pycocotools.mask.toBbox)",
        ),
    ):
        if listed:
            found.problems.append(f"{len(listed)} of {total} annotations {what}, e.g. {listed[0]}")
    return (
        np.array(boxes, dtype=np.float64).reshape(-1, 4),
        np.array(owners, dtype=np.int64),
        np.array(people, dtype=np.bool_),
    )


def _is_region(entry: dict[str, Any]) -> bool:
    return entry.get("ignore") in (1, True) or entry.get("iscrowd") in (1, True)


def _is_box(box: Any) -> bool:
    return (
        isinstance(box, list)
        and len(box) == 4
        and all(type(value) in (int, float) and math.isfinite(value) for value in box)
    )


def _describe_people(
    content: CocoFile, boxes: np.ndarray, owners: np.ndarray, people: np.ndarray, found: Findings
) -> None:
    sizes = _sizes(content)[owners]
    middle = math.inf
    if people.any():
        heights = boxes[people, 3]
        low, middle, high = np.percentile(heights, [5, 50, 95])
        found.facts.append(
            f"heights: {low:.0f} / {middle:.0f} / {high:.0f} px (5 %, half, 95 %); width / height "
            f"{np.median(boxes[people, 2] / heights):.2f}"
        )
    ignored = sum(map(_is_region, content.annotations))
    visible = sum(
        any(key in entry for key in ("vis_bbox", "visible_ratio", "vis_ratio")) for entry in content.annotations
    )
    found.facts.append(
        f"{plural(ignored, 'ignore region')} (ignore or iscrowd); visible parts of {visible:,} of {len(content.annotations):,}"
        + ("" if visible else ": the subsets by occlusion are the same as without")
    )
    empty = len(content.images) - len(np.unique(owners[people]))
    if empty:
        found.facts.append(f"{plural(empty, 'image')} without people: not trained on, and tested for false alarms")
    x2, y2 = boxes[:, 0] + boxes[:, 2], boxes[:, 1] + boxes[:, 3]
    gone = (x2 <= 0) | (y2 <= 0) | (boxes[:, 0] >= sizes[:, 1]) | (boxes[:, 1] >= sizes[:, 0])
    over = ~gone & ((boxes[:, :2] < -0.5).any(axis=1) | (x2 > sizes[:, 1] + 0.5) | (y2 > sizes[:, 0] + 0.5))
    if gone.any():
        found.doubts.append(
            f"{gone.sum()} of {len(boxes)} boxes lie wholly outside their image, e.g. {_show(boxes, gone)}: left out"
        )
    if over.any():
        found.facts.append(
            f"{over.sum()} of {len(boxes)} boxes reach over the image's edge, e.g. {_show(boxes, over)}: clipped in training"
        )
    rows = np.column_stack([owners, boxes])[people]
    same = len(rows) - len(np.unique(rows, axis=0))
    if same:
        found.doubts.append(f"{plural(same, 'annotation')} of a box that its image has already: leave one of each")
    if middle < 20:
        found.doubts.append(
            f"half of the people are lower than {middle:.0f} px: data.minimum_pedestrian_height decides who is trained on"
        )


def _hint_at_other_formats(
    content: CocoFile, boxes: np.ndarray, owners: np.ndarray, people: np.ndarray, found: Findings
) -> None:
    sizes = _sizes(content)[owners]
    x, y, w, h = boxes.T
    if boxes.max() <= 1.5:
        found.problems.append(
            "all numbers of the boxes are at most 1: they look like shares of the image; multiply by its size"
        )
        return
    over = (x + w > sizes[:, 1] + 1) | (y + h > sizes[:, 0] + 1)
    corners = (w > x) & (h > y) & (w <= sizes[:, 1] + 1) & (h <= sizes[:, 0] + 1)
    if over.mean() > 0.2 and corners.mean() > 0.9:
        found.problems.append(
            f"{over.sum()} of {len(boxes)} boxes leave their image, and all would fit as corners x1, y1, x2, y2, e.g. "
            f"{_show(boxes, over)}; write [x1, y1, x2 - x1, y2 - y1]"
        )
    elif ((x - w / 2 >= -1) & (y - h / 2 >= -1)).all() and over.mean() > 0.2:
        found.doubts.append(
            "many boxes leave their image to the right and below: are x and y their centres? Subtract half the size"
        )
    elif (over.mean() > _MOST) and not corners.all():
        found.doubts.append(
            f"{over.sum()} of {len(boxes)} boxes leave their image: are they of images of another size?"
        )
    shape = np.median((w / h)[people]) if people.any() else 0.0
    if shape > 1.3:
        found.doubts.append(
            f"half of the boxes are wider than {shape:.1f} times their height: are these standing people?"
        )


def _sizes(content: CocoFile) -> np.ndarray:
    def side(image: dict[str, Any], key: str) -> float:
        value: Any = image.get(key)
        return float(value) if type(value) in (int, float) and value > 0 else math.inf

    return np.array([[side(image, "height"), side(image, "width")] for image in content.images])


def _show(boxes: np.ndarray, chosen: np.ndarray) -> str:
    return str([round(float(value), 1) for value in boxes[chosen][0]])
