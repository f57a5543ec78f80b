"""The present report beside another revision's, and the table of paired differences."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.report.revisions import compare_reports, present_report
from alfnet.report.summary import read_ablation
from tools.spread import main as spread

HEAD = "variant,backbone,steps,test_step,mr_50,mr_75,parameters_millions,mr_75_seed_1,mr_75_seed_2,mr_50_seed_1,mr_50_seed_2\n"
ROWS = (
    "resnet50-1s,resnet50,1,1,20.00,{},1.5,40.0,42.0,20.0,20.0\nresnet50-2s,resnet50,2,1,19.00,39.00,2.5,38.0,40.0,19.0,19.0\n"
    "resnet50-2s,resnet50,2,2,18.00,35.00,2.5,34.0,36.1,18.0,18.5\n"
)


def run(folder: Path, *command: str) -> None:
    subprocess.run(command, cwd=folder, check=True, capture_output=True, env=os.environ | {"DVC_NO_ANALYTICS": "1"})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A repository whose first commit has another report than its working tree."""
    run(tmp_path, "git", "init", "-q")
    run(tmp_path, "git", "config", "user.email", "test@example.invalid")
    run(tmp_path, "git", "config", "user.name", "test")
    run(tmp_path, "dvc", "init", "-q")
    (tmp_path / "plots").mkdir()
    (tmp_path / "report" / "images").mkdir(parents=True)
    (tmp_path / "plots" / "ablation.csv").write_text(HEAD + ROWS.format("41.00"))
    (tmp_path / "report" / "index.html").write_text("first")
    (tmp_path / "report" / "images" / "0001.jpg").write_text("image")
    run(tmp_path, "dvc", "add", "-q", "report")
    run(tmp_path, "git", "add", "-A")
    run(tmp_path, "git", "commit", "-q", "-m", "one")
    run(tmp_path, "git", "tag", "first")
    (tmp_path / "plots" / "ablation.csv").write_text(HEAD + ROWS.format("38.50"))
    (tmp_path / "report" / "index.html").write_text("second")
    return tmp_path


def test_another_revisions_report_stands_beside_the_present_one(project: Path) -> None:
    page = compare_reports(project, "first")
    assert (page.parent / "report" / "index.html").read_text() == "first"
    assert (page.parent / "report" / "images" / "0001.jpg").is_file()
    assert (project / "report" / "index.html").read_text() == "second"
    text = page.read_text()
    assert "<td>41.00</td><td>38.50</td><td><b>-2.50</b></td>" in text
    assert (project / "report" / "index.html").resolve().as_uri() in text
    with pytest.raises(AlfnetError, match=r"could not be had .*unknown Git revision 'nowhere'"):
        compare_reports(project, "nowhere")


def test_without_a_report_the_remedy_is_named(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match="dvc repro"):
        present_report(tmp_path)


def test_the_table_of_differences_goes_into_a_document(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots" / "ablation.csv").write_text(HEAD + ROWS.format("41.00"))
    monkeypatch.chdir(tmp_path)
    assert len(read_ablation(Path("plots/ablation.csv"))) == 3
    spread()
    printed = capsys.readouterr().out
    assert "two steps are better than one with resnet50" in printed
    assert "+6.00, +5.90" in printed
    assert "2 of 2" in printed
    document = tmp_path / "spread.md"
    document.write_text("before\n<!-- differences -->\nold\n<!-- /differences -->\nafter\n")
    spread("spread.md")
    assert document.read_text() == f"before\n<!-- differences -->\n{printed}<!-- /differences -->\nafter\n"
    (tmp_path / "plots" / "ablation.md").write_text("| the table |\n\nits footer\n")
    document.write_text(document.read_text() + "<!-- table -->\n<!-- /table -->\n")
    spread("spread.md")
    assert document.read_text().endswith("<!-- table -->\n| the table |\n<!-- /table -->\n")
