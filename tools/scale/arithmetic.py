"""Operations, hours, memory and disk of the whole paper, from counted operations and a measured GPU."""

from __future__ import annotations

import functools
import heapq
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from alfnet.network.alfnet import ALFNet
from tools.gpu.material import network_settings, published

Kind = tuple[str, int]
"""A network: its backbone and its number of steps."""

SIZE, TEST_SIZE = (640, 1280), (1024, 2048)
"""Height and width of training crops and test images, pixels."""

RATES = {
    "GTX 1080 Ti": (11.3, None),
    "RTX 4090": (82.6, 165.2),
    "A100 80 GB": (19.5, 312.0),
    "H100 80 GB SXM": (66.9, 989.4),
}
"""Peak TFLOP/s of float32 (outside tensor cores) and of dense bfloat16 with float32 sums, by the makers' data sheets."""
REFERENCE = "H100 80 GB SXM"


@dataclass(frozen=True)
class Operations:
    """Floating-point operations of one image, a multiplication and an addition counted as two."""

    forward: int
    update: int
    """Forward and backward, where the published frozen layers get no gradient."""


def _backward_of_convolution(
    leaving: Sequence[int], entering: Sequence[int], weight: Sequence[int], *rest: Any, **_: Any
) -> int:
    """What forward costs, for the gradient of the input and for that of the weights, each if it is asked for.

    Torch's own rule for the weights' takes a convolution in groups for a dense one: MobileNet's would cost many times as much.
    """
    wanted = rest[-1]
    return 2 * math.prod(leaving) * math.prod(weight[1:]) * (wanted[0] + wanted[1])


@functools.cache
def operations(kind: Kind, size: tuple[int, int] = SIZE) -> Operations:
    """Count with torch's own counter, on tensors that have shapes and no content."""
    network = ALFNet(network_settings(*kind, 1.0)).train().to("meta")
    images = torch.empty(1, 3, *size, device="meta")
    with FlopCounterMode(display=False) as counter:
        predictions = network(images)
    forward = counter.get_total_flops()
    rules = {torch.ops.aten.convolution_backward: _backward_of_convolution}
    with FlopCounterMode(display=False, custom_mapping=rules) as counter:
        torch.stack([logits.sum() + offsets.sum() for logits, offsets in predictions]).sum().backward()
    return Operations(forward, forward + counter.get_total_flops())


def trainings() -> dict[str, Kind]:
    """The kind of network of every published variant."""
    return {name: (variant.backbone, variant.steps) for name, variant in published().variants.items()}


@dataclass(frozen=True)
class Gpu:
    """What `make gpu` measured on a GPU, out of its table."""

    name: str
    seconds: dict[tuple[Kind, str], float]
    """Of an update of the published batch, by network and precision."""
    detection: dict[Kind, float]
    """Seconds of an image of 1024 x 2048 in float32."""
    memory: dict[tuple[str, int], float]
    """GiB of an update of ResNet-50 with three steps, by precision and number of images."""


def read_gpu(path: Path) -> Gpu:
    """Read docs/gpu.md. Raises ValueError where the lines are not there."""
    text = path.read_text()
    name = re.search(r"\*\*1 x (.+?) \(", text)
    seconds = {
        ((backbone, int(steps)), precision): float(value)
        for backbone, steps, precision, value in re.findall(
            r"^\| updates per second, (\w+), (\d) steps?, batch 20 in one piece, (float32|bf16-mixed).*?\| ([\d.]+) s an update",
            text,
            re.MULTILINE,
        )
    }
    detection = {
        (backbone, int(steps)): float(value)
        for backbone, steps, value in re.findall(
            r"^\| seconds per image of 1024 x 2048, (\w+), (\d) steps? \| float32 ([\d.]+)", text, re.MULTILINE
        )
    }
    memory = {
        (precision, int(number)): float(value)
        for number, precision, value in re.findall(
            r"^\| peak memory of an update, resnet50, 3 steps, (\d+) images .*?, (float32|bf16-mixed).*?\| ([\d.]+) GiB",
            text,
            re.MULTILINE,
        )
    }
    if name is None or not seconds or not detection or not memory:
        raise ValueError(f"{path}: not a table of `make gpu` that is complete")
    return Gpu(name[1], seconds, detection, memory)


def schedule(seconds: Sequence[float], devices: int) -> float:
    """When the last of some trainings ends, where each device takes the longest that is left."""
    ends = [0.0] * devices
    for each in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + each)
    return max(ends)


def seconds_of_all(gpu: Gpu, precision: str) -> list[float]:
    """Of every training and detection of its 500 test images, on the GPU that was measured."""
    params = published()
    images = 500
    return [
        gpu.seconds[kind, precision] * params.training(name).updates + gpu.detection[kind] * images
        for name, kind in trainings().items()
        for _ in params.seeds
    ]


def operations_of_all() -> int:
    """Of all updates of all trainings."""
    params = published()
    return sum(
        operations(kind).update * params.train.batch * params.training(name).updates * len(params.seeds)
        for name, kind in trainings().items()
    )
