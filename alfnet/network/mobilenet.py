"""MobileNet-v1 (Howard et al., 2017), as in the Keras weights of the release: ReLU6, no biases, "same" padding."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from alfnet.network.layers import ConvNorm, SameConv2d, freeze, scaled

# Output channels and stride of the depthwise-separable blocks 1 to 13.
BLOCKS = (
    (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2),
    (512, 1), (512, 1), (512, 1), (512, 1), (512, 1), (1024, 2), (1024, 1),
)  # fmt: skip
FEATURE_BLOCKS = (5, 11, 13)


class SeparableBlock(nn.Module):
    """A 3x3 convolution of each channel by itself (with the stride), then a 1x1 convolution across channels."""

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, momentum: float, fixed: bool) -> None:
        super().__init__()
        self.depthwise = ConvNorm(
            SameConv2d(in_channels, in_channels, 3, stride=stride, groups=in_channels, bias=False),
            momentum=momentum,
            fixed=fixed,
        )
        self.pointwise = ConvNorm(SameConv2d(in_channels, out_channels, 1, bias=False), momentum=momentum, fixed=fixed)

    def forward(self, input: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H / stride, W / stride)."""
        output = F.relu6(self.depthwise(input), inplace=True)
        return F.relu6(self.pointwise(output), inplace=True)


class MobileNet(nn.Module):
    """The feature extractor of MobileNet-v1.

    `width` is the paper's alpha; `channels` are those of the three features (256, 512, 1024 at width 1).
    """

    def __init__(self, *, width: float, momentum: float, fixed: bool) -> None:
        super().__init__()
        in_channels = scaled(32, width)
        self.stem = ConvNorm(SameConv2d(3, in_channels, 3, stride=2, bias=False), momentum=momentum, fixed=fixed)
        self.blocks = nn.ModuleList()
        for channels, stride in BLOCKS:
            out_channels = scaled(channels, width)
            self.blocks.append(SeparableBlock(in_channels, out_channels, stride=stride, momentum=momentum, fixed=fixed))
            in_channels = out_channels
        self.channels: tuple[int, int, int] = tuple(  # type: ignore[assignment]
            scaled(BLOCKS[block - 1][0], width) for block in FEATURE_BLOCKS
        )

    def freeze(self) -> None:
        """Make the first convolution and block 1 constants, as published."""
        freeze([self.stem, self.blocks[0]])

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, 3, H, W) -> the ends of blocks 5, 11, 13: (N, C, H / s, W / s) of stride s = 8, 16, 32."""
        output = F.relu6(self.stem(images), inplace=True)
        features = []
        for number, block in enumerate(self.blocks, start=1):
            output = block(output)
            if number in FEATURE_BLOCKS:
                features.append(output)
        stride8, stride16, stride32 = features
        return stride8, stride16, stride32
