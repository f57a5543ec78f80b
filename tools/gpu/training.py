"""Training as a whole on the device: a checkpoint and going on from it, two devices as one, and torch.compile."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from alfnet.training.checkpoints import Checkpoints
from alfnet.training.samples import TrainingSamples
from alfnet.training.state import RunState
from alfnet.training.train import train, training_fabric
from tools.gpu.agreement import DOUBLE_CHANGES, IN_DOUBLE
from tools.gpu.material import (
    FULL,
    ROOT,
    SEED,
    TINY,
    Sizes,
    State,
    Training,
    distance,
    largest,
    machine_settings,
    make_batch,
    make_network,
    state_on_cpu,
    synchronise,
    thresholds,
    train_settings,
    write_pictures,
)
from tools.gpu.report import Report

UPDATES = 6
BATCH = 4
BACKBONE, STEPS = "resnet50", 2
FIRST, LAST = "first.safetensors", "state.safetensors"


class Stopped(Exception):  # noqa: N818  (no error: what a kill is in these checks)
    """The training was stopped on purpose."""


def small_training(
    sizes: Sizes,
    device: torch.device,
    folder: Path,
    *,
    devices: int = 1,
    stop_after: int | None = None,
    changes: Mapping[str, object] = MappingProxyType({}),
    first: State | None = None,
) -> dict[str, Tensor]:
    """Train ResNet-50 with two steps for six updates of four images; what the network's state then holds, on the CPU.

    It goes on from a checkpoint in `folder`. Convolutions are told to add up in the same order every time.
    changes: other settings of the training, such as `IN_DOUBLE`. first: the first weights; None: those of `make_network`.
    """
    torch.backends.cudnn.deterministic = True
    images = write_pictures(folder, BATCH, sizes.agreement)
    settings = train_settings(
        sizes.agreement, BATCH, updates=UPDATES, weight_average=None, images_per_device=BATCH // devices
    ).model_copy(update=changes)
    machine = machine_settings(device, devices=devices, checkpoint_every=UPDATES // 2)
    fabric = training_fabric(settings, machine)

    def on_update(run: RunState) -> None:
        if run.update == stop_after:
            raise Stopped

    network = make_network(BACKBONE, STEPS, sizes.width)
    if first is not None:
        network.load_state_dict(dict(first))
    trained = train(
        network,
        TrainingSamples(images, folder, settings.augment, seed=SEED, cache_bytes=2**28),
        settings,
        thresholds(STEPS),
        machine,
        fabric=fabric,
        checkpoints=Checkpoints(folder, "gpu", "0" * 64),
        on_update=on_update,
    )
    torch.backends.cudnn.deterministic = False
    return {name: tensor.contiguous() for name, tensor in state_on_cpu(trained).items()}


def check_resume(report: Report, sizes: Sizes, device: torch.device) -> None:
    """A training that is stopped and goes on from its checkpoint ends where an uninterrupted one does."""
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        whole = small_training(sizes, device, Path(one))
        again = UPDATES // 2
        try:
            small_training(sizes, device, Path(other), stop_after=again + 1)
        except Stopped:
            resumed = small_training(sizes, device, Path(other))
    report.check(
        f"{UPDATES} updates, stopped after {again + 1} and resumed after {again}: largest difference of a weight",
        largest((whole[name] - resumed[name]).abs() for name in whole),
        1e-6,
    )


def check_devices(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Two devices end where one does, on the same batches from the same first weights.

    In float64: in float32 the order of sums alone turns the signs of gradients near 0, and with each Adam moves a weight by
    a whole step either way.
    """
    what = f"two devices equal one, float64: {UPDATES} updates, change of weights"
    if device.type == "cuda" and torch.cuda.device_count() < 2:
        report.not_checked(what, "one GPU")
        return
    first = make_network(BACKBONE, STEPS, sizes.width).state_dict()
    with tempfile.TemporaryDirectory() as place:
        states = [processes_end(sizes, device, Path(place) / f"{number}", number, first) for number in (1, 2)]
    one, two = ([state[name] - first[name] for name in state] for state in states)
    report.check(what, distance(two, one), DOUBLE_CHANGES)


def processes_end(sizes: Sizes, device: torch.device, folder: Path, number: int, first: State) -> dict[str, Tensor]:
    """What the network's state holds after `small_training` in so many processes, one for each device, in float64.

    folder: a new one, for their files. first: the weights that they read from there, since weights that each made by
    itself would differ by rounding with its number of threads.
    """
    folder.mkdir()
    save_file({name: tensor.contiguous() for name, tensor in first.items()}, folder / FIRST)
    launcher = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={number}"] if number > 1 else []
    quick = ["--quick"] if sizes == TINY else []
    command = [sys.executable, *launcher, "-m", "tools.gpu.training", device.type, str(folder), str(number)]
    done = subprocess.run([*command, *quick], cwd=ROOT, capture_output=True, text=True, timeout=120)
    if done.returncode:
        raise RuntimeError((done.stderr.strip().splitlines() or ["no message"])[-1])
    return load_file(folder / LAST)


def check_compile(report: Report, sizes: Sizes, device: torch.device) -> None:
    """A compiled network has the losses of one that is not; its speed beside it."""
    batch = [make_batch(sizes.loaded, sizes.training).to(device)]
    losses, speeds, first = {}, {}, 0.0
    for compiled in (False, True):
        settings = train_settings(sizes.training, sizes.loaded, compile=compiled)
        training = Training(make_network("mobilenet", 2, sizes.width), settings, device)
        started = time.perf_counter()
        found = [training.update(batch)]
        synchronise(device)
        first = time.perf_counter() - started
        found += [training.update(batch) for _ in range(4)]
        losses[compiled] = torch.stack(found).cpu()
        synchronise(device)
        started, number = time.perf_counter(), 0
        while time.perf_counter() - started < sizes.timed:
            training.update(batch)
            synchronise(device)
            number += 1
        speeds[compiled] = number / (time.perf_counter() - started)
    report.check(
        "torch.compile, mobilenet, 2 steps, float32: losses of 5 updates",
        distance([losses[True]], [losses[False]]),
        1e-2,
    )
    report.figure(
        f"torch.compile: updates of {sizes.loaded} per second, compiled in {first:.0f} s",
        f"{speeds[True]:.2f}",
        f"not compiled: {speeds[False]:.2f}",
    )


def main() -> None:
    """Train in one of the processes that torchrun has started, and leave the state in the folder."""
    parser = argparse.ArgumentParser()
    parser.add_argument("device")
    parser.add_argument("folder", type=Path)
    parser.add_argument("devices", type=int)
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    sizes = TINY if given.quick else FULL
    device, first = torch.device(given.device), load_file(given.folder / FIRST)
    state = small_training(sizes, device, given.folder, devices=given.devices, changes=IN_DOUBLE, first=first)
    if not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0:
        save_file(state, given.folder / LAST)


if __name__ == "__main__":
    main()
