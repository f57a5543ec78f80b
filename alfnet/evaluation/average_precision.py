"""COCO's average precision by pycocotools, beside the miss rate."""

from __future__ import annotations

import contextlib
import io

import numpy as np
from pycocotools.cocoeval import COCOeval

from alfnet.evaluation.matching import FALSE_POSITIVE, IGNORED, match_pairs, rank, ranked_pairs
from alfnet.reading.ground_truth import PEDESTRIAN, GroundTruth
from alfnet.reading.results_file import Detections

DETECTIONS_PER_IMAGE = 100
"""The best of an image that count, COCO's rule."""


def average_precision(ground_truth: GroundTruth, detections: Detections) -> dict[str, float | None]:
    """Return AP (mean over IoU 0.50, 0.55, ..., 0.95), AP50 and AP75 in percent, None without pedestrians.

    All annotations with ignore 0 are pedestrians to be found, whatever their height and visibility. Ignored ones are
    crowds in COCO's sense: like in the miss rate, a detection that lies in one (intersection / area of the detection)
    counts neither way. (COCOeval on CityPersons' file as it is reads `iscrowd` alone, and takes riders and ignore
    regions for pedestrians.)

    Precision and recall are pycocotools'. Matching is ours: COCO's gives the same (best score first, best IoU, of equal
    IoUs the later one, crowds last and more than once), and its loop in Python takes ten times as long.
    """
    pedestrians = len(ground_truth.ignored) - int(ground_truth.ignored.sum())
    if not pedestrians:
        return {"AP": None, "AP50": None, "AP75": None}
    order = rank(detections, DETECTIONS_PER_IMAGE)
    if not len(order):
        return {"AP": 0.0, "AP50": 0.0, "AP75": 0.0}
    run = COCOeval(iouType="bbox")
    thresholds = run.params.iouThrs
    pairs = ranked_pairs(ground_truth, detections, order, thresholds[0])
    everyone = np.ones(len(order), dtype=np.bool_)
    states = np.stack([match_pairs(pairs, everyone, ground_truth.ignored, iou)[0] for iou in thresholds])

    # All images as one: the detections are already in the order in which accumulate() would put them.
    run.params.imgIds, run.params.catIds = [0], [PEDESTRIAN]
    run.params.areaRng, run.params.areaRngLbl, run.params.maxDets = [[0, 1e10]], ["all"], [len(order)]
    run._paramsEval = run.params
    run.evalImgs = [
        {
            "dtScores": detections.scores[order],
            "dtMatches": states != FALSE_POSITIVE,
            "dtIgnore": states == IGNORED,
            "gtIgnore": ground_truth.ignored.astype(np.int64),
        }
    ]
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its progress
        run.accumulate()
    precision = 100 * run.eval["precision"][:, :, 0, 0, 0].mean(axis=1)  # over recall points, per IoU threshold
    return {"AP": float(precision.mean()), "AP50": float(precision[0]), "AP75": float(precision[5])}
