"""What a network was trained on, kept in its file: a detector knows the images it was shown, and little beyond."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alfnet.network.weight_files import read_extra_only
from alfnet.params import Params

KEY = "trained_on"
"""Of the `extra` entries of a weight file: a JSON object."""


def training_origin(params: Params, variant: str, seed: int, images: int) -> dict[str, str]:
    """The entry for a network that is trained with `params` on `images` images."""
    training = params.training(variant)
    origin: dict[str, Any] = {
        "data_set": params.data.name,
        "rendered": any(params.data.folder == f"data/{name}" for name in params.synthetic),
        "image_size": None if params.data.width is None else [params.data.width, params.data.height],
        "images": images,
        "profile": params.profile,
        "variant": variant,
        "updates": training.updates,
        "batch": training.batch,
        "seed": seed,
    }
    return {KEY: json.dumps(origin, sort_keys=True)}


def imported_origin(backbone: str) -> dict[str, str]:
    """The entry for a detector of the 2018 release's layout, whose file does not say more."""
    return {KEY: json.dumps({"release": "2018", "backbone": backbone}, sort_keys=True)}


def origin_entry(path: str | os.PathLike[str]) -> dict[str, str]:
    """The entry of a weight file, for a copy of it; empty where it has none."""
    extra = read_extra_only(Path(path))
    return {KEY: extra[KEY]} if KEY in extra else {}


def read_origin(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a weight file says of its training; empty where it says nothing."""
    try:
        origin = json.loads(read_extra_only(Path(path)).get(KEY, "{}"))
    except ValueError:
        return {}
    return origin if isinstance(origin, dict) else {}


def origin_sentence(path: str | os.PathLike[str]) -> str:
    """What a weight file was trained on, in a sentence or two."""
    return describe(read_origin(Path(path)))


def describe(origin: Mapping[str, Any]) -> str:
    """An origin in a sentence or two, with what to expect of it."""
    if origin.get("release"):
        return (
            "converted from a Keras file in the layout of the 2018 release, whose models were trained on CityPersons "
            "(streets of German cities, 2048 x 1024 px); the file itself does not say"
        )
    if "data_set" not in origin:
        return "the file does not say what it was trained on"
    rendered = bool(origin.get("rendered"))
    what = "rendered street scenes only" if rendered else str(origin["data_set"])
    size = origin.get("image_size")
    sizes = f" of {size[0]} x {size[1]} px" if size else ""
    text = (
        f"trained on {what} ({origin.get('images', '?')} images{sizes}; profile "
        f"{origin.get('profile', '?')}, {origin.get('updates', '?')} updates, seed {origin.get('seed', '?')})"
    )
    if rates := origin.get("miss_rate_percent"):
        text += "; miss rate there: " + ", ".join(f"{value} % at IoU {iou}" for iou, value in sorted(rates.items()))
    return text + ("; it has never seen a photograph, so expect little of it there" if rendered else "")
