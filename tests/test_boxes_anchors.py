"""Anchors: the published ones exactly, and the rule written out again as plain loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alfnet.boxes.anchors import anchors
from alfnet.errors import AlfnetError
from alfnet.params import AnchorSettings

PUBLISHED = AnchorSettings(widths=[[16.0, 24.0], [32.0, 48.0], [64.0, 80.0], [128.0, 160.0]], ratio=0.41)


def test_published_training_size_exactly(golden: Path) -> None:
    expected = np.load(golden / "alf_targets.npz")["anchors_640_1280"]
    found = anchors(640, 1280, PUBLISHED)
    assert found.dtype == torch.float32
    np.testing.assert_array_equal(found.numpy(), expected)


def test_published_test_size_checksum(golden: Path) -> None:
    total, count = np.load(golden / "alf_targets.npz")["anchors_1024_2048_checksum"]
    found = anchors(1024, 2048, PUBLISHED)
    assert len(found) == count == 87040
    assert found.double().sum().item() == total


def _slow(height: int, width: int, widths: list[list[float]], ratio: float) -> list[list[float]]:
    boxes = []
    for level, stride in enumerate((8, 16, 32, 64)):
        for row in range(height // stride):
            for column in range(width // stride):
                for box_width in widths[level]:
                    box_height = round(stride / ratio) * box_width / stride
                    x, y = column * stride + (stride - 1) / 2, row * stride + (stride - 1) / 2
                    x1, x2 = x - (box_width - 1) / 2, x + (box_width - 1) / 2
                    y1, y2 = y - (box_height - 1) / 2, y + (box_height - 1) / 2
                    corners = zip((x1, y1, x2, y2), (width, height) * 2, strict=True)
                    boxes.append([min(max(corner, 0), side - 1) for corner, side in corners])
    return boxes


@pytest.mark.parametrize("widths", [PUBLISHED.widths, [[12.0], [30.0], [70.0], [100.0]], [[8.0, 9.0, 10.0]] * 4])
def test_rule_with_other_sizes(widths: list[list[float]]) -> None:
    found = anchors(128, 192, AnchorSettings(widths=widths, ratio=0.41))
    np.testing.assert_array_equal(found.numpy(), np.array(_slow(128, 192, widths, 0.41), np.float32))


def test_other_ratio_changes_the_height_alone() -> None:
    found = anchors(640, 640, AnchorSettings(widths=[[16.0], [32.0], [64.0], [128.0]], ratio=0.5))
    inner = found[40 * 80 + 40]  # stride 8, row 40, column 40: not touched by the border
    assert (inner[2] - inner[0] + 1).item() == 16
    assert (inner[3] - inner[1] + 1).item() == 32


@pytest.mark.parametrize(
    ("height", "width", "named"), [(640, 1290, "width 1290"), (0, 64, "height 0"), (96, 64, "height 96")]
)
def test_refuses_sides_that_the_strides_do_not_divide(height: int, width: int, named: str) -> None:
    with pytest.raises(AlfnetError, match=f"image {named}: must be a positive multiple of 64"):
        anchors(height, width, PUBLISHED)
