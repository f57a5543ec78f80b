"""Stage `train@VARIANT-SEED`: train a variant; its loss curves can be watched in plots/training/VARIANT/SEED."""

import os
from pathlib import Path

from parameters import arguments, checked_params, seed_of

from alfnet.errors import exit_with_message
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str, seed: str) -> None:
    """Train variant `name` with `seed`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from dvclive import Live

    from alfnet.training.run import train_variant

    curves = Path("plots/training") / name / seed
    curves.mkdir(parents=True, exist_ok=True)  # also without training (`weights:`), where no curve is written

    def make_logger():
        live = Live(str(curves), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)

        def log(update, losses):
            live.step = update
            for part, value in losses.items():
                live.log_metric(part, value)
            live.make_summary()

        return log

    train_variant(
        params,
        name,
        seed_of(params, seed),
        first=Path("weights/first") / f"{name}.safetensors",
        cache=Path("cache/train.json"),
        out=Path("models") / name / seed / "model.safetensors",
        # Outside DVC's outputs, which it deletes before a rerun; settable since `dvc exp run --temp` runs elsewhere.
        scratch=Path(os.environ.get("ALFNET_SCRATCH", ".scratch")),
        make_logger=make_logger,
    )


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
