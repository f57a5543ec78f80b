"""The documents: what the code cites exists, and nothing outside a clone is cited."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alfnet.cli.dvc_views import dag
from alfnet.params import check_params

CITATION = re.compile(r"docs/([\w-]+)\.md#([\w-]+)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FOLDERS = ("alfnet", "streetscenes", "stages", "tools", "benchmarks", "tests", "profiles", "docs", ".github")
TEXTS = (".py", ".md", ".yaml", ".yml", ".js", ".html", ".toml", ".cff", ".jinja")


def files(root: Path) -> list[Path]:
    inside = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    return sorted(path for path in [*inside, *root.glob("*")] if path.is_file() and path.suffix in TEXTS)


def sections(document: Path) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_cited_section_exists(root: Path) -> None:
    cited = {(name, section) for path in files(root) for name, section in CITATION.findall(path.read_text())}
    assert ("method", "test") in cited
    for name, section in sorted(cited):
        assert section in sections(root / "docs" / f"{name}.md"), f"docs/{name}.md has no section {section}"


def test_nothing_outside_a_clone_is_cited(root: Path) -> None:
    outside = ("shared/spec", "spec/method", "spec/caltech", '(method.md, "')
    for path in files(root):
        text = path.read_text()
        assert path == Path(__file__) or not any(words in text for words in outside), path


@pytest.mark.parametrize(
    "document",
    [
        "README.md",
        "CONTRIBUTING.md",
        "docs/method.md",
        "docs/fidelity.md",
        "docs/training.md",
        "tests/golden/README.md",
    ],
)
def test_links_lead_somewhere(root: Path, document: str) -> None:
    for link in LINK.findall((root / document).read_text()):
        if "://" in link:
            continue
        target, _, section = link.partition("#")
        path = (root / document).parent / target if target else root / document
        assert path.exists(), f"{document}: {link}"
        assert not section or section in sections(path), f"{document}: {link}"


def test_what_dvc_cannot_explain_has_its_advice(root: Path) -> None:
    """A name that DVC cannot resolve, images behind a link, imported weights for a clone: the README and the guide help."""
    readme, guide = (root / "README.md").read_text(), (root / "docs/dvc.md").read_text()
    for text in (readme, guide):
        assert "`alfnet check` names the key" in " ".join(text.split())
        assert "`dvc add` leaves out what lies behind" in " ".join(text.split())
    for command in re.findall(r"^alfnet weights import .* --out (\S+)", readme.replace("\\\n", " "), re.MULTILINE):
        assert f"dvc add {command}" in readme
    assert re.search(r"^dvc add weights/detectors/", readme, re.MULTILINE)


def test_the_drawn_pipeline_is_the_one_that_there_is(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dag(root / "dvc.yaml")
    assert f"```mermaid\n{capsys.readouterr().out}```" in (root / "docs/dvc.md").read_text(), (
        "write it anew: alfnet dag"
    )


def test_the_example_of_a_backbone_is_one(root: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", (root / "docs/training.md").read_text(), re.DOTALL)
    added = YAML(typ="safe").load(example)
    content = YAML(typ="safe").load((root / "params.yaml").read_text())
    for key, entries in added.items():
        content[key] |= entries
    params = check_params(content, "docs/training.md")
    assert params.variant("mobilenetv4-2s").backbone in params.backbones
