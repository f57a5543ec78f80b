"""The learning rate over the updates."""

from __future__ import annotations

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from alfnet.params import LearningRateSettings


def learning_rate_schedule(optimizer: Optimizer, settings: LearningRateSettings, updates: int) -> LRScheduler:
    """A scheduler to be stepped once per update (batch).

    constant: the peak throughout. drop: times `drop_factor` from the fraction `drop_at` of the updates on (paper: a tenth
    for the last third). one_cycle: up from peak / 25 over the first 30 % and down to nearly nothing, cosine.
    """
    if settings.schedule == "one_cycle":
        return OneCycleLR(optimizer, settings.peak, total_steps=updates + 1, cycle_momentum=False)
    milestones = [round(settings.drop_at * updates)] if settings.schedule == "drop" else []
    return MultiStepLR(optimizer, milestones, settings.drop_factor)
