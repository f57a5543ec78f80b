"""Fetching a large file so that a transfer that breaks off goes on where it stopped."""

from __future__ import annotations

import hashlib
import os
import urllib.parse
import urllib.request
from collections.abc import Callable
from pathlib import Path

from alfnet.errors import AlfnetError
from alfnet.pretrained.download import check_address

_CHUNK_BYTES = 1 << 14  # what may be lost where a transfer breaks off
_TIMEOUT_SECONDS = 60.0  # without any byte from the server


def local_path(url: str) -> Path | None:
    """The file or folder that a file:// address names, None for another address. Raises AlfnetError for what is neither."""
    if check_address(url) != "file":
        return None
    return Path(urllib.request.url2pathname(urllib.parse.urlsplit(url).path))


def fetch(
    url: str,
    folder: Path,
    *,
    expected_bytes: int | None,
    md5: str | None,
    progress: Callable[[int, int | None], None] | None = None,
) -> Path:
    """Return the path of a file that `url` (https://) names, fetched below `folder` unless it lies there already.

    It lies in a folder for this very address, since others may end in the same name. What has come before a transfer broke
    off stays there as NAME.part, and the next call asks for the rest only. The file gets its name when size and checksum are
    as expected, each where known. Raises AlfnetError otherwise.
    """
    import requests

    check_address(url)
    name = Path(urllib.parse.urlsplit(url).path).name or "download"
    folder = folder / hashlib.sha256(url.encode()).hexdigest()[:12]
    whole, part = folder / name, folder / f"{name}.part"
    if whole.is_file() and file_fault(whole, expected_bytes, md5) is None:
        return whole
    folder.mkdir(parents=True, exist_ok=True)
    have = part.stat().st_size if part.is_file() else 0
    if expected_bytes is not None and have >= expected_bytes:
        part.unlink()
        have = 0
    try:
        headers = {"Range": f"bytes={have}-"} if have else {}
        with requests.get(url, headers=headers, stream=True, timeout=_TIMEOUT_SECONDS) as response:
            for step in (*response.history, response):
                check_address(step.url)
            if response.status_code == 416:  # the part is the whole file, or not of this one
                part.unlink(missing_ok=True)
                raise AlfnetError(f"{url}: the server has no more than the {have} bytes that were there; try again")
            response.raise_for_status()
            # A server that knows no ranges begins anew.
            have = have if response.status_code == 206 else 0
            announced = response.headers.get("Content-Length", "")
            total = have + int(announced) if announced.isdecimal() else expected_bytes
            with open(part, "ab" if have else "wb") as file:
                for chunk in response.iter_content(_CHUNK_BYTES):
                    file.write(chunk)
                    have += len(chunk)
                    if progress is not None:
                        progress(have, total)
    except requests.RequestException as error:
        reason = " ".join(str(error).split())[-200:]
        raise AlfnetError(
            f"{url}: {have} bytes are there, and no more came ({reason}); run the same command again to go on, or fetch "
            f"the file by hand and give its place as the url, file:///path/to/{name}"
        ) from None
    if total is not None and have < total:
        raise AlfnetError(f"{url}: broke off after {have} of {total} bytes; run the same command again to go on")
    fault = file_fault(part, expected_bytes, md5)
    if fault is not None:
        part.unlink()
        raise AlfnetError(f"{url}: {fault}; correct url, bytes or md5 in params.yaml, or fetch the file by hand")
    os.replace(part, whole)
    return whole


def file_fault(path: Path, expected_bytes: int | None, md5: str | None) -> str | None:
    """How a file departs from the size and the MD5 that are known of it; None where not at all."""
    size = path.stat().st_size
    if expected_bytes is not None and size != expected_bytes:
        return f"has {size} bytes, {expected_bytes} was expected"
    if md5 is not None and (digest := md5_of(path)) != md5.lower():
        return f"has the MD5 checksum {digest}, {md5} was expected"
    return None


def md5_of(path: Path) -> str:
    """The MD5 of a file's content, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
