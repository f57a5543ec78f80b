"""CrowdHuman's annotations (.odgt): a JSON object per line, with full boxes, visible boxes and masks.

{"ID": "273271,c9db000d5146c15", "gtboxes": [{"tag": "person", "fbox": [x, y, w, h], "vbox": [...], "hbox": [...],
"extra": {"ignore": 1, ...}}, {"tag": "mask", ...}]}. Boxes are in pixels; full boxes may leave the image. A mask (a
reflection, a statue, a crowd) and a person with extra.ignore are ignore regions. The files tell no image sizes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfnet.annotations.images import AnnotatedImage, annotated_image, check_name
from alfnet.errors import AlfnetError
from alfnet.images import image_size

_REMEDY = "CrowdHuman's annotation_train.odgt or annotation_val.odgt was expected"


@dataclass(frozen=True)
class OdgtImage:
    """A line of the file: its image's ID and, per box, [x, y, w, h] whole and visible, and whether it is a person."""

    id: str
    boxes: list[list[float]]
    visible: list[list[float]]
    pedestrian: list[bool]


def read_odgt(path: Path) -> Iterator[OdgtImage]:
    """Read the lines of an .odgt file, in file order. Raises AlfnetError, naming the line, for another layout."""
    try:
        lines = path.read_bytes().splitlines()
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; {_REMEDY}") from None
    except OSError as error:
        raise AlfnetError(f"{path}: {error.strerror}; {_REMEDY}") from None
    ids: set[str] = set()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise AlfnetError(f"{where} is no JSON ({error}); was the file cut short? {_REMEDY}") from None
        if not isinstance(entry, dict) or not isinstance(entry.get("ID"), str):
            raise AlfnetError(f"{where} has no ID; {_REMEDY}")
        if entry["ID"] in ids:
            raise AlfnetError(f"{where}: the ID {entry['ID']} stands there twice; leave one line per image")
        ids.add(entry["ID"])
        yield _image(entry, where)
    if not ids:
        raise AlfnetError(f"{path}: holds no image; {_REMEDY}")


def read_crowdhuman(path: Path, images: Path) -> list[AnnotatedImage]:
    """Read an .odgt file; sizes come from the images, `images`/<ID>.jpg, which have to be there."""
    entries = list(read_odgt(path))
    names = [check_name(f"{entry.id}.jpg", str(path)) for entry in entries]
    missing = [name for name in names if not (images / name).is_file()]
    if missing:
        raise AlfnetError(
            f"{images}: {len(missing)} of {len(names)} images are not there, e.g. {missing[0]}; put them there, or "
            "correct data.folder and data.images"
        )
    sizes = [image_size(images / name) for name in names]
    return [
        annotated_image(name, *size, entry.boxes, visible=entry.visible, pedestrian=entry.pedestrian)
        for name, size, entry in zip(names, sizes, entries, strict=True)
    ]


def _image(entry: dict[str, Any], where: str) -> OdgtImage:
    listed = entry.get("gtboxes", [])
    if not isinstance(listed, list):
        raise AlfnetError(f"{where}: gtboxes is {listed!r:.60}, a list was expected; {_REMEDY}")
    found = OdgtImage(entry["ID"], [], [], [])
    for number, box in enumerate(listed, start=1):
        place = f"{where}, box {number}"
        if not isinstance(box, dict) or box.get("tag") not in ("person", "mask"):
            raise AlfnetError(f"{place}: the tag person or mask was expected; {_REMEDY}")
        full = _box(box.get("fbox"), f"{place}: fbox")
        extra = box.get("extra")
        ignored = isinstance(extra, dict) and bool(extra.get("ignore", 0))
        found.boxes.append(full)
        found.visible.append(_box(box["vbox"], f"{place}: vbox") if "vbox" in box else full)
        found.pedestrian.append(box["tag"] == "person" and not ignored)
    return found


def _box(box: Any, where: str) -> list[float]:
    numbers = isinstance(box, list) and len(box) == 4 and all(type(value) in (int, float) for value in box)
    if not numbers or not all(math.isfinite(value) for value in box) or min(box[2:]) < 0:
        raise AlfnetError(f"{where} is {box!r:.60}; [x, y, width, height] was expected; {_REMEDY}")
    return [float(value) for value in box]
