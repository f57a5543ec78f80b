"""Exporting a detector: the file written, opened again, and all that it gives compared with PyTorch."""

from __future__ import annotations

import copy
import itertools
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.detection.backend import padded_size
from alfnet.detection.postprocess import Selection, select, step_scores
from alfnet.errors import AlfnetError
from alfnet.export.graph import DECODED_OUTPUTS, OUTPUTS, DeployedNetwork
from alfnet.export.onnx_file import onnx_model, save_onnx
from alfnet.export.onnx_session import first_line
from alfnet.export.runtimes import OPEN, OnnxBackend, OpenVinoBackend, Predictions
from alfnet.export.settings import FILES, METADATA_KEY, ExportSettings, describe
from alfnet.files import atomic_path
from alfnet.images import MEAN_COLOUR, read_image, shrink_to_frame
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.network.origin import origin_of, trained_frame
from alfnet.network.weight_files import read_extra
from alfnet.params import DetectSettings

T = TypeVar("T")

BOXES_AT_MOST = 1e-3
"""Pixels by which a float32 export's boxes may differ from PyTorch's; more only where rounding alone does half of it."""
SCORES_AT_MOST = 1e-5
_SIZE_TO_CHECK = (1024, 2048)
_SURE = 0.01  # boxes of lower scores are noise, and reach no selection
_SELECTED = "detections"


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
    detections: int | None = None
    """How many the selection in the graph finds there, the same as PyTorch's; None where there is none in the graph."""

    def __str__(self) -> str:
        height, width = self.size
        text = f"compared with PyTorch at {width} x {height}: boxes differ by {self.boxes:.2g} px, scores by {self.scores:.2g}"
        if self.detections is None:
            return text
        return text + (
            f"; its {self.detections} detections are the same" if self.detections else "; neither has a detection there"
        )


class Decoded(NamedTuple):
    """Of one image: boxes (B, 4) in pixels and scores (B,) of every step."""

    boxes: list[Tensor]
    scores: list[Tensor]


def export_detector(
    weights: Path,
    out: Path,
    export: ExportSettings,
    detect: DetectSettings,
    *,
    test_step: int | None = None,
    calibration: Sequence[Path] = (),
    origin: Mapping[str, str] | None = None,
) -> Difference:
    """Write `weights` as ONNX, OpenVINO or ncnn files, and return how far it is from PyTorch on an image of real size.

    `origin`: entries for the description, beside those that the weights carry.

    Raises AlfnetError for weights that cannot be read, for a step that the network does not have, for calibration images
    that cannot be read, and for a file that does not compute what it should (`checked_difference`): it is then not kept.
    """
    model = ALFNet.load(weights)
    steps = model.settings.steps
    if test_step is not None and not 1 <= test_step <= steps:
        raise AlfnetError(f"--test-step {test_step}: this network has the steps 1 to {steps}")
    extra = dict(read_extra(weights))
    description = describe(model.settings, export, extra | dict(origin or {}), detect)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / out.name
        if export.format == "ncnn":
            from alfnet.export.ncnn_file import write_ncnn

            write_ncnn(DeployedNetwork(model), file, description)
        else:
            frame = trained_frame(origin_of(extra))
            images = calibration_images(calibration, export, frame) if export.int8 else []
            proto = onnx_model(model, export, detect, description, test_step=test_step, calibration=images)
            if export.format == "onnx":
                save_onnx(proto, file)
            else:
                _save_openvino(proto, file, description)
        difference = checked_difference(OPEN[export.format](file, "cpu"), model, export, detect, test_step=test_step)
        with ExitStack() as stack:  # all are copied before the first takes its place; the one that is named does last
            for ending in FILES[export.format]:
                temporary = stack.enter_context(atomic_path(out.with_suffix(ending)))
                shutil.copyfile(file.with_suffix(ending), temporary)
        return difference


def _save_openvino(proto: Any, file: Path, description: str) -> None:
    """Write an ONNX model as OpenVINO's two files, with every constant in the precision that it has."""
    import openvino as ov

    source = file.with_name("source.onnx")
    save_onnx(proto, source)
    converted = ov.convert_model(str(source))
    converted.set_rt_info(description, [METADATA_KEY])
    _number(converted)
    # Compression is not for convolutions alone: anchors in float16 lie up to half a pixel off.
    ov.save_model(converted, str(file), compress_to_fp16=False)


def _number(model: Any) -> None:
    """Name an OpenVINO model's unnamed nodes by their order: it counts them over the life of a process."""
    for index, node in enumerate(model.get_ordered_ops()):
        if re.fullmatch(r"[A-Za-z]+_\d+", node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def spread(given: Sequence[T], number: int) -> list[T]:
    """At most `number` of those given, evenly over their order."""
    if len(given) <= number:
        return list(given)
    return [given[index * len(given) // number] for index in range(number)]


def calibration_images(
    paths: Sequence[Path], export: ExportSettings, frame: tuple[int, int] | None = None
) -> list[np.ndarray]:
    """Read images as the exported network will see them: (1, H, W, 3) uint8 of the input's channel order.

    Larger ones are shrunk into `frame` (height, width) where the detector does so (`trained_frame`). All are padded at the
    right and bottom with the mean colour, to the size of the export or the next multiples of 64, and cut where they are
    larger than the export.
    """
    images = []
    for path in paths:
        image = read_image(path)
        if frame is not None and (image.shape[0] > frame[0] or image.shape[1] > frame[1]):
            image, _ = shrink_to_frame(image, *frame)
        height, width = export.size or padded_size(*image.shape[:2])
        canvas = np.empty((1, height, width, 3), np.uint8)
        canvas[:] = MEAN_COLOUR
        part = image[:height, :width]
        canvas[0, : part.shape[0], : part.shape[1]] = part
        images.append(_in_order(canvas, export))
    return images


def compare(backend: Predicts, model: ALFNet, size: tuple[int, int], rule: str = "product") -> Difference:
    """Run both on an image of `size` (height, width) that looks like something, and return the largest differences.

    `rule`: how a step's score is made (`alfnet.detection.postprocess.step_scores`).
    """
    image = _test_image(*size)
    expected, found = (_decoded(each, model, size, rule) for each in (_predict(model, image), backend.predict(image)))
    return _difference(expected, found, size)


def rounding(
    model: ALFNet, size: tuple[int, int], rule: str = "product", predictions: Predictions | None = None
) -> Difference:
    """How far PyTorch in float32 is from itself in float64 on the same image: what rounding alone does.

    `predictions`: those of float32, where they are known already.
    """
    image = _test_image(*size)
    exact = _predict(copy.deepcopy(model).double(), image)
    rounded = _predict(model, image) if predictions is None else predictions
    return _difference(_decoded(exact, model, size, rule), _decoded(rounded, model, size, rule), size)


def checked_difference(
    backend: Predicts, model: ALFNet, export: ExportSettings, detect: DetectSettings, *, test_step: int | None = None
) -> Difference:
    """Compare all that an exported file gives with PyTorch; `detect` and `test_step` are those of `onnx_model`.

    Raises AlfnetError where:
    - a float32 file's boxes differ by more than 1e-3 px or its scores by more than 1e-5, and by more than twice what rounding
      makes of PyTorch's own (`rounding`);
    - boxes and scores in the graph (of any precision) are not what the file's own logits and offsets make;
    - detections in the graph are not the published selection of these boxes and scores.
    """
    size = export.size or _SIZE_TO_CHECK
    image = _test_image(*size)
    predictions = _predict(model, image)  # seconds at real size, so once for all that follows
    expected = _decoded(predictions, model, size, detect.scores)
    detections = None
    if export.decode or export.nms:
        outputs = _all_outputs(backend, _in_order(image, export), model, size)
        logits, offsets = (torch.from_numpy(outputs[name]) for name in OUTPUTS)
        of_file = list(zip(logits.unbind(1), offsets.unbind(1), strict=True))
        boxes, scores = (torch.from_numpy(outputs[name])[0] for name in DECODED_OUTPUTS)
        in_graph = Decoded(list(boxes), list(scores))
        _check_decoder(in_graph, of_file, model, size, detect.scores)
        sides = [_decoded(of_file, model, size, detect.scores), in_graph]
        if export.nms:
            step = (test_step or model.settings.steps) - 1
            detections = _check_selection(outputs.get(_SELECTED), boxes[step], scores[step], detect)
    else:
        sides = [_decoded(backend.predict(image), model, size, detect.scores)]
    each = [_difference(expected, side, size) for side in sides]
    difference = Difference(max(d.boxes for d in each), max(d.scores for d in each), size)
    if export.precision == "float32" and (difference.boxes > BOXES_AT_MOST or difference.scores > SCORES_AT_MOST):
        # A network that has learnt little makes boxes of half the image, for which float32 itself is not so fine: neither
        # PyTorch nor the other runtime is nearer to the truth than its rounding.
        own = rounding(model, size, detect.scores, predictions)
        boxes_at_most, scores_at_most = max(BOXES_AT_MOST, 2 * own.boxes), max(SCORES_AT_MOST, 2 * own.scores)
        if difference.boxes > boxes_at_most or difference.scores > scores_at_most:
            raise _not_kept(f"{difference}, where {boxes_at_most:.2g} px and {scores_at_most:.2g} are allowed")
    return replace(difference, detections=detections)


def _in_order(images: np.ndarray, export: ExportSettings) -> np.ndarray:
    """Images (N, H, W, 3), B G R, with the channels as the file takes them."""
    return np.ascontiguousarray(images[..., ::-1]) if export.channels == "rgb" else images


def _not_kept(reason: str) -> AlfnetError:
    return AlfnetError(f"the exported file is not kept: {reason}")


def _predict(model: ALFNet, image: np.ndarray) -> Predictions:
    parameter = next(model.parameters())
    with torch.inference_mode():
        predictions: Predictions = model(normalise(torch.from_numpy(image)).to(parameter.dtype))
    return predictions


def _decoded(predictions: Predictions, model: ALFNet, size: tuple[int, int], rule: str) -> Decoded:
    """What predictions of one image make, in the precision that they come in."""
    grid = anchors(*size, model.settings.anchors).to(predictions[0][1].dtype)
    boxes = cascade(grid, [offsets[0] for _, offsets in predictions], *size)[1:]
    return Decoded(boxes, step_scores([logits[0].sigmoid() for logits, _ in predictions], rule))


def _difference(expected: Decoded, found: Decoded, size: tuple[int, int]) -> Difference:
    boxes, scores = 0.0, 0.0
    for step, reference in enumerate(expected.scores):
        sure = reference >= min(_SURE, float(reference.max()))
        boxes = max(boxes, float((expected.boxes[step] - found.boxes[step])[sure].abs().max()))
        scores = max(scores, float((reference - found.scores[step]).abs().max()))
    return Difference(boxes, scores, size)


def _all_outputs(backend: Predicts, images: np.ndarray, model: ALFNet, size: tuple[int, int]) -> dict[str, np.ndarray]:
    """All outputs of a graph with `decode` or `nms`, by name, for `images` (1, H, W, 3) of its channel order.

    Raises AlfnetError where it cannot be computed, an output is missing or of another shape, or not finite.
    """
    outputs: dict[str, np.ndarray] = {}
    try:
        if isinstance(backend, OnnxBackend):
            names = [value.name for value in backend.session.get_outputs()]
            outputs = dict(zip(names, backend.session.run(names, {"images": images}), strict=True))
        elif isinstance(backend, OpenVinoBackend):
            found = backend.compiled([images])
            outputs = {port.any_name: np.array(found[port]) for port in backend.compiled.outputs}
    except Exception as error:  # whatever the runtimes raise: they have no common class
        raise _not_kept(f"it cannot be computed ({first_line(error)})") from None
    each = (1, model.settings.steps, len(anchors(*size, model.settings.anchors)))
    shapes = {"logits": each, "offsets": (*each, 4), "boxes": (*each, 4), "scores": each}
    for name, shape in shapes.items():
        if name not in outputs or outputs[name].shape != shape or not np.isfinite(outputs[name]).all():
            what = f"of shape {outputs[name].shape}" if name in outputs else "missing"
            raise _not_kept(f"its output {name} is {what}, where finite numbers of shape {shape} were expected")
    return outputs


def _check_decoder(in_graph: Decoded, of_file: Predictions, model: ALFNet, size: tuple[int, int], rule: str) -> None:
    """Compare all boxes and scores of a graph, also those of low scores, with what its logits and offsets make."""
    rounded = _decoded(of_file, model, size, rule)
    exact = _decoded([(logits.double(), offsets.double()) for logits, offsets in of_file], model, size, rule)

    def largest(parts: list[Tensor], others: list[Tensor]) -> float:
        return max(float((a - b).abs().max()) for a, b in zip(parts, others, strict=True))

    # A runtime's exponentials are rounded otherwise than PyTorch's, and boxes of the whole image show it.
    boxes_at_most = max(BOXES_AT_MOST, 4 * largest(exact.boxes, rounded.boxes))
    boxes, scores = largest(exact.boxes, in_graph.boxes), largest(exact.scores, in_graph.scores)
    if boxes > boxes_at_most or scores > SCORES_AT_MOST:
        raise _not_kept(
            f"its boxes differ by {boxes:.2g} px and its scores by {scores:.2g} from what its own logits and offsets make, "
            f"where {boxes_at_most:.2g} px and {SCORES_AT_MOST:.2g} are allowed"
        )


def _check_selection(found: np.ndarray | None, boxes: Tensor, scores: Tensor, detect: DetectSettings) -> int:
    """Compare a graph's detections (K, 6) with the selection of its boxes (B, 4) and scores (B,); return K."""
    if found is None:
        raise _not_kept(f"its output {_SELECTED} is missing")

    def expected(iou: float, score: float, side: float) -> Selection:
        return select(
            boxes,
            scores,
            score_threshold=detect.score_threshold + score,
            nms_iou=detect.nms_iou + iou,
            minimum_side=detect.minimum_side + side,
            before_nms=len(boxes),  # no graph cuts there
            after_nms=detect.after_nms,
        )

    # Two boxes whose overlap is the threshold but for its last digit are one box to one runtime, two to another.
    for changes in itertools.product((0, 1e-6, -1e-6), (0, 1e-7, -1e-7), (0, 1e-3, -1e-3)):
        if _same_rows(found, expected(*changes)):
            return len(found)
    raise _not_kept(
        f"its {len(found)} detections are not the {len(expected(0, 0, 0).boxes)} that the settings select of its boxes and "
        "scores"
    )


def _same_rows(found: np.ndarray, expected: Selection) -> bool:
    """Whether rows (K, 6) of the first image, in any order, are the boxes and scores of a selection."""
    if found.shape != (len(expected.boxes), 6) or found[:, 0].any():
        return False
    rows = torch.cat([expected.boxes, expected.scores[:, None]], dim=1)
    apart = (torch.from_numpy(found[:, None, 1:]) - rows).abs()  # (K, K, 5)
    close = (apart[..., :4] <= BOXES_AT_MOST).all(dim=-1) & (apart[..., 4] <= SCORES_AT_MOST)
    return bool(close.any(dim=0).all() and close.any(dim=1).all())


def _test_image(height: int, width: int) -> np.ndarray:
    """(1, H, W, 3) uint8: coarse and fine random structure, the same at every call."""
    rng = np.random.default_rng(1)
    image = np.zeros((height, width, 3))
    for cell in (4, 16, 64):
        coarse = rng.uniform(0, 85, (-(-height // cell), -(-width // cell), 3))
        image += np.kron(coarse, np.ones((cell, cell, 1)))[:height, :width]
    return image.astype(np.uint8)[None]
