"""Writes the tables of docs/miss-rate.md, between its markers (`make miss-rate`; --check says whether they are fresh).

Needs the real annotations and detections of ../shared (or $ALFNET_SHARED).
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from alfnet.evaluation.deviations import Deviation, deviations, figures_of_all
from alfnet.evaluation.miss_rate import SUBSETS
from alfnet.evaluation.other_rules import Overlaps, Setting, miss_rate_by
from alfnet.files import write_text
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("ALFNET_SHARED", ROOT.parent / "shared"))
DOCUMENT = ROOT / "docs" / "miss-rate.md"


def main() -> int:
    """Write the tables, or check them."""
    if not (SHARED / "data").is_dir():
        print(f"error: the real data is not at {SHARED}; set ALFNET_SHARED", file=sys.stderr)
        return 2
    text = with_tables(DOCUMENT.read_text(encoding="utf-8"))
    if "--check" in sys.argv[1:]:
        fresh = text == DOCUMENT.read_text(encoding="utf-8")
        print(f"{DOCUMENT.name}: {'fresh' if fresh else 'its tables are not what the code gives; run make miss-rate'}")
        return 0 if fresh else 1
    write_text(DOCUMENT, text)
    return 0


def with_tables(text: str) -> str:
    """Return the document with its tables made anew."""
    truth = read_ground_truth(SHARED / "data" / "citypersons" / "val_gt.json")
    found = read_detections(SHARED / "data" / "detections" / "alfnet_resnet50_2s.json", truth)
    for name, lines in (("evaluators", evaluators(truth, found)), ("accidents", accidents(truth, found))):
        pattern = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- /table -->)", re.DOTALL)
        table = "\n".join(lines) + "\n"
        escaped = table.replace("\\", "\\\\")
        text, count = pattern.subn(rf"\g<1>{escaped}\g<2>", text)
        if count != 1:
            raise ValueError(f"{DOCUMENT.name}: {count} places for the table {name!r}")
    return text


def evaluators(truth: GroundTruth, found: Detections) -> list[str]:
    """The table of public programs."""
    lines = [
        "| what | subset | here | there | seen in |",
        "| --- | --- | ---: | ---: | --- |",
    ]
    for deviation, protocol, figure in figures_of_all(truth, found).values():
        here = "–" if protocol is None else f"{protocol:.2f}"
        there = "–" if figure is None else f"{figure:.2f}" if figure != protocol else "the same"
        lines.append(f"| {deviation.evaluator} | {deviation.subset} | {here} | {there} | {deviation.source} |")
    return lines


def accidents(truth: GroundTruth, found: Detections) -> list[str]:
    """The table of everything else that `--got` tries, Reasonable at both thresholds."""
    overlaps = Overlaps()
    base = [Setting.of(truth, found, SUBSETS[0], iou) for iou in (0.5, 0.75)]
    lines = [
        "| what was done | IoU 0.5 | IoU 0.75 |",
        "| --- | ---: | ---: |",
        "| nothing: the protocol | " + " | ".join(f"{miss_rate_by(setting, overlaps):.2f}" for setting in base) + " |",
    ]
    for deviation in deviations():
        figures = [_figure(deviation, setting, overlaps) for setting in base]
        if not deviation.evaluator and deviation.group not in ("subset", "iou", "points") and figures[0] is not None:
            shown = " | ".join("–" if figure is None else f"{figure:.2f}" for figure in figures)
            lines.append(f"| {deviation.sentence} | {shown} |")
    return lines


def _figure(deviation: Deviation, setting: Setting, overlaps: Overlaps) -> float | None:
    changed = deviation.change(setting)
    return None if changed is None else miss_rate_by(changed, overlaps)


if __name__ == "__main__":
    sys.exit(main())
