"""The evaluator of other rules against the protocol's own, each deviation for itself, and the answer to a figure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.deviations import Deviation, deviations, figures_of_all
from alfnet.evaluation.explain import explain_figures, parse_got
from alfnet.evaluation.miss_rate import evaluate, iou_key
from alfnet.evaluation.other_rules import Overlaps, Setting, miss_rate_by
from alfnet.evaluation.protocol import CITYPERSONS, CROWDHUMAN
from alfnet.evaluation.subsets import EVERYTHING, PUBLISHED, SUBSETS, Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

pytestmark = pytest.mark.slow

Case = tuple[GroundTruth, Detections]


@pytest.fixture(scope="module", params=[150, 24])
def case(request: pytest.FixtureRequest, golden: Path) -> Case:
    truth = read_ground_truth(golden / f"miss_rate_{request.param}_gt.json")
    return truth, read_detections(golden / f"miss_rate_{request.param}_dt.json", truth)


@pytest.fixture(scope="module")
def published(shared: Path) -> Case:
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    return truth, read_detections(shared / "data" / "detections" / "alfnet_resnet50_2s.json", truth)


def named(name: str) -> Deviation:
    (found,) = [deviation for deviation in deviations() if deviation.name == name]
    return found


def figure(case: Case, name: str, subset: Subset = SUBSETS[0], iou: float = 0.5) -> float | None:
    changed = named(name).change(Setting.of(*case, subset, iou))
    return None if changed is None else miss_rate_by(changed)


# -- the evaluator --------------------------------------------------------------------------------------------------


def test_without_deviation_it_is_the_protocol(case: Case) -> None:
    rates = evaluate(*case, [0.5, 0.75])
    overlaps = Overlaps()
    for iou in (0.5, 0.75):
        for subset in SUBSETS:
            expected = rates.percent[iou_key(iou)][subset.name]
            found = miss_rate_by(Setting.of(*case, subset, iou), overlaps)
            assert found == (None if expected is None else pytest.approx(expected, abs=1e-9))


def test_crowdhuman_s_rules_are_the_crowdhuman_protocol(case: Case) -> None:
    """A second way: the protocol of that name, with everybody counting."""
    everybody = (Subset("everybody", EVERYTHING, EVERYTHING),)
    expected = evaluate(*case, [0.5], everybody, CROWDHUMAN).percent["iou_0.50"]["everybody"]
    assert figure(case, "CrowdHuman's metric on everybody") == pytest.approx(expected, abs=1e-6)


def test_bounds_and_caps_as_the_protocol_evaluates_them(case: Case) -> None:
    truth, found = case
    other = Subset("other", (50, np.inf), (0.2, np.inf))
    expected = evaluate(truth, found, [0.5], [other]).percent["iou_0.50"]["other"]
    assert figure(case, "all from 50 px", SUBSETS[-1]) == pytest.approx(expected, abs=1e-9)
    cut = Detections(found.image_ids, np.trunc(found.boxes), found.scores)
    expected = evaluate(truth, cut, [0.5]).percent["iou_0.50"]["reasonable"]
    assert figure(case, "boxes cut to integers") == pytest.approx(expected, abs=1e-9)
    kept = found.scores >= 0.3
    some = Detections(found.image_ids[kept], found.boxes[kept], found.scores[kept])
    expected = evaluate(truth, some, [0.5]).percent["iou_0.50"]["reasonable"]
    assert figure(case, "scores from 0.3") == pytest.approx(expected, abs=1e-9)


def test_the_wrap_around_of_small_sets(golden: Path) -> None:
    """24 images: the first points lie below 1/24, and the script reads the final recall there."""
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    case = truth, read_detections(golden / "miss_rate_24_dt.json", truth)
    right = evaluate(*case, [0.75]).percent["iou_0.75"]["all"]
    wrapped = figure(case, "wrap-around", SUBSETS[-1], 0.75)
    assert right is not None
    assert wrapped is not None
    curve = evaluate(*case, [0.75]).curves["iou_0.75"]["all"]
    assert curve is not None
    first = int((curve.fppi == 0).sum())  # points before the first false positive
    assert (wrapped < right) == (first == 1)


def test_rows_shift_only_where_the_surest_detection_is_left_out() -> None:
    """Two people of 60 px, and a surer detection of somebody of 300 px: for 'small' each box gets the row before."""
    truth = GroundTruth(
        image_ids=np.array([1]),
        file_names=("",),
        image_sizes=np.array([[1024.0, 2048.0]]),
        annotation_image_ids=np.array([1, 1, 1]),
        boxes=np.array([[100, 100, 25, 60], [300, 100, 25, 60], [600, 100, 120, 300]], dtype=np.float64),
        heights=np.array([60.0, 60.0, 300.0]),
        visible_ratios=np.ones(3),
        ignored=np.zeros(3, dtype=np.bool_),
    )
    found = Detections(np.array([1, 1, 1]), truth.boxes[[2, 0, 1]].copy(), np.array([0.9, 0.8, 0.7]))
    case = truth, found
    assert figure(case, "the 2018 script's rows (small)", SUBSETS[1]) == pytest.approx(50)  # the second is never met
    assert figure(case, "the 2018 script's rows (small)") == pytest.approx(
        miss_rate_by(Setting.of(*case, SUBSETS[0], 0.5))
    )


def test_every_deviation_can_be_tried(case: Case) -> None:
    names = [deviation.name for deviation in deviations()]
    assert len(names) == len(set(names)) > 90
    overlaps = Overlaps()
    for deviation in deviations():
        assert deviation.sentence
        assert not deviation.sentence.endswith(".")
        assert deviation.remedy
        changed = deviation.change(Setting.of(*case, SUBSETS[0], 0.5))
        value = None if changed is None else miss_rate_by(changed, overlaps)
        assert value is None or 0 <= value <= 100


# -- the answer -----------------------------------------------------------------------------------------------------


def test_12_19_is_answered_with_truncation(published: Case) -> None:
    answer = explain_figures(*published, [parse_got("12.19")])
    assert not answer.is_protocol
    assert [deviation.name for deviation in answer.explanations[0].deviations] == ["boxes cut to integers"]
    assert answer.explanations[0].fits
    assert "cut to integers" in answer.explanations[0].sentence
    together = explain_figures(*published, [parse_got(text) for text in ("12.192", "occluded=44.090", "all=39.023")])
    assert [explanation.deviations[0].name for explanation in together.explanations] == ["boxes cut to integers"]
    close = explain_figures(*published, [parse_got("reasonable@0.75=38.14")])
    assert "boxes cut to integers" in [explanation.deviations[0].name for explanation in close.explanations]


@pytest.mark.parametrize("got", ["12.01", "12", "0.1201", "12.012"])
def test_the_protocol_s_own_figure(published: Case, got: str) -> None:
    assert explain_figures(*published, [parse_got(got)]).is_protocol


def test_a_file_with_the_fault_itself_is_told(published: Case) -> None:
    truth, found = published
    cut = replace(found, boxes=np.trunc(found.boxes), warnings=("all boxes have whole numbers",))
    answer = explain_figures(truth, cut, [parse_got("12.19")])
    assert answer.is_protocol
    assert "in the file of detections may have moved it" in answer.text
    assert "all boxes have whole numbers" in answer.text


def test_a_figure_has_the_threshold_that_was_evaluated(published: Case) -> None:
    assert parse_got("36.48", iou=0.75).iou == 0.75
    assert parse_got("reasonable@0.5=12.01", iou=0.75).iou == 0.5
    assert explain_figures(*published, [parse_got("36.48", iou=0.75)]).is_protocol


def test_a_ground_truth_without_visible_ratios(published: Case) -> None:
    truth, found = published
    blind = replace(truth, visible_ratios=np.full_like(truth.visible_ratios, np.nan))
    with pytest.raises(AlfnetError, match="'reasonable' needs vis_ratio"):
        explain_figures(blind, found, [parse_got("reasonable=12.19")])
    answer = explain_figures(blind, found, [parse_got("31.9", PUBLISHED["heights"])])
    assert len(answer.explanations) > 1
    assert not any("visible" in explanation.sentence for explanation in answer.explanations)
    assert "--got-from 'from 100 px=...'" in answer.text


def test_two_figures_of_one_subset_are_refused(case: Case) -> None:
    with pytest.raises(AlfnetError, match=r"reasonable cannot be both 12\.19 and 12\.0"):
        explain_figures(*case, [parse_got("12.19"), parse_got("reasonable=12.0")])


def test_nothing_changes_the_figure_of_no_detections(case: Case) -> None:
    none = Detections(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0))
    assert "Nothing that is known" in explain_figures(case[0], none, [parse_got("12.50")]).text
    assert "Got 12.50 " in explain_figures(case[0], none, [parse_got("12.50")]).text


def test_every_row_of_the_document_is_found_from_its_figure(published: Case) -> None:
    subsets = {subset.name: subset for subset in SUBSETS}
    found = 0
    for name, (deviation, protocol, value) in figures_of_all(*published).items():
        if value is None or round(value, 2) == round(protocol or 0, 2):
            continue
        answer = explain_figures(
            *published, [parse_got(f"{deviation.subset}={value:.2f}", list(subsets.values()))], shown=9
        )
        named = [each.name for one in answer.explanations for each in (*one.deviations, *one.same) if one.fits]
        assert name in named
        assert deviation.sentence in answer.text.replace("\n", " ")
        found += 1
    assert found >= 10


@pytest.mark.slow
def test_two_together(published: Case) -> None:
    truth, detections = published
    setting = named("boxes cut to integers").change(Setting.of(truth, detections, SUBSETS[0], 0.5))
    assert setting is not None
    changed = named("margin 1.0").change(setting)
    assert changed is not None
    got = parse_got(f"{miss_rate_by(changed):.4f}")
    answer = explain_figures(truth, detections, [got])
    names = [{used.name for used in explanation.deviations} for explanation in answer.explanations]
    assert {"boxes cut to integers", "margin 1.0"} in names


def test_two_together_on_a_small_case(golden: Path) -> None:
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    case = truth, read_detections(golden / "miss_rate_24_dt.json", truth)
    setting = named("boxes cut to integers").change(Setting.of(*case, SUBSETS[-1], 0.75))
    assert setting is not None
    changed = named("arithmetic mean").change(setting)
    assert changed is not None
    got = parse_got(f"all@0.75={miss_rate_by(changed):.6f}")
    answer = explain_figures(*case, [got])
    assert answer.fits
    assert answer.tried > 1000
    nothing = explain_figures(*case, [parse_got("all@0.75=0.0001")])
    assert not nothing.fits
    assert 3 <= len(nothing.explanations) <= 5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12.19", ("reasonable", 0.5, 12.19, 0.005)),
        ("12", ("reasonable", 0.5, 12, 0.5)),
        ("12.0 %", ("reasonable", 0.5, 12, 0.05)),
        ("0.1219", ("reasonable", 0.5, 12.19, 0.005)),
        ("small@0.75=49.7", ("small", 0.75, 49.7, 0.05)),
        ("R+HO=26.3", ("R+HO", 0.5, 26.3, 0.05)),
    ],
)
def test_figures_are_read_with_their_digits(text: str, expected: tuple[str, float, float, float]) -> None:
    got = parse_got(text)
    assert (got.subset.name, got.iou, got.value, got.tolerance) == pytest.approx(expected)


@pytest.mark.parametrize("text", ["", "twelve", "tiny=12", "small=", "120", "-3", "small@2=12", "1e3"])
def test_what_is_no_figure(text: str) -> None:
    with pytest.raises(AlfnetError, match=r"expected a miss rate|no subset|at most 100"):
        parse_got(text)


def test_the_document_is_fresh(shared: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from tools import miss_rate_table

    monkeypatch.setattr(miss_rate_table, "SHARED", shared)
    text = (root / "docs" / "miss-rate.md").read_text(encoding="utf-8")
    assert miss_rate_table.with_tables(text) == text


def test_the_defaults_are_the_protocol_s() -> None:
    from alfnet.evaluation.other_rules import Rules

    rules = Rules()
    assert rules.points == CITYPERSONS.fppi_points
    assert (rules.per_image, rules.margin) == (CITYPERSONS.detections_per_image, CITYPERSONS.height_margin)
    assert json.dumps(rules.points)
