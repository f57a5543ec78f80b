"""Pictures: strict reading with one message, and PNG files of stable bytes."""

from __future__ import annotations

import hashlib
import os
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.images import read_image, write_png


@pytest.fixture
def picture() -> np.ndarray:
    smooth = np.add.outer(np.arange(48), np.arange(80))[..., None] + np.array([0, 40, 90])
    return ((smooth + np.random.default_rng(0).integers(0, 9, smooth.shape)) % 256).astype(np.uint8)


def encoded(image: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, image)[1].tobytes()


def refused(path: Path, capfd: pytest.CaptureFixture[str], match: str, **options: tuple[int, int]) -> str:
    with pytest.raises(AlfnetError, match=match) as error:
        read_image(path, **options)
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    assert capfd.readouterr() == ("", "")  # the message is the only one
    return message


def test_png_round_trip(tmp_path: Path, picture: np.ndarray) -> None:
    write_png(tmp_path / "deep" / "a.png", picture)
    np.testing.assert_array_equal(read_image(tmp_path / "deep" / "a.png"), picture)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / "deep" / "a.png")), picture)  # B G R, as OpenCV has it
    np.testing.assert_array_equal(read_image(tmp_path / "deep" / "a.png", expected_size=(48, 80)), picture)
    assert os.listdir(tmp_path / "deep") == ["a.png"]


def test_png_bytes_are_stable(tmp_path: Path, picture: np.ndarray) -> None:
    """The same bytes came out under emulated Haswell and EPYC-Rome processors."""
    write_png(tmp_path / "a.png", picture)
    write_png(tmp_path / "b.png", picture[:, ::-1][:, ::-1])  # another memory layout
    content = (tmp_path / "a.png").read_bytes()
    assert content == (tmp_path / "b.png").read_bytes()
    assert hashlib.sha256(content).hexdigest() == "3f0eea84ae1159b406e953b03b816e80b714fa27139dc93c84d4938d90a58af7"


def test_a_failed_write_leaves_the_earlier_picture(tmp_path: Path, picture: np.ndarray) -> None:
    write_png(tmp_path / "a.png", picture)
    for wrong in (picture.astype(np.float32), picture[:0], picture[None]):
        with pytest.raises(ValueError, match="uint8"):
            write_png(tmp_path / "a.png", wrong)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), picture)


def test_other_kinds_become_three_channels_of_8_bits(tmp_path: Path, picture: np.ndarray) -> None:
    grey = picture[..., 0]
    alpha = np.dstack([picture, np.full_like(grey, 7)])
    for name, image, expected in (
        ("grey.png", grey, np.dstack([grey] * 3)),
        ("deep.png", picture.astype(np.uint16) * 257, picture),
        ("alpha.png", alpha, picture),
        ("deepgrey.png", grey.astype(np.uint16) * 257, np.dstack([grey] * 3)),
        ("a.bmp", picture, picture),
    ):
        (tmp_path / name).write_bytes(encoded(image, Path(name).suffix))
        result = read_image(tmp_path / name)
        assert result.dtype == np.uint8
        np.testing.assert_array_equal(result, expected, err_msg=name)
    (tmp_path / "a.jpg").write_bytes(encoded(np.full((40, 60, 3), (10, 100, 200), np.uint8), ".jpg") + b"\0\0")
    result = read_image(tmp_path / "a.jpg")
    assert result.shape == (40, 60, 3)
    assert np.abs(result.astype(int) - (10, 100, 200)).max() < 6


def test_missing_folder_empty(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    refused(tmp_path / "none.png", capfd, "no such image; put it there")
    refused(tmp_path, capfd, "is a folder")
    (tmp_path / "empty.png").touch()
    refused(tmp_path / "empty.png", capfd, "is empty; copy or make")


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"])
def test_cut_short_anywhere(
    tmp_path: Path, picture: np.ndarray, suffix: str, capfd: pytest.CaptureFixture[str]
) -> None:
    whole = encoded(picture, suffix)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(whole)
    assert read_image(path).shape == picture.shape
    for length in {1, 7, 8, 20, len(whole) // 3, len(whole) // 2, len(whole) * 9 // 10, len(whole) - 1}:
        path.write_bytes(whole[:length])
        if suffix == ".tiff" and length > len(whole) * 0.9:
            continue  # its directory stands at the end, and the last bytes may be padding
        refused(path, capfd, "copy")


def test_every_damaged_byte_of_a_png_is_noticed(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole = encoded(np.random.default_rng(0).integers(0, 256, (6, 9, 3), dtype=np.uint8))
    path = tmp_path / "a.png"
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        refused(path, capfd, "copy")


def test_no_picture(tmp_path: Path, picture: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "a.png"
    path.write_text("not a picture")
    refused(path, capfd, "not readable as an image")
    whole = encoded(picture)
    head = b"IHDR" + struct.pack(">II", 200000, 200000) + whole[24:29]
    path.write_bytes(whole[:12] + head + struct.pack(">I", zlib.crc32(head)) + whole[33:])
    refused(path, capfd, "200000 x 200000 px; more than 200 million")


def test_another_size(tmp_path: Path, picture: np.ndarray, capfd: pytest.CaptureFixture[str]) -> None:
    write_png(tmp_path / "a.png", picture)
    message = refused(tmp_path / "a.png", capfd, "80 x 48 px, 48 x 80 was expected", expected_size=(80, 48))
    assert "annotations" in message
