"""The soak harness's short form, and that the harness itself can tell good from bad."""

from __future__ import annotations

import os
import re
import subprocess
import time
from functools import partial
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from tests.tiny import ROOT
from tools.soak.__main__ import PROMISES
from tools.soak.cases import prepare, run_case
from tools.soak.disks import full_disks
from tools.soak.fuzz import fuzz
from tools.soak.interruptions import races, signals
from tools.soak.kills import kill_pipeline
from tools.soak.mutations import MUTATIONS
from tools.soak.parts import Part, Parts
from tools.soak.readers import Reader, readers


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
        (lambda: bytearray(3 * 2**30), "refused"),
    ],
)
def test_the_harness_tells_how_a_case_ended(tmp_path: Path, function, outcome) -> None:
    assert run_case(function, tmp_path, patience=2).outcome == outcome


def test_the_harness_counts_the_time_of_a_processor(tmp_path: Path) -> None:
    def busy() -> None:
        while True:
            pass

    ending = run_case(busy, tmp_path, seconds=1)
    assert ending.outcome == "hang"
    assert 0.5 < ending.seconds < 3


def test_the_harness_notices_a_silent_acceptance() -> None:
    careless = Reader("careless", "x", lambda path: path.write_bytes(bytes(range(200))), Path.read_bytes, ["truncate"])
    assert fuzz(careless, 11, seed=1).outcomes["silent"] == 1


@pytest.mark.parametrize("reader", readers(), ids=lambda reader: reader.name)
def test_damaged_files_are_read_or_refused(reader: Reader) -> None:
    """Every kind of damage, once."""
    assert not fuzz(reader, len(MUTATIONS), seed=7).faults


@pytest.mark.parametrize("attempt", [full_disks, partial(races, 1), partial(signals, 6, 1)])
def test_full_disks_races_and_signals_leave_whole_results(attempt) -> None:
    tries, faults = attempt(names={"data cache", "profile citypersons"})
    assert tries
    assert not faults


@pytest.mark.long
@pytest.mark.parametrize("spoilt", [False, True])
def test_killed_runs_are_compared_with_the_reference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoilt: bool
) -> None:
    """With a toy for `dvc repro`."""
    command = "sleep 0.4; mkdir -p cache; echo x > cache/x; echo lock > dvc.lock"

    def toy(folder: Path) -> subprocess.Popen[bytes]:
        (folder / ".git/said").write_text("")
        return subprocess.Popen(["sh", "-c", command], cwd=folder, start_new_session=True)

    reference = tmp_path / "reference"
    subprocess.run(["git", "init", "-q", reference], check=True)
    (reference / "file").touch()
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.invalid"]
    subprocess.run(["git", "add", "file"], cwd=reference, check=True)
    subprocess.run(["git", *identity, "commit", "-qm", "state"], cwd=reference, check=True)
    (reference / ".git/seconds").write_text("1.0")
    assert toy(reference).wait() == 0
    if spoilt:
        (reference / "cache/x").write_text("another")
    monkeypatch.setattr("tools.soak.kills._repro", toy)
    killed = kill_pipeline(4, 1, reference)
    assert killed.kills == 4
    assert killed.finished >= 1
    assert bool(killed.faults) == spoilt, killed.faults


def test_a_soak_goes_on_where_it_was_interrupted(tmp_path: Path) -> None:
    parts = Parts(tmp_path, seed=1)
    made = Part("a", 3, ["a fault"], {"refused": 2}, 0.5)
    assert parts.run("a", 3, lambda: made) == made
    assert parts.run("a", 3, lambda: pytest.fail("made again")) == made
    assert Parts(tmp_path, seed=2).run("a", 3, lambda: Part("new")) == Part("new")


@pytest.mark.parametrize(("promise", "test"), PROMISES)
def test_every_promise_names_a_test(promise: str, test: str) -> None:
    file, _, name = test.partition("::")
    assert re.search(rf"^def {name}\(", (ROOT / file).read_text(), re.MULTILINE), promise
