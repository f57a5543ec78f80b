from __future__ import annotations

import errno
import hashlib
import json
import os
import tempfile
from pathlib import Path

import pytest

from alfnet import files
from alfnet.errors import AlfnetError
from alfnet.files import (
    atomic_path,
    full_disk,
    keep_temporaries_in,
    read_json,
    sha256,
    write_bytes,
    write_json,
    write_text,
)


class TroubleError(Exception):
    pass


def write_half(path: Path, *, folder: bool) -> None:
    with atomic_path(path) as temporary:
        if folder:
            temporary.mkdir()
            (temporary / "half").touch()
        else:
            temporary.write_text("half")
        raise TroubleError


@pytest.mark.skipif(not os.access("/dev/shm", os.W_OK), reason="no shared memory here")
def test_files_in_shared_memory_are_files() -> None:
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        path = Path(folder) / "a.txt"
        path.write_text("earlier")
        with pytest.raises(TroubleError):
            write_half(path, folder=False)
        assert path.read_text() == "earlier"
        before = path.stat().st_ino
        write_text(path, "later")
        assert path.stat().st_ino != before


@pytest.mark.parametrize("folder", [False, True])
def test_failing_block_leaves_nothing(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(TroubleError):
        write_half(tmp_path / "result.json", folder=folder)
    assert list(tmp_path.iterdir()) == []


def test_failing_block_leaves_the_earlier_file(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text("earlier")
    with pytest.raises(TroubleError):
        write_half(tmp_path / "result.json", folder=False)
    assert [path.read_text() for path in tmp_path.iterdir()] == ["earlier"]


def test_failing_block_leaves_the_earlier_folder(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "earlier").touch()
    with pytest.raises(TroubleError):
        write_half(tmp_path / "result", folder=True)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["result", "result/earlier"]


def test_the_result_appears_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folders" / "result.json"
    with atomic_path(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".json"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_replaces_the_earlier_folder(tmp_path: Path) -> None:
    for name in ("first", "second"):
        with atomic_path(tmp_path / "result") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["result", "result/second"]


def test_a_file_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "kept").touch()
    with pytest.raises((AlfnetError, OSError)):
        write_text(tmp_path, "text")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    assert [path.name for path in tmp_path.parent.iterdir() if path.name.startswith(f".{tmp_path.stem}.")] == []


def test_a_block_that_makes_nothing_leaves_the_earlier_folder(tmp_path: Path) -> None:
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "earlier").touch()
    with pytest.raises((AlfnetError, OSError)), atomic_path(tmp_path / "result"):
        pass
    assert (tmp_path / "result" / "earlier").exists()


def test_text_is_utf8_with_unix_line_ends(tmp_path: Path) -> None:
    write_text(tmp_path / "x", "1 × 2\n")
    assert (tmp_path / "x").read_bytes() == b"1 \xc3\x97 2\n"


def test_json_is_compact_and_in_order(tmp_path: Path) -> None:
    value = {"b": [1, 0.1, None], "a": {"ü": True}}
    write_json(tmp_path / "x", value)
    assert (tmp_path / "x").read_bytes() == b'{"b":[1,0.1,null],"a":{"\\u00fc":true}}\n'
    write_json(tmp_path / "x", value, indent=2)
    assert (tmp_path / "x").read_text() == json.dumps(value, indent=2) + "\n"
    assert read_json(tmp_path / "x") == value


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}])
def test_what_is_no_json_leaves_the_earlier_file(tmp_path: Path, value: object) -> None:
    (tmp_path / "x").write_text("earlier")
    with pytest.raises((ValueError, TypeError)):
        write_json(tmp_path / "x", {"value": value})
    assert (tmp_path / "x").read_text() == "earlier"


@pytest.mark.parametrize("content", [b"", b'{"a": [1, 2', b"\xff\xfe", b"[" * 100_000, b"{'a': 1}"])
def test_broken_json_is_named(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(AlfnetError, match=r"x\.json: not a whole JSON file"):
        read_json(tmp_path / "x.json")


def test_absent_json_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"absent\.json: no such file"):
        read_json(tmp_path / "absent.json")
    with pytest.raises(AlfnetError, match="is a folder"):
        read_json(tmp_path)


def test_sha256(tmp_path: Path) -> None:
    content = bytes(range(256)) * 1000
    write_bytes(tmp_path / "x", content)
    assert sha256(tmp_path / "x") == hashlib.sha256(content).hexdigest()


@pytest.fixture
def _beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "_temporaries", None)


@pytest.mark.usefixtures("_beside")
def test_temporaries_can_lie_elsewhere_and_dead_ones_go(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    dead, alive, foreign = (
        scratch / f".a.tmp-{files._host()}-{2**22 + 1}-01234567",
        scratch / f".a.tmp-{files._host()}-{os.getpid()}-01234567",
        scratch / f".a.tmp-000000-{2**22 + 1}-01234567",
    )
    for left in (dead, alive, foreign):
        left.mkdir()
    keep_temporaries_in(scratch)
    assert sorted(scratch.iterdir()) == sorted([alive, foreign])
    with atomic_path(tmp_path / "out" / "x.json") as temporary:
        assert temporary.parent == scratch
        temporary.write_text("whole")
        assert list((tmp_path / "out").iterdir()) == []
    assert (tmp_path / "out" / "x.json").read_text() == "whole"


@pytest.mark.usefixtures("_beside")
def test_what_a_killed_process_left_beside_an_output_goes_with_the_next_write(tmp_path: Path) -> None:
    left = tmp_path / f".x.tmp-{files._host()}-{2**22 + 1}-01234567.json"
    left.write_text("half")
    write_text(tmp_path / "x.json", "whole")
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_links_are_written_through(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("real")
    write_text(tmp_path / "link", "text")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_text() == "text"


@pytest.mark.parametrize("path", ["", ".", "/", ".."])
def test_a_path_without_a_name_is_refused(path: str) -> None:
    with pytest.raises(AlfnetError, match="is a folder"):
        write_text(path, "text")


def test_a_full_disk_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"x\.json: no space left on the disk at /"), atomic_path(tmp_path / "x.json"):
        raise OSError(errno.ENOSPC, "No space left on device")
    assert full_disk(OSError(errno.EACCES, "Permission denied"), tmp_path) is None
