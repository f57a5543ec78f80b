"""What a network is made of: everything that is needed to build it again, stored in every weight file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from alfnet.params import AnchorSettings, Backbone, Params, Settings


class NetworkSettings(Settings):
    """The shape of an ALFNet, and which parts of it training may change."""

    backbone: Backbone
    steps: Annotated[int, Field(ge=1)]
    """Localisation steps: predictor blocks per level."""
    backbone_width: Annotated[float, Field(gt=0, le=1)]
    """Multiplies the backbone's numbers of channels; 1.0 as published."""
    head_width: Annotated[float, Field(gt=0, le=1)]
    """Multiplies the channels of P3 (512), P6 (256) and the predictor blocks (256); 1.0 as published."""
    batch_norm: Literal["fixed", "trained"]
    """fixed: mean, variance, gamma and beta are constants."""
    batch_norm_momentum: Annotated[float, Field(gt=0, le=1)]
    """Share of a new batch in the running statistics (1 - Keras' momentum)."""
    freeze: bool
    """Freeze the first layers as published."""
    anchors: AnchorSettings

    @property
    def anchors_per_cell(self) -> int:
        """The number A of anchors at each cell of a level."""
        return len(self.anchors.widths[0])


def network_settings(params: Params, variant_name: str) -> NetworkSettings:
    """Return the network of a variant in params.yaml; AlfnetError where there is no such variant."""
    variant = params.variant(variant_name)
    backbone = params.backbones[variant.backbone]
    return NetworkSettings(
        backbone=variant.backbone,
        steps=variant.steps,
        backbone_width=backbone.width,
        head_width=params.head.width,
        batch_norm=backbone.batch_norm,
        batch_norm_momentum=backbone.batch_norm_momentum,
        freeze=backbone.freeze,
        anchors=params.head.anchors,
    )
