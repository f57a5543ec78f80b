"""Reading and writing files so that a reader never sees half a file, and equal content means equal bytes."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path (a file or a folder may be made there) that replaces `path` if the block succeeds.

    If the block fails, the temporary file or folder is removed and whatever stood at `path` is left as it was.
    The temporary path lies beside `path` and keeps its suffix. Parent folders are made. A folder is replaced by a folder
    only: AlfnetError where a file would take its place.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        yield temporary
        if path.is_dir():
            if not temporary.is_dir():
                raise AlfnetError(f"{path}: is a folder; name a file to write")
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)


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
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
