"""What became of every detection and every pedestrian, for drawing: which were found, and at which score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from alfnet.errors import AlfnetError
from alfnet.evaluation.miss_rate import match
from alfnet.evaluation.pairs import overlapping_pairs
from alfnet.params import Params
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.results_file import Detections, read_detections

FALSE_POSITIVE, CORRECT, NOT_COUNTED = 0, 1, 2
_STATES = {"false_positive": FALSE_POSITIVE, "true_positive": CORRECT, "ignored": NOT_COUNTED}


@dataclass(frozen=True)
class Outcome:
    """The matching of one variant's test step with the ground truth's Reasonable subset, at one IoU threshold."""

    detections: Detections
    states: npt.NDArray[np.int64]
    """(D,) FALSE_POSITIVE, CORRECT or NOT_COUNTED."""
    found_at: npt.NDArray[np.float64]
    """(G,) the score of a pedestrian's correct detection; NaN for a missed one and for an ignored ground truth."""
    counted: npt.NDArray[np.bool_]
    """(G,) False for an ignored ground truth."""
    images: int

    def false_positives_per_image(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Return, for each of `scores`, the false positives per image of the detections with at least that score."""
        wrong = np.sort(self.detections.scores[self.states == FALSE_POSITIVE])
        return (len(wrong) - np.searchsorted(wrong, scores, side="left")) / self.images

    def missed(self, scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64] | None:
        """Return, for each of `scores`, the share of the pedestrians without a detection of at least that score."""
        pedestrians = int(self.counted.sum())
        if not pedestrians:
            return None
        found = np.sort(self.found_at[np.isfinite(self.found_at)])
        return 1 - (len(found) - np.searchsorted(found, scores, side="left")) / pedestrians

    def score_at(self, false_positives_per_image: float) -> float:
        """Return the lowest score with at most so many false positives per image (0 if all detections have fewer)."""
        wrong = np.sort(self.detections.scores[self.states == FALSE_POSITIVE])[::-1]
        allowed = int(false_positives_per_image * self.images)
        return float(np.nextafter(wrong[allowed], np.inf)) if allowed < len(wrong) else 0.0


def outcome(ground_truth: GroundTruth, detections: Detections, iou: float) -> Outcome:
    """Match detections by the miss rate's own rule (`alfnet.evaluation.miss_rate.match`), and say who found whom."""
    matches = match(ground_truth, detections, iou)
    states = np.array([_STATES[name] for name in matches.detections.tolist()], dtype=np.int64)
    found_at = np.full(len(ground_truth.boxes), np.nan)
    # The pairs of the matching: the same turns among correct detections and found pedestrians alone, for no other
    # detection ever held one of these pedestrians.
    order = np.argsort(-detections.scores, kind="stable")
    order = order[states[order] == CORRECT]
    found = np.flatnonzero(matches.ground_truths == "detected")
    pairs = overlapping_pairs(
        detections.image_ids[order],
        detections.boxes[order],
        ground_truth.annotation_image_ids[found],
        ground_truth.boxes[found],
        iou,
    )
    done: set[int] = set()
    for index, truth, overlap in zip(
        pairs.detection.tolist(), pairs.ground_truth.tolist(), pairs.iou.tolist(), strict=True
    ):
        if overlap >= iou and index not in done and np.isnan(found_at[found[truth]]):
            found_at[found[truth]] = detections.scores[order[index]]
            done.add(index)
    return Outcome(detections, states, found_at, matches.ground_truths != "ignored", len(ground_truth.image_ids))


def read_outcomes(
    params: Params, root: Path, ground_truth: GroundTruth, ious: tuple[float, ...]
) -> dict[str, dict[int, dict[float, Outcome]]]:
    """Return the outcomes of every variant, test step and IoU.

    Raises AlfnetError, naming variant and stage, where a file of detections is missing.
    """
    outcomes: dict[str, dict[int, dict[float, Outcome]]] = {}
    for name, variant in params.variants.items():
        outcomes[name] = {}
        for step in range(1, variant.steps + 1):
            path = root / "detections" / name / str(params.seeds[0]) / f"step{step}.json"
            if not path.is_file():
                shown = path.relative_to(root).as_posix()
                raise AlfnetError(f"{shown}: no such file, variant {name} lacks it; run: dvc repro detect@{name}")
            detections = read_detections(path, ground_truth)
            outcomes[name][step] = {iou: outcome(ground_truth, detections, iou) for iou in ious}
    return outcomes
