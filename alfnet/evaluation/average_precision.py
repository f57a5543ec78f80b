"""COCO's average precision, beside the miss rate."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from alfnet.evaluation.matching import IGNORED, TRUE_POSITIVE, match_pairs, rank
from alfnet.evaluation.miss_rate import Candidates, find_candidates
from alfnet.evaluation.pairs import Pairs
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Integers
from alfnet.reading.results_file import Detections

DETECTIONS_PER_IMAGE = 100
"""The best of an image that count, COCO's rule."""
IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)


def average_precision(ground_truth: GroundTruth, detections: Detections) -> dict[str, float | None]:
    """Return AP (mean over IoU 0.50, 0.55, ..., 0.95), AP50 and AP75 in percent, None without pedestrians.

    All annotations with ignore 0 are pedestrians to be found, whatever their height and visibility. Ignored ones are
    crowds in COCO's sense: like in the miss rate, a detection that lies in one (intersection / area of the detection)
    counts neither way. (COCOeval on CityPersons' file as it is reads `iscrowd` alone, and takes riders and ignore
    regions for pedestrians.)

    Matching, precision and recall are as in pycocotools (best score first, best IoU, of equal IoUs the later one, crowds
    last and more than once), which the tests compare with; its loops in Python take twenty times as long.
    """
    pedestrians = len(ground_truth.ignored) - int(ground_truth.ignored.sum())
    if not pedestrians:
        return {"AP": None, "AP50": None, "AP75": None}
    order = rank(detections, DETECTIONS_PER_IMAGE)
    if not len(order):
        return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    pairs = _pairs_among(find_candidates(ground_truth, detections, float(IOU_THRESHOLDS[0])), order)
    everyone = np.ones(len(order), dtype=np.bool_)
    precision = [
        100 * _mean_precision(match_pairs(pairs, everyone, ground_truth.ignored, float(iou))[0], pedestrians)
        for iou in IOU_THRESHOLDS
    ]
    return {"AP": float(np.mean(precision)), "AP50": precision[0], "AP75": precision[5]}


def _pairs_among(candidates: Candidates, order: Integers) -> Pairs:
    """The miss rate's pairs, of the detections in `order` alone, which are some of them in the same order."""
    place = np.full(int(candidates.order.max()) + 1, -1)
    place[order] = np.arange(len(order))
    pairs = candidates.pairs
    detection = place[candidates.order[pairs.detection]]
    kept = detection >= 0
    return Pairs(detection[kept], pairs.ground_truth[kept], pairs.iou[kept], pairs.cover[kept])


def _mean_precision(states: npt.NDArray[np.int8], pedestrians: int) -> float:
    """The mean over recalls 0, 0.01, ..., 1 of the highest precision at that recall or a higher one; 0 beyond the last.

    states (D,): of all detections of all images, best first.
    """
    counted = states[states != IGNORED] == TRUE_POSITIVE
    found, wrong = np.cumsum(counted).astype(np.float64), np.cumsum(~counted).astype(np.float64)
    recall = found / pedestrians
    precision = found / (wrong + found + np.spacing(1))
    highest = np.maximum.accumulate(precision[::-1])[::-1]
    places = np.searchsorted(recall, RECALLS, side="left")
    return float(np.append(highest, 0.0)[places].mean())
