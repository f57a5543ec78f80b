"""Data sets made ready: Penn-Fudan's zip in its true layout, COCO folders, transfers that break off."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alfnet.annotations.coco import read_coco
from alfnet.errors import AlfnetError
from alfnet.images import MEAN_COLOUR, read_image, shrink_to_frame
from alfnet.params import PrepareSettings
from alfnet.preparation.fetch import fetch
from alfnet.preparation.prepare import prepare
from tests.test_annotations_formats import write_pennfudan_zip

SETTINGS: dict[str, Any] = {
    "format": "pennfudan",
    "images": None,
    "category": None,
    "bytes": None,
    "md5": None,
    "height": 64,
    "width": 128,
}


def photograph(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.Generator(np.random.PCG64(seed)).integers(0, 256, (height, width, 3), dtype=np.uint8)


def settings(path: Path, **changes: Any) -> PrepareSettings:
    return PrepareSettings(**SETTINGS | {"url": path.absolute().as_uri()} | changes)


def test_frames_are_shrunk_never_enlarged_and_grey_beside_the_image() -> None:
    small = photograph(40, 50)
    framed, scale = shrink_to_frame(small, 64, 128)
    assert scale == 1
    np.testing.assert_array_equal(framed[:40, :50], small)
    assert (framed[40:] == MEAN_COLOUR).all()
    assert (framed[:, 50:] == MEAN_COLOUR).all()
    large = cv2.resize(photograph(8, 6), (300, 400), interpolation=cv2.INTER_NEAREST)
    framed, scale = shrink_to_frame(large, 64, 128)
    assert scale == 64 / 400
    assert (framed[:, 48:] == MEAN_COLOUR).all()
    np.testing.assert_allclose(framed[4::8, 4:48:8], large[25::50, 25::50], atol=1)


def test_pennfudan_zip(tmp_path: Path) -> None:
    photographs = {
        "FudanPed00001": (photograph(128, 100), [[10, 20, 30, 60], [50, 20, 20, 100]]),
        "PennPed00015": (photograph(50, 60, 1), [[0, 0, 60, 50]]),
    }
    write_pennfudan_zip(tmp_path / "PennFudanPed.zip", photographs)
    counts = prepare(settings(tmp_path / "PennFudanPed.zip"), tmp_path / "data", downloads=tmp_path / "downloads")
    assert counts == {"images": 2, "people": 3}
    one, two = read_coco(tmp_path / "data" / "annotations.json", "person")
    assert (one.file_name, two.file_name) == ("FudanPed00001.png", "PennPed00015.png")
    assert one.boxes.tolist() == [[5, 10, 15, 30], [25, 10, 10, 50]]
    assert two.boxes.tolist() == [[0, 0, 60, 50]]
    for image in (one, two):
        assert read_image(tmp_path / "data" / "images" / image.file_name).shape == (64, 128, 3)
    # The same bytes again, and from the folder that the zip unpacks to.
    with zipfile.ZipFile(tmp_path / "PennFudanPed.zip") as archive:
        archive.extractall(tmp_path / "unpacked")
    prepare(settings(tmp_path / "unpacked"), tmp_path / "again", downloads=tmp_path / "downloads")
    for path in sorted((tmp_path / "data").rglob("*.*")):
        assert path.read_bytes() == (tmp_path / "again" / path.relative_to(tmp_path / "data")).read_bytes()


def test_coco_folder(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number, (height, width) in enumerate(((128, 64), (40, 50)), start=1):
        cv2.imwrite(str(tmp_path / "images" / f"{number}.jpg"), photograph(height, width))
        content = {
            "images": [{"id": 1, "file_name": f"{number}.jpg", "height": height, "width": width}],
            "annotations": [{"id": 1, "image_id": 1, "category_id": 3, "bbox": [2, 4, 20, 30], "iscrowd": number - 1}],
            "categories": [{"id": 3, "name": "person"}],
        }
        (tmp_path / f"part{number}.json").write_text(json.dumps(content))
    assert prepare(settings(tmp_path, format="coco"), tmp_path / "out", downloads=tmp_path) == {
        "images": 2,
        "people": 1,
    }
    one, two = read_coco(tmp_path / "out" / "annotations.json")
    assert (one.boxes.tolist(), two.boxes.tolist()) == ([[1, 2, 10, 15]], [[2, 4, 20, 30]])
    assert two.crowd.tolist() == [True]


def test_sources_that_are_not_what_they_should_be(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "earlier").write_text("kept")
    path = tmp_path / "PennFudanPed.zip"
    write_pennfudan_zip(path, {"FudanPed00001": (photograph(128, 100), [[10, 20, 30, 60]])})
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 255

    def message(**changes: Any) -> str:
        with pytest.raises(AlfnetError) as caught:
            prepare(settings(path, **changes), tmp_path / "out", downloads=tmp_path)
        assert (tmp_path / "out" / "earlier").read_text() == "kept"
        return str(caught.value)

    for content, part in (
        (whole[:-40], "not a whole zip archive"),
        (bytes(damaged), "damaged"),
        (b"<html>", "zip archive"),
    ):
        path.write_bytes(content)
        assert part in message()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PennFudanPed/readme.txt", "nothing else")
    assert "no annotation texts" in message()
    path.unlink()
    assert "no such file or folder" in message()
    assert "a COCO file was expected" in message(format="coco", url="https://example.invalid/x.zip")
    assert "can be fetched" in message(url="ftp://example.invalid/x.zip")


class Server(http.server.BaseHTTPRequestHandler):
    """Gives `content`, at most `most` bytes at a time; knows ranges."""

    content = bytes(range(256)) * 4096
    most = 300_000
    asked: list[str | None] = []  # noqa: RUF012 (one server per test)

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(self.content) - start))
        self.end_headers()
        self.wfile.write(self.content[start : start + self.most])

    def log_message(self, *_: Any) -> None:
        """Keep quiet."""


@pytest.fixture
def address() -> Iterator[str]:
    Server.asked.clear()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/PennFudanPed.zip"
    server.shutdown()
    server.server_close()


def test_a_transfer_that_breaks_off_goes_on(tmp_path: Path, address: str) -> None:
    md5 = hashlib.md5(Server.content, usedforsecurity=False).hexdigest()
    for _ in range(3):
        with pytest.raises(AlfnetError, match=r"run the same command again to go on"):
            fetch(address, tmp_path, expected_bytes=len(Server.content), md5=md5)
    path = fetch(address, tmp_path, expected_bytes=len(Server.content), md5=md5)
    assert path.read_bytes() == Server.content
    begun = [int(wanted.removeprefix("bytes=").rstrip("-")) for wanted in Server.asked if wanted]
    assert Server.asked[0] is None
    assert [before <= at - 250_000 for before, at in zip([0, *begun], begun, strict=False)] == [True] * 3
    assert fetch(address, tmp_path, expected_bytes=None, md5=md5) == path  # it is there: nothing is asked
    assert len(Server.asked) == 4
    assert [file.name for file in tmp_path.rglob("*.*")] == ["PennFudanPed.zip"]


def test_files_of_one_name_from_two_addresses_are_two(
    tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Server, "most", 10**7)
    one = fetch(address, tmp_path, expected_bytes=None, md5=None)
    monkeypatch.setattr(Server, "content", b"another")
    other = fetch(address.replace("/Penn", "/b/Penn"), tmp_path, expected_bytes=None, md5=None)
    assert (len(one.read_bytes()), other.read_bytes()) == (256 * 4096, b"another")


def test_another_file_is_not_kept(tmp_path: Path, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "most", 10**7)
    with pytest.raises(AlfnetError, match="has the MD5 checksum"):
        fetch(address, tmp_path, expected_bytes=None, md5="0" * 32)
    with pytest.raises(AlfnetError, match="7 was expected"):
        fetch(address, tmp_path, expected_bytes=7, md5=None)
    assert not list(tmp_path.rglob("*.*"))


def test_a_coco_file_that_has_changed_is_not_prepared_unseen(tmp_path: Path) -> None:
    path = tmp_path / "people.json"
    path.write_text("{}")
    with pytest.raises(AlfnetError, match=r"people\.json: has 2 bytes, 3 was expected: it has changed; .*--use"):
        prepare(settings(path, format="coco", bytes=3), tmp_path / "out", downloads=tmp_path)
    with pytest.raises(AlfnetError, match="has the MD5 checksum 99914b932bd37a50b983c5e7c90ae93b"):
        prepare(settings(path, format="coco", md5="0" * 32), tmp_path / "out", downloads=tmp_path)
