"""Stage `train@VARIANT`: train a variant; its loss curves can be watched in plots/training/VARIANT."""

import os
import sys
from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str) -> None:
    """Train variant `name`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from dvclive import Live

    from alfnet.training.run import train_variant

    curves = Path("plots/training") / name
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
        first=Path("models") / name / "first.safetensors",
        cache=Path("cache/train.json"),
        out=Path("models") / name / "model.safetensors",
        # Outside DVC's outputs, which it deletes before a rerun; settable since `dvc exp run --temp` runs elsewhere.
        scratch=Path(os.environ.get("ALFNET_SCRATCH", ".scratch")),
        make_logger=make_logger,
    )


if __name__ == "__main__":
    main(sys.argv[1])
