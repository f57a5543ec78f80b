"""CrowdHuman's ground truth: .odgt, a JSON object per line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.json_list import records_in
from alfnet.reading.records import check_numbers, check_records, check_sizes, explain

_REMEDY = (
    'expected lines like {"ID": "273271,c9db000d5146c15", "gtboxes": [{"tag": "person", "fbox": [x, y, width, height], '
    '"vbox": [...], "extra": {"ignore": 0}}]}'
)
_FARTHEST = 1e7


def read_odgt(path: Path, text: str, warnings: list[str]) -> GroundTruth:
    """Read the full boxes (fbox) of an .odgt file; image ids are 1, 2, ... in the file's order, names its IDs.

    A box whose tag is not "person", or whose extra.ignore is not 0, is ignored, as by the benchmark's devkit. Visible
    ratios follow from vbox where it is there. Raises AlfnetError for what is not as it should be.
    """
    names: list[str] = []
    sizes: list[tuple[float, float]] = []
    image_ids: list[int] = []
    boxes: list[Any] = []
    ignored: list[bool] = []
    visible: list[float] = []
    for records in records_in(path, text):
        check_records(path, records, "line", ["ID", "gtboxes"], _REMEDY, first=len(names) + 1)
        for record in records:
            number = len(names) + 1
            if type(record["ID"]) is not str or type(record["gtboxes"]) is not list:
                raise AlfnetError(f"{path}: line {number} has no text as ID or no list as gtboxes; {_REMEDY}")
            names.append(record["ID"])
            sizes.append((_size(record.get("height")), _size(record.get("width"))))
            check_records(path, record["gtboxes"], f"box of line {number} that is number", ["tag", "fbox"], _REMEDY)
            for box in record["gtboxes"]:
                if not _is_box(box["fbox"]):
                    raise AlfnetError(f"{path}: line {number} has an fbox that is not four numbers; {_REMEDY}")
                extra = box.get("extra")
                ignored.append(box["tag"] != "person" or (isinstance(extra, dict) and extra.get("ignore", 0) != 0))
                image_ids.append(number)
                boxes.append(box["fbox"])
                visible.append(_ratio(box.get("vbox"), box["fbox"]))
    doubles = len(names) - len(set(names))
    if doubles:
        double = next(name for index, name in enumerate(names) if name in names[:index])
        raise AlfnetError(
            explain(path, f"{doubles} IDs stand more than once", double, "give every image a line of its own")
        )
    columns = np.array(boxes, dtype=np.float64).reshape(-1, 4)

    def place(index: int) -> str:
        return f"line {image_ids[index]}"

    check_numbers(path, columns, "fbox", place)
    check_sizes(path, columns, place)
    ratios = np.array(visible, dtype=np.float64)
    if np.isnan(ratios).any():
        ratios[:] = np.nan
    return GroundTruth(
        image_ids=np.arange(1, len(names) + 1),
        file_names=tuple(names),
        image_sizes=np.array(sizes, dtype=np.float64).reshape(-1, 2),
        annotation_image_ids=np.array(image_ids, dtype=np.int64),
        boxes=columns,
        heights=columns[:, 3],
        visible_ratios=ratios,
        ignored=np.array(ignored, dtype=np.bool_),
        warnings=tuple(warnings),
        annotations="odgt",
    )


def _is_box(box: Any) -> bool:
    return (
        type(box) is list
        and len(box) == 4
        and all(type(value) in (int, float) and -_FARTHEST < value < _FARTHEST for value in box)
    )


def _ratio(visible: Any, full: Any) -> float:
    if not _is_box(visible) or full[2] <= 0 or full[3] <= 0:
        return float("nan")
    return min(1.0, max(0.0, visible[2] * visible[3] / (full[2] * full[3])))


def _size(value: Any) -> float:
    return float(value) if type(value) in (int, float) and 0 < value < 1e9 else float("nan")
