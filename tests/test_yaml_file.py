"""Files of settings, and files that only look like them."""

from __future__ import annotations

from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.yaml_file import BYTES_AT_MOST, read_yaml


def test_values_of_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("﻿a: &x [1, 2.5, null, true, 'text']\nb: *x\nc: {d: {}}\n")
    numbers = [1, 2.5, None, True, "text"]
    assert read_yaml(tmp_path / "a.yaml") == {"a": numbers, "b": numbers, "c": {"d": {}}}


BOMB = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))


@pytest.mark.costly
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (BOMB, "more than 20000 values"),
        ("[" * 900 + "]" * 900, "nested too deeply"),
        ("a: &a [*a]", "more than 20000 values|not readable"),
        ("".join(f"key{n}: 1\n" for n in range(100_000)), "bytes"),
        ("a: 1\na: 2\n", "not readable as YAML"),
        ("a: [1", "not readable as YAML"),
        ("a: !!python/object:os.system x", "not readable as YAML"),
        ("a: 2024-99-99", "not readable as YAML"),
    ],
)
def test_bombs_and_broken_files_are_refused(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(AlfnetError, match=said):
        read_yaml(tmp_path / "a.yaml")


def test_other_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"no such file; make one"):
        read_yaml(tmp_path / "absent.yaml", advice="make one")
    with pytest.raises(AlfnetError, match="is a folder"):
        read_yaml(tmp_path)
    with pytest.raises(AlfnetError, match="no such file"):
        read_yaml("a\0b.yaml")
    (tmp_path / "a.yaml").write_bytes(b"a: \xff\xfe")
    with pytest.raises(AlfnetError, match="UTF-8"):
        read_yaml(tmp_path / "a.yaml")
    with (tmp_path / "large.yaml").open("wb") as file:
        file.truncate(BYTES_AT_MOST + 1)
    with pytest.raises(AlfnetError, match="bytes"):
        read_yaml(tmp_path / "large.yaml")
