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
    from dvclive.fabric import DVCLiveLogger

    from alfnet.training.run import train_variant

    curves = Path("plots/training") / name / seed
    curves.mkdir(parents=True, exist_ok=True)  # also without training (`weights:`), where no curve is written
    logger = DVCLiveLogger(dir=str(curves), save_dvc_exp=False, dvcyaml=None, report=None, monitor_system=False)
    train_variant(
        params,
        name,
        seed_of(params, seed),
        first=Path("weights/first") / f"{name}.safetensors",
        cache=Path("cache/train.json"),
        out=Path("models") / name / seed / "model.safetensors",
        # Outside DVC's outputs, which it deletes before a rerun; settable since `dvc exp run --temp` runs elsewhere.
        scratch=Path(os.environ.get("ALFNET_SCRATCH", ".scratch")),
        loggers=[logger],
        stop_with_parent="DVC_STAGE" in os.environ,  # a command of DVC's, which does not end its commands with itself
    )


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
