"""Which image a detection belongs to: ids as they should be, and the usual other ones recognised by name."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats, Integers, explain, shorten


def ids_of_records(path: Path, values: list[Any], ground_truth: GroundTruth) -> Integers:
    """Turn the values under "image_id" of D detections into ids (D,) of the ground truth's images.

    Raises AlfnetError for file names, other texts, fractions, 0-based and unknown ids, with counts, example and remedy.
    """
    kinds = set(map(type, values))
    if str in kinds:
        raise AlfnetError(_explain_texts(path, values, ground_truth))
    if kinds - {int}:
        wrong = [i for i, value in enumerate(values) if type(value) is not int and not _is_whole(value)]
        if wrong:
            found = f"{len(wrong)} of {len(values)} detections have an image_id that is no whole number"
            remedy = f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
            raise AlfnetError(explain(path, found, f"{shorten(values[wrong[0]])} in detection {wrong[0] + 1}", remedy))
    ids = list(map(int, values))
    _check_known(path, ids, set(ground_truth.image_ids.tolist()), ground_truth.describe_ids(), "image_id")
    return np.array(ids, dtype=np.int64)


def ids_of_positions(path: Path, positions: Floats, ground_truth: GroundTruth) -> Integers:
    """Turn the 2018 format's image numbers (D,), finite, into ids (D,).

    A number is the 1-based position in the ground truth's images. Raises AlfnetError like `ids_of_records`.
    """
    wrong = np.flatnonzero(positions != np.floor(positions))
    if len(wrong):
        found = f"{len(wrong)} of {len(positions)} detections start with no whole number"
        remedy = "a line is image x y width height score, separated by blanks"
        raise AlfnetError(explain(path, found, f"{positions[wrong[0]]:g} in detection {wrong[0] + 1}", remedy))
    images = len(ground_truth.image_ids)
    described = f"{images} images, numbered from 1 to {images} in the order of its 'images'"
    _check_known(path, list(map(int, positions)), set(range(1, images + 1)), described, "image number")
    return ground_truth.image_ids[positions.astype(np.int64) - 1]


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _explain_texts(path: Path, values: list[Any], ground_truth: GroundTruth) -> str:
    texts = [(i, value) for i, value in enumerate(values, 1) if type(value) is str]
    by_name = ground_truth.ids_by_name()
    names = [(i, text) for i, text in texts if _last_part(text) in by_name]
    if names:
        found = f"{len(names)} of {len(values)} detections have a file name as image_id"
        number, name = names[0]
        image_id = by_name[_last_part(name)]
        remedy = f"write the image's id in the ground truth, here {image_id}; its 'images' have both, name and id"
        return explain(path, found, f"{name!r} in detection {number}", remedy)
    found = f"{len(texts)} of {len(values)} detections have a text as image_id"
    number, text = texts[0]
    if all(text.strip().lstrip("-").isdecimal() for _, text in texts):
        remedy = f"write numbers without quotes: {int(text)}"
    else:
        remedy = (
            "this is no file name of the ground truth either; "
            f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
        )
    return explain(path, found, f"{text!r} in detection {number}", remedy)


def _check_known(path: Path, ids: list[int], known: set[int], described: str, name: str) -> None:
    used = Counter(ids)
    unknown = {image_id: count for image_id, count in used.items() if image_id not in known}
    if not unknown:
        return
    first = next(i for i, image_id in enumerate(ids) if image_id in unknown)
    total = f"{sum(unknown.values())} of {len(ids)} detections"
    if set(unknown) == {0} and min(known) == 1 and max(used) < max(known):
        found = f"the {name}s are 0-based: {total} have 0 and none has {max(known)}; the ground truth has {described}"
        remedy = f"add 1 to every {name}"
    elif len(unknown) == len(used):
        found = f"{total} have an {name} that is not in the ground truth, which has {described}"
        remedy = "are they detections of another data set or split? Take its ground truth, or write this one's ids"
    else:
        missing = f"an {name} ({len(unknown)} different) that is not in the ground truth"
        found = f"{total} have {missing}, which has {described}"
        remedy = "are they detections of more images? Leave these out, or take the ground truth that they belong to"
    raise AlfnetError(explain(path, found, f"{ids[first]} in detection {first + 1}", remedy))
