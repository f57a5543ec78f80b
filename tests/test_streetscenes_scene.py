"""Generated scenes: classes, heights, and boxes against the pixels drawn."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from streetscenes.canvas import Canvas, bounds
from streetscenes.scene import compose_scene, render_scene

SIZE = (512, 1024)
SCENES = 16

Scene = tuple[Canvas, np.ndarray]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose_scene(np.random.SeedSequence([7, 0, index]), *SIZE, busy=True) for index in range(SCENES)]


def test_visible_boxes_lie_within_the_picture(scenes: list[Scene]) -> None:
    for _, rows in scenes:
        visible = rows[rows[:, 0] != 5, 6:10]
        assert (visible[:, :2] >= 0).all()
        assert (visible[:, :2] + visible[:, 2:] <= SIZE[::-1]).all()


def test_rows_are_boxes_in_whole_pixels(scenes: list[Scene]) -> None:
    for canvas, rows in scenes:
        assert canvas.image.shape == (*SIZE, 3)
        assert canvas.image.dtype == np.uint8
        assert rows.shape[1] == 10
        np.testing.assert_array_equal(rows, np.rint(rows))
        assert (rows[:, 3:5] >= 1).all()
        full, visible = rows[:, 1:5], rows[:, 6:10]
        seen = rows[:, 0] != 5
        assert (visible[seen, 2:] >= 1).all()
        # The visible box lies within the full box.
        assert (visible[seen, :2] >= full[seen, :2]).all()
        assert (visible[seen, :2] + visible[seen, 2:] <= full[seen, :2] + full[seen, 2:]).all()
        np.testing.assert_array_equal(rows[rows[:, 0] == 5, 6:], 0)


def test_upright_boxes_have_the_ratio_and_the_instance_numbers_are_single(scenes: list[Scene]) -> None:
    for _, rows in scenes:
        upright = rows[np.isin(rows[:, 0], (1, 2))]
        assert (np.abs(upright[:, 3] - 0.41 * upright[:, 4]) <= 0.51).all()
        people = rows[np.isin(rows[:, 0], (1, 2, 3, 4)), 5]
        assert len(set(people)) == len(people)
        assert set(people // 1000) <= {24, 25}


def test_boxes_end_where_the_pixels_do(scenes: list[Scene]) -> None:
    """Every fully visible pedestrian has a figure in the buffer from the top row of its box to the lowest one."""
    compared = 0
    for canvas, rows in scenes:
        found = [bounds(canvas.ids == number) for number in np.unique(canvas.ids) if number]
        figures = [box for box in found if box is not None]
        whole = (rows[:, 0] == 1) & (rows[:, 1:5] == rows[:, 6:10]).all(axis=1)
        for _, x, y, w, h, *_ in rows[whole].tolist():
            slack = max(1, h // 40)
            # Feet and hands may reach beyond the box's sides, and a thin figure not to them.
            fits = [
                box for box in figures
                if max(abs(box[1] - y), abs(box[3] - y - h)) <= slack and abs((box[0] + box[2]) / 2 - x - w / 2) < w
            ]  # fmt: skip
            assert fits, (x, y, w, h)
            compared += 1
    assert compared > 40


def test_people_get_taller_towards_the_lower_edge(scenes: list[Scene]) -> None:
    """One camera, one ground plane: someone twice as tall in the picture, child or not, stands nearer, so lower."""
    pairs = 0
    for _, rows in scenes:
        people = rows[rows[:, 0] == 1]
        foot, height = people[:, 2] + people[:, 4], people[:, 4]
        twice = height[:, None] > 2 * height[None, :]
        assert (foot[:, None] > foot[None, :])[twice].all()
        pairs += int(twice.sum())
    assert pairs > 100


def test_what_a_data_set_needs(scenes: list[Scene]) -> None:
    rows = np.concatenate([rows for _, rows in scenes])
    assert set(rows[:, 0]) == {0, 1, 2, 3, 4, 5}
    people = rows[rows[:, 0] == 1]
    heights = people[:, 4]
    assert heights.min() >= 20
    assert heights.max() <= 400
    assert (heights < 50).any()
    assert (heights > 150).any()
    tall = people[heights >= 50]
    assert 10 * SCENES <= len(tall) <= 22 * SCENES
    visible = tall[:, 8] * tall[:, 9] / (tall[:, 3] * tall[:, 4])
    assert 0.12 < (visible < 0.9).mean() < 0.45
    assert (visible < 0.65).any()


def test_a_quiet_street_has_as_many_pedestrians_as_citypersons() -> None:
    rows = [compose_scene(np.random.SeedSequence([7, 1, index]), *SIZE, busy=False)[1] for index in range(SCENES)]
    tall = sum(int(((part[:, 0] == 1) & (part[:, 4] >= 50)).sum()) for part in rows)
    assert 2 * SCENES <= tall <= 6 * SCENES


def test_the_next_image_is_another_one() -> None:
    first, _ = render_scene(np.random.SeedSequence([7, 0, 0]), 128, 256, busy=True)
    again, _ = render_scene(np.random.SeedSequence([7, 0, 0]), 128, 256, busy=True)
    other, _ = render_scene(np.random.SeedSequence([7, 1, 0]), 128, 256, busy=True)
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_same_pixels_with_fewer_instructions(root: object) -> None:
    """OpenCV and NumPy choose their instructions by processor; the picture must not depend on it."""
    code = (
        "import hashlib, numpy as np\n"
        "from streetscenes.dataset import encode_png\n"
        "from streetscenes.scene import render_scene\n"
        "image, rows = render_scene(np.random.SeedSequence([7, 0, 3]), 256, 512, busy=True)\n"
        "print(hashlib.sha256(encode_png(image) + rows.tobytes()).hexdigest())\n"
    )
    from streetscenes.dataset import encode_png

    image, rows = render_scene(np.random.SeedSequence([7, 0, 3]), 256, 512, busy=True)
    here = hashlib.sha256(encode_png(image) + rows.tobytes()).hexdigest()
    environment = {
        **os.environ,
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16,AVX,SSE4.2,SSE4.1",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=str(root), capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == here
