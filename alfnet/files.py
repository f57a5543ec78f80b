"""Reading and writing files so that a reader never sees half a file, and equal content means equal bytes."""

from __future__ import annotations

import errno
import functools
import glob
import json
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError

_temporaries: Path | None = None


def keep_temporaries_in(folder: str | os.PathLike[str]) -> None:
    """Make unfinished outputs of this process in `folder` instead of beside their place; remove what dead processes left.

    For a pipeline, whose steps read whole folders: an unfinished output beside a finished one would be taken for a part
    of it. Where `folder` lies on another disk than an output, that output's temporary stays beside it, since only a
    rename within a disk is atomic.
    """
    global _temporaries
    _temporaries = Path(folder).absolute()
    _temporaries.mkdir(parents=True, exist_ok=True)
    _remove_leftovers(_temporaries, "*")


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path (a file or a folder may be made there) that replaces `path` if the block succeeds.

    If the block fails, the temporary file or folder is removed and whatever stood at `path` is left as it was.
    The temporary path keeps the suffix. Parent folders are made. A folder is replaced by a folder only. A link is
    written through: what it points to is replaced. A pipe or a device (`/dev/stdout`, `/dev/null`) gets the content when
    the block has succeeded, and stays what it is.

    Raises AlfnetError where a file would take a folder's place, for a path without a name (`.`, `/`), and for a full
    disk (naming the path and the disk).
    """
    named = os.fspath(path)
    if _is_stream(named):
        with tempfile.TemporaryDirectory() as folder:
            temporary = Path(folder) / (Path(named).name or "output")
            yield temporary
            if temporary.is_dir():
                raise AlfnetError(f"{named}: is a pipe or device; a folder cannot be written there")
            with open(named, "wb") as stream, open(temporary, "rb") as content:
                shutil.copyfileobj(content, stream)
        return
    if not named or Path(named).name in ("", ".."):
        raise AlfnetError(f"{named or repr(named)}: is a folder; name a file or a new folder to write")
    path = Path(os.path.realpath(named))
    with _full_disk_named(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(path.parent, path.stem)
        temporary = _temporary_for(path)
        try:
            yield temporary
            if path.is_dir() and not temporary.is_dir():
                raise AlfnetError(f"{path}: is a folder; name a file to write")
            _swap_in(temporary, path)
        finally:
            _remove(temporary)


def _swap_in(temporary: Path, path: Path) -> None:
    """Put `temporary` in the place of `path`; a folder there goes aside first, so that it is never half deleted."""
    if not path.is_dir():
        os.replace(temporary, path)
        return
    aside = _temporary_for(path)
    os.rename(path, aside)
    try:
        os.rename(temporary, path)
    except OSError:
        os.rename(aside, path)
        raise
    _remove(aside)


def _is_stream(path: str) -> bool:
    """Whether `path` is no regular file, no folder and no new name: its content goes into it instead of replacing it."""
    if path.startswith(("/dev/", "/proc/")) and not path.startswith("/dev/shm/") and os.path.exists(path):
        return not os.path.isdir(path)
    try:
        mode = os.stat(path).st_mode
    except (OSError, ValueError):
        return False
    return not (stat.S_ISREG(mode) or stat.S_ISDIR(mode))


def _temporary_for(path: Path) -> Path:
    # The process stands in the name, so that a later one can tell whether its owner still lives.
    name = f".{path.stem}.tmp-{_host()}-{os.getpid()}-{os.urandom(4).hex()}{path.suffix}"
    elsewhere = _temporaries
    if elsewhere is not None and elsewhere.is_dir() and os.stat(elsewhere).st_dev == os.stat(path.parent).st_dev:
        return elsewhere / name
    return path.with_name(name)


@functools.cache
def _host() -> str:
    import hashlib  # these two take 9 ms, and an evaluation that writes nothing needs neither
    import socket

    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


_TEMPORARY = re.compile(r"\.tmp-(?P<host>[0-9a-f]{6})-(?P<process>[0-9]+)-[0-9a-f]{8}(\.|$)")


def _remove_leftovers(folder: Path, stem: str) -> None:
    """Remove temporaries in `folder` whose process has died: of outputs called `stem`, or of all where that is '*'."""
    pattern = ".*.tmp-*" if stem == "*" else f".{glob.escape(stem)}.tmp-*"
    for left in folder.glob(pattern):
        owner = _TEMPORARY.search(left.name)
        if owner and owner["host"] == _host() and not _alive(int(owner["process"])):
            _remove(left)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


@contextmanager
def _full_disk_named(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if (message := full_disk(error, path)) is None:
            raise
        raise AlfnetError(message) from None


def full_disk(error: OSError, path: str | os.PathLike[str]) -> str | None:
    """Return a message that names `path` and the full disk below it, or None where `error` is about something else."""
    if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return None
    if error.errno == errno.EFBIG:
        return (
            f"{path}: larger than a file may be here (ulimit -f, or the disk's own limit); raise it or write elsewhere"
        )
    disk = Path(path).absolute()
    while not disk.exists() or not os.path.ismount(disk):
        disk = disk.parent
    free = shutil.disk_usage(disk).free
    why = "the quota is used up" if error.errno == errno.EDQUOT else f"{free / 2**20:.0f} MiB are free"
    return f"{path}: no space left on the disk at {disk} ({why}); free some there, or write to another disk"


def write_bytes(path: str | os.PathLike[str], content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` as UTF-8 with Unix line ends, whole or not at all."""
    write_bytes(path, text.encode())


def write_json(path: str | os.PathLike[str], value: Any, *, indent: int | None = None) -> None:
    """Write `value` as JSON in its own order, NaN refused, with a final newline; compact unless `indent` is given."""
    separators = (",", ":") if indent is None else None
    write_text(path, json.dumps(value, indent=indent, separators=separators, allow_nan=False) + "\n")


def read_json(path: str | os.PathLike[str]) -> Any:
    """Read a JSON file. Raises AlfnetError, naming the file, where it is missing, cut short or no JSON."""
    path = Path(path)
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file") from None
    except IsADirectoryError:
        raise AlfnetError(f"{path}: is a folder, a JSON file was expected") from None
    except (ValueError, RecursionError) as error:
        raise AlfnetError(f"{path}: not a whole JSON file ({error}); was it cut short? Make or copy it again") from None


def sha256(path: str | os.PathLike[str]) -> str:
    """Return the SHA-256 of a file's content, in hexadecimal."""
    import hashlib

    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
