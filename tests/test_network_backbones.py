from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from alfnet.network.alfnet import initialise_backbone, make_backbone_module
from alfnet.network.layers import BatchNorm

BACKBONES = ["resnet50", "mobilenet"]


def tiny(backbone: str, *, fixed: bool = False) -> Any:
    module = make_backbone_module(backbone, width=0.125, momentum=0.1, fixed=fixed)
    initialise_backbone(module, np.random.default_rng(0))
    return module


@pytest.mark.parametrize(("backbone", "channels"), [("resnet50", (512, 1024, 2048)), ("mobilenet", (256, 512, 1024))])
def test_features_have_the_published_channels_and_strides(backbone: str, channels: tuple[int, ...]) -> None:
    with torch.device("meta"):
        full = make_backbone_module(backbone, width=1.0, momentum=0.01, fixed=True)
        features = full(torch.empty(1, 3, 128, 256))
    assert full.channels == channels
    expected = [(1, count, 128 // s, 256 // s) for count, s in zip(channels, (8, 16, 32), strict=True)]
    assert [tuple(feature.shape) for feature in features] == expected


def test_resnet_stride_sits_on_the_first_convolution_of_a_stage() -> None:
    block = tiny("resnet50").stage3[0]
    assert (block.reduce.conv.stride, block.spatial.conv.stride, block.project.conv.stride) == ((2, 2), (1, 1), (2, 2))
    assert tiny("resnet50").stage2[0].reduce.conv.stride == (1, 1)


@pytest.mark.parametrize(
    ("backbone", "frozen"), [("resnet50", ("stem.", "stage2.")), ("mobilenet", ("stem.", "blocks.0."))]
)
def test_frozen_parts_get_no_gradients_and_do_not_change(backbone: str, frozen: tuple[str, ...]) -> None:
    module = tiny(backbone).train()
    module.freeze()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    sum(feature.square().mean() for feature in module(torch.randn(2, 3, 64, 128))).backward()
    for name, parameter in module.named_parameters():
        normalised_bias = backbone == "resnet50" and name.endswith("conv.bias")
        assert (parameter.grad is None) == (name.startswith(frozen) or normalised_bias), name
    for name, tensor in module.state_dict().items():
        constant = name.startswith(frozen) or "running" not in name
        assert torch.equal(tensor, before[name]) == constant, name


@pytest.mark.parametrize("backbone", BACKBONES)
def test_fixed_batch_norm_does_not_change_in_training(backbone: str) -> None:
    module = tiny(backbone, fixed=True)
    norms = [part for part in module.modules() if isinstance(part, BatchNorm)]
    assert len(norms) == {"resnet50": 53, "mobilenet": 27}[backbone]
    images = torch.randn(2, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    in_training, in_test = module.train()(images), module.eval()(images)
    for trained, tested in zip(in_training, in_test, strict=True):
        assert torch.equal(trained, tested)
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert not any(norm.weight.requires_grad or norm.bias.requires_grad for norm in norms)
    assert module.stem.conv.weight.requires_grad


def test_mobilenet_features_stay_within_relu6() -> None:
    with torch.no_grad():
        features = tiny("mobilenet").train()(100 * torch.randn(2, 3, 64, 64))
    assert all(float(feature.min()) >= 0 and float(feature.max()) <= 6 for feature in features)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_batch_equals_single(backbone: str) -> None:
    module = tiny(backbone).eval()
    images = 50 * torch.randn(3, 3, 64, 128, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        batch = module(images)
        for index in range(3):
            for feature, single in zip(batch, module(images[index : index + 1]), strict=True):
                scale = float(feature.abs().max())
                torch.testing.assert_close(feature[index] / scale, single[0] / scale, atol=1e-6, rtol=1e-5)
