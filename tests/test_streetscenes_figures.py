"""Figures: their pixels end exactly where the box that is annotated for them does."""

from __future__ import annotations

import numpy as np
import pytest

from streetscenes.canvas import Canvas, bounds, faded, lay, solid
from streetscenes.figures import Look, draw, shrunk
from streetscenes.placing import walking_pose
from streetscenes.skeleton import Pose


@pytest.mark.parametrize("height", [20, 33, 50, 75, 128, 257, 400])
def test_walker_is_as_high_as_asked(height: int) -> None:
    rng = np.random.default_rng(height)
    for _ in range(6):
        figure = draw(height, Look(rng, child=height == 33), walking_pose(rng), int(rng.integers(-1, 2)))
        x1, y1, x2, y2 = bounds(figure.body) or (0, 0, 0, 0)
        assert (y1, y2) == (0, height)
        assert figure.body.shape == figure.pixels.shape[:2]
        # Upright people nearly fill 0.41 of their height, and stand on the axis of their box.
        assert 0.14 * height < x2 - x1 < 0.75 * height
        assert x1 < figure.axis < x2


def test_rider_has_the_bicycle_below_the_shoes() -> None:
    figure = draw(120, Look(np.random.default_rng(1)), Pose("riding", 90.0, 0.4, 0.2, (0.3, 0.3)), 1)
    x1, y1, x2, y2 = bounds(figure.body) or (0, 0, 0, 0)
    assert y2 - y1 == 120
    assert figure.pixels.shape[0] > y2  # the wheels reach the ground
    assert figure.pixels.shape[1] > x2 - x1  # and stand out before and behind
    assert (figure.body <= solid(figure.pixels)).all()


def test_a_head_shows_skin_from_the_front_and_hair_from_behind() -> None:
    look = Look(np.random.default_rng(5))
    front = draw(200, look, Pose("standing", 0.0, 0.05, 0.0, (0.2, 0.2)), 0)
    back = draw(200, look, Pose("standing", 180.0, 0.05, 0.0, (0.2, 0.2)), 0)
    row, column = 14, int(front.axis)
    skin, hair = np.array(look.skin), np.array(look.hair)
    seen_front = front.pixels[row, column, :3].astype(int)
    seen_back = back.pixels[row, int(back.axis), :3].astype(int)
    assert np.abs(seen_front - skin).sum() < np.abs(seen_front - hair).sum()
    assert np.abs(seen_back - hair).sum() < np.abs(seen_back - skin).sum()


def test_shrinking_is_the_rounded_mean_of_four() -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (32, 48, 4), dtype=np.uint8)
    blocks = pixels.astype(np.int64).reshape(16, 2, 24, 2, 4).sum(axis=(1, 3))
    np.testing.assert_array_equal(shrunk(pixels, 1), (blocks + 2) // 4)


def test_laying_a_sprite() -> None:
    image = np.full((1, 3, 3), 100, dtype=np.uint8)
    pixels = np.array([[[0, 0, 0, 0], [40, 50, 60, 255], [20, 20, 20, 128]]], dtype=np.uint8)
    lay(image, pixels)
    np.testing.assert_array_equal(image[0, 0], [100] * 3)
    np.testing.assert_array_equal(image[0, 1], [40, 50, 60])
    np.testing.assert_allclose(image[0, 2], [20 + 100 * 127 / 255] * 3, atol=1)


def test_paste_marks_solid_pixels_and_clips_at_the_border() -> None:
    canvas = Canvas(4, 4)
    pixels = np.full((3, 3, 4), 255, dtype=np.uint8)
    pixels[0, :, 3] = 100
    canvas.paste(pixels, -1, 2, solid(pixels), number=7)
    np.testing.assert_array_equal(canvas.ids, [[0] * 4, [0] * 4, [0] * 4, [7, 7, 0, 0]])
    canvas.paste(pixels, 9, 9, solid(pixels), number=8)
    assert set(np.unique(canvas.ids)) == {0, 7}


def test_haze_draws_a_sprite_towards_its_colour() -> None:
    pixels = np.array([[[10, 20, 30, 255], [0, 0, 0, 0]]], dtype=np.uint8)
    seen = faded(pixels, (210, 220, 230), 0.5)
    np.testing.assert_allclose(seen[0, 0], [110, 120, 130, 255], atol=1)
    np.testing.assert_array_equal(seen[0, 1], [0, 0, 0, 0])
