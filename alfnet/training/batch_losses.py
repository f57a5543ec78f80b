"""The losses of a batch and their gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.boxes.targets import Targets, assign
from alfnet.network.alfnet import normalise
from alfnet.params import IouThresholds, TrainSettings
from alfnet.training.losses import step_loss
from alfnet.training.samples import Batch


class BatchLosses:
    """The losses of a batch and their gradients, whether the batch is in one piece or in several, on one device or more.

    Nothing here waits for the device: what is computed there stays there.
    """

    def __init__(
        self, network: Any, settings: TrainSettings, thresholds: Sequence[IouThresholds], fabric: Fabric
    ) -> None:
        """`network` is an ALFNet as `fabric.setup` returns it; `thresholds` has one pair per step."""
        self.network, self.settings, self.thresholds, self.fabric = network, settings, thresholds, fabric
        self.height, self.width = settings.augment.height, settings.augment.width
        self.anchors = anchors(self.height, self.width, network.settings.anchors).to(fabric.device)

    def backward(self, batch: Sequence[Batch], steps: Sequence[int]) -> dict[str, Tensor]:
        """Add the gradients of the summed losses of `steps` (from 1) over the micro-batches; return the parts of the loss.

        The parts are scalars on the device, of this process' images; the processes' add up to the batch's.

        The sum of the micro-batches' gradients is that of one big batch, where batch normalisation is fixed: the losses'
        normaliser, the number of positives in the whole batch, is found first. Positives of later steps depend on the
        network, so with more than one micro-batch that takes a forward pass of its own.
        """
        divided = len(batch) > 1 or self.fabric.world_size > 1
        prepared = self._count_positives(batch, steps) if len(batch) > 1 else None
        images = sum(len(micro) for micro in batch) * self.fabric.world_size
        sums: dict[str, Tensor] = {}
        for index, micro in enumerate(batch):
            with self.fabric.no_backward_sync(self.network, enabled=index + 1 < len(batch)):
                predictions = self.network(normalise(micro.images))
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
                # Processes' gradients are averaged, but their losses are parts of one sum.
                self.fabric.backward(total * self.fabric.world_size)
            for step, loss in losses.items():
                for part in ("classification", "regression"):
                    name = f"step{step}_{part}"
                    value = getattr(loss, part).detach()
                    sums[name] = sums[name] + value if name in sums else value
        return sums

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
        kept = [buffer.clone() for buffer in self.network.buffers()]
        targets = [self._targets(self.network(normalise(micro.images)), micro, steps) for micro in batch]
        for buffer, before in zip(self.network.buffers(), kept, strict=True):
            buffer.copy_(before)  # trained batch normalisation sees each batch once
        positives = {step: torch.stack([found[step].positive.sum() for found in targets]).sum() for step in steps}
        return targets, self._total(positives)

    def _total(self, counts: dict[int, Tensor]) -> dict[int, Tensor]:
        """Counts summed over the processes."""
        if self.fabric.world_size == 1:
            return counts
        return {step: self.fabric.all_reduce(count, reduce_op="sum") for step, count in counts.items()}
