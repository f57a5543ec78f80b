"""Whether a data set's pedestrians have anchors that meet them, and which anchors would suit them better."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfnet.annotations.cache import CachedImage
from alfnet.boxes.anchors import STRIDES
from alfnet.params import AnchorSettings, AugmentSettings

LEVELS = tuple(f"/{stride}" for stride in STRIDES)
"""Headings: the levels by their strides."""


@dataclass(frozen=True)
class AnchorFit:
    """How a set of anchors meets G pedestrians, each wherever it may stand: on the cell that suits it best, and worst."""

    widths: list[list[float]]
    ratio: float
    best: np.ndarray
    """(G, levels) the best IoU of a level's anchors, with the pedestrian's centre on that of a cell."""
    worst: np.ndarray
    """(G, levels) the same, with its centre half a cell away on both axes."""

    def share(self, iou: float = 0.5) -> tuple[float, float]:
        """The shares of pedestrians that some anchor meets at `iou`: at the best place, and at the worst."""
        return float((self.best.max(1) >= iou).mean()), float((self.worst.max(1) >= iou).mean())

    def per_level(self, iou: float = 0.5) -> list[float]:
        """Per level, the share of pedestrians that an anchor of this level meets at `iou`, at the best place."""
        return [float(share) for share in (self.best >= iou).mean(0)]


def pedestrian_sizes(images: Sequence[CachedImage]) -> np.ndarray:
    """Widths and heights (G, 2) of all pedestrians, in pixels of the full images."""
    boxes = np.concatenate([image.pedestrians for image in images]) if images else np.zeros((0, 4), np.float32)
    return (boxes[:, 2:] - boxes[:, :2]).astype(np.float64)


def training_scales(images: Sequence[CachedImage], settings: AugmentSettings, number: int = 9) -> np.ndarray:
    """Factors between a pedestrian in the full image and in training: (G, number), over the range of crops."""
    shares = np.linspace(settings.scale[0], settings.scale[1], number)
    factors = []
    for image in images:
        canvas = max(image.height, image.width * settings.height / settings.width)
        factors += [settings.height / (shares * canvas)] * len(image.pedestrians)
    return np.array(factors).reshape(-1, number)


def anchor_fit(sizes: np.ndarray, anchors: AnchorSettings) -> AnchorFit:
    """How anchors meet pedestrians of these widths and heights (G, 2)."""
    best, worst = [], []
    for stride, widths in zip(STRIDES, anchors.widths, strict=True):
        boxes = np.array([[width, width / stride * round(stride / anchors.ratio)] for width in widths])
        best.append(_iou(sizes, boxes, 0).max(1))
        worst.append(_iou(sizes, boxes, stride / 2).max(1))
    return AnchorFit(anchors.widths, anchors.ratio, np.stack(best, 1), np.stack(worst, 1))


def suggest(sizes: np.ndarray, anchors: AnchorSettings) -> AnchorSettings:
    """Suggest widths and a ratio for pedestrians of these sizes (G, 2): as many widths per level as there are.

    Candidates are the clusters of k-means with 1 - IoU as the distance, and widths in even steps of their logarithm over
    most of the sizes; all of the pedestrians' median ratio. Taken is what meets most pedestrians at IoU 0.5, at the best
    and the worst place together, the anchors that there are included. The smallest widths go to the finest level.
    """
    count = len(anchors.widths[0])
    ratio = max(0.05, round(float(np.median(sizes[:, 0] / sizes[:, 1])), 2))
    number = count * len(STRIDES)
    spans = [np.quantile(sizes[:, 1] * ratio, (rest, 1 - rest)) for rest in (0.0, 0.01, 0.03, 0.06)]
    candidates = [_clusters(sizes, ratio, number), *(np.geomspace(low, high, number) for low, high in spans)]
    settings = [anchors]
    for widths in candidates:
        rounded = [float(max(4, round(width))) for width in np.sort(widths)]
        levels = [rounded[level * count : (level + 1) * count] for level in range(len(STRIDES))]
        settings.append(AnchorSettings(widths=levels, ratio=ratio))
    return max(settings, key=lambda one: sum(anchor_fit(sizes, one).share()))


def _clusters(sizes: np.ndarray, ratio: float, number: int) -> np.ndarray:
    """Widths (number,) of boxes of one ratio, the centres of k-means with 1 - IoU as the distance."""
    widths = np.quantile(sizes[:, 1] * ratio, (np.arange(number) + 0.5) / number)
    for _ in range(100):
        nearest = _iou(sizes, np.stack([widths, widths / ratio], 1), 0).argmax(1)
        moved = widths.copy()
        for cluster in range(number):
            mine = sizes[nearest == cluster]
            if len(mine):  # the width of the mean area, which the IoU weighs
                moved[cluster] = np.exp(np.log(mine[:, 1] * ratio).mean())
        if np.allclose(moved, widths, rtol=1e-3):
            break
        widths = moved
    return widths


def yaml_lines(anchors: AnchorSettings) -> str:
    """The lines for params.yaml."""
    lines = ["head:", "  anchors:", "    widths:"]
    for level in anchors.widths:
        first, *others = (f"{width:g}" for width in level)
        lines += [f"      - - {first}", *(f"        - {width}" for width in others)]
    return "\n".join([*lines, f"    ratio: {anchors.ratio:g}"])


def write_plot(out: Path, sizes: np.ndarray, present: AnchorSettings, suggested: AnchorSettings | None) -> None:
    """Draw the pedestrians' sizes in training with both sets of anchors, and how many of them each meets (PNG).

    `suggested` None: there are no better ones, and the present ones stand alone.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from alfnet.files import atomic_path

    figure = Figure(figsize=(10, 4.2), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    shown = sizes[np.linspace(0, len(sizes) - 1, min(len(sizes), 4000)).astype(int)]
    left.scatter(shown[:, 0], shown[:, 1], s=3, c="#999999", label="pedestrians as trained", linewidths=0)
    for anchors, colour, name in ((present, "#d95f02", "anchors now"), (suggested, "#1b9e77", "suggested")):
        if anchors is None:
            continue
        fit = anchor_fit(sizes, anchors)
        boxes = [
            (width, width / stride * round(stride / anchors.ratio))
            for stride, level in zip(STRIDES, anchors.widths, strict=True)
            for width in level
        ]
        left.scatter(*zip(*boxes, strict=True), s=46, c=colour, marker="s", edgecolors="white", label=name)
        ious = np.sort(fit.best.max(1))
        right.plot(ious, 100 * (1 - np.arange(len(ious)) / len(ious)), color=colour, label=f"{name}, best place")
        ious = np.sort(fit.worst.max(1))
        right.plot(
            ious,
            100 * (1 - np.arange(len(ious)) / len(ious)),
            color=colour,
            linestyle=":",
            label=f"{name}, worst place",
        )
    left.set(xscale="log", yscale="log", xlabel="width (px)", ylabel="height (px)", title="Sizes in training")
    ticks = [10, 20, 50, 100, 200, 500]
    for axis in (left.xaxis, left.yaxis):
        axis.set_ticks(ticks, [str(tick) for tick in ticks])
        axis.set_minor_locator(_no_ticks())
    right.axvline(0.5, color="#bbbbbb", linewidth=1)
    right.set(
        xlabel="IoU of the best anchor",
        ylabel="pedestrians (%)",
        title="Met at this IoU or more",
        xlim=(0.2, 1),
        ylim=(0, 101),
    )
    for axes in (left, right):
        axes.legend(fontsize=8, frameon=False)
        axes.spines[["top", "right"]].set_visible(False)
    with atomic_path(out) as temporary:
        figure.savefig(temporary, format="png", metadata={"Software": "alfnet data anchors"})


def _no_ticks():  # type: ignore[no-untyped-def]
    from matplotlib.ticker import NullLocator

    return NullLocator()


def _iou(sizes: np.ndarray, boxes: np.ndarray, away: float) -> np.ndarray:
    """IoU (G, A) of pedestrians (G, 2) and boxes (A, 2), width and height, with centres `away` px apart on both axes."""
    reach = (sizes[:, None] + boxes[None]) / 2 - away
    common = np.clip(np.minimum(np.minimum(sizes[:, None], boxes[None]), reach), 0, None).prod(2)
    union = sizes.prod(1)[:, None] + boxes.prod(1)[None] - common
    result: np.ndarray = common / union
    return result
