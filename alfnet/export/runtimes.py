"""Exported files behind `alfnet detect --backend onnx`, `--backend openvino` and `--backend ncnn`."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import STRIDES
from alfnet.detection.backend import bytes_needed, padded_size, too_large
from alfnet.errors import AlfnetError, extra_needed
from alfnet.export.graph import OUTPUTS
from alfnet.export.ncnn_file import INPUT, output_name, read_ncnn
from alfnet.export.onnx_session import first_line, open_session
from alfnet.export.settings import (
    METADATA_KEY,
    SUFFIXES,
    ExportSettings,
    Format,
    files_of,
    fixed_selection,
    read_description,
)
from alfnet.network.alfnet import CHANNEL_MEANS
from alfnet.network.origin import KEY, describe, origin_of, trained_frame
from alfnet.network.settings import NetworkSettings

Predictions = list[tuple[Tensor, Tensor]]

# What ONNX Runtime, OpenVINO (oneDNN) and CUDA say where they get no memory.
_NO_MEMORY = re.compile(
    r"bad.?alloc|out of memory|(not enough|insufficient) memory|alloc\w* (of .* )?failed|alloc_failed|"
    r"(fail\w*|can.?t|cannot|unable|could not)( to)? (re)?alloc",
    re.IGNORECASE,
)
_NCNN_NO_MEMORY = -100


class ExportedBackend:
    """What the runtimes share: padding, and the check of sizes."""

    settings: NetworkSettings
    device = torch.device("cpu")
    name: str
    export: ExportSettings
    origin: dict[str, Any]
    selection: Mapping[str, Any] = MappingProxyType({})
    """What is fixed in the graph of `--nms` or `--decode` (`alfnet.export.settings.fixed_selection`)."""
    path: Path
    computes_on_cpu = True

    @property
    def trained_on(self) -> dict[str, Any]:
        """What the file says of its training (`alfnet.network.origin`)."""
        return origin_of(self.origin)

    @property
    def test_step(self) -> int | None:
        """The step that the file was exported for; None: the last."""
        return self.export.test_step

    def predict(self, images: np.ndarray) -> Predictions:
        """What every step predicts for uint8 images (N, H, W, 3), B G R: class logits (N, B), offsets (N, B, 4).

        Images are padded to `input_size` at the right and bottom with the mean colour, rounded to whole numbers.
        Raises AlfnetError for images that are larger than the file was exported for, or for which memory does not suffice.
        """
        number, height, width = images.shape[:3]
        size = self.input_size(height, width)
        try:
            logits, offsets = self._predict(images, size)
        except MemoryError as error:
            if self.export.size is not None:  # parts of an image would be padded to the same size
                raise self._no_memory(error) from None
            raise too_large(height, width, f"{number} at once do not fit into memory") from None
        cells = sum((size[0] // stride) * (size[1] // stride) for stride in STRIDES)
        boxes = cells * self.settings.anchors_per_cell
        expected = (number, self.settings.steps, boxes)
        if logits.shape != expected or offsets.shape != (*expected, 4):
            raise AlfnetError(
                f"{self.path}: predicts {tuple(logits.shape)} and {tuple(offsets.shape)}, where its settings make "
                f"{expected} and {(*expected, 4)}; it is damaged, export it again"
            )
        if not (torch.isfinite(logits).all() and torch.isfinite(offsets).all()):
            raise AlfnetError(f"{self.path}: computes numbers that are not finite; it is damaged, export it again")
        return [(logits[:, step], offsets[:, step]) for step in range(self.settings.steps)]

    def _predict(self, images: np.ndarray, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
        """The logits (N, S, B) and offsets (N, S, B, 4) of images that are padded to `size` (height, width)."""
        height, width = images.shape[1:3]
        if size != (height, width):
            padded = np.empty((len(images), *size, 3), np.uint8)
            padded[:] = np.rint(CHANNEL_MEANS).astype(np.uint8)
            padded[:, :height, :width] = images
            images = padded
        if self.export.channels == "rgb":
            images = images[..., ::-1]
        groups = len(images) if self.export.size is not None else 1  # a fixed graph takes one image at a time
        parts = [self._run(np.ascontiguousarray(part)) for part in np.array_split(images, groups)]
        logits, offsets = (torch.from_numpy(np.concatenate(each)) for each in zip(*parts, strict=True))
        return logits, offsets

    def input_size(self, height: int, width: int) -> tuple[int, int]:
        """As `Backend.input_size`: the size of the export where it has one, else the next multiples of 64."""
        size = self.export.size or padded_size(height, width)
        if height > size[0] or width > size[1]:
            is_frame = (height, width) == trained_frame(self.trained_on)
            shrunk = " (the frame into which it shrinks larger images)" if is_frame else ""
            raise AlfnetError(
                f"{self.path}: takes images of at most {size[1]} x {size[0]} px (width x height), not {width} x {height}"
                f"{shrunk}; export it with --dynamic, or for this size"
            )
        return size

    def bytes_needed(self, height: int, width: int) -> int:
        """As `Backend.bytes_needed`; 0 where it is a GPU's memory.

        It is PyTorch's figure. Of it ncnn took all and ONNX Runtime a third, measured with the detector in the box.
        """
        return bytes_needed(self.settings, height, width) if self.computes_on_cpu else 0

    def _no_memory(self, error: Exception) -> AlfnetError:
        size = self.export.size
        shown = f"images of {size[1]} x {size[0]} px, which it was exported for" if size else "it"
        smaller = "; export it with --dynamic, or for a smaller size" if size else ""
        return AlfnetError(f"{self.path}: memory does not suffice for {shown} ({first_line(error)}){smaller}")

    def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Raises AlfnetError where the file cannot be computed, and MemoryError where memory does not suffice."""
        raise NotImplementedError


class OnnxBackend(ExportedBackend):
    """ONNX Runtime."""

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", *, threads: int | None = None) -> None:
        """Open a file of `alfnet export`. Raises AlfnetError for another file, or a device that is not there."""
        self.path = Path(path)
        _check_file(self.path, ".onnx")
        opened = open_session(self.path, device, threads or torch.get_num_threads())
        self.session = opened.session
        self.computes_on_cpu = not opened.on_gpu
        text = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        self.settings, self.export, self.origin = read_description(text, self.path)
        self.selection = fixed_selection(text)
        self.name = f"ONNX Runtime {opened.version} ({self.export.precision}) on {opened.where}"

    def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            logits, offsets = self.session.run(list(OUTPUTS), {"images": images})
        except Exception as error:  # as above: a damaged file may open and then not compute
            raise _cannot_run(self.path, "ONNX Runtime", error) from None
        return logits, offsets


class OpenVinoBackend(ExportedBackend):
    """OpenVINO, with the arithmetic that the file was exported for: float32 stays float32."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        device: str = "auto",
        *,
        threads: int | None = None,
        own_precision: bool = False,
    ) -> None:
        """As `OnnxBackend`; `own_precision`: a float32 file in bfloat16 where the processor has it, as OpenVINO likes it."""
        import openvino as ov

        self.path = Path(path)
        _check_file(self.path, ".xml")
        core = ov.Core()
        target = {"auto": "CPU", "cpu": "CPU"}.get(device, device.upper().replace("CUDA", "GPU"))
        if target.partition(".")[0] not in {name.partition(".")[0] for name in core.available_devices}:
            raise AlfnetError(f"--device {device}: OpenVINO sees {', '.join(core.available_devices)} here")
        properties: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY"}
        try:
            model = core.read_model(self.path)
        except RuntimeError as error:
            raise AlfnetError(f"{self.path}: OpenVINO cannot read it ({first_line(error)}); export it again") from None
        text = model.get_rt_info([METADATA_KEY]).astype(str) if model.has_rt_info([METADATA_KEY]) else None
        self.settings, self.export, self.origin = read_description(text, self.path)
        self.selection = fixed_selection(text)
        self.computes_on_cpu = target == "CPU"
        if target == "CPU":
            properties["INFERENCE_NUM_THREADS"] = threads or torch.get_num_threads()
            if self.export.precision == "float32" and not own_precision:
                properties["INFERENCE_PRECISION_HINT"] = "f32"  # or bfloat16 is taken where the processor has it
        try:
            self.compiled = core.compile_model(model, target, properties)
        except (RuntimeError, MemoryError) as error:
            failure = _cannot_run(self.path, "OpenVINO", error)
            raise self._no_memory(error) if isinstance(failure, MemoryError) else failure from None
        self.arithmetic = str(self.compiled.get_property("INFERENCE_PRECISION_HINT").get_type_name())
        self.name = f"OpenVINO {ov.__version__.partition('-')[0]} ({self.export.precision}) on {target}"

    def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        try:
            found = self.compiled([images])
            logits, offsets = (np.array(found[name]) for name in OUTPUTS)
        except (RuntimeError, KeyError) as error:
            raise _cannot_run(self.path, "OpenVINO", error) from None
        return logits, offsets


class NcnnBackend(ExportedBackend):
    """ncnn on CPUs, in float32 throughout."""

    def __init__(self, path: str | os.PathLike[str], device: str = "auto", *, threads: int | None = None) -> None:
        """As `OnnxBackend`; the files' checksums are compared before ncnn reads them."""
        import ncnn

        self.path = Path(path)
        _check_file(self.path, SUFFIXES["ncnn"])
        if device not in ("auto", "cpu"):
            raise AlfnetError(f"--device {device}: ncnn files are computed on the CPU here; set auto or cpu")
        self.settings, self.export, self.origin = read_description(read_ncnn(self.path), self.path)
        if self.export.format != "ncnn":
            raise AlfnetError(
                f"{self.path}: its description is of {self.export.format}; it is damaged, export it again"
            )
        self.net = ncnn.Net()
        options = self.net.opt
        options.num_threads = threads or torch.get_num_threads()
        options.use_vulkan_compute = False
        # Left to itself ncnn rounds to half precision where the processor has it.
        options.use_fp16_packed = options.use_fp16_storage = options.use_fp16_arithmetic = False
        options.use_bf16_packed = options.use_bf16_storage = False
        param, binary = files_of(self.path, "ncnn")[:2]
        if self.net.load_param(str(param)) or self.net.load_model(str(binary)):
            raise AlfnetError(f"{self.path}: ncnn cannot open it; export it again")
        self.name = f"ncnn {ncnn.__version__} (float32) on CPU"

    def _run(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        found = [self._run_one(image) for image in images]
        logits, offsets = (np.stack(each) for each in zip(*found, strict=True))
        return logits, offsets

    def _run_one(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(H, W, 3) uint8 -> logits (S, B), offsets (S, B, 4)."""
        import ncnn

        height, width = image.shape[:2]
        values = ncnn.Mat.from_pixels(image, ncnn.Mat.PixelType.PIXEL_BGR, width, height)
        values.substract_mean_normalize(list(CHANNEL_MEANS), [])
        each = self.settings.anchors_per_cell
        extractor = self.net.create_extractor()
        failed = extractor.input(INPUT, values)
        maps = []
        for number in range(self.settings.steps * len(STRIDES)):
            code, found = extractor.extract(output_name(number))
            failed = failed or code
            if failed == _NCNN_NO_MEMORY:
                raise MemoryError(f"ncnn: error {failed}")
            if failed:
                raise AlfnetError(f"{self.path}: ncnn cannot run it (error {failed}); export it again")
            if found.c != 5 * each:
                raise AlfnetError(
                    f"{self.path}: predicts {found.c} numbers a cell, where its settings make {5 * each}; it is damaged, export "
                    "it again"
                )
            maps.append(np.array(found).transpose(1, 2, 0).reshape(-1, found.c))  # (cells, A + 4A)
        of_steps = [maps[first : first + len(STRIDES)] for first in range(0, len(maps), len(STRIDES))]
        logits = np.stack([np.concatenate([part[:, :each].reshape(-1) for part in levels]) for levels in of_steps])
        offsets = np.stack([np.concatenate([part[:, each:].reshape(-1, 4) for part in levels]) for levels in of_steps])
        return logits, offsets


def open_onnx(path: Path, device: str) -> OnnxBackend:
    """For `alfnet.detection.backend.BACKENDS`."""
    return OnnxBackend(path, device)


def open_openvino(path: Path, device: str) -> OpenVinoBackend:
    """For `alfnet.detection.backend.BACKENDS`."""
    return OpenVinoBackend(path, device)


def open_ncnn(path: Path, device: str) -> NcnnBackend:
    """For `alfnet.detection.backend.BACKENDS`."""
    return NcnnBackend(path, device)


OPEN: dict[Format, Callable[[Path, str], ExportedBackend]] = {
    "onnx": open_onnx,
    "openvino": open_openvino,
    "ncnn": open_ncnn,
}
"""By the format of a file: a function of the file and the device's name."""


def exported_summary(path: Path) -> dict[str, Any]:
    """What an exported file says of itself, for people and programs; AlfnetError where it is none, or cannot be opened."""
    with extra_needed("export"):
        backend = OPEN[next((kind for kind, suffix in SUFFIXES.items() if path.suffix.lower() == suffix), "onnx")](
            path, "cpu"
        )
    settings = backend.settings.model_dump(mode="json")
    grid = settings.pop("anchors")
    export = backend.export.model_dump(mode="json")
    size = export.pop("size")
    summary = {
        "file": str(path),
        "bytes": sum(part.stat().st_size for part in files_of(path, backend.export.format)),
        "holds": "exported detector",
        **settings,
        "anchor_widths": grid["widths"],
        "anchor_ratio": grid["ratio"],
        **export,
        "fixed_in_graph": dict(backend.selection) or None,  # `detect` of the origin is what the weights ask for
        "size": "any (multiples of 64)" if size is None else f"{size[1]} x {size[0]}",
        **{key: value for key, value in backend.origin.items() if key != KEY},
        "origin": describe(backend.trained_on),
    }
    summary |= {key: value for key, value in backend.trained_on.items() if key not in summary}
    return {key: value for key, value in summary.items() if value is not None}


def _cannot_run(path: Path, runtime: str, error: Exception) -> AlfnetError | MemoryError:
    if isinstance(error, MemoryError) or _NO_MEMORY.search(str(error)):
        return MemoryError(f"{runtime}: {first_line(error)}")
    return AlfnetError(f"{path}: {runtime} cannot run it ({first_line(error)}); export it again")


def _check_file(path: Path, suffix: str) -> None:
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file; a file of `alfnet export` ({suffix}) was expected")
    if path.suffix == ".safetensors" or (suffix == SUFFIXES["ncnn"] and path.suffix != suffix):  # whose others it names
        raise AlfnetError(
            f"{path}: no exported file by its ending; make one with: alfnet export --weights {path} --out NAME{suffix}"
        )
