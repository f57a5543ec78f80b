"""Stage `summarise@VARIANT`: a variant's miss rates over its seeds, and the headline for `dvc metrics`."""

from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(name: str) -> None:
    """Summarise the seeds of variant `name`."""
    params = checked_params()
    from alfnet.evaluation.summary import summarise_to_files

    # An imported detector is the same for every seed: one result.
    seeds = params.seeds[:1] if params.variant(name).weights else params.seeds
    summarise_to_files(
        {seed: Path("evaluation") / name / str(seed) for seed in seeds},
        summary=Path("summaries") / name,
        metrics=Path("metrics") / f"{name}.json",
    )


if __name__ == "__main__":
    main(*arguments("variant"))
