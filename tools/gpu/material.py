"""Networks, pictures and batches for the checks: made up on the spot, by the published settings."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from alfnet.annotations.cache import CachedImage
from alfnet.boxes.targets import BoxLists
from alfnet.images import write_png
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.network.resnet50 import Bottleneck
from alfnet.network.settings import NetworkSettings
from alfnet.params import IouThresholds, MachineSettings, Params, TrainSettings, load_params
from alfnet.runtime import make_fabric
from alfnet.training.batch_losses import BatchLosses
from alfnet.training.samples import Batch
from alfnet.training.schedule import make_optimizer
from alfnet.training.train import prepared

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = 1
CALIBRATION = (128, 256)  # pixels of the picture by which batch normalisation is set

State = Mapping[str, Tensor]


@dataclass(frozen=True)
class Sizes:
    """How large everything is: as published (`FULL`), or so small that a CPU is through in seconds (`TINY`)."""

    width: float
    """Multiplies the channels of backbone and heads."""
    agreement: tuple[int, int]
    """Height and width of the pictures on which devices are compared, pixels."""
    updates: int
    """Of the trainings that are compared."""
    training: tuple[int, int]
    """Height and width of the crops, pixels."""
    batches: tuple[int, ...]
    """Images per update of the memory that is measured; the last is the published batch."""
    loaded: int
    """Images per update where the loading of data is measured."""
    detection: tuple[int, int]
    """Height and width of the images that are trained on and detected in, pixels."""
    images: int
    workers: int
    timed: float
    """Seconds for which a speed is measured, about."""


FULL = Sizes(1.0, (128, 256), 20, (640, 1280), (1, 10, 20), 10, (1024, 2048), 60, 8, 1.0)
TINY = Sizes(0.05, (128, 256), 3, (64, 128), (1, 2), 2, (128, 256), 4, 1, 0.01)


@functools.cache
def published() -> Params:
    """The paper's settings."""
    return load_params(ROOT / "profiles" / "citypersons.yaml")


def train_settings(size: tuple[int, int], batch: int, **changes: Any) -> TrainSettings:
    """The published training on crops of a height and width, a batch in one piece, with other values where given."""
    values = published().train.model_dump()
    values["augment"] |= {"height": size[0], "width": size[1]}
    return TrainSettings.model_validate(values | {"batch": batch, "images_per_device": batch} | changes)


def machine_settings(device: torch.device, **changes: Any) -> MachineSettings:
    """One process on the device, loading its images itself, unless `changes` say otherwise."""
    values = published().machine.model_dump() | {"accelerator": device.type, "workers": 0, "devices": 1}
    return MachineSettings.model_validate(values | changes)


def thresholds(steps: int) -> list[IouThresholds]:
    """The published training thresholds of a network of so many steps."""
    return published().train.targets.thresholds[str(steps)]


def network_settings(backbone: str, steps: int, width: float) -> NetworkSettings:
    """A published network, with its channels multiplied by `width`; batch normalisation and frozen layers as published."""
    params = published()
    of_backbone = params.backbones[backbone]
    return NetworkSettings(
        backbone=backbone,
        steps=steps,
        backbone_width=width,
        head_width=width,
        batch_norm=of_backbone.batch_norm,
        batch_norm_momentum=of_backbone.batch_norm_momentum,
        freeze=of_backbone.freeze,
        anchors=params.head.anchors,
    )


@functools.lru_cache(maxsize=8)
def first_state(backbone: str, steps: int, width: float) -> State:
    """Weights as a pretrained network has them: random, with batch normalisation by what a picture gives.

    Fixed batch normalisation with the neutral values of random weights would leave ResNet's blocks without a gradient.
    """
    settings = network_settings(backbone, steps, width)
    network = ALFNet(settings.model_copy(update={"batch_norm": "trained", "batch_norm_momentum": 1.0, "freeze": False}))
    network.initialise(np.random.Generator(np.random.PCG64(SEED)))
    for module in network.modules():
        if isinstance(module, Bottleneck):
            torch.nn.init.constant_(module.expand.norm.weight, 0.2)
    with torch.no_grad():
        network.train()(normalise(torch.from_numpy(pictures(2, *CALIBRATION))))
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def make_network(backbone: str, steps: int, width: float) -> ALFNet:
    """A published network with the weights of `first_state`."""
    network = ALFNet(network_settings(backbone, steps, width))
    network.load_state_dict(dict(first_state(backbone, steps, width)))
    return network


def pictures(number: int, height: int, width: int, seed: int = SEED) -> np.ndarray:
    """Pictures of blurred random colours, uint8 (number, height, width, 3) B G R."""
    random = np.random.default_rng(seed)
    small = random.integers(0, 256, (number, height // 8, width // 8, 3), dtype=np.uint8)
    return np.stack([cv2.resize(picture, (width, height)) for picture in small])


def people(height: int, width: int, random: np.random.Generator) -> np.ndarray:
    """Six boxes of a pedestrian's shape within a picture, (6, 4) float32 x1 y1 x2 y2 in pixels."""
    heights = random.uniform(0.2, 0.6, 6) * height
    sides = np.stack([0.41 * heights, heights], axis=1)
    corners = random.uniform(0, 1, (6, 2)) * ([width, height] - sides)
    return np.concatenate([corners, corners + sides], axis=1).astype(np.float32)


def make_batch(number: int, size: tuple[int, int], seed: int = SEED) -> Batch:
    """A batch of pictures with pedestrians and one ignore region each."""
    random = np.random.default_rng(seed)
    boxes = [torch.from_numpy(people(*size, random)) for _ in range(number)]
    regions = [torch.from_numpy(people(*size, random)[:1]) for _ in range(number)]
    names = [f"{index}.png" for index in range(number)]
    images = torch.from_numpy(pictures(number, *size, seed=seed))
    return Batch(images, BoxLists.of(boxes), BoxLists.of(regions), names, list(range(number)))


def write_pictures(folder: Path, number: int, size: tuple[int, int]) -> list[CachedImage]:
    """Write pictures as PNG files into a folder, and return them as a training cache has them."""

    def write(index: int) -> CachedImage:
        boxes = people(*size, np.random.default_rng(index))
        write_png(folder / f"{index}.png", pictures(1, *size, seed=index)[0], compression=1)
        return CachedImage(index + 1, f"{index}.png", *size, boxes, boxes, np.zeros((0, 4), np.float32))

    with ThreadPoolExecutor() as pool:
        return list(pool.map(write, range(number)))


class Training:
    """A network with its optimiser on a device, to be updated batch by batch as `alfnet.training.train.train` does."""

    def __init__(self, network: ALFNet, settings: TrainSettings, device: torch.device) -> None:
        """The network's weights change in place."""
        self.device, self.steps = device, network.settings.steps
        self.fabric: Fabric = make_fabric(device.type, precision=settings.precision)
        self.fabric.launch()
        optimizer = make_optimizer(network.parameters(), settings)
        self.network: Any
        self.network, self.optimizer = self.fabric.setup(prepared(network, settings, self.fabric), optimizer)
        self.losses = BatchLosses(self.network, settings, thresholds(self.steps), self.fabric)

    def update(self, batch: Sequence[Batch]) -> Tensor:
        """Update once on the micro-batches of a batch; return its loss, which stays on the device."""
        parts = self.losses.backward(batch, list(range(1, self.steps + 1)))
        self.optimizer.step()
        self.optimizer.zero_grad()
        return torch.stack(list(parts.values())).sum()


def state_on_cpu(network: torch.nn.Module) -> dict[str, Tensor]:
    """Copies of what a network's state holds that is no counter, on the CPU."""
    return {name: t.detach().cpu().clone() for name, t in network.state_dict().items() if t.is_floating_point()}


def distance(found: Sequence[Tensor], wanted: Sequence[Tensor]) -> float:
    """The norm of the difference of all tensors together, divided by the norm of those wanted."""
    pairs = list(zip(found, wanted, strict=True))
    difference = sum(float((one.double() - other.double()).square().sum()) for one, other in pairs)
    norm = sum(float(other.double().square().sum()) for _, other in pairs)
    return float((difference / norm) ** 0.5) if norm else float(difference != 0)  # which NaN is, too


def largest(values: Iterable[Tensor | float]) -> float:
    """The largest of numbers or of the elements of tensors; NaN where one is NaN, which Python's `max` may pass over."""
    return float(torch.stack([torch.as_tensor(value, dtype=torch.float64).max() for value in values]).max())


def synchronise(device: torch.device) -> None:
    """Wait until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
