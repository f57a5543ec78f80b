"""What a command may write over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from alfnet.errors import AlfnetError
from alfnet.outputs import MANIFEST, check_outputs, check_replaceable, json_with, own_folder, starts_with


def fill(path: Path, *names: str) -> None:
    with own_folder(path, "a test") as temporary:
        for name in names:
            (temporary / name).write_text(name)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_new_an_empty_and_an_own_folder_are_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    fill(tmp_path / "empty", "a")
    fill(tmp_path / "empty", "b")
    assert names(tmp_path / "empty") == [MANIFEST, "b"]


@pytest.mark.parametrize("change", ["added", "edited", "linked", "strange"])
def test_what_is_not_ours_stays(tmp_path: Path, change: str) -> None:
    out = tmp_path / "out"
    if change == "strange":
        out.mkdir()
    else:
        fill(out, "a")
    if change == "edited":
        (out / "a").write_text("edited by somebody")
    elif change == "linked":
        (out / "link").symlink_to("/")
    else:
        (out / "thesis.txt").write_text("mine")
    before = names(out)
    with pytest.raises(AlfnetError, match=r"a|link|thesis\.txt"):
        fill(out, "b")
    assert names(out) == before


def test_what_appears_while_the_block_runs_stays(tmp_path: Path) -> None:
    def late() -> None:
        with own_folder(tmp_path / "out", "a test"):
            (tmp_path / "out").mkdir()
            (tmp_path / "out/late.txt").touch()

    with pytest.raises(AlfnetError, match=r"late\.txt"):
        late()
    assert names(tmp_path / "out") == ["late.txt"]


def test_a_failing_block_leaves_the_earlier_folder(tmp_path: Path) -> None:
    fill(tmp_path / "out", "a")

    def fail() -> None:
        with own_folder(tmp_path / "out", "a test") as temporary:
            (temporary / "b").touch()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert names(tmp_path / "out") == ["a", MANIFEST]
    assert names(tmp_path) == ["out"]


def test_outputs_are_compared_with_inputs_as_files(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.json").write_text("{}")
    (tmp_path / "link").symlink_to("in/a.json")
    inputs: dict[str, Any] = {"--detections": tmp_path / "in/a.json", "--images": [tmp_path / "in"], "--more": None}
    check_outputs({"--out": tmp_path / "in/found", "--curves": None}, inputs)
    for out in ("in/a.json", "link", "in/../in/a.json", "in", "."):
        with pytest.raises(AlfnetError, match="input"):
            check_outputs({"--out": tmp_path / out}, inputs)
    with pytest.raises(AlfnetError, match="--curves and --out"):
        check_outputs({"--out": tmp_path / "x", "--curves": tmp_path / "y/../x"}, inputs)
    check_outputs({"--out": Path("/dev/null"), "--curves": Path("/dev/null")}, inputs)


def test_only_recognised_files_are_replaceable(tmp_path: Path) -> None:
    file = tmp_path / "x"
    check_replaceable(None, "thing", json_with("a"))
    check_replaceable(file, "thing", json_with("a"))
    for content, recognised in (("", True), ('{"a": 1}', True), ('{"b": 1}', False), ("no json", False), ("[]", False)):
        file.write_text(content)
        if recognised:
            check_replaceable(file, "thing", json_with("a"))
        else:
            with pytest.raises(AlfnetError, match="no earlier thing"):
                check_replaceable(file, "thing", json_with("a"))
    check_replaceable(file, "thing", starts_with("[]"))
