"""Reading JSON and columns of records: the fast ways give what the plain ones give."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.reading.records import check_records, parse_json, shorten

FILE = Path("found.json")


def _random(random: np.random.Generator, depth: int = 0) -> Any:
    kind = random.integers(0, 8 if depth < 4 else 6)
    if kind < 2:
        return float(random.standard_normal() * 10.0 ** random.integers(-300, 300))
    if kind == 2:
        return int(random.integers(-(2**63), 2**63 - 1))
    if kind == 3:
        return random.choice(["", "naïve", "\u2028", '"quoted"\\', "行人", "\U0001f6b6"])
    if kind < 6:
        return [None, True, False, 0.0, -0.0, 0.1][random.integers(0, 6)]
    values = [_random(random, depth + 1) for _ in range(random.integers(0, 6))]
    return values if kind == 6 else {str(place): value for place, value in enumerate(values)}


@pytest.mark.parametrize("seed", range(40))
def test_json_is_read_as_pythons_own_module_reads_it(seed: int) -> None:
    random = np.random.default_rng(seed)
    value = [_random(random) for _ in range(30)]
    text = json.dumps(value, ensure_ascii=bool(seed % 2), indent=seed % 3 or None)
    assert json.dumps(parse_json(FILE, text)) == json.dumps(json.loads(text))


@pytest.mark.parametrize(
    "text", ["[NaN, Infinity, -Infinity]", "1e400", '["\\ud800"]', '{"a": 1, "a": 2}', "[-0]", "[1E5]", " \n[]\t"]
)
def test_what_only_pythons_own_module_reads_is_read(text: str) -> None:
    assert json.dumps(parse_json(FILE, text)) == json.dumps(json.loads(text))


@pytest.mark.parametrize("text", ["[1, 2", "[1,]", "{'a': 1}", "[01]", "", "[1] [2]", "[" * 100_000])
def test_damage_is_told(text: str) -> None:
    with pytest.raises(AlfnetError, match=r"found\.json: "):
        parse_json(FILE, text)


def test_any_value_can_be_shown() -> None:
    within: list[Any] = []
    within.append(within)
    for value in (np.float32(0.5), np.arange(3), {(1, 2): 3}, within, {1, 2}):
        assert shorten(value)


def test_records_of_another_kind_and_without_keys_are_counted() -> None:
    whole = {"image_id": 1, "score": 0.5}
    check_records(FILE, [whole, whole], "detection", ["image_id", "score"], "mend it")
    check_records(FILE, [whole, {}], "detection", [], "mend it")
    check_records(FILE, [], "detection", ["image_id"], "mend it")
    with pytest.raises(AlfnetError, match="1 of 2 detections have no 'score'"):
        check_records(FILE, [whole, {"image_id": 1}], "detection", ["image_id", "score"], "mend it")
    with pytest.raises(AlfnetError, match="2 of 3 detections are no JSON objects"):
        check_records(FILE, [whole, 3, None], "detection", ["image_id"], "mend it")
