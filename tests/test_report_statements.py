"""What may be said of a table: paired differences, their intervals, and words that promise no more."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import pytest
from scipy import stats

from alfnet.report.statements import Comparison, comparisons, statements, strongest


def table(**rows: Sequence[Sequence[float | None]]) -> pd.DataFrame:
    """table(resnet50_2s=[[first step by seed], [last step by seed]]), as plots/ablation.csv holds it."""
    listed = []
    for name, steps in rows.items():
        for step, values in enumerate(steps, start=1):
            row = {"variant": name, "backbone": name.split("_")[0], "steps": str(len(steps)), "test_step": str(step)}
            known = [value for value in values if value is not None]
            row["mr_75"] = f"{sum(known) / len(known):.2f}" if known else ""
            if len(values) > 1:
                row |= {f"mr_75_seed_{n}": "" if v is None else f"{v:.4f}" for n, v in enumerate(values, start=1)}
            listed.append(row)
    return pd.DataFrame(listed, dtype=str)


def comparison(before: Sequence[float], after: Sequence[float]) -> Comparison:
    return Comparison("it is so", "a", "b", 0.75, tuple(range(1, len(before) + 1)), tuple(before), tuple(after))


def test_the_interval_is_that_of_a_paired_t_test() -> None:
    before, after = [41.8, 40.4, 37.9, 44.1], [38.4, 38.6, 39.7, 40.0]
    interval = stats.ttest_rel(before, after).confidence_interval(0.95)
    assert comparison(before, after).interval == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([40.0, 41.0, 42.0], [35.0, 36.5, 36.0], "shows"),
        ([40.0, 41.0, 42.0], [35.0, 43.0, 36.0], "points that way"),
        ([40.0, 41.0, 42.0], [43.0, 42.0, 38.0], "does not show"),
        ([40.0, 41.0, 42.0], [40.0, 41.0, 42.0], "does not show"),
        ([35.0, 36.5, 36.0], [40.0, 41.0, 42.0], "shows the opposite"),
        ([40.0], [30.0], "points that way"),
        ([40.0], [41.0], "does not show"),
        ([40.0, 40.0], [30.0, 30.0], "shows"),
    ],
)
def test_shows_only_where_the_interval_excludes_zero(before: list[float], after: list[float], verdict: str) -> None:
    assert comparison(before, after).verdict == verdict


def test_sentences_carry_their_uncertainty() -> None:
    shown = comparison([40.0, 41.0, 42.0], [35.0, 36.5, 36.0]).sentence()
    assert shown == (
        "The table shows that it is so at IoU 0.75 (41.00 → 35.83 %, 5.17 points lower; 95 % interval of the decrease +3.27 to "
        "+7.06; better with 3 of 3 seeds)."
    )
    hinted = comparison([40.0, 41.0, 42.0], [35.0, 43.0, 36.0]).sentence()
    assert hinted.startswith("The table points that way, without showing it: it is so")
    assert "better with 2 of 3 seeds" in hinted
    not_shown = comparison([40.0, 41.0], [43.0, 42.0]).sentence()
    assert not_shown.startswith("The table does not show that it is so")
    assert "2.00 points higher; 95 % interval of the decrease -14.71 to +10.71" in not_shown
    assert "better with 0 of 2 seeds" in not_shown
    single = comparison([40.0], [30.0]).sentence()
    assert single.endswith("(40.00 → 30.00 %, 10.00 points lower; one seed, so no interval).")
    assert "no difference" in comparison([40.0, 41.0], [40.0, 41.0]).sentence()


@pytest.mark.parametrize("more", [0.004, -0.004])
def test_a_difference_that_is_printed_as_none_points_nowhere(more: float) -> None:
    """Nor does it show anything, however well the seeds agree."""
    for seeds in ([25.0], [25.0, 25.0], [24.0, 25.0, 26.0]):
        found = comparison([value + more for value in seeds], seeds)
        assert found.verdict == "does not show"
        assert "25.00 → 25.00 %, no difference" in found.sentence()
    assert comparison([25.006], [25.0]).verdict == "points that way"
    assert "0.01 points lower" in comparison([25.006], [25.0]).sentence()


MADE_UP = {
    "resnet50_1s": [[60.0, 61.0, 62.0]],
    "resnet50_2s": [[55.0, 58.0, 52.0], [50.0, 50.5, 52.5]],
    "mobilenet_1s": [[70.0, 66.0, 68.0]],
    "mobilenet_2s": [[69.0, 70.0, 60.0], [68.0, 70.0, 61.0]],
}


def test_compares_backbones_and_steps() -> None:
    found = comparisons(table(**MADE_UP))
    assert [one.claim for one in found] == [
        "two steps are better than one with resnet50",
        "two steps are better than one with mobilenet",
        "the last step is better than the first in resnet50_2s",
        "the last step is better than the first in mobilenet_2s",
    ]
    assert found[0].differences == (10.0, 10.5, 9.5)
    assert [one.better for one in found] == [3, 2, 2, 1]
    assert found[0].first == "resnet50_1s step 1"
    assert found[0].second == "resnet50_2s step 2"


def test_the_strongest_statement_leads() -> None:
    sentences = statements(table(**MADE_UP))
    assert len(sentences) == 4
    assert sentences[0].startswith("The table shows that two steps are better than one with resnet50")
    # A small difference that is sure goes before a large one that is not.
    small, large = comparison([40.0, 41.0, 42.0], [39.0, 40.0, 41.01]), comparison([40.0, 41.0], [20.0, 40.0])
    assert strongest([large, small]) is small
    # So among those that only point that way: seeds that agree go before a larger mean of seeds that do not.
    close, wide = comparison([30.0, 31.0, 29.0], [26.0, 30.5, 25.5]), comparison([30.0, 40.0, 31.0], [20.0, 39.0, 30.5])
    assert wide.mean > close.mean
    assert {close.verdict, wide.verdict} == {"points that way"}
    assert strongest([wide, close]) is close
    single = comparison([50.0], [20.0])
    assert strongest([single, close]) is close
    assert strongest([]) is None


def test_seeds_without_a_figure_are_left_out() -> None:
    found = comparisons(table(resnet50_1s=[[60.0, None, 62.0]], resnet50_2s=[[1.0, 2.0, 3.0], [50.0, 51.0, None]]))
    assert found[0].seeds == (1,)
    assert found[0].interval is None
    assert found[1].seeds == (1, 2)


def test_what_was_measured_once_has_no_pair_among_seeds() -> None:
    """An imported detector's one figure stands under the first seed, with which it has nothing to do."""
    imported = table(
        resnet50_2s=[[55.0, 58.0, 52.0], [50.0, 50.5, 52.5]],
        resnet50_released=[[60.0, None, None]],  # one step
    )
    assert [one.claim for one in comparisons(imported)] == ["the last step is better than the first in resnet50_2s"]
    # With a trained one behind it that has pairs, that one is taken.
    both = table(
        resnet50_released=[[60.0, None, None]], resnet50_1s=[[70.0, 71.0, 72.0]], resnet50_2s=MADE_UP["resnet50_2s"]
    )
    found = comparisons(both)
    assert (found[0].first, found[0].seeds) == ("resnet50_1s step 1", (1, 2, 3))
    # Its own steps are of one measurement each.
    steps = comparisons(table(resnet50_released=[[60.0, None, None], [50.0, None, None]]))
    assert [(one.differences, one.interval) for one in steps] == [((10.0,), None)]


def test_a_single_seed_uses_the_table_itself() -> None:
    found = comparisons(table(resnet50_1s=[[60.0]], resnet50_2s=[[58.0], [50.0]]))
    assert [one.differences for one in found] == [(10.0,), (8.0,)]


def test_says_so_when_there_is_nothing_to_compare() -> None:
    assert statements(table(resnet50_1s=[[60.0]])) == [
        "The table has no two rows that tell what a further step brings."
    ]
