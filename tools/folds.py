"""Writes the table of a cross-validation, with COCO's average precision beside the miss rates, for docs/pennfudan.md.

    python -m tools.folds [FILE]

Reads params.yaml and evaluation/ of a reproduced tree whose seeds are its folds (profile pennfudan), and prints the mean and
the standard deviation over them, or puts the table into FILE between the lines `<!-- folds -->` and `<!-- /folds -->`.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.files import read_json
from alfnet.params import load_params
from tools.documents import put

COLUMNS = {
    "AP": ("AP",),
    "AP50": ("AP50",),
    "AP75": ("AP75",),
    "miss rate, IoU 0.5": ("iou_0.50", "reasonable"),
    "IoU 0.75": ("iou_0.75", "reasonable"),
}
"""A column's heading, and where its figure stands in a step of results.json."""


def folds(results: dict[str, list[dict[str, Any]]]) -> str:
    """The table in Markdown: `results` holds the content of every fold's results.json, by variant."""
    rows = []
    for variant, found in results.items():
        for step in found[0]["steps"]:
            row = {"variant": variant, "test step": step}
            for heading, keys in COLUMNS.items():
                values = [figure(each["steps"][step], keys) for each in found]
                row[heading] = (
                    f"{np.mean(values):.1f} ± {np.std(values, ddof=1):.1f}" if len(values) > 1 else f"{values[0]:.1f}"
                )
            rows.append(row)
    count = {len(found) for found in results.values()}
    if not rows or len(count) != 1:
        raise AlfnetError("evaluation/: the variants have no results of the same folds")
    text = pd.DataFrame(rows).to_markdown(
        index=False, disable_numparse=True, colalign=["left"] + ["right"] * (1 + len(COLUMNS))
    )
    return f"{text}\n\nPercent; mean ± standard deviation over {count.pop()} folds."


def figure(step: dict[str, Any], keys: tuple[str, ...]) -> float:
    """The figure that stands under `keys`, in percent."""
    value: Any = step
    for key in keys:
        value = value[key]
    return float(value)


@exit_with_message
def main(*arguments: str) -> None:
    """Print the table, or put it into a file."""
    params = load_params(Path("params.yaml"))
    files = {
        name: [Path("evaluation", name, str(seed), "results.json") for seed in params.seeds] for name in params.variants
    }
    text = folds({name: [read_json(path) for path in paths] for name, paths in files.items()})
    if arguments:
        put(Path(arguments[0]), "folds", text)
    else:
        print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
