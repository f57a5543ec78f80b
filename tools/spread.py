"""Writes the table of paired differences over the seeds, for docs/spread.md.

    python -m tools.spread [FILE]

Reads plots/ablation.csv of a reproduced tree (for example after `dvc exp run -S 'seeds=[1,2,3,4,5,6]'`) and prints the
table, or puts it into FILE between the lines `<!-- differences -->` and `<!-- /differences -->`; and the ablation table of
plots/ablation.md between `<!-- table -->` and `<!-- /table -->`, where FILE has these.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.report.statements import Comparison, comparisons
from alfnet.report.summary import read_ablation
from tools.documents import put


def differences(table: pd.DataFrame) -> str:
    """Return the paired differences at both IoUs as a Markdown table: points of miss rate, positive is better."""
    found = [comparison for iou in (0.5, 0.75) for comparison in comparisons(table, iou)]
    if not found:
        raise AlfnetError("plots/ablation.csv: no two rows that tell what a further step brings")
    frame = pd.DataFrame([_row(comparison) for comparison in found], dtype=str)
    align = ["left", "right", "right", "right", "right", "left", "left"]
    text = frame.to_markdown(index=False, disable_numparse=True, colalign=align)
    seeds = ", ".join(map(str, found[0].seeds))
    return (
        f"{text}\n\nSeeds {seeds}, paired: points of log-average miss rate (Reasonable) by which the second is lower; mean "
        "and 95 % interval (Student's t)."
    )


def _row(comparison: Comparison) -> dict[str, str]:
    interval = comparison.interval
    return {
        "claim": comparison.claim,
        "IoU": f"{comparison.iou:g}",
        "mean difference": f"{comparison.mean:+.2f}",
        "95 % interval": "–" if interval is None else f"{interval[0]:+.2f} to {interval[1]:+.2f}",
        "better": f"{comparison.better} of {len(comparison.differences)}",
        "each seed": ", ".join(f"{difference:+.2f}" for difference in comparison.differences),
        "the table": comparison.verdict,
    }


@exit_with_message
def main(*arguments: str) -> None:
    """Print the table, or put it into a file."""
    text = differences(read_ablation(Path("plots/ablation.csv")))
    if not arguments:
        print(text)
        return
    document = Path(arguments[0])
    put(document, "differences", text)
    if "<!-- table -->" in document.read_text(encoding="utf-8"):
        put(document, "table", Path("plots/ablation.md").read_text(encoding="utf-8").partition("\n\n")[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
