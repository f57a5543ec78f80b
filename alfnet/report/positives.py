"""The figure of positives per step: how many boxes fit a pedestrian with IoU >= 0.5 before and after each step.

The boxes are all of the network's, before scores are looked at: the default boxes (anchors), then what each step makes
of them. Asymptotic localization fitting lives from this growth: it is why a later step can ask for a higher IoU in
training.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from alfnet.report.paper import THRESHOLDS_MODEL, paper_figures
from alfnet.report.results import VariantResults

BINS = ("0.5-0.6", "0.6-0.7", "0.7-0.8", "0.8-0.9", "0.9-1")


def positives_frame(results: Sequence[VariantResults]) -> pd.DataFrame:
    """Return a row per model, stage and bin of IoU, the paper's model last.

    Columns: variant, source ('measured here' or 'published'), stage ('default', 'step1', ...), iou, boxes (mean over the
    seeds, rounded), boxes_sd (None for one seed), seeds, ground_truths (None where it was not published).
    """
    rows: list[tuple[object, ...]] = []
    for result in results:
        for stage, bins in result.positives.items():
            for name, sample in zip(BINS, bins, strict=True):
                deviation = None if sample.deviation is None else f"{sample.deviation:.1f}"
                figures = (round(sample.mean), deviation, sample.n, result.ground_truths)
                rows.append((result.name, "measured here", stage, name, *figures))
    published = paper_figures()["positives"]
    for stage, figures in published.items():
        for name, count in zip(BINS, figures["bins"], strict=True):
            rows.append((THRESHOLDS_MODEL, "published", stage, name, count, None, None, None))
    columns = ["variant", "source", "stage", "iou", "boxes", "boxes_sd", "seeds", "ground_truths"]
    return pd.DataFrame(rows, columns=columns, dtype=object)
