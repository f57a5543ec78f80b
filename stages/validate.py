"""Stage `validate@VARIANT-SEED`: which of the weights that a training has kept are tested, and the miss rate of each.

A stage of its own, so that a training depends on no validation image, and so that an edited evaluation chooses again and
detects again only where the choice is another one.
"""

from pathlib import Path

from parameters import arguments, checked_params, seed_of

from alfnet.errors import exit_with_message
from alfnet.files import write_json
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str, seed: str) -> None:
    """Validate the weights of variant `name` trained with `seed`, where more than the last were kept."""
    params = checked_params()
    model, out = Path("models") / name / seed / "model.safetensors", Path("validation") / name / seed
    if not any((model.parent / "snapshots").glob("*.safetensors")):
        write_json(out / "tested.json", {"weights": model.name, "miss_rates": []})
        return
    configure_libraries(params.runtime)
    from dvclive import Live

    from alfnet.evaluation.validation import Validated, choose, validate

    live = Live(dir=str(out / "curve"), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)

    def log(validated: Validated) -> None:
        if validated.miss_rate is not None:
            live.step = validated.update
            live.log_metric("miss_rate", validated.miss_rate)
            live.make_summary()

    validated = validate(
        model,
        Path("cache/val.json"),
        Path("cache/ground_truth.json"),
        params.data.images_folder,
        params.detect,
        accelerator=params.machine.accelerator,
        title=f"validate {name}, seed {seed}",
        fold=params.data.fold(seed_of(params, seed)),
        protocol=params.evaluate.protocol,
        on_validated=log,
    )
    chosen = choose(model, validated, params.evaluate.tested)
    rates = [[one.update, one.miss_rate] for one in validated]
    write_json(out / "tested.json", {"weights": str(chosen.relative_to(model.parent)), "miss_rates": rates})


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
