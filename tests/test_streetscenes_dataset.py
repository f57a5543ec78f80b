"""The data set on disk: names, formats, and the same bytes again."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from alfnet.annotations.citypersons import ImageAnnotations, read_mat
from alfnet.errors import AlfnetError
from alfnet.params import SyntheticSettings
from streetscenes.dataset import encode_png, render_dataset


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
            picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
            assert picture is not None
            assert picture.shape == (128, 256, 3)
            assert len(np.unique(picture)) > 100
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
    pictures = [content for name, content in files(tmp_path / "other").items() if name.endswith(".png")]
    assert not set(pictures) & set(files(data).values())


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
