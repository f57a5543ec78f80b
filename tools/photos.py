"""Make weights/photos.safetensors, the detector that comes with the project, with the profile `pennfudan`.

    python -m tools.photos train models/photos/model.safetensors   # on all photographs; about 45 minutes of a core
    python -m tools.photos pack models/photos/model.safetensors

`train` needs what the stages `cache_annotations` and `first_weights` have made, and goes on where it was stopped. `pack`
stores the weights in half precision, with the frame that photographs are shrunk into and the overlap of NMS that did best in
the cross-validation of `docs/photos.md`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from alfnet.network.file_origin import read_origin
from alfnet.network.origin import KEY
from alfnet.network.weight_files import read_weights, write_weights
from alfnet.params import Params, load_params
from alfnet.runtime import configure_libraries

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "weights" / "photos.safetensors"
VARIANT, SEED = "mobilenet-2s", 1
DETECT = {"nms_iou": 0.45}
"""Instead of published values."""
MEASURED = {"0.50 in cross-validation": 15.0, "0.75 in cross-validation": 81.8}
"""Miss rates in percent by IoU, for the file to say of itself: no photograph is left to test this detector, but five
of the same settings have been, each on the fifth that it had not seen (docs/pennfudan.md, "Longer trainings")."""
TRAIN = {"updates": 3000, "batch": 16, "images_per_device": 16, "weight_decay": 0.05}
AUGMENT = {"brightness": [0.5, 1.6], "scale": [0.35, 1.0]}
"""Instead of the profile's: the longer trainings of docs/pennfudan.md."""


def on_all(params: Params) -> Params:
    """The parameters of the longer training without folds: it sees every photograph."""
    augment = params.train.augment.model_copy(update=AUGMENT)
    longer = params.train.model_copy(update=TRAIN | {"augment": augment})
    return params.model_copy(update={"data": params.data.model_copy(update={"split": None}), "train": longer})


def train(out: Path, *, params: Path = Path("params.yaml"), cache: Path = Path("cache/train.json")) -> None:
    """Train on all photographs that the cache lists."""
    read = load_params(params)
    configure_libraries(read.runtime)
    from alfnet.training.run import train_variant

    out.parent.mkdir(parents=True, exist_ok=True)
    first = Path("weights/first") / f"{VARIANT}.safetensors"
    train_variant(on_all(read), VARIANT, SEED, first=first, cache=cache, out=out, scratch=Path(".scratch/photos"))


def half(model: Path, out: Path, *, origin: dict[str, Any]) -> None:
    """Write a detector in half precision, with what it was trained on."""
    tensors, description = read_weights(model, "detector")
    description["extra"] = {**description.get("extra", {}), KEY: json.dumps(origin, sort_keys=True)}
    small = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_weights(out, "detector", small, description)


def pack(model: Path, out: Path = OUT) -> None:
    """Convert, and note how boxes are to be chosen and what to expect."""
    half(model, out, origin=read_origin(model) | {"detect": DETECT, "miss_rate_percent": MEASURED})
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    if sys.argv[1] == "train":
        train(Path(sys.argv[2]))
    else:
        pack(Path(sys.argv[2]))
