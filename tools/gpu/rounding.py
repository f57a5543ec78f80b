"""How far rounding alone may lead: the CPU's own results with rounding errors of a precision added to every convolution.

What a device may differ by cannot be said beforehand. An activation near 0 that comes out on its other side switches its
part of the gradient on or off, and Adam's first updates follow the sign of a gradient alone: a network's layers and its
updates enlarge rounding by thousands, each network by another factor. So it is measured in the same run, on the CPU.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class _Rounded(torch.autograd.Function):
    """Every element times 1 + e, e uniform within the limits; the gradient too, with errors of its own."""

    @staticmethod
    def forward(context: Any, tensor: Tensor, limit: float, generator: torch.Generator) -> Tensor:
        context.limit, context.generator = limit, generator
        return _with_errors(tensor, limit, generator)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        return _with_errors(gradients[0], context.limit, context.generator), None, None


def _with_errors(tensor: Tensor, limit: float, generator: torch.Generator) -> Tensor:
    errors = torch.empty_like(tensor).uniform_(-limit, limit, generator=generator)
    return tensor + tensor * errors


def add_rounding(network: torch.nn.Module, limit: float, seed: int) -> None:
    """Let what enters and leaves every convolution of a network on the CPU, forwards and backwards, be off at random.

    limit: the largest error of an element, as a part of it.
    """
    generator = torch.Generator().manual_seed(seed)

    def entering(module: torch.nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (_Rounded.apply(inputs[0], limit, generator), *inputs[1:])

    def leaving(module: torch.nn.Module, inputs: object, output: Tensor) -> Tensor:
        return _Rounded.apply(output, limit, generator)

    for module in network.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_pre_hook(entering)
            module.register_forward_hook(leaving)
