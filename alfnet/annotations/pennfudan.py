"""Penn-Fudan's annotations: `Annotation/FudanPed00001.txt`, a PASCAL 1.00 text per photograph, of pixel-inclusive corners.

Wang, Shi, Song, Shen: Object Detection Combining Recognition and Segmentation, ACCV 2007. The corners count from 1, so a
box (160, 182) - (302, 431) is x 159, y 181, width 143, height 250. Visible parts are not annotated.
"""

from __future__ import annotations

import re
from pathlib import Path

from alfnet.annotations.images import AnnotatedImage, annotated_image, check_name
from alfnet.errors import AlfnetError

_NAME = re.compile(r'^Image filename\s*:\s*"([^"]+)"', re.MULTILINE)
_SIZE = re.compile(r"^Image size \(X x Y x C\)\s*:\s*(\d{1,6}) x (\d{1,6}) x", re.MULTILINE)
_COUNT = re.compile(r"^Objects with ground truth\s*:\s*(\d{1,6})", re.MULTILINE)
_BOX = re.compile(
    r"^Bounding box for object \d+[^\n]*\(Xmin, Ymin\) - \(Xmax, Ymax\)\s*:\s*"
    r"\((\d{1,6}),\s*(\d{1,6})\)\s*-\s*\((\d{1,6}),\s*(\d{1,6})\)",
    re.MULTILINE,
)

_REMEDY = "the texts of PennFudanPed/Annotation were expected; unpack PennFudanPed.zip again"


def read_pennfudan(folder: Path) -> list[AnnotatedImage]:
    """Read all texts of the folder `Annotation`, in the order of their names.

    Raises AlfnetError, naming the file, for an empty folder, and for a text that lacks name or size, or in which the
    number of boxes is another than it says.
    """
    files = sorted(folder.glob("*.txt"))
    if not files:
        raise AlfnetError(f"{folder}: no annotation texts in this folder; {_REMEDY}")
    return [read_text(file) for file in files]


def read_text(path: Path) -> AnnotatedImage:
    """Read one annotation text; the image is named without its folder (PNGImages)."""
    try:
        text = path.read_text(encoding="latin-1")
    except OSError as error:
        raise AlfnetError(f"{path}: {error.strerror}; {_REMEDY}") from None
    name, size, count = _NAME.search(text), _SIZE.search(text), _COUNT.search(text)
    if not (name and size and count):
        raise AlfnetError(f"{path}: image filename, image size or the number of objects is missing; {_REMEDY}")
    width, height = int(size[1]), int(size[2])
    boxes = [
        [x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1]
        for x1, y1, x2, y2 in (map(int, corners) for corners in _BOX.findall(text))
    ]
    if len(boxes) != int(count[1]):
        raise AlfnetError(f"{path}: says {count[1]} objects and has {len(boxes)} bounding boxes; {_REMEDY}")
    for box in boxes:
        if min(box[2:]) < 1 or min(box[:2]) < 0 or box[0] + box[2] > width or box[1] + box[3] > height:
            raise AlfnetError(f"{path}: the box {box} (x, y, width, height) leaves {width} x {height} px; {_REMEDY}")
    return annotated_image(
        check_name(name[1].rsplit("/", 1)[-1], str(path)), height, width, boxes, pedestrian=[True] * len(boxes)
    )
