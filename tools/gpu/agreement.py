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
    make_batch,
    make_network,
    published,
    state_on_cpu,
    thresholds,
    train_settings,
)
from tools.gpu.report import Report

STEPS = 2
BATCH = 2
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Precision:
    """A way of computing, and how far its results may be from the CPU's in float32, as parts of them.

    The mantissas have 24, 11 and 8 bits, and the layers of a network with random weights enlarge the rounding of the
    lower ones: by some ten times in predictions, by hundreds in the gradients of the backbone's first layers. What no
    limit can be given for is None, and shown as a figure. Rounding to TF32 and to bfloat16 was tried on the CPU.
    """

    name: str
    changes: dict[str, object]
    predictions: float
    loss: float
    head_gradients: float
    backbone_gradients: float | None
    losses_of_updates: float
    changes_of_weights: float | None


PRECISIONS = (
    Precision("float32", {}, 1e-4, 1e-4, 1e-3, 1e-2, 1e-2, 0.3),
    Precision("TF32", {"tf32": True}, 2e-2, 1e-2, 0.2, None, 5e-2, None),
    Precision("bf16-mixed", {"precision": "bf16-mixed"}, 0.1, 5e-2, 0.6, None, 0.2, None),
)


def check_agreement(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Compare both backbones on the device, in every precision, with the CPU in float32."""
    for backbone in ("resnet50", "mobilenet"):
        report.attempt(f"{backbone}: agreement", functools.partial(_check_backbone, report, backbone, sizes, device))


def _check_backbone(report: Report, backbone: str, sizes: Sizes, device: torch.device) -> None:
    """Predictions, loss and gradients on the same targets, then updates that find their own."""
    settings = train_settings(sizes.agreement, BATCH)
    batch = make_batch(BATCH, sizes.agreement)
    batches = [make_batch(BATCH, sizes.agreement, seed=10 + index) for index in range(sizes.updates)]
    wanted = one_pass(backbone, sizes, settings, batch, CPU)
    wanted_losses, wanted_change = updates(backbone, sizes, settings, batches, CPU)

    def compare(precision: Precision) -> None:
        title = f"{backbone}, {STEPS} steps, {precision.name}"
        changed = settings.model_copy(update=precision.changes)
        found = one_pass(backbone, sizes, changed, batch, device, wanted.targets)
        report.check(f"{title}: predictions", distance(found.predictions, wanted.predictions), precision.predictions)
        report.check(f"{title}: loss", abs(found.loss / wanted.loss - 1), precision.loss)
        limits = {"heads": precision.head_gradients, "backbone": precision.backbone_gradients}
        for part, limit in limits.items():
            names = [name for name in wanted.gradients if name.startswith("backbone.") == (part == "backbone")]
            one, other = ([gradients[name] for name in names] for gradients in (found.gradients, wanted.gradients))
            report.check(f"{title}: gradients of the {part}", distance(one, other), limit)
        losses, change = updates(backbone, sizes, changed, batches, device)
        off = float((losses / wanted_losses - 1).abs().max())
        of_updates = f"{title}: {sizes.updates} updates"
        report.check(f"{of_updates}, losses", off, precision.losses_of_updates)
        report.check(f"{of_updates}, change of weights", distance(change, wanted_change), precision.changes_of_weights)

    for precision in PRECISIONS:
        report.attempt(f"{backbone}, {precision.name}", functools.partial(compare, precision))


class Pass(NamedTuple):
    """What a batch gives, on the CPU: predictions of all steps, loss, gradients, and the targets that were used."""

    predictions: list[Tensor]
    loss: float
    gradients: dict[str, Tensor]
    targets: list[Targets]


def one_pass(
    backbone: str,
    sizes: Sizes,
    settings: TrainSettings,
    batch: Batch,
    device: torch.device,
    targets: Sequence[Targets] | None = None,
) -> Pass:
    """Forward and backward once. `targets` of another device: a box on the edge of a threshold then makes no difference."""
    training = Training(make_network(backbone, STEPS, sizes.width), settings, device)
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
    return Pass([t.detach().float().cpu() for pair in predictions for t in pair], loss.item(), gradients, used)


def step_targets(step: int, boxes: Tensor, batch: Batch) -> Targets:
    """Targets of a step (from 0) whose boxes are given, by the published thresholds."""
    pair = thresholds(STEPS)[step]
    order = "positives_first" if step == 0 else published().train.targets.later_steps
    return assign(boxes, batch.pedestrians, batch.ignore_regions, lower=pair.lower, upper=pair.upper, order=order)


def updates(
    backbone: str, sizes: Sizes, settings: TrainSettings, batches: Sequence[Batch], device: torch.device
) -> tuple[Tensor, list[Tensor]]:
    """The losses of some updates, and by how much they changed what the network's state holds."""
    training = Training(make_network(backbone, STEPS, sizes.width), settings, device)
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
        values = published().detect.model_dump()
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
