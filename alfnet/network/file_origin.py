"""The origins of weight files: read, summarised with the rest that a file says, and stamped with miss rates."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.files import read_json
from alfnet.network.origin import KEY, describe, origin_of
from alfnet.network.weight_files import (
    read_description,
    read_extra_only,
    read_weights,
    weights_kind,
    write_weights,
)


def origin_entry(path: str | os.PathLike[str]) -> dict[str, str]:
    """The entry of a weight file, for a copy of it; empty where it has none."""
    extra = read_extra_only(Path(path))
    return {KEY: extra[KEY]} if KEY in extra else {}


def read_origin(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a weight file says of its training; empty where it says nothing."""
    return origin_of(read_extra_only(Path(path)))


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
