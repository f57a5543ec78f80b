from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from alfnet.network.layers import (
    BATCH_NORM_EPSILON,
    BatchNorm,
    ConvNorm,
    SameConv2d,
    fill_glorot_normal,
    fill_normalised,
    freeze,
    same_max_pool,
    same_padding,
    scaled,
)


def random(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(seed).standard_normal(shape).astype(np.float32))


def pad_as_tensorflow(images: torch.Tensor, kernel: int, stride: int, value: float) -> torch.Tensor:
    """The rule as TensorFlow's documentation words it, side by side."""
    sides = []
    for size in (images.shape[3], images.shape[2]):
        total = max(kernel - stride, 0) if size % stride == 0 else max(kernel - size % stride, 0)
        sides += [total // 2, total - total // 2]
    return F.pad(images, sides, value=value)


SIZES = [(8, 8), (7, 7), (8, 7), (7, 8), (1, 2), (2, 1), (3, 5)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (1, 2), (3, 2), (5, 2)])
def test_convolution_pads_as_tensorflow(size: tuple[int, int], kernel: int, stride: int) -> None:
    images = random(2, 3, *size)
    layer = SameConv2d(3, 4, kernel, stride=stride)
    fill_normalised(layer, np.random.default_rng(1))
    padded = pad_as_tensorflow(images, kernel, stride, 0.0)
    expected = F.conv2d(padded, layer.weight, layer.bias, stride)
    assert expected.shape[2:] == tuple(-(-side // stride) for side in size)
    torch.testing.assert_close(layer(images), expected)


@pytest.mark.parametrize("size", SIZES)
def test_depthwise_convolution_pads_as_tensorflow(size: tuple[int, int]) -> None:
    images = random(1, 6, *size)
    layer = SameConv2d(6, 6, 3, stride=2, groups=6, bias=False)
    fill_normalised(layer, np.random.default_rng(1))
    expected = F.conv2d(pad_as_tensorflow(images, 3, 2, 0.0), layer.weight, None, 2, groups=6)
    torch.testing.assert_close(layer(images), expected)


@pytest.mark.parametrize("size", SIZES)
def test_max_pool_pads_as_tensorflow(size: tuple[int, int]) -> None:
    images = random(2, 3, *size) - 5  # below zero: padding with 0 would win
    expected = F.max_pool2d(pad_as_tensorflow(images, 3, 2, -torch.inf), 3, 2)
    torch.testing.assert_close(same_max_pool(images), expected, rtol=0, atol=0)


def test_stride_two_on_an_even_side_pads_the_far_side_alone() -> None:
    assert same_padding(8, 3, 2) == (0, 1)
    assert same_padding(7, 3, 2) == (1, 1)
    layer = SameConv2d(1, 1, 3, stride=2)
    torch.nn.init.ones_(layer.weight)
    assert layer(torch.ones(1, 1, 4, 4))[0, 0].tolist() == [[9, 6], [6, 4]]


def test_scaled_rounds_down_and_keeps_one_channel() -> None:
    assert [scaled(64, width) for width in (1.0, 0.25, 0.3, 0.001)] == [64, 16, 19, 1]


def fill(norm: BatchNorm) -> None:
    channels = len(norm.weight)
    with torch.no_grad():
        for index, tensor in enumerate((norm.weight, norm.bias, norm.running_mean, norm.running_var)):
            tensor.copy_(random(channels, seed=index).abs() + 0.5)


def test_fixed_batch_norm_is_the_same_constant_map_in_training() -> None:
    norm = BatchNorm(3, momentum=0.1, fixed=True).train()
    fill(norm)
    before = {name: tensor.clone() for name, tensor in norm.state_dict().items()}
    images = random(2, 3, 4, 5).requires_grad_()
    output = norm(images)
    channel = (slice(None), None, None)
    expected = (images - norm.running_mean[channel]) / torch.sqrt(norm.running_var[channel] + BATCH_NORM_EPSILON)
    torch.testing.assert_close(output, expected * norm.weight[channel] + norm.bias[channel])
    output.sum().backward()
    assert norm.weight.grad is None
    assert norm.bias.grad is None
    assert all(torch.equal(before[name], tensor) for name, tensor in norm.state_dict().items())


def test_trained_batch_norm_uses_the_batch_and_keeps_running_statistics() -> None:
    norm = BatchNorm(3, momentum=0.1, fixed=False).train()
    images = random(4, 3, 8, 8) * 3 + 2
    output = norm(images)
    torch.testing.assert_close(output.mean((0, 2, 3)), torch.zeros(3), atol=1e-5, rtol=0)
    torch.testing.assert_close(norm.running_mean, 0.1 * images.mean((0, 2, 3)))
    norm.eval()
    assert not torch.allclose(norm(images), output)


def test_bias_before_trained_batch_norm_is_not_trained() -> None:
    assert not ConvNorm(SameConv2d(2, 2, 1), momentum=0.1, fixed=False).conv.bias.requires_grad
    assert ConvNorm(SameConv2d(2, 2, 1), momentum=0.1, fixed=True).conv.bias.requires_grad


def test_freeze_fixes_weights_and_normalisation() -> None:
    layer = ConvNorm(SameConv2d(2, 2, 1), momentum=0.1, fixed=False)
    freeze([layer])
    assert layer.norm.fixed
    assert not any(parameter.requires_grad for parameter in layer.parameters())


def test_initial_weights_have_the_stated_variance_and_no_global_state() -> None:
    layer = SameConv2d(64, 128, 3)
    assert not layer.weight.any()
    state = torch.random.get_rng_state()
    fill_normalised(layer, np.random.default_rng(0))
    assert layer.weight.std().item() == pytest.approx((1 / (3 * 64 * 9)) ** 0.5, rel=0.02)
    fill_glorot_normal(layer, np.random.default_rng(0))
    assert layer.weight.std().item() == pytest.approx((2 / ((64 + 128) * 9)) ** 0.5, rel=0.02)
    assert torch.equal(state, torch.random.get_rng_state())
