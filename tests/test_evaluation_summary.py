"""Results of the seeds put together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.summary import headline, statistic, summarise_to_files


def summarised(folder: Path, *intervals: Any) -> Any:
    """The summary of a seed for each of `intervals`, those of small people."""
    results = {}
    for seed, interval in enumerate(intervals, 1):
        results[seed] = folder / str(seed)
        results[seed].mkdir()
        rate = None if interval is None else 30.0
        content = {
            "steps": {"1": {"iou_0.50": {"reasonable": 10.0 + seed, "small": rate}}},
            "intervals": {"1": {"iou_0.50": {"reasonable": {"low": 5.0, "high": 20.0}, "small": interval}}},
        }
        (results[seed] / "results.json").write_text(json.dumps(content))
        (results[seed] / "curves.csv").write_text("test_step,iou,subset,fppi,miss_rate\n1,0.5,reasonable,0.1,0.5\n")
    summarise_to_files(results, summary=folder / "summary", metrics=folder / "metrics.json")
    return json.loads((folder / "summary" / "summary.json").read_text())


INTERVAL = {"low": 20.0, "high": 40.0}


@pytest.mark.parametrize("intervals", [(None, INTERVAL), (INTERVAL, None), (INTERVAL, None, INTERVAL)])
def test_a_fold_may_hold_nobody_of_a_subset(tmp_path: Path, intervals: tuple[Any, ...]) -> None:
    summary = summarised(tmp_path, *intervals)
    known = sum(interval is not None for interval in intervals)
    small = summary["intervals"]["1"]["iou_0.50"]["small"]
    assert (small["low"]["mean"], small["low"]["n"]) == (20, known)
    assert small["low"]["values"] == [None if interval is None else 20 for interval in intervals]
    assert summary["steps"]["1"]["iou_0.50"]["small"]["n"] == known
    assert json.loads((tmp_path / "metrics.json").read_text())["n"] == len(intervals)


def test_nobody_in_any_fold(tmp_path: Path) -> None:
    summary = summarised(tmp_path, None, None)
    assert summary["intervals"]["1"]["iou_0.50"]["small"] is None


def test_the_headline_counts_the_values_in_its_mean() -> None:
    row = {"reasonable": statistic([10.0, None])}
    assert headline({"seeds": [1, 2], "steps": {"1": {"iou_0.50": row}}}) == {"mr_50": 10.0, "n": 1}


def test_results_of_other_parameters_are_refused(tmp_path: Path) -> None:
    for odd in ({"low": 20.0}, 7):
        folder = tmp_path / str(odd)
        folder.mkdir()
        with pytest.raises(AlfnetError, match="hold different test steps"):
            summarised(folder, INTERVAL, odd)
