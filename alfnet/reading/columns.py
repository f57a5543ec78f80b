"""Detections on their way from a file: columns, and what names a row in a message."""

from __future__ import annotations

from dataclasses import dataclass, field

from alfnet.reading.records import Floats, Integers, Place


@dataclass(frozen=True)
class Columns:
    """D detections in file order, not yet checked for what only all of them together show."""

    image_ids: Integers
    """(D,) ids of the ground truth's images."""
    boxes: Floats
    """(D, 4) x, y, width, height in pixels of the full image."""
    scores: Floats
    """(D,)"""
    place: Place
    """Names the n-th detection of these: "detection 3", "line 7"."""
    warnings: list[str] = field(default_factory=list)
    image_sizes: Floats | None = None
    """(I, 2) height and width of the ground truth's images where the detections' file says them, else NaN."""
