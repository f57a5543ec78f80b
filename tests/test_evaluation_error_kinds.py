"""A scene for each kind of error, and the sums that must hold on the golden cases."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.evaluation.error_kinds import KINDS, NAMES, ErrorKinds, error_kinds, left_without
from alfnet.evaluation.miss_rate import SUBSETS, evaluate
from alfnet.evaluation.outcomes import all_outcomes, outcomes
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

PERSON = (100.0, 100.0, 40.0, 100.0)


def scene(
    people: list[tuple[float, ...]],
    boxes: list[tuple[float, ...]],
    ignored: list[bool] | None = None,
    visible: float = 1.0,
    scores: list[float] | None = None,
) -> ErrorKinds:
    truth = GroundTruth(
        image_ids=np.array([1, 2]),
        file_names=("a.png", "b.png"),
        image_sizes=np.array([[1024.0, 2048.0]] * 2),
        annotation_image_ids=np.ones(len(people), dtype=np.int64),
        boxes=np.array(people, dtype=np.float64).reshape(-1, 4),
        heights=np.array([person[3] for person in people], dtype=np.float64),
        visible_ratios=np.full(len(people), visible),
        ignored=np.array(ignored or [False] * len(people), dtype=np.bool_),
    )
    given = scores or [0.9 - 0.1 * number for number in range(len(boxes))]
    detections = Detections(
        np.ones(len(boxes), dtype=np.int64), np.array(boxes, dtype=np.float64).reshape(-1, 4), np.array(given)
    )
    return error_kinds(outcomes(truth, detections, 0.5))


def moved(by: float, box: tuple[float, ...] = PERSON) -> tuple[float, ...]:
    return (box[0] + by, *box[1:])


SCENES: dict[str, Any] = {
    "right": (scene, ([PERSON], [PERSON]), [""], [""]),
    "nobody there": (scene, ([PERSON], [PERSON, (900, 100, 40, 100)]), ["", "background"], [""]),
    "no box": (scene, ([PERSON], []), [], ["background"]),
    "beside": (scene, ([PERSON], [moved(20)]), ["badly_placed"], ["badly_placed"]),
    "too large": (scene, ([PERSON], [(80, 50, 80, 200)]), ["wrong_size"], ["wrong_size"]),
    "too small": (scene, ([PERSON], [(108, 120, 24, 60)]), ["wrong_size"], ["wrong_size"]),
    "twice": (scene, ([PERSON], [PERSON, moved(4)]), ["", "double"], [""]),
    "over two": (
        scene,
        ([PERSON, moved(44)], [(100, 100, 84, 100), (900, 500, 30, 80)]),
        ["crowd", "background"],
        None,
    ),
    "between two": (scene, ([PERSON, moved(44)], [(122, 100, 40, 100)]), ["crowd"], ["badly_placed", "badly_placed"]),
    "neighbour took it": (scene, ([PERSON, moved(8)], [moved(1)]), [""], ["", "crowd"]),
    "hidden": (lambda *a: scene(*a, visible=0.3), ([PERSON], []), [], [""]),
    "on a rider": (
        lambda *a: scene(*a, ignored=[False, True]),
        ([PERSON, (500, 100, 40, 100)], [PERSON, (525, 100, 40, 100)]),
        ["", "ignored_class"],
        ["", ""],
    ),
}


@pytest.mark.parametrize("name", SCENES)
def test_scenes(name: str) -> None:
    make, arguments, detections, misses = SCENES[name]
    kinds = make(*arguments)
    assert kinds.detections.tolist() == detections
    if misses is not None:
        assert kinds.misses.tolist() == misses


def test_a_late_find_is_a_score_too_low() -> None:
    boxes = [(900.0 + 60 * number, 100.0, 40.0, 100.0) for number in range(4)]
    kinds = scene([PERSON], [*boxes, PERSON])
    assert kinds.misses.tolist() == [""]
    assert kinds.misses_up_to().tolist() == ["low_score"]
    assert kinds.counts()["low_score"] == (0, 1)
    assert kinds.counts()["background"] == (2, 0)  # on two images two stand up to one false positive per image
    assert kinds.miss_rate == pytest.approx(100)
    assert kinds.left["low_score"] == pytest.approx(1e-8)
    assert kinds.left["background"] == pytest.approx(1e-8)


def test_a_mended_box_is_found_at_its_score() -> None:
    """Two false positives before it on two images: found from one false positive per image on."""
    boxes = [(900.0, 100.0, 40.0, 100.0), (990.0, 100.0, 40.0, 100.0), moved(20)]
    kinds = scene([PERSON], boxes)
    assert kinds.left["badly_placed"] == pytest.approx(100 * (1e-10) ** (1 / 9))


@pytest.fixture(scope="module", params=[150, 24])
def case(request: pytest.FixtureRequest, golden: Path) -> tuple[GroundTruth, Detections]:
    truth = read_ground_truth(golden / f"miss_rate_{request.param}_gt.json")
    return truth, read_detections(golden / f"miss_rate_{request.param}_dt.json", truth)


def test_every_error_has_one_kind(case: tuple[GroundTruth, Detections]) -> None:
    truth, detections = case
    rates = evaluate(truth, detections, [0.5, 0.75])
    for result in all_outcomes(truth, detections, [0.5, 0.75], SUBSETS):
        if not result.pedestrians:
            continue
        kinds = error_kinds(result)
        assert set(kinds.detections) | set(kinds.misses) <= {"", *KINDS}
        assert ((kinds.detections != "") == (result.states == 0)).all()
        assert ((kinds.misses != "") == (~result.ignored & (result.found_by < 0))).all()
        assert kinds.miss_rate == pytest.approx(rates.percent[f"iou_{result.iou:.2f}"][result.subset.name], abs=1e-9)
        # Mending never harms, and the nothing kind changes nothing.
        assert all(left <= kinds.miss_rate + 1e-9 for left in kinds.left.values())
        assert left_without(kinds, "") == kinds.miss_rate
        counts = kinds.counts()
        assert sum(missed for _, missed in counts.values()) == result.pedestrians - result.found(1.0).sum()
        assert sum(wrong for wrong, _ in counts.values()) == result.false_positives(1.0).sum()


def test_names_for_all() -> None:
    assert set(NAMES) == set(KINDS)


def test_published_detections(shared: Path) -> None:
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    detections = read_detections(shared / "data" / "detections" / "alfnet_resnet50_2s.json", truth)
    summary = error_kinds(outcomes(truth, detections, 0.5)).summary()
    assert summary["miss_rate"] == pytest.approx(12.012167, abs=1e-5)
    assert sum(row["misses"] for row in summary["kinds"].values()) == 83
    assert summary["kinds"]["background"]["miss_rate_if_mended"] < 10
