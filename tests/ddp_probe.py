"""Trains 20 updates on N CPU processes and saves weights and losses; run by test_training_processes.py."""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

from alfnet.runtime import configure

configure("portable")

from safetensors.torch import save_file  # noqa: E402

from alfnet.files import write_json, write_text  # noqa: E402
from alfnet.training.checkpoints import Checkpoints  # noqa: E402
from alfnet.training.processes import one_of_several  # noqa: E402
from alfnet.training.state import RunState  # noqa: E402
from alfnet.training.train import train, training_fabric  # noqa: E402
from tests.test_training_train import (  # noqa: E402
    THRESHOLDS,
    Recorder,
    constant_rate,
    machine,
    network,
    noisy_pictures,
    samples,
    settings,
)


def main() -> None:
    """Train a batch of four, all images at once in memory, over as many processes as there are."""
    parser = argparse.ArgumentParser()
    parser.add_argument("devices", type=int)
    parser.add_argument("steps")
    parser.add_argument("images", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--updates", type=int, default=20)
    parser.add_argument("--stop-after", type=int)
    parser.add_argument("--die-after", type=int)
    parser.add_argument("--pids", type=Path)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--scratch", type=Path)
    parser.add_argument("--batch-norm", default="fixed")
    parser.add_argument("--precision", default="32-true")
    given = parser.parse_args()
    train_settings = settings(
        updates=given.updates,
        batch=4,
        images_per_device=4 // given.devices,
        steps=given.steps,
        learning_rate=constant_rate() | {"peak": 1e-4},
        log_every=1,
    ).model_copy(update={"precision": given.precision})
    recorder = Recorder()
    fabric = training_fabric(train_settings, machine(devices=given.devices), loggers=[recorder])

    def on_update(run: RunState) -> None:
        if run.update == given.stop_after:
            os._exit(0)
        if run.update == given.die_after and fabric.global_rank == fabric.world_size - 1:
            from alfnet.errors import AlfnetError

            if given.pids is not None:
                write_text(given.pids / "failed", "")
            raise AlfnetError("made to fail")
        if run.update == 3 and given.pids is not None:
            write_text(given.pids / f"{fabric.global_rank}", f"{os.getpid()}")
            while given.busy:
                time.sleep(1)  # with something else than the others

    with one_of_several(fabric):
        model = train(
            network(batch_norm=given.batch_norm),
            samples((noisy_pictures(None), given.images), train_settings),
            train_settings,
            THRESHOLDS["2"],
            machine(devices=given.devices),
            fabric=fabric,
            checkpoints=Checkpoints(given.scratch or given.out.parent / f"scratch{given.devices}", "x", "0" * 64),
            on_update=on_update,
        )
    if fabric.is_global_zero:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, given.out)
        write_json(given.out.with_suffix(".json"), recorder.logged)


if __name__ == "__main__":
    from alfnet.errors import exit_with_message

    exit_with_message(main)()
