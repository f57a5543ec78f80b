"""Scenes by given annotations."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from alfnet.annotations.citypersons import ImageAnnotations, read_mat
from alfnet.params import SyntheticSettings
from streetscenes.canvas import bounds
from streetscenes.dataset import render_dataset
from streetscenes.layout import compose_layout, fitted_camera, scaled_rows
from streetscenes.world import plan

# Two people in full view, one behind something that hides the legs, one cut by the border, one of each other class.
ROWS = np.array([
    [1, 300, 380, 82, 200, 24000, 300, 380, 82, 200],
    [1, 700, 400, 41, 100, 24001, 703, 400, 36, 100],
    [1, 900, 390, 66, 160, 24002, 900, 390, 66, 80],
    [1, 1100, 390, 66, 160, 24003, 1140, 390, 26, 160],
    [1, -30, 380, 82, 200, 24004, 0, 380, 52, 200],
    [2, 1300, 400, 57, 140, 25000, 1300, 400, 57, 140],
    [3, 1500, 430, 60, 90, 24005, 1500, 430, 60, 90],
    [4, 1650, 420, 90, 110, 24006, 1650, 420, 90, 110],
    [5, 1800, 400, 180, 80, 24, 0, 0, 0, 0],
    [0, 500, 380, 60, 40, 0, 500, 380, 60, 40],
], dtype=np.float64)  # fmt: skip


def test_scaling() -> None:
    np.testing.assert_array_equal(scaled_rows(ROWS, 1024, 2048), ROWS)
    half = scaled_rows(ROWS, 512, 1024)
    np.testing.assert_array_equal(half[0], [1, 150, 190, 41, 100, 24000, 150, 190, 41, 100])
    assert half[4, 1] == -15
    np.testing.assert_array_equal(half[8, 6:], 0)
    tiny = scaled_rows(np.array([[1, 100, 100, 1, 3, 24000, 100, 100, 1, 3]], dtype=np.float64), 128, 256)
    np.testing.assert_array_equal(tiny[0, 3:5], [1, 1])
    # Edges are rounded alike, so a visible box stays inside its full box.
    rng = np.random.default_rng(0)
    x, w = rng.integers(0, 1500, 200), rng.integers(2, 300, 200)
    cut = np.array([rng.integers(0, k) for k in w])
    rows = np.zeros((200, 10))
    rows[:, 1], rows[:, 3], rows[:, 6], rows[:, 8] = x, w, x + cut, w - cut
    rows[:, 4] = rows[:, 9] = 5
    small = scaled_rows(rows, 384, 768)
    assert (small[:, 6] >= small[:, 1]).all()
    assert (small[:, 6] + small[:, 8] <= small[:, 1] + np.maximum(small[:, 3], 1) + 1).all()


def test_figures_are_where_the_rows_say() -> None:
    rows = scaled_rows(ROWS, 512, 1024)
    canvas = compose_layout(np.random.SeedSequence([1, 0, 0]), 512, 1024, rows)
    seen = [bounds(canvas.ids == number) for number in range(1, 11)]
    for index in (0, 1, 5):  # in full view
        x, y, w, h = rows[index, 1:5]
        box = seen[index]
        assert box is not None
        assert (box[1], box[3]) == (y, y + h)
        assert x - 0.5 * w < box[0] < box[2] < x + 1.5 * w
    legs, side, border = seen[2], seen[3], seen[4]
    assert legs is not None
    assert legs[3] == 235  # what hides the legs begins where the visible box ends
    assert side is not None
    assert side[0] >= 570
    assert border is not None
    assert border[0] == 0
    for index in (6, 7):  # stretched to their boxes
        x, y, w, h = rows[index, 1:5]
        box = seen[index]
        assert box is not None
        assert x <= box[0] < box[2] <= x + w
        assert y <= box[1] < box[3] <= y + h
        assert box[3] - box[1] > 0.9 * h
    group = seen[8]
    assert group is not None
    assert group[0] >= 900
    assert group[2] <= 990
    assert seen[9] is None  # an ignore region shows nobody in particular


def test_what_hides_is_painted_over_the_hidden_part() -> None:
    rows = scaled_rows(ROWS, 512, 1024)
    free = rows.copy()
    free[2, 6:] = free[2, 1:5]
    seed = np.random.SeedSequence([1, 0, 0])
    hidden, whole = (
        compose_layout(seed, 512, 1024, rows),
        compose_layout(np.random.SeedSequence([1, 0, 0]), 512, 1024, free),
    )
    assert bounds(whole.ids == 3) is not None
    assert (whole.ids[236:275, 450:483] == 3).any()
    assert not (hidden.ids[236:275, 450:483] == 3).any()
    legs = np.abs(hidden.image[236:275, 450:483].astype(int) - whole.image[236:275, 450:483]).mean()
    assert legs > 5


def test_camera_follows_the_annotated_people() -> None:
    drawn = plan(np.random.default_rng(0), 1024, 2048).camera
    heights = np.array([50.0, 80, 120, 300])
    rows = np.zeros((4, 10))
    rows[:, 0], rows[:, 4] = 1, heights
    rows[:, 2] = 430 + heights * 1.2 / 1.74 - heights  # feet on the ground under a horizon at 430
    assert fitted_camera(rows, drawn, 1024, 2048).horizon == pytest.approx(430)
    assert fitted_camera(np.zeros((0, 10)), drawn, 1024, 2048).horizon == pytest.approx(0.4 * 1024)


def test_awkward_rows_are_drawn() -> None:
    rows = np.array([
        [1, 2040, 10, 3, 7, 24000, 2040, 10, 3, 7],
        [1, 0, 0, 400, 965, 24001, 0, 0, 400, 913],
        [1, 5, 900, 60, 146, 24002, 5, 900, 60, 1],
        [2, -100, 300, 60, 146, 25000, 0, 300, 1, 146],
        [3, 5, 5, 1, 3, 24003, 5, 5, 1, 3],
        [4, 5, 5, 600, 3, 24003, 5, 5, 600, 3],
        [5, 613, 445, 1, 1, 24, 0, 0, 0, 0],
        [5, 100, 300, 1900, 40, 24, 0, 0, 0, 0],
        [0, 1900, 1000, 200, 5, 0, 1900, 1000, 200, 5],
    ], dtype=np.float64)  # fmt: skip
    for size in ((128, 256), (256, 512)):
        canvas = compose_layout(np.random.SeedSequence([1, 0, 1]), *size, scaled_rows(rows, *size))
        assert canvas.image.shape == (*size, 3)


def test_real_annotations(shared: Path, tmp_path: Path) -> None:
    given = {
        "train": read_mat(shared / "data" / "citypersons" / "anno_train.mat", "train")[:1],
        "val": read_mat(shared / "data" / "citypersons" / "anno_val.mat", "val")[:2],
    }
    values = {"seed": 1, "height": 256, "width": 512, "train_images": 1, "val_images": 2, "layout": None}
    render_dataset(SyntheticSettings.model_validate(values), tmp_path / "data", layout=given)
    for split, images in given.items():
        written = read_mat(tmp_path / "data" / "annotations" / f"anno_{split}.mat")
        assert [(image.city, image.file_name) for image in written] == [
            (image.city, image.file_name) for image in images
        ]
        for image, real in zip(written, images, strict=True):
            np.testing.assert_array_equal(image.rows, scaled_rows(real.rows, 256, 512))
            np.testing.assert_allclose(image.rows[:, 1:5], real.rows[:, 1:5] / 4, atol=1)
            picture = cv2.imread(str(tmp_path / "data" / "leftImg8bit" / split / image.city / image.file_name))
            assert picture.shape == (256, 512, 3)


def test_an_image_without_people(tmp_path: Path) -> None:
    empty = [ImageAnnotations("ulm", "ulm_000000_000019_leftImg8bit.png", np.zeros((0, 10)))]
    values = {"seed": 1, "height": 128, "width": 256, "train_images": 1, "val_images": 1, "layout": None}
    render_dataset(SyntheticSettings.model_validate(values), tmp_path / "d", layout={"train": empty, "val": empty})
    assert read_mat(tmp_path / "d" / "annotations" / "anno_train.mat")[0].rows.shape == (0, 10)
