"""The gallery: a varied choice of validation images, as data for the page and as a sheet of images."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from alfnet.images import read_image
from alfnet.params import Params
from alfnet.reading.ground_truth import GroundTruth
from alfnet.report.outcomes import FALSE_POSITIVE, Outcome

Outcomes = Mapping[str, Mapping[int, Mapping[float, Outcome]]]

# The score of an image's detections is the lowest one with this many false positives per image, as the middle of the
# range that the miss rate averages: scores of different variants and steps mean different things.
FALSE_POSITIVES_PER_IMAGE = 0.316
SCORE_STEPS = 200  # of the page's slider, from 0 to 1
JPEG_QUALITY = 82
WIDEST = 1024  # pixels, of the images on the page


def choose_images(outcomes: Outcomes, ground_truth: GroundTruth, number: int) -> list[int]:
    """Choose images (indices into ground_truth.image_ids, ascending) that show as much as possible.

    In turns the best by four rankings, over all variants at 0.316 false positives per image: most pedestrians found,
    most missed, most false positives, most pedestrians that the last step meets at IoU 0.75 and the first does not or
    the other way round; and every fifth turn the next of evenly spaced images with pedestrians. Equal ranks go by
    position.
    """
    images = len(ground_truth.image_ids)
    found, missed, wrong, changed = (np.zeros(images) for _ in range(4))
    of_truth = _positions(ground_truth, ground_truth.annotation_image_ids)
    for steps in outcomes.values():
        first, last = steps[min(steps)], steps[max(steps)]
        score = last[0.5].score_at(FALSE_POSITIVES_PER_IMAGE)
        at_last = np.nan_to_num(last[0.5].found_at, nan=-1) >= score
        found += _count(of_truth[at_last], images)
        missed += _count(of_truth[last[0.5].counted & ~at_last], images)
        detections = last[0.5].detections
        wrong_ones = (last[0.5].states == FALSE_POSITIVE) & (detections.scores >= score)
        wrong += _count(_positions(ground_truth, detections.image_ids[wrong_ones]), images)
        close = [
            np.nan_to_num(step[0.75].found_at, nan=-1) >= step[0.75].score_at(FALSE_POSITIVES_PER_IMAGE)
            for step in (first, last)
        ]
        changed += _count(of_truth[close[0] != close[1]], images)
    rankings = [np.argsort(-counts, kind="stable").tolist() for counts in (found, missed, wrong, changed)]
    populated = np.unique(of_truth[_first(outcomes)[0.5].counted]).tolist() or [0]
    spaced = np.linspace(0, len(populated) - 1, num=number, dtype=np.int64)
    rankings.append([*(populated[place] for place in spaced), *populated, *range(images)])
    chosen: list[int] = []
    while len(chosen) < min(number, images):
        ranking = rankings[len(chosen) % len(rankings)]
        chosen.append(next(index for index in ranking if index not in chosen))
    return sorted(chosen)


def gallery_data(
    params: Params,
    outcomes: Outcomes,
    ground_truth: GroundTruth,
    chosen: Sequence[int],
    folder: Path,
    *,
    reference: str,
    ious: Sequence[float],
) -> dict[str, Any]:
    """Return what the page's gallery shows, as JSON-able data.

    Each image once, as JPEG; its ground truths [x, y, w, h, ignored]; per variant and test step its detections
    [x, y, w, h, score, state per IoU] and per IoU the score at which each ground truth is found (None: missed). Boxes
    are in pixels of the full image. `folder` holds the val images, <city>/<file>.
    """
    images = []
    for index in chosen:
        image = read_image(image_path(folder, ground_truth.file_names[index]))
        mine = np.flatnonzero(ground_truth.annotation_image_ids == ground_truth.image_ids[index])
        ignored = ~_first(outcomes)[ious[0]].counted
        images.append(
            {
                "name": ground_truth.file_names[index].removesuffix(".png").removesuffix("_leftImg8bit"),
                "jpeg": _jpeg(image),
                "truths": [[*_box(ground_truth.boxes[truth]), int(ignored[truth])] for truth in mine],
            }
        )
    return {
        "variants": [{"name": name, "steps": list(steps)} for name, steps in outcomes.items()],
        "reference": reference,
        "ious": [f"{iou:g}" for iou in ious],
        "width": params.data.width,
        "height": params.data.height,
        "total": len(ground_truth.image_ids),
        "images": images,
        "outcomes": {
            name: {str(step): _step_data(per_iou, ground_truth, chosen, ious) for step, per_iou in steps.items()}
            for name, steps in outcomes.items()
        },
    }


def image_path(folder: Path, file_name: str) -> Path:
    """Return where an image lies below the folder of images: by its name, or (CityPersons) in the folder of its city."""
    direct = folder / file_name
    return direct if direct.is_file() else folder / file_name.split("_")[0] / file_name


def _first(outcomes: Outcomes) -> Mapping[float, Outcome]:
    return next(iter(next(iter(outcomes.values())).values()))


def _step_data(
    per_iou: Mapping[float, Outcome], ground_truth: GroundTruth, chosen: Sequence[int], ious: Sequence[float]
) -> dict[str, Any]:
    scores = np.arange(SCORE_STEPS + 1) / SCORE_STEPS - 1e-9  # as the page compares
    operating = {}
    for iou in ious:
        missed = per_iou[iou].missed(scores)
        operating[f"{iou:g}"] = {
            "fppi": _rounded(per_iou[iou].false_positives_per_image(scores)),
            "missed": [None] * len(scores) if missed is None else _rounded(missed),
        }
    detections = per_iou[ious[0]].detections
    images = []
    for index in chosen:
        image_id = ground_truth.image_ids[index]
        mine = np.flatnonzero(detections.image_ids == image_id)
        truths = np.flatnonzero(ground_truth.annotation_image_ids == image_id)
        images.append(
            {
                "detections": [
                    [
                        *_box(detections.boxes[row]),
                        round(float(detections.scores[row]), 4),
                        *(int(per_iou[iou].states[row]) for iou in ious),
                    ]
                    for row in mine[np.argsort(detections.scores[mine], kind="stable")]  # the best on top
                ],
                "truths": [
                    [
                        None if np.isnan(per_iou[iou].found_at[row]) else round(float(per_iou[iou].found_at[row]), 4)
                        for row in truths
                    ]
                    for iou in ious
                ],
            }
        )
    return {"operating": operating, "images": images}


def _positions(ground_truth: GroundTruth, image_ids: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    order = np.argsort(ground_truth.image_ids, kind="stable")
    return order[np.searchsorted(ground_truth.image_ids[order], image_ids)]


def _count(positions: npt.NDArray[np.int64], images: int) -> npt.NDArray[np.int64]:
    return np.bincount(positions, minlength=images)


def _box(box: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(value), 1) for value in box]


def _rounded(values: npt.NDArray[np.float64]) -> list[float]:
    return [round(float(value), 4) for value in values]


def _jpeg(image: npt.NDArray[np.uint8]) -> str:
    if image.shape[1] > WIDEST:
        size = (WIDEST, round(image.shape[0] * WIDEST / image.shape[1]))
        image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    _, encoded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return "data:image/jpeg;base64," + base64.b64encode(encoded.tobytes()).decode()
