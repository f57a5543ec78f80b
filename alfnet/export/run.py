"""Exporting a detector: the file written, opened again, and compared with PyTorch."""

from __future__ import annotations

import copy
import itertools
import re
import shutil
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.errors import AlfnetError
from alfnet.export.graph import DeployedNetwork
from alfnet.export.onnx_file import onnx_model, save_onnx
from alfnet.export.runtimes import OPEN, Predictions
from alfnet.export.settings import FILES, METADATA_KEY, ExportSettings, describe
from alfnet.files import atomic_path
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.network.weight_files import read_extra
from alfnet.params import DetectSettings

BOXES_AT_MOST = 1e-3
"""Pixels by which a float32 export's boxes may differ from PyTorch's; more only where rounding alone does half of it."""
SCORES_AT_MOST = 1e-5
_SIZE_TO_CHECK = (1024, 2048)
_SURE = 0.01  # boxes of lower scores are noise, and reach no selection


class Predicts(Protocol):
    """What is compared with PyTorch: an opened file (`alfnet.export.runtimes`), or what stands in for one."""

    def predict(self, images: np.ndarray) -> Predictions:
        """Predictions of every step for uint8 images (N, H, W, 3), B G R."""


@dataclass(frozen=True)
class Difference:
    """How far an exported file is from PyTorch: the largest of boxes (px, where the score is at least 0.01) and scores."""

    boxes: float
    scores: float
    size: tuple[int, int]

    def __str__(self) -> str:
        height, width = self.size
        return f"compared with PyTorch at {width} x {height}: boxes differ by {self.boxes:.2g} px, scores by {self.scores:.2g}"


def export_detector(
    weights: Path,
    out: Path,
    export: ExportSettings,
    detect: DetectSettings,
    *,
    test_step: int | None = None,
    calibration: Sequence[Path] = (),
) -> Difference:
    """Write `weights` as ONNX, OpenVINO or ncnn files, and return how far it is from PyTorch on an image of real size.

    Raises AlfnetError for weights that cannot be read, for a step that the network does not have, for calibration images
    that cannot be read, and for a float32 file whose boxes differ by more than 1e-3 px or scores by more than 1e-5, and by
    more than twice what rounding makes of PyTorch's own (`rounding`): it is then not kept.
    """
    model = ALFNet.load(weights)
    steps = model.settings.steps
    if test_step is not None and not 1 <= test_step <= steps:
        raise AlfnetError(f"--test-step {test_step}: this network has the steps 1 to {steps}")
    description = describe(model.settings, export, dict(read_extra(weights)))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / out.name
        if export.format == "ncnn":
            from alfnet.export.ncnn_file import write_ncnn

            write_ncnn(DeployedNetwork(model), file, description)
        else:
            images = calibration_images(calibration, export) if export.int8 else []
            proto = onnx_model(model, export, detect, description, test_step=test_step, calibration=images)
            if export.format == "onnx":
                save_onnx(proto, file)
            else:
                _save_openvino(proto, file, description, half=export.half)
        difference = checked_difference(OPEN[export.format](file, "cpu"), model, export)
        with ExitStack() as stack:  # all are copied before the first takes its place; the one that is named does last
            for ending in FILES[export.format]:
                temporary = stack.enter_context(atomic_path(out.with_suffix(ending)))
                shutil.copyfile(file.with_suffix(ending), temporary)
        return difference


def _save_openvino(proto: Any, file: Path, description: str, *, half: bool) -> None:
    """Write an ONNX model as OpenVINO's two files."""
    import openvino as ov

    source = file.with_name("source.onnx")
    save_onnx(proto, source)
    converted = ov.convert_model(str(source))
    converted.set_rt_info(description, [METADATA_KEY])
    _number(converted)
    ov.save_model(converted, str(file), compress_to_fp16=half)


def _number(model: Any) -> None:
    """Name an OpenVINO model's unnamed nodes by their order: it counts them over the life of a process."""
    for index, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Za-z]+_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def calibration_images(paths: Sequence[Path], export: ExportSettings) -> list[np.ndarray]:
    """Read images as the exported network takes them: (1, H, W, 3), cut and padded to the size, or to multiples of 64."""
    from alfnet.images import read_image

    images = []
    for path in paths:
        image = read_image(path)
        height, width = export.size or tuple(max(64, side // 64 * 64) for side in image.shape[:2])
        canvas = np.full((1, height, width, 3), 114, np.uint8)
        part = image[:height, :width]
        canvas[0, : part.shape[0], : part.shape[1]] = part
        images.append(canvas[..., ::-1].copy() if export.channels == "rgb" else canvas)
    return images


def compare(backend: Predicts, model: ALFNet, size: tuple[int, int]) -> Difference:
    """Run both on an image of `size` (height, width) that looks like something, and return the largest differences."""
    image = _test_image(*size)
    return _difference(_predict(model, image), backend.predict(image), model, size)


def rounding(model: ALFNet, size: tuple[int, int]) -> Difference:
    """How far PyTorch in float32 is from itself in float64 on the same image: what rounding alone does."""
    image = _test_image(*size)
    return _difference(_predict(copy.deepcopy(model).double(), image), _predict(model, image), model, size)


def _predict(model: ALFNet, image: np.ndarray) -> Predictions:
    parameter = next(model.parameters())
    with torch.inference_mode():
        predictions: Predictions = model(normalise(torch.from_numpy(image)).to(parameter.dtype))
    return predictions


def _difference(expected: Predictions, found: Predictions, model: ALFNet, size: tuple[int, int]) -> Difference:
    grid = anchors(*size, model.settings.anchors)
    boxes, scores = 0.0, 0.0
    sides = [
        (
            cascade(grid.to(each[0][1].dtype), [offsets[0] for _, offsets in each], *size)[1:],
            [logits[0].sigmoid() for logits, _ in each],
        )
        for each in (expected, found)
    ]
    products = [list(itertools.accumulate(each, torch.mul)) for _, each in sides]
    for step in range(model.settings.steps):
        sure = products[0][step] >= min(_SURE, float(products[0][step].max()))
        boxes = max(boxes, float((sides[0][0][step] - sides[1][0][step])[sure].abs().max()))
        scores = max(scores, float((products[0][step] - products[1][step]).abs().max()))
    return Difference(boxes, scores, size)


def checked_difference(backend: Predicts, model: ALFNet, export: ExportSettings) -> Difference:
    """Compare an exported file with PyTorch; AlfnetError where a float32 file differs by more than rounding explains."""
    size = export.size or _SIZE_TO_CHECK
    difference = compare(backend, model, size)
    if export.precision == "float32" and (difference.boxes > BOXES_AT_MOST or difference.scores > SCORES_AT_MOST):
        # A network that has learnt little makes boxes of half the image, for which float32 itself is not so fine: neither
        # PyTorch nor the other runtime is nearer to the truth than its rounding.
        own = rounding(model, size)
        boxes, scores = max(BOXES_AT_MOST, 2 * own.boxes), max(SCORES_AT_MOST, 2 * own.scores)
        if difference.boxes > boxes or difference.scores > scores:
            raise AlfnetError(
                f"the exported file is not kept: {difference}, where {boxes:.2g} px and {scores:.2g} are allowed"
            )
    return difference


def _test_image(height: int, width: int) -> np.ndarray:
    """(1, H, W, 3) uint8: coarse and fine random structure, the same at every call."""
    rng = np.random.default_rng(1)
    image = np.zeros((height, width, 3))
    for cell in (4, 16, 64):
        coarse = rng.uniform(0, 85, (-(-height // cell), -(-width // cell), 3))
        image += np.kron(coarse, np.ones((cell, cell, 1)))[:height, :width]
    return image.astype(np.uint8)[None]
