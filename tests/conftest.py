"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal

# The tests run in the arithmetic that the default profile uses; it has to be set before numpy and torch are imported.
from alfnet.runtime import PORTABLE_ENVIRONMENT

os.environ.update(PORTABLE_ENVIRONMENT)
# Threads that wait by spinning take the cores from tests that run at the same time. It changes no result.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from pathlib import Path

import pytest

from tests import browser
from tests.throwaway import bare, clone, reproduced  # noqa: F401  fixtures

# A shell that runs the tests in the background has Ctrl-C ignored, and what the tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that run the pipeline: at the end one process would be left with minutes of them."""
    items.sort(key=lambda item: item.get_closest_marker("pipeline") is None)


@pytest.fixture(scope="session")
def root() -> Path:
    """The project's folder."""
    return ROOT


@pytest.fixture(scope="session")
def golden() -> Path:
    """The folder of synthetic cases with the published method's exact numbers."""
    return ROOT / "tests" / "golden"


@pytest.fixture(scope="session")
def shared() -> Path:
    """Real CityPersons annotations, detections and weights, which stay outside the project; skips where they are absent."""
    folder = Path(os.environ.get("ALFNET_SHARED", ROOT.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"the real data is not at {folder} (set ALFNET_SHARED)")
    return folder


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how to get a browser where tests of pages were skipped for want of one."""
    skipped = [
        report for report in terminalreporter.stats.get("skipped", []) if browser.MISSING in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(f"{len(skipped)} tests were left out: {browser.MISSING}", yellow=True)
