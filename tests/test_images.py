"""Pictures: strict reading with one message, and PNG files of stable bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image

from alfnet.errors import AlfnetError
from alfnet.images import decode_image, image_size, looks_like_image, read_image, write_png


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


def photograph(**options: object) -> bytes:
    """A JPEG with as much in it as a photograph has."""
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
    image = cv2.resize(small, (640, 480), interpolation=cv2.INTER_CUBIC).astype(int) + random.integers(
        -9, 10, (480, 640, 3)
    )
    content = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(content, "JPEG", **options)
    return content.getvalue()


KINDS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "progressive": {"progressive": True},
    "full colour": {"subsampling": 0},
    "grey": {},
}


def jpeg(kind: str) -> bytes:
    whole = photograph(**KINDS[kind])
    if kind != "grey":
        return whole
    content = io.BytesIO()
    Image.open(io.BytesIO(whole)).convert("L").save(content, "JPEG")
    return content.getvalue()


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_jpegs_are_refused(kind: str) -> None:
    """Mutations as disks, downloads and copies make them; a flipped bit alone cannot be told from another photograph."""
    whole = jpeg(kind)
    assert decode_image(whole, "whole").shape == (480, 640, 3)
    random = np.random.default_rng(1)
    accepted: list[str] = []
    tried = 0
    for start in random.integers(len(whole) // 8, len(whole) - 4100, 12).tolist():
        block = random.bytes(4096)
        for name, damaged in {
            "cut": whole[:start],
            "half, with an end marker": whole[:start] + b"\xff\xd9",
            "half, with an end marker and zeros": whole[:start] + b"\xff\xd9" + bytes(5000),
            "zeros from here": whole[:start] + bytes(len(whole) - start),
            "a part is zeros": whole[:start] + bytes(4096) + whole[start + 4096 :],
            "some bytes are zeros": whole[:start] + bytes(64) + whole[start + 64 :],
            "a part is noise": whole[:start] + block + whole[start + 4096 :],
            "a part is lost": whole[:start] + whole[start + 4096 :],
            "a part came twice": whole[:start] + whole[start - 4096 : start] + whole[start:],
        }.items():
            if name == "some bytes are zeros" and kind == "progressive":
                continue  # 12 of 108; of these some are another photograph to every reader
            tried += 1
            with contextlib.suppress(AlfnetError):
                decode_image(damaged, name)
                accepted.append(name)
    assert tried == (96 if kind == "progressive" else 108)
    assert not accepted


def test_a_jpeg_without_its_last_byte_or_scans() -> None:
    whole = photograph()
    for length in (len(whole) - 1, len(whole) - 2, 3, 20, 200, 640):
        with pytest.raises(AlfnetError):
            decode_image(whole[:length], "x")
    progressive = photograph(progressive=True)
    scans = [at for at in range(len(progressive)) if progressive[at : at + 2] == b"\xff\xda"]
    for scan in scans[1:]:  # ends at a whole scan: only coarser than it was
        with pytest.raises(AlfnetError, match="its last scans are missing"):
            decode_image(progressive[:scan] + b"\xff\xd9", "x")


def test_motion_photographs_and_padded_files_are_whole() -> None:
    whole = photograph()
    video = b"\0\0\0\x18ftypmp42" + np.random.default_rng(0).bytes(20_000) + b"\xff\xd9"
    expected = decode_image(whole, "x")
    np.testing.assert_array_equal(expected, cv2.imdecode(np.frombuffer(whole, np.uint8), cv2.IMREAD_COLOR))
    for behind in (video, bytes(70_000), b"\xff" * 100, b"trailer"):
        np.testing.assert_array_equal(decode_image(whole + behind, "x"), expected)
    np.testing.assert_array_equal(decode_image(whole[:-2] + bytes(7) + b"\xff\xd9", "padded scan"), expected)


@pytest.mark.parametrize("quality", [10, 75, 100])
@pytest.mark.parametrize("options", [{}, {"optimize": True}, {"progressive": True}])
def test_flat_jpegs_are_whole(quality: int, options: dict[str, bool]) -> None:
    """Their scans are regular, and may be zeros."""
    for colour in ((0, 0, 0), (128, 128, 128), (255, 255, 255), (200, 30, 90)):
        content = io.BytesIO()
        Image.new("RGB", (900, 700), colour).save(content, "JPEG", quality=quality, **options)
        assert decode_image(content.getvalue(), "flat").shape == (700, 900, 3)
        grey = io.BytesIO()
        Image.new("L", (900, 700), colour[0]).save(grey, "JPEG", quality=quality, **options)
        assert decode_image(grey.getvalue(), "flat").shape == (700, 900, 3)


@pytest.mark.parametrize("suffix", ["png", "jpeg", "webp", "tiff"])
def test_every_rotation_is_applied_and_known_from_the_header(tmp_path: Path, suffix: str) -> None:
    stored = np.zeros((40, 60, 3), np.uint8)
    stored[:20, :30] = 250  # its upper left quarter is bright
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        path = tmp_path / f"{orientation}.{suffix}"
        Image.fromarray(stored).save(path, exif=exif)
        image = read_image(path)
        assert image_size(path) == image.shape[:2] == ((40, 60) if orientation < 5 else (60, 40))
        row, column = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}[
            orientation
        ]
        quarters = image.mean(2).reshape(2, image.shape[0] // 2, 2, image.shape[1] // 2).mean((1, 3))
        assert quarters[row, column] > 200, orientation
        assert quarters.sum() < 300, orientation


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, packed: bytes) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def test_bombs_are_refused_from_the_header(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    packed = zlib.compress(bytes(3000))
    path = tmp_path / "bomb.png"
    path.write_bytes(png(30_000, 30_000, packed))
    refused(path, capfd, "30000 x 30000 px; more than 200 million")
    path.write_bytes(png(14_000, 14_000, packed))
    refused(path, capfd, "holds less than its size announces")
    path.write_bytes(png(4000, 3000, zlib.compress(bytes(3000 * 12_001))))
    refused(path, capfd, "2048 x 1024 was expected", expected_size=(1024, 2048))
    header = bytearray(photograph())
    frame = header.index(b"\xff\xc0")
    header[frame + 5 : frame + 9] = struct.pack(">HH", 60_000, 60_000)
    path.write_bytes(header)
    refused(path, capfd, "60000 x 60000 px")
    path.write_bytes(struct.pack("<2sIHHIIIIHH", b"BM", 54, 0, 0, 54, 40, 50_000, 50_000, 1, 24) + bytes(28))
    refused(path, capfd, "50000 x 50000 px")


def test_size_from_the_header_reads_no_more(tmp_path: Path, picture: np.ndarray) -> None:
    for suffix in (".png", ".jpg", ".bmp", ".webp", ".tiff", ".ppm"):
        path = tmp_path / f"a{suffix}"
        path.write_bytes(encoded(picture, suffix))
        assert image_size(path) == (48, 80)
        assert looks_like_image(path.read_bytes()[:32])
    whole = encoded(picture)
    (tmp_path / "a.png").write_bytes(whole[: len(whole) // 2])
    assert image_size(tmp_path / "a.png") == (48, 80)
    (tmp_path / "a.png").write_text("no")
    with pytest.raises(AlfnetError, match="not readable as an image"):
        image_size(tmp_path / "a.png")
    assert not looks_like_image(b"#!/bin/sh\n")
