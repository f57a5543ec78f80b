"""The moving average of all weights over the updates (mean teacher), which is what gets tested.

The rule: docs/method.md#weight-average.
"""

from __future__ import annotations

import copy
from typing import Generic, TypeVar

import torch
from torch import nn

Model = TypeVar("Model", bound=nn.Module)


class WeightAverage(Generic[Model]):
    """average <- decay x average + (1 - decay) x weights, after every optimiser update, from the first weights on.

    All floating-point tensors of the state are averaged, batch normalisation's statistics among them; others are copied.
    """

    def __init__(self, model: Model, decay: float) -> None:
        self.model: Model = copy.deepcopy(model)
        self.model.requires_grad_(False)
        self.decay = decay

    @torch.no_grad()
    def update(self, model: Model) -> None:
        """Take in the weights after an update."""
        averages, current = [], []
        for old, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if old.is_floating_point():
                averages.append(old)
                current.append(new)
            else:
                old.copy_(new)
        # decay x average first and then the addition: one rounding each, the same on every processor.
        torch._foreach_mul_(averages, self.decay)
        torch._foreach_add_(averages, current, alpha=1 - self.decay)
