"""The training loop."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.boxes.targets import Targets, assign
from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.params import IouThresholds, MachineSettings, TrainSettings
from alfnet.training.checkpoints import Checkpoints
from alfnet.training.losses import StepLoss, step_loss
from alfnet.training.samples import Batch, TrainingSamples, loader
from alfnet.training.schedule import learning_rate_schedule
from alfnet.training.weight_average import WeightAverage

Losses = dict[str, float]
OnLog = Callable[[int, Losses], None]


def train(
    model: ALFNet,
    samples: TrainingSamples,
    settings: TrainSettings,
    thresholds: Sequence[IouThresholds],
    machine: MachineSettings,
    *,
    fabric: Fabric,
    checkpoints: Checkpoints,
    on_log: OnLog,
    on_update: Callable[[int], None] = lambda update: None,
) -> ALFNet:
    """Train `model` from its present weights and return the network to test: its weight average, where there is one.

    The run goes on from its newest checkpoint. `on_log(update, losses)` is called every `log_every` updates with the mean
    losses since the last call, on the first process alone, and for all earlier ones again when a run is resumed;
    `on_update(update)` after every update. Both count updates from 1.

    Raises AlfnetError for a loss that is not finite, naming the update, the images and the parts of the loss.
    """
    model.train()
    module: ALFNet = fabric.to_device(model)
    average = WeightAverage(module, settings.weight_average) if settings.weight_average is not None else None
    parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
    optimizer = make_optimizer(parameters, settings)
    schedule = learning_rate_schedule(optimizer, settings.learning_rate, settings.updates)
    wrapped, wrapped_optimizer = fabric.setup(module, optimizer)
    state = _RunState(module, average, optimizer, schedule)

    saved = checkpoints.load(fabric)
    if saved is not None:
        state.restore(saved)
        fabric.print(f"going on after update {state.update} of {settings.updates}")
        for update, logged in state.history:
            on_log(update, logged)
    if state.update:
        on_update(state.update)

    step_losses = BatchLosses(wrapped, model, settings, thresholds, fabric)
    micro_batches = settings.batch // (settings.images_per_device * fabric.world_size)
    batches = loader(
        samples,
        first_update=state.update,
        updates=settings.updates,
        batch=settings.batch,
        images_per_device=settings.images_per_device,
        workers=machine.workers,
        rank=fabric.global_rank,
        world=fabric.world_size,
    )
    all_steps = list(range(1, model.settings.steps + 1))
    rounds = [all_steps] if settings.steps == "joint" else [[step] for step in all_steps]
    for batch in _groups(batches, micro_batches):
        losses: Losses = {}
        for steps in rounds:
            losses |= step_losses.backward(batch, steps, update=state.update + 1)
            wrapped_optimizer.step()
            wrapped_optimizer.zero_grad(set_to_none=True)
            if average is not None:
                average.update(module)
        schedule.step()
        state.advance(losses)
        if state.update % settings.log_every == 0 or state.update == settings.updates:
            logged = state.log()
            if fabric.is_global_zero:
                on_log(state.update, logged)
        if state.update % machine.checkpoint_every == 0 and state.update < settings.updates:
            checkpoints.save(fabric, state.update, state.dump())
        on_update(state.update)
    return (model if average is None else average.model).eval()


class BatchLosses:
    """The losses of a batch and their gradients, whether the batch is in one piece or in several, on one device or more."""

    def __init__(
        self,
        wrapped: Any,
        model: ALFNet,
        settings: TrainSettings,
        thresholds: Sequence[IouThresholds],
        fabric: Fabric,
    ) -> None:
        """`wrapped` is Fabric's wrapper of `model`; `thresholds` has one pair per step."""
        self.wrapped, self.model, self.settings, self.thresholds, self.fabric = (
            wrapped,
            model,
            settings,
            thresholds,
            fabric,
        )
        self.height, self.width = settings.augment.height, settings.augment.width
        self.anchors = anchors(self.height, self.width, model.settings.anchors).to(fabric.device)

    def backward(self, batch: Sequence[Batch], steps: Sequence[int], *, update: int) -> Losses:
        """Add the gradients of the summed losses of `steps` (from 1) over the micro-batches; return the parts of the loss.

        The sum of the micro-batches' gradients is that of one big batch, where batch normalisation is fixed: the losses'
        normaliser, the number of positives in the whole batch, is found first. Positives of later steps depend on the
        network, so with more than one micro-batch that takes a forward pass of its own.
        """
        batch = [micro.to(self.fabric.device) for micro in batch]
        divided = len(batch) > 1 or self.fabric.world_size > 1
        prepared = self._count_positives(batch, steps) if len(batch) > 1 else None
        images = sum(len(micro) for micro in batch) * self.fabric.world_size
        sums: dict[str, Tensor] = {}
        for index, micro in enumerate(batch):
            with self.fabric.no_backward_sync(self.wrapped, enabled=index + 1 < len(batch)):
                predictions = self.wrapped(normalise(micro.images))
                if prepared is None:
                    targets = self._targets(predictions, micro, steps)
                    positives = self._total({step: found.positive.sum() for step, found in targets.items()})
                else:
                    targets, positives = prepared[0][index], prepared[1]
                losses = {}
                for step in steps:
                    logits, offsets = predictions[step - 1]
                    whole_batch = positives[step] if divided else None
                    losses[step] = step_loss(logits, offsets, targets[step], positives=whole_batch, images=images)
                total = torch.stack([loss.total for loss in losses.values()]).sum()
                self._check(total, losses, micro, update)
                # Processes' gradients are averaged, but their losses are parts of one sum.
                self.fabric.backward(total * self.fabric.world_size)
            for step, loss in losses.items():
                for part in ("classification", "regression"):
                    name = f"step{step}_{part}"
                    sums[name] = sums.get(name, torch.zeros((), device=total.device)) + getattr(loss, part).detach()
        reduced = self.fabric.all_reduce(sums, reduce_op="sum") if self.fabric.world_size > 1 else sums
        return {name: float(value) for name, value in reduced.items()}

    def _targets(
        self, predictions: Sequence[tuple[Tensor, Tensor]], batch: Batch, steps: Sequence[int]
    ) -> dict[int, Targets]:
        """Targets of `steps`: every step starts from the boxes of the one before it, the first from the anchors."""
        before = [offsets.detach() for _, offsets in predictions[: max(steps) - 1]]
        boxes = cascade(self.anchors, before, self.height, self.width)
        targets: dict[int, Targets] = {}
        for step in steps:
            pair = self.thresholds[step - 1]
            targets[step] = assign(
                boxes[step - 1],
                batch.pedestrians,
                batch.ignore_regions,
                lower=pair.lower,
                upper=pair.upper,
                order="positives_first" if step == 1 else self.settings.targets.later_steps,
            )
        return targets

    @torch.no_grad()
    def _count_positives(
        self, batch: Sequence[Batch], steps: Sequence[int]
    ) -> tuple[list[dict[int, Targets]], dict[int, Tensor]]:
        """Targets of every micro-batch, and the positives of the whole batch per step."""
        kept = [buffer.clone() for buffer in self.model.buffers()]
        targets = [self._targets(self.wrapped(normalise(micro.images)), micro, steps) for micro in batch]
        for buffer, before in zip(self.model.buffers(), kept, strict=True):
            buffer.copy_(before)  # trained batch normalisation sees each batch once
        positives = {step: torch.stack([found[step].positive.sum() for found in targets]).sum() for step in steps}
        return targets, self._total(positives)

    def _total(self, counts: dict[int, Tensor]) -> dict[int, Tensor]:
        """Counts summed over the processes."""
        if self.fabric.world_size == 1:
            return counts
        return {step: self.fabric.all_reduce(count, reduce_op="sum") for step, count in counts.items()}

    def _check(self, total: Tensor, losses: dict[int, StepLoss], batch: Batch, update: int) -> None:
        if torch.isfinite(total):
            return
        parts = ", ".join(
            f"step {step}: classification {loss.classification.item():.4g}, regression {loss.regression.item():.4g}"
            for step, loss in losses.items()
        )
        raise AlfnetError(
            f"the loss is not finite at update {update} ({parts}) on the images {', '.join(batch.names)}; "
            "lower train.learning_rate.peak, or look at these images' annotations"
        )


@dataclass
class _RunState:
    """All that a run needs to go on as if it had never stopped; the loader's position is the number of updates."""

    model: ALFNet
    average: WeightAverage[ALFNet] | None
    optimizer: torch.optim.Optimizer
    schedule: torch.optim.lr_scheduler.LRScheduler

    def __post_init__(self) -> None:
        self.update = 0
        self.history: list[tuple[int, Losses]] = []
        self.sums: Losses = {}
        self.summed = 0

    def advance(self, losses: Losses) -> None:
        """Count an update and its losses."""
        self.update += 1
        self.summed += 1
        for name, value in losses.items():
            self.sums[name] = self.sums.get(name, 0.0) + value

    def log(self) -> Losses:
        """The mean losses since the last call, which the history then holds; `loss` is their sum."""
        parts = {name: value / self.summed for name, value in self.sums.items()}
        losses = {"loss": sum(parts.values()), **parts}
        self.history.append((self.update, losses))
        self.sums, self.summed = {}, 0
        return losses

    def dump(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "average": None if self.average is None else self.average.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "update": self.update,
            "history": self.history,
            "sums": self.sums,
            "summed": self.summed,
            "random": torch.get_rng_state(),
        }

    def restore(self, saved: dict[str, Any]) -> None:
        self.model.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.model.load_state_dict(saved["average"])
        self.optimizer.load_state_dict(saved["optimizer"])
        self.schedule.load_state_dict(saved["schedule"])
        self.update = saved["update"]
        self.history = [(update, losses) for update, losses in saved["history"]]
        self.sums, self.summed = saved["sums"], saved["summed"]
        torch.set_rng_state(saved["random"].cpu())


def _groups(batches: Iterator[Batch], size: int) -> Iterator[list[Batch]]:
    while group := list(islice(batches, size)):
        yield group


def make_optimizer(parameters: Sequence[torch.nn.Parameter], settings: TrainSettings) -> torch.optim.Optimizer:
    """Adam; AdamW's weight decay where it is not 0."""
    first, second = settings.adam_betas
    return torch.optim.AdamW(
        parameters,
        settings.learning_rate.peak,
        betas=(first, second),
        weight_decay=settings.weight_decay,
        fused=True,  # the default takes square roots from MKL, whose bits differ from processor to processor
    )


def make_fabric(settings: TrainSettings, machine: MachineSettings) -> Fabric:
    """Fabric by the settings, launched. With `steps: alternating` each update leaves other steps' blocks out."""
    strategy = "auto"
    if machine.devices * machine.nodes > 1:
        strategy = "ddp_find_unused_parameters_true" if settings.steps == "alternating" else "ddp"
    fabric = Fabric(
        accelerator=machine.accelerator,
        devices=machine.devices,
        num_nodes=machine.nodes,
        precision=settings.precision,
        strategy=strategy,
    )
    fabric.launch()
    return fabric


def image_paths(samples: TrainingSamples) -> list[Path]:
    """The files of the samples, for the run's fingerprint."""
    return [samples.folder / image.file_name for image in samples.images]
