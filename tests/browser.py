"""A browser for the tests of pages: Debian's chromium and chromium-driver."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

MISSING = (
    "the tests of pages need a browser: as root `apt-get install chromium chromium-driver` (Debian), "
    "or Chrome and its chromedriver on PATH"
)
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def programs() -> tuple[str, str]:
    """The paths of the browser and of its driver.

    Where they are missing the test is skipped, and the end of the run says how to get them (tests/conftest.py). With the
    environment's CI=true, as in .ci/run, the test fails instead: a change is not to land with its pages unseen.
    """
    browser = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    driver = shutil.which("chromedriver")
    if browser and driver:
        return browser, driver
    if os.environ.get("CI", "").lower() in ("", "0", "false"):
        pytest.skip(MISSING)
    pytest.fail(MISSING, pytrace=False)


def open_browser(profile: Path) -> Any:
    """A selenium driver of a headless browser that logs its console and its requests; `profile` is its own folder."""
    browser, driver = programs()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (*FLAGS, f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    return webdriver.Chrome(options=options, service=Service(driver))


def until(condition: Callable[[], Any], seconds: float = 60, told: Callable[[], str] | None = None) -> None:
    """Wait for `condition`; after `seconds` the test fails with what `told` returns."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, told() if told else "the page did not get there"
        time.sleep(0.05)


def visit(browser: Any, address: str) -> None:
    """Open `address` and wait for its whole document.

    `get` alone is not enough: the driver can take the end of another page's loading, as that of the page for new tabs
    with which the browser opens, for the end of this one. What follows `#` is the page's own to change.
    """
    state = "return [location.href.split('#')[0], document.readyState]"
    whole = [address.split("#")[0], "complete"]
    browser.get(address)
    until(lambda: browser.execute_script(state) == whole, told=lambda: f"{address}: {browser.execute_script(state)}")


def requests_of(browser: Any, page: str) -> list[str]:
    """The addresses that the documents below the address `page` asked for since the last look.

    Others in the log are the browser's own: it opens with a page for new tabs, which is still loading.
    """
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [each["params"] for each in messages if each["method"] == "Network.requestWillBeSent"]
    return [each["request"]["url"] for each in asked if each["documentURL"].startswith(page)]
