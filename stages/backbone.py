"""Stage `backbone@NAME`: the pretrained weights of a backbone, downloaded and converted (none for `init: random`)."""

from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message
from alfnet.params import Backbone


@exit_with_message
def main(name: Backbone) -> None:
    """Make the weights of backbone `name`."""
    params = checked_params()
    from alfnet.pretrained.backbone_weights import make_backbone

    make_backbone(params.backbones[name], name, Path("weights/backbones") / f"{name}.safetensors")


if __name__ == "__main__":
    main(*arguments("backbone"))
