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

from alfnet.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE
from alfnet.evaluation.outcomes import Outcomes, image_places
from alfnet.images import read_image
from alfnet.report.figures import style, write_figure
from alfnet.report.page.explorer import FALSE_POSITIVES_PER_IMAGE, FindImage

SHEET_IMAGES = 6
_COLUMNS = 2
_WIDTH = 640  # pixels of an image on the sheet
Label = tuple[float, float, str]
_LABEL = (29, 12)  # width and height of a score in pixels of the sheet
_DPI = 100

# Label, colour, line, width in points; as on the page.
_KINDS: dict[str, tuple[str, str, Any, float]] = {
    "ignored": ("not counted (hidden, small, rider, ...)", "#D5D9DD", (0, (1, 2)), 1.0),
    "missed": ("pedestrian, missed", "#F0E442", (0, (4, 2)), 1.6),
    "correct": ("correct detection (score)", "#56B4E9", "solid", 1.6),
    "false": ("false positive (score)", "#FF7A1A", (0, (6, 1.5, 1, 1.5)), 1.6),
}


def choose_images(first: Outcomes, last: Outcomes, number: int) -> list[int]:
    """Choose images (indices into ground_truth.image_ids, ascending) that show as much as possible.

    In turns the best by four rankings, at 0.316 false positives per image: most pedestrians found, most missed, most
    false positives, most pedestrians that the last step finds and the first does not or the other way round; and every
    fifth turn the next of evenly spaced images with pedestrians. Equal ranks go by position.
    """
    truth = last.ground_truth
    of_truth = image_places(truth, truth.annotation_image_ids)
    found, found_first = (step.found(FALSE_POSITIVES_PER_IMAGE) for step in (last, first))
    wrong = last.detections.image_ids[last.false_positives(FALSE_POSITIVES_PER_IMAGE)]
    counted = ~last.ignored
    images = len(truth.image_ids)
    places = (
        of_truth[found],
        of_truth[counted & ~found],
        image_places(truth, wrong),
        of_truth[counted & (found != found_first)],
    )
    rankings = [np.argsort(-np.bincount(place, minlength=images), kind="stable").tolist() for place in places]
    populated = np.unique(of_truth[counted]).tolist() or [0]
    spaced = np.linspace(0, len(populated) - 1, num=number, dtype=np.int64)
    rankings.append([*(populated[place] for place in spaced), *populated, *range(images)])
    chosen: list[int] = []
    while len(chosen) < min(number, images):
        ranking = rankings[len(chosen) % len(rankings)]
        chosen.append(next(index for index in ranking if index not in chosen))
    return sorted(chosen)


def write_sheet(path: Path, title: str, outcome: Outcomes, chosen: Sequence[int], find_image: FindImage) -> None:
    """Write the images `chosen` (indices into ground_truth.image_ids), with the outcome drawn on them, as PNG.

    Shown are detections down to the score that gives 0.316 false positives per image over all images.
    """
    ground_truth = outcome.ground_truth
    score = outcome.score_at(FALSE_POSITIVES_PER_IMAGE)
    images = [read_image(find_image(ground_truth.file_names[index]) or "") for index in chosen]
    height = round(_WIDTH * images[0].shape[0] / images[0].shape[1])
    rows = -(-len(chosen) // _COLUMNS)
    gap, above = 8, 74
    size = (_COLUMNS * (_WIDTH + gap) + gap, rows * (height + gap) + above)
    with style():
        figure = Figure(figsize=(size[0] / _DPI, size[1] / _DPI))
        for place, (index, image) in enumerate(zip(chosen, images, strict=True)):
            column = gap + (place % _COLUMNS) * (_WIDTH + gap)
            top = above + (place // _COLUMNS) * (height + gap)
            box = (column / size[0], 1 - (top + height) / size[1], _WIDTH / size[0], height / size[1])
            axis: Any = figure.add_axes(box)
            small = cv2.resize(image, (_WIDTH, height), interpolation=cv2.INTER_AREA)
            # The two lowest bits are noise to the eye; without them the file, which Git keeps, is half as large.
            small = (small & 0b11111100) | 0b10
            axis.imshow(small[:, :, ::-1], interpolation="nearest", extent=(0, image.shape[1], image.shape[0], 0))
            axis.set_axis_off()
            axis.set_xlim(0, image.shape[1])
            axis.set_ylim(image.shape[0], 0)
            shown = _boxes(outcome, index, score)
            for kind, x, y, w, h, _ in shown:
                _draw(axis, kind, x, y, w, h)
            pixel = image.shape[1] / _WIDTH  # of the sheet, in pixels of the image
            labels = [(x, y - 3, text) for _, x, y, _, _, text in shown if text]
            for x, y, text in apart(labels, _LABEL[0] * pixel, _LABEL[1] * pixel):
                label = axis.text(x, y, text, color="white", fontsize=8, va="bottom", clip_on=True)
                label.set_path_effects([Stroke(linewidth=2, foreground="black"), Normal()])
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


def _boxes(outcome: Outcomes, index: int, score: float) -> list[tuple[str, float, float, float, float, str]]:
    ground_truth, detections, states = outcome.ground_truth, outcome.detections, outcome.states
    image_id = ground_truth.image_ids[index]
    shown: list[tuple[str, float, float, float, float, str]] = []
    found = np.nan_to_num(outcome.found_at, nan=-1) >= score
    for row in np.flatnonzero((ground_truth.annotation_image_ids == image_id) & ~found):
        x, y, w, h = ground_truth.boxes[row].tolist()
        shown.append(("ignored" if outcome.ignored[row] else "missed", x, y, w, h, ""))
    for row in np.flatnonzero((detections.image_ids == image_id) & (detections.scores >= score)):
        kind = {TRUE_POSITIVE: "correct", FALSE_POSITIVE: "false"}.get(int(states[row]))
        if kind is not None:
            x, y, w, h = detections.boxes[row].tolist()
            shown.append((kind, x, y, w, h, f"{detections.scores[row]:.2f}"))
    return shown


def _draw(axis: Any, kind: str, x: float, y: float, w: float, h: float) -> None:
    _, colour, line, width = _KINDS[kind]
    box = Rectangle((x, y), w, h, fill=False, edgecolor=colour, linestyle=line, linewidth=width)
    box.set_path_effects(_halo(width))
    axis.add_patch(box)


def apart(labels: Sequence[Label], width: float, height: float) -> list[Label]:
    """Move labels of one size up until none lies on another; the one with the highest text (a score) stays.

    A label is (left, bottom, text), x to the right and y down; one that would leave the image at y = 0 is left out.
    """
    placed: list[Label] = []
    for left, bottom, text in sorted(labels, key=lambda label: label[2], reverse=True):
        for other_left, other_bottom, _ in sorted(placed, key=lambda label: -label[1]):
            if abs(left - other_left) < width and abs(bottom - other_bottom) < height:
                bottom = other_bottom - height
        if bottom >= height:
            placed.append((left, bottom, text))
    return placed


def _halo(width: float) -> list[Any]:
    return [Stroke(linewidth=width + 1.4, foreground="#000000", alpha=0.55), Normal()]
