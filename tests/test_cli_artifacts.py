"""`alfnet artifacts`: miss rates of the present data set alone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.commands import alfnet
from tests.tiny import ROOT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "plots/ablation.csv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copyfile(ROOT / name, tmp_path / name)
    return tmp_path


def test_the_committed_section_comes_out_the_same(folder: Path) -> None:
    before = (folder / "dvc.yaml").read_bytes()
    alfnet("artifacts", cwd=folder)
    assert (folder / "dvc.yaml").read_bytes() == before


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("params.yaml", "\n  name: synthetic\n", "\n  name: mine\n", "another data than"),
        ("plots/ablation.csv", "6.7448", "1.0000", "it is not the file that dvc.lock names"),
        ("dvc.lock", "\n  report:", "\n  other:", "dvc.lock knows no stage report"),
    ],
)
def test_a_table_of_something_else_is_refused(folder: Path, name: str, old: str, new: str, reason: str) -> None:
    before = (folder / "dvc.yaml").read_bytes()
    text = (folder / name).read_text()
    assert old in text
    (folder / name).write_text(text.replace(old, new, 1))
    said = " ".join(alfnet("artifacts", cwd=folder, code=2).split())
    assert "is not of the present parameters and data" in said
    assert reason in said
    assert "dvc repro" in said
    assert (folder / "dvc.yaml").read_bytes() == before


def test_what_the_page_looks_like_does_not_matter(folder: Path) -> None:
    text = (folder / "params.yaml").read_text()
    assert "image_width: " in text
    (folder / "params.yaml").write_text(text.replace("image_width: ", "image_width: 1"))
    alfnet("artifacts", cwd=folder)


def test_the_table_in_the_terminal_says_when_it_is_of_other_parameters(folder: Path) -> None:
    assert "warning" not in alfnet("table", cwd=folder)
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("\n  updates: 1300\n", "\n  updates: 7\n"))
    said = " ".join(alfnet("table", cwd=folder).split())
    assert "resnet50-2s" in said
    assert "warning: plots/ablation.csv: is not of the present parameters and data" in said
