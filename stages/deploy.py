"""Stage `deploy@VARIANT-SEED`: the detector as files for other runtimes, float32 and int8, and what int8 costs."""

from pathlib import Path

from parameters import arguments, checked_params, seed_of

from alfnet.errors import exit_with_message, extra_needed
from alfnet.files import read_json
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str, seed: str) -> None:
    """Export and evaluate variant `name` trained with `seed`."""
    params = checked_params()
    configure_libraries(params.runtime)
    with extra_needed("export"):
        from alfnet.export.deploy import deploy_variant

        deploy_variant(
            Path("models") / name / seed / read_json(Path("validation") / name / seed / "tested.json")["weights"],
            train_cache=Path("cache/train.json"),
            val_cache=Path("cache/val.json"),
            ground_truth=Path("cache/ground_truth.json"),
            folder=params.data.images_folder,
            size=None
            if params.data.height is None or params.data.width is None
            else (params.data.height, params.data.width),
            settings=params.deploy,
            detect=params.detect,
            evaluate=params.evaluate,
            out=Path("deploy") / name / seed,
            metrics=Path("metrics/deploy") / name / f"{seed}.json",
            timings=Path("timings/deploy") / name / f"{seed}.json",  # not an output: it differs from run to run
            title=f"deploy {name}, seed {seed}",
            fold=params.data.fold(seed_of(params, seed)),
        )


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
