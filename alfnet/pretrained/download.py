"""Fetching one file from the web or a local path, whole and verified or not at all; pooch does the transfer."""

from __future__ import annotations

import ipaddress
import os
import re
import urllib.parse
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pooch
import requests

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and, where known, the bytes in all."""

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60.0  # without any byte from the server

_BY_HAND = "fetch the file by hand and give its place as backbones.<name>.url, file:///path/to/file"


def download(
    url: str,
    out: str | os.PathLike[str],
    *,
    expected_bytes: int | None,
    md5: str | None,
    progress: Progress | None = None,
) -> None:
    """Fetch `url` (https:// or file://; http:// from this machine only; or a path in the project) to `out`.

    The content goes to a temporary file, and takes the place of `out` when its size agrees with what the server announced
    and with `expected_bytes`, and its checksum with `md5` (hexadecimal), each where known. A redirect is followed only to
    where a download may go in the first place. Raises AlfnetError otherwise, with what to do; nothing is left behind, and
    an earlier `out` stays as it was.
    """
    out = Path(out)
    if out.is_dir():
        raise AlfnetError(f"{out}: is a folder; name the file that {url} should be stored as")
    scheme = "file" if is_in_project(url) else check_address(url)
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        transfer = _Transfer(url, file, expected_bytes, progress)
        if scheme == "file":
            _copy(url, transfer)
        else:
            _fetch(url, transfer, proxies={"http": ""} if scheme == "http" else None)
        file.flush()
        if expected_bytes is not None and transfer.received != expected_bytes:
            raise _wrong_file(url, f"has {transfer.received} bytes", f"{expected_bytes}", "bytes")
        if md5 is not None and (digest := pooch.file_hash(str(temporary), alg="md5")) != md5.lower():
            raise _wrong_file(url, f"has the MD5 checksum {digest}", md5, "md5")


@dataclass
class _Transfer:
    """The file that a download is written to: it counts, tells the progress and ends what is not the expected file."""

    url: str
    file: IO[bytes]
    expected: int | None
    progress: Progress | None
    announced: int | None = None
    received: int = 0

    def announce(self, total: int | None) -> None:
        """Note the bytes that the server announces, before its content is read."""
        self.announced = total
        if None not in (total, self.expected) and total != self.expected:
            raise _wrong_file(self.url, f"has {total} bytes", f"{self.expected}", "bytes")

    def write(self, chunk: bytes) -> None:
        """Write the next bytes."""
        self.file.write(chunk)
        self.received += len(chunk)
        if self.expected is not None and self.received > self.expected:
            raise _wrong_file(self.url, f"has more than {self.expected} bytes", f"{self.expected}", "bytes")
        if self.progress is not None:
            self.progress(self.received, self.announced)

    def flush(self) -> None:
        """Hand on, so that a full disk is noticed at once."""
        self.file.flush()


def _fetch(url: str, transfer: _Transfer, proxies: dict[str, str] | None) -> None:
    def check(response: requests.Response, *_: Any, **__: Any) -> None:
        if response.is_redirect:
            target = urllib.parse.urljoin(response.url, response.headers["location"])
            if check_address(target) == "file":
                raise AlfnetError(f"{url}: {response.status_code} a redirect to {target} is not allowed; {_BY_HAND}")
        elif response.ok:
            length = response.headers.get("Content-Length", "")
            transfer.announce(int(length) if length.isdecimal() else None)

    options = {"timeout": _TIMEOUT_SECONDS, "hooks": {"response": check}, "proxies": proxies}
    try:
        pooch.HTTPDownloader(chunk_size=_CHUNK_BYTES, **options)(url, transfer, None)
    except requests.HTTPError as error:
        answer = " ".join(str(error).split()).partition(" for url:")[0]
        raise AlfnetError(f"{url}: the server answered {answer}; correct backbones.<name>.url, or {_BY_HAND}") from None
    except (requests.RequestException, ValueError) as error:
        timeout = isinstance(error, requests.Timeout) or "timed out" in str(error)
        why = f"no answer for {_TIMEOUT_SECONDS:g} seconds" if timeout else _reason(error)
        of = "" if transfer.announced is None else f" of {transfer.announced}"
        begun = f"broke off after {transfer.received}{of} bytes" if transfer.received or of else "no connection"
        raise AlfnetError(f"{url}: {begun} ({why}); nothing was kept: try again, or {_BY_HAND}") from None


def _reason(error: Exception) -> str:
    """The innermost cause in a chain of a library's errors, in a line."""
    text = " ".join(str(error).split())
    innermost = re.search(r"Caused by \w+\((.*)\)\)?$", text)
    short = re.sub(r"^.*?<[^>]*>: |^['\"]|['\"]\)*$", "", innermost[1]) if innermost else text
    return short if len(short) <= 200 else short[:200] + "..."


def _copy(url: str, transfer: _Transfer) -> None:
    path = Path(url if is_in_project(url) else urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
    try:
        source = open(path, "rb")  # noqa: SIM115 (only opening it is guarded)
    except OSError as error:
        advice = "must name a file that can be read" + (
            " in the project; one elsewhere is https://... or file:///path/to/it" if is_in_project(url) else ""
        )
        raise AlfnetError(f"{path}: {error.strerror}; {url} {advice}") from None
    with source:
        transfer.announce(os.fstat(source.fileno()).st_size)
        while chunk := source.read(_CHUNK_BYTES):
            transfer.write(chunk)


def is_in_project(url: str) -> bool:
    """Whether an address is the path of a file in the project: relative, without a scheme, and leading nowhere else."""
    path = Path(url)
    return bool(path.name) and not {":", "\0"} & set(url) and not path.is_absolute() and ".." not in path.parts


def check_address(url: str) -> str:
    """Return the scheme of an address that may be fetched; AlfnetError for any other."""
    try:
        parts = urllib.parse.urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise AlfnetError(f"{url}: not an address ({error}); https:// or file:// was expected") from None
    if parts.scheme == "https" and host:
        return "https"
    if parts.scheme == "http" and host and _is_this_machine(host):
        return "http"
    if parts.scheme == "file":
        if host not in (None, "", "localhost") or not parts.path.startswith("/"):
            raise AlfnetError(f"{url}: a file:// address needs a whole path, as in file:///home/me/weights.h5")
        return "file"
    raise AlfnetError(f"{url}: addresses that begin with https:// or file:// can be fetched; {_BY_HAND}")


def _is_this_machine(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _wrong_file(url: str, found: str, expected: str, key: str) -> AlfnetError:
    return AlfnetError(
        f"{url}: {found}, {expected} was expected; nothing was kept: correct backbones.<name>.url or "
        f"backbones.<name>.{key}, or {_BY_HAND}"
    )
