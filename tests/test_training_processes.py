"""One training in several processes (CPU, gloo): the same batch, losses and weights as in one; what ends ends all."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.test_training_train import noisy_pictures
from tests.tiny import ROOT

pytestmark = pytest.mark.slow  # every process imports PyTorch


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("images")
    noisy_pictures(folder)
    return folder


def command_of(processes: int, images: Path, out: Path, *options: str, steps: str = "joint", torchrun: bool = True):
    command = [sys.executable, "-m", "tests.ddp_probe", str(processes), steps, str(images), str(out), *options]
    if torchrun:
        command[1:2] = ["-m", "torch.distributed.run", f"--nproc-per-node={processes}", "-m"]
    return command


def probe(processes: int, images: Path, out: Path, *options: str, **how):
    command = command_of(processes, images, out, *options, **how)
    return subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300)


def assert_alike(one: Path, other: Path) -> None:
    logs = [json.loads(out.with_suffix(".json").read_text()) for out in (one, other)]
    assert len(logs[0]) == len(logs[1])
    for (_, losses), (_, others) in zip(*logs, strict=True):
        for name, value in losses.items():
            assert others[name] == pytest.approx(value, abs=1e-5)
    weights = [load_file(out) for out in (one, other)]
    for name, tensor in weights[0].items():
        assert (tensor - weights[1][name]).abs().max() <= 1e-4, name


@pytest.mark.parametrize("steps", ["joint", "alternating"])
def test_1_2_and_4_processes_train_alike(images: Path, tmp_path: Path, steps: str) -> None:
    for processes in (1, 2, 4):
        result = probe(processes, images, tmp_path / f"{processes}.safetensors", steps=steps)
        assert result.returncode == 0, result.stdout[-2000:]
    for processes in (2, 4):
        assert_alike(tmp_path / "1.safetensors", tmp_path / f"{processes}.safetensors")


def test_trained_batch_normalisation_trains_alike(images: Path, tmp_path: Path) -> None:
    """In double precision: in single, roundings grow to 0.1 of the loss within 20 updates, whatever they come from."""
    for processes in (1, 2, 4):
        out = tmp_path / f"{processes}.safetensors"
        result = probe(processes, images, out, "--batch-norm", "trained", "--precision", "64-true")
        assert result.returncode == 0, result.stdout[-2000:]
    for processes in (2, 4):
        assert_alike(tmp_path / "1.safetensors", tmp_path / f"{processes}.safetensors")


def test_a_run_goes_on_with_another_number_of_processes(images: Path, tmp_path: Path) -> None:
    assert probe(1, images, tmp_path / "whole.safetensors", torchrun=False).returncode == 0
    options = ("--scratch", str(tmp_path / "scratch"))
    probe(2, images, tmp_path / "resumed.safetensors", "--stop-after", "9", *options)
    result = probe(1, images, tmp_path / "resumed.safetensors", *options, torchrun=False)
    assert "going on after update 8 of 20" in result.stdout
    assert_alike(tmp_path / "whole.safetensors", tmp_path / "resumed.safetensors")


def ended_in_time(command: list[str], ready: Callable[[], bool], end_one: Callable[[], None]) -> str:
    """Start processes, end one of them when they are `ready`; the output of all, which fail within 30 seconds then."""
    started = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    try:
        deadline = time.monotonic() + 200
        while not ready():
            assert time.monotonic() < deadline
            assert started.poll() is None or ready(), started.communicate()[0]
            time.sleep(0.1)
        end_one()
        output, _ = started.communicate(timeout=30)  # the promise; it ends when the last process has
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(started.pid, signal.SIGKILL)
    assert started.returncode != 0
    return output


@pytest.mark.parametrize("torchrun", [True, False])
def test_a_process_that_dies_ends_all_with_its_message(images: Path, tmp_path: Path, torchrun: bool) -> None:
    """Within 30 seconds of its death, which it notes."""
    options = ["--updates", "2000", "--die-after", "3", "--pids", str(tmp_path)]
    command = command_of(2, images, tmp_path / "x.safetensors", *options, torchrun=torchrun)
    output = ended_in_time(command, (tmp_path / "failed").exists, lambda: None)
    assert "error: process 1 of 2: made to fail" in output
    assert not (tmp_path / "x.safetensors").exists()


@pytest.mark.parametrize(("torchrun", "busy"), [(True, False), (False, False), (False, True)])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_all(
    images: Path, tmp_path: Path, torchrun: bool, victim: int, busy: bool
) -> None:
    """Also where the others are at something else than a collective operation, which would fail by itself."""
    options = ["--updates", "2000", "--pids", str(tmp_path), *(["--busy"] if busy else [])]
    command = command_of(2, images, tmp_path / "x.safetensors", *options, torchrun=torchrun)
    output = ended_in_time(
        command,
        lambda: all((tmp_path / str(rank)).exists() for rank in (0, 1)),
        lambda: os.kill(int((tmp_path / str(victim)).read_text()), signal.SIGKILL),
    )
    assert f"error: process {1 - victim} of 2: process {victim} has ended (it was killed" in output, output[-2000:]
    if not torchrun:  # which shows one of its own
        assert "Traceback" not in output, output[-3000:]
    assert not (tmp_path / "x.safetensors").exists()


def test_batch_normalisation_counts_the_images_of_all_processes(tmp_path: Path) -> None:
    program = tmp_path / "norm.py"
    program.write_text(
        """
import torch, torch.distributed as dist
from alfnet.network.layers import BatchNorm
dist.init_process_group("gloo")
rank, world = dist.get_rank(), dist.get_world_size()
numbers = torch.Generator().manual_seed(0)
whole = torch.randn(4, 5, 6, 7, generator=numbers, dtype=torch.float64) * 3 + 2
weight = torch.randn(4, 5, 6, 7, generator=numbers, dtype=torch.float64)
def made():
    norm = BatchNorm(5, momentum=0.1, fixed=False).double().train()
    with torch.no_grad():
        norm.weight.copy_(torch.arange(1, 6)); norm.bias.copy_(torch.arange(5))
    return norm
def gradient(norm, images, weight):
    images = images.clone().requires_grad_()
    ((norm(images) * weight) ** 2).sum().backward()
    return images.grad
one, several = made(), made()
several.across_processes = True
part = slice(rank * 4 // world, (rank + 1) * 4 // world)
expected = gradient(one, whole, weight)
torch.testing.assert_close(gradient(several, whole[part], weight[part]), expected[part])
for name in ("weight", "bias"):
    found = getattr(several, name).grad
    dist.all_reduce(found)
    torch.testing.assert_close(found, getattr(one, name).grad)
torch.testing.assert_close(several.running_mean, one.running_mean)
torch.testing.assert_close(several.running_var, one.running_var)
"""
    )
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(program)]
    result = subprocess.run(
        command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, timeout=200
    )
    assert result.returncode == 0, result.stderr[-2000:]
