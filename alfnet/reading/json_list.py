"""JSON lists and JSON Lines of any length, record by record, in little memory."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from alfnet.collector import collector_paused
from alfnet.errors import AlfnetError
from alfnet.reading.records import json_damage, parse_json

RECORDS_AT_ONCE = 100_000

_blanks = re.compile(r"[ \t\n\r]*").match
_decode: Callable[[str, int], tuple[Any, int]] = json.JSONDecoder().scan_once  # type: ignore[attr-defined]

_SMALL = 16_000_000
"""Up to so many characters any JSON fits the memory."""


def check_density(path: Path, text: str) -> None:
    """Raise AlfnetError for a large text with far more brackets or commas than records of a data set have.

    A hundred megabytes of "[],[],[]," become gigabytes of objects; this is seen before any is made.
    """
    if len(text) <= _SMALL:
        return
    records = text.count('"bbox"') + text.count('"file_name"') + text.count('"fbox"') + text.count('"box"')
    brackets, commas = text.count("[") + text.count("{"), text.count(",")
    if brackets > 40 * records + 100_000 or commas > 2000 * records + 1_000_000:
        raise AlfnetError(
            f"{path}: {len(text) / 1e6:.0f} MB of JSON with {brackets} brackets and {commas} commas, but {records} "
            "boxes in it: no list of detections or annotations; it is not read further"
        )


def is_json_lines(text: str) -> bool:
    """Whether a text that starts with { is one JSON object after another."""
    start = _blanks(text).end()  # type: ignore[union-attr]
    try:
        _, end = _decode(text, start)
    except (StopIteration, ValueError, RecursionError):
        return False
    end = _blanks(text, end).end()  # type: ignore[union-attr]
    return text[end : end + 1] in ("{", ",")


def records_in(path: Path, text: str) -> Iterator[list[Any]]:
    """Yield the values of a JSON list, or of JSON Lines, in lists of at most `RECORDS_AT_ONCE`.

    The text starts with [ or {. Raises AlfnetError for damage, as `parse_json` does.
    """
    if len(text) <= _SMALL and text.lstrip()[:1] == "[":  # at once, which is faster
        with collector_paused():
            yield parse_json(path, text)
        return
    check_density(path, text)
    listed = text.lstrip()[:1] == "["
    position = _blanks(text).end() + int(listed)  # type: ignore[union-attr]
    records: list[Any] = []
    try:
        position = _blanks(text, position).end()  # type: ignore[union-attr]
        if listed and text[position : position + 1] == "]":
            _check_end(text, position + 1)
            return
        while True:
            with collector_paused():
                position, finished = _some(text, position, listed, records)
            yield records
            if finished:
                return
            records = []
    except json.JSONDecodeError as error:
        raise AlfnetError(f"{path}: {json_damage(text.rstrip(), error)}") from None
    except RecursionError:
        raise AlfnetError(f"{path}: JSON nested too deeply to be a ground truth or a list of detections") from None
    except ValueError as error:  # a number of thousands of digits
        raise AlfnetError(f"{path}: no valid JSON: {error}") from None


def _some(text: str, position: int, listed: bool, records: list[Any]) -> tuple[int, bool]:
    """Read values into `records` from a position on; return the position of the next one, and whether that was all."""
    decode, blanks, length = _decode, _blanks, len(text)
    while len(records) < RECORDS_AT_ONCE:
        try:
            record, position = decode(text, position)
        except StopIteration as stop:
            raise json.JSONDecodeError("Expecting value", text, stop.value) from None
        records.append(record)
        following = text[position : position + 3]
        if following == ", {":  # as most programs write
            position += 2
            continue
        if following[:2] == ",{":
            position += 1
            continue
        position = blanks(text, position).end()  # type: ignore[union-attr]
        following = text[position : position + 1]
        if following == ",":
            position = blanks(text, position + 1).end()  # type: ignore[union-attr]
        elif listed and following == "]":
            _check_end(text, position + 1)
            return position, True
        elif listed:
            raise json.JSONDecodeError("Expecting ',' delimiter", text, position)
        if not listed and position >= length:
            return position, True
    return position, False


def _check_end(text: str, position: int) -> None:
    position = _blanks(text, position).end()  # type: ignore[union-attr]
    if position < len(text):
        raise json.JSONDecodeError("Extra data", text, position)
