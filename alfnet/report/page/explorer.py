"""The explorer of images: every validation image with what was found, missed and reported for nothing.

It is part of the report's page. Its data lie beside the page, in files that the page loads as they are needed (as scripts
and images, which a page opened from a disk may load):

    thumbnails/0001.jpg   seen first, as far as one scrolls
    images/0001.jpg       of an image that is enlarged, and for crops
    outcomes/0001.js      detections of one set (a variant and seed, all its test steps)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import orjson

from alfnet.evaluation.error_kinds import FALSE_POSITIVE_MEANINGS, MISS_MEANINGS, NAMES, error_kinds, near_boxes
from alfnet.evaluation.matching import FALSE_POSITIVE, rank
from alfnet.evaluation.miss_rate import SUBSETS, outside
from alfnet.evaluation.outcomes import Outcomes, all_outcomes
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.images import read_image
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.results_file import Detections

FALSE_POSITIVES_PER_IMAGE = 0.316
"""At first, detections are shown down to the score with so many: the middle of the range that the miss rate averages."""
IMAGE_WIDTH = 1024
THUMBNAIL_WIDTH = 400
_IMAGE_QUALITY, _THUMBNAIL_QUALITY = 80, 72
_MISSES, _FALSE_POSITIVES = list(MISS_MEANINGS), list(FALSE_POSITIVE_MEANINGS)

FindImage = Callable[[str], Path | None]
"""From a ground truth's file name to the image, None where it is not at hand."""


@dataclass(frozen=True)
class DetectionSet:
    """Detections to be shown under one name: of one test step or of several."""

    name: str
    steps: Mapping[int, Detections]
    seed: int
    ground_truth: GroundTruth
    """The images that they were made on: all, or a fold of a cross-validation."""


@dataclass(frozen=True)
class ExplorerData:
    """What the page needs to know at once (`index`, JSON-able), and what it says about the rest."""

    index: dict[str, Any]
    bytes_of_thumbnails: int
    bytes_of_images: int
    bytes_of_outcomes: int


def write_explorer_data(
    folder: Path,
    sets: Iterable[DetectionSet],
    ground_truth: GroundTruth,
    find_image: FindImage,
    *,
    ious: Sequence[float] = (0.5, 0.75),
    protocol: Protocol = CITYPERSONS,
    reference: str = "",
    width: int = IMAGE_WIDTH,
) -> ExplorerData:
    """Write thumbnails, images and outcomes below `folder`; return the index for the page.

    Args:
        folder: a new or empty folder; thumbnails/, images/ and outcomes/ are made in it.
        sets: what can be chosen, in this order. They may be read one at a time: while images are drawn by threads.
        ground_truth: all images of all sets.
        find_image: where the images are.
        ious: thresholds from which a detection is correct.
        protocol: the benchmark by whose rules detections are matched, and miss rates computed (Reasonable subset).
        reference: the name of the set to show first; "" takes the first.
        width: pixels to which larger images are scaled down; boxes keep the original's pixels.
    """
    ids = ground_truth.image_ids
    for name in ("thumbnails", "images", "outcomes"):
        (folder / name).mkdir(parents=True)

    def draw(number: int) -> tuple[int, int, int, int]:
        source = find_image(ground_truth.file_names[number])
        if source is None:
            height, wide = ground_truth.image_sizes[number].tolist()
            return (0 if np.isnan(wide) else int(wide), 0 if np.isnan(height) else int(height), 0, 0)
        image = read_image(source)
        sizes = [
            _write_jpeg(folder / kind / f"{number + 1:04d}.jpg", image, limit, quality)
            for kind, limit, quality in (
                ("thumbnails", THUMBNAIL_WIDTH, _THUMBNAIL_QUALITY),
                ("images", width, _IMAGE_QUALITY),
            )
        ]
        return image.shape[1], image.shape[0], sizes[0], sizes[1]

    counted = ~outside(SUBSETS[0], ground_truth, protocol)
    bytes_of_outcomes = 0
    listed = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        drawing = [pool.submit(draw, number) for number in range(len(ids))]
        try:
            for number, chosen in enumerate(sets, start=1):
                listed.append({"name": chosen.name, "seed": chosen.seed, "steps": list(chosen.steps)})
                bytes_of_outcomes += _write_outcomes(folder / "outcomes", number, chosen, ious, protocol, ids)
            drawn = [each.result() for each in drawing]
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    index = {
        "ious": [f"{iou:g}" for iou in ious],
        "reference": reference or listed[0]["name"],
        "missKinds": [[name, NAMES[name], MISS_MEANINGS[name]] for name in _MISSES],
        "falseKinds": [[name, NAMES[name], FALSE_POSITIVE_MEANINGS[name]] for name in _FALSE_POSITIVES],
        "sets": listed,
        "protocol": {
            "points": list(protocol.fppi_points),
            "atOrAbove": protocol.at_or_above,
            "floor": protocol.floor,
            "options": _options(protocol),
        },
        "images": [
            {
                "name": _short_name(name, image_id),
                "width": wide,
                "height": high,
                "has": int(bool(thumbnail)),
                "truths": _truths(ground_truth, image_id, counted),
            }
            for name, image_id, (wide, high, thumbnail, _) in zip(
                ground_truth.file_names, ids.tolist(), drawn, strict=True
            )
        ],
    }
    sizes = np.array([(thumbnail, large) for _, _, thumbnail, large in drawn]).reshape(-1, 2).sum(axis=0)
    return ExplorerData(index, int(sizes[0]), int(sizes[1]), bytes_of_outcomes)


def _write_outcomes(
    folder: Path,
    number: int,
    chosen: DetectionSet,
    ious: Sequence[float],
    protocol: Protocol,
    ids: npt.NDArray[np.int64],
) -> int:
    """Write the outcomes of the set with a number from 1 on; return the bytes."""
    steps = {}
    for step, detections in chosen.steps.items():
        outcomes = list(all_outcomes(chosen.ground_truth, detections, ious, SUBSETS[:1], protocol))
        steps[str(step)] = _step_data(outcomes, ids)
    text = f"alfnetExplorer.receive({number - 1},{orjson.dumps(steps).decode()});\n"
    (folder / f"{number:04d}.js").write_text(text, encoding="utf-8")
    return len(text)


def _options(protocol: Protocol) -> str:
    """What `alfnet compare` has to be told, so that it follows the protocol and begins with Reasonable."""
    named = "" if protocol.name == CITYPERSONS.name else f" --protocol {protocol.name}"
    return named + ("" if protocol.subsets[0] == SUBSETS[0] else f" --subset {SUBSETS[0].name}")


def _truths(ground_truth: GroundTruth, image_id: int, counted: npt.NDArray[np.bool_]) -> list[list[int]]:
    """[x, y, width, height, whether it is ignored, visible part in percent] of an image's ground truths."""
    rows = np.flatnonzero(ground_truth.annotation_image_ids == image_id)
    return [
        [
            *_box(ground_truth.boxes[row]),
            int(not counted[row]),
            round(100 * float(ground_truth.visible_ratios[row])),
        ]
        for row in rows
    ]


def _step_data(outcomes: Sequence[Outcomes], ids: npt.NDArray[np.int64]) -> dict[str, Any]:
    """What the page knows of one test step.

    detections: per image, flat, [x, y, w, h, score in thousandths, and per IoU state and kind]. truths: per IoU and image
    [score in thousandths at which it is found or -1, kind of miss]. A kind is its place in the index's list, -1 for none.
    covered: per image, whether it is one of the set's. order: of all images together, the images of the detections, best
    first; those of an image stand in this order in `detections`, so that the page can draw curves as the protocol does,
    which scores in thousandths do not tell. wrong, found: per IoU, of all images together, the sorted scores of false
    positives and of found pedestrians. From them, images and pedestrians (their numbers) come false positives per image
    and miss rate at any score.
    """
    detections, ground_truth = outcomes[0].detections, outcomes[0].ground_truth
    shared = near_boxes(ground_truth, detections)
    kinds = [error_kinds(one, shared) for one in outcomes]
    scores = _thousandths(detections.scores)
    found = [np.where(one.found_by < 0, -1, _thousandths(np.nan_to_num(one.found_at))) for one in outcomes]
    rows = [*np.rint(detections.boxes).astype(np.int64).T, scores]
    for one, kind in zip(outcomes, kinds, strict=True):
        rows += [one.states.astype(np.int64), _places(_FALSE_POSITIVES, kind.detections)]
    truths = [[values, _places(_MISSES, kind.misses)] for values, kind in zip(found, kinds, strict=True)]
    of_truths = _rows_by_image(ground_truth.annotation_image_ids, ids)
    return {
        "detections": _flat(rows, _rows_by_image(detections.image_ids, ids, -detections.scores)),
        "truths": [_flat(columns, of_truths) for columns in truths],
        "order": _places_of_images(ids, detections.image_ids[rank(detections, None)]),
        "covered": np.isin(ids, ground_truth.image_ids).astype(int).tolist(),
        "images": outcomes[0].images,
        "pedestrians": outcomes[0].pedestrians,
        "wrong": [np.sort(scores[one.states == FALSE_POSITIVE]).tolist() for one in outcomes],
        "found": [np.sort(values[values >= 0]).tolist() for values in found],
    }


def _places_of_images(ids: npt.NDArray[np.int64], image_ids: npt.NDArray[np.int64]) -> list[int]:
    order = np.argsort(ids, kind="stable")
    return order[np.searchsorted(ids, image_ids, sorter=order)].tolist()


def _thousandths(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    return np.rint(1000 * scores).astype(np.int64)


def _rows_by_image(
    image_ids: npt.NDArray[np.int64], ids: npt.NDArray[np.int64], key: npt.NDArray[np.float64] | None = None
) -> list[npt.NDArray[np.int64]]:
    """The rows of each of the images `ids`, sorted by `key` where given."""
    order = np.lexsort((key, image_ids)) if key is not None else np.argsort(image_ids, kind="stable")
    ordered = image_ids[order]
    bounds = zip(np.searchsorted(ordered, ids).tolist(), np.searchsorted(ordered, ids, "right").tolist(), strict=True)
    return [order[start:end] for start, end in bounds]


def _flat(columns: Sequence[npt.NDArray[np.int64]], rows: Sequence[npt.NDArray[np.int64]]) -> list[list[int]]:
    """For each image the values of its rows, row by row."""
    table = np.stack(columns, axis=1)
    return [table[mine].ravel().tolist() for mine in rows]


def _places(kinds: Sequence[str], names: npt.NDArray[np.str_]) -> npt.NDArray[np.int64]:
    """The place of each name among `kinds`; -1 for "", which is no kind."""
    different, which = np.unique(names, return_inverse=True)
    places = {"": -1} | {name: place for place, name in enumerate(kinds)}
    return np.array([places[name] for name in different.tolist()], dtype=np.int64)[which]


def _box(box: npt.NDArray[np.float64]) -> list[int]:
    return [round(float(value)) for value in box]


def _short_name(name: str, image_id: int) -> str:
    stem = name.rsplit(".", 1)[0].removesuffix("_leftImg8bit")
    return stem or f"image {image_id}"


def _write_jpeg(path: Path, image: npt.NDArray[np.uint8], width: int, quality: int) -> int:
    """Write an image at most so many pixels wide; return the bytes."""
    if image.shape[1] > width:
        size = (width, max(1, round(image.shape[0] * width / image.shape[1])))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
    _, encoded = cv2.imencode(".jpg", image, options)
    path.write_bytes(encoded.tobytes())
    return len(encoded)
