"""How a training ends when it is told to, or when what started it has gone: with a line that says what is kept."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.annotations.images import annotated_image
from alfnet.annotations.training_cache import TrainingRule, write_training_cache
from alfnet.network.alfnet import write_first_weights
from alfnet.network.settings import network_settings
from alfnet.params import load_params
from alfnet.pretrained.backbone_weights import make_backbone
from tests.test_training_train import noisy_pictures
from tests.tiny import ROOT, write_params

pytestmark = pytest.mark.training

KEPT = (
    r"Kept: the checkpoint after update [1-9]\d* in \.scratch/mobilenet-2s-1-\w+; the same command goes on from there"
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What the stage `train` reads, for a training that would go on for hours."""
    write_inputs(tmp_path, train__updates=1_000_000)
    return tmp_path


def write_inputs(folder: Path, **changes: Any) -> None:
    """Write to a folder what the stage `train` reads for mobilenet-2s and seed 1."""
    write_params(folder / "params.yaml", variants=("mobilenet-2s",), seeds=[1], **changes)
    params = load_params(folder / "params.yaml")
    pictures = folder / params.data.images_folder
    pictures.mkdir(parents=True)
    boxes = {
        image: np.hstack([image.pedestrians[:, :2], np.diff(image.pedestrians.reshape(-1, 2, 2), axis=1)[:, 0]])
        for image in noisy_pictures(pictures)
    }
    images = [
        annotated_image(image.file_name, image.height, image.width, found, pedestrian=[True] * len(found))
        for image, found in boxes.items()
    ]
    write_training_cache(images, "train", folder / "cache/train.json", TrainingRule(20), "pictures")
    backbone, first = folder / "backbone.safetensors", folder / "weights/first/mobilenet-2s.safetensors"
    make_backbone(params.backbones["mobilenet"], "mobilenet", backbone)
    first.parent.mkdir(parents=True)
    write_first_weights(backbone, first, network_settings(params, "mobilenet-2s"))


started: list[subprocess.Popen[str]] = []


@pytest.fixture(autouse=True)
def _end_what_was_started() -> Iterator[None]:
    """A training of hours must not outlive a test that fails."""
    yield
    while started:
        started.pop().kill()


def start(folder: Path, *before: str) -> subprocess.Popen[str]:
    """The stage as DVC starts it, behind the words `before`; what it says goes to `folder`/said."""
    with (folder / "said").open("a") as said:
        process = subprocess.Popen(
            [*before, sys.executable, str(ROOT / "stages/train.py"), "mobilenet-2s", "1"],
            cwd=folder,
            env=os.environ | {"PYTHONPATH": str(ROOT), "DVC_STAGE": "train@mobilenet-2s-1"},
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
            # What a shell starts in the background ignores Ctrl-C, and so would all that the tests start then.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
    started.append(process)
    return process


def wait_until(condition: Callable[[], object], process: subprocess.Popen[str]) -> None:
    while not condition():
        assert process.poll() is None, "ended before its time"
        time.sleep(0.05)


def checkpoints(folder: Path) -> list[Path]:
    return list(folder.glob(".scratch/*/*.ckpt"))


def assert_kept(text: str, said: str) -> None:
    assert re.fullmatch(said + KEPT, text.splitlines()[-1]), text
    assert "Traceback" not in text


def test_ctrl_c_ends_a_training_with_a_line(folder: Path) -> None:
    process = start(folder)
    wait_until(lambda: checkpoints(folder), process)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=300) == 130
    assert_kept((folder / "said").read_text(), r"interrupted\. ")
    assert checkpoints(folder)


def test_a_second_training_of_a_run_names_the_first_and_sigterm_ends_that_with_a_line(folder: Path) -> None:
    first = start(folder)
    wait_until(lambda: checkpoints(folder), first)
    first.send_signal(signal.SIGSTOP)
    second = start(folder)
    assert second.wait(timeout=300) == 2
    assert f"process {first.pid} on " in (folder / "said").read_text()
    assert "is at this very training; wait for it to end" in (folder / "said").read_text()
    (folder / "said").write_text("")
    first.send_signal(signal.SIGTERM)
    first.send_signal(signal.SIGCONT)
    assert first.wait(timeout=300) == 143
    assert_kept((folder / "said").read_text(), r"stopped \(SIGTERM\)\. ")
    assert checkpoints(folder)


@pytest.mark.parametrize(
    ("number", "before"),
    [(signal.SIGTERM, ("/bin/sh", "-c", '"$0" "$@"; exit $?')), (signal.SIGKILL, ())],
    ids=["SIGTERM, behind a shell", "SIGKILL"],
)
def test_a_training_ends_with_the_process_that_started_it(folder: Path, number: int, before: tuple[str, ...]) -> None:
    """What DVC does to its commands when it dies by a signal that it alone gets: nothing."""
    parent = start(folder, sys.executable, "-c", "import subprocess, sys; subprocess.run(sys.argv[1:])", *before)
    wait_until(lambda: checkpoints(folder), parent)
    parent.send_signal(number)
    parent.communicate()  # until the last process that holds the pipe has ended: the training
    assert_kept(
        (folder / "said").read_text(), r"error: the command that started this training has ended; stopped too\. "
    )
    assert checkpoints(folder)
