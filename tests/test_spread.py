"""docs/spread.md: its table of six seeds begins with the committed ones, so their differences are those of plots/ablation.csv."""

from __future__ import annotations

from pathlib import Path

import pytest

from alfnet.params import load_params
from alfnet.report.statements import comparisons
from alfnet.report.summary import read_ablation


def differences(document: Path) -> dict[tuple[str, float], list[str]]:
    """The column "each seed" of the document's table of differences, by claim and IoU."""
    lines = document.read_text(encoding="utf-8").split("<!-- differences -->")[1].split("<!-- /differences -->")[0]
    head, _, *rows = [
        [cell.strip() for cell in line.strip("| ").split("|")] for line in lines.splitlines() if line[:1] == "|"
    ]
    claim, iou, each = (head.index(name) for name in ("claim", "IoU", "each seed"))
    return {(row[claim], float(row[iou])): row[each].split(", ") for row in rows}


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_the_differences_of_the_committed_seeds_are_those_of_the_ablation_table(root: Path, iou: float) -> None:
    seeds = load_params(root / "params.yaml").seeds
    written = differences(root / "docs/spread.md")
    found = comparisons(read_ablation(root / "plots/ablation.csv"), iou)
    assert {claim for claim, at in written if at == iou} == {comparison.claim for comparison in found}
    for comparison in found:
        assert list(comparison.seeds) == seeds == [1, 2, 3]
        first = written[comparison.claim, iou][: len(seeds)]
        assert first == [f"{difference:+.2f}" for difference in comparison.differences], comparison.claim
