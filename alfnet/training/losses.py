"""The loss of one step: focal classification and smooth L1 regression (docs/method.md#loss)."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from alfnet.boxes.targets import Targets

FOCAL_GAMMA = 2  # paper, section 3.4
POSITIVE_WEIGHT = 0.25
NEGATIVE_WEIGHT = 0.75


class StepLoss(NamedTuple):
    """The two parts of a step's loss (scalars with gradient), and the number of positives in its images (int64)."""

    classification: Tensor
    regression: Tensor
    positives: Tensor

    @property
    def total(self) -> Tensor:
        """The parts, weighted equally."""
        return self.classification + self.regression


def step_loss(
    logits: Tensor,
    offsets: Tensor,
    targets: Targets,
    *,
    positives: Tensor | None = None,
    images: int | None = None,
) -> StepLoss:
    """Loss of one step's predictions.

    logits: (B, N) before the sigmoid; offsets: (B, N, 4) in units of the standard deviations, as in `targets`.
    Both parts are sums over the boxes / max(1, positives in the whole batch), then the mean over the batch's images.

    positives, images: the whole batch's counts where the given images are a part of it (gradient accumulation, several
    devices): the parts' losses then add up to the whole batch's. Left out: the given images are the whole batch.

    A box that is positive and negative at once counts once, as a positive: its label is 1, so the negatives' weight,
    made for label 0, has no meaning for it. The published rule leaves this open.
    """
    logits, offsets = _at_least_single(logits), _at_least_single(offsets)
    found = targets.positive.sum()
    batch_positives = (found if positives is None else positives).clamp(min=1)
    share = 1 / (batch_positives.to(logits.dtype) * (logits.shape[0] if images is None else images))
    return StepLoss(_focal(logits, targets) * share, _smooth_l1(offsets, targets) * share, found)


def _focal(logits: Tensor, targets: Targets) -> Tensor:
    """Sum over positives and negatives of weight x (1 - p)^2 x -log(p); p is the probability of the right class."""
    right = torch.where(targets.positive, logits, -logits)  # the logit of p; finite at any logit, unlike log(sigmoid)
    weight = POSITIVE_WEIGHT * targets.positive + NEGATIVE_WEIGHT * (targets.negative & ~targets.positive)
    return -(weight * torch.sigmoid(-right) ** FOCAL_GAMMA * F.logsigmoid(right)).sum()


def _smooth_l1(offsets: Tensor, targets: Targets) -> Tensor:
    """Sum over the positives and their four offsets, beta 1."""
    each = F.smooth_l1_loss(offsets, targets.offsets.to(offsets.dtype), reduction="none", beta=1.0)
    return (each.sum(dim=-1) * targets.positive).sum()


def _at_least_single(tensor: Tensor) -> Tensor:
    """bfloat16 predictions (mixed precision) in float32: the sums run over tens of thousands of boxes."""
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))
