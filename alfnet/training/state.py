"""How far a run is, and the losses that it has seen: what its checkpoints hold beside weights and optimiser."""

from __future__ import annotations

import math
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.training.samples import Batch

Losses = dict[str, float]


class RunState:
    """Counts updates and means their losses. The position among the samples is the number of updates."""

    def __init__(self) -> None:
        self.update = 0
        self.history: list[tuple[int, Losses]] = []
        """What has been logged: the update, and the mean losses since the one before."""
        self._sums: Losses = {}
        self._summed = 0
        self._pending: list[tuple[int, dict[str, Tensor], list[str]]] = []

    def advance(self, losses: dict[str, Tensor], batch: list[Batch]) -> None:
        """Count an update with its losses, which stay on the device until somebody looks (`collect`)."""
        self.update += 1
        self._pending.append((self.update, losses, [name for micro in batch for name in micro.names]))

    def collect(self, fabric: Fabric) -> None:
        """Fetch the losses of all updates since the last call, in one go; every process of the run has to call this.

        Raises AlfnetError where one is not finite, naming the update, the images of this process and the losses.
        """
        if not self._pending:
            return
        names = list(self._pending[0][1])
        table = torch.stack([torch.stack([losses[name] for name in names]) for _, losses, _ in self._pending])
        if fabric.world_size > 1:
            table = fabric.all_reduce(table, reduce_op="sum")
        for (update, _, images), values in zip(self._pending, table.tolist(), strict=True):
            losses = dict(zip(names, values, strict=True))
            if not all(map(math.isfinite, values)):
                raise AlfnetError(
                    f"the loss is not finite at update {update} ({_in_words(losses)}) on the images "
                    f"{', '.join(images)}; lower train.learning_rate.peak, or look at these images' annotations"
                )
            for name, value in losses.items():
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._summed += 1
        self._pending = []

    def log(self, fabric: Fabric) -> Losses:
        """Give the mean losses since the last call to Fabric's loggers; `loss` is their sum. AlfnetError as `collect`."""
        self.collect(fabric)
        parts = {name: value / self._summed for name, value in self._sums.items()}
        losses = {"loss": sum(parts.values()), **parts}
        self.history.append((self.update, losses))
        self._sums, self._summed = {}, 0
        fabric.log_dict(losses, step=self.update)
        return losses

    def replay(self, fabric: Fabric) -> None:
        """Log again what a resumed run had logged, so that its curves are those of an uninterrupted one."""
        for update, losses in self.history:
            fabric.log_dict(losses, step=update)

    def state_dict(self) -> dict[str, Any]:
        """For the checkpoint; `collect` has to come first."""
        return {
            "update": self.update,
            "history": self.history,
            "sums": self._sums,
            "summed": self._summed,
            "random": torch.get_rng_state(),
        }

    def load_state_dict(self, saved: dict[str, Any]) -> None:
        """Take over what `state_dict` gave."""
        self.update = saved["update"]
        self.history = [(update, losses) for update, losses in saved["history"]]
        self._sums, self._summed, self._pending = saved["sums"], saved["summed"], []
        torch.set_rng_state(saved["random"].cpu())


def _in_words(losses: Losses) -> str:
    steps: dict[str, list[str]] = {}
    for name, value in losses.items():
        step, part = name.removeprefix("step").split("_")
        steps.setdefault(step, []).append(f"{part} {value:.4g}")
    return ", ".join(f"step {step}: {', '.join(parts)}" for step, parts in steps.items())
