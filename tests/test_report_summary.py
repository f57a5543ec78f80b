"""The two sentences, and the table in the terminal."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from alfnet.errors import AlfnetError
from alfnet.report.summary import conclusions, print_summary, read_ablation
from tests.report_data import mini_params

HEAD = "variant,backbone,steps,test_step,mr_50,mr_75,paper_mr_50,paper_mr_75,parameters_millions"


def rows(**mr_75: list[float | None]) -> list[dict[str, Any]]:
    """rows(resnet50_2s=[first step, last step])"""
    found = []
    for name, values in mr_75.items():
        backbone = name.split("_")[0]
        for step, value in enumerate(values, start=1):
            row = {"variant": name, "backbone": backbone, "steps": len(values), "test_step": step, "mr_75": value}
            found.append(row)
    return found


def test_says_what_more_steps_bring() -> None:
    first, second = conclusions(
        rows(resnet50_1s=[60.0], resnet50_2s=[55.0, 48.5], mobilenet_1s=[70.0], mobilenet_2s=[69.0, 68.0])
    )
    assert first == (
        "At IoU 0.75 the miss rate of models of two steps is lower than that of models of one: 11.50 points lower "
        "with resnet50 (60.00 → 48.50 %) and 2.00 points lower with mobilenet (70.00 → 68.00 %)."
    )
    assert second == (
        "Within every model of several steps the last step is better there than the first, by 6.50 points "
        "(resnet50_2s) and 1.00 points (mobilenet_2s)."
    )


def test_many_gains_become_a_range() -> None:
    many = {f"resnet50_{index}": [60.0, 59.0 - index] for index in range(6)}
    _, second = conclusions(rows(**many))
    assert second.endswith("by 1.00 points (resnet50_0) to 6.00 points (resnet50_5).")


def test_says_so_when_they_bring_nothing() -> None:
    first, second = conclusions(rows(resnet50_1s=[60.0], resnet50_2s=[61.0, 62.0]))
    assert "is not lower than that of models of one: 2.00 points higher with resnet50 (60.00 → 62.00 %)." in first
    assert second == (
        "Within the models of several steps the last step is not better there than the first: resnet50_2s (1.00 "
        "points worse)."
    )


def test_says_so_when_it_depends() -> None:
    first, second = conclusions(
        rows(resnet50_1s=[60.0], resnet50_2s=[61.0, 50.0], mobilenet_1s=[70.0], mobilenet_2s=[70.0, 71.0])
    )
    assert "is not always lower" in first
    assert "1.00 points higher with mobilenet" in first
    assert second == (
        "Within a model the last step is better there than the first by 11.00 points (resnet50_2s), but not in "
        "mobilenet_2s (1.00 points worse)."
    )


def test_says_so_when_there_is_nothing_to_compare() -> None:
    first, second = conclusions(rows(resnet50_1s=[60.0], mobilenet_2s=[None, 5.0]))
    assert first.startswith("No backbone has variants of both one and two steps")
    assert second.startswith("No model of several steps")


def project(root: Path, params: Any, *lines: str) -> None:
    (root / "plots").mkdir()
    (root / "plots" / "ablation.csv").write_text("\n".join((HEAD, *lines)) + "\n")


def printed(params: Any, root: Path) -> str:
    text = io.StringIO()
    print_summary(params, root=root, console=Console(file=text, width=100))
    return text.getvalue()


TWO = {"resnet50-1s": {"backbone": "resnet50", "steps": 1}, "resnet50-2s": {"backbone": "resnet50", "steps": 2}}
LINES = (
    "resnet50-1s,resnet50,1,1,30.00,60.00,,,1.50",
    "resnet50-2s,resnet50,2,1,29.00,58.00,13.17,45.00,2.50",
    "resnet50-2s,resnet50,2,2,28.00,50.00,12.01,36.49,2.50",
)


def test_prints_from_the_committed_table_alone(tmp_path: Path) -> None:
    params = mini_params(variants=TWO)
    project(tmp_path, params, *LINES)
    text = printed(params, tmp_path)
    assert "50.00" in text
    assert "36.49" in text
    assert "10.00 points lower with resnet50" in " ".join(text.split())
    assert "s / image" not in text


def test_adds_the_time_per_image_where_it_was_measured(tmp_path: Path) -> None:
    params = mini_params(variants=TWO)
    project(tmp_path, params, *LINES)
    (tmp_path / "timings").mkdir()
    (tmp_path / "timings" / "resnet50-2s.json").write_text('{"seconds_per_image": 0.1234}')
    text = printed(params, tmp_path)
    assert "s / image" in text
    assert text.count("0.123") == 1


def test_a_table_of_other_variants_is_refused(tmp_path: Path) -> None:
    project(tmp_path, None, *LINES)
    with pytest.raises(AlfnetError, match="dvc repro"):
        printed(mini_params(), tmp_path)


def test_a_missing_or_other_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"ablation\.csv: no such file"):
        read_ablation(tmp_path / "ablation.csv")
    (tmp_path / "ablation.csv").write_text("a,b\n1,2\n")
    with pytest.raises(AlfnetError, match="not an ablation table"):
        read_ablation(tmp_path / "ablation.csv")
