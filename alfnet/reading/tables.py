"""Detections as lines of text: the 2018 format, CSV and TSV with a heading, MOT's comma-separated rows."""

from __future__ import annotations

import csv
import io
import itertools
import re
import warnings as python_warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.columns import Columns
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.image_ids import check_ids, ids_beside_names, ids_of_names, ids_of_positions
from alfnet.reading.records import Booleans, Floats, Integers, Place, check_numbers, explain, shorten

TEXT_REMEDY = (
    "expected six numbers a line, image x y width height score, "
    "where image is the 1-based position in the ground truth's images"
)
_MOT_COLUMNS = (7, 9, 10)
"""frame, track, x, y, width, height, confidence, then x, y, z in metres, or class and visibility."""

_NAMES = {
    "image": ("image", "img", "frame", "imagenumber", "position"),
    "image_id": ("imageid", "imgid", "id"),
    "name": ("filename", "file", "imname", "imagename", "path", "imagepath", "imagefile"),
    "x": ("x", "left", "xmin", "x1", "bbx", "bbleft", "bboxx", "topleftx", "xtl"),
    "y": ("y", "top", "ymin", "y1", "bby", "bbtop", "bboxy", "toplefty", "ytl"),
    "width": ("w", "width", "bbw", "bbwidth", "bboxw", "boxwidth"),
    "height": ("h", "height", "bbh", "bbheight", "bboxh", "boxheight"),
    "right": ("x2", "xmax", "right", "xbr"),
    "bottom": ("y2", "ymax", "bottom", "ybr"),
    "score": ("score", "confidence", "conf", "prob", "probability", "scores"),
    "category": ("category", "categoryid", "class", "classid", "label", "cls", "classname"),
}
_COLUMN = {name: column for column, names in _NAMES.items() for name in names}
_PEOPLE = {"person", "pedestrian", "people", "ped"}
_EXPLAINED_LINES = 200_000
"""So many lines are looked at to say what is wrong with a file."""


def read_table(path: Path, text: str, ground_truth: GroundTruth) -> Columns:
    """Read rows of text. Raises AlfnetError for what is no such table, saying what was found."""
    opening = list(itertools.islice(_lines(text), 2))
    if not opening:
        return Columns(np.empty(0, np.int64), np.empty((0, 4)), np.empty(0), lambda index: f"line {index + 1}")
    number, first = opening[0]
    delimiter = _delimiter(first)
    words = _split(first, delimiter)
    if not any(map(is_number, words)):
        columns = [_COLUMN.get(re.sub(r"[^a-z0-9]", "", word.lower())) for word in words]
        if "score" in columns and {"x", "y"} <= set(columns):
            return _with_heading(path, text, number, delimiter, columns, ground_truth)
        second = _split(opening[1][1], _delimiter(opening[1][1])) if len(opening) > 1 else []
        if len(second) > 5 and all(map(is_number, second)):
            remark = (
                f"{path}: line {number} is a heading without known names and was passed over ({shorten(first, 60)}); the "
                "columns are taken as image x y width height score"
            )
            read = _numbers(path, text, number, _delimiter(opening[1][1]), ground_truth)
            return Columns(read.image_ids, read.boxes, read.scores, read.place, [remark, *read.warnings])
        if len(columns) - columns.count(None) >= 2:  # a heading that lacks something, which is said
            return _with_heading(path, text, number, delimiter, columns, ground_truth)
    return _numbers(path, text, 0, delimiter, ground_truth)


def _numbers(path: Path, text: str, skipped: int, delimiter: str | None, ground_truth: GroundTruth) -> Columns:
    """The 2018 format or MOT's: nothing but numbers."""
    rows = load_numbers(text, delimiter, skipped=skipped)
    place = _place(text, skipped)
    remarks: list[str] = []
    if rows is None or rows.shape[1] not in (6, *_MOT_COLUMNS):
        _explain(path, text, skipped, delimiter)
        raise AlfnetError(f"{path}: no table of detections; {TEXT_REMEDY}")
    if rows.shape[1] != 6:
        remarks.append(
            f"{path}: {rows.shape[1]} values a line, read as MOT's: frame, track, x, y, width, height, confidence; frame n is "
            "the n-th of the ground truth's images"
        )
        rows = rows[:, [0, 2, 3, 4, 5, 6]]
    check_numbers(path, rows[:, 0], "image number", place)
    _check_columns(path, rows)
    return Columns(ids_of_positions(path, rows[:, 0], ground_truth), rows[:, 1:5], rows[:, 5], place, remarks)


def _with_heading(
    path: Path, text: str, heading: int, delimiter: str | None, columns: list[str | None], ground_truth: GroundTruth
) -> Columns:
    """CSV, TSV or blanks, with a heading that says what the columns are."""
    where = {column: index for index, column in reversed(list(enumerate(columns))) if column is not None}
    corners = "width" not in where and "right" in where
    needed = ["x", "y", *(("right", "bottom") if corners else ("width", "height")), "score"]
    missing = [name for name in needed if name not in where]
    key = next((name for name in ("image_id", "name", "image") if name in where), None)
    if missing or key is None:
        raise AlfnetError(
            f"{path}: the heading in line {heading} has no column for {', '.join(missing or ['the image'])}; expected image "
            "(or image_id, file_name), x, y, width, height (or x2, y2) and score"
        )
    place = _place(text, heading)
    numbers = load_numbers(text, delimiter, skipped=heading, columns=[where[name] for name in needed])
    if numbers is None:
        _explain_rows(path, text, heading, delimiter, [where[name] for name in needed], len(columns))
    assert numbers is not None
    boxes, scores = numbers[:, :4].copy(), numbers[:, 4]
    if corners:
        boxes[:, 2:] -= boxes[:, :2]

    def texts(name: str) -> list[str]:
        try:
            return _texts(text, heading, delimiter, where[name])
        except IndexError:
            _explain_rows(path, text, heading, delimiter, [where[name] for name in needed], len(columns))
            raise

    remarks: list[str] = []
    images = None if key == "name" else load_numbers(text, delimiter, skipped=heading, columns=[where[key]])
    named: Integers | None = None
    if key == "image_id" and images is not None and "name" in where:
        named = ids_beside_names(path, texts("name"), images[:, 0], ground_truth, remarks)
    ids: Integers
    if named is not None:
        ids = named
    elif images is None:
        different, inverse = np.unique(np.array(texts("name" if "name" in where else key)), return_inverse=True)
        ids = ids_of_names(path, different.tolist(), ground_truth)[inverse]
    else:
        check_numbers(path, images[:, 0], "image number", place)
        if key == "image_id":
            wrong = np.flatnonzero((images[:, 0] != np.floor(images[:, 0])) | (np.abs(images[:, 0]) >= 2**53))
            if len(wrong):
                found = f"{len(wrong)} of {len(images)} rows have an image_id that is no whole number"
                remedy = f"write the id of the ground truth's image ({ground_truth.describe_ids()})"
                raise AlfnetError(explain(path, found, f"{images[wrong[0], 0]:g} in {place(int(wrong[0]))}", remedy))
            ids = images[:, 0].astype(np.int64)
            check_ids(path, ids, ground_truth)
        else:
            ids = ids_of_positions(path, images[:, 0], ground_truth)
    if "category" in where:
        kept = _of_people(path, texts("category"), ground_truth, remarks)
        if not kept.all():
            rows = np.flatnonzero(kept)
            whole = place
            return Columns(ids[rows], boxes[rows], scores[rows], lambda index: whole(int(rows[index])), remarks)
    return Columns(ids, boxes, scores, place, remarks)


def _of_people(path: Path, categories: list[str], ground_truth: GroundTruth, remarks: list[str]) -> Booleans:
    """Which rows are of pedestrians, by name or by the ground truth's category number."""
    names, inverse = np.unique(np.array(categories), return_inverse=True)
    right = np.array(
        [
            name.strip().lower() in _PEOPLE or (is_number(name) and float(name) == ground_truth.category)
            for name in names.tolist()
        ]
    )
    kept = right[inverse]
    if kept.all():
        return kept
    found = f"{(~kept).sum()} of {len(kept)} rows are of another class than pedestrians ({ground_truth.category})"
    example = repr(shorten(str(names[~right][0]), 40))
    if not kept.any():
        raise AlfnetError(explain(path, found, example, f"write {ground_truth.category} or pedestrian as their class"))
    remarks.append(explain(path, found + " and are left out", example, "this ground truth has pedestrians alone"))
    return kept


def load_numbers(
    text: str, delimiter: str | None, *, skipped: int = 0, columns: list[int] | None = None
) -> Floats | None:
    """Return the numbers of a table, (rows, columns); None where something is no number or rows differ in length.

    skipped: so many lines at the beginning are passed over; lines that start with # or % are, too.
    """
    if "#" in text or "%" in text:
        # They may stand within an image's name, too, so only where that fails they are taken for remarks behind the numbers.
        lines = "\n".join(line for _, line in _lines(text, skipped))
        rows = _loaded(lines, delimiter, 0, columns)
        return _loaded(lines, delimiter, 0, columns, "#%") if rows is None else rows
    return _loaded(text, delimiter, skipped, columns)


def _loaded(
    text: str, delimiter: str | None, skipped: int, columns: list[int] | None, remarks: str = ""
) -> Floats | None:
    commas = delimiter == ";" and "," in text  # as spreadsheets write it in much of Europe
    if commas and "." not in text:
        text, commas = text.replace(",", "."), False
    try:
        with python_warnings.catch_warnings():
            python_warnings.simplefilter("ignore")  # of an empty table
            return np.loadtxt(
                io.StringIO(text),
                dtype=np.float64,
                comments=list(remarks) or None,
                delimiter=delimiter,
                skiprows=skipped,
                usecols=columns,
                ndmin=2,
                quotechar='"' if '"' in text else None,
            )
    except (ValueError, IndexError, OverflowError):
        return _with_decimal_commas(text, skipped, columns) if commas else None


def _with_decimal_commas(text: str, skipped: int, columns: list[int] | None) -> Floats | None:
    """The numbers of a table whose points, unlike the decimal commas, stand in other columns than `columns`."""
    rows = [_split(line, ";") for _, line in _lines(text, skipped)]
    try:
        cells = [row if columns is None else [row[column] for column in columns] for row in rows]
        numbers = [[float(cell.replace(",", ".")) for cell in row] for row in cells]
        if any("." in cell for row in cells for cell in row):  # the comma may part thousands then
            return None
        return np.array(numbers, dtype=np.float64)
    except (ValueError, IndexError):
        return None


def _texts(text: str, skipped: int, delimiter: str | None, column: int) -> list[str]:
    if delimiter is not None and '"' not in text:
        return [line.split(delimiter)[column].strip() for _, line in _lines(text, skipped)]
    return [_split(line, delimiter)[column] for _, line in _lines(text, skipped)]


def _lines(text: str, skipped: int = 0) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of all lines that are neither blank nor remarks."""
    for number, line in enumerate(io.StringIO(text), 1):
        if number > skipped and line.strip() and not line.lstrip().startswith(("#", "%")):
            yield number, line.rstrip("\r\n")


def _place(text: str, skipped: int) -> Place:
    def place(index: int) -> str:
        return f"line {next(itertools.islice(_lines(text, skipped), int(index), None))[0]}"

    return place


def _delimiter(line: str) -> str | None:
    return next((mark for mark in ("\t", ";", ",") if mark in line.strip()), None)


def _split(line: str, delimiter: str | None) -> list[str]:
    if delimiter is None:
        return line.split()
    return [word.strip() for word in next(csv.reader([line], delimiter=delimiter), [])]


def is_number(text: str) -> bool:
    """Whether a text is a number, as `float` reads it."""
    try:
        float(text)
    except ValueError:
        return False
    return True


def _explain(path: Path, text: str, skipped: int, delimiter: str | None) -> None:
    """Raise AlfnetError that says what is wrong with the lines of a table of numbers."""
    numbered = list(itertools.islice(_lines(text, skipped), _EXPLAINED_LINES))
    rows = [_split(line, delimiter) for _, line in numbered]
    more = " (of the first so many)" if len(rows) == _EXPLAINED_LINES else ""

    def example(index: int) -> str:
        return f"line {numbered[index][0]}: {shorten(' '.join(rows[index]))}"

    lengths = set(map(len, rows))
    expected = 6 if 6 in lengths or not lengths & set(_MOT_COLUMNS) else max(lengths & set(_MOT_COLUMNS))
    if lengths != {expected}:
        wrong = [i for i, row in enumerate(rows) if len(row) != expected]
        if wrong == [len(rows) - 1] and len(rows) > 1:
            found = f"truncated in the last of {len(rows)} lines ({example(wrong[0])})"
            raise AlfnetError(f"{path}: {found}; copy or write it again; {TEXT_REMEDY}")
        found = f"{len(wrong)} of {len(rows)} lines{more} have not six values"
        raise AlfnetError(explain(path, found, example(wrong[0]), TEXT_REMEDY))
    wrong = [i for i, row in enumerate(rows) if not all(map(is_number, row))]
    if wrong:
        if all(all(map(is_number, rows[i][1:])) for i in wrong):
            found = f"{len(wrong)} of {len(rows)} lines{more} start with a file name or text instead of an image number"
        else:
            found = f"{len(wrong)} of {len(rows)} lines{more} hold something that is no number"
        raise AlfnetError(explain(path, found, example(wrong[0]), TEXT_REMEDY))


def _explain_rows(path: Path, text: str, heading: int, delimiter: str | None, columns: list[int], width: int) -> None:
    """Raise AlfnetError that says what is wrong with the rows below a heading."""
    total = 0
    for number, line in itertools.islice(_lines(text, heading), _EXPLAINED_LINES):
        total += 1
        row = _split(line, delimiter)
        if len(row) != width:
            found = f"line {number} has {len(row)} values, the heading in line {heading} has {width}"
            raise AlfnetError(f"{path}: {found} ({shorten(line)}); was the file cut short? Write it again")
        cells = [row[column] for column in columns]
        if wrong := [cell for cell in cells if not is_number(cell.replace(",", ".") if delimiter == ";" else cell)]:
            raise AlfnetError(f"{path}: line {number} has {shorten(wrong[0])!r} where a number was expected")
    raise AlfnetError(f"{path}: {total} rows below the heading cannot be read as numbers; write plain numbers")


def _check_columns(path: Path, rows: Floats) -> None:
    """Raise AlfnetError where the score stands in the second column, as in some tools' output, and for YOLO's labels."""
    if len(rows) and ((rows[:, 1:] >= 0) & (rows[:, 1:] <= 1)).all():
        found = f"in all {len(rows)} lines the five values after the first lie in [0, 1], as in YOLO's labels"
        remedy = (
            "those say the image by their file's name alone: give the folder of the label files, one per image; or write "
            "boxes in pixels"
        )
        raise AlfnetError(explain(path, found, " ".join(f"{value:g}" for value in rows[0]), remedy))
    second = (rows[:, 1] >= 0) & (rows[:, 1] <= 1)
    if len(rows) >= 10 and second.all() and (rows[:, 5] > 1).mean() > 0.5:
        found = f"in all {len(rows)} lines the second value lies in [0, 1], the last one not: the score comes second"
        raise AlfnetError(explain(path, found, " ".join(f"{value:g}" for value in rows[0]), TEXT_REMEDY))
