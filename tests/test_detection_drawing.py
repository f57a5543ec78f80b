"""Detections drawn on a picture: the frames lie on the boxes, every label can be read."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from alfnet.detection.drawing import COLOUR, DARK, _place, draw_detections


def painted(picture: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return (picture == colour).all(axis=2)


@pytest.mark.parametrize(("height", "width"), [(96, 192), (256, 512), (1024, 2048), (2160, 3840)])
def test_frame_lies_on_the_box_at_any_size(height: int, width: int) -> None:
    picture = np.full((height, width, 3), 128, np.uint8)
    x1, y1, x2, y2 = width // 4, height // 2, width // 2, height - 20
    drawn = draw_detections(picture, np.array([[x1, y1, x2, y2]], np.float32), np.array([0.87]))
    assert drawn.shape == picture.shape
    assert (picture == 128).all()  # the given picture stays
    frame = painted(drawn, COLOUR)
    for row, column in ((y1, (x1 + x2) // 2 + 40), (y2, (x1 + x2) // 2), ((y1 + y2) // 2, x1), ((y1 + y2) // 2, x2)):
        assert frame[row, min(column, x2 - 1) if column != x2 else x2]
    inside = drawn[y1 + height // 20 : y2 - height // 20, x1 + height // 20 : x2 - height // 20]
    assert (inside == 128).all()
    # The label stands on the box, with letters of a height that can be read.
    above = painted(drawn[: y1 - 4], COLOUR)
    letters = (drawn[: y1 - 4][above.any(1)][:, above.any(0)].max(axis=2) < 120).any(axis=1)
    assert letters.sum() >= max(7, height // 100)


def test_labels_stay_in_the_picture() -> None:
    picture = np.full((200, 300, 3), 128, np.uint8)
    for box in ([0, 0, 20, 60], [290, 0, 299, 30], [-10, -10, 20, 20], [280, 150, 320, 260]):
        drawn = draw_detections(picture, np.array([box], np.float32), np.array([0.5]))
        plate = painted(drawn, COLOUR)
        assert plate.sum() > 100, box


def test_labels_of_a_crowd_do_not_overlap() -> None:
    random = np.random.default_rng(0)
    left, top = random.uniform(100, 180, 30), random.uniform(240, 250, 30)
    plates: list[tuple[int, int, int, int]] = []
    for x, y in zip(left.astype(int).tolist(), top.astype(int).tolist(), strict=True):
        plate = _place(x, y, 30, 12, plates)
        if plate is not None:
            plates.append(plate)
    assert len(plates) > 20
    cover = np.zeros((300, 300), int)
    for x, y, width, height in plates:
        cover[y : y + height, x : x + width] += 1
    assert cover.max() == 1
    assert plates[0][1] + plates[0][3] == int(top[0])  # the first stands on its box


def test_better_detections_are_drawn_over_others() -> None:
    picture = np.full((200, 300, 3), 128, np.uint8)
    boxes = np.array([[50, 60, 90, 160], [51, 61, 91, 161]], np.float32)
    for scores, better in (([0.9, 0.2], boxes[0]), ([0.2, 0.9], boxes[1])):
        drawn = draw_detections(picture, boxes, np.array(scores))
        x1, y1, x2, y2 = better.astype(int)
        assert painted(drawn, COLOUR)[y2, x1:x2].all()
        assert painted(drawn, COLOUR)[y1 + 20 : y2, x2].all()
        assert painted(drawn, DARK)[y2 + 1, x1:x2].all()


def test_no_detections_leave_the_picture() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 128, 3), dtype=np.uint8)
    drawn = draw_detections(picture, np.zeros((0, 4), np.float32), np.zeros(0, np.float32))
    np.testing.assert_array_equal(drawn, picture)
    assert drawn is not picture


def test_bytes_known() -> None:
    """The same bytes came out under emulated Haswell and EPYC-Rome processors."""
    picture = np.random.default_rng(0).integers(0, 256, (256, 512, 3), dtype=np.uint8)
    boxes = np.array([[50, 60, 90, 160], [55, 70, 95, 150], [300.4, 2.5, 340, 100]], np.float32)
    drawn = draw_detections(picture, boxes, np.array([0.912, 0.31, 0.5], np.float32))
    assert (
        hashlib.sha256(drawn.tobytes()).hexdigest()
        == "1af82a3189c1f27b42279bbeea83e89502f65e6720f5da3f170cc5a12d284032"
    )
