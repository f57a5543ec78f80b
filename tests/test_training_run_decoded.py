"""`machine.decoded_images` changes no byte of a training's result, whoever loads the images."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from alfnet.images import read_image
from alfnet.params import MachineSettings, load_params
from alfnet.training import samples
from alfnet.training.run import train_variant
from tests.test_training_run import write_inputs

pytestmark = pytest.mark.training

Train = Callable[..., bytes]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """Trains three updates, with settings of the machine given; the detector's bytes."""
    folder = tmp_path / "project"
    folder.mkdir()
    write_inputs(folder)
    monkeypatch.chdir(folder)  # the images' folder is named relative to it
    params = load_params(Path("params.yaml"))

    def train(scratch: Path, **machine: bool | int) -> bytes:
        settings = MachineSettings.model_validate(params.machine.model_dump() | machine)
        out = scratch / "models/model.safetensors"
        train_variant(
            params.model_copy(update={"machine": settings}),
            "mobilenet-2s",
            1,
            first=Path("weights/first/mobilenet-2s.safetensors"),
            cache=Path("cache/train.json"),
            out=out,
            scratch=scratch,  # of its own: it would find the checkpoints of another training of this run, and train nothing
        )
        assert len(list(scratch.glob("mobilenet-2s-1-*/000000003-*.ckpt"))) == 1
        return out.read_bytes()

    return train


def test_the_same_bytes_with_and_without_decoded_images(
    trained: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[str] = []
    monkeypatch.setattr(
        samples, "read_image", lambda path, **size: (decoded.append(path.name), read_image(path, **size))[1]
    )
    without = trained(tmp_path / "without", decoded_images=False)
    assert decoded
    assert not (tmp_path / "without/decoded").exists()
    decoded.clear()
    assert trained(tmp_path / "with", decoded_images=True) == without
    assert not decoded, "an image was decoded for a sample"
    (file,) = (tmp_path / "with/decoded").glob("*.images")
    assert file.stat().st_size == 5 * 128 * 256 * 3
    assert trained(tmp_path / "worker", decoded_images=True, workers=1) == without


def test_a_worker_reads_the_decoded_images(trained: Train, tmp_path: Path) -> None:
    """And the test above can fail: other pixels there, which nobody has noticed, give another detector."""
    one = trained(tmp_path / "one", decoded_images=True)
    (tmp_path / "other").mkdir()
    (tmp_path / "one/decoded").rename(tmp_path / "other/decoded")
    (file,) = (tmp_path / "other/decoded").glob("*.images")
    noted = file.stat()
    with file.open("r+b") as opened:
        pixels = np.frombuffer(opened.read(), np.uint8)
        opened.seek(0)
        opened.write((255 - pixels).tobytes())
    os.utime(file, ns=(noted.st_atime_ns, noted.st_mtime_ns))
    assert trained(tmp_path / "other", decoded_images=True, workers=1) != one
