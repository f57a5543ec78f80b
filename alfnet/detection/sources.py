"""Where images come from: files, folders, patterns, lists, videos, a camera, or standard input."""

from __future__ import annotations

import glob
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from alfnet.errors import AlfnetError
from alfnet.images import IMAGE_SUFFIXES, looks_like_image
from alfnet.outputs import MANIFEST

VIDEO_SUFFIXES = (
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".mts", ".m2ts", ".3gp", ".flv", ".ogv",
)  # fmt: skip

_LIST_SUFFIXES = (".txt", ".lst", ".list")
_PATTERN = frozenset("*?[")
_SNIFFED = 32  # bytes of a file without a suffix
_OTHER_KINDS = "of other kinds"
_NAMED = 3
"""Files of other kinds that are named."""


@dataclass(frozen=True)
class Source:
    """One image, video or camera."""

    kind: Literal["image", "video", "camera", "bytes"]
    name: str
    """The path, `camera:0`, or `stdin`."""
    content: bytes = b""
    """Of an image that came through standard input."""


@dataclass
class Sources:
    """All sources in the order given, those of a folder sorted by name, each file once."""

    sources: list[Source] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    """Arguments and lines of lists that name nothing that is there, as messages."""
    left_out: Counter[str] = field(default_factory=Counter)
    """What a search of folders passed by, by why."""
    others: list[str] = field(default_factory=list)
    """The names of the first files of other kinds that a search of folders passed by."""
    folders: list[Path] = field(default_factory=list)
    """The folders that were searched."""

    def __post_init__(self) -> None:
        self._seen: set[tuple[int, int]] = set()

    def add(self, kind: Literal["image", "video"], path: str) -> None:
        """Add a file unless it is there already, by this or another name."""
        try:
            status = os.stat(path)
        except (OSError, ValueError):  # reading it says what is wrong
            self.sources.append(Source(kind, path))
            return
        if (status.st_dev, status.st_ino) in self._seen:
            self.left_out["named twice"] += 1
            return
        self._seen.add((status.st_dev, status.st_ino))
        self.sources.append(Source(kind, path))

    @property
    def files(self) -> list[Path]:
        """The files and folders that are read."""
        return [Path(source.name) for source in self.sources if source.kind in ("image", "video")] + self.folders

    def describe_left_out(self) -> str | None:
        """What was passed by, for people; None where nothing was."""
        if not self.left_out:
            return None
        parts = []
        for why, number in sorted(self.left_out.items()):
            examples = ", ".join(self.others) + (", ..." if number > len(self.others) else "")
            parts.append(f"{number} {why}" + (f" ({examples})" if why == _OTHER_KINDS else ""))
        return "left out: " + ", ".join(parts)


def find_sources(arguments: Sequence[str], *, out: Path | None = None) -> Sources:
    """Turn what stands on the command line into sources.

    arguments: images, videos, folders (searched with all below, but for hidden files, for `out` and for folders that
    alfnet wrote), patterns (`'holiday/**/*.jpg'`), `camera:0`, a list file (.txt, a path per line), or `-`: an image or a
    list through standard input.

    A name that stands for nothing, and a folder without images, are in `Sources.missing`.

    Raises AlfnetError where there is no source at all.
    """
    found = Sources()
    for argument in arguments:
        try:
            _add(argument, found, out)
        except AlfnetError as error:
            found.missing.append(str(error))
    if not found.sources:
        if len(found.missing) > 1:
            raise AlfnetError("nothing could be read:\n" + "\n".join(found.missing))
        raise AlfnetError(found.missing[0] if found.missing else "no image to look at")
    return found


def _add(argument: str, found: Sources, out: Path | None) -> None:
    if argument == "-":
        content = sys.stdin.buffer.read()
        if looks_like_image(content[:_SNIFFED]):
            found.sources.append(Source("bytes", "stdin", content))
        else:
            _add_list(content, "standard input", Path(), found, out)
        return
    if argument.startswith("camera:"):
        if not argument.removeprefix("camera:").isdecimal():
            raise AlfnetError(f"{argument}: name a camera by its number, as in camera:0")
        found.sources.append(Source("camera", argument))
        return
    if "\0" in argument:
        raise AlfnetError(f"{argument!r}: not possible as a file name")
    path = Path(argument)
    if path.is_dir():
        _add_folder(path, found, out)
    elif path.exists():
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            found.add("video", argument)
        elif suffix in _LIST_SUFFIXES and not _sniff(argument):
            _add_list(path.read_bytes(), argument, path.parent, found, out)
        else:
            found.add("image", argument)
    elif _PATTERN & set(argument):
        matches = sorted(glob.glob(argument, recursive=True))
        before = len(found.sources)
        for match in matches:
            if Path(match).is_dir():
                if "**" not in argument:
                    _add_folder(Path(match), found, out)
            elif not _own_result(Path(match), out):
                _add_file(match, found)
        if len(found.sources) == before:
            raise AlfnetError(f"{argument}: no image or video matches ({len(matches)} names do)")
    else:
        raise AlfnetError(f"{argument}: no such image, video or folder")


def _add_list(content: bytes, name: str, folder: Path, found: Sources, out: Path | None) -> None:
    """Add what a list names, a path per line (or between NUL characters, as `find -print0` writes it)."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise AlfnetError(f"{name}: neither an image nor a list of paths in UTF-8") from None
    lines = text.split("\0") if "\0" in text else text.splitlines()
    paths = [line.strip("\r\n") if "\0" in text else line.strip() for line in lines]
    paths = [path for path in paths if path and not path.startswith("#")]
    if not paths:
        raise AlfnetError(f"{name}: lists no image")
    for path in paths:
        # As the list's author may have meant it: from where the command runs, or from beside the list.
        beside = folder / path
        actual = path if os.path.exists(path) or not beside.exists() else str(beside)
        try:
            if Path(actual).is_file():
                suffix = Path(actual).suffix.lower()
                found.add("video" if suffix in VIDEO_SUFFIXES else "image", actual)
            else:
                _add(actual, found, out)
        except AlfnetError as error:
            found.missing.append(str(error))


def _add_folder(folder: Path, found: Sources, out: Path | None) -> None:
    found.folders.append(folder)
    before = len(found.sources)
    twice = found.left_out["named twice"]
    for path in _walk(folder, found, out):
        _add_file(path, found)
    found.left_out += Counter()  # without zeros
    if len(found.sources) == before and found.left_out["named twice"] == twice:
        what = found.describe_left_out()
        raise AlfnetError(f"{folder}: no image or video in this folder" + (f" ({what})" if what else ""))
    found.left_out += Counter()


def _add_file(path: str, found: Sources) -> None:
    suffix = os.path.splitext(path)[1].lower()
    if not os.path.isfile(path):
        found.left_out["that are no files"] += 1
    elif suffix in VIDEO_SUFFIXES:
        found.add("video", path)
    elif suffix in IMAGE_SUFFIXES or (not suffix and _sniff(path)):
        found.add("image", path)
    else:
        found.left_out[_OTHER_KINDS] += 1
        if len(found.others) < _NAMED:
            found.others.append(os.path.basename(path))


def _walk(folder: Path, found: Sources, out: Path | None) -> Iterator[str]:
    """The files below a folder in order; linked folders are followed, each folder once."""
    visited: set[tuple[int, int]] = set()
    pending = [str(folder)]
    while pending:
        current = pending.pop()
        try:
            status = os.stat(current)
            entries = sorted(os.scandir(current), key=lambda entry: entry.name)
        except OSError:
            found.left_out["folders that cannot be read"] += 1
            continue
        if (status.st_dev, status.st_ino) in visited:
            continue
        visited.add((status.st_dev, status.st_ino))
        if current != str(folder) and any(entry.name == MANIFEST for entry in entries):
            found.left_out["folders of earlier results"] += 1
            continue
        if out is not None and os.path.realpath(current) == os.path.realpath(out) and current != str(folder):
            continue
        below = []
        for entry in entries:
            if entry.name.startswith((".", "@eaDir")):  # thumbnails, resource forks, a NAS's own
                found.left_out["hidden"] += 1
            elif entry.is_dir():
                below.append(entry.path)
            else:
                yield entry.path
        pending.extend(reversed(below))


def _own_result(path: Path, out: Path | None) -> bool:
    """Whether a file lies in a folder that alfnet wrote."""
    if out is not None and Path(os.path.realpath(path)).is_relative_to(os.path.realpath(out)):
        return True
    return any((parent / MANIFEST).exists() for parent in path.parents)


def _sniff(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return looks_like_image(file.read(_SNIFFED))
    except OSError:
        return False
