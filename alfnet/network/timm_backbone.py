"""Any backbone of the library timm that gives feature maps at strides 8, 16 and 32."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from alfnet.errors import AlfnetError
from alfnet.network.layers import fill_normalised

PREFIX = "timm/"
STRIDES = [8, 16, 32]
TRIED = (128, 192)
"""Height and width of the image that every model is tried on."""
# What `alfnet.network.alfnet.normalise` subtracts, in the order B, G, R.
SUBTRACTED = (103.939, 116.779, 123.68)


class TimmBackbone(nn.Module):
    """A model of timm as feature extractor: its own padding, and the input normalised as its own configuration says.

    In a training of several processes its batch normalisation counts the images of each by themselves.
    `channels` are those of the features of stride 8, 16 and 32. Its weights are drawn by `initialise` or come from a file.
    """

    extractor: Any
    shift: Tensor
    deviation: Tensor

    def __init__(self, backbone: str, *, momentum: float, fixed: bool) -> None:
        """`backbone` is timm/NAME. Raises AlfnetError for a name or a model that does not fit."""
        super().__init__()
        self.fixed, self.momentum = fixed, momentum
        timm, name = _timm(), backbone.removeprefix(PREFIX)
        self.extractor = features_of(name)
        info = self.extractor.feature_info
        self.channels: tuple[int, int, int] = tuple(info.channels())
        configuration = timm.get_pretrained_cfg(name) or timm.models.PretrainedCfg()
        mean, deviation = (
            255 * torch.tensor(values).view(3, 1, 1) for values in (configuration.mean, configuration.std)
        )
        # No part of the state: they follow from the name.
        self.register_buffer("shift", torch.tensor(SUBTRACTED[::-1]).view(3, 1, 1) - mean, persistent=False)
        self.register_buffer("deviation", deviation, persistent=False)
        for module in self._norms():
            module.momentum = momentum
        if fixed:
            self._fix(self)

    def freeze(self) -> None:
        """Make all layers before the first feature map (stride 8) constants, as in the published backbones."""
        first = self.extractor.feature_info.get_dicts(keys=["module"])[0]["module"]
        for module in _before(self.extractor, first.split(".")):
            self._fix(module)
            module.requires_grad_(False)

    def train(self, mode: bool = True) -> TimmBackbone:
        """Set training; batch normalisation that is fixed stays as it is."""
        super().train(mode)
        for module in self._norms():
            if not any(parameter.requires_grad for parameter in module.parameters()) and module.affine:
                module.eval()
        return self

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) from `normalise` -> maps (N, C, H / s, W / s) of stride s = 8, 16, 32."""
        stride8, stride16, stride32 = self.extractor((images.flip(1) + self.shift) / self.deviation)
        return stride8, stride16, stride32

    def initialise(self, rng: np.random.Generator) -> None:
        """Fill convolutions and linear layers with normal numbers from `rng`; the rest has timm's constants."""
        for module in self.extractor.modules():
            if isinstance(module, nn.Conv2d):
                fill_normalised(module, rng)
            elif isinstance(module, nn.Linear):
                numbers = rng.standard_normal(tuple(module.weight.shape)) * 0.02
                with torch.no_grad():
                    module.weight.copy_(torch.from_numpy(numbers.astype(np.float32)))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
            elif isinstance(module, _BatchNorm):
                module.reset_running_stats()

    def _norms(self) -> list[Any]:
        return [module for module in self.extractor.modules() if isinstance(module, _BatchNorm)]

    def _fix(self, part: nn.Module) -> None:
        for module in part.modules():
            if isinstance(module, _BatchNorm):
                module.requires_grad_(False)
                module.eval()


def _before(module: nn.Module, path: list[str]) -> list[nn.Module]:
    """The parts of `module` that come before the one at `path`; timm joins some levels of names with underscores."""
    children = list(module.named_children())
    for length in range(1, len(path) + 1):
        for index, (name, child) in enumerate(children):
            if name == "_".join(path[:length]):
                return [part for _, part in children[:index]] + _before(child, path[length:])
    return []


def features_of(name: str, **options: Any) -> Any:
    """Return timm's model `name` as extractor of the maps of stride 8, 16, 32; `options` go to timm.

    Raises AlfnetError for an unknown name (with near ones), for a model without such maps (with those that it has), for one
    that does not take images of any size, and where timm is not installed.
    """
    timm = _timm()
    if not timm.is_model(name):
        near = timm.list_models(f"*{name}*")[:5]
        hint = f"did you mean {', '.join(near)}?" if near else "timm.list_models() has them all"
        raise AlfnetError(f"backbone {PREFIX}{name}: timm {timm.__version__} has no such model; {hint}")
    state = torch.get_rng_state()  # timm draws first weights, which are filled again
    try:
        offered = _reductions(name, timm)
        if not set(STRIDES) <= set(offered):
            raise AlfnetError(
                f"backbone {PREFIX}{name}: offers maps of stride {', '.join(map(str, offered)) or 'none'}; 8, 16 and 32 are "
                "needed, as convolutional networks and hierarchical transformers have them"
            )
        extractor = timm.create_model(
            name, features_only=True, out_indices=[offered.index(stride) for stride in STRIDES], **options
        )
        _try(name, extractor)
        return extractor
    finally:
        torch.set_rng_state(state)


def _reductions(name: str, timm: Any) -> list[int]:
    try:
        return list(timm.create_model(name, features_only=True).feature_info.reduction())
    except (RuntimeError, AttributeError, ValueError, TypeError, NotImplementedError, AssertionError):
        return []  # timm's ways to say that this model cannot be cut into levels


def _try(name: str, extractor: Any) -> None:
    """Raise AlfnetError where a model does not give its maps of an image of our sizes: some are bound to a size of their own."""
    height, width = TRIED
    training = extractor.training
    try:
        with torch.no_grad():
            found = [tuple(each.shape) for each in extractor.eval()(torch.zeros(1, 3, height, width))]
    except (RuntimeError, AssertionError, ValueError, TypeError, IndexError) as error:
        said = str(error).split("\n")[0] or type(error).__name__
        raise AlfnetError(
            f"backbone {PREFIX}{name}: does not take an image of {width} x {height} px ({said:.100}); models that are bound to "
            "one image size cannot be used"
        ) from None
    extractor.train(training)
    channels = extractor.feature_info.channels()
    expected = [(1, each, height // stride, width // stride) for each, stride in zip(channels, STRIDES, strict=True)]
    if found != expected:
        raise AlfnetError(
            f"backbone {PREFIX}{name}: gives maps of the shapes {found} for an image of {width} x {height} px; {expected} are "
            "needed (images, channels, height, width)"
        )


def _timm() -> Any:
    try:
        import timm
    except ModuleNotFoundError:
        raise AlfnetError("backbone timm/...: the package timm is not installed; pip install 'alfnet[timm]'") from None
    return timm
