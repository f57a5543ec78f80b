"""`alfnet evaluate` and `alfnet convert` as commands, within this process."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import alfnet
from alfnet.cli import command_line
from alfnet.errors import AlfnetError


def run(*arguments: object, stdin: bytes | None = None) -> str:
    result = CliRunner().invoke(command_line(), list(map(str, arguments)), input=stdin)
    if isinstance(result.exception, AlfnetError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def files(golden: Path) -> tuple[Path, Path]:
    return golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"


def test_version() -> None:
    assert run("--version") == f"alfnet {alfnet.__version__}\n"


def test_completion_can_be_installed() -> None:
    assert "--install-completion" in run("--help")


def test_arguments_and_options_are_the_same(files: tuple[Path, Path]) -> None:
    truth, found = files
    expected = run("evaluate", truth, found)
    assert "reasonable" in expected
    for arguments in (
        ("--gt", truth, "--dt", found),
        ("--ground-truth", truth, "--detections", found),
        (truth, "--dt", found),
        ("--gt", truth, found),
    ):
        assert run("evaluate", *arguments) == expected
    assert run("evaluate", truth, "-", stdin=found.read_bytes()) == expected


def test_what_is_missing_or_twice(files: tuple[Path, Path]) -> None:
    truth, found = files
    for arguments, message in (
        ((), "no ground truth given"),
        ((truth,), "no detections given"),
        (("--gt", truth), "no detections given"),
        (("--gt", truth, "--dt", found, found), "given as options already"),
        (("-", "-"), "only one of"),
        ((truth, found, "--protocol", "kitti"), "protocol 'kitti'"),
        ((truth, found, "--images", "images"), "say where to write it: --page"),
        ((truth, found, "--out", "-"), "--out -: is written as a whole file"),
        ((truth, found, "--subsets", "none"), "neither a file nor a published set"),
        ((truth, found, "--detection-width", "wide"), "expected given or 0.41h"),
    ):
        with pytest.raises(AlfnetError, match=message):
            run("evaluate", *arguments)


def test_subsets_and_protocol(files: tuple[Path, Path], tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    text = run("evaluate", *files, "--subset", "R+HO=height:50-,visible:0.2-", "--out", out)
    assert [line.split()[0] for line in text.splitlines()[2:12]][-1] == "R+HO"
    assert json.loads(out.read_text())["subsets"]["R+HO"] == {"height": [50, None], "visible": [0.2, None]}
    run("evaluate", *files, "--subsets", "r-ho", "--protocol", "caltech", "--out", out)  # over its own earlier output
    results = json.loads(out.read_text())
    assert results["protocol"] == "caltech-new"
    assert list(results["iou_0.50"]) == ["R", "HO", "R+HO"]


def test_an_input_is_never_written_over(files: tuple[Path, Path], tmp_path: Path) -> None:
    mine = tmp_path / "mine.json"
    mine.write_bytes(files[1].read_bytes())
    for arguments in (
        ("evaluate", files[0], mine, "--out", mine),
        ("evaluate", files[0], mine, "--curves", mine),
        ("convert", files[0], mine, mine),
    ):
        with pytest.raises(AlfnetError, match="an input is never written over"):
            run(*arguments)
    assert mine.read_bytes() == files[1].read_bytes()


def test_convert(files: tuple[Path, Path], tmp_path: Path) -> None:
    run("convert", *files, tmp_path / "a.txt")
    assert run("evaluate", files[0], tmp_path / "a.txt") == run("evaluate", *files)
