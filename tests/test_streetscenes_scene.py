"""Generated scenes: kinds, heights, and boxes against the pixels drawn."""

from __future__ import annotations

import ast
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import streetscenes
from streetscenes import Person, Settings, render
from streetscenes.canvas import Canvas, bounds
from streetscenes.scene import compose

SIZE = (512, 1024)
SCENES = 10

Scene = tuple[Canvas, list[Person]]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose(Settings(*SIZE, busy=True), (7, 0, index)) for index in range(SCENES)]


@pytest.fixture(scope="module")
def quiet() -> list[list[Person]]:
    return [render(Settings(*SIZE), (7, 1, index))[1] for index in range(SCENES)]


def upright(people: list[Person]) -> np.ndarray:
    """The full boxes (n, 4) of the pedestrians."""
    return np.array([person.box for person in people if person.kind == "upright"]).reshape(-1, 4)


def test_boxes_lie_where_they_can(scenes: list[Scene]) -> None:
    for canvas, people in scenes:
        assert canvas.image.shape == (*SIZE, 3)
        assert canvas.image.dtype == np.uint8
        for person in people:
            x, y, w, h = person.box
            assert min(w, h) >= 1
            if person.visible is None:
                assert person.kind == "group"
                continue
            # The visible box lies within the full box and the image.
            left, top, wide, tall = person.visible
            assert min(wide, tall) >= 1
            assert max(x, 0) <= left < left + wide <= min(x + w, SIZE[1])
            assert max(y, 0) <= top < top + tall <= min(y + h, SIZE[0])


def test_upright_boxes_have_the_ratio(scenes: list[Scene]) -> None:
    for _, people in scenes:
        boxes = [person.box for person in people if person.kind in ("upright", "rider")]
        assert all(abs(w - 0.41 * h) <= 0.51 for _, _, w, h in boxes)


def test_boxes_end_where_the_pixels_do(scenes: list[Scene]) -> None:
    """Every fully visible pedestrian has a figure in the buffer from the top row of its box to the lowest one."""
    compared = 0
    for canvas, people in scenes:
        figures = [bounds(canvas.ids == number) for number in np.unique(canvas.ids) if number]
        for person in people:
            if person.kind != "upright" or person.box != person.visible:
                continue
            x, y, w, h = person.box
            slack = max(1, h // 40)
            # Feet and hands may reach beyond the box's sides, and a thin figure not to them.
            assert any(
                max(abs(box[1] - y), abs(box[3] - y - h)) <= slack and abs((box[0] + box[2]) / 2 - x - w / 2) < w
                for box in figures
                if box is not None
            ), person
            compared += 1
    assert compared > 40


def test_people_get_taller_towards_the_lower_edge(scenes: list[Scene]) -> None:
    """One camera, one ground plane: someone twice as tall in the image, child or not, stands nearer, so lower."""
    pairs = 0
    for _, people in scenes:
        boxes = upright(people)
        foot, height = boxes[:, 1] + boxes[:, 3], boxes[:, 3]
        twice = height[:, None] > 2 * height[None, :]
        assert (foot[:, None] > foot[None, :])[twice].all()
        pairs += int(twice.sum())
    assert pairs > 100


def test_what_a_data_set_needs(scenes: list[Scene], quiet: list[list[Person]]) -> None:
    people = [person for _, members in scenes for person in members]
    kinds = {person.kind for members in [*quiet, people] for person in members}
    assert kinds == {"upright", "rider", "sitting", "unusual", "group", "unclear"}
    heights = upright(people)[:, 3]
    assert heights.min() >= 20
    assert heights.max() <= 400
    assert (heights < 50).any()
    tall = [person for person in people if person.kind == "upright" and person.box[3] >= 50]
    assert 10 * SCENES <= len(tall) <= 22 * SCENES
    visible = [
        person.visible[2] * person.visible[3] / (person.box[2] * person.box[3]) for person in tall if person.visible
    ]
    assert 0.12 < np.mean(np.array(visible) < 0.9) < 0.45
    assert min(visible) < 0.65


def test_a_quiet_street_has_few_pedestrians(quiet: list[list[Person]]) -> None:
    boxes = [upright(people) for people in quiet]
    assert 2 * SCENES <= sum(int((part[:, 3] >= 50).sum()) for part in boxes) <= 6 * SCENES


def test_only_people_keep_their_colours(scenes: list[Scene]) -> None:
    canvas = scenes[0][0]
    spread = canvas.image.max(axis=2).astype(int) - canvas.image.min(axis=2)
    assert spread[canvas.ids > 0].mean() > 2 * spread[canvas.ids == 0].mean()


def test_the_seed_decides() -> None:
    first, again, other = (render(Settings(128, 256), seed)[0] for seed in ((7, 0, 0), (7, 0, 0), (7, 1, 0)))
    np.testing.assert_array_equal(first, again)
    assert (first != other).mean() > 0.5


def test_same_pixels_with_fewer_instructions(root: Path) -> None:
    """OpenCV and NumPy choose their instructions by processor; the image must not depend on it."""
    code = (
        "import hashlib\n"
        "from streetscenes import Settings, render\n"
        "image, people = render(Settings(256, 512, busy=True), (7, 0, 3))\n"
        "print(hashlib.sha256(image.tobytes() + repr(people).encode()).hexdigest())\n"
    )
    image, people = render(Settings(256, 512, busy=True), (7, 0, 3))
    environment = {
        **os.environ,
        "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX2,FP16,AVX,SSE4.2,SSE4.1",
        "NPY_DISABLE_CPU_FEATURES": "X86_V3 X86_V4 AVX512_ICL AVX512_SPR",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=root, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == hashlib.sha256(image.tobytes() + repr(people).encode()).hexdigest()


def test_the_renderer_knows_nothing_of_the_detector() -> None:
    for file in Path(streetscenes.__file__).parent.glob("*.py"):
        text = file.read_text()
        assert "citypersons" not in text.lower(), file
        modules = [node.module or "" for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom)]
        assert not any(module.split(".")[0] in ("alfnet", "stages", "tests") for module in modules), file
