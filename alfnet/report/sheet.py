"""The sheet of images: detections on validation images, with what was found, missed and reported for nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.patheffects import Normal, Stroke

from alfnet.images import read_image
from alfnet.reading.ground_truth import GroundTruth
from alfnet.report.figures import style, write_figure
from alfnet.report.gallery import FALSE_POSITIVES_PER_IMAGE, image_path
from alfnet.report.outcomes import CORRECT, FALSE_POSITIVE, Outcome

SHEET_IMAGES = 6
_COLUMNS = 2
_WIDTH = 640  # pixels of an image on the sheet
_DPI = 100

# Label, colour, line, width in points; as on the page.
_KINDS: dict[str, tuple[str, str, Any, float]] = {
    "ignored": ("not counted (hidden, small, rider, ...)", "#D5D9DD", (0, (1, 2)), 1.0),
    "missed": ("pedestrian, missed", "#F0E442", (0, (4, 2)), 1.6),
    "correct": ("correct detection (score)", "#56B4E9", "solid", 1.6),
    "false": ("false positive (score)", "#FF7A1A", (0, (6, 1.5, 1, 1.5)), 1.6),
}


def write_sheet(
    path: Path,
    title: str,
    outcome: Outcome,
    ground_truth: GroundTruth,
    chosen: Sequence[int],
    folder: Path,
) -> None:
    """Write the images `chosen` (indices into ground_truth.image_ids), with the outcome drawn on them, as PNG.

    Shown are detections down to the score that gives 0.316 false positives per image over all images. `folder` holds
    the val images, <city>/<file>.
    """
    score = outcome.score_at(FALSE_POSITIVES_PER_IMAGE)
    images = [read_image(image_path(folder, ground_truth.file_names[index])) for index in chosen]
    height = round(_WIDTH * images[0].shape[0] / images[0].shape[1])
    rows = -(-len(chosen) // _COLUMNS)
    gap, above = 8, 74
    size = (_COLUMNS * (_WIDTH + gap) + gap, rows * (height + gap) + above)
    with style():
        figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI))
        for place, (index, image) in enumerate(zip(chosen, images, strict=True)):
            left = gap + (place % _COLUMNS) * (_WIDTH + gap)
            top = above + (place // _COLUMNS) * (height + gap)
            box = (left / size[0], 1 - (top + height) / size[1], _WIDTH / size[0], height / size[1])
            axis: Any = figure.add_axes(box)
            small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
            # The two lowest bits are noise to the eye; without them the file, which Git keeps, is half as large.
            small = (small & 0b11111100) | 0b10
            axis.imshow(small[:, :, ::-1], interpolation="nearest", extent=(0, image.shape[1], image.shape[0], 0))
            axis.set_axis_off()
            axis.set_xlim(0, image.shape[1])
            axis.set_ylim(image.shape[0], 0)
            for kind, x, y, w, h, text in _boxes(outcome, ground_truth, index, score):
                _draw(axis, kind, x, y, w, h, text)
        handles = [
            Line2D([], [], color=colour, linestyle=line, linewidth=2.2, label=label, path_effects=_halo(2.2))
            for label, colour, line, _ in _KINDS.values()
        ]
        figure.text(gap / size[0], 1 - 10 / size[1], title, va="top", fontsize=12)
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(0, 1 - 32 / size[1]),
            ncols=len(handles),
            fontsize=11,
            borderaxespad=0.2,
        )
        write_figure(path, figure, dpi=_DPI)


def _boxes(
    outcome: Outcome, ground_truth: GroundTruth, index: int, score: float
) -> list[tuple[str, float, float, float, float, str]]:
    image_id = ground_truth.image_ids[index]
    shown: list[tuple[str, float, float, float, float, str]] = []
    found = np.nan_to_num(outcome.found_at, nan=-1) >= score
    for row in np.flatnonzero((ground_truth.annotation_image_ids == image_id) & ~found):
        x, y, w, h = ground_truth.boxes[row].tolist()
        shown.append(("missed" if outcome.counted[row] else "ignored", x, y, w, h, ""))
    detections = outcome.detections
    for row in np.flatnonzero((detections.image_ids == image_id) & (detections.scores >= score)):
        kind = {CORRECT: "correct", FALSE_POSITIVE: "false"}.get(int(outcome.states[row]))
        if kind is not None:
            x, y, w, h = detections.boxes[row].tolist()
            shown.append((kind, x, y, w, h, f"{detections.scores[row]:.2f}"))
    return shown


def _draw(axis: Any, kind: str, x: float, y: float, w: float, h: float, text: str) -> None:
    _, colour, line, width = _KINDS[kind]
    box = Rectangle((x, y), w, h, fill=False, edgecolor=colour, linestyle=line, linewidth=width)
    box.set_path_effects(_halo(width))
    axis.add_patch(box)
    if text:
        label = axis.text(x, y - 3, text, color="white", fontsize=8, va="bottom", clip_on=True)
        label.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])


def _halo(width: float) -> list[Any]:
    return [Stroke(linewidth=width + 1.4, foreground="#000000", alpha=0.55), Normal()]
