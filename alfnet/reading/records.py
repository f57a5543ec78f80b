"""Reading files that others made: content, JSON and columns of records, with messages that say how to mend them."""

from __future__ import annotations

import json
import sys
import zlib
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from alfnet.errors import AlfnetError

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]
Booleans = npt.NDArray[np.bool_]
Place = Callable[[int], str]
"""Names the n-th record of a file in a message: "detection 3", "line 7"."""

_KINDS = {dict, list, str, int, float, bool, type(None)}
"""Of values that come from JSON."""
_GZIP = b"\x1f\x8b"
_LARGEST_UNPACKED = 2**26
"""Bytes that any gzip file may unpack to; more only in a usual ratio."""
_DENSEST_PACKING = 40
"""Lists of detections and annotations shrink to a third or a tenth by gzip; zeros to a thousandth."""
_BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_NOT_TEXT = {
    b"PK\x03\x04": "a zip archive (.npz and PyTorch files are such, too); unpack it first",
    b"\x80": "a Python pickle, which is never opened here; write its content as JSON",
    b"\x89HDF": "an HDF5 file; write its content as JSON",
    b"\x93NUMPY": "a numpy file; write its content as JSON",
    b"MATLAB": "a MATLAB file; the ground truth that the pipeline makes of annotations is cache/ground_truth.json",
    b"BZh": "compressed with bzip2; unpack it with bunzip2",
    b"\xfd7zXZ": "compressed with xz; unpack it with unxz",
    b"\x28\xb5\x2f\xfd": "compressed with zstd; unpack it with unzstd",
    b"version https://git-lfs": "a Git LFS pointer, not the file itself; fetch that with: git lfs pull",
}


def different(values: Integers) -> Integers:
    """The different ones of `values`, ascending: as `np.unique`, which imports numpy.ma for it, 3 % of an evaluation's time."""
    ordered = np.sort(values, axis=None)
    return np.concatenate([ordered[:1], ordered[1:][np.diff(ordered) != 0]])


def explain(path: Path, found: str, example: str, remedy: str) -> str:
    """Build a message: what was found, with counts; an example; what to do."""
    return f"{path}: {found}, e.g. {example}; {remedy}"


def as_json(value: Any) -> str:
    """Show a value in a message as JSON; what JSON has no form for as Python writes it."""
    try:
        return json.dumps(value, ensure_ascii=False, default=repr)
    except (TypeError, ValueError, RecursionError):  # keys that are no texts, a list within itself
        return repr(value)


def plain(value: Any) -> Any:
    """Return a value that was given in memory as JSON would have it: numpy's numbers and arrays, tuples, other mappings."""
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    return value.tolist() if hasattr(value, "tolist") else value


def is_plain(records: Any) -> bool:
    """Whether all values of records are of JSON's kinds; those inside of lists are left for `box_column` to look at."""
    if type(records) is not list or not set(map(type, records)) <= {dict}:
        return False
    return set(map(type, chain.from_iterable(map(dict.values, records)))) <= _KINDS


def shorten(value: Any, length: int = 120) -> str:
    """Show a value of a file in a message, as JSON."""
    text = value if isinstance(value, str) else as_json(value)
    return text if len(text) <= length else text[:length] + "..."


def read_bytes(path: Path) -> bytes:
    """Return a file's bytes; those of standard input for the path "-".

    Raises AlfnetError for a missing or unreadable file and a folder.
    """
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder; name the file in it") from None
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read ({error.strerror})") from None
    except ValueError:  # a NUL within the name
        raise AlfnetError(f"{str(path)!r}: no such file; a name cannot hold a NUL character") from None
    except MemoryError:
        raise AlfnetError(f"{path}: larger than the memory") from None


def unpack(path: Path, content: bytes) -> bytes:
    """Unpack gzip. Raises AlfnetError for damage, and for content that unpacks to far more than data sets do."""
    largest = max(_LARGEST_UNPACKED, _DENSEST_PACKING * len(content))
    parts, size = [], 0
    while content:
        unpacker = zlib.decompressobj(wbits=31)
        try:
            while not unpacker.eof:
                part = unpacker.decompress(content, 2**24)
                content = unpacker.unconsumed_tail
                parts.append(part)
                size += len(part)
                if size > largest:
                    raise AlfnetError(
                        f"{path}: this gzip file unpacks to more than {size / 2**20:.0f} MiB, {_DENSEST_PACKING} times its "
                        "size and more; no detections or annotations do, and it is not read"
                    )
                if not part and not content:
                    raise EOFError("it ends early")
        except (EOFError, zlib.error) as error:
            raise AlfnetError(f"{path}: a damaged gzip file ({error}); was it cut short? Copy it again") from None
        content = unpacker.unused_data.lstrip(b"\0")
    return b"".join(parts)


def read_content(path: Path) -> tuple[str, list[str]]:
    """Return a text file's content and warnings; gzip is unpacked on the way. The path "-" is standard input.

    Raises AlfnetError for a missing file, a folder, a damaged archive and content that is no text.
    """
    warnings: list[str] = []
    content = read_bytes(path)
    if content.startswith(_GZIP):
        content = unpack(path, content)
        if path.suffix != ".gz" and str(path) != "-":
            warnings.append(f"{path}: compressed with gzip, though not named .gz; it was unpacked to be read")
    for start, meaning in _NOT_TEXT.items():
        if content.startswith(start):
            raise AlfnetError(f"{path}: is {meaning}")
    for mark, coding in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            try:
                return content.decode(coding), warnings
            except UnicodeDecodeError:
                raise AlfnetError(f"{path}: begins like {coding.upper()} text and is none; save it as UTF-8") from None
    try:
        return content.decode("utf-8-sig"), warnings
    except UnicodeDecodeError as error:
        raise AlfnetError(
            f"{path}: no UTF-8 text (byte {content[error.start]:#04x} at position {error.start} of {len(content)}); "
            "expected JSON, or lines of the 2018 text format; save it as UTF-8"
        ) from None


def parse_json(path: Path, text: str) -> Any:
    """Parse JSON. Raises AlfnetError that tells a file cut short, JSON Lines and other damage apart."""
    try:
        return orjson.loads(text)  # four times as fast
    except orjson.JSONDecodeError:
        pass  # what orjson refuses and Python's own reads (NaN, for one), and what is wrong where both refuse
    try:
        return json.loads(text)
    except RecursionError:
        raise AlfnetError(f"{path}: JSON nested too deeply to be a ground truth or a list of detections") from None
    except json.JSONDecodeError as error:
        raise AlfnetError(f"{path}: {json_damage(text.rstrip(), error)}") from None
    except ValueError as error:  # a number of thousands of digits
        raise AlfnetError(f"{path}: no valid JSON: {error}") from None


def json_damage(text: str, error: json.JSONDecodeError) -> str:
    """Tell a file cut short, JSON Lines and other damage apart, in words."""
    if not text:
        return "the file is empty; no detections at all are written as []"
    if error.msg.startswith("Extra data"):
        if text[error.pos :].startswith(("{", ",")):
            return f"one JSON object after another (the next in line {error.lineno}); make one list: [{{...}}, ...]"
    elif error.pos >= len(text) - 1 or text[-1] not in "]}":
        begun = text.count('"image_id"')
        return (
            f"truncated JSON: the file ends after {len(text)} characters in the middle of a value ({begun} records "
            f"were begun; the end is {text[-40:]!r}); it was cut short: copy or write it again"
        )
    near = text[max(error.pos - 20, 0) : error.pos + 20]
    where = f"in line {error.lineno}, column {error.colno}, near {near!r}"
    return f"no valid JSON: {error.msg} {where}; write it with a JSON library"


def check_records(
    path: Path,
    records: Sequence[Any],
    noun: str,
    keys: Sequence[str],
    remedy: str,
    other_names: Mapping[str, Sequence[str]] | None = None,
    *,
    first: int = 1,
) -> None:
    """Raise AlfnetError unless every record is an object with all `keys`; `first` is the number of the first in messages.

    `other_names` maps a key to names that people use for it: the message then says which to rename.
    """
    total = f"of {len(records)} {noun}s"
    if keys and set(map(type, records)) <= {dict}:
        try:  # all keys of all records at once, some ten times as fast as asking for each
            deque(map(itemgetter(*keys), records), maxlen=0)
        except KeyError:
            pass
        else:
            return
    others = [i for i, record in enumerate(records) if type(record) is not dict]
    if others:
        example = f"{noun} {others[0] + first} is {shorten(records[others[0]])}"
        raise AlfnetError(explain(path, f"{len(others)} {total} are no JSON objects", example, remedy))
    for key in keys:
        missing = [i for i, record in enumerate(records) if key not in record]
        if missing:
            record = records[missing[0]]
            used = [name for name in (other_names or {}).get(key, ()) if name in record]
            example = f"{noun} {missing[0] + first} is {shorten(record)}"
            mend = f"rename {used[0]!r} to {key!r}" if used else remedy
            raise AlfnetError(explain(path, f"{len(missing)} {total} have no {key!r}", example, mend))


def number_column(
    path: Path, records: Sequence[dict[str, Any]], noun: str, key: str, *, flag: bool = False, first: int = 1
) -> Floats:
    """Return the numbers under `key`, (n,) float64; NaN and infinity too. With `flag`, true and false are numbers.

    `first` is the number of the first record in messages.

    Raises AlfnetError for anything else, with count and example.
    """
    values = list(map(itemgetter(key), records))
    allowed = {int, float, bool} if flag else {int, float}
    if not set(map(type, values)) <= allowed:
        wrong = [i for i, value in enumerate(values) if type(value) not in allowed]
        found = f"{len(wrong)} of {len(records)} {noun}s have a {key!r} that is not a number"
        example = f"{as_json(values[wrong[0]])} in {noun} {wrong[0] + first}"
        raise AlfnetError(explain(path, found, shorten(example), "write a plain number, without quotes"))
    return _float64(path, values, key)


def box_column(
    path: Path, records: Sequence[dict[str, Any]], noun: str, *, first: int = 1, key: str = "bbox"
) -> Floats:
    """Return the values under `key` (x, y, width, height), (n, 4) float64; `first`: see `number_column`.

    Raises AlfnetError for anything else than four numbers, with count and example.
    """
    boxes = list(map(itemgetter(key), records))

    def is_box(box: Any) -> bool:
        return type(box) is list and len(box) == 4 and all(type(value) in (int, float) for value in box)

    # The sets look at all values some ten times faster than is_box.
    if (
        not set(map(type, boxes)) <= {list}
        or not set(map(len, boxes)) <= {4}
        or not set(map(type, chain.from_iterable(boxes))) <= {int, float}
    ):
        wrong = [i for i, box in enumerate(boxes) if not is_box(box)]
        found = f"{len(wrong)} of {len(records)} {noun}s have a {key!r} that is not four numbers"
        example = f"{as_json(boxes[wrong[0]])} in {noun} {wrong[0] + first}"
        raise AlfnetError(explain(path, found, shorten(example), f'write "{key}": [x, y, width, height] in pixels'))
    return _float64(path, list(chain.from_iterable(boxes)), key).reshape(-1, 4)


def check_numbers(path: Path, values: Floats, name: str, place: Place) -> None:
    """Raise AlfnetError for NaN and infinity in `values`, (n,) or (n, k)."""
    bad = np.flatnonzero(~np.isfinite(values if values.ndim == 1 else np.abs(values).max(axis=1)))
    if len(bad):
        found = f"{len(bad)} of {len(values)} records have NaN or infinity as {name}"
        remedy = "look for the computation that made it (a division by zero, training that diverged) or leave these out"
        raise AlfnetError(explain(path, found, f"{values[bad[0]].tolist()} in {place(bad[0])}", remedy))


def check_sizes(path: Path, boxes: Floats, place: Place) -> None:
    """Raise AlfnetError for boxes (n, 4) in x, y, width, height with a negative side."""
    bad = np.flatnonzero((boxes[:, 2:] < 0).any(1))
    if len(bad):
        found = f"{len(bad)} of {len(boxes)} boxes have a negative width or height"
        remedy = "a box is x, y, width, height, with width = x2 - x1 and height = y2 - y1"
        raise AlfnetError(explain(path, found, f"{boxes[bad[0]].tolist()} in {place(bad[0])}", remedy))


def _float64(path: Path, values: list[Any], key: str) -> Floats:
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        large = shorten(max(values, key=abs), 20)
        raise AlfnetError(f"{path}: a number under {key!r} is far too large ({large}); write a real one") from None
