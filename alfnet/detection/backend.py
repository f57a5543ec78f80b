"""What runs the network: PyTorch, or another runtime behind the same few lines.

A backend takes images as they are read and gives what every step predicts; boxes, scores and their selection are the
detector's, so all backends share them.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import STRIDES
from alfnet.detection.weights import AUTO, backend_of, check_not_folder, check_readable_by
from alfnet.errors import AlfnetError, extra_needed
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.network.settings import NetworkSettings

Predictions = list[tuple[Tensor, Tensor]]
"""Per step 1, 2, ... the class logits (N, B) and the box offsets (N, B, 4) of B anchors."""


# Measured (`python -m benchmarks.detect`): the widest maps of both backbones at full width, with the room that oneDNN takes
# for its own layouts.
BYTES_PER_PIXEL = 260


class Backend(Protocol):
    """A network that is ready to run."""

    settings: NetworkSettings
    """How the network is built: its steps and anchors."""
    device: torch.device
    """Where `predict` leaves its tensors."""
    name: str
    """For people: the runtime, and where it runs."""

    @property
    def test_step(self) -> int | None:
        """The step, from 1, whose boxes are taken unless another is asked for; None: the last."""
        ...

    def predict(self, images: np.ndarray) -> Predictions:
        """What every step predicts for `images`, uint8 (N, H, W, 3), channels B G R, of any H and W.

        The backend pads the images at the right and bottom to `input_size(H, W)` with the mean colour; the anchors are
        those of the padded size, in the order of `alfnet.boxes.anchors`.
        """
        ...

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """The height and width that images of this size are padded to: multiples of 64.

        Raises AlfnetError for a size that the backend cannot take.
        """
        ...

    def bytes_needed(self, height: int, width: int) -> int:
        """About how much memory one image of this padded size takes on its way through the network; 0 where not known."""
        ...


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next multiples of 64, the stride of the coarsest level."""
    stride = STRIDES[-1]
    return -(-height // stride) * stride, -(-width // stride) * stride


class TorchBackend:
    """The network as it was trained."""

    test_step = None

    def __init__(self, model: ALFNet, device: torch.device) -> None:
        self.settings = model.settings
        self.device = device
        self.model = model.eval().to(device).to(memory_format=torch.channels_last)
        self.name = f"torch {torch.__version__.partition('+')[0]} on {device}"

    @classmethod
    def open(cls, weights: Path, device: str) -> TorchBackend:
        """Read a detector in safetensors. Raises AlfnetError for another file, or a device that is not there."""
        chosen = torch_device(device, "--device")
        return cls(ALFNet.load(weights), chosen)

    @torch.inference_mode()
    def predict(self, images: np.ndarray) -> Predictions:
        """As `Backend.predict`."""
        height, width = images.shape[1:3]
        padded_height, padded_width = padded_size(height, width)
        try:
            batch = normalise(torch.from_numpy(images).to(self.device))
            batch = torch.nn.functional.pad(batch, (0, padded_width - width, 0, padded_height - height))
            return self.model(batch.contiguous(memory_format=torch.channels_last))
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
                raise too_large(height, width, f"{len(images)} at once do not fit into memory") from None
            raise

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """As `Backend.input_size`: `padded_size`."""
        return padded_size(height, width)

    def bytes_needed(self, height: int, width: int) -> int:
        """As `Backend.bytes_needed`."""
        return bytes_needed(self.settings, height, width)


def bytes_needed(settings: NetworkSettings, height: int, width: int) -> int:
    """About how much memory PyTorch takes for one image of this padded size, for a network that is built so."""
    scale = max(settings.backbone_width, settings.head_width)
    return int(height * width * (BYTES_PER_PIXEL * scale + 40))


def advised_tile(frame: tuple[int, int] | None) -> tuple[int, int]:
    """(height, width) of parts in which to look at a very large image.

    A detector that shrinks images into a `frame` (height, width) shrinks parts of an image likewise, so theirs are to be
    of its size, or twice that: people may be small in them, and are not cut so often.
    """
    return (1024, 2048) if frame is None else (2 * frame[0], 2 * frame[1])


def too_large(height: int, width: int, why: str, frame: tuple[int, int] | None = None) -> AlfnetError:
    """The error for an image that the network cannot take as a whole; `frame` (height, width) of the detector, if any."""
    tile = advised_tile(frame)
    return AlfnetError(
        f"an image of {width} x {height} px: {why}; detect in parts of it with --tile {tile[1]}x{tile[0]} "
        f"(Python: tile={tile})"
    )


def torch_device(name: str, where: str) -> torch.device:
    """The device called `name`: auto (a GPU where torch sees one), cpu, cuda, cuda:1, mps.

    Raises AlfnetError, naming `where` the name was given, for a device that is not there.
    """
    if name == "auto":
        with warnings.catch_warnings(action="ignore"):  # of a driver that is too old: then the CPU it is
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is None or device.type not in ("cpu", "cuda", "mps"):
        raise AlfnetError(f"{where}: {name}: no such device; there are auto, cpu, cuda, cuda:0, cuda:1, ... and mps")
    if device.type == "cuda":
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            available = torch.cuda.is_available()
        if not available:
            built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
            why = f": {str(said[0].message).splitlines()[0]}" if said else ""
            raise AlfnetError(
                f"{where}: {name}, but torch sees no GPU (it is {built}{why}); set auto or cpu, or look at nvidia-smi"
            )
        if device.index is not None and device.index >= torch.cuda.device_count():
            raise AlfnetError(f"{where}: {name}, but torch sees {torch.cuda.device_count()} GPUs, from cuda:0 on")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise AlfnetError(f"{where}: {name}, but this is no Apple processor that torch can use; set auto or cpu")
    return device


def _elsewhere(function: str) -> Callable[[Path, str], Backend]:
    """A backend of `alfnet.export`, imported when it is asked for: it needs another runtime."""

    def opened(weights: Path, device: str) -> Backend:
        with extra_needed("export"):
            backend: Backend = getattr(import_module("alfnet.export.runtimes"), function)(weights, device)
        return backend

    return opened


BACKENDS: dict[str, Callable[[Path, str], Backend]] = {
    "torch": TorchBackend.open,
    "onnx": _elsewhere("open_onnx"),
    "openvino": _elsewhere("open_openvino"),
    "ncnn": _elsewhere("open_ncnn"),
}
"""By the name that `--backend` takes: a function of the weight file and the device's name."""


def open_backend(name: str, weights: str | os.PathLike[str], device: str) -> Backend:
    """Open a weight file with the backend called `name`; `auto`: by the file's ending, torch where that does not tell.

    Raises AlfnetError for an unknown backend, one that does not read such files, a folder, and what the backend refuses.
    """
    if name not in BACKENDS and name != AUTO:
        raise AlfnetError(f"--backend: {name}: there is none; there are {', '.join(BACKENDS)} and {AUTO}")
    path = Path(weights)
    check_not_folder(path)
    chosen = (backend_of(path) or "torch") if name == AUTO else name
    check_readable_by(path, chosen)
    return BACKENDS[chosen](path, device)
