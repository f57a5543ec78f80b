from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import alfnet
from alfnet.errors import AlfnetError
from alfnet.evaluation.bootstrap import weighted_miss_rates
from alfnet.evaluation.compare import _merged, compare_detections
from alfnet.evaluation.miss_rate import SUBSETS, evaluate
from alfnet.evaluation.outcomes import outcomes
from alfnet.evaluation.subsets import Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections


@pytest.fixture(scope="module")
def truth(golden: Path) -> GroundTruth:
    return read_ground_truth(golden / "miss_rate_150_gt.json")


@pytest.fixture(scope="module")
def good(golden: Path, truth: GroundTruth) -> Detections:
    return read_detections(golden / "miss_rate_150_dt.json", truth)


@pytest.fixture(scope="module")
def worse(good: Detections) -> Detections:
    """Every third detection of the good ones left out, on another scale of scores."""
    kept = np.arange(len(good.scores)) % 3 != 0
    return Detections(good.image_ids[kept], good.boxes[kept], 7 * good.scores[kept] - 2)


def test_equal_detections_do_not_differ(truth: GroundTruth, good: Detections) -> None:
    found = compare_detections(truth, good, good, resamples=50)
    for row in found.differences.values():
        for difference in row.values():
            if difference.a is not None:
                assert difference.value == 0
                assert (difference.interval.low, difference.interval.high) == (0, 0)
                assert difference.p_value == 1
                assert not difference.shows
    assert found.found_alone == ()
    assert found.found_by_both + found.found_by_neither == found.pedestrians


def test_worse_detections_are_shown_to_be(truth: GroundTruth, good: Detections, worse: Detections) -> None:
    found = compare_detections(truth, good, worse, iou_thresholds=[0.5], resamples=400)
    difference = found.differences["iou_0.50"]["reasonable"]
    for detections, rate in ((good, difference.a), (worse, difference.b)):
        assert rate == pytest.approx(evaluate(truth, detections, [0.5]).percent["iou_0.50"]["reasonable"], abs=1e-9)
    assert difference.shows
    assert difference.interval.high < 0
    assert difference.p_value <= 0.01
    mirrored = compare_detections(truth, worse, good, iou_thresholds=[0.5], resamples=400)
    other = mirrored.differences["iou_0.50"]["reasonable"]
    assert other.interval.low == pytest.approx(-difference.interval.high)
    assert {f.ground_truth: f.found_by for f in mirrored.found_alone} == {
        f.ground_truth: "AB"[f.found_by == "A"] for f in found.found_alone
    }


def test_mixing_lists_keeps_each_ones_figure(truth: GroundTruth, good: Detections, worse: Detections) -> None:
    a, b = outcomes(truth, good, 0.5), outcomes(truth, worse, 0.5)
    images = len(truth.image_ids)
    ones, zeros = np.ones((1, images), dtype=np.int32), np.zeros((1, images), dtype=np.int32)
    merged = _merged(a, b)
    for weights, detections in ((np.hstack([ones, zeros]), good), (np.hstack([zeros, ones]), worse)):
        expected = evaluate(truth, detections, [0.5]).percent["iou_0.50"]["reasonable"]
        assert weighted_miss_rates(merged, weights, ones)[0] == pytest.approx(expected, abs=1e-9)


def test_who_is_found_by_one_alone(truth: GroundTruth, good: Detections, worse: Detections) -> None:
    found = compare_detections(truth, good, worse, iou_thresholds=[0.5], resamples=2, fppi=0.5)
    a, b = (outcomes(truth, detections, 0.5).found(0.5) for detections in (good, worse))
    assert [f.ground_truth for f in found.of("A")] == np.flatnonzero(a & ~b).tolist()
    assert [f.ground_truth for f in found.of("B")] == np.flatnonzero(b & ~a).tolist()
    assert len(found.of("A")) > 10
    first = found.of("A")[0]
    assert first.image_id == truth.annotation_image_ids[first.ground_truth]
    assert first.other_kind
    for table in found.counts().values():
        assert sum(left for left, _ in table.values()) == len(found.of("A"))
        assert sum(right for _, right in table.values()) == len(found.of("B"))
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["found"]["by_a_alone"] == len(found.of("A"))


def test_bad_settings(truth: GroundTruth, good: Detections) -> None:
    with pytest.raises(AlfnetError, match="2 at least"):
        compare_detections(truth, good, good, resamples=0)
    for fppi in (0, math.inf, math.nan):
        with pytest.raises(AlfnetError, match="above 0"):
            compare_detections(truth, good, good, fppi=fppi)
    with pytest.raises(AlfnetError, match="expected 0 or a larger"):
        compare_detections(truth, good, good, seed=-1)
    two = [Subset("A", (height, math.inf), (0, math.inf)) for height in (50, 100)]
    with pytest.raises(AlfnetError, match="two different ones have this name"):
        compare_detections(truth, good, good, subsets=two)
    with pytest.raises(AlfnetError, match="no subset was given"):
        compare_detections(truth, good, good, subsets=[])


def test_more_subsets_go_first_and_the_width_is_as_asked_for(
    truth: GroundTruth, good: Detections, worse: Detections
) -> None:
    tall = "tall=height:100-,visible:0.65-"
    found = alfnet.compare(truth, good, worse, iou=0.5, more_subsets=tall, subsets="r-ho", resamples=2)
    assert list(found.differences["iou_0.50"]) == ["tall", "R", "HO", "R+HO"]
    assert found.subset == "tall"
    assert all(one.height >= 100 for one in found.found_alone)
    rates = {
        width: alfnet.compare(truth, good, worse, iou=0.75, detection_width=width, resamples=2)
        .differences["iou_0.75"]["reasonable"]
        .a
        for width in (None, "given", "0.41h")
    }
    assert rates[None] == rates["given"] != rates["0.41h"]
    with pytest.raises(AlfnetError, match=r"detection width 41: expected given or 0\.41h"):
        alfnet.compare(truth, good, worse, detection_width="41")


def test_any_name_of_a_subset_is_printed(truth: GroundTruth, good: Detections) -> None:
    subsets = [replace(SUBSETS[0], name=name) for name in ("[/x]", "a[b]")]
    text = str(compare_detections(truth, good, good, subsets=subsets, resamples=2))
    assert [text.count(f"{name} ") for name in ("[/x]", "a[b]")] == [2, 2]
    assert "([/x], IoU 0.5)" in text


def test_a_common_ground_truth_with_the_sizes_of_either_file(tmp_path: Path) -> None:
    """By CrowdHuman's protocol boxes end at the images' edges: both figures are those of `evaluate`."""
    truth, found, unsized = (tmp_path / name for name in ("gt.odgt", "dt.odgt", "unsized.odgt"))
    truth.write_text('{"ID": "a", "gtboxes": [{"tag": "person", "fbox": [60, 10, 40, 80]}]}')
    boxes = '"dtboxes": [{"box": [60, 10, 120, 80], "score": 0.5}]}'  # meets the pedestrian once it is cut off
    found.write_text('{"ID": "a", "height": 100, "width": 100, ' + boxes)
    unsized.write_text('{"ID": "a", ' + boxes)
    rates = [alfnet.evaluate(truth, path).miss_rate["everybody"] for path in (found, unsized)]
    assert rates[0] < 1 < rates[1]
    for first, second, expected in ((found, found, 0), (unsized, found, 0), (unsized, unsized, 1)):
        result = alfnet.compare(truth, first, second, resamples=2)
        difference = result.differences["iou_0.50"]["everybody"]
        assert (difference.a, difference.b) == pytest.approx([rates[expected]] * 2, abs=1e-6)
        assert ("the size of 1 image is not known" in " ".join(result.warnings)) == bool(expected)


def test_published_detections(shared: Path) -> None:
    """Rain harms for sure; ALFNet and CSP do not differ surely at IoU 0.5, and surely do at 0.75."""
    val = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    folder = shared / "data" / "detections"
    clear, rain, csp = (
        read_detections(folder / name, val)
        for name in ("alfnet_resnet50_2s.json", "alfnet_resnet50_2s_rain.json", "others/csp_e121.json")
    )
    rainy = compare_detections(val, clear, rain, iou_thresholds=[0.5], subsets=SUBSETS[:1], resamples=300)
    assert rainy.differences["iou_0.50"]["reasonable"].interval.high < -4
    other = compare_detections(val, clear, csp, subsets=SUBSETS[:1], resamples=300).differences
    assert not other["iou_0.50"]["reasonable"].shows
    assert other["iou_0.75"]["reasonable"].shows
