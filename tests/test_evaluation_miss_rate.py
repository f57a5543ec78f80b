from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.miss_rate import FPPI_POINTS, SUBSETS, Subset, check_iou_thresholds, evaluate, match
from alfnet.evaluation.protocol import CITYPERSONS
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

POINTS = [0.01, 0.0178, 0.0316, 0.0562, 0.1, 0.1778, 0.3162, 0.5623, 1.0]


def make_truth(rows, images: int = 1) -> GroundTruth:
    """Rows of image id, x, y, w, h, visible ratio, ignore."""
    table = np.array(rows, dtype=float).reshape(-1, 7)
    return GroundTruth(
        image_ids=np.arange(1, images + 1),
        file_names=("",) * images,
        image_sizes=np.tile([1024.0, 2048.0], (images, 1)),
        annotation_image_ids=table[:, 0].astype(np.int64),
        boxes=table[:, 1:5],
        heights=table[:, 4],
        visible_ratios=table[:, 5],
        ignored=table[:, 6] == 1,
    )


def make_detections(rows) -> Detections:
    """Rows of image id, x, y, w, h, score."""
    table = np.array(rows, dtype=float).reshape(-1, 6)
    return Detections(table[:, 0].astype(np.int64), table[:, 1:5], table[:, 5])


def spec_states(truth: GroundTruth, detections: Detections, iou: float, subset: Subset):
    """The protocol word by word, with loops: states of detections and of ground truths, in file order."""
    low, high = subset.height
    least, most = subset.visible_ratio
    ignored = [
        bool(i) or not low <= h <= high or not least <= v <= most
        for i, h, v in zip(truth.ignored, truth.heights, truth.visible_ratios, strict=True)
    ]
    state = ["ignored"] * len(detections.scores)
    found = ["ignored" if i else "missed" for i in ignored]
    for image in truth.image_ids:
        truths = [g for g in range(len(ignored)) if truth.annotation_image_ids[g] == image]
        own = [d for d in range(len(state)) if detections.image_ids[d] == image]
        own = sorted(own, key=lambda d: -detections.scores[d])[:1000]
        for d in own:
            x, y, w, h = map(float, detections.boxes[d])
            if h < low / 1.25 or h >= high * 1.25:
                continue
            best, chosen, covers = -1.0, None, False
            for g in truths:
                gx, gy, gw, gh = map(float, truth.boxes[g])
                across, down = min(x + w, gx + gw) - max(x, gx), min(y + h, gy + gh) - max(y, gy)
                both = across * down if across > 0 and down > 0 else 0.0
                if ignored[g]:
                    covers |= both > 0 and both / (w * h) >= iou
                elif found[g] == "missed" and both > 0:
                    overlap = both / (w * h + gw * gh - both)
                    if overlap >= iou and overlap >= best:
                        best, chosen = overlap, g
            if chosen is not None:
                state[d], found[chosen] = "true_positive", "detected"
            else:
                state[d] = "ignored" if covers else "false_positive"
    return state, found


def spec_miss_rate(truth: GroundTruth, detections: Detections, iou: float, subset: Subset) -> float | None:
    state, found = spec_states(truth, detections, iou, subset)
    total = sum(f != "ignored" for f in found)
    if total == 0:
        return None
    order = sorted(range(len(state)), key=lambda d: (-detections.scores[d], detections.image_ids[d], d))
    logs = []
    for point in POINTS:
        recall = tp = fp = 0
        for d in order:
            tp += state[d] == "true_positive"
            fp += state[d] == "false_positive"
            if fp / len(truth.image_ids) <= point:
                recall = max(recall, tp / total)
        logs.append(math.log(max(1e-10, 1 - recall)))
    return 100 * math.exp(sum(logs) / len(logs))


def random_case(seed: int) -> tuple[GroundTruth, Detections]:
    """A crowded small case on a coarse grid: equal scores, equal IoUs, values on the bounds, ignored ground truths."""
    rng = np.random.default_rng(seed)
    images = int(rng.integers(1, 5))
    heights = [16, 20, 25, 40, 49, 50, 60, 62.5, 75, 80, 93.75, 100, 125, 130]
    truths = [
        [
            rng.integers(1, images + 1), rng.integers(0, 4) * 10, rng.integers(0, 3) * 10, rng.choice([20, 25, 30, 40]),
            rng.choice(heights), rng.choice([0, 0.1, 0.2, 0.5, 0.65, 0.8, 0.9, 1]), rng.random() < 0.2,
        ]
        for _ in range(rng.integers(0, 14))
    ]  # fmt: skip
    rows = []
    for _ in range(rng.integers(0, 40)):
        if truths and rng.random() < 0.6:
            image, x, y, w, h, *_ = truths[rng.integers(len(truths))]
            box = [image, x + rng.integers(-1, 2) * 5, y, w, h + rng.integers(-1, 2) * 5]
        else:
            corner = rng.integers(0, 4, 2) * 10
            box = [rng.integers(1, images + 1), *corner, 20, rng.choice(heights)]
        rows.append([*box, rng.integers(1, 6) / 5])
    return make_truth(truths, images), make_detections(rows)


@pytest.mark.parametrize("name", ["miss_rate_150", "miss_rate_24"])
def test_golden(golden: Path, name: str) -> None:
    expected = json.loads((golden / "miss_rate_expected.json").read_text())[name]
    truth = read_ground_truth(golden / f"{name}_gt.json")
    detections = read_detections(golden / f"{name}_dt.json", truth)
    assert truth.warnings == detections.warnings == ()
    percent = evaluate(truth, detections, [0.5, 0.75]).percent
    assert percent.keys() == expected.keys()
    for key, row in expected.items():
        assert list(percent[key]) == list(row)
        assert percent[key] == pytest.approx(row, abs=1e-5, rel=0)


@pytest.mark.parametrize("name", ["alfnet_resnet50_2s.json", "alfnet_resnet50_2s_rain.json"])
def test_published_detections(shared: Path, name: str) -> None:
    folder = shared / "data" / "detections"
    expected = json.loads((folder / "expected.json").read_text())[name]
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    detections = read_detections(folder / name, truth)
    assert truth.warnings == detections.warnings == ()
    percent = evaluate(truth, detections, [0.5, 0.75]).percent
    for key, row in expected.items():
        assert percent[key] == pytest.approx(row, abs=1e-5, rel=0)


@pytest.mark.parametrize("seed", range(60))
def test_equals_the_protocol_written_with_loops(seed: int) -> None:
    truth, detections = random_case(seed)
    for iou in (0.5, 0.6, 0.75):
        rates = evaluate(truth, detections, [0.5, 0.6, 0.75])
        for subset in SUBSETS:
            expected = spec_miss_rate(truth, detections, iou, subset)
            found = rates.percent[f"iou_{iou:.2f}"][subset.name]
            assert found == (None if expected is None else pytest.approx(expected, abs=1e-9)), (iou, subset.name)
            matches = match(truth, detections, iou, subset)
            states, truths = spec_states(truth, detections, iou, subset)
            assert matches.detections.tolist() == states
            assert matches.ground_truths.tolist() == truths


def test_random_cases_hold_what_they_are_for() -> None:
    kinds, ties, nulls = set(), 0, 0
    for seed in range(60):
        truth, detections = random_case(seed)
        ties += len(detections.scores) - len(np.unique(detections.scores))
        matches = match(truth, detections, 0.5)
        kinds |= {*matches.detections, *matches.ground_truths}
        nulls += evaluate(truth, detections, [0.5]).percent["iou_0.50"]["medium"] is None
    assert kinds == {"true_positive", "false_positive", "ignored", "detected", "missed"}
    assert ties > 100
    assert 0 < nulls < 60


@pytest.mark.parametrize("seed", range(10))
def test_order_of_the_images_blocks_does_not_matter(golden: Path, seed: int) -> None:
    truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    detections = read_detections(golden / "miss_rate_150_dt.json", truth)
    coarse = Detections(detections.image_ids, detections.boxes, np.round(detections.scores, 1))  # many ties
    blocks = [np.flatnonzero(coarse.image_ids == image) for image in truth.image_ids]
    mixed = np.concatenate([blocks[i] for i in np.random.default_rng(seed).permutation(len(blocks))])
    shuffled = Detections(coarse.image_ids[mixed], coarse.boxes[mixed], coarse.scores[mixed])
    assert evaluate(truth, shuffled, [0.5, 0.75]).percent == evaluate(truth, coarse, [0.5, 0.75]).percent
    assert (match(truth, shuffled, 0.5).detections == match(truth, coarse, 0.5).detections[mixed]).all()


def test_order_within_an_image_decides_ties() -> None:
    truth = make_truth([[1, 0, 0, 40, 100, 1, 0]], images=2)
    good, bad = [1, 0, 0, 40, 100, 0.5], [1, 500, 0, 40, 100, 0.5]
    first = evaluate(truth, make_detections([good, bad]), [0.5]).percent["iou_0.50"]["reasonable"]
    last = evaluate(truth, make_detections([bad, good]), [0.5]).percent["iou_0.50"]["reasonable"]
    assert first == pytest.approx(1e-8)  # found before any false positive, so at all points
    assert last == pytest.approx(100 * 1e-10 ** (2 / 9))  # at 0.5623 and 1 only: one false positive on two images


def test_ties_across_images_go_by_image_id() -> None:
    truth = make_truth([[2, 0, 0, 40, 100, 1, 0]], images=2)
    rows = [[2, 0, 0, 40, 100, 0.5], [1, 500, 0, 40, 100, 0.5]]
    for order in (rows, rows[::-1]):
        percent = evaluate(truth, make_detections(order), [0.5]).percent["iou_0.50"]["all"]
        assert percent == pytest.approx(100 * 1e-10 ** (2 / 9))


def test_small_set_has_no_recall_below_its_first_false_positive() -> None:
    # Of two pedestrians one is found, after a false positive on the only image: FPPI 1 is the first point with recall.
    truth = make_truth([[1, 0, 0, 40, 100, 1, 0], [1, 900, 0, 40, 100, 1, 0]])
    detections = make_detections([[1, 500, 0, 40, 100, 0.9], [1, 0, 0, 40, 100, 0.8]])
    assert evaluate(truth, detections, [0.5]).percent["iou_0.50"]["reasonable"] == pytest.approx(100 * 0.5 ** (1 / 9))


def test_of_equal_ious_the_later_ground_truth() -> None:
    truth = make_truth([[1, 0, 0, 40, 100, 1, 0], [1, 0, 0, 40, 100, 1, 0]])
    matches = match(truth, make_detections([[1, 0, 0, 40, 100, 0.9]]), 0.5)
    assert matches.ground_truths.tolist() == ["missed", "detected"]


def test_ignored_ground_truth_is_reused_and_comes_second() -> None:
    truth = make_truth([[1, 0, 0, 400, 400, 1, 1], [1, 0, 0, 40, 100, 1, 0]])
    detections = make_detections([[1, 0, 0, 40, 100, 0.9], [1, 0, 0, 40, 100, 0.8], [1, 50, 0, 40, 100, 0.7]])
    matches = match(truth, detections, 0.5)
    assert matches.detections.tolist() == ["true_positive", "ignored", "ignored"]
    assert matches.ground_truths.tolist() == ["ignored", "detected"]


@pytest.mark.parametrize(("height", "counts"), [(59.99, False), (60, True), (124.99, True), (125, False)])
def test_detections_outside_the_height_margin_are_left_out(height: float, counts: bool) -> None:
    truth = make_truth([[1, 0, 0, 40, 80, 1, 0]])  # medium: 75 to 100 px, so detections from 60 to below 125 px
    state = match(truth, make_detections([[1, 900, 0, 40, height, 0.9]]), 0.5, SUBSETS[2]).detections[0]
    assert state == ("false_positive" if counts else "ignored")


def test_at_most_1000_detections_of_an_image() -> None:
    truth = make_truth([[1, 0, 0, 40, 100, 1, 0], [2, 0, 0, 40, 100, 1, 0]], images=2)
    crowd = [[1, 900, 0, 40, 100, 0.5]] * 1000
    detections = make_detections([[1, 0, 0, 40, 100, 0.4], *crowd, [2, 0, 0, 40, 100, 0.3]])
    matches = match(truth, detections, 0.5)
    assert matches.ground_truths.tolist() == ["missed", "detected"]
    assert matches.detections[[0, 1, 1001]].tolist() == ["ignored", "false_positive", "true_positive"]


def test_no_detections_miss_everything(golden: Path) -> None:
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    rates = evaluate(truth, make_detections([]), [0.5, 0.95])
    assert set(rates.percent["iou_0.50"].values()) == set(rates.percent["iou_0.95"].values()) == {100.0}
    assert set(match(truth, make_detections([]), 0.5).ground_truths) == {"missed", "ignored"}


def test_subset_without_ground_truth_is_none() -> None:
    truth = make_truth([[1, 0, 0, 40, 80, 1, 0]])
    rates = evaluate(truth, make_detections([[1, 0, 0, 40, 80, 0.9]]), [0.5])
    assert rates.percent["iou_0.50"]["small"] is rates.curves["iou_0.50"]["small"] is None
    assert rates.percent["iou_0.50"]["medium"] is not None
    holding = [name for name, number in rates.pedestrians.items() if number == 1]
    assert holding == ["reasonable", "medium", "bare", "all"]


def test_no_ground_truth_at_all() -> None:
    rates = evaluate(make_truth([]), make_detections([[1, 0, 0, 40, 80, 0.9]]), [0.5])
    assert set(rates.percent["iou_0.50"].values()) == {None}


def test_curves_hold_the_miss_rate(golden: Path) -> None:
    truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    rates = evaluate(truth, read_detections(golden / "miss_rate_150_dt.json", truth), [0.5])
    for name, curve in rates.curves["iou_0.50"].items():
        assert curve is not None
        assert (np.diff(curve.fppi) >= 0).all()
        assert (np.diff(curve.miss_rate) <= 0).all()
        at_points = [curve.miss_rate[curve.fppi <= point][-1] for point in FPPI_POINTS]
        average = 100 * np.exp(np.mean(np.log(np.maximum(at_points, 1e-10))))
        assert average == pytest.approx(rates.percent["iou_0.50"][name])


@pytest.mark.parametrize("wrong", [[], [0.49], [0.96], [50], [math.nan], [0.501]])
def test_iou_thresholds_out_of_range(wrong: list[float]) -> None:
    with pytest.raises(AlfnetError, match=r"0\.5|usual"):
        check_iou_thresholds(wrong)


def test_iou_thresholds_in_order() -> None:
    assert check_iou_thresholds([0.75, 0.5, 0.75]) == [0.5, 0.75]


def test_a_protocol_and_a_subset_may_be_built_with_lists():
    truth = make_truth([[1, 10, 10, 41, 100, 1, 0], [1, 200, 10, 41, 100, 1, 0]])
    detections = make_detections([[1, 10, 10, 41, 100, 0.9], [1, 400, 10, 41, 100, 0.8]])
    listed = Subset("reasonable", [50, math.inf], [0.65, math.inf])  # type: ignore[arg-type]
    protocol = replace(CITYPERSONS, subsets=[listed], fppi_points=list(CITYPERSONS.fppi_points))  # type: ignore[arg-type]
    assert (
        evaluate(truth, detections, [0.5], protocol=protocol).percent["iou_0.50"]["reasonable"]
        == (evaluate(truth, detections, [0.5]).percent["iou_0.50"]["reasonable"])
    )
    assert Subset("all", [-math.inf, math.inf], [-math.inf, math.inf]).needs_visibility is False  # type: ignore[arg-type]
