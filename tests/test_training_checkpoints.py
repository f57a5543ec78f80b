"""Checkpoints: whole or passed over, of this run alone, claimed by one process; what a run's fingerprint stands for."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from ruamel.yaml import YAML

from alfnet.errors import AlfnetError
from alfnet.files import sha256
from alfnet.training.checkpoints import CODE, Checkpoints, fingerprint
from alfnet.training.run import _stopping
from alfnet.training.state import RunState
from tests.tiny import ROOT

FINGERPRINT = "0" * 64


def state(fabric: Fabric, update: int = 0) -> dict:
    torch.manual_seed(update)
    module = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = torch.optim.AdamW(module.parameters(), 1e-3)
    module(torch.randn(4, 3)).sum().backward()
    optimizer.step()
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [3])
    run = RunState()
    run.update = update
    return {"network": module, "optimizer": optimizer, "schedule": schedule, "run": run}


@pytest.fixture
def fabric() -> Fabric:
    return Fabric(accelerator="cpu", devices=1)


@pytest.fixture
def saved(fabric: Fabric, tmp_path: Path) -> Checkpoints:
    checkpoints = Checkpoints(tmp_path, "v-1", FINGERPRINT)
    for update in (1, 2, 3):
        checkpoints.save(fabric, update, state(fabric, update))
    return checkpoints


def test_the_newest_two_are_kept_and_the_newest_is_loaded(fabric, saved):
    assert [path.name[:9] for path in sorted(saved.folder.glob("*.ckpt"))] == ["000000002", "000000003"]
    loaded = state(fabric)
    assert saved.load(fabric, loaded, updates=10)
    expected = state(fabric, 3)
    assert loaded["run"].update == 3 == saved.newest()
    for name, tensor in expected["network"].state_dict().items():
        assert torch.equal(loaded["network"].state_dict()[name], tensor)
    moments, wanted = (each["optimizer"].state_dict()["state"] for each in (loaded, expected))
    assert all(torch.equal(moments[i][key], wanted[i][key]) for i in wanted for key in wanted[i])


def test_a_shorter_run_takes_no_later_checkpoint(fabric, saved):
    loaded = state(fabric)
    assert saved.load(fabric, loaded, updates=2)
    assert loaded["run"].update == 2
    assert not saved.load(fabric, state(fabric), updates=1)


@pytest.mark.costly
def test_every_damage_is_passed_over_with_a_word(fabric, saved, capsys):
    newest = sorted(saved.folder.glob("*.ckpt"))[-1]
    content = newest.read_bytes()
    random = np.random.default_rng(0)
    broken = [content[: len(content) // 2], content[:-1], b"", content + b"x"]
    for _ in range(30):
        flipped = bytearray(content)
        flipped[random.integers(len(content))] ^= 1 << int(random.integers(8))
        broken.append(bytes(flipped))
    for damaged in broken:
        newest.write_bytes(damaged)
        loaded = state(fabric)
        assert saved.load(fabric, loaded, updates=10)
        assert loaded["run"].update == 2
        assert "checksum does not match" in capsys.readouterr().err


def other_contents(fabric: Fabric) -> list:
    def changed(**changes) -> dict:
        plain = {name: each.state_dict() for name, each in state(fabric, 3).items()}
        return plain | changes

    wide = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2)).state_dict()
    optimizer = state(fabric, 3)["optimizer"].state_dict()
    return [
        [1, 2],
        {"network": {}},
        changed(more=1),
        changed(network=wide),
        changed(network={}),
        changed(network=None),
        changed(run={"update": 3}),
        changed(run=changed()["run"] | {"update": "three"}),
        changed(optimizer={"state": {}, "param_groups": []}),
        changed(optimizer=optimizer | {"state": {0: {"exp_avg": torch.zeros(9)}}}),
        changed(optimizer=optimizer | {"state": {99: {}}}),
        changed(schedule={}),
    ]


def test_right_checksum_over_wrong_content_is_passed_over(fabric, saved, capsys):
    newest = sorted(saved.folder.glob("*.ckpt"))[-1]
    for content in other_contents(fabric):
        newest.unlink()
        torch.save(content, saved.folder / "new")
        newest = saved.folder / f"000000003-{sha256(saved.folder / 'new')}.ckpt"
        (saved.folder / "new").rename(newest)
        loaded = state(fabric)
        assert saved.load(fabric, loaded, updates=10), content
        assert loaded["run"].update == 2, content
        assert "going back to the checkpoint before it" in capsys.readouterr().err


def test_another_fingerprint_has_another_folder(fabric, saved, tmp_path):
    other = Checkpoints(tmp_path, "v-1", "1" * 64)
    assert not other.load(fabric, state(fabric), updates=10)
    assert other.newest() == 0


@pytest.mark.costly
def test_a_folder_belongs_to_one_process(tmp_path):
    checkpoints = Checkpoints(tmp_path, "v-1", FINGERPRINT)
    holder = (
        "import sys; from alfnet.training.checkpoints import Checkpoints\n"
        f"with Checkpoints({str(tmp_path)!r}, 'v-1', {FINGERPRINT!r}):\n print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with pytest.raises(AlfnetError, match=rf"process {process.pid} on .* is at this very training"):
            checkpoints.__enter__()
        process.kill()
    with checkpoints:  # the lock has ended with the process
        pass


def test_a_finished_run_stays_until_another_of_its_name_has_ended(fabric, saved, tmp_path):
    other_name = Checkpoints(tmp_path, "v-10", FINGERPRINT)
    other_name.save(fabric, 1, state(fabric, 1))
    running = Checkpoints(tmp_path, "v-1", "2" * 64)
    with running:
        running.save(fabric, 1, state(fabric, 1))
        successor = Checkpoints(tmp_path, "v-1", "1" * 64)
        with successor:
            successor.save(fabric, 3, state(fabric, 3))
            assert saved.newest() == 3
            successor.remove_superseded()
    assert not saved.folder.exists()
    assert (successor.newest(), running.newest(), other_name.newest()) == (3, 1, 1)


def test_a_longer_run_says_why_it_begins_anew(fabric, saved, tmp_path):
    assert saved.explain("like", 3, "one_cycle") is None
    longer = Checkpoints(tmp_path, "v-1", "1" * 64)
    with longer:
        assert longer.explain("unlike", 6, "one_cycle") is None
        reason = longer.explain("like", 6, "one_cycle")
    assert reason is not None
    assert "a run of 3 updates is there, but the one_cycle rate of 6 updates differs" in reason


def test_fingerprint_changes_with_settings_and_files(tmp_path):
    file = tmp_path / "a"
    file.write_text("1")
    seen = {fingerprint({"seed": 1}, [file]), fingerprint({"seed": 2}, [file])}
    file.write_text("2")
    seen.add(fingerprint({"seed": 1}, [file]))
    assert len(seen) == 3
    assert fingerprint({"seed": 1}, [file]) in seen


def test_the_fingerprint_covers_the_code_that_the_stage_depends_on():
    stage = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]["train"]
    listed = {path for path in stage["deps"] if path.startswith("alfnet/")}
    assert {f"alfnet/{part}" for part in CODE} == listed


class SignalWhenPickled(type):
    """Classes that send SIGTERM to this process where `copyreg` notes their slots, and drops whatever is raised."""

    def __setattr__(cls, name, value) -> None:
        signal.raise_signal(signal.SIGTERM)
        super().__setattr__(name, value)


class Pickled(metaclass=SignalWhenPickled):
    def state_dict(self):
        return {"self": self}


def test_sigterm_in_the_middle_of_a_checkpoint_waits_for_its_end_and_is_not_lost(fabric, tmp_path, capsys):
    checkpoints = Checkpoints(tmp_path, "v-1", FINGERPRINT)
    with pytest.raises(SystemExit) as stop, _stopping(checkpoints):
        checkpoints.save(fabric, 7, {"run": Pickled()})
    assert stop.value.code == 143
    assert checkpoints.newest() == 7
    assert "stopped (SIGTERM). Kept: the checkpoint after update 7" in capsys.readouterr().err


def save_after_a_lost(number: int, checkpoints: Checkpoints, fabric: Fabric) -> None:
    checkpoints.check()
    with contextlib.suppress(BaseException):
        signal.raise_signal(number)
    checkpoints.save(fabric, 1, state(fabric, 1))


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, SystemExit), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_whose_exception_got_lost_ends_the_run_before_the_next_checkpoint(fabric, tmp_path, number, raised):
    checkpoints = Checkpoints(tmp_path, "v-1", FINGERPRINT)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(raised), _stopping(checkpoints):
            save_after_a_lost(number, checkpoints, fabric)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert not checkpoints.newest()
