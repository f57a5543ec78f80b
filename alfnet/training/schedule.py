"""The optimiser, and its learning rate over the updates."""

from __future__ import annotations

from collections.abc import Iterable

from torch.nn import Parameter
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LRScheduler, MultiStepLR, OneCycleLR

from alfnet.params import LearningRateSettings, TrainSettings


def make_optimizer(parameters: Iterable[Parameter], settings: TrainSettings) -> Optimizer:
    """Adam on what can be trained of `parameters`; AdamW's weight decay where it is not 0."""
    first, second = settings.adam_betas
    return AdamW(
        [parameter for parameter in parameters if parameter.requires_grad],
        settings.learning_rate.peak,
        betas=(first, second),
        weight_decay=settings.weight_decay,
        fused=True,  # the default takes square roots from MKL, whose bits differ from processor to processor
    )


def learning_rate_schedule(optimizer: Optimizer, settings: LearningRateSettings, updates: int) -> LRScheduler:
    """A scheduler to be stepped once per update (batch).

    constant: the peak throughout. drop: times `drop_factor` from the fraction `drop_at` of the updates on (paper: a tenth
    for the last third). one_cycle: up from peak / 25 over the first 30 % and down to nearly nothing, cosine.
    """
    if settings.schedule == "one_cycle":
        return OneCycleLR(optimizer, settings.peak, total_steps=updates + 1, cycle_momentum=False)
    milestones = [round(settings.drop_at * updates)] if settings.schedule == "drop" else []
    return MultiStepLR(optimizer, milestones, settings.drop_factor)
