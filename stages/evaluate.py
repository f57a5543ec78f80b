"""Stage `evaluate@VARIANT`: miss rates of every test step and score fusion, and the headline for `dvc metrics`."""

import sys
from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(name: str) -> None:
    """Evaluate variant `name`."""
    params = checked_params()
    from alfnet.evaluation.run import evaluate_to_files

    evaluate_to_files(
        Path("cache/ground_truth.json"),
        Path("detections") / name,
        iou=params.evaluate.iou,
        results=Path("evaluation") / name,
        metrics=Path("metrics") / f"{name}.json",
        curve=Path("plots/curves") / f"{name}.csv",
    )


if __name__ == "__main__":
    main(sys.argv[1])
