"""The data set on disk: names, formats, and the same bytes again."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from alfnet.annotations.citypersons import ImageAnnotations, Split, read_mat
from alfnet.annotations.rendered import (
    encode_png,
    people_of,
    render_dataset,
    render_from_settings,
    rows_of,
    scaled_rows,
)
from alfnet.errors import AlfnetError
from alfnet.params import SyntheticSettings
from alfnet.profiles import load_profile
from streetscenes import Person


def settings(**changes: object) -> SyntheticSettings:
    values = {"seed": 3, "height": 128, "width": 256, "train_images": 4, "val_images": 3, "layout": None, **changes}
    return SyntheticSettings.model_validate(values)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "synthetic"
    render_dataset(settings(), folder)
    return folder


def test_layout_and_formats(data: Path) -> None:
    found = files(data)
    assert len(found) == 4 + 3 + 2
    cities: dict[str, set[str]] = {}
    for split, count in (("train", 4), ("val", 3)):
        annotations = read_mat(data / "annotations" / f"anno_{split}.mat", split)  # type: ignore[arg-type]
        assert len(annotations) == count
        for image in annotations:
            assert image.file_name.startswith(f"{image.city}_")
            assert image.file_name.endswith("_000019_leftImg8bit.png")
            path = data / "leftImg8bit" / split / image.city / image.file_name
            image_read = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert image_read is not None
            assert image_read.shape == (128, 256, 3)
            assert len(np.unique(image_read)) > 100
        cities[split] = {image.city for image in annotations}
        assert len({image.file_name for image in annotations}) == count
    assert not cities["train"] & cities["val"]


def test_same_bytes_again_in_processes_and_for_fewer_images(data: Path, tmp_path: Path) -> None:
    render_dataset(settings(), tmp_path / "again", workers=2)
    assert files(tmp_path / "again") == files(data)
    # An image does not depend on how many there are; its name may.
    render_dataset(settings(train_images=1, val_images=1), tmp_path / "fewer")
    first = next(content for name, content in files(data).items() if name.startswith("leftImg8bit/train"))
    assert [content for name, content in files(tmp_path / "fewer").items() if "/train/" in name] == [first]


def test_another_seed_is_another_data_set(data: Path, tmp_path: Path) -> None:
    render_dataset(settings(seed=4, train_images=1, val_images=1), tmp_path / "other")
    contents = [content for name, content in files(tmp_path / "other").items() if name.endswith(".png")]
    assert not set(contents) & set(files(data).values())


def test_progress_counts_images(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    render_dataset(settings(train_images=1, val_images=1), tmp_path / "d", progress=lambda *call: seen.append(call))
    assert seen == [(1, 2), (2, 2)]


def test_failure_leaves_the_earlier_data_set(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    render_dataset(settings(train_images=1, val_images=1), folder)
    before = files(folder)

    def stop(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render_dataset(settings(seed=9), folder, progress=stop)
    assert files(folder) == before
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


def test_layout_with_too_few_images_is_refused(tmp_path: Path) -> None:
    one = [ImageAnnotations("ulm", "ulm_000000_000019_leftImg8bit.png", np.zeros((0, 10)))]
    with pytest.raises(AlfnetError, match=r"train_images: 4 .* has 1"):
        render_dataset(settings(), tmp_path / "d", layout={"train": one, "val": one})
    assert list(tmp_path.iterdir()) == []


def test_png_is_lossless() -> None:
    image = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    decoded = cv2.imdecode(np.frombuffer(encode_png(image), np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(decoded, image)


PEOPLE = [
    Person("upright", (38, 20, 25, 60), (38, 20, 25, 40)),
    Person("rider", (60, 20, 25, 60), (60, 20, 25, 60)),
    Person("sitting", (100, 50, 30, 40), (100, 50, 30, 40)),
    Person("group", (140, 30, 35, 62), None),
    Person("unusual", (90, 50, 30, 40), (90, 50, 30, 40)),
    Person("unclear", (5, 6, 7, 8), (5, 6, 7, 8)),
]


def test_people_and_rows() -> None:
    rows = rows_of(PEOPLE)
    assert rows.astype(int).tolist() == [
        [1, 38, 20, 25, 60, 24000, 38, 20, 25, 40],
        [2, 60, 20, 25, 60, 25000, 60, 20, 25, 60],
        [3, 100, 50, 30, 40, 24001, 100, 50, 30, 40],
        # Like the real files: a bare label number, no visible box.
        [5, 140, 30, 35, 62, 24, 0, 0, 0, 0],
        [4, 90, 50, 30, 40, 24002, 90, 50, 30, 40],
        [0, 5, 6, 7, 8, 0, 5, 6, 7, 8],
    ]
    assert list(people_of(rows)) == PEOPLE
    assert rows_of([]).shape == (0, 10)


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


def test_real_annotations(shared: Path, tmp_path: Path) -> None:
    given: dict[Split, list[ImageAnnotations]] = {
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
            image_read = cv2.imread(str(tmp_path / "data" / "leftImg8bit" / split / image.city / image.file_name))
            assert image_read.shape == (256, 512, 3)


def test_an_image_without_people(tmp_path: Path) -> None:
    empty = [ImageAnnotations("ulm", "ulm_000000_000019_leftImg8bit.png", np.zeros((0, 10)))]
    values = {"seed": 1, "height": 128, "width": 256, "train_images": 1, "val_images": 1, "layout": None}
    render_dataset(SyntheticSettings.model_validate(values), tmp_path / "d", layout={"train": empty, "val": empty})
    assert read_mat(tmp_path / "d" / "annotations" / "anno_train.mat")[0].rows.shape == (0, 10)


@pytest.mark.slow
def test_the_full_size_profile(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    profile = load_profile("citypersons-rendered")
    assert list(profile.variants) == ["mobilenet-2s"]
    assert (profile.data.width, profile.data.height) == (2048, 1024)
    few = profile.synthetic["rendered"].model_copy(update={"train_images": 1, "val_images": 1})
    monkeypatch.delenv("CITYPERSONS", raising=False)
    with pytest.raises(AlfnetError, match="CITYPERSONS is not in the environment"):
        render_from_settings(few, tmp_path / "rendered")
    monkeypatch.setenv("CITYPERSONS", str(shared / "data" / "citypersons"))
    render_from_settings(few, tmp_path / "rendered", workers=1)
    real = read_mat(shared / "data" / "citypersons" / "anno_val.mat", "val")[0]
    written = read_mat(tmp_path / "rendered" / "annotations" / "anno_val.mat", "val")[0]
    np.testing.assert_array_equal(written.rows, real.rows)
    path = tmp_path / "rendered" / "leftImg8bit" / "val" / real.city / real.file_name
    assert cv2.imread(str(path)).shape == (1024, 2048, 3)


@pytest.mark.costly
def test_the_workers_end_when_the_parent_alone_is_killed(tmp_path: Path) -> None:
    """As the system kills a process when memory runs out; a pool of Python's would wait for ever."""
    program = (
        "from pathlib import Path; from alfnet.annotations.rendered import render_from_settings\n"
        "from alfnet.params import SyntheticSettings\n"
        "if __name__ == '__main__':\n"
        "    settings = SyntheticSettings(seed=1, height=256, width=512, train_images=400, val_images=1, layout=None)\n"
        "    render_from_settings(settings, Path('out'))\n"
    )
    (tmp_path / "program.py").write_text(program)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[1])}
    parent = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL, start_new_session=True
    )
    group = parent.pid
    try:
        deadline = time.monotonic() + 60
        while not any(tmp_path.rglob("*.png")) and time.monotonic() < deadline:
            time.sleep(0.1)
        os.kill(parent.pid, signal.SIGKILL)
        parent.wait()
        deadline = time.monotonic() + 20
        while _lives(group) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert not _lives(group)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True
