"""Stage `first_weights@VARIANT`: what a variant starts from: its backbone's weights, or an imported detector.

A stage of its own, because DVC cannot give the training stage a dependency that only some variants have, nor the settings
of the variant's own backbone: this one watches all of them and costs a second, and training reruns only if its own first
weights, or the network's settings that stand in their file, have changed.
"""

from collections import Counter
from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(name: str) -> None:
    """Put the first weights of variant `name` in place."""
    params = checked_params()
    from alfnet.network.alfnet import write_first_weights
    from alfnet.network.settings import network_settings
    from alfnet.network.weight_files import copy_weights

    variant = params.variant(name)
    out = Path("weights/first") / f"{name}.safetensors"
    if variant.weights is not None:
        copy_weights(variant.weights, out, "detector")
    else:
        backbone = Path("weights/backbones") / f"{variant.backbone}.safetensors"
        source = params.train.init_from
        taken, left = write_first_weights(backbone, out, network_settings(params, name), source)
        if source is not None:
            print(f"{name}: {taken} tensors from {source}{_rest(left)}")


def _rest(names: list[str]) -> str:
    """What the detector had nothing for, by the parts of the network."""
    if not names:
        return ""
    parts = Counter(".".join(name.split(".")[:3]) for name in names)
    return "; nothing there for " + ", ".join(f"{part} ({number})" for part, number in parts.items())


if __name__ == "__main__":
    main(*arguments("variant"))
