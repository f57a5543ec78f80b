"""The device computes what the CPU computes: predictions, loss, gradients, updates, targets, selection of boxes."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.boxes.coding import step_boxes
from alfnet.boxes.targets import Targets, assign
from alfnet.detection.postprocess import select
from alfnet.network.alfnet import normalise
from alfnet.params import TrainSettings
from alfnet.training.losses import step_loss
from alfnet.training.samples import Batch
from tools.gpu.material import (
    Sizes,
    Training,
    distance,
    largest,
    make_batch,
    make_network,
    published,
    state_on_cpu,
    thresholds,
    train_settings,
)
from tools.gpu.report import Report
from tools.gpu.rounding import add_rounding

STEPS = 2
BATCH = 2
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Precision:
    """A way of computing, the rounding it does, and how far its predictions and loss may be from the CPU's, as parts of them."""

    name: str
    changes: dict[str, object]
    rounding: float
    """The largest error of a number that is rounded, as a part of it: the mantissas have 24, 11 and 8 bits."""
    predictions: float
    loss: float


PRECISIONS = (
    Precision("float32", {}, 2.0**-23, 1e-4, 1e-4),
    Precision("TF32", {"tf32": True}, 2.0**-11, 2e-2, 1e-2),
    Precision("bf16-mixed", {"precision": "bf16-mixed"}, 2.0**-8, 0.1, 5e-2),
)
FACTOR = 4
"""So many times as far as the CPU's own results with rounding errors added (tools/gpu/rounding.py) a device's may be off."""
SEEDS = (1, 2)
"""Of the rounding errors; the larger effect counts."""
# Below these nothing is asked in float32: one activation or one box on an edge does as much. Faults that small show in float64.
FLOOR_GRADIENTS, FLOOR_LOSSES, FLOOR_CHANGES = 1e-3, 1e-3, 2e-2

IN_DOUBLE: dict[str, object] = {"precision": "64-true"}
DOUBLE_PREDICTIONS = DOUBLE_LOSS = 1e-6
DOUBLE_GRADIENTS = 1e-5
DOUBLE_LOSSES = 1e-4
DOUBLE_CHANGES = 1e-2  # the losses' own arithmetic stays in float32, and Adam follows a gradient's sign


def check_agreement(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Compare both backbones on the device with the CPU: strictly in float64, then in every precision to train with.

    In float64 rounding is too small to be enlarged into anything, so that limits can be strict: what computes something
    else fails here, be it one layer's gradient. In the other precisions the limits are multiples of what rounding does.
    """
    for backbone in ("resnet50", "mobilenet"):
        report.attempt(f"{backbone}: agreement", functools.partial(_check_backbone, report, backbone, sizes, device))


def _check_backbone(
    report: Report,
    backbone: str,
    sizes: Sizes,
    device: torch.device,
    precisions: Sequence[Precision] = PRECISIONS,
) -> None:
    """Predictions, loss and gradients on the same targets, then updates that find their own; float64 comes first."""
    settings = train_settings(sizes.agreement, BATCH)
    batch = make_batch(BATCH, sizes.agreement)
    batches = [make_batch(BATCH, sizes.agreement, seed=10 + index) for index in range(sizes.updates)]

    def outcome(
        changes: dict[str, object],
        where: torch.device,
        targets: list[Targets] | None,
        rounding: tuple[float, int] | None = None,
    ) -> Outcome:
        changed = settings.model_copy(update=changes)
        once = one_pass(backbone, sizes, changed, batch, where, targets, rounding)
        return Outcome(once, *updates(backbone, sizes, changed, batches, where, rounding))

    exact = outcome(IN_DOUBLE, CPU, None)
    targets = exact.once.targets

    def in_double() -> None:
        title = f"{backbone}, {STEPS} steps, float64"
        off = differences(outcome(IN_DOUBLE, device, targets), exact)
        report.check(f"{title}: predictions", off.predictions, DOUBLE_PREDICTIONS)
        report.check(f"{title}: loss", off.loss, DOUBLE_LOSS)
        of_all = f"{title}: gradients, the worst of {len(off.tensors)} tensors"
        report.check(of_all, largest(off.tensors.values()), DOUBLE_GRADIENTS)
        report.check(f"{title}: {sizes.updates} updates, losses", float(off.losses.max()), DOUBLE_LOSSES)
        report.check(f"{title}: {sizes.updates} updates, change of weights", off.changes, DOUBLE_CHANGES)

    report.attempt(f"{backbone}, float64", in_double)
    wanted = outcome({}, CPU, targets) if precisions else exact

    def compare(precision: Precision) -> None:
        title = f"{backbone}, {STEPS} steps, {precision.name}"
        off = differences(outcome(precision.changes, device, targets), wanted)
        own = [differences(outcome({}, CPU, targets, (precision.rounding, seed)), wanted) for seed in SEEDS]
        report.check(f"{title}: predictions", off.predictions, precision.predictions)
        report.check(f"{title}: loss", off.loss, precision.loss)
        # A head's gradient may hang on one activation at 0, as the backbone's hang on thousands: one measure for both.
        gradients = largest([FLOOR_GRADIENTS / FACTOR, *(largest([each.heads, each.backbone]) for each in own)])
        report.check_spread(f"{title}: gradients of the heads", off.heads, gradients, FACTOR)
        report.check_spread(f"{title}: gradients of the backbone", off.backbone, gradients, FACTOR)
        losses = largest([FLOOR_LOSSES / FACTOR, *(each.losses for each in own)])
        report.check_spread(f"{title}: {sizes.updates} updates, losses", float(off.losses.max()), losses, FACTOR)
        changes = largest([FLOOR_CHANGES / FACTOR, *(each.changes for each in own)])
        report.check_spread(f"{title}: {sizes.updates} updates, change of weights", off.changes, changes, FACTOR)

    for precision in precisions:
        report.attempt(f"{backbone}, {precision.name}", functools.partial(compare, precision))


class Pass(NamedTuple):
    """What a batch gives, on the CPU: predictions of all steps, loss, gradients, and the targets that were used."""

    predictions: list[Tensor]
    loss: float
    gradients: dict[str, Tensor]
    targets: list[Targets]


class Outcome(NamedTuple):
    """What is compared: a pass, then the losses of updates, and by how much they changed the network's state."""

    once: Pass
    losses: Tensor
    changes: list[Tensor]


class Differences(NamedTuple):
    """How far an outcome is from another, as parts of that."""

    predictions: float
    loss: float
    tensors: dict[str, float]
    """Of the gradients, by the parameter's name."""
    heads: float
    backbone: float
    losses: Tensor
    changes: float


def differences(found: Outcome, wanted: Outcome) -> Differences:
    """Norms of differences, divided by norms of what is wanted."""
    one, other = found.once.gradients, wanted.once.gradients
    parts = [[name for name in other if name.startswith("backbone.") == backbone] for backbone in (False, True)]
    heads, backbone = (distance([one[name] for name in names], [other[name] for name in names]) for names in parts)
    return Differences(
        distance(found.once.predictions, wanted.once.predictions),
        abs(found.once.loss / wanted.once.loss - 1),
        {name: distance([one[name]], [other[name]]) for name in other},
        heads,
        backbone,
        (found.losses / wanted.losses - 1).abs().double(),
        distance(found.changes, wanted.changes),
    )


def one_pass(
    backbone: str,
    sizes: Sizes,
    settings: TrainSettings,
    batch: Batch,
    device: torch.device,
    targets: Sequence[Targets] | None = None,
    rounding: tuple[float, int] | None = None,
) -> Pass:
    """Forward and backward once. `targets` of another device: a box on the edge of a threshold then makes no difference.

    rounding: the largest of the rounding errors that are added, as a part, and their seed.
    """
    training = _training(backbone, sizes, settings, device, rounding)
    moved = batch.to(device)
    predictions = training.network(normalise(moved.images))
    if targets is None:
        default = anchors(*sizes.agreement, published().head.anchors).to(device)
        boxes = cascade(default, [offsets.detach() for _, offsets in predictions[:-1]], *sizes.agreement)
        used = [step_targets(step, boxes[step], moved) for step in range(STEPS)]
    else:
        used = [Targets(*(getattr(each, name).to(device) for name in Targets.__annotations__)) for each in targets]
    pairs = zip(predictions, used, strict=True)
    loss = torch.stack([step_loss(logits, offsets, each).total for (logits, offsets), each in pairs]).sum()
    training.fabric.backward(loss)
    named = training.network.module.named_parameters()
    gradients = {name: parameter.grad.cpu() for name, parameter in named if parameter.grad is not None}
    return Pass([t.detach().cpu() for pair in predictions for t in pair], loss.item(), gradients, used)


def _training(
    backbone: str, sizes: Sizes, settings: TrainSettings, device: torch.device, rounding: tuple[float, int] | None
) -> Training:
    network = make_network(backbone, STEPS, sizes.width)
    if rounding is not None:
        add_rounding(network, *rounding)
    return Training(network, settings, device)


def step_targets(step: int, boxes: Tensor, batch: Batch) -> Targets:
    """Targets of a step (from 0) whose boxes are given, by the published thresholds."""
    pair = thresholds(STEPS)[step]
    order = "positives_first" if step == 0 else published().train.targets.later_steps
    return assign(boxes, batch.pedestrians, batch.ignore_regions, lower=pair.lower, upper=pair.upper, order=order)


def updates(
    backbone: str,
    sizes: Sizes,
    settings: TrainSettings,
    batches: Sequence[Batch],
    device: torch.device,
    rounding: tuple[float, int] | None = None,
) -> tuple[Tensor, list[Tensor]]:
    """The losses of some updates, and by how much they changed what the network's state holds."""
    training = _training(backbone, sizes, settings, device, rounding)
    before = state_on_cpu(training.network.module)
    losses = torch.stack([training.update([batch.to(device)]) for batch in batches])
    after = state_on_cpu(training.network.module)
    return losses.cpu(), [after[name] - before[name] for name in before]


def check_sets(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Targets of the same boxes, and the selection among the same boxes, are the same sets."""
    size = sizes.training
    batch = make_batch(4, size)
    default = anchors(*size, published().head.anchors)
    random = np.random.default_rng(0)
    offsets = torch.from_numpy(random.standard_normal((len(batch), len(default), 4)).astype(np.float32))
    moved = step_boxes(default, offsets, *size)

    def targets() -> None:
        for step, boxes in enumerate((default, moved)):
            wanted = step_targets(step, boxes, batch)
            found = step_targets(step, boxes.to(device), batch.to(device))
            differ = (found.positive.cpu() != wanted.positive) | (found.negative.cpu() != wanted.negative)
            differ |= wanted.positive & (found.matched.cpu() != wanted.matched)
            what = f"targets of step {step + 1}: of {differ.numel()} boxes ({int(wanted.positive.sum())} positive)"
            report.check(f"{what} those that differ", int(differ.sum()), 0)
            off = float((found.offsets.cpu() - wanted.offsets).abs().max())
            report.check(f"targets of step {step + 1}: largest difference of offsets", off, 1e-4)

    def selection() -> None:
        values = published().detect.model_dump(exclude={"scores"})
        scores = torch.from_numpy(random.random(moved.shape[:2]).astype(np.float32))
        differ = kept = 0
        for boxes, score in zip(moved, scores, strict=True):
            wanted = select(boxes, score, **values)
            found = select(boxes.to(device), score.to(device), **values)
            one, other = (
                {tuple(row) for row in torch.cat([s.boxes, s.scores[:, None]], dim=1).tolist()} for s in (wanted, found)
            )
            differ, kept = differ + len(one ^ other), kept + len(one)
        report.check(f"selection (NMS) among {moved.shape[1]} boxes: of {kept} kept those that differ", differ, 0)

    report.attempt("targets", targets)
    report.attempt("selection (NMS)", selection)
