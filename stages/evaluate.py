"""Stage `evaluate@VARIANT-SEED`: miss rates of every test step and score fusion."""

from pathlib import Path

from parameters import arguments, checked_params, seed_of

from alfnet.errors import exit_with_message


@exit_with_message
def main(name: str, seed: str) -> None:
    """Evaluate variant `name` trained with `seed`."""
    params = checked_params()
    from alfnet.evaluation.run import evaluate_to_files

    evaluate_to_files(
        Path("cache/ground_truth.json"),
        Path("detections") / name / seed,
        iou=params.evaluate.iou,
        protocol=params.evaluate.protocol,
        subsets=params.evaluate.subsets,
        fold=params.data.fold(seed_of(params, seed)),
        results=Path("evaluation") / name / seed,
    )


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
