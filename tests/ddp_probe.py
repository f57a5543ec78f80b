"""Trains two updates on N CPU processes and saves the weights; run by test_training_train.py, as Fabric starts scripts."""

from __future__ import annotations

import sys
from pathlib import Path

from alfnet.runtime import configure

configure("portable")

from safetensors.torch import save_file  # noqa: E402

from alfnet.training.checkpoints import Checkpoints  # noqa: E402
from alfnet.training.train import train, training_fabric  # noqa: E402
from tests.test_training_train import THRESHOLDS, constant_rate, machine, network, noisy_pictures, samples, settings  # noqa: E402


def main(devices: int, steps: str, images: Path, out: Path) -> None:
    """Train with `devices` processes of one image each, so that batches of two are complete."""
    train_settings = settings(
        updates=2,
        images_per_device=1,
        steps=steps,
        learning_rate=constant_rate(),
    )
    on_machine = machine(devices=devices, checkpoint_every=1)
    fabric = training_fabric(train_settings, on_machine)
    model = train(
        network(batch_norm="fixed"),
        samples((noisy_pictures(None), images), train_settings),
        train_settings,
        THRESHOLDS["2"],
        on_machine,
        fabric=fabric,
        checkpoints=Checkpoints(out.parent / f"scratch{devices}", "x", "0" * 64),
    )
    if fabric.is_global_zero:
        save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, out)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
