from __future__ import annotations

from pathlib import Path

import pytest

from alfnet.errors import AlfnetError, exit_with_message


def run(action: object, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """The exit code (or what was returned) of an entry point, and what it wrote to stderr."""

    @exit_with_message
    def entry_point() -> object:
        if isinstance(action, BaseException):
            raise action
        return action

    try:
        result = entry_point()
    except SystemExit as stop:
        result = stop.code
    captured = capsys.readouterr()
    assert captured.out == ""
    return result, captured.err


def test_what_is_returned_passes_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("result", capsys) == ("result", "")


def test_our_error_is_one_message(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(AlfnetError("x.mat: is empty; copy it again"), capsys) == (2, "error: x.mat: is empty; copy it again\n")


def test_trouble_with_a_file_names_it(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run(OSError(28, "No space left on device", "/data/x.png"), capsys) == (
        2,
        "error: /data/x.png: No space left on device; free some there, or work on another disk\n",
    )
    assert run(OSError("the disk is gone"), capsys) == (2, "error: the disk is gone\n")


def test_interruption(capsys: pytest.CaptureFixture[str]) -> None:
    code, message = run(KeyboardInterrupt(), capsys)
    assert code == 130
    assert "again" in message
    assert "Traceback" not in message


def test_exit_codes_pass_through(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(SystemExit(5), capsys) == (5, "")


def test_a_bug_keeps_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ZeroDivisionError):
        run(ZeroDivisionError(), capsys)


def test_arguments_and_name_stay() -> None:
    @exit_with_message
    def add(first: int, *, second: int) -> int:
        """Add."""
        return first + second

    assert add(1, second=2) == 3
    assert (add.__name__, add.__doc__) == ("add", "Add.")
