"""What a network was trained on, kept in its file: a detector knows the images it was shown, and little beyond.

Nothing here needs torch: exported files carry their origin, too, and are served without it. `alfnet.network.file_origin`
reads the origins of weight files.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from alfnet.params import Params

KEY = "trained_on"
"""Of the `extra` entries of a weight file or an exported file: a JSON object."""


def training_origin(params: Params, variant: str, seed: int, images: int, updates: int | None = None) -> dict[str, str]:
    """The entry for a network that is trained with `params` on `images` images, up to the end or for so many updates."""
    training = params.training(variant)
    framed = any(params.data.folder == f"data/{name}" for name in params.prepare)
    origin: dict[str, Any] = {
        "data_set": params.data.name,
        "rendered": any(params.data.folder == f"data/{name}" for name in params.synthetic),
        "image_size": None if params.data.width is None else [params.data.width, params.data.height],
        # Photographs were shrunk into frames of this size: so are those that the detector is to look at.
        "frame": [params.data.width, params.data.height] if framed else None,
        "images": images,
        "profile": params.profile,
        "variant": variant,
        "updates": updates or training.updates,
        "batch": training.batch,
        "seed": seed,
    }
    return {KEY: json.dumps(origin, sort_keys=True)}


def imported_origin(backbone: str) -> dict[str, str]:
    """The entry for a detector of the 2018 release's layout, whose file does not say more."""
    return {KEY: json.dumps({"release": "2018", "backbone": backbone}, sort_keys=True)}


def origin_of(extra: Mapping[str, Any]) -> dict[str, Any]:
    """What the `extra` entries of a weight file or an exported file say of the training; empty where they say nothing."""
    try:
        origin = json.loads(extra.get(KEY, "{}"))
    except (ValueError, TypeError, RecursionError):
        return {}
    return origin if isinstance(origin, dict) else {}


def trained_frame(origin: Mapping[str, Any]) -> tuple[int, int] | None:
    """Height and width of the frame that a detector's photographs were shrunk into; None where they were not."""
    frame = origin.get("frame")
    sides = frame if isinstance(frame, list) and len(frame) == 2 else [0, 0]
    if not all(type(side) is int and 64 <= side <= 2**14 for side in sides):
        return None
    return sides[1], sides[0]


def describe(origin: Mapping[str, Any]) -> str:
    """An origin in a sentence or two, with what to expect of it."""
    rendered = bool(origin.get("rendered"))
    if origin.get("release"):
        text = (
            "converted from a Keras file in the layout of the 2018 release, whose models were trained on CityPersons "
            "(streets of German cities, 2048 x 1024 px); the file itself does not say"
        )
    elif "data_set" in origin:
        size = origin.get("image_size")
        shown = f" of {size[0]} x {size[1]} px" if isinstance(size, list) and len(size) == 2 else ""
        text = (
            f"trained on {'rendered street scenes only' if rendered else origin['data_set']} "
            f"({origin.get('images', '?')} images{shown}; profile "
            f"{origin.get('profile', '?')}, {origin.get('updates', '?')} updates, seed {origin.get('seed', '?')})"
        )
    else:
        text = "the file does not say what it was trained on"
    rates = origin.get("miss_rate_percent")
    if rates and isinstance(rates, dict):
        text += "; miss rate: " + ", ".join(f"{value} % at IoU {iou}" for iou, value in sorted(rates.items()))
    return text + ("; it has never seen a photograph, so expect little of it there" if rendered else "")
