"""Import of Keras 2 weight files (HDF5, `save_weights` layout): ImageNet backbones and the released ALFNet detectors.

The layout: docs/method.md#imported-weights.
Layers are matched by name, arrays within a layer by position, because array names differ between files. Convolution
kernels are (kh, kw, in, out) there and (out, in, kh, kw) here; depthwise kernels (kh, kw, channels, 1) and
(channels, 1, kh, kw). Batch normalisation: gamma, beta, mean, variance (the ResNet file calls the fourth "running_std";
it is used as the variance).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, make_backbone_module
from alfnet.network.layers import BatchNorm
from alfnet.network.mobilenet import BLOCKS
from alfnet.network.resnet50 import STAGES
from alfnet.network.settings import NetworkSettings
from alfnet.params import Backbone
from alfnet.pretrained.keras_file import Array, Layers, open_layers
from alfnet.profiles import paper_params

# Channels of conv1 at width 1, and a layer that only this backbone has.
STEM_CHANNELS: dict[Backbone, int] = {"resnet50": 64, "mobilenet": 32}
MARKERS: dict[Backbone, str] = {"resnet50": "res2a_branch2a", "mobilenet": "conv_dw_1"}
PREDICTOR_CHANNELS = 256
LEVELS = 4


def load_backbone(path: str | Path, backbone: Backbone) -> tuple[dict[str, Tensor], float]:
    """Read an ImageNet backbone; return its state for `ResNet50` or `MobileNet`, and its width.

    Raises AlfnetError as `open_layers`, and where a layer is missing or has a wrong shape (by name).
    """
    with open_layers(path) as layers:
        width = _width(path, layers, backbone)
        momentum = paper_params().backbones[backbone].batch_norm_momentum
        module = make_backbone_module(backbone, width=width, momentum=momentum, fixed=True)
        _fill(path, layers, module, dict(_backbone_layers(backbone)))
    return module.state_dict(), width


def import_detector(path: str | Path, backbone: Backbone, steps: int) -> ALFNet:
    """Read a released ALFNet detector of so many steps; the widths of backbone and heads are those of the file.

    Raises AlfnetError as `load_backbone`, and where the file's number of steps is another.
    """
    with open_layers(path) as layers:
        width = _width(path, layers, backbone)
        _check_steps(path, layers, steps)
        head_channels = _array(path, layers, "pred0_1_conv").shape[-1]
        published = paper_params()  # what the released detectors were trained with
        settings = NetworkSettings(
            backbone=backbone,
            steps=steps,
            backbone_width=width,
            head_width=_fraction(path, "pred0_1_conv", head_channels, PREDICTOR_CHANNELS),
            batch_norm=published.backbones[backbone].batch_norm,
            batch_norm_momentum=published.backbones[backbone].batch_norm_momentum,
            freeze=published.backbones[backbone].freeze,
            anchors=published.head.anchors,
        )
        model = ALFNet(settings)
        names = {f"backbone.{module}": layer for module, layer in _backbone_layers(backbone)}
        _fill(path, layers, model, names | dict(_head_layers(steps)))
    return model.eval()


def _backbone_layers(backbone: Backbone) -> Iterator[tuple[str, str]]:
    """Yield (module, Keras layer) of a backbone."""
    if backbone == "mobilenet":
        yield "stem.conv", "conv1"
        yield "stem.norm", "conv1_bn"
        for index in range(len(BLOCKS)):
            for module, layer in (("depthwise", "conv_dw"), ("pointwise", "conv_pw")):
                yield f"blocks.{index}.{module}.conv", f"{layer}_{index + 1}"
                yield f"blocks.{index}.{module}.norm", f"{layer}_{index + 1}_bn"
        return
    yield "stem.conv", "conv1"
    yield "stem.norm", "bn_conv1"
    branches = (("reduce", "branch2a"), ("spatial", "branch2b"), ("expand", "branch2c"), ("project", "branch1"))
    for stage, (blocks, _, _) in enumerate(STAGES, start=2):
        for index, letter in enumerate("abcdef"[:blocks]):
            for module, branch in branches:
                if module == "project" and index > 0:
                    continue
                yield f"stage{stage}.{index}.{module}.conv", f"res{stage}{letter}_{branch}"
                yield f"stage{stage}.{index}.{module}.norm", f"bn{stage}{letter}_{branch}"


def _head_layers(steps: int) -> Iterator[tuple[str, str]]:
    """Yield (module, Keras layer) of the layers behind the backbone."""
    yield "p3", "P3"
    yield "p6", "P6"
    for step in range(steps):
        for level in range(LEVELS):
            for module, layer in (("conv", "conv"), ("logits", "rpn_class"), ("offsets", "rpn_regress")):
                yield f"steps.{step}.{level}.{module}", f"pred{level}_{step + 1}_{layer}"


def _width(path: str | Path, layers: Layers, backbone: Backbone) -> float:
    for other, marker in MARKERS.items():
        if other != backbone and marker in layers and MARKERS[backbone] not in layers:
            raise AlfnetError(f"{path}: holds a {other} (layer {marker}), not the {backbone} that was asked for")
    return _fraction(path, "conv1", _array(path, layers, "conv1").shape[-1], STEM_CHANNELS[backbone])


def _fraction(path: str | Path, layer: str, channels: int, published: int) -> float:
    if not 0 < channels <= published:
        raise AlfnetError(f"{path}: layer {layer} has {channels} channels; 1 to {published} are known")
    return channels / published


def _check_steps(path: str | Path, layers: Layers, steps: int) -> None:
    found = [int(match[1]) for name in layers if (match := re.fullmatch(r"pred\d+_(\d+)_conv", name))]
    if not found:
        raise AlfnetError(f"{path}: holds no predictor blocks (no layer pred0_1_conv): a backbone, not a detector?")
    if max(found) != steps:
        raise AlfnetError(
            f"{path}: a detector with {max(found)} step(s), not the {steps} asked for; use --steps {max(found)}"
        )


def _array(path: str | Path, layers: Layers, layer: str) -> Array:
    """The kernel of a layer, for reading a size off it."""
    if layer not in layers:
        raise AlfnetError(f"{path}: lacks the layer {layer}")
    array = layers[layer][0]
    if len(array.shape) != 4:
        raise AlfnetError(f"{path}: layer {layer}: its kernel has shape {array.shape}, expected four numbers")
    return array


def _fill(path: str | Path, layers: Layers, model: nn.Module, names: dict[str, str]) -> None:
    """Copy each named layer into its module; the names must cover the whole model."""
    filled = set()
    for module_name, layer in names.items():
        if layer not in layers:
            raise AlfnetError(f"{path}: lacks the layer {layer}")
        module = model.get_submodule(module_name)
        targets = _targets(module)
        expected = [tuple(_to_keras(module, tensor).shape) for tensor in targets.values()]
        found = [array.shape for array in layers[layer]]
        if found != expected:
            raise AlfnetError(
                f"{path}: layer {layer} has arrays of shape {_shapes(found)}, expected {_shapes(expected)}"
            )
        arrays = [_from_keras(module, array.read()) for array in layers[layer]]
        if isinstance(module, BatchNorm) and (arrays[3] < 0).any():
            raise AlfnetError(
                f"{path}: layer {layer} has a variance below zero; the file is damaged: download it again"
            )
        with torch.no_grad():
            for (name, target), array in zip(targets.items(), arrays, strict=True):
                target.copy_(torch.from_numpy(np.ascontiguousarray(array)))
                filled.add(f"{module_name}.{name}")
    if unfilled := model.state_dict().keys() - filled:
        raise RuntimeError(f"no Keras layer is known for {sorted(unfilled)}")


def _targets(module: nn.Module) -> dict[str, Tensor]:
    """The tensors of a module in Keras' order."""
    if isinstance(module, BatchNorm):
        order = ("weight", "bias", "running_mean", "running_var")
        return {name: getattr(module, name) for name in order}
    return {name: tensor for name in ("weight", "bias") if (tensor := getattr(module, name)) is not None}


def _is_depthwise(module: nn.Module) -> bool:
    return isinstance(module, nn.Conv2d) and module.groups > 1


def _from_keras(module: nn.Module, array: np.ndarray) -> np.ndarray:
    if array.ndim != 4:
        return array
    return array.transpose((2, 3, 0, 1) if _is_depthwise(module) else (3, 2, 0, 1))


def _to_keras(module: nn.Module, tensor: Tensor) -> Tensor:
    if tensor.ndim != 4:
        return tensor
    return tensor.permute((2, 3, 0, 1) if _is_depthwise(module) else (2, 3, 1, 0))


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(str(shape).replace(" ", "") for shape in shapes)
