"""The loss of a step against plain Python, and its gradients where they could fail."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from alfnet.boxes.targets import Targets
from alfnet.training.losses import StepLoss, step_loss


def random_case(
    seed: int, images: int = 3, boxes: int = 40, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor, Targets]:
    random = torch.Generator().manual_seed(seed)
    kind = torch.rand(images, boxes, generator=random)
    positive, negative = kind < 0.2, kind > 0.15  # some are both
    negative &= kind < 0.8  # and some neither
    logits = torch.randn(images, boxes, generator=random, dtype=dtype) * 3
    offsets = torch.randn(images, boxes, 4, generator=random, dtype=dtype)
    wanted = torch.randn(images, boxes, 4, generator=random, dtype=dtype) * positive[..., None]
    return logits, offsets, Targets(positive, negative, wanted, torch.zeros_like(kind, dtype=torch.int64))


def slow_loss(logits: Tensor, offsets: Tensor, targets: Targets) -> tuple[float, float]:
    images, boxes = logits.shape
    positives = max(1, int(targets.positive.sum()))
    classification = regression = 0.0
    for image in range(images):
        for box in range(boxes):
            probability = 1 / (1 + math.exp(-logits[image, box].item()))
            if targets.positive[image, box]:
                classification += 0.25 * (1 - probability) ** 2 * -math.log(probability)
                for k in range(4):
                    error = abs(offsets[image, box, k].item() - targets.offsets[image, box, k].item())
                    regression += 0.5 * error**2 if error < 1 else error - 0.5
            elif targets.negative[image, box]:
                classification += 0.75 * probability**2 * -math.log(1 - probability)
    return classification / positives / images, regression / positives / images


@pytest.mark.parametrize("seed", range(4))
def test_equals_the_slow_way(seed: int) -> None:
    case = random_case(seed)
    found = step_loss(*case)
    classification, regression = slow_loss(*case)
    assert found.classification.item() == pytest.approx(classification, rel=1e-12)
    assert found.regression.item() == pytest.approx(regression, rel=1e-12)
    assert found.total.item() == pytest.approx(classification + regression, rel=1e-12)
    assert found.positives.item() == case[2].positive.sum().item()


def test_single_precision_equals_the_slow_way() -> None:
    case = random_case(5, dtype=torch.float32)
    found = step_loss(*case)
    assert found.classification.dtype == torch.float32
    assert (found.classification.item(), found.regression.item()) == pytest.approx(slow_loss(*case), rel=1e-5)


def test_hand_computedrandom_case() -> None:
    """One positive and one negative at probability 1/2; errors 2 and 1/2 in two offsets."""
    targets = Targets(
        torch.tensor([[True, False, False]]),
        torch.tensor([[False, True, False]]),
        torch.tensor([[[2.0, 0.5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]]),
        torch.zeros(1, 3, dtype=torch.int64),
    )
    found = step_loss(torch.zeros(1, 3), torch.zeros(1, 3, 4), targets)
    assert found.classification.item() == pytest.approx((0.25 + 0.75) * 0.25 * math.log(2))
    assert found.regression.item() == pytest.approx(1.5 + 0.125)


def test_gradients_equal_finite_differences() -> None:
    logits, offsets, targets = random_case(6, images=2, boxes=8)

    def total(logits: Tensor, offsets: Tensor) -> Tensor:
        return step_loss(logits, offsets, targets).total

    assert torch.autograd.gradcheck(total, (logits.requires_grad_(), offsets.requires_grad_()))


@pytest.mark.parametrize("logit", [-1000.0, -50.0, 0.0, 50.0, 1000.0])
@pytest.mark.parametrize("pedestrians", [True, False])
def test_gradients_are_finite(logit: float, pedestrians: bool) -> None:
    _, offsets, targets = random_case(7, dtype=torch.float32)
    if not pedestrians:
        nothing = torch.zeros_like(targets.positive)
        targets = Targets(nothing, targets.negative, torch.zeros_like(offsets), targets.matched)
    logits = torch.full(targets.positive.shape, logit, requires_grad=True)
    offsets = (offsets * 1e4).requires_grad_()
    found = step_loss(logits, offsets, targets)
    found.total.backward()
    assert torch.isfinite(found.total)
    assert logits.grad is not None
    assert torch.isfinite(logits.grad).all()
    assert offsets.grad is not None
    assert torch.isfinite(offsets.grad).all()
    if not pedestrians:
        assert found.regression.item() == 0
        assert found.positives.item() == 0


def test_wrong_answers_at_large_logits_still_pull_the_right_way() -> None:
    """The probability's float32 logarithm would be infinite, or its gradient zero, at these logits."""
    both = torch.tensor([[True, False]])
    targets = Targets(both, ~both, torch.zeros(1, 2, 4), torch.zeros(1, 2, dtype=torch.int64))
    logits = torch.tensor([[-50.0, 50.0]], requires_grad=True)
    found = step_loss(logits, torch.zeros(1, 2, 4), targets)
    assert found.classification.item() == pytest.approx((0.25 + 0.75) * 50)
    found.total.backward()
    assert logits.grad is not None
    assert logits.grad[0].tolist() == pytest.approx([-0.25, 0.75])


def test_boxes_that_are_neither_count_for_nothing() -> None:
    logits, offsets, targets = random_case(8)
    logits.requires_grad_()
    offsets.requires_grad_()
    step_loss(logits, offsets, targets).total.backward()
    assert logits.grad is not None
    assert offsets.grad is not None
    assert torch.equal(logits.grad != 0, targets.positive | targets.negative)
    assert torch.equal((offsets.grad != 0).any(dim=-1), targets.positive)


def test_a_box_that_is_both_counts_once_as_a_positive() -> None:
    logits, offsets, targets = random_case(9)
    assert (targets.positive & targets.negative).any()
    alone = Targets(targets.positive, targets.negative & ~targets.positive, targets.offsets, targets.matched)
    assert step_loss(logits, offsets, targets) == step_loss(logits, offsets, alone)


def test_parts_of_a_batch_add_up_to_it() -> None:
    logits, offsets, targets = random_case(10, images=6)
    whole = step_loss(logits, offsets, targets)

    def part(start: int, stop: int) -> StepLoss:
        some = Targets(
            targets.positive[start:stop],
            targets.negative[start:stop],
            targets.offsets[start:stop],
            targets.matched[start:stop],
        )
        return step_loss(logits[start:stop], offsets[start:stop], some, positives=whole.positives, images=6)

    parts = [part(0, 1), part(1, 4), part(4, 6)]
    for name in StepLoss._fields:
        torch.testing.assert_close(sum(getattr(p, name) for p in parts), getattr(whole, name), rtol=1e-12, atol=0)


def test_mixed_precision_is_summed_in_single() -> None:
    logits, offsets, targets = random_case(11, dtype=torch.float32)
    low = step_loss(logits.bfloat16(), offsets.bfloat16(), targets)
    assert low.classification.dtype == low.regression.dtype == torch.float32
    assert low == step_loss(logits.bfloat16().float(), offsets.bfloat16().float(), targets)
