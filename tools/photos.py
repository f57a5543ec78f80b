"""Make weights/photos.safetensors, the detector that comes with the project, of a training of the profile `pennfudan`.

    python -m tools.photos models/mobilenet-2s/1/model.safetensors evaluation/mobilenet-2s/1/results.json

Weights are stored in half precision, which halves the file; the frame that photographs are shrunk into stands in the file.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from alfnet.network.origin import KEY, read_origin
from alfnet.network.weight_files import read_weights, write_weights

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "weights" / "photos.safetensors"


def half(model: Path, out: Path, *, origin: dict[str, Any]) -> None:
    """Write a detector in half precision, with what it was trained on."""
    tensors, description = read_weights(model, "detector")
    description["extra"] = {**description.get("extra", {}), KEY: json.dumps(origin, sort_keys=True)}
    small = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_weights(out, "detector", small, description)


def main(model: str, results: str) -> None:
    """Convert, and note the measured figures."""
    figures = json.loads(Path(results).read_text())["steps"]
    last = figures[max(figures, key=int)]
    rates = {f"{float(key[4:]):g}": round(last[key]["reasonable"], 1) for key in ("iou_0.50", "iou_0.75")}
    origin = read_origin(model) | {"miss_rate_percent": rates}
    if not origin.get("frame"):  # of a file that an earlier version wrote
        origin["frame"] = origin.get("image_size")
    half(Path(model), OUT, origin=origin)
    print(f"{OUT}: {OUT.stat().st_size / 1e6:.1f} MB, {last['AP50']:.1f} % AP50, {last['AP']:.1f} % AP")


if __name__ == "__main__":
    main(*sys.argv[1:])
