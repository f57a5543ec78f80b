from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.pretrained import download as module
from alfnet.pretrained.download import _reason, download

CONTENT = bytes(range(256)) * 9000  # more than two chunks of 1 MiB
MD5 = hashlib.md5(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/whole":
            self._answer(CONTENT, len(CONTENT))
        elif self.path == "/no-length":
            self._answer(CONTENT, None)
        elif self.path == "/cut-short":
            self._answer(CONTENT[:1_500_000], len(CONTENT))
        elif self.path == "/chunks-cut-short":
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"400\r\n" + CONTENT[:0x400] + b"\r\n400\r\nhalf")
            self.close_connection = True
        elif self.path == "/stalls":
            self._answer(CONTENT[:1000], len(CONTENT))
            self.wfile.flush()
            Server.released.wait(10)
        elif self.path.startswith("/redirect-to="):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/redirect-to="))
            self.end_headers()
        else:
            self.send_error(404)

    def _answer(self, content: bytes, length: int | None) -> None:
        self.send_response(200)
        if length is not None:
            self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    released = threading.Event()

    def handle_error(self, *_: object) -> None:
        pass  # the client hangs up where it refuses a file


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with Server(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.released.set()
        server.shutdown()
        thread.join()


@pytest.fixture
def local(tmp_path: Path) -> Path:
    path = tmp_path / "there" / "weights of 2018.h5"
    path.parent.mkdir()
    path.write_bytes(CONTENT)
    return path


def refused(url: str, out: Path, *parts: str, expected_bytes: int | None = None, md5: str | None = None) -> None:
    """The download fails with a message of one line that has all parts, and leaves nothing but an earlier file."""
    out.parent.mkdir(exist_ok=True)
    for earlier in (None, b"earlier"):
        if earlier is not None:
            out.write_bytes(earlier)
        with pytest.raises(AlfnetError) as caught:
            download(url, out, expected_bytes=expected_bytes, md5=md5)
        message = str(caught.value)
        assert "\n" not in message
        for part in (url, *parts):
            assert part in message
        assert [path.read_bytes() for path in out.parent.iterdir()] == ([] if earlier is None else [earlier])


@pytest.mark.parametrize("checked", [True, False])
@pytest.mark.parametrize("page", ["whole", "no-length", "redirect-to=/whole"])
def test_http_is_stored_whole(server: str, tmp_path: Path, page: str, checked: bool) -> None:
    out = tmp_path / "new" / "weights.h5"
    expected = (len(CONTENT), MD5.upper()) if checked else (None, None)
    download(f"{server}/{page}", out, expected_bytes=expected[0], md5=expected[1])
    assert out.read_bytes() == CONTENT
    assert list(out.parent.iterdir()) == [out]


def test_file_url_is_stored_and_replaces_an_earlier_file(local: Path, tmp_path: Path) -> None:
    out = tmp_path / "weights.h5"
    out.write_bytes(b"earlier")
    download(local.as_uri(), out, expected_bytes=len(CONTENT), md5=MD5)  # as_uri quotes the blanks in the name
    assert out.read_bytes() == CONTENT
    assert local.read_bytes() == CONTENT


@pytest.mark.parametrize(("page", "total"), [("whole", len(CONTENT)), ("no-length", None)])
def test_progress_rises_to_the_whole(server: str, tmp_path: Path, page: str, total: int | None) -> None:
    calls: list[tuple[int, int | None]] = []
    download(
        f"{server}/{page}",
        tmp_path / "out",
        expected_bytes=None,
        md5=None,
        progress=lambda done, of: calls.append((done, of)),
    )
    done = [call[0] for call in calls]
    assert len(done) >= 3
    assert done == sorted(set(done))
    assert done[-1] == len(CONTENT)
    assert {call[1] for call in calls} == {total}


def test_truncated_download_leaves_nothing(server: str, tmp_path: Path) -> None:
    refused(
        f"{server}/cut-short",
        tmp_path / "w" / "x.h5",
        f"broke off after 1048576 of {len(CONTENT)} bytes",
        "try again",
        "file:///",
    )


def test_broken_chunk_leaves_nothing(server: str, tmp_path: Path) -> None:
    refused(f"{server}/chunks-cut-short", tmp_path / "w" / "x.h5", "broke off", "try again")


def test_server_that_stalls_is_given_up(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TIMEOUT_SECONDS", 0.2)
    refused(f"{server}/stalls", tmp_path / "w" / "x.h5", "no answer for 0.2 seconds", "try again")


@pytest.mark.parametrize("page", ["whole", "no-length"])
@pytest.mark.parametrize("difference", [-1, 1])
def test_wrong_size_is_refused(server: str, tmp_path: Path, page: str, difference: int) -> None:
    expected = len(CONTENT) + difference
    refused(
        f"{server}/{page}",
        tmp_path / "w" / "x.h5",
        f"{expected} was expected",
        "backbones.<name>.bytes",
        expected_bytes=expected,
    )


def test_wrong_checksum_is_refused(server: str, local: Path, tmp_path: Path) -> None:
    wrong = "0" * 32
    for url in (f"{server}/whole", local.as_uri()):
        refused(url, tmp_path / "w" / "x.h5", MD5, wrong, "backbones.<name>.md5", md5=wrong)
        (tmp_path / "w" / "x.h5").unlink()


def test_wrong_size_of_a_local_file_is_refused(local: Path, tmp_path: Path) -> None:
    refused(local.as_uri(), tmp_path / "w" / "x.h5", "17 was expected", expected_bytes=17)


def test_http_error_is_named(server: str, tmp_path: Path) -> None:
    refused(f"{server}/absent", tmp_path / "w" / "x.h5", "404 Client Error: Not Found", "backbones.<name>.url")


def test_no_server_is_named(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as closed:
        port = closed.server_address[1]
    refused(f"http://127.0.0.1:{port}/x", tmp_path / "w" / "x.h5", "no connection", "refused", "try again")


def test_missing_local_file_is_named(tmp_path: Path) -> None:
    absent = tmp_path / "absent.h5"
    refused(absent.as_uri(), tmp_path / "w" / "x.h5", f"{absent}: No such file")


def test_local_folder_is_refused(tmp_path: Path) -> None:
    refused((tmp_path / "w").as_uri(), tmp_path / "w" / "x.h5", "directory")


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://example.org/weights.h5", "https://"),
        ("http://localhost.example.org/weights.h5", "https://"),
        ("ftp://example.org/weights.h5", "https://"),
        ("weights.h5", "file:///"),
        ("/home/me/weights.h5", "file:///"),
        ("", "https://"),
        ("https://", "https://"),
        ("https://[::1/weights.h5", "not an address"),
        ("file://weights.h5", "whole path"),
        ("file://server/weights.h5", "whole path"),
    ],
)
def test_other_addresses_are_refused(tmp_path: Path, url: str, part: str) -> None:
    refused(url, tmp_path / "w" / "x.h5", part)


@pytest.mark.parametrize(
    ("target", "part"),
    [
        ("http://example.org/x", r"^http://example\.org/x: addresses that begin with https://"),
        ("file:///etc/hostname", "302 .*not allowed"),
    ],
)
def test_redirects_out_of_bounds_are_refused(server: str, tmp_path: Path, target: str, part: str) -> None:
    with pytest.raises(AlfnetError, match=part):
        download(f"{server}/redirect-to={target}", tmp_path / "x.h5", expected_bytes=None, md5=None)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_never_replaced(local: Path, tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "kept").touch()
    with pytest.raises(AlfnetError, match="is a folder"):
        download(local.as_uri(), folder, expected_bytes=None, md5=None)
    assert (folder / "kept").exists()


def test_an_interrupted_download_leaves_nothing(local: Path, tmp_path: Path) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "w").mkdir()
    with pytest.raises(KeyboardInterrupt):
        download(local.as_uri(), tmp_path / "w" / "x.h5", expected_bytes=None, md5=None, progress=interrupt)
    assert list((tmp_path / "w").iterdir()) == []


def test_the_reason_is_the_innermost_and_whole() -> None:
    chain = (
        "HTTPSConnectionPool(host='a.b', port=443): Max retries exceeded with url: /x (Caused by NewConnectionError("
        '"<urllib3.connection object at 0x7f>: Failed to establish a new connection: [Errno 111] Connection refused"))'
    )
    assert _reason(ValueError(chain)) == "Failed to establish a new connection: [Errno 111] Connection refused"
    assert _reason(ValueError("plain")) == "plain"
