"""Fetching one file from the web or a local path, whole and verified or not at all."""

from __future__ import annotations

import hashlib
import http.client
import ipaddress
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any, NoReturn

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path

Progress = Callable[[int, int | None], None]
"""Called with the bytes received so far and, where known, the bytes in all."""

_CHUNK_BYTES = 1 << 20
_TIMEOUT_SECONDS = 60  # without any byte from the server

_BY_HAND = "fetch the file by hand and give its place as backbones.<name>.url, file:///path/to/file"


def download(
    url: str,
    out: str | os.PathLike[str],
    *,
    expected_bytes: int | None,
    md5: str | None,
    progress: Progress | None = None,
) -> None:
    """Fetch `url` (https:// or file://; http:// from this machine only) to `out`.

    The content goes to a temporary file beside `out`, and takes its place when its size agrees with what the server
    announced and with `expected_bytes`, and its checksum with `md5` (hexadecimal), each where known. Raises AlfnetError
    otherwise, with what to do; nothing is left behind, and an earlier `out` stays as it was.
    """
    out = Path(out)
    if out.is_dir():
        raise AlfnetError(f"{out}: is a folder; name the file that {url} should be stored as")
    scheme = _check(url)
    with _open(url, scheme) as response, atomic_path(out) as temporary:
        announced = _announced_bytes(url, response, scheme)
        if None not in (announced, expected_bytes) and announced != expected_bytes:
            _wrong_file(url, f"has {announced} bytes", f"{expected_bytes}", "bytes")
        total = announced if announced is not None else expected_bytes
        digest = hashlib.md5(usedforsecurity=False)
        received = 0
        with open(temporary, "wb") as file:
            while chunk := _read(url, response, received, total):
                file.write(chunk)
                digest.update(chunk)
                received += len(chunk)
                if total is not None and received > total:
                    _wrong_file(url, f"has more than {total} bytes", f"{total}", "bytes")
                if progress is not None:
                    progress(received, total)
        if total is not None and received < total:
            if announced is None:
                _wrong_file(url, f"has {received} bytes", f"{total}", "bytes")
            _broken_off(url, received, total)
        if md5 is not None and digest.hexdigest() != md5.lower():
            _wrong_file(url, f"has the MD5 checksum {digest.hexdigest()}", md5, "md5")


class _CheckedRedirects(urllib.request.HTTPRedirectHandler):
    """Follow a redirect only to where a download may go in the first place, never from https:// to http:// abroad."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _check(url: str) -> str:
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


def _open(url: str, scheme: str) -> IO[bytes]:
    if scheme == "file":
        path = Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))
        try:
            return open(path, "rb")
        except OSError as error:
            raise AlfnetError(f"{path}: {error.strerror}; {url} must name a file that can be read") from None
    handlers: list[urllib.request.BaseHandler] = [_CheckedRedirects()]
    if scheme == "http":  # this machine: not through the proxy that may stand before the web
        handlers.append(urllib.request.ProxyHandler({}))
    try:
        response: IO[bytes] = urllib.request.build_opener(*handlers).open(url, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as error:
        error.close()
        raise AlfnetError(
            f"{url}: the server answered {error.code} {' '.join(str(error.reason).split())}; "
            f"correct backbones.<name>.url, or {_BY_HAND}"
        ) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise AlfnetError(f"{url}: no connection ({_reason(error)}); try again, or {_BY_HAND}") from None
    return response


def _announced_bytes(url: str, response: Any, scheme: str) -> int | None:
    if scheme == "file":
        return os.fstat(response.fileno()).st_size
    length = response.headers.get("Content-Length")
    return int(length) if length is not None and length.isdecimal() else None


def _read(url: str, response: IO[bytes], received: int, total: int | None) -> bytes:
    try:
        return response.read(_CHUNK_BYTES)
    except (OSError, http.client.HTTPException) as error:
        _broken_off(url, received, total, _reason(error))


def _broken_off(url: str, received: int, total: int | None, reason: str = "") -> NoReturn:
    of = "" if total is None else f" of {total}"
    why = f" ({reason})" if reason else ""
    raise AlfnetError(f"{url}: broke off after {received}{of} bytes{why}; nothing was kept: try again, or {_BY_HAND}")


def _wrong_file(url: str, found: str, expected: str, key: str) -> NoReturn:
    raise AlfnetError(
        f"{url}: {found}, {expected} was expected; nothing was kept: correct backbones.<name>.url or "
        f"backbones.<name>.{key}, or {_BY_HAND}"
    )


def _reason(error: Exception) -> str:
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return f"no answer for {_TIMEOUT_SECONDS} seconds"
    return " ".join(str(inner).split()) or type(inner).__name__
