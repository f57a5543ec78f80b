"""The page: one file that asks nothing of the network, and works in a browser."""

from __future__ import annotations

import json
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from alfnet.report.page import table_html
from alfnet.report.report import make_report
from alfnet.report.table import Column, Table
from tests.report_data import make_project, mini_params

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
CHROMEDRIVER = shutil.which("chromedriver")
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


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    variants = {
        "resnet50-1s": {"backbone": "resnet50", "steps": 1},
        "resnet50-2s": {"backbone": "resnet50", "steps": 2},
        "mobilenet-2s": {"backbone": "mobilenet", "steps": 2},
    }
    params = mini_params(variants=variants)
    make_project(root, params)
    make_report(params, root=root)
    return root / "report" / "index.html"


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def test_asks_nothing_of_the_network(page: Path) -> None:
    text = page.read_text()
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text)) - {"http://www.w3.org/2000/svg"}  # a name, not fetched
    assert addresses == set()
    assert not re.search(r"<(link|script|img)[^>]+(src|href)=\"(?!data:)", text)
    assert "@import" not in text
    assert "fetch(" not in text


def test_every_image_is_inside_once(page: Path) -> None:
    data = page_data(page)
    images = [image["jpeg"] for image in data["gallery"]["images"]]
    assert len(images) == 6
    text = page.read_text()
    assert all(image.startswith("data:image/jpeg;base64,") and text.count(image) == 1 for image in images)


def test_the_gallery_data_agree_with_the_miss_rate(page: Path) -> None:
    """At the lowest score, what is missed over all images is the end of the curve."""
    data = page_data(page)
    for name, steps in data["gallery"]["outcomes"].items():
        for step, outcome in steps.items():
            for iou in ("0.5", "0.75"):
                end = data["curves"][name][step][iou]["reasonable"]
                assert outcome["operating"][iou]["missed"][0] == pytest.approx(end[1][-1], abs=1e-3)
                assert outcome["operating"][iou]["fppi"][0] == pytest.approx(end[0][-1], rel=1e-3)


def test_names_and_captions_are_escaped() -> None:
    table = Table("t", (Column("variant", "<b>"), Column("paper_mr_50", "Paper: MR")), (("<script>", 1.0),), "a & b")
    text = str(table_html(table))
    assert "&lt;b&gt;" in text
    assert "&lt;script&gt;" in text
    assert "<script>" not in text
    assert "a &amp; b" in text
    assert '<td class="number paper">1.00</td>' in text


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if not CHROMIUM or not CHROMEDRIVER:
        pytest.skip("chromium and chromedriver are not installed")
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(CHROMEDRIVER))
    yield driver
    driver.quit()


@pytest.fixture
def opened(browser: Any, page: Path) -> Any:
    open_page(browser, page, 1400, 1000)
    return browser


def open_page(driver: Any, page: Path, width: int, height: int) -> None:
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
    driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    driver.get_log("browser")
    driver.get(page.as_uri())
    until(lambda: driver.execute_script("return document.documentElement.dataset.ready === 'true'"))


def until(condition: Any, seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page did not get there"
        time.sleep(0.05)


def one(driver: Any, selector: str) -> Any:
    return driver.find_element("css selector", selector)


def choose(driver: Any, selector: str, value: str) -> None:
    """Set a select, a group of radio buttons, a checkbox or a slider as a user's click would."""
    driver.execute_script(
        """
        const node = document.querySelector(arguments[0]);
        const input = node.matches("select, input") ? node : node.querySelector(`input[value="${arguments[1]}"]`);
        if (input.type === "radio" || input.type === "checkbox") input.click();
        else {
          input.value = arguments[1];
          for (const event of ["input", "change"]) input.dispatchEvent(new Event(event, {bubbles: true}));
        }
        """,
        selector,
        value,
    )


def paths(driver: Any) -> dict[str, str]:
    lines = driver.execute_script(
        "return [...document.querySelectorAll('#curve-plot path.series')]"
        ".map(line => [line.getAttribute('data-name'), line.getAttribute('d')])"
    )
    return dict(lines)


def show(driver: Any, node: Any) -> Any:
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
    return node


@pytest.mark.parametrize(("width", "height"), [(1400, 1000), (390, 844)])
def test_opens_without_errors_and_fits_the_window(browser: Any, page: Path, width: int, height: int) -> None:
    browser.get_log("performance")
    open_page(browser, page, width, height)
    assert browser.get_log("browser") == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert len(paths(browser)) == 3
    requests = [
        json.loads(entry["message"])["message"]
        for entry in browser.get_log("performance")
        if "Network.requestWillBeSent" in entry["message"]
    ]
    addresses = [request["params"]["request"]["url"] for request in requests if "request" in request["params"]]
    assert page.as_uri() in addresses
    assert not [address for address in addresses if address.startswith(("http", "ws"))]


def test_curves_follow_the_controls(opened: Any) -> None:
    first = paths(opened)
    assert list(first) == ["resnet50-1s", "resnet50-2s", "mobilenet-2s"]
    key = one(opened, "#curve-key").text
    choose(opened, "#curve-iou", "0.75")
    assert paths(opened) != first
    assert one(opened, "#curve-key").text != key
    choose(opened, "#curve-iou", "0.5")
    assert paths(opened) == first
    choose(opened, "#curve-subset", "all")
    assert paths(opened) != first
    choose(opened, "#curve-subset", "reasonable")
    choose(opened, "#curve-step", "2")
    assert list(paths(opened)) == ["resnet50-2s, step 2", "mobilenet-2s, step 2"]
    choose(opened, "#curve-step", "all")
    assert len(paths(opened)) == 5
    choose(opened, "#curve-step", "last")
    choose(opened, '#curve-key input[data-variant="resnet50-2s"]', "")
    assert list(paths(opened)) == ["resnet50-1s", "mobilenet-2s"]
    assert opened.get_log("browser") == []


def test_hovering_and_arrow_keys_show_values(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    chart = show(opened, one(opened, "#curve-plot svg"))
    tip = one(opened, "#curve-plot .tip")
    assert not tip.is_displayed()
    ActionChains(opened).move_to_element(chart).perform()
    until(tip.is_displayed)
    assert re.search(r"false positives per image: 0\.\d+", tip.text)
    assert len(re.findall(r"\d+\.\d\d %", tip.text)) == 3
    before = tip.text
    chart.send_keys(Keys.ARROW_RIGHT * 3)
    assert tip.text != before
    chart.send_keys(Keys.ESCAPE)
    until(lambda: not tip.is_displayed())


def test_positives_and_losses_follow_the_controls(opened: Any) -> None:
    assert "paper: resnet50-2s" in one(opened, "#positives-plot").text
    choose(opened, "#positives-unit", "relative")
    assert "paper" not in one(opened, "#positives-plot").text
    before = one(opened, "#loss-plot path.series").get_attribute("d")
    assert len(opened.find_elements("css selector", "#loss-plot path.series")) == 3
    choose(opened, "#loss-log", "")
    assert one(opened, "#loss-plot path.series").get_attribute("d") != before
    choose(opened, "#loss-series", "step2_regression")
    assert len(opened.find_elements("css selector", "#loss-plot path.series")) == 2
    assert opened.get_log("browser") == []


def boxes(driver: Any, kind: str) -> int:
    return len(driver.find_elements("css selector", f".card:not([hidden]) .{kind} .line"))


def test_the_gallery_follows_the_controls(opened: Any, page: Path) -> None:
    data = page_data(page)["gallery"]
    choose(opened, '[data-control="score"]', "0")
    truths = sum(not truth[4] for image in data["images"] for truth in image["truths"])
    assert boxes(opened, "found") + boxes(opened, "missed") == truths
    assert boxes(opened, "found") == boxes(opened, "correct") > 0
    found = [
        score is not None
        for image in data["outcomes"][data["reference"]]["2"]["images"]
        for score in image["truths"][0]
    ]
    assert boxes(opened, "found") == sum(found)

    choose(opened, '[data-control="score"]', "200")
    assert boxes(opened, "missed") == truths
    assert boxes(opened, "false") == 0
    assert one(opened, '[data-control="score-value"]').text == "1.000"

    choose(opened, '[data-control="rate"]', "1")
    at_one = boxes(opened, "false")
    assert "false positives per image" in one(opened, '[data-control="totals"]').text
    choose(opened, '[data-control="rate"]', "0.1")
    assert boxes(opened, "false") < at_one

    choose(opened, '[data-control="score"]', "20")
    before = boxes(opened, "correct")
    choose(opened, '[data-control="step"]', "1")
    assert boxes(opened, "correct") != before
    choose(opened, '[data-control="variant"]', "resnet50-1s")
    assert len(opened.find_elements("css selector", '[data-control="step"] input')) == 1
    at_half = boxes(opened, "correct")
    choose(opened, '[data-control="iou"]', "0.75")
    assert boxes(opened, "correct") < at_half

    choose(opened, '[data-control="kinds"]', "missed")
    assert boxes(opened, "missed") == 0
    choose(opened, '[data-control="kinds"]', "missed")
    choose(opened, '[data-control="only"]', "false")
    shown = opened.find_elements("css selector", ".card:not([hidden])")
    assert shown
    assert all(card.find_elements("css selector", ".false") for card in shown)
    assert opened.get_log("browser") == []


def test_an_image_opens_and_turns(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    show(opened, one(opened, ".card button")).click()
    dialog = one(opened, "dialog")
    until(dialog.is_displayed)
    title = one(opened, '[data-control="dialog-title"]')
    first = title.text
    assert "frankfurt_000001" in first
    assert "found" in first
    one(opened, '[data-control="next"]').click()
    assert title.text != first
    ActionChains(opened).send_keys(Keys.ARROW_LEFT).perform()
    assert title.text == first
    one(opened, '[data-control="close"]').click()
    until(lambda: not dialog.is_displayed())
    assert opened.get_log("browser") == []


def test_tables_can_be_copied(opened: Any) -> None:
    details = opened.find_elements("css selector", "#results details")
    assert [part.find_element("css selector", "summary").text for part in details] == [
        "as CSV",
        "as Markdown",
        "as LaTeX",
    ]
    show(opened, details[0].find_element("css selector", "summary")).click()
    assert details[0].find_element("css selector", "pre").text.startswith("variant,backbone,steps,test_step,mr_50")
