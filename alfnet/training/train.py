"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet
from alfnet.network.layers import normalise_across_processes
from alfnet.params import IouThresholds, MachineSettings, TrainSettings
from alfnet.runtime import make_fabric
from alfnet.training.batch_losses import BatchLosses
from alfnet.training.checkpoints import Checkpoints
from alfnet.training.processes import end_with_starter
from alfnet.training.samples import Batch, TrainingSamples, loader, on_device
from alfnet.training.schedule import learning_rate_schedule, make_optimizer
from alfnet.training.state import RunState
from alfnet.training.weight_average import WeightAverage


def train(
    network: Any,
    samples: TrainingSamples,
    settings: TrainSettings,
    thresholds: Sequence[IouThresholds],
    machine: MachineSettings,
    *,
    fabric: Fabric,
    checkpoints: Checkpoints,
    on_update: Callable[[RunState], None] = lambda state: None,
    on_snapshot: Callable[[int, ALFNet], None] = lambda update, network: None,
) -> ALFNet:
    """Train `network`, an ALFNet, from its present weights and return what is tested: its weight average, where there is one.

    The run goes on from its newest checkpoint. Every `log_every` updates Fabric's loggers get the mean losses since the
    last time, and those of before again when a run is resumed. `on_update` is called after every update, `on_snapshot`
    in the first process after every `snapshot_every`th, with its number and what would be tested then.

    Raises AlfnetError for a loss that is not finite, naming the update, the images and the parts of the loss.
    """
    optimizer = make_optimizer(network.parameters(), settings)
    schedule = learning_rate_schedule(optimizer, settings.learning_rate, settings.updates)
    network, optimizer = fabric.setup(prepared(network, settings, fabric), optimizer)
    average = None if settings.weight_average is None else WeightAverage(network.module, settings.weight_average)
    run = RunState()
    state = {"network": network, "optimizer": optimizer, "schedule": schedule, "run": run}
    if average is not None:
        state["average"] = average.model
    if checkpoints.load(fabric, state, settings.updates):
        run.replay(fabric)
        on_update(run)

    losses = BatchLosses(network, settings, thresholds, fabric)
    all_steps = list(range(1, network.settings.steps + 1))
    rounds = [all_steps] if settings.steps == "joint" else [[step] for step in all_steps]
    for batch in update_batches(samples, settings, machine, fabric, first_update=run.update):
        found: dict[str, Tensor] = {}
        for steps in rounds:
            found |= losses.backward(batch, steps)
            optimizer.step()
            optimizer.zero_grad()
            if average is not None:
                average.update(network.module)
        schedule.step()
        run.advance(found, batch)
        if run.update % settings.log_every == 0 or run.update == settings.updates:
            run.log(fabric)
        if settings.snapshot_every and run.update % settings.snapshot_every == 0 and fabric.is_global_zero:
            on_snapshot(run.update, network.module if average is None else average.model)
        if run.update % machine.checkpoint_every == 0 or run.update == settings.updates:
            run.collect(fabric)
            checkpoints.save(fabric, run.update, state)
        on_update(run)
    return (network.module if average is None else average.model).eval()


def prepared(network: ALFNet, settings: TrainSettings, fabric: Fabric) -> Any:
    """The network as the settings and the number of processes want it to be computed."""
    network = network.train()
    if settings.channels_last:
        network = network.to(memory_format=torch.channels_last)
    if fabric.world_size > 1:
        normalise_across_processes(network)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = settings.tf32
    return torch.compile(network) if settings.compile else network


def update_batches(
    samples: TrainingSamples, settings: TrainSettings, machine: MachineSettings, fabric: Fabric, *, first_update: int
) -> Iterator[list[Batch]]:
    """The micro-batches of this process on its device, update by update."""
    batches = on_device(
        loader(
            samples,
            first_update=first_update,
            updates=settings.updates,
            batch=settings.batch,
            images_per_device=settings.images_per_device,
            workers=machine.workers,
            rank=fabric.global_rank,
            world=fabric.world_size,
            pin_memory=fabric.device.type == "cuda",
        ),
        fabric.device,
    )
    micro_batches = settings.batch // (settings.images_per_device * fabric.world_size)
    while update := list(islice(batches, micro_batches)):
        yield update


def training_fabric(settings: TrainSettings, machine: MachineSettings, **options: Any) -> Fabric:
    """Fabric by the settings, launched. With `steps: alternating` each update leaves other steps' blocks out.

    Raises AlfnetError where the batch cannot be parted among the processes that were started.
    """
    strategy = "auto"
    if machine.devices * machine.nodes > 1 or torch.distributed.is_torchelastic_launched():
        strategy = "ddp_find_unused_parameters_true" if settings.steps == "alternating" else "ddp"
    fabric = make_fabric(
        machine.accelerator,
        devices=machine.devices,
        nodes=machine.nodes,
        precision=settings.precision,
        strategy=strategy,
        **options,
    )
    end_with_starter(fabric)
    fabric.launch()
    together = settings.images_per_device * fabric.world_size
    if settings.batch % together:
        part, rest = divmod(settings.batch, fabric.world_size)
        remedy = "start as many processes as divide it" if rest else f"set it to {part} or to a divisor of that"
        raise AlfnetError(
            f"train.images_per_device: {fabric.world_size} processes of {settings.images_per_device} images each take "
            f"{together}, and a batch of {settings.batch} does not part into these; {remedy}"
        )
    return fabric
