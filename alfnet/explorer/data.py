"""What the explorer shows, as JSON-able data: the images with their boxes, and a list of cases to look at."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.evaluation.comparison import Comparison
from alfnet.evaluation.error_kinds import FALSE_POSITIVE_MEANINGS, KINDS, MISS_MEANINGS, NAMES, UP_TO, ErrorKinds
from alfnet.reading.ground_truth import GroundTruth

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

    Files are found by name, in whatever subfolder, with another suffix where a browser can show it. Raises AlfnetError
    where the folder is none or holds none of the images.
    """
    if not folder.is_dir():
        raise AlfnetError(f"{folder}: no such folder; name the one that holds the images")
    wanted: dict[str, list[int]] = {}
    for name, image_id in zip(ground_truth.file_names, ground_truth.image_ids.tolist(), strict=False):
        if name:
            wanted.setdefault(_stem(name), []).append(image_id)
    found: dict[int, str] = {}
    for place, folders, files in os.walk(folder):
        folders.sort()
        for file in sorted(files):
            if file.lower().endswith(SUFFIXES) and (ids := wanted.get(_stem(file))):
                address = os.path.relpath(os.path.join(place, file), page.resolve().parent)
                for image_id in ids:
                    found.setdefault(image_id, quote(address.replace(os.sep, "/")))
    if not found:
        names = [name for name in ground_truth.file_names if name]
        example = f", e.g. {names[0]}" if names else " (the ground truth has no file names)"
        raise AlfnetError(f"{folder}: none of the {len(ground_truth.image_ids)} images lies in it{example}")
    return found


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


def _stem(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1].rsplit(".", 1)[0]
