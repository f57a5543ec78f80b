"""What looks at an image for the service: ONNX Runtime alone where the file selects its boxes itself, else a `Detector`."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.detection.detections import Detections
from alfnet.detection.timing import available_cores
from alfnet.detection.weights import backend_of, check_not_folder, check_readable_by
from alfnet.errors import AlfnetError, extra_needed
from alfnet.export.onnx_session import open_session
from alfnet.export.settings import METADATA_KEY, ExportSettings, fixed_selection, fixed_threshold, read_description
from alfnet.images import MEAN_COLOUR, shrink_to_frame
from alfnet.network.origin import origin_of, trained_frame

log = logging.getLogger(__name__)

STRIDE = 64
BACKENDS = ("auto", "torch", "onnx", "openvino", "ncnn")


@dataclass(frozen=True)
class Finder:
    """A detector that is ready, and what it says about itself."""

    find: Callable[[np.ndarray], Detections]
    """uint8 (H, W, 3), channels B G R -> what is found in it. Raises AlfnetError for an image that it cannot take."""
    backend: str
    """For people: the runtime, and where it runs."""
    model: str
    """The file's name, without its folder."""
    trained_on: Mapping[str, Any] = field(default_factory=dict)
    """What the file says of its training (`alfnet weights info`)."""
    detect: Mapping[str, Any] = field(default_factory=dict)
    """How boxes are selected (`score_threshold`, `nms_iou`, `after_nms`, ...), where it is known."""

    def pixels(self, height: int, width: int) -> int:
        """How many pixels an image of this size takes at most on its way: its own, or those that it is padded to."""
        if trained_frame(self.trained_on) is not None:  # no more than the frame goes through the network
            return height * width
        return math.prod(padded_size(height, width))


def open_finder(
    weights: Path,
    *,
    backend: str = "auto",
    device: str = "auto",
    score: float | None = None,
    threads: int | None = None,
) -> Finder:
    """Open a detector: model.safetensors, or a file of `alfnet export`.

    Args:
        weights: the file.
        backend: torch, onnx, openvino, ncnn; auto: by the file's ending.
        device: auto, cpu, cuda, ...
        score: detections have a score above this one; None: as the file was exported for, or asks for, or as published.
        threads: of ONNX Runtime, where it runs alone; None: as many as there are cores.

    An ONNX file that was exported with --nms needs neither torch nor anything else of the extra `detect`; its boxes are
    selected by the settings of its export. Raises AlfnetError for a file that cannot be used.
    """
    if backend not in BACKENDS:
        raise AlfnetError(f"--backend: {backend}: there is none; there are {', '.join(BACKENDS)}")
    chosen = backend if backend != "auto" else backend_of(weights)
    check_not_folder(weights)
    if chosen is None:
        raise AlfnetError(
            f"{weights}: which backend? .safetensors, .onnx, .xml and .param tell; for other names give --backend"
        )
    if not weights.is_file():
        raise AlfnetError(f"{weights}: no such file; a model.safetensors or a file of `alfnet export` was expected")
    check_readable_by(weights, chosen)
    if chosen == "onnx":
        alone = OnnxFinder(weights, device=device, threads=threads, score=score)
        if alone.export.nms:
            return Finder(alone, alone.name, weights.name, alone.trained_on, alone.detect)
    with extra_needed("detect"):
        from alfnet.detection.backend import open_backend
        from alfnet.detection.detector import Detector, settings_of
        from alfnet.network.file_origin import read_origin

    opened = open_backend(chosen, weights, device)
    origin = read_origin(weights) if chosen == "torch" else getattr(opened, "trained_on", {})
    settings = settings_of(origin, weights)
    if score is not None:
        settings = settings.model_copy(update={"score_threshold": score})
    detector = Detector(opened, settings, frame=trained_frame(origin))
    detect = settings.model_dump(mode="json")
    return Finder(lambda image: detector(image, bgr=True), opened.name, weights.name, origin, detect)


class OnnxFinder:
    """ONNX Runtime and a file with the selection of boxes in its graph, and nothing else.

    Boxes are those of `Detector`, but for an image with a side that is no multiple of 64: there the graph clips boxes to
    the padded image between the steps, and they are clipped to the image itself at the end only.
    """

    def __init__(
        self, path: Path, *, device: str = "auto", threads: int | None = None, score: float | None = None
    ) -> None:
        """Open the file. Raises AlfnetError where it is none of `alfnet export`, or the device is not there."""
        with extra_needed("serve"):
            opened = open_session(path, device, threads or available_cores())
        self.session = opened.session
        described = self.session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
        network, self.export, origin = read_description(described, path)
        self.trained_on = origin_of(origin)
        self.frame = trained_frame(self.trained_on)
        self.step = self.export.test_step or network.steps
        self.score = score or 0.0
        self.detect = fixed_selection(described)
        fixed = fixed_threshold(self.detect) or 0.0
        if self.export.nms and score is not None:
            if score < fixed:
                log.warning(
                    "--score %g: %s gives no score below %g, which it was exported with; lower ones need a file without --nms, "
                    "or the model.safetensors",
                    score,
                    path.name,
                    fixed,
                )
            self.detect["score_threshold"] = max(score, fixed)
        self.name = f"ONNX Runtime {opened.version} ({self.export.precision}) on {opened.where}"

    def __call__(self, image: np.ndarray) -> Detections:
        """The pedestrians in `image`, uint8 (H, W, 3), B G R."""
        height, width = image.shape[:2]
        if self.frame is not None and (height > self.frame[0] or width > self.frame[1]):
            # As the photographs that it was trained on; the boxes are of the image as it is.
            framed, scale = shrink_to_frame(image, *self.frame)
            found = self(framed)
            boxes, scores = found.boxes / np.float32(scale), found.scores
        else:
            [rows] = self.session.run(["detections"], {"images": padded(image, self.export)})
            rows = rows[np.argsort(-rows[:, 5], kind="stable")]
            rows = rows[rows[:, 5] > self.score]
            boxes, scores = rows[:, 1:5], rows[:, 5]
        boxes = np.clip(boxes, 0, np.array([width - 1, height - 1] * 2, np.float32))
        inside = (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])  # not in the padding or the grey alone
        return Detections(boxes[inside], scores[inside], self.step, height, width, image=image, bgr=True)


def padded_size(height: int, width: int) -> tuple[int, int]:
    """The next multiples of 64; as `alfnet.detection.backend.padded_size`, without torch."""
    return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE


def padded(image: np.ndarray, export: ExportSettings) -> np.ndarray:
    """An image (H, W, 3) B G R as an exported graph takes it: (1, H', W', 3), padded at the right and bottom.

    H' and W' are the next multiples of 64, or the size of the export; AlfnetError for an image that is larger.
    """
    height, width = image.shape[:2]
    size = export.size or padded_size(height, width)
    if height > size[0] or width > size[1]:
        raise AlfnetError(
            f"an image of {width} x {height} px (width x height): this detector takes at most {size[1]} x {size[0]}; "
            "shrink the image, or export the detector with --dynamic"
        )
    canvas = np.empty((1, *size, 3), np.uint8)
    canvas[:] = MEAN_COLOUR
    canvas[0, :height, :width] = image
    return np.ascontiguousarray(canvas[..., ::-1]) if export.channels == "rgb" else canvas
