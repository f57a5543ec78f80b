"""ALFNet (Liu et al., ECCV 2018): a backbone, four feature levels, and per level and step a predictor block.

The layers and their sources: docs/method.md#heads.
Images are BGR. Levels have strides 8, 16, 32, 64. Predictions are flattened level by level, row-major over
(y, x, anchor), the order of `alfnet.boxes.anchors`.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import Tensor, nn

from alfnet.errors import AlfnetError
from alfnet.network.layers import BatchNorm, SameConv2d, convolve, fill_glorot_normal, fill_normalised, scaled
from alfnet.network.mobilenet import MobileNet
from alfnet.network.resnet50 import Bottleneck, ResNet50
from alfnet.network.settings import NetworkSettings
from alfnet.network.timm_backbone import PREFIX, TimmBackbone
from alfnet.network.weight_files import load_tensors, read_weights, write_weights
from alfnet.params import Backbone

BackboneModule = ResNet50 | MobileNet | TimmBackbone

CHANNEL_MEANS = (103.939, 116.779, 123.68)  # ImageNet's, in the order B, G, R
PRIOR_PROBABILITY = 0.01  # every anchor's first score (Lin et al., ICCV 2017, section 4.1)
P3_CHANNELS = 512
P6_CHANNELS = 256
PREDICTOR_CHANNELS = 256
DETECTOR_PREFIX = "detector."  # in a file of first weights: what comes of another detector


def normalise(images: Tensor) -> Tensor:
    """Turn BGR images (N, H, W, 3) of uint8 into the network's input (N, 3, H, W): float32 less the channel means.

    The memory stays in the order of the images, which is PyTorch's channels_last.
    """
    batch, height, width, channels = images.shape
    # Whole rows at a time: PyTorch's loop over three channels is ten times as slow.
    rows = images.reshape(batch, height, width * channels).to(torch.float32).sub_(_row_of_means(width, images.device))
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=16)
def _row_of_means(width: int, device: torch.device) -> Tensor:
    """The channel means of a row of `width` pixels; kept, since a copy to a GPU makes the program wait for it."""
    with torch.inference_mode(False):  # usable in training, whoever asked first
        return torch.tensor(CHANNEL_MEANS * width, dtype=torch.float32, device=device)


class PredictorBlock(nn.Module):
    """The convolutional predictor block (paper, section 3.2) of one level and step."""

    def __init__(self, in_channels: int, channels: int, anchors_per_cell: int) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, channels, 3)
        self.logits = SameConv2d(channels, anchors_per_cell, 1)
        self.offsets = SameConv2d(channels, 4 * anchors_per_cell, 1)

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> class logits (N, H*W*A) and offsets (N, H*W*A, 4)."""
        shared = F.relu(self.conv(feature), inplace=True)
        anchors = self.logits.out_channels
        # Both convolutions at once: the maps are read once, and so are their gradients.
        weight = torch.cat([self.logits.weight, self.offsets.weight])
        biases = (self.logits.bias, self.offsets.bias)
        bias = torch.cat([bias for bias in biases if bias is not None])
        both = convolve(shared, weight, bias).permute(0, 2, 3, 1)  # (N, A + A*4, H, W) -> (N, H, W, A + A*4)
        return both[..., :anchors].flatten(1), both[..., anchors:].reshape(len(both), -1, 4)


class ALFNet(nn.Module):
    """The detector. `settings` says how it is built; its weights are 0 until `initialise` or `load`."""

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.backbone = make_backbone_module(
            settings.backbone,
            width=settings.backbone_width,
            momentum=settings.batch_norm_momentum,
            fixed=settings.batch_norm == "fixed",
        )
        if settings.freeze:
            self.backbone.freeze()
        stride8, stride16, stride32 = self.backbone.channels
        self.p3 = SameConv2d(stride8, scaled(P3_CHANNELS, settings.head_width), 3)
        self.p6 = SameConv2d(stride32, scaled(P6_CHANNELS, settings.head_width), 3, stride=2)
        levels = (self.p3.out_channels, stride16, stride32, self.p6.out_channels)
        self.steps = nn.ModuleList(
            nn.ModuleList(
                PredictorBlock(channels, scaled(PREDICTOR_CHANNELS, settings.head_width), settings.anchors_per_cell)
                for channels in levels
            )
            for _ in range(settings.steps)
        )

    def features(self, images: Tensor) -> list[Tensor]:
        """Return the maps that all steps read, of strides 8, 16, 32, 64.

        images: (N, 3, H, W) float32 from `normalise`; H and W are multiples of 64.
        Returns [(N, C_level, H / stride, W / stride)] * 4.
        """
        height, width = images.shape[-2:]
        if height % 64 or width % 64:
            raise AlfnetError(f"image sides must be multiples of 64, not {height} x {width} (height x width)")
        stride8, stride16, stride32 = self.backbone(images)
        p3 = F.relu(self.p3(stride8), inplace=True)
        p6 = F.relu(self.p6(stride32), inplace=True)
        return [p3, stride16, stride32, p6]

    def predict_step(self, features: Sequence[Tensor], step: int) -> tuple[Tensor, Tensor]:
        """Return what one step (counted from 1) predicts from the maps of `features`.

        Returns class logits (N, B) and box offsets (N, B, 4) in units of the coding's standard deviations, B anchors
        level by level, row-major over (y, x, anchor).
        """
        if not 1 <= step <= len(self.steps):
            raise AlfnetError(f"step {step}: this network has steps 1 to {len(self.steps)}")
        blocks: Any = self.steps[step - 1]
        levels = [block(feature) for block, feature in zip(blocks, features, strict=True)]
        logits, offsets = zip(*levels, strict=True)
        return torch.cat(logits, dim=1), torch.cat(offsets, dim=1)

    def forward(self, images: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(N, 3, H, W) from `normalise` -> per step the class logits (N, B) and offsets (N, B, 4) of `predict_step`."""
        features = self.features(images)
        return [self.predict_step(features, step) for step in range(1, len(self.steps) + 1)]

    def initialise(self, rng: np.random.Generator) -> None:
        """Fill all weights: backbone normal, heads Glorot-normal, class bias such that every score starts at 0.01.

        Networks that differ only in the number of steps share the weights of their common steps for the same `rng`.
        """
        initialise_backbone(self.backbone, rng)
        for part in (self.p3, self.p6, self.steps):
            for module in part.modules():
                if isinstance(module, nn.Conv2d):
                    fill_glorot_normal(module, rng)
        for module in self.steps.modules():
            if isinstance(module, PredictorBlock) and module.logits.bias is not None:
                nn.init.constant_(module.logits.bias, -math.log((1 - PRIOR_PROBABILITY) / PRIOR_PROBABILITY))

    def save(self, path: str | Path, extra: Mapping[str, str] | None = None) -> None:
        """Write the detector to `path` as safetensors, its settings in the metadata; equal weights give equal bytes.

        `extra` is kept in the file for readers (see `read_extra`); it must not hold paths or times.
        """
        description = {"settings": self.settings.model_dump(mode="json"), "extra": dict(extra or {})}
        write_weights(path, "detector", self.state_dict(), description)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a detector that `save` wrote; nothing but the file is needed.

        Raises AlfnetError where the file is missing, no safetensors, cut short, not a detector, written by another
        version, or its tensors are not those of its settings.
        """
        tensors, description = read_weights(path, "detector")
        model = cls(_described_settings(path, description))
        load_tensors(model, tensors, path)
        return model.eval()


def write_first_weights(
    source: str | Path, out: str | Path, settings: NetworkSettings, init_from: str | Path | None = None
) -> tuple[int, list[str]]:
    """Write what the training of a network starts from: a backbone (from `make_backbone`) and the network's settings.

    init_from: a detector, of which every tensor that has a place of its shape in the network is taken too. Returns the
    number of tensors taken from it, and the names in the network that it has nothing for.

    Raises AlfnetError where `source` is no such file, or its backbone or width is not that of `settings`, and where
    nothing of `init_from` fits.
    """
    tensors, description = read_weights(source, "backbone")
    _check_backbone(source, description, settings)
    taken: dict[str, Tensor] = {}
    left: list[str] = []
    if init_from is not None:
        places = ALFNet(settings).state_dict()
        offered, _ = read_weights(init_from, "detector")
        taken = {name: t for name, t in offered.items() if name in places and t.shape == places[name].shape}
        left = sorted(places.keys() - taken.keys())
        if not taken:
            raise AlfnetError(f"{init_from}: nothing in it fits the network; is it a detector with the same backbone?")
    named = {DETECTOR_PREFIX + name: tensor for name, tensor in taken.items()}
    write_weights(out, "backbone", tensors | named, {**description, "settings": settings.model_dump(mode="json")})
    return len(taken), left


def read_network_settings(path: str | Path) -> NetworkSettings:
    """Return the network that a file of `write_first_weights` is for; AlfnetError where it is no such file."""
    return _described_settings(path, read_weights(path, "backbone")[1])


def load_backbone_weights(model: ALFNet, path: str | Path) -> None:
    """Copy the backbone in `path` (`make_backbone` or `write_first_weights`), and what it holds of a detector, into `model`.

    The file of a backbone with `init: random` holds no weights, and the model keeps those that it has.
    Raises AlfnetError where the file is no such file, or its backbone or width is not the model's.
    """
    tensors, description = read_weights(path, "backbone")
    _check_backbone(path, description, model.settings)
    of_detector = {
        name.removeprefix(DETECTOR_PREFIX): tensor
        for name, tensor in tensors.items()
        if name.startswith(DETECTOR_PREFIX)
    }
    of_backbone = {name: tensor for name, tensor in tensors.items() if not name.startswith(DETECTOR_PREFIX)}
    if description.get("init") != "random":
        load_tensors(model.backbone, of_backbone, path)
    if of_detector:
        load_tensors(model, model.state_dict() | of_detector, path)


def _described_settings(path: str | Path, description: Mapping[str, Any]) -> NetworkSettings:
    try:
        return NetworkSettings.model_validate(description.get("settings"))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "settings"
        raise AlfnetError(
            f"{path}: settings that this version does not know ({where}: {first['msg']}); make the file again"
        ) from None


def _check_backbone(path: str | Path, description: Mapping[str, Any], settings: NetworkSettings) -> None:
    found = (description.get("backbone"), description.get("width"))
    wanted = (settings.backbone, settings.backbone_width)
    if found != wanted:
        raise AlfnetError(
            f"{path}: a {found[0]} of width {found[1]}, but the model needs a {wanted[0]} of width {wanted[1]}; "
            "make the backbone again with the present parameters"
        )


def make_backbone_module(backbone: Backbone, *, width: float, momentum: float, fixed: bool) -> BackboneModule:
    """Build a backbone by its name; `fixed` and `momentum` are those of its batch normalisation."""
    if backbone.startswith(PREFIX):
        if width != 1:
            raise AlfnetError(f"backbones.{backbone}.width: {width:g}; a model of timm has one width, 1.0")
        return TimmBackbone(backbone, momentum=momentum, fixed=fixed)
    make = ResNet50 if backbone == "resnet50" else MobileNet
    return make(width=width, momentum=momentum, fixed=fixed)


def initialise_backbone(backbone: BackboneModule, rng: np.random.Generator) -> None:
    """Fill a backbone's convolutions with normal numbers in the order of its modules; batch normalisation becomes neutral.

    The last normalisation of a residual block starts at gamma 0, the block as an identity (Goyal et al., 2017, section
    5.1): else every block adds to the variance of the maps that the heads read, and training from random weights stalls.
    """
    if isinstance(backbone, TimmBackbone):
        backbone.initialise(rng)
        return
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            fill_normalised(module, rng)
        elif isinstance(module, BatchNorm):
            module.reset()
    for module in backbone.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.expand.norm.weight)


def count_parameters(module: nn.Module) -> int:
    """Count the numbers that a network stores, as Keras does: batch normalisation's means and variances included."""
    return sum(tensor.numel() for tensor in module.state_dict().values())
