"""The network as it is deployed: uint8 images in, predictions or boxes out, with nothing left to be worked out.

Sides are multiples of 64, so every padding is a constant; trained batch normalisation is a multiplication and an addition,
which go into the convolution before it. So the exported graph holds convolutions, activations, a pooling and the
arithmetic of boxes, and the exporter has no symbolic sizes to reason about.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from alfnet.boxes.anchors import STRIDES
from alfnet.boxes.coding import decode
from alfnet.detection.postprocess import step_scores
from alfnet.network import resnet50
from alfnet.network.alfnet import CHANNEL_MEANS, ALFNet, PredictorBlock
from alfnet.network.layers import BATCH_NORM_EPSILON, ConvNorm, SameConv2d, same_padding

if TYPE_CHECKING:
    from alfnet.params import AnchorSettings

OUTPUTS = ("logits", "offsets")
DECODED_OUTPUTS = ("boxes", "scores")


class DeployedNetwork(nn.Module):
    """(N, H, W, 3) uint8 images -> what all S steps predict for B anchors: logits (N, S, B) and offsets (N, S, B, 4).

    Offsets are in units of the coding's standard deviations, as in `ALFNet`.
    """

    def __init__(self, model: ALFNet, *, rgb: bool = False, half: bool = False) -> None:
        """Copies the weights of `model`.

        rgb: channels come in the order R G B, not B G R. half: convolutions in float16; what comes out is float32.
        """
        super().__init__()
        self.backbone = _folded(model.backbone)
        self.p3, self.p6 = _folded(model.p3), _folded(model.p6)
        self.steps = nn.ModuleList(
            nn.ModuleList(_Head(cast(PredictorBlock, block)) for block in cast(nn.ModuleList, blocks))
            for blocks in model.steps
        )
        self.half_precision = half
        order = [2, 1, 0] if rgb else [0, 1, 2]
        self.order = order if rgb else None
        self.register_buffer("means", torch.tensor([CHANNEL_MEANS[channel] for channel in order]))
        if half:
            for part in (self.backbone, self.p3, self.p6, self.steps):
                part.half()
        self.eval()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """As the class says."""
        values = images.to(torch.float32) - cast(Tensor, self.means)
        if self.order is not None:
            values = values[..., self.order]
        values = values.permute(0, 3, 1, 2)
        if self.half_precision:
            values = values.half()
        features = self._features(values)
        logits, offsets = [], []
        for blocks in self.steps:
            levels = [block(feature) for block, feature in zip(cast(nn.ModuleList, blocks), features, strict=True)]
            logits.append(torch.cat([each for each, _ in levels], dim=1))
            offsets.append(torch.cat([each for _, each in levels], dim=1))
        return torch.stack(logits, dim=1).float(), torch.stack(offsets, dim=1).float()

    def maps(self, values: Tensor) -> list[Tensor]:
        """(N, 3, H, W) less the means -> by step, then level, what the predictor blocks' last convolution gives.

        Each is (N, A + 4A, h, w) for A anchors a cell: first their logits, then their offsets, anchor by anchor.
        """
        features = self._features(values)
        return [
            cast(_Head, block).map(feature)
            for blocks in self.steps
            for block, feature in zip(cast(nn.ModuleList, blocks), features, strict=True)
        ]

    def _features(self, values: Tensor) -> list[Tensor]:
        stride8, stride16, stride32 = self.backbone(values)
        return [F.relu(self.p3(stride8)), stride16, stride32, F.relu(self.p6(stride32))]


class Decoder(nn.Module):
    """What the network predicts -> boxes (N, S, B, 4), x1 y1 x2 y2 in pixels, and scores (N, S, B) of every step.

    Boxes are clipped to the input after every step; a score is made of the sigmoid scores of the steps up to it
    (`alfnet.detection.postprocess.step_scores`).
    """

    def __init__(self, rule: str) -> None:
        """`rule`: `detect.scores` of the parameters."""
        super().__init__()
        self.rule = rule

    def forward(self, logits: Tensor, offsets: Tensor, anchors: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        """logits (N, S, B), offsets (N, S, B, 4), anchors (B, 4), limit (4,): the largest x, y, x, y."""
        current, boxes = anchors, []
        for step in range(logits.shape[1]):
            current = torch.minimum(decode(current, offsets[:, step]).clamp(min=0), limit)
            boxes.append(current)
        scores = step_scores([logits[:, step].sigmoid() for step in range(logits.shape[1])], self.rule)
        return torch.stack(boxes, dim=1), torch.stack(scores, dim=1)


class Grid(nn.Module):
    """The anchors of an input whose size is known only when it comes, as `alfnet.boxes.anchors` makes them."""

    def __init__(self, settings: AnchorSettings) -> None:
        super().__init__()
        self.settings = settings

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(N, H, W, 3) -> anchors (B, 4), clipped, and (4,) the largest x, y, x, y."""
        height, width = images.shape[1:3]
        right, bottom = (torch.arange(side, side + 1, dtype=torch.float32) - 1 for side in (width, height))
        limit = torch.cat([right, bottom, right, bottom])
        levels = []
        for stride, widths in zip(STRIDES, self.settings.widths, strict=True):
            box_width = torch.tensor(widths, dtype=torch.float32)
            box_height = box_width / stride * round(stride / self.settings.ratio)
            half = torch.stack([(box_width - 1) / 2, (box_height - 1) / 2], dim=-1)
            x = torch.arange(width // stride, dtype=torch.float32) * stride + (stride - 1) / 2
            y = torch.arange(height // stride, dtype=torch.float32) * stride + (stride - 1) / 2
            zeros = y[:, None] * 0 + x[None] * 0
            centre = torch.stack([zeros + x[None], zeros + y[:, None]], dim=-1)[:, :, None]  # (rows, columns, 1, 2)
            levels.append(torch.cat([centre - half, centre + half], dim=-1).flatten(0, 2))
        return torch.minimum(torch.cat(levels).clamp(min=0), limit), limit


class _Head(nn.Module):
    """A predictor block with its two last convolutions as one."""

    def __init__(self, block: PredictorBlock) -> None:
        super().__init__()
        self.conv = _folded(block.conv)
        logits, offsets = block.logits, block.offsets
        self.anchors = logits.out_channels
        self.both = nn.Conv2d(logits.in_channels, logits.out_channels + offsets.out_channels, 1)
        assert logits.bias is not None
        assert offsets.bias is not None
        with torch.no_grad():
            self.both.weight.copy_(torch.cat([logits.weight, offsets.weight]))
            cast(Tensor, self.both.bias).copy_(torch.cat([logits.bias, offsets.bias]))

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C, H, W) -> logits (N, H*W*A) and offsets (N, H*W*A, 4)."""
        both = self.map(feature).permute(0, 2, 3, 1)  # (N, H, W, A + 4A)
        return both[..., : self.anchors].flatten(1), both[..., self.anchors :].reshape(len(both), -1, 4)

    def map(self, feature: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, A + 4A, H, W): logits and offsets."""
        found: Tensor = self.both(F.relu(self.conv(feature)))
        return found


def _folded(module: nn.Module) -> nn.Module:
    """A copy of a part of the network with constant padding, and normalisation within the convolutions."""
    if isinstance(module, ConvNorm):
        return _plain(module.conv, _scale_and_shift(module))
    if isinstance(module, SameConv2d):
        return _plain(module, None)
    if isinstance(module, resnet50.ResNet50):
        return _ResNet50(module)
    copy = _shallow_copy(module)
    for name, child in module.named_children():
        setattr(copy, name, _folded(child))
    return copy


def _shallow_copy(module: nn.Module) -> nn.Module:
    """The module with its own children table: replacing a child leaves the original as it is."""
    copy = module.__class__.__new__(module.__class__)
    copy.__dict__.update(module.__dict__)
    copy.__dict__["_modules"] = dict(module._modules)
    return copy


class _ResNet50(nn.Module):
    """ResNet-50 whose pooling pads by a constant: one pixel at the far edges, as "same" does on even sides."""

    def __init__(self, backbone: resnet50.ResNet50) -> None:
        super().__init__()
        self.stem = _folded(backbone.stem)
        self.stages = nn.ModuleList(
            _folded(stage) for stage in (backbone.stage2, backbone.stage3, backbone.stage4, backbone.stage5)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """As `ResNet50.forward`."""
        # Activations are not below 0, so a pad of 0 is never the largest where a pixel is.
        output = F.max_pool2d(F.pad(F.relu(self.stem(images)), (0, 1, 0, 1)), 3, 2)
        features = []
        for stage in self.stages:
            output = stage(output)
            features.append(output)
        return features[1], features[2], features[3]


def _plain(conv: nn.Conv2d, change: tuple[Tensor, Tensor] | None) -> nn.Module:
    """A convolution with constant padding for sides that its stride divides; `change` scales and shifts its channels."""
    kernel, stride = conv.kernel_size[0], conv.stride[0]
    if isinstance(conv, SameConv2d):
        before, after = same_padding(64, kernel, stride)  # of any even side
    else:
        before = after = cast(int, conv.padding[0])
    plain = nn.Conv2d(
        conv.in_channels,
        conv.out_channels,
        kernel,
        stride,
        padding=before if before == after else 0,
        groups=conv.groups,
        bias=change is not None or conv.bias is not None,
    )
    with torch.no_grad():
        weight, bias = conv.weight, conv.bias
        if change is not None:
            scale, shift = change
            weight = weight * scale[:, None, None, None]
            bias = shift if bias is None else shift + bias * scale
        plain.weight.copy_(weight)
        if plain.bias is not None:
            plain.bias.copy_(cast(Tensor, bias))
    if before == after:
        return plain
    return nn.Sequential(nn.ZeroPad2d((before, after, before, after)), plain)


def _scale_and_shift(module: ConvNorm) -> tuple[Tensor, Tensor]:
    norm = module.norm
    scale = norm.weight / torch.sqrt(norm.running_var + BATCH_NORM_EPSILON)
    return scale, norm.bias - norm.running_mean * scale
