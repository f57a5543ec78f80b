"""The table in the terminal, and what it shows."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from alfnet.errors import AlfnetError
from alfnet.report.summary import print_summary, read_ablation
from tests.report_data import mini_params

HEAD = "variant,backbone,steps,test_step,mr_50,mr_75,paper_mr_50,paper_mr_75,parameters_millions"


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
    assert "60.00 → 50.00 %, 10.00 points lower; one seed" in " ".join(text.split())
    assert "±" not in text
    assert "s / image" not in text


def test_shows_the_spread_over_the_seeds(tmp_path: Path) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "ablation.csv").write_text(
        "variant,backbone,steps,test_step,mr_50,mr_50_sd,mr_75,mr_75_sd,parameters_millions,seeds,mr_75_seed_1,mr_75_seed_2\n"
        "resnet50-1s,resnet50,1,1,30.00,1.00,60.00,2.00,1.50,2,59.0000,61.0000\n"
        "resnet50-2s,resnet50,2,1,29.00,1.10,58.00,2.10,2.50,2,57.0000,59.0000\n"
        "resnet50-2s,resnet50,2,2,28.00,1.20,50.00,2.20,2.50,2,49.0000,51.0000\n"
    )
    text = printed(mini_params(variants=TWO), tmp_path)
    assert "50.00 ± 2.20" in text
    assert "better with 2 of 2 seeds" in " ".join(text.split())


def test_adds_the_time_per_image_where_it_was_measured(tmp_path: Path) -> None:
    params = mini_params(variants=TWO)
    project(tmp_path, params, *LINES)
    (tmp_path / "timings" / "resnet50-2s").mkdir(parents=True)
    (tmp_path / "timings" / "resnet50-2s" / "1.json").write_text('{"seconds_per_image": 0.1234}')
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
    for column in HEAD.split(",")[:6]:
        (tmp_path / "ablation.csv").write_text(f"{HEAD.replace(column, 'other', 1)}\n{LINES[0]}\n")
        with pytest.raises(AlfnetError, match="not an ablation table"):
            read_ablation(tmp_path / "ablation.csv")
