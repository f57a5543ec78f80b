"""What is installed: pinned by hash, under licences that somebody decided on, and all that the code imports."""

from __future__ import annotations

import re
import sys
from importlib import metadata

import pytest

from tests.tiny import ROOT
from tools import licences

LOCK = (ROOT / "requirements.lock").read_text()
REQUIREMENTS = re.split(r"\n(?=[A-Za-z0-9])", LOCK)


def test_every_locked_package_has_an_exact_version_and_hashes() -> None:
    entries = [entry for entry in REQUIREMENTS if re.match(r"[A-Za-z0-9]", entry)]
    assert len(entries) > 50
    loose = [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry]
    assert not loose


def test_the_installed_versions_are_the_locked_ones() -> None:
    if sys.version_info[:2] != (3, 11):
        pytest.skip("the lock file was resolved for Python 3.11")
    for name, version in re.findall(r"^([A-Za-z0-9_.-]+)==([^\s;\\]+)", LOCK, re.MULTILINE):
        try:
            assert metadata.version(name).partition("+")[0] == version, name
        except metadata.PackageNotFoundError:
            continue  # for another system


def test_every_licence_is_one_that_somebody_decided_on() -> None:
    refused = {name: said for name, said in licences.rows() if not licences.allowed(name)}
    assert not refused, "decide about these licences, and put them on the list in tools/licences.py"


def test_a_licence_nobody_decided_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for said, expected in {
        "MIT": True,
        "Apache-2.0 AND MIT": True,
        "GPL-3.0-only": False,
        "MIT AND GPL-3.0-only": False,
        "GPL-3.0-only OR MIT": True,
        "": False,
    }.items():
        monkeypatch.setattr(licences, "licence", lambda name, said=said: said)
        assert licences.allowed("some-package") is expected, said


def test_the_list_in_docs_is_fresh() -> None:
    listed = dict(re.findall(r"^\| ([a-z0-9][a-z0-9-]*) \| (.+) \|$", licences.OUT.read_text(), re.MULTILINE))
    listed.pop("package", None)
    assert listed == {name: said.replace("|", "/") for name, said in licences.rows()}
