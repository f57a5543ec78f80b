"""From images to final boxes: one pass of the network gives every test step and every fusion of scores."""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast, overload

import numpy as np
import torch
from torch import Tensor

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.detection.backend import (
    Backend,
    TorchBackend,
    advised_tile,
    open_backend,
    padded_size,
    too_large,
    torch_device,
)
from alfnet.detection.detections import Detections
from alfnet.detection.given import BYTES, ImageLike, as_bgr
from alfnet.detection.memory import free_memory
from alfnet.detection.postprocess import (
    Selection,
    boxes_step,
    combinations,
    count_positives,
    fuse,
    select,
    step_scores,
)
from alfnet.detection.tiles import merge_tiles, tile_grid
from alfnet.detection.weights import AUTO
from alfnet.errors import AlfnetError
from alfnet.images import shrink_to_frame
from alfnet.network.alfnet import ALFNet
from alfnet.network.file_origin import read_origin, weights_summary
from alfnet.network.origin import describe, trained_frame
from alfnet.params import DetectSettings, check_section
from alfnet.profiles import PACKAGED, PAPER, load_profile

log = logging.getLogger(__name__)

BATCH_PIXELS = 4 * 1024 * 1024
"""Images of one size go through the network together up to this many pixels, unless a number is given."""

_CHECK_MEMORY_FROM = 8 * 1024 * 1024  # pixels; below, an image fits wherever torch does
_TOLD: set[str] = set()


@dataclass(frozen=True)
class StepDetections:
    """What one pass gives for one image; boxes (K, 4) are x1 y1 x2 y2 in pixels of the image, best score first."""

    steps: list[Selection]
    """Per test step 1, 2, ...: the step's boxes with what `detect.scores` makes of the scores up to it."""
    fusion: dict[str, Selection]
    """Per row of the paper's fusion table (`combinations`)."""
    positives: dict[str, list[int]] = field(default_factory=dict)
    """Where ground truth was given: numbers of boxes per IoU bin among the anchors (`default`) and after each step."""


@functools.cache
def published_settings() -> DetectSettings:
    """The published way from predictions to boxes: `detect` of the profile of the paper, which the package carries."""
    return load_profile(PAPER, PACKAGED).detect


def settings_of(origin: Mapping[str, Any], path: str | os.PathLike[str]) -> DetectSettings:
    """The published settings, with what the file at `path` asks for in their place (`detect` of its origin).

    Raises AlfnetError where it asks for what cannot be.
    """
    own = origin.get("detect")
    return check_section(
        DetectSettings, published_settings().model_dump() | (own if isinstance(own, dict) else {}), str(path)
    )


class Detector:
    """A network ready to look at images of any size.

        detector = Detector.load("model.safetensors")
        found = detector("street.jpg")
        found.boxes, found.scores

    Images are looked at in their own size. Sides that are no multiple of 64 are padded at the right and bottom with the
    mean colour, and boxes are clipped to the image. A detector that was trained on photographs shrunk into a frame
    (`weights/photos.safetensors`) looks at larger images shrunk likewise; its boxes are in pixels of the image all the same.
    """

    def __init__(
        self,
        backend: Backend,
        settings: DetectSettings,
        *,
        test_step: int | None = None,
        frame: tuple[int, int] | None = None,
    ) -> None:
        """Take a network as it is.

        Args:
            backend: the network.
            settings: thresholds of scores and overlap (`published_settings()`).
            test_step: the step whose boxes are taken, from 1; None: the one that an exported file was made for, else the
                last.
            frame: height and width that larger images are shrunk into; None: images are looked at in their own size.

        Raises:
            AlfnetError: `test_step` is no whole number, or the network has not that many steps.
        """
        steps = backend.settings.steps
        if test_step is not None:
            test_step = _whole(test_step, "test_step")
        if test_step is not None and not 1 <= test_step <= steps:
            raise AlfnetError(f"--test-step {test_step}: this network has the steps 1 to {steps}")
        self.backend = backend
        self.settings = settings
        self.test_step = test_step or backend.test_step or steps
        self.frame = frame
        self._anchors: dict[tuple[int, int], Tensor] = {}

    @classmethod
    def load(
        cls,
        weights: str | os.PathLike[str] | None = None,
        *,
        device: str = "auto",
        backend: str = AUTO,
        score: float | None = None,
        nms: float | None = None,
        top: int | None = None,
        test_step: int | None = None,
        settings: DetectSettings | None = None,
    ) -> Self:
        """Read a detector, and log once what it was trained on and its miss rates, where they are known.

        Args:
            weights: the file (`alfnet weights import`, or a training's model.safetensors); None: the one that comes with
                the project, trained on photographs (`docs/photos.md`).
            device: auto, cpu, cuda, cuda:1, ..., mps.
            backend: what runs the network: torch, onnx, openvino, ncnn; auto: by the file's ending.
            score: detections have a score above this one; None: what the file says (the one that comes with the project:
                0.35), else as published, 0.1.
            nms: IoU above which the worse of two boxes goes; None: likewise (0.45), else as published, 0.5.
            top: detections per image at most; None: as published, 100.
            test_step: the step whose boxes are taken, from 1; None: the one that an exported file was made for
                (`alfnet export --nms --test-step`), else the last. Exported files hold all steps, so any can be asked for.
            settings: instead of the published ones; `score`, `nms` and `top` come before them.

        Raises:
            AlfnetError: the file is missing or no detector, a value cannot be, or the device is not there.
        """
        weights = default_weights() if weights is None else weights
        opened = open_backend(backend, weights, device)
        # An exported file carries what its weights did, but is no weight file.
        origin = read_origin(weights) if isinstance(opened, TorchBackend) else getattr(opened, "trained_on", {})
        values = (settings or settings_of(origin, weights)).model_dump()
        given = {"score_threshold": score, "nms_iou": nms, "after_nms": top}
        # NumPy's numbers are as good as Python's own.
        plain = {key: value.item() if isinstance(value, np.generic) else value for key, value in given.items()}
        values |= {key: value for key, value in plain.items() if value is not None}
        checked = check_section(DetectSettings, values, "Detector")
        detector = cls(opened, checked, test_step=test_step, frame=trained_frame(origin))
        _tell_once(f"{weights}: {describe(origin)}{_rates_of(opened, weights, origin)}")
        return detector

    @classmethod
    def of_variant(cls, weights: str | os.PathLike[str], settings: DetectSettings, accelerator: str) -> Self:
        """Read a detector for the pipeline, on the device that the parameters name."""
        device = torch_device(accelerator, "machine.accelerator")
        return cls(TorchBackend(ALFNet.load(Path(weights)), device), settings)

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a str is iterable too
        self, images: ImageLike, *, bgr: bool = ..., batch: int | None = ..., tile: tuple[int, int] | None = ...
    ) -> Detections: ...

    @overload
    def __call__(
        self,
        images: Iterable[ImageLike],
        *,
        bgr: bool = ...,
        batch: int | None = ...,
        tile: tuple[int, int] | None = ...,
    ) -> list[Detections]: ...

    def __call__(
        self,
        images: ImageLike | Iterable[ImageLike],
        *,
        bgr: bool = False,
        batch: int | None = None,
        tile: tuple[int, int] | None = None,
    ) -> Detections | list[Detections]:
        """Find pedestrians in an image, or in each of several.

        Args:
            images: a path, a uint8 array (H, W, 3) or (H, W), or a PIL image (turned upright by its EXIF data); or a list
                of these, or an array (N, H, W, 3). Of a list, images of one size go through the network together.
            bgr: arrays have their channels in the order B G R; else R G B.
            batch: how many at once at most; None: as many as make 4 million pixels.
            tile: (height, width) of parts to look at one by one, for very large images; they overlap, and what is found
                twice is merged. A detector that shrinks images into a frame shrinks parts, too: give parts of the frame's
                size or twice that, (384, 768) for the one that comes with the project.

        Raises:
            AlfnetError: a file cannot be read, an array is not uint8 or of another shape, `images`, `batch` or `tile` is
                none of these, or memory does not suffice.
        """
        if batch is not None and _whole(batch, "batch") < 1:
            raise AlfnetError(f"batch={batch!r}: at least 1 is expected, or None: by the images' size")
        if tile is not None:
            _check_tile(tile)
        if _is_one_image(images) or isinstance(images, BYTES) or not isinstance(images, Iterable):
            return self._detect_list([cast("ImageLike", images)], bgr, batch, tile)[0]
        return self._detect_list(images, bgr, batch, tile)

    def detect_batch(self, images: np.ndarray, *, tile: tuple[int, int] | None = None) -> list[Selection]:
        """The boxes and scores of the test step in each of `images`, uint8 (N, H, W, 3), channels B G R."""
        if tile is not None and (images.shape[1] > tile[0] or images.shape[2] > tile[1]):
            return [self._detect_tiled(image, tile) for image in images]
        height, width = images.shape[1:3]
        if self.frame is not None and (height > self.frame[0] or width > self.frame[1]):
            return self._detect_framed(images, *self.frame)
        self._check_memory(len(images), height, width)
        boxes, scores = self._predict(images)
        tested = step_scores(scores, self.settings.scores)[self.test_step - 1]
        return [self._select(b, s) for b, s in zip(boxes[self.test_step], tested, strict=True)]

    @torch.inference_mode()
    def all_steps(
        self, image: np.ndarray, *, fusion: bool = False, ground_truth: np.ndarray | None = None
    ) -> StepDetections:
        """What every step finds in `image`, uint8 (H, W, 3) B G R.

        `fusion` adds the rows of the fusion table. `ground_truth` (G, 4), x1 y1 x2 y2: also count positives.
        """
        found, predicted = self._predict(image[None])
        boxes = [found[0].reshape(-1, 4), *(b[0] for b in found[1:])]
        scores = [s[0] for s in predicted]
        tested = step_scores(scores, self.settings.scores)
        steps = [self._select(b, s) for b, s in zip(boxes[1:], tested, strict=True)]
        names = combinations(len(scores)) if fusion else []
        fused = {name: self._select(boxes[boxes_step(name)], fuse(scores, name)) for name in names}
        positives = {}
        if ground_truth is not None:
            labels = ["default", *(f"step{step}" for step in range(1, len(boxes)))]
            truth = torch.from_numpy(ground_truth).to(boxes[0])
            positives = {label: count_positives(b, truth).tolist() for label, b in zip(labels, boxes, strict=True)}
        return StepDetections(steps, fused, positives)

    @torch.inference_mode()
    def _predict(self, images: np.ndarray) -> tuple[list[Tensor], list[Tensor]]:
        """The anchors (A, 4) and each step's boxes (N, A, 4), and each step's sigmoid scores (N, A)."""
        height, width = images.shape[1:3]
        predictions = self.backend.predict(images)
        default = self._default_boxes(*self.backend.input_size(height, width))
        boxes = cascade(default, [offsets for _, offsets in predictions], height, width)
        return boxes, [logits.sigmoid() for logits, _ in predictions]

    def _default_boxes(self, height: int, width: int) -> Tensor:
        if (height, width) not in self._anchors:
            if len(self._anchors) >= 32:  # of images of many sizes
                self._anchors.clear()
            self._anchors[height, width] = anchors(height, width, self.backend.settings.anchors).to(self.backend.device)
        return self._anchors[height, width]

    def _select(self, boxes: Tensor, scores: Tensor) -> Selection:
        s = self.settings
        chosen = select(
            boxes,
            scores,
            score_threshold=s.score_threshold,
            nms_iou=s.nms_iou,
            minimum_side=s.minimum_side,
            before_nms=s.before_nms,
            after_nms=s.after_nms,
        )
        return Selection(chosen.boxes.cpu(), chosen.scores.cpu())

    def _detect_list(
        self, images: Iterable[ImageLike], bgr: bool, batch: int | None, tile: tuple[int, int] | None
    ) -> list[Detections]:
        found: dict[int, Detections] = {}
        waiting: dict[tuple[int, int], list[tuple[int, np.ndarray, ImageLike]]] = {}

        def flush(size: tuple[int, int]) -> None:
            group = waiting.pop(size)
            selections = self.detect_batch(np.stack([pixels for _, pixels, _ in group]), tile=tile)
            for (index, _, given), selection in zip(group, selections, strict=True):
                found[index] = self._detections(selection, size, given, bgr)

        for index, given in enumerate(images):
            pixels = as_bgr(given, bgr)
            height, width = pixels.shape[:2]
            waiting.setdefault((height, width), []).append((index, pixels, given))
            if len(waiting[height, width]) >= (batch or batch_size(height, width)):
                flush((height, width))
            elif len(waiting) > 16:  # images of many sizes: the oldest do not wait for ever
                flush(next(iter(waiting)))
        for size in list(waiting):
            flush(size)
        return [found[index] for index in range(len(found))]

    def _detections(self, selection: Selection, size: tuple[int, int], given: ImageLike, bgr: bool) -> Detections:
        source = os.fspath(given) if isinstance(given, (str, os.PathLike)) else None
        image = None if source is not None else as_bgr(given, bgr)
        if image is not None and not bgr:
            image = image[..., ::-1]
        boxes, scores = selection.boxes.numpy(), selection.scores.numpy()
        return Detections(boxes, scores, self.test_step, *size, source=source, image=image, bgr=bgr and source is None)

    def _detect_framed(self, images: np.ndarray, height: int, width: int) -> list[Selection]:
        """Detect in images shrunk into a frame; the boxes are of the images as they are, none in the grey beside them."""
        framed, scales = zip(*(shrink_to_frame(image, height, width) for image in images), strict=True)
        limits = torch.tensor([images.shape[2] - 1, images.shape[1] - 1] * 2, dtype=torch.float32)
        selections = []
        for found, scale in zip(self.detect_batch(np.stack(framed)), scales, strict=True):
            boxes = (found.boxes / scale).clamp(min=0).minimum(limits)
            inside = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            selections.append(Selection(boxes[inside], found.scores[inside]))
        return selections

    def _detect_tiled(self, image: np.ndarray, tile: tuple[int, int]) -> Selection:
        height, width = image.shape[:2]
        if self.frame is not None:
            advised = advised_tile(self.frame)
            if tile[0] > advised[0] or tile[1] > advised[1]:
                _tell_once(
                    f"--tile {tile[1]}x{tile[0]}: this detector shrinks every part into {self.frame[1]} x {self.frame[0]} px; "
                    f"for smaller people give parts of that size or twice that, --tile {advised[1]}x{advised[0]}"
                )
        grid = tile_grid(height, width, tile)
        parts = []
        for top, left in grid:
            part = np.ascontiguousarray(image[top : top + tile[0], left : left + tile[1]])
            parts.append(self.detect_batch(part[None])[0])
        return merge_tiles(
            parts, grid, tile, (height, width), nms_iou=self.settings.nms_iou, top=self.settings.after_nms
        )

    def _check_memory(self, number: int, height: int, width: int) -> None:
        """Raise AlfnetError where an image is so large that the system would end the process for want of memory."""
        padded = self.backend.input_size(height, width)  # of a narrow image many times its own
        if self.backend.device.type != "cpu" or number * padded[0] * padded[1] < _CHECK_MEMORY_FROM:
            return
        needed, free = number * self.backend.bytes_needed(*padded), free_memory()
        if free is not None and needed > free:
            why = f"needs about {needed / 2**30:.1f} GiB, {free / 2**30:.1f} GiB are free"
            raise too_large(height, width, why, self.frame)


def _tell_once(sentence: str) -> None:
    if sentence not in _TOLD:
        _TOLD.add(sentence)
        log.warning(sentence)


def _rates_of(opened: Backend, weights: str | os.PathLike[str], origin: Mapping[str, Any]) -> str:
    """The miss rates that stand not in the origin (of a stamped file: `describe` says them) but beside it, as a sentence's end.

    A model that lies where the pipeline made it has them in metrics/, an exported file as an entry of its own.
    """
    if origin.get("miss_rate_percent"):
        return ""
    extra = weights_summary(weights) if isinstance(opened, TorchBackend) else getattr(opened, "origin", {})
    rates = extra.get("miss_rates")
    return f"; miss rate: {rates}" if isinstance(rates, str) and rates else ""


def default_weights() -> Path:
    """The detector that comes with the project. Raises AlfnetError where this installation lacks it."""
    path = Path(__file__).resolve().parents[1] / "weights" / "photos.safetensors"
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file; name a detector's weights (a training's model.safetensors)")
    return path


def _is_one_image(images: Any) -> bool:
    if isinstance(images, (str, os.PathLike)) or hasattr(images, "getexif"):
        return True
    return hasattr(images, "__array__") and np.ndim(images) != 4


def _check_tile(tile: object) -> None:
    """Raise AlfnetError unless `tile` is (height, width), whole numbers."""
    sides = tile if isinstance(tile, (tuple, list)) else ()
    if len(sides) != 2 or not all(_is_whole(side) for side in sides):
        raise AlfnetError(f"tile={tile!r}: (height, width) in pixels is expected, e.g. tile=(1024, 2048)")


def _is_whole(value: object) -> bool:
    return isinstance(value, (int, np.integer)) and type(value) is not bool


def _whole(value: Any, name: str) -> int:
    """The value of an argument as Python's own whole number; AlfnetError, naming the argument, where it is none."""
    if not _is_whole(value):
        raise AlfnetError(f"{name}={value!r}: a whole number is expected, e.g. {name}=1")
    return int(value)


def batch_size(height: int, width: int) -> int:
    """How many images of a size go through the network at once."""
    height, width = padded_size(height, width)
    return min(8, max(1, BATCH_PIXELS // (height * width)))


def sum_positives(images: Sequence[StepDetections], ground_truths: int) -> Mapping[str, object]:
    """The counts of positives over all images: {"ground_truths": n, "default": {"total", "bins"}, "step1": ...}."""
    summed: dict[str, object] = {"ground_truths": ground_truths}
    for label in images[0].positives if images else ():
        bins = np.sum([image.positives[label] for image in images], axis=0).tolist()
        summed[label] = {"total": sum(bins), "bins": bins}
    return summed
