"""The soak harness's short form, and that the harness itself can tell good from bad."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from tests.tiny import ROOT
from tools.soak.__main__ import PROMISES
from tools.soak.cases import prepare, run_case
from tools.soak.disks import full_disks
from tools.soak.fuzz import fuzz
from tools.soak.readers import Reader, readers

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _prepared() -> None:
    prepare()


def refuse() -> None:
    raise AlfnetError("no")


def fail() -> None:
    raise KeyError("x")


@pytest.mark.parametrize(
    ("function", "outcome"),
    [
        (lambda: "read", "accepted"),
        (refuse, "refused"),
        (fail, "traceback"),
        (lambda: os.abort(), "crash"),
        (lambda: time.sleep(60), "hang"),
        (lambda: bytearray(3 * 2**30), "traceback"),
    ],
)
def test_the_harness_tells_how_a_case_ended(tmp_path: Path, function, outcome) -> None:
    assert run_case(function, tmp_path, seconds=2).outcome == outcome


def test_the_harness_notices_a_silent_acceptance() -> None:
    careless = Reader("careless", "x", lambda path: path.write_bytes(bytes(range(200))), Path.read_bytes, ["truncate"])
    (tally,) = fuzz([careless], 11, seed=1)
    assert tally.outcomes["silent"] == 1


@pytest.mark.parametrize("reader", readers(), ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused(reader: Reader) -> None:
    (tally,) = fuzz([reader], 22, seed=7)
    assert not tally.faults


def test_full_disks_leave_the_earlier_result() -> None:
    tries, faults = full_disks({"evaluate", "data cache"})
    assert tries
    assert not faults


@pytest.mark.parametrize(("promise", "test"), PROMISES)
def test_every_promise_names_a_test(promise: str, test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), promise
