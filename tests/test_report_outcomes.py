"""Who found whom, against the matching of the miss rate run again on fewer detections; and the choice of images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alfnet.evaluation.miss_rate import FPPI_POINTS, match
from alfnet.reading.ground_truth import GroundTruth, read_ground_truth
from alfnet.reading.results_file import Detections, read_detections
from alfnet.report.gallery import choose_images
from alfnet.report.outcomes import CORRECT, FALSE_POSITIVE, Outcome, outcome


@pytest.fixture(scope="module")
def golden_case(golden: Path) -> tuple[GroundTruth, Detections]:
    ground_truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    return ground_truth, read_detections(golden / "miss_rate_150_dt.json", ground_truth)


def above(detections: Detections, score: float) -> Detections:
    kept = detections.scores >= score
    return Detections(detections.image_ids[kept], detections.boxes[kept], detections.scores[kept])


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_found_at_tells_what_a_score_threshold_leaves(golden_case: tuple[GroundTruth, Detections], iou: float) -> None:
    ground_truth, detections = golden_case
    found = outcome(ground_truth, detections, iou)
    assert (found.states == CORRECT).sum() == np.isfinite(found.found_at).sum() > 50
    for score in np.quantile(detections.scores, [0, 0.3, 0.6, 0.9, 0.99]):
        again = match(ground_truth, above(detections, score), iou)
        np.testing.assert_array_equal(np.nan_to_num(found.found_at, nan=-1) >= score, again.ground_truths == "detected")
        assert found.false_positives_per_image(np.array([score]))[0] == pytest.approx(
            (again.detections == "false_positive").sum() / 150
        )
        missed = (again.ground_truths == "missed").sum() / (again.ground_truths != "ignored").sum()
        assert found.missed(np.array([score]))[0] == pytest.approx(missed)


def test_score_at_keeps_no_more_false_positives_than_asked(golden_case: tuple[GroundTruth, Detections]) -> None:
    found = outcome(*golden_case, 0.5)
    wrong = found.detections.scores[found.states == FALSE_POSITIVE]
    for rate in FPPI_POINTS:
        score = found.score_at(rate)
        kept = (wrong >= score).sum()
        assert kept / 150 <= rate
        if score:
            assert (wrong >= np.nextafter(score, 0)).sum() / 150 > rate
    assert found.score_at(1e9) == 0


def test_no_pedestrian_has_no_share_of_missed() -> None:
    ground_truth = GroundTruth(
        image_ids=np.array([1]),
        file_names=("a_1.png",),
        image_sizes=np.array([[64.0, 128.0]]),
        annotation_image_ids=np.array([1]),
        boxes=np.array([[0.0, 0, 24, 60]]),
        heights=np.array([60.0]),
        visible_ratios=np.array([1.0]),
        ignored=np.array([True]),
    )
    detections = Detections(np.array([1]), np.array([[0.0, 0, 24, 60]]), np.array([0.9]))
    found = outcome(ground_truth, detections, 0.5)
    assert found.missed(np.array([0.5])) is None
    assert np.isnan(found.found_at).all()
    assert found.false_positives_per_image(np.array([0.5])).tolist() == [0.0]


def test_images_are_chosen_by_a_fixed_varied_rule(golden_case: tuple[GroundTruth, Detections]) -> None:
    ground_truth, detections = golden_case
    outcomes: dict[str, dict[int, dict[float, Outcome]]] = {
        "a": {1: {iou: outcome(ground_truth, detections, iou) for iou in (0.5, 0.75)}}
    }
    chosen = choose_images(outcomes, ground_truth, 12)
    assert chosen == sorted(set(chosen)) == choose_images(outcomes, ground_truth, 12)
    assert len(chosen) == 12
    score = outcomes["a"][1][0.5].score_at(0.316)
    wrong_ids = detections.image_ids[(outcomes["a"][1][0.5].states == FALSE_POSITIVE) & (detections.scores >= score)]
    ids, counts = np.unique(wrong_ids, return_counts=True)
    assert ground_truth.image_ids.tolist().index(int(ids[counts.argmax()])) in chosen
    assert len(choose_images(outcomes, ground_truth, 1000)) == 150
    assert choose_images(outcomes, ground_truth, 1)
