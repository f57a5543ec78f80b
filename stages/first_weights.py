"""Stage `first_weights@VARIANT`: what a variant starts from: its backbone's weights, or an imported detector.

A stage of its own, because DVC cannot give the training stage a dependency that only some variants have: this one watches
the whole folder of imported detectors and costs a second, and training reruns only if its own weights have changed.
"""

import sys
from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(name: str) -> None:
    """Put the first weights of variant `name` in place."""
    params = checked_params()
    from alfnet.network.weight_files import copy_weights

    variant = params.variant(name)
    source = Path(variant.weights or f"weights/backbones/{variant.backbone}.safetensors")
    copy_weights(source, Path("models") / name / "first.safetensors", "detector" if variant.weights else "backbone")


if __name__ == "__main__":
    main(sys.argv[1])
