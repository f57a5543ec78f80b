"""What a command may write over: its own earlier output, never an input, never a folder with anything else in it."""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, write_json

MANIFEST = "alfnet-files.json"
"""In every folder that a command writes: who made it, and its files with their bytes. Anything else is not ours."""

_RECOGNISED_BYTES = 2**26

Paths = Path | Iterable[Path] | None


def check_outputs(outputs: Mapping[str, Path | None], inputs: Mapping[str, Paths]) -> None:
    """Raise AlfnetError where an output is an input, holds one, or is another output.

    Both map an option's name, as a message shows it, to what was given for it. Files are compared as files: another
    path, or a link, to the same file is that file. An output *below* an input folder is allowed.
    """
    given = {name: path for name, path in outputs.items() if path is not None and not _is_stream(path)}
    for name, path in given.items():
        for option, paths in inputs.items():
            for source in [paths] if isinstance(paths, Path) else paths or ():
                if _same(path, source):
                    raise AlfnetError(
                        f"{name} {path}: is the file of {option}; an input is never written over: name another"
                    )
                if source.exists() and path.is_dir() and _below(source, path):
                    raise AlfnetError(f"{name} {path}: holds {source}, which is an input; name another folder")
    names = list(given)
    for index, name in enumerate(names):
        for other in names[:index]:
            if _same(given[name], given[other]):
                raise AlfnetError(f"{name} and {other} are both {given[name]}; give each a name of its own")


def check_replaceable(
    path: Path | None, what: str, recognise: Callable[[Path], bool], *, largest: int = _RECOGNISED_BYTES
) -> None:
    """Raise AlfnetError where a file stands at `path` that `recognise` does not take for an earlier output.

    what: the output in words, e.g. "miss rates". largest: bytes of an earlier output. An empty file, a pipe, a device and a
    new name are free.
    """
    if path is None or _is_stream(path):
        return
    if path.is_dir():
        raise AlfnetError(f"{path}: is a folder; name a file to write")
    if not path.exists() or path.stat().st_size == 0:
        return
    if path.stat().st_size > largest or not recognise(path):
        raise AlfnetError(
            f"{path}: is there and holds no earlier {what} of alfnet; name another file, or move this one away"
        )


def json_with(*keys: str) -> Callable[[Path], bool]:
    """Return a recogniser of JSON objects with all `keys`, for `check_replaceable`."""

    def recognise(path: Path) -> bool:
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError):
            return False
        return isinstance(content, dict) and all(key in content for key in keys)

    return recognise


def starts_with(text: str) -> Callable[[Path], bool]:
    """Return a recogniser of files that begin with `text`, for `check_replaceable`."""

    def recognise(path: Path) -> bool:
        with path.open("rb") as file:
            return file.read(len(text.encode())) == text.encode()

    return recognise


def marked_png(mark: str) -> Callable[[Path], bool]:
    """Return a recogniser of PNG files that say, right behind their header, that `mark` wrote them."""

    def recognise(path: Path) -> bool:
        with path.open("rb") as file:
            return b"tEXtSoftware\x00" + mark.encode() in file.read(4096)

    return recognise


def mark_png(content: bytes, mark: str) -> bytes:
    """Return a PNG file's bytes with a text that says which command wrote it, for `marked_png`."""
    body = b"tEXtSoftware\x00" + mark.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    after_header = 8 + 25
    return content[:after_header] + chunk + content[after_header:]


def check_own_folder(path: Path) -> None:
    """Raise AlfnetError, naming what is in the way, unless `path` is new, empty, or an earlier output and nothing more."""
    if not os.fspath(path) or path.resolve() == Path(path.anchor or "/"):
        raise AlfnetError(f"{os.fspath(path)!r}: name a folder to write")
    if not path.exists():
        return
    if not path.is_dir():
        raise AlfnetError(f"{path}: is a file; name a folder to write")
    present = _sizes(path)
    if not present:
        return
    listed = _listed(path)
    foreign = sorted(name for name, size in present.items() if name != MANIFEST and listed.get(name) != size)
    if MANIFEST not in present or foreign:
        shown = ", ".join(foreign[:3]) + (f" and {len(foreign) - 3} more" if len(foreign) > 3 else "")
        raise AlfnetError(
            f"{path}: holds {shown}, which alfnet did not write (or not so); name a new or empty folder, or move them away"
        )


@contextmanager
def own_folder(path: Path, maker: str) -> Iterator[Path]:
    """Yield a temporary folder that replaces `path` if the block succeeds, with a manifest of its files.

    maker: the command, for the manifest. Raises AlfnetError as `check_own_folder` does, before and after the block: what
    stands there that alfnet did not write is never removed. If the block fails, all is left as it was.
    """
    check_own_folder(path)
    if path.resolve() == Path.cwd().resolve():
        # The working folder itself cannot be replaced: it is filled, which is safe as it holds nothing else of value.
        raise AlfnetError(f"{path}: is the folder that you stand in; name a new folder in it")
    with atomic_path(path) as temporary:
        temporary.mkdir()
        yield temporary
        write_json(temporary / MANIFEST, {"made_by": maker, "files": _sizes(temporary)}, indent=1)
        check_own_folder(path)


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file below a folder, by its path in it, sorted; links count as files."""
    files = (file for file in folder.rglob("*") if file.is_symlink() or not file.is_dir())
    return {str(file.relative_to(folder)): file.lstat().st_size for file in sorted(files)}


def _listed(folder: Path) -> dict[str, int]:
    """The files that a folder's manifest names, with their bytes; none where it has no readable one."""
    try:
        return dict(json.loads((folder / MANIFEST).read_bytes())["files"])
    except (OSError, ValueError, RecursionError, KeyError, TypeError):
        return {}


def _is_stream(path: Path) -> bool:
    try:
        return path.exists() and not path.is_file() and not path.is_dir()
    except (OSError, ValueError):
        return False


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return os.path.realpath(one) == os.path.realpath(other)


def _below(path: Path, folder: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder))
