"""Writing detections in the forms that others read: COCO results, JSON Lines, the 2018 text, CSV."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path
from alfnet.outputs import check_replaceable, starts_with
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

_HEADING = "image_id,x,y,width,height,score"


def convert_file(ground_truth: Path, detections: Path, out: Path) -> None:
    """Write the detections in the form that the suffix of `out` names; what looks wrong in them goes to stderr.

    Numbers are written with as many digits as they need, so reading them again gives the same. Raises AlfnetError for
    an unknown suffix and for wrong input, before anything is written, and where `out` is no earlier output.
    """
    forms: dict[str, tuple[Callable[[GroundTruth, Detections], Iterator[str]], str]] = {
        ".json": (_coco, "["),
        ".jsonl": (_json_lines, '{"image_id"'),
        ".txt": (_text, ""),
        ".csv": (_csv, _HEADING),
    }
    if out.suffix not in forms:
        raise AlfnetError(f"{out}: the suffix says the form; expected one of {', '.join(forms)}")
    form, start = forms[out.suffix]
    if start:
        check_replaceable(out, "detections", starts_with(start))
    else:
        check_replaceable(out, "detections", _is_text_form)
    truth = read_ground_truth(ground_truth)
    found = read_detections(detections, truth)
    for warning in (*truth.warnings, *found.warnings):
        print(f"warning: {warning}", file=sys.stderr)
    if found.image_sizes is not None and (np.isnan(truth.image_sizes) & ~np.isnan(found.image_sizes)).any():
        print(
            f"warning: {detections}: says the sizes of images, which {ground_truth} does not and the converted file cannot: by "
            "CrowdHuman's protocol, which cuts boxes off at the images' edges, it may get another figure; give height and "
            "width in the ground truth",
            file=sys.stderr,
        )
    with atomic_path(out) as temporary, temporary.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(form(truth, found))
    number = len(found.scores)
    print(f"{out}: {number} {'detection' if number == 1 else 'detections'}", file=sys.stderr)


def _is_text_form(path: Path) -> bool:
    with path.open("rb") as file:
        first = file.readline(1000).split()
    try:
        return len(list(map(float, first))) == 6
    except ValueError:
        return False


def _rows(found: Detections) -> Iterator[tuple[int, list[float], float]]:
    return zip(found.image_ids.tolist(), found.boxes.tolist(), found.scores.tolist(), strict=True)


def _records(truth: GroundTruth, found: Detections) -> Iterator[str]:
    for image_id, box, score in _rows(found):
        record = {"image_id": image_id, "category_id": truth.category, "bbox": box, "score": score}
        yield json.dumps(record, separators=(",", ":"))


def _coco(truth: GroundTruth, found: Detections) -> Iterator[str]:
    separator = "["
    for record in _records(truth, found):
        yield separator + record
        separator = ",\n"
    yield "[]\n" if separator == "[" else "]\n"


def _json_lines(truth: GroundTruth, found: Detections) -> Iterator[str]:
    return (record + "\n" for record in _records(truth, found))


def _text(truth: GroundTruth, found: Detections) -> Iterator[str]:
    """One line `image x y w h score` a box, images in the ground truth's order; within an image as in the file."""
    order = np.argsort(truth.image_ids, kind="stable")
    position = order[np.searchsorted(truth.image_ids, found.image_ids, sorter=order)]
    for index in np.argsort(position, kind="stable").tolist():
        numbers = [*found.boxes[index].tolist(), float(found.scores[index])]
        yield " ".join([str(position[index] + 1), *map(repr, numbers)]) + "\n"


def _csv(truth: GroundTruth, found: Detections) -> Iterator[str]:
    yield _HEADING + "\n"
    for image_id, box, score in _rows(found):
        yield ",".join(map(repr, [image_id, *box, score])) + "\n"
