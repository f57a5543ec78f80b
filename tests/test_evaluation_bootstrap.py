from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.bootstrap import bootstrap, draw, ranked, weighted_miss_rates
from alfnet.evaluation.miss_rate import evaluate, iou_key
from alfnet.evaluation.outcomes import all_outcomes, false_positives_at, outcomes
from alfnet.evaluation.protocol import PROTOCOLS, Protocol
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections


@pytest.fixture(scope="module", params=[150, 24])
def case(request: pytest.FixtureRequest, golden: Path) -> tuple[GroundTruth, Detections]:
    truth = read_ground_truth(golden / f"miss_rate_{request.param}_gt.json")
    return truth, read_detections(golden / f"miss_rate_{request.param}_dt.json", truth)


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_every_image_once_is_the_protocol(case: tuple[GroundTruth, Detections], protocol: Protocol) -> None:
    truth, detections = case
    rates = evaluate(truth, detections, [0.5, 0.75], protocol=protocol)
    once = np.ones((1, len(truth.image_ids)), dtype=np.int32)
    compared = 0
    for result in all_outcomes(truth, detections, [0.5, 0.75], protocol=protocol):
        expected = rates.percent[iou_key(result.iou)][result.subset.name]
        if expected is not None:
            assert weighted_miss_rates(ranked(result), once)[0] == pytest.approx(expected, abs=1e-9)
            compared += 1
    assert compared


def drawn_again(truth: GroundTruth, detections: Detections, counts: np.ndarray) -> tuple[GroundTruth, Detections]:
    """The data set in which image i stands counts[i] times, built record by record."""
    ids, rows, found = [], [], []
    for image_id, count in zip(truth.image_ids.tolist(), counts.tolist(), strict=True):
        for copy in range(count):
            number = 1000 * image_id + copy
            ids.append(number)
            rows += [(number, row) for row in np.flatnonzero(truth.annotation_image_ids == image_id)]
            found += [(number, row) for row in np.flatnonzero(detections.image_ids == image_id)]
    annotations = np.array([row for _, row in rows], dtype=np.int64)
    picked = np.array([row for _, row in found], dtype=np.int64)
    again = GroundTruth(
        image_ids=np.array(ids),
        file_names=("",) * len(ids),
        image_sizes=np.full((len(ids), 2), np.nan),
        annotation_image_ids=np.array([number for number, _ in rows]),
        boxes=truth.boxes[annotations],
        heights=truth.heights[annotations],
        visible_ratios=truth.visible_ratios[annotations],
        ignored=truth.ignored[annotations],
    )
    numbers = np.array([number for number, _ in found])
    return again, Detections(numbers, detections.boxes[picked], detections.scores[picked])


def test_a_resample_is_the_evaluation_of_its_images(case: tuple[GroundTruth, Detections]) -> None:
    truth, detections = case
    # Without ties: of two equal scores in an image drawn twice, the copies of one go before those of the other here.
    ranks = np.empty(len(detections.scores))
    ranks[np.lexsort((detections.image_ids, -detections.scores))] = -np.arange(len(ranks))
    detections = Detections(detections.image_ids, detections.boxes, ranks)
    weights = draw(len(truth.image_ids), 4, seed=3)
    rates = weighted_miss_rates(ranked(outcomes(truth, detections, 0.5)), weights)
    for row, rate in zip(weights, rates, strict=True):
        expected = evaluate(*drawn_again(truth, detections, row), [0.5]).percent["iou_0.50"]["reasonable"]
        assert rate == pytest.approx(expected, abs=1e-9)


def test_draws_are_whole_data_sets_and_the_same_for_a_seed() -> None:
    weights = draw(17, 50, seed=1)
    assert weights.shape == (50, 17)
    assert (weights.sum(axis=1) == 17).all()
    assert np.array_equal(weights, draw(17, 50, seed=1))
    assert not np.array_equal(weights, draw(17, 50, seed=2))


def test_many_false_positives_in_few_images(case: tuple[GroundTruth, Detections]) -> None:
    """A resample may hold far fewer false positives than the whole: then more of the list has to be read."""
    truth, detections = case
    result = outcomes(truth, detections, 0.5)
    data = ranked(result)
    weights = np.zeros((2, len(truth.image_ids)), dtype=np.int32)
    weights[0, :] = 1
    weights[1, np.bincount(data.wrong, minlength=len(truth.image_ids)).argmin()] = len(truth.image_ids)
    alone = weighted_miss_rates(data, weights[:1])
    assert weighted_miss_rates(data, weights)[0] == alone[0]


def test_intervals_hold_the_figure(case: tuple[GroundTruth, Detections]) -> None:
    truth, detections = case
    rates = evaluate(truth, detections, [0.5])
    for subset, found in bootstrap(truth, detections, [0.5], resamples=200)["iou_0.50"].items():
        expected = rates.percent["iou_0.50"][subset]
        assert (found is None) == (expected is None)
        if found is not None:
            assert found.low - 1e-6 <= expected <= found.high + 1e-6


def test_too_few_resamples(case: tuple[GroundTruth, Detections]) -> None:
    with pytest.raises(AlfnetError, match="2 at least"):
        bootstrap(*case, [0.5], resamples=1)


@pytest.mark.parametrize("images", [1, 3, 24, 150, 500, 4024])
@pytest.mark.parametrize("fppi", [0.01, 0.0178, 0.1, 0.3162, 1.0])
def test_the_most_false_positives_at_a_point(images: int, fppi: float) -> None:
    most = false_positives_at(fppi, images)
    assert most / images <= fppi < (most + 1) / images


def test_published_figure_on_500_images(shared: Path) -> None:
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    detections = read_detections(shared / "data" / "detections" / "alfnet_resnet50_2s.json", truth)
    intervals = bootstrap(truth, detections, [0.5, 0.75])
    for key, expected in (("iou_0.50", (10.0, 14.2)), ("iou_0.75", (32.6, 41.2))):  # as docs/miss-rate.md says
        found = intervals[key]["reasonable"]
        assert found is not None
        assert (round(found.low, 1), round(found.high, 1)) == expected
