"""What the explorer shows, as JSON-able data: the images with their boxes, and a list of cases to look at."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.comparison import Comparison
from alfnet.evaluation.error_kinds import FALSE_POSITIVE_MEANINGS, KINDS, MISS_MEANINGS, NAMES, UP_TO, ErrorKinds
from alfnet.reading.ground_truth import GroundTruth

log = logging.getLogger(__name__)

MOST_CASES = 5000
"""So many cases a page holds; beyond, the surest false positives and the tallest misses stay."""
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif")
"""Pictures that a browser shows."""


def explorer_data(kinds: ErrorKinds, title: str, pictures: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return the page's data for one set of detections: every miss and false positive up to one false positive an image.

    pictures: addresses of the images by image id, as the page is to use them (`find_pictures`).

    {"title", "facts": [[name, value], ...], "kinds": [[key, name, meaning of a false positive, of a miss, false
    positives, misses, miss rate left], ...], "names": [of every kind], "sets": [name], "groups": [[key, name], ...],
    "cases": [[image, group, kind, x, y, width, height, score or None, height, visible part or None], ...], "images":
    [{"name", "src", "width", "height", "truths": [[x, y, width, height, ignored, height, visible or None], ...], "sets":
    [{"detections": [[x, y, width, height, score, state, place of the kind in "names" or -1], ...], "found": [score or
    None, ...]}]}, ...]}. States are those of `alfnet.evaluation.matching`; a case's kind is a place in "kinds"; only
    images with a case are in the list.
    """
    outcomes = kinds.outcomes
    truth, detections = outcomes.ground_truth, outcomes.detections
    wrong, missed = kinds.false_positives_up_to(), kinds.misses_up_to()
    cases: list[list[Any]] = []
    for row in _first(np.flatnonzero(missed != ""), -truth.heights).tolist():
        cases.append(
            [int(truth.annotation_image_ids[row]), "miss", KINDS.index(str(missed[row])), *_box(truth.boxes[row]),
             None, *_person(truth, row)]
        )  # fmt: skip
    for row in _first(np.flatnonzero(wrong != ""), -detections.scores).tolist():
        cases.append(
            [int(detections.image_ids[row]), "false", KINDS.index(str(wrong[row])), *_box(detections.boxes[row]),
             _short(detections.scores[row]), _short(detections.boxes[row, 3]), None]
        )  # fmt: skip
    counts = kinds.counts()
    table = [
        [
            kind, NAMES[kind], FALSE_POSITIVE_MEANINGS.get(kind, ""), MISS_MEANINGS.get(kind, ""), *counts[kind],
            None if kinds.left[kind] is None else round(float(kinds.left[kind] or 0), 2),
        ]
        for kind in KINDS
    ]  # fmt: skip
    rate = "–" if kinds.miss_rate is None else f"{kinds.miss_rate:.2f} %"
    facts = [
        ["Miss rate", rate],
        ["Subset", outcomes.subset.name],
        ["IoU", f"{outcomes.iou:g}"],
        ["Pedestrians", f"{outcomes.pedestrians:,}"],
        ["Images", f"{outcomes.images:,}"],
        ["Detections", f"{len(detections.scores):,}"],
    ]
    return _page(
        truth, [kinds], title, facts, table, [["miss", "misses"], ["false", "false positives"]], cases, pictures
    )


def comparison_data(comparison: Comparison, title: str, pictures: Mapping[int, str] | None = None) -> dict[str, Any]:
    """Return the page's data for two sets of detections: the pedestrians that one alone finds.

    As `explorer_data`; the groups are "A" and "B", the kinds those of the error that the other one made.
    """
    truth = comparison.kinds[0].outcomes.ground_truth
    cases = [
        [found.image_id, found.found_by, KINDS.index(found.other_kind), *map(_short, found.box), _short(found.score),
         *_person(truth, found.ground_truth)]
        for found in sorted(comparison.found_alone, key=lambda found: -found.height)[:MOST_CASES]
    ]  # fmt: skip
    counts = {kind: [0, 0] for kind in KINDS}
    for found in comparison.found_alone:
        counts[found.other_kind]["AB".index(found.found_by)] += 1
    table = [
        [kind, NAMES[kind], "", MISS_MEANINGS.get(kind, ""), *counts[kind], None]
        for kind in KINDS
        if kind in MISS_MEANINGS
    ]
    places = {row[0]: place for place, row in enumerate(table)}
    for case in cases:
        case[2] = places[KINDS[int(case[2] or 0)]]
    first = next(iter(comparison.differences.values()))[comparison.subset]
    facts = [
        [f"A: {comparison.names[0]}", "–" if first.a is None else f"{first.a:.2f} %"],
        [f"B: {comparison.names[1]}", "–" if first.b is None else f"{first.b:.2f} %"],
        ["A − B, 95 % interval", _interval(first.interval)],
        ["Subset", f"{comparison.subset}, IoU {comparison.iou:g}"],
        ["Found by both", f"{comparison.found_by_both:,}"],
        ["By neither", f"{comparison.found_by_neither:,}"],
    ]
    groups = [["A", f"found by A alone ({comparison.names[0]})"], ["B", f"found by B alone ({comparison.names[1]})"]]
    data = _page(truth, list(comparison.kinds), title, facts, table, groups, cases, pictures, comparison.fppi)
    return data | {"sets": list(comparison.names)}


def find_pictures(ground_truth: GroundTruth, folder: Path, page: Path) -> dict[int, str]:
    """Return the addresses of the images below `folder`, by image id, relative to the page that is to show them.

    An image is where its name says, seen from `folder`, be it with another suffix. Else it is the one file, in whatever
    subfolder, that ends in the same folders and name for as long as any does, with a suffix that a browser shows. Where
    several do, or it may be that of another image, it is left out, and a warning says so: folders often share names.

    Raises AlfnetError where the folder is none, or no image can be told in it.
    """
    if not folder.is_dir():
        raise AlfnetError(f"{folder}: no such folder; name the one that holds the images")
    names = {
        image_id: parts
        for name, image_id in zip(ground_truth.file_names, ground_truth.image_ids.tolist(), strict=False)
        if (parts := _parts(name))
    }
    below, stems = _Below(folder), {_without_suffix(parts)[-1] for parts in names.values()}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and _stem(file) in stems:
                below.add(place, file)
    below.index(set(names.values()))
    found: dict[int, str] = {}
    unclear: list[int] = []
    for image_id, parts in names.items():
        path = below.path_of(parts)
        if path is not None:
            address = os.path.relpath(path, page.resolve().parent)
            found[image_id] = quote(address.replace(os.sep, "/"))
        elif below.holds_name_of(parts):
            unclear.append(image_id)
    example = "/".join(names[unclear[0]]) if unclear else ""
    if not found and unclear:
        raise AlfnetError(
            f"{folder}: which pictures are those of the {len(ground_truth.image_ids)} images? Folders in it share names, "
            f"e.g. of {example}; name the folder from which the file names of the ground truth lead to them"
        )
    if not found:
        first = next(("/".join(parts) for parts in names.values()), None)
        which = f", e.g. {first}" if first else " (the ground truth has no file names)"
        raise AlfnetError(f"{folder}: none of the {len(ground_truth.image_ids)} images lies in it{which}")
    if unclear:
        log.warning(
            "%s: %s of the images have no picture on the page: it cannot be told which of the files of that name is theirs, "
            "e.g. %s; name the folder from which the file names of the ground truth lead to them",
            folder, f"{len(unclear):,}", example,
        )  # fmt: skip
    return found


Parts = tuple[str, ...]
"""Of a path: the folders, and at last the file."""


class _Below:
    """The pictures below a folder, to be found by names that may begin at another folder."""

    def __init__(self, folder: Path) -> None:
        self._root = Path(os.path.abspath(folder)).parts
        self._files: dict[Parts, list[str]] = {}  # by the whole path without its suffix
        self._by_tail: dict[Parts, list[Parts]] = {}  # by the last parts of that, as many as the names have
        self._whole: Counter[Parts] = Counter()  # how many of the names are so, but for their suffixes
        self._names: Counter[Parts] = Counter()  # how many end so

    def add(self, place: str, file: str) -> None:
        """Add a picture; those of one folder in the order in which they are to be taken."""
        key = (*Path(os.path.abspath(place)).parts, _stem(file))
        self._files.setdefault(key, []).append(os.path.join(place, file))

    def index(self, names: Collection[Parts]) -> None:
        """Note all names that will be asked for, once all pictures are there."""
        for name in names:
            self._whole[_without_suffix(name)] += 1
            self._names.update(_tails(_without_suffix(name)))
        for key in self._files:
            for tail in _tails(key):
                if tail in self._names:
                    self._by_tail.setdefault(tail, []).append(key)

    def path_of(self, name: Parts) -> str | None:
        """The picture of an image; None where there is none, or it cannot be told."""
        stem = _without_suffix(name)
        there = self._files.get(self._root + stem, [])
        exact = [path for path in there if os.path.basename(path) == name[-1]]
        if exact:
            return exact[0]
        if there and self._whole[stem] == 1:
            return there[0]
        tail = next((tail for tail in _tails(stem) if tail in self._by_tail), None)
        if tail is None or self._names[tail] > 1 or len(self._by_tail[tail]) > 1:
            return None
        paths = self._files[self._by_tail[tail][0]]
        return next((path for path in paths if os.path.basename(path) == name[-1]), paths[0])

    def holds_name_of(self, name: Parts) -> bool:
        """Whether there is a picture with the image's own name, in whatever subfolder."""
        return _without_suffix(name)[-1:] in self._by_tail


def _page(
    truth: GroundTruth,
    sets: Sequence[ErrorKinds],
    title: str,
    facts: list[list[str]],
    table: list[list[Any]],
    groups: list[list[str]],
    cases: list[list[Any]],
    pictures: Mapping[int, str] | None,
    fppi: float = UP_TO,
) -> dict[str, Any]:
    shown = sorted({case[0] for case in cases})
    places = {image_id: place for place, image_id in enumerate(shown)}
    for case in cases:
        case[0] = places[case[0]]
    order = {image_id: place for place, image_id in enumerate(truth.image_ids.tolist())}
    by_truth = _rows_by_id(truth.annotation_image_ids)
    by_set = [_rows_by_id(kinds.outcomes.detections.image_ids) for kinds in sets]
    of_sets = [_of_set(kinds, fppi) for kinds in sets]
    ignored = sets[0].outcomes.ignored
    images = []
    for image_id in shown:
        rows = by_truth.get(image_id, [])
        boxes = [truth.boxes[rows]]
        drawn = []
        for kinds, by_image, (states, wrong, found, kept) in zip(sets, by_set, of_sets, strict=True):
            mine = [row for row in by_image.get(image_id, []) if kept[row]]
            detections = kinds.outcomes.detections
            boxes.append(detections.boxes[mine])
            drawn.append(
                {
                    "detections": [
                        [*_box(detections.boxes[row]), _short(detections.scores[row]), int(states[row]),
                         KINDS.index(str(wrong[row])) if wrong[row] else -1]
                        for row in mine
                    ],
                    "found": [None if math.isnan(found[row]) else _short(found[row]) for row in rows],
                }
            )  # fmt: skip
        place = order[image_id]
        height, width = truth.image_sizes[place].tolist()
        if not (math.isfinite(height) and math.isfinite(width)):
            all_boxes = np.concatenate(boxes)
            width, height = (all_boxes[:, :2] + all_boxes[:, 2:]).max(axis=0).tolist()
        images.append(
            {
                "name": truth.file_names[place] or f"image {image_id}",
                "src": (pictures or {}).get(image_id),
                "width": _short(width),
                "height": _short(height),
                "truths": [[*_box(truth.boxes[row]), int(ignored[row]), *_person(truth, row)] for row in rows],
                "sets": drawn,
            }
        )
    return {
        "title": title,
        "facts": facts,
        "kinds": table,
        "names": [NAMES[kind] for kind in KINDS],
        "sets": ["detections"] * len(sets),
        "groups": groups,
        "cases": cases,
        "images": images,
        "pictures": sum(image["src"] is not None for image in images),
    }


def _of_set(kinds: ErrorKinds, fppi: float) -> tuple[Any, Any, Any, Any]:
    """States, kinds, scores of finds, and which detections are drawn: those that count up to `fppi`."""
    outcomes = kinds.outcomes
    counted = np.zeros(len(outcomes.detections.scores), dtype=np.bool_)
    counted[outcomes.order[: outcomes.allowed(fppi)]] = True
    found = np.where(outcomes.found(fppi), outcomes.found_at, np.nan)
    return outcomes.states, kinds.detections, found, counted


def _rows_by_id(ids: np.ndarray) -> dict[int, list[int]]:
    rows: dict[int, list[int]] = {}
    for row, image_id in enumerate(ids.tolist()):
        rows.setdefault(image_id, []).append(row)
    return rows


def _first(rows: np.ndarray, key: np.ndarray) -> np.ndarray:
    return rows[np.argsort(key[rows], kind="stable")][:MOST_CASES]


def _person(truth: GroundTruth, row: int) -> list[float | None]:
    visible = float(truth.visible_ratios[row])
    return [_short(truth.heights[row]), round(visible, 2) if math.isfinite(visible) else None]


def _interval(interval: Any) -> str:
    return "–" if interval is None else f"{interval.low:+.2f} to {interval.high:+.2f}"


def _box(box: np.ndarray) -> list[float]:
    return [_short(value) for value in box]


def _short(value: Any) -> float:
    rounded = round(float(value), 3 if abs(float(value)) < 10 else 1)
    return int(rounded) if rounded == int(rounded) else rounded


def _parts(name: str) -> Parts:
    return tuple(part for part in name.replace("\\", "/").split("/") if part not in ("", "."))


def _without_suffix(parts: Parts) -> Parts:
    return (*parts[:-1], _stem(parts[-1]))


def _tails(parts: Parts) -> Iterator[Parts]:
    """The last parts of a path, all of them first, the file alone at last."""
    return (parts[start:] for start in range(len(parts)))


def _stem(file: str) -> str:
    return file.rsplit(".", 1)[0]
