"""`alfnet convert`: detections from any form that is read to COCO results or the 2018 text."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def convert(
    ground_truth: Annotated[Path, typer.Argument(help="The ground truth whose images the detections belong to.")],
    detections: Annotated[
        Path, typer.Argument(help="Detections in any form that `alfnet evaluate` reads; - is a pipe.")
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="COCO results (.json), JSON Lines (.jsonl), the 2018 text (.txt) or CSV with a heading (.csv)."
        ),
    ],
) -> None:
    """Convert detections to COCO results, JSON Lines, the 2018 text or CSV, checked as by `alfnet evaluate`.

    The ground truth says which images there are, in which order (the text counts them from 1), and how large.
    """
    from alfnet.outputs import check_outputs
    from alfnet.reading.convert import convert_file

    check_outputs({"OUT": out}, {"GROUND_TRUTH": ground_truth, "DETECTIONS": detections})
    convert_file(ground_truth, detections, out)
