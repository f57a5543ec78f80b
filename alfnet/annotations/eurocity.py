"""EuroCity Persons' annotations: a JSON file per image, `labels/{train,val}/<city>/<city>_<number>.json`.

{"imagewidth": 1920, "imageheight": 1024, "children": [{"identity": "pedestrian", "x0": ..., "y0": ..., "x1": ..., "y1": ...,
"tags": ["occluded>40"], "children": [...]}]}. Corners are in pixels. Pedestrians are people to find; riders, groups and
everything else are ignore regions. Visible parts are told in classes: the share below is the middle of each class.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from alfnet.annotations.images import AnnotatedImage, annotated_image
from alfnet.errors import AlfnetError
from alfnet.files import read_json

# Occluded or truncated by more than 10, 40 and 80 percent.
VISIBLE = {">10": 0.75, ">40": 0.4, ">80": 0.1}
SUFFIX = ".png"

_REMEDY = "a folder of EuroCity's labels was expected, e.g. ECP/day/labels/val"


def read_eurocity(folder: Path, images: Path = Path()) -> list[AnnotatedImage]:
    """Read all JSON files below `folder`; an image is named `images`/<city>/<file>.png. Order: city, then name.

    Raises AlfnetError, naming the file, for an empty folder and content of another layout.
    """
    files = sorted(folder.rglob("*.json"), key=lambda file: (file.parent.name, file.name))
    if not files:
        raise AlfnetError(f"{folder}: no JSON files below this folder; {_REMEDY}")
    return [_read(file, folder, images) for file in files]


def _read(path: Path, folder: Path, images: Path) -> AnnotatedImage:
    content = read_json(path)
    if not isinstance(content, dict) or not isinstance(content.get("children"), list):
        raise AlfnetError(f"{path}: imagewidth, imageheight and a list of children were expected; {_REMEDY}")
    height, width = content.get("imageheight"), content.get("imagewidth")
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise AlfnetError(f"{path}: imageheight and imagewidth in pixels were expected; {_REMEDY}")
    boxes, ratios, pedestrian, crowd = [], [], [], []
    for number, child in enumerate(content["children"], start=1):
        where = f"{path}: child {number}"
        if not isinstance(child, dict) or not isinstance(child.get("identity"), str):
            raise AlfnetError(f"{where} has no identity; {_REMEDY}")
        corners: list[Any] = [child.get(key) for key in ("x0", "y0", "x1", "y1")]
        if not all(type(value) in (int, float) and math.isfinite(value) for value in corners):
            raise AlfnetError(f"{where}: x0, y0, x1, y1 are {corners!r:.80}, numbers were expected; {_REMEDY}")
        x0, y0, x1, y1 = corners
        if x1 <= x0 or y1 <= y0:
            raise AlfnetError(f"{where}: the corners {corners} are no box; {_REMEDY}")
        boxes.append([x0, y0, x1 - x0, y1 - y0])
        ratios.append(_visible(child.get("tags", [])))
        pedestrian.append(child["identity"] == "pedestrian")
        crowd.append("group" in child["identity"])
    name = (images / path.relative_to(folder)).with_suffix(SUFFIX).as_posix()
    return annotated_image(name, height, width, boxes, visible_ratios=ratios, pedestrian=pedestrian, crowd=crowd)


def _visible(tags: Any) -> float:
    named = [str(tag) for tag in tags] if isinstance(tags, list) else []
    return min((ratio for mark, ratio in VISIBLE.items() if any(tag.endswith(mark) for tag in named)), default=1.0)
