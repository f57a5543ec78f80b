"""`alfnet compare`: options that do not go together."""

from __future__ import annotations

from pathlib import Path

from tests.commands import alfnet


def test_images_without_a_page_and_two_pipes_are_refused(tmp_path: Path) -> None:
    said = alfnet("compare", "a.json", "b.json", "--gt", "gt.json", "--images", "images", cwd=tmp_path, code=2)
    assert "--images: is for the page; say where to write it: --page OUT.html" in " ".join(said.split())
    for names in (("-", "-", "--gt", "gt.json"), ("-", "b.json", "--gt", "-")):
        said = alfnet("compare", *names, cwd=tmp_path, code=2)
        assert "only one of A, B and --gt can come from a pipe" in " ".join(said.split())
