"""Which image a detection belongs to: ids as they should be, and the usual other ones recognised by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats, Integers, explain, shorten

_MOST = 2**53
"""Larger numbers are not exact as floats, and no image's id."""


def ids_of_records(path: Path, values: list[Any], ground_truth: GroundTruth, first: int = 1) -> Integers:
    """Turn the values under "image_id" of D detections into whole numbers (D,); `first` is the first one's number.

    Raises AlfnetError for file names, other texts and fractions, with counts, example and remedy. Whether they are ids
    of the ground truth is for `check_ids` to say, which sees all of them.
    """
    kinds = set(map(type, values))
    if str in kinds:
        raise AlfnetError(_explain_texts(path, values, ground_truth, first))
    if kinds - {int}:
        wrong = [i for i, value in enumerate(values) if type(value) is not int and not _is_whole(value)]
        if wrong:
            found = f"{len(wrong)} of {len(values)} detections have an image_id that is no whole number"
            remedy = f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
            example = f"{shorten(values[wrong[0]])} in detection {wrong[0] + first}"
            raise AlfnetError(explain(path, found, example, remedy))
        values = list(map(int, values))
    if (values and max(values) >= _MOST) or (values and min(values) <= -_MOST):
        large = [i for i, value in enumerate(values) if abs(value) >= _MOST]
        found = f"{len(large)} of {len(values)} detections have an image_id of more than 15 digits"
        example = f"{shorten(values[large[0]], 30)} in detection {large[0] + first}"
        remedy = f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
        raise AlfnetError(explain(path, found, example, remedy))
    return np.array(values, dtype=np.int64)


def check_ids(path: Path, ids: Integers, ground_truth: GroundTruth) -> None:
    """Raise AlfnetError for ids (D,) that are 0-based or not the ground truth's, with counts, example and remedy."""
    _check_known(path, ids, ground_truth.image_ids, ground_truth.describe_ids(), "image_id")


def ids_of_positions(path: Path, positions: Floats, ground_truth: GroundTruth) -> Integers:
    """Turn the 2018 format's image numbers (D,), finite, into ids (D,).

    A number is the 1-based position in the ground truth's images. Raises AlfnetError like `ids_of_records`.
    """
    wrong = np.flatnonzero((positions != np.floor(positions)) | (np.abs(positions) >= _MOST))
    if len(wrong):
        found = f"{len(wrong)} of {len(positions)} detections start with no whole number"
        remedy = "a line is image x y width height score, separated by blanks"
        raise AlfnetError(explain(path, found, f"{positions[wrong[0]]:g} in detection {wrong[0] + 1}", remedy))
    images = len(ground_truth.image_ids)
    described = f"{images} images, numbered from 1 to {images} in the order of its 'images'"
    numbers = positions.astype(np.int64)
    _check_known(path, numbers, np.arange(1, images + 1), described, "image number")
    return ground_truth.image_ids[numbers - 1]


def ids_of_names(path: Path, names: list[str], ground_truth: GroundTruth) -> Integers:
    """Turn file names of images (n,), with or without folders and suffix, into ids (n,).

    Raises AlfnetError for names that are not the ground truth's, and for those of several images.
    """
    ids = _find_names(names, ground_truth)
    unknown = [name for name, image_id in zip(names, ids, strict=True) if image_id is None]
    if unknown:
        known = next((name for name in ground_truth.file_names if name), None)
        found = f"{len(unknown)} of {len(names)} image names are no file name of the ground truth's images"
        remedy = f"its images are called like {known!r}" if known else "it has no file names: write image ids"
        raise AlfnetError(explain(path, found, repr(shorten(unknown[0])), remedy))
    return np.array(ids, dtype=np.int64)


def ids_beside_names(
    path: Path, names: list[str], numbers: Floats | Integers, ground_truth: GroundTruth, remarks: list[str]
) -> Integers | None:
    """Ids (n,) by the names of images (n,) that stand beside their numbers (n,); None where the numbers are to be followed.

    Names tell for sure; numbers may only count what a detector read, as those of `alfnet detect` do. Where both differ, a
    remark says so. Numbers are followed where some names are not the ground truth's and the others say the same. Raises
    AlfnetError where some are not and the others do not.
    """
    different, inverse = np.unique(np.array(names), return_inverse=True)
    found = _find_names(different.tolist(), ground_truth)
    known = np.array([image_id is not None for image_id in found], dtype=np.bool_)[inverse]
    ids = np.array([image_id or 0 for image_id in found], dtype=np.int64)[inverse]
    contrary = np.flatnonzero(known & (ids != numbers))
    if len(contrary) and not known.all():
        ids_of_names(path, different.tolist(), ground_truth)  # which raises
    if len(contrary):
        row = contrary[0]
        found_out = (
            f"{len(contrary)} of {len(names)} detections have another image_id than the image that file_name names"
        )
        example = f"{numbers[row]:g} beside {shorten(names[row])!r}, whose id in the ground truth is {ids[row]}"
        remarks.append(explain(path, found_out, example, "the names are followed"))
    strange = sorted(
        {names[row] for row in np.flatnonzero(~known)} - set(ground_truth.file_names)
    )  # not just ambiguous
    if strange and any(ground_truth.file_names):
        found_out = f"{len(strange)} of {len(different)} file names are not the ground truth's"
        remarks.append(explain(path, found_out, repr(shorten(strange[0])), "image_id is followed"))
    return ids if known.all() else None


def _find_names(names: list[str], ground_truth: GroundTruth) -> list[int | None]:
    by_name = ground_truth.ids_by_name()
    return [by_name.get(name, by_name.get(_last_part(name), by_name.get(_stem(name)))) for name in names]


def _is_whole(value: Any) -> bool:
    return type(value) is float and value.is_integer()


def _last_part(name: str) -> str:
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _stem(name: str) -> str:
    return _last_part(name).rpartition(".")[0] or _last_part(name)


def _explain_texts(path: Path, values: list[Any], ground_truth: GroundTruth, first: int) -> str:
    texts = [(i, value) for i, value in enumerate(values, first) if type(value) is str]
    by_name = ground_truth.ids_by_name()
    names = [(i, text) for i, text in texts if _last_part(text) in by_name]
    if names:
        found = f"{len(names)} of {len(values)} detections have a file name as image_id"
        number, name = names[0]
        image_id = by_name[_last_part(name)]
        remedy = f"write the image's id in the ground truth, here {image_id}; its 'images' have both, name and id"
        return explain(path, found, f"{shorten(name)!r} in detection {number}", remedy)
    found = f"{len(texts)} of {len(values)} detections have a text as image_id"
    number, text = texts[0]
    if all(re.fullmatch(r"\s*-?[0-9]{1,15}\s*", text) for _, text in texts):
        remedy = f"write numbers without quotes: {int(text)}"
    else:
        remedy = (
            "this is no file name of the ground truth either; "
            f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
        )
    return explain(path, found, f"{shorten(text)!r} in detection {number}", remedy)


def _check_known(path: Path, ids: Integers, known: Integers, described: str, name: str) -> None:
    used, counts = np.unique(ids, return_counts=True)
    strange = ~np.isin(used, known)
    if not strange.any():
        return
    unknown, number = used[strange], int(counts[strange].sum())
    first = int(np.argmax(np.isin(ids, unknown)))
    total = f"{number} of {len(ids)} detections"
    if unknown.tolist() == [0] and known.min() == 1 and used.max() < known.max():
        found = f"the {name}s are 0-based: {total} have 0 and none has {known.max()}; the ground truth has {described}"
        remedy = f"add 1 to every {name}"
    elif len(unknown) == len(used):
        found = f"{total} have an {name} that is not in the ground truth, which has {described}"
        remedy = "are they detections of another data set or split? Take its ground truth, or write this one's ids"
    else:
        missing = f"an {name} ({len(unknown)} different) that is not in the ground truth"
        found = f"{total} have {missing}, which has {described}"
        remedy = "are they detections of more images? Leave these out, or take the ground truth that they belong to"
    raise AlfnetError(explain(path, found, f"{ids[first]} in detection {first + 1}", remedy))
