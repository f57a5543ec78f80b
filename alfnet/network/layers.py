"""Layers that compute what TensorFlow's do: "same" padding, and batch normalisation that can be fixed.

Which layer pads how, and why it matters: docs/method.md#backbones.
All tensors are (N, C, H, W). Weights are initialised with numpy: its normal numbers are the same on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM_EPSILON = 1e-3  # Keras' default, and that of the released models; PyTorch's is 1e-5


def scaled(channels: int, width: float) -> int:
    """Return `channels` times `width`, rounded down as Keras' MobileNet does, at least 1."""
    return max(1, int(channels * width))


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """Return the (before, after) padding of TensorFlow's "same" rule along one side of `size` pixels.

    The output has ceil(size / stride) pixels. Where the padding is odd, the additional pixel goes after:
    a 3x3 of stride 2 on an even size gets (0, 1), where PyTorch's padding=1 would be (1, 1) and shift every feature.
    """
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class Conv2d(nn.Conv2d):
    """PyTorch's convolution with weights of 0 until they are filled: building a network draws no random numbers."""

    def reset_parameters(self) -> None:
        """Set weight and bias to 0."""
        nn.init.zeros_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class SameConv2d(Conv2d):
    """A square convolution with TensorFlow's "same" padding.

    (N, C, H, W) -> (N, D, ceil(H / stride), ceil(W / stride)).
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, *, stride: int = 1, groups: int = 1, bias: bool = True
    ) -> None:
        super().__init__(in_channels, out_channels, kernel, stride=stride, groups=groups, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        """Pad, then convolve; symmetric padding is left to the convolution, which needs no copy for it."""
        top, bottom = same_padding(input.shape[2], self.kernel_size[0], self.stride[0])
        left, right = same_padding(input.shape[3], self.kernel_size[1], self.stride[1])
        if (top, left) != (bottom, right):
            input = F.pad(input, (left, right, top, bottom))
            top = left = 0
        return convolve(input, self.weight, self.bias, stride=self.stride, padding=(top, left), groups=self.groups)


def convolve(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    *,
    stride: tuple[int, ...] = (1, 1),
    padding: tuple[int, int] = (0, 0),
    groups: int = 1,
) -> Tensor:
    """F.conv2d, by way of oneDNN for a kernel of one pixel too.

    On a single thread PyTorch leaves such a kernel to an implementation of its own that is about twice as slow with its
    gradients, unless the kernel is dilated; and dilating one pixel changes nothing.
    """
    dilation = 2 if weight.shape[2:] == (1, 1) else 1
    return F.conv2d(input, weight, bias, stride, padding, dilation, groups)


def same_max_pool(input: Tensor, kernel: int = 3, stride: int = 2) -> Tensor:
    """Max-pool with TensorFlow's "same" padding, (N, C, H, W) -> (N, C, ceil(H / stride), ceil(W / stride)).

    With ceil_mode PyTorch's last window may hang over the far edge, which is the one-sided padding of the rule.
    """
    top, _ = same_padding(input.shape[2], kernel, stride)
    left, _ = same_padding(input.shape[3], kernel, stride)
    return F.max_pool2d(input, kernel, stride, padding=(top, left), ceil_mode=True)


class BatchNorm(nn.Module):
    """Batch normalisation over (N, H, W), fixed or trained.

    Fixed: mean, variance, gamma and beta are constants, in training too. Trained: as usual; `momentum` is the share of
    a new batch in the running statistics. The state has the same four tensors either way.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, *, momentum: float, fixed: bool) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.momentum = momentum
        self.across_processes = False
        self.fixed = False
        if fixed:
            self.fix()

    def fix(self) -> None:
        """Make the four tensors constants."""
        self.fixed = True
        self.requires_grad_(False)

    def reset(self) -> None:
        """Make the layer neutral: mean 0, variance 1, gamma 1, beta 0."""
        for ones in (self.weight, self.running_var):
            nn.init.ones_(ones)
        for zeros in (self.bias, self.running_mean):
            nn.init.zeros_(zeros)

    def forward(self, input: Tensor) -> Tensor:
        """Normalise (N, C, H, W)."""
        training = self.training and not self.fixed
        if training and self.across_processes:
            return self._normalise_across_processes(input)
        return F.batch_norm(
            input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            training=training,
            momentum=self.momentum,
            eps=BATCH_NORM_EPSILON,
        )

    def _normalise_across_processes(self, input: Tensor) -> Tensor:
        """Normalise by mean and variance over the images of all processes, each of which has as many of one size.

        torch.nn.SyncBatchNorm does this on GPUs alone.
        """
        world = torch.distributed.get_world_size()
        values = input.to(self.running_mean.dtype)  # sums over a batch are too long for bfloat16
        variance, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        mean, variance = mean.double(), variance.double()  # few numbers, of which differences are taken
        sums: Tensor = _SumOverProcesses.apply(torch.stack([mean, variance + mean * mean]))
        mean, second_moment = sums / world
        mean, variance = mean.to(values.dtype), (second_moment - mean * mean).to(values.dtype)
        scale = self.weight * torch.rsqrt(variance + BATCH_NORM_EPSILON)
        offset = self.bias - mean * scale
        with torch.no_grad():
            count = input.numel() // input.shape[1] * world
            self.running_mean.lerp_(mean.detach(), self.momentum)
            self.running_var.lerp_(variance.detach() * (count / max(1, count - 1)), self.momentum)
        return torch.addcmul(offset[:, None, None], values, scale[:, None, None]).to(input.dtype)

    def extra_repr(self) -> str:
        """Name the size and the mode in the printed model."""
        return f"{self.weight.shape[0]}, {'fixed' if self.fixed else f'momentum={self.momentum}'}"


class _SumOverProcesses(torch.autograd.Function):
    """The sum of a tensor over all processes; so is its gradient, since every process' loss depends on every tensor."""

    @staticmethod
    def forward(ctx: Any, tensor: Tensor) -> Tensor:
        """Add up."""
        total = tensor.clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Add up."""
        total = gradient.clone()
        torch.distributed.all_reduce(total)
        return total


class ConvNorm(nn.Module):
    """A convolution and its batch normalisation."""

    def __init__(self, conv: nn.Conv2d, *, momentum: float, fixed: bool) -> None:
        super().__init__()
        self.conv = conv
        self.norm = BatchNorm(conv.out_channels, momentum=momentum, fixed=fixed)
        if conv.bias is not None and not fixed:
            # Trained normalisation subtracts any constant again: the bias' gradient is nothing but rounding errors,
            # which Adam would blow up to full steps.
            conv.bias.requires_grad_(False)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve and normalise."""
        output: Tensor = self.norm(self.conv(input))
        return output


def normalise_across_processes(module: nn.Module) -> None:
    """Let all trained batch normalisation in `module` count the images of all processes of a distributed run.

    The statistics of a batch are those of the images that all processes compute at a time, on CPUs (gloo) as on GPUs
    (NCCL), with gradients through them; so 1, 2 and 4 processes compute the same training. Tested in double precision:
    losses equal to 2e-7 and weights to 2e-8 over 20 updates. In single precision trained normalisation lets roundings
    grow, as much between one thread and two as between one process and two (0.1 of the loss within 20 updates of a
    small network); fixed normalisation does not (losses to 1e-5, weights to 1e-4). Batches in several pieces on a
    device (`images_per_device`) are normalised piece by piece.
    """
    for part in module.modules():
        if isinstance(part, BatchNorm):
            part.across_processes = True


def freeze(modules: Iterable[nn.Module]) -> None:
    """Make all weights and all batch normalisation of `modules` constants."""
    for module in modules:
        module.requires_grad_(False)
        for part in module.modules():
            if isinstance(part, BatchNorm):
                part.fix()


def fill_normal(weight: Tensor, standard_deviation: float, rng: np.random.Generator) -> None:
    """Fill `weight` in place with normal numbers around 0."""
    numbers = rng.standard_normal(tuple(weight.shape)) * standard_deviation
    with torch.no_grad():
        weight.copy_(torch.from_numpy(numbers.astype(np.float32)))


def fill_normalised(conv: nn.Conv2d, rng: np.random.Generator) -> None:
    """Initialise a convolution that batch normalisation follows: variance 1 / (3 x fan-in), bias 0.

    The variance is PyTorch's default. Normalisation takes any scale out of the output, but small weights turn faster at
    the same learning rate: short trainings got further with these than with He's larger ones.
    """
    receptive = conv.kernel_size[0] * conv.kernel_size[1]
    fan_in = conv.in_channels * receptive // conv.groups
    fill_normal(conv.weight, math.sqrt(1 / (3 * fan_in)), rng)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)


def fill_glorot_normal(conv: nn.Conv2d, rng: np.random.Generator) -> None:
    """Initialise a convolution with variance 2 / (fan-in + fan-out) (Glorot and Bengio, 2010), bias 0."""
    receptive = conv.kernel_size[0] * conv.kernel_size[1]
    fans = (conv.in_channels + conv.out_channels) * receptive
    fill_normal(conv.weight, math.sqrt(2.0 / fans), rng)
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
