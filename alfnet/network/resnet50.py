"""ResNet-50 in the v1 layout (He et al., CVPR 2016), as in the Keras weights of the release.

It differs from torchvision's: the stride of a stage sits on its first 1x1 convolution (torchvision: on the 3x3), the
convolutions have biases, and the max-pool pads by TensorFlow's rule.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from alfnet.network.layers import Conv2d, ConvNorm, SameConv2d, freeze, same_max_pool, scaled

# Blocks, channels inside a block (a block's output has 4 times as many) and stride of stages 2 to 5.
STAGES = ((3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2))
EXPANSION = 4


class Bottleneck(nn.Module):
    """1x1 (with the stride), 3x3, 1x1 convolutions, added to the input or to a 1x1 projection of it."""

    def __init__(
        self, in_channels: int, channels: int, *, stride: int, project: bool, momentum: float, fixed: bool
    ) -> None:
        super().__init__()
        out_channels = EXPANSION * channels

        def layer(inputs: int, outputs: int, kernel: int, stride: int = 1) -> ConvNorm:
            return ConvNorm(SameConv2d(inputs, outputs, kernel, stride=stride), momentum=momentum, fixed=fixed)

        self.reduce = layer(in_channels, channels, 1, stride)
        self.spatial = layer(channels, channels, 3)
        self.expand = layer(channels, out_channels, 1)
        self.project = layer(in_channels, out_channels, 1, stride) if project else None

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, 4 * channels, H / stride, W / stride)."""
        output = F.relu(self.reduce(input), inplace=True)
        output = F.relu(self.spatial(output), inplace=True)
        output = self.expand(output)
        shortcut = input if self.project is None else self.project(input)
        return F.relu(output.add_(shortcut), inplace=True)


class ResNet50(nn.Module):
    """The feature extractor of ResNet-50.

    `width` multiplies the numbers of channels; `channels` are those of the three features (512, 1024, 2048 at width 1).
    """

    def __init__(self, *, width: float, momentum: float, fixed: bool) -> None:
        super().__init__()
        in_channels = scaled(64, width)
        self.stem = ConvNorm(
            Conv2d(3, in_channels, 7, stride=2, padding=3),  # the published pad of 3, then 7x7 without padding
            momentum=momentum,
            fixed=fixed,
        )
        stages = []
        for blocks, channels, stride in STAGES:
            stage = []
            for block in range(blocks):
                first = block == 0
                stage.append(
                    Bottleneck(
                        in_channels,
                        scaled(channels, width),
                        stride=stride if first else 1,
                        project=first,
                        momentum=momentum,
                        fixed=fixed,
                    )
                )
                in_channels = EXPANSION * scaled(channels, width)
            stages.append(nn.Sequential(*stage))
        self.stage2, self.stage3, self.stage4, self.stage5 = stages
        self.channels: tuple[int, int, int] = tuple(  # type: ignore[assignment]
            EXPANSION * scaled(channels, width) for _, channels, _ in STAGES[1:]
        )

    def freeze(self) -> None:
        """Make stem and stage 2 constants, as published."""
        freeze([self.stem, self.stage2])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> the ends of stages 3, 4, 5: (N, C, H / s, W / s) of stride s = 8, 16, 32."""
        output = same_max_pool(F.relu(self.stem(images), inplace=True))
        output = self.stage2(output)
        stride8 = self.stage3(output)
        stride16 = self.stage4(stride8)
        stride32 = self.stage5(stride16)
        return stride8, stride16, stride32
