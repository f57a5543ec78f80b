"""A setting of the pipeline that runs in seconds: the mini profile with few, small images, thin networks and few updates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from alfnet.profiles import merged_text

ROOT = Path(__file__).resolve().parent.parent

CHANGES: dict[str, Any] = {
    "seeds": [1, 2],
    "data.height": 256,
    "data.width": 512,
    "synthetic.synthetic.height": 256,
    "synthetic.synthetic.width": 512,
    "synthetic.synthetic.train_images": 8,
    "synthetic.synthetic.val_images": 4,
    "data.minimum_pedestrian_height": 20,
    "backbones.resnet50.width": 0.05,
    "backbones.mobilenet.width": 0.1,
    "head.width": 0.05,
    "train.updates": 3,
    "train.batch": 2,
    "train.images_per_device": 2,
    "machine.checkpoint_every": 1,
    "train.log_every": 1,
    "train.augment.height": 64,
    "train.augment.width": 128,
    "report.image_width": 256,
}


def raw_params(*, variants: tuple[str, ...] | None = None, **changes: Any) -> dict[str, Any]:
    """The content of a parameter file; `changes` have `__` for the dots of their keys."""
    raw = YAML(typ="safe").load(merged_text("mini", ROOT / "profiles"))
    for key, value in (CHANGES | {key.replace("__", "."): value for key, value in changes.items()}).items():
        *path, last = key.split(".")
        section = raw
        for part in path:
            section = section[part]
        section[last] = value
    for variant in raw["variants"].values():
        variant.pop("updates", None)
    if variants is not None:
        raw["variants"] = {name: raw["variants"][name] for name in variants}
    return raw


def write_params(path: Path, **changes: Any) -> None:
    """Write `raw_params` to a file, in block style."""
    yaml = YAML()
    yaml.default_flow_style = False
    with path.open("w") as file:
        yaml.dump(raw_params(**changes), file)
