"""An image file's identity: another one for other pixels, wherever they are; the same for a copy."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.training.image_identity import SAMPLED, image_identity


@pytest.mark.parametrize("ending", ["png", "jpg", "bmp", "ppm", "tif"])
def test_pixels_in_the_middle_count(tmp_path: Path, ending: str) -> None:
    image = np.random.default_rng(1).integers(0, 256, (400, 500, 3), dtype=np.uint8)
    path, changed = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
    options = [cv2.IMWRITE_TIFF_COMPRESSION, 1] if ending == "tif" else []
    assert cv2.imwrite(str(path), image, options)
    image[200, 200] ^= 255
    assert cv2.imwrite(str(changed), image, options)
    assert path.stat().st_size > 2 * SAMPLED
    if ending in ("bmp", "ppm", "tif"):
        assert path.stat().st_size == changed.stat().st_size
    assert image_identity(path) != image_identity(changed)


def test_a_copy_of_another_name_and_time_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(bytes(300_000))
    shutil.copy(tmp_path / "a.png", tmp_path / "b.png")
    os.utime(tmp_path / "b.png", (1, 1))
    assert image_identity(tmp_path / "a.png") == image_identity(tmp_path / "b.png")
    (tmp_path / "b.png").write_bytes(bytes(300_001))
    assert image_identity(tmp_path / "a.png") != image_identity(tmp_path / "b.png")


def test_a_missing_image_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"a\.png: cannot be read \(No such file or directory\)"):
        image_identity(tmp_path / "a.png")
