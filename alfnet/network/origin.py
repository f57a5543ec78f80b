"""What a network was trained on, kept in its file: a detector knows the images it was shown, and little beyond."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.files import read_json
from alfnet.network.weight_files import (
    read_description,
    read_extra_only,
    read_weights,
    weights_kind,
    write_weights,
)
from alfnet.params import Params

KEY = "trained_on"
"""Of the `extra` entries of a weight file: a JSON object."""


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


def trained_frame(path: str | os.PathLike[str]) -> tuple[int, int] | None:
    """Height and width of the frame that a detector's photographs were shrunk into; None where they were not."""
    frame = read_origin(path).get("frame")
    sides = frame if isinstance(frame, list) and len(frame) == 2 else [0, 0]
    if not all(type(side) is int and 64 <= side <= 2**14 for side in sides):
        return None
    return sides[1], sides[0]


def origin_sentence(path: str | os.PathLike[str]) -> str:
    """What a weight file was trained on, in a sentence or two."""
    return describe(read_origin(Path(path)))


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
        text = (
            f"trained on {'rendered street scenes only' if rendered else origin['data_set']} "
            f"({origin.get('images', '?')} images{f' of {size[0]} x {size[1]} px' if size else ''}; profile "
            f"{origin.get('profile', '?')}, {origin.get('updates', '?')} updates, seed {origin.get('seed', '?')})"
        )
    else:
        text = "the file does not say what it was trained on"
    if rates := origin.get("miss_rate_percent"):
        text += "; miss rate: " + ", ".join(f"{value} % at IoU {iou}" for iou, value in sorted(rates.items()))
    return text + ("; it has never seen a photograph, so expect little of it there" if rendered else "")


def weights_summary(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What is in a weight file, for people and programs; AlfnetError where it is none."""
    path = Path(path)
    description = read_description(path)
    settings = description.get("settings") or {}
    summary: dict[str, Any] = {"file": str(path), "bytes": path.stat().st_size, "holds": weights_kind(path)}
    for key in ("backbone", "width", *settings):
        value = settings.get(key, description.get(key))
        if key == "anchors" and isinstance(value, dict):
            summary["anchor_widths"], summary["anchor_ratio"] = value.get("widths"), value.get("ratio")
        elif value is not None:
            summary[key] = value
    extra = description.get("extra") or {}
    summary |= {key: value for key, value in extra.items() if key != KEY}
    origin = read_origin(path)
    if summary["holds"] == "detector":
        summary["origin"] = describe(origin)
    summary |= {key: value for key, value in origin.items() if key not in summary}
    rates = _rates_beside(path)
    if rates and "miss_rate_percent" not in origin:
        summary["miss_rates"] = rates
    return summary


def stamp(path: Path, metrics: Path, out: Path) -> dict[str, float]:
    """Copy a detector to `out` with the miss rates in `metrics` (percent, Reasonable) in its metadata; return them.

    Raises AlfnetError where `path` is no detector, or `metrics` holds no miss rates.
    """
    rates = read_rates(metrics)
    if not rates:
        raise AlfnetError(
            f"{metrics}: no miss rates of the Reasonable subset in it; give metrics/VARIANT.json, or what "
            "`alfnet evaluate --out` wrote"
        )
    tensors, description = read_weights(path, "detector")
    extra = dict(description.get("extra") or {})
    extra[KEY] = json.dumps(read_origin(path) | {"miss_rate_percent": rates}, sort_keys=True)
    write_weights(out, "detector", tensors, description | {"extra": extra})
    return rates


def read_rates(metrics: Path) -> dict[str, float]:
    """Miss rates by IoU ("0.50") in a metrics file of the pipeline or of `alfnet evaluate`; empty where there are none."""
    content = read_json(metrics)
    if not isinstance(content, dict):
        return {}
    rates = {}
    for key, value in content.items():
        if found := re.fullmatch(r"mr_(\d\d)", key):  # the pipeline's headline
            rates[f"0.{found[1]}"] = value
        elif (found := re.fullmatch(r"iou_(0\.\d\d)", key)) and isinstance(value, dict):  # alfnet evaluate
            rates[found[1]] = value.get("reasonable")
    return {iou: round(float(value), 2) for iou, value in rates.items() if isinstance(value, (int, float))}


def _rates_beside(path: Path) -> str | None:
    """The miss rates of a model that still lies where the pipeline made it: models/VARIANT/SEED/model.safetensors."""
    parts = path.resolve().parts
    if len(parts) < 5 or parts[-4] != "models":
        return None
    metrics = Path(*parts[:-4]) / "metrics" / f"{parts[-3]}.json"
    try:
        rates = read_rates(metrics)
    except AlfnetError:
        return None
    listed = ", ".join(f"{value} % at IoU {iou}" for iou, value in rates.items())
    return f"{listed} (metrics/{metrics.name}: mean over its seeds, last step)" if rates else None
