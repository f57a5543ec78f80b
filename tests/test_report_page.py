"""The page: one file that asks nothing of the network, and works in a browser."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.evaluation.compare import compare_detections
from alfnet.evaluation.miss_rate import SUBSETS
from alfnet.evaluation.outcomes import outcomes as outcomes_of
from alfnet.evaluation.protocol import PROTOCOLS
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections
from alfnet.report.charts import library
from alfnet.report.page.explorer import _options, _step_data
from alfnet.report.report import make_report
from tests.browser import open_browser, requests_of, until, visit
from tests.report_data import make_project, mini_params

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    variants = {
        "resnet50-1s": {"backbone": "resnet50", "steps": 1},
        "resnet50-2s": {"backbone": "resnet50", "steps": 2},
        "mobilenet-2s": {"backbone": "mobilenet", "steps": 2},
    }
    params = mini_params(variants=variants, seeds=[1, 2])
    make_project(root, params, images=9)
    (root / "timings" / "resnet50-2s").mkdir(parents=True)
    (root / "timings" / "resnet50-2s" / "1.json").write_text('{"seconds_per_image": 0.0456, "machine": "<i>one</i>"}')
    make_report(params, root=root)
    return root / "report" / "index.html"


def page_data(page: Path) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page.read_text(), re.DOTALL)
    assert found
    return json.loads(found[1])


def outcomes(page: Path, name: str, seed: int) -> dict[str, Any]:
    """The detections of a variant and seed, from the file that the page loads."""
    sets = page_data(page)["explorer"]["sets"]
    number = next(i for i, one in enumerate(sets) if one["name"] == name and one["seed"] == seed)
    text = (page.parent / "outcomes" / f"{number + 1:04d}.js").read_text()
    found = re.fullmatch(rf"alfnetExplorer\.receive\({number},(.*)\);\n", text)
    assert found
    return json.loads(found[1])


def test_asks_nothing_of_the_network(page: Path) -> None:
    text = page.read_text().replace(library(), "")
    assert "vegaEmbed=" in library()
    addresses = set(re.findall(r"https?://[^\s\"'<]+", text)) - {"http://www.w3.org/2000/svg"}  # a name, not fetched
    assert {address for address in addresses if "vega.github.io/schema" not in address} == set()
    assert re.findall(r"<(?:link|script|img)[^>]+(?:src|href)=\"(?!data:)([^\"]+)", text) == ["../timings/timings.js"]
    assert "@import" not in text
    assert "fetch(" not in text


def test_every_validation_image_is_beside_the_page(page: Path) -> None:
    images = page_data(page)["explorer"]["images"]
    assert len(images) == 9
    assert all(image["has"] for image in images)
    for kind in ("thumbnails", "images"):
        assert len(list((page.parent / kind).glob("*.jpg"))) == 9
    assert "All 9 validation images" in page.read_text()
    assert sum(path.stat().st_size for path in (page.parent / "thumbnails").iterdir()) < 9 * 20_000


def test_the_explorers_data_agree_with_the_miss_rate(page: Path) -> None:
    """At the lowest score, what is missed over all images is the end of the curve."""
    root = page.parent.parent
    for name, steps in (("resnet50-1s", 1), ("resnet50-2s", 2), ("mobilenet-2s", 2)):
        for seed in (1, 2):
            with (root / "evaluation" / name / str(seed) / "curves.csv").open() as file:
                rows = list(csv.DictReader(file))
            for step in range(1, steps + 1):
                outcome = outcomes(page, name, seed)[str(step)]
                for place, iou in enumerate(("0.50", "0.75")):
                    own = [
                        row
                        for row in rows
                        if (row["test_step"], row["iou"], row["subset"]) == (str(step), iou, "reasonable")
                    ]
                    missed = 1 - len(outcome["found"][place]) / outcome["pedestrians"]
                    assert missed == pytest.approx(float(own[-1]["miss_rate"]), abs=1e-6)
                    assert len(outcome["wrong"][place]) / 9 == pytest.approx(float(own[-1]["fppi"]), abs=1e-6)


def test_every_error_has_a_kind(page: Path) -> None:
    index = page_data(page)["explorer"]
    last = outcomes(page, "resnet50-2s", 1)["2"]
    for image, (detections, truths) in enumerate(zip(last["detections"], last["truths"][0], strict=True)):
        for start in range(0, len(detections), 9):
            state, kind = detections[start + 5 : start + 7]
            assert (kind >= 0) == (state == 0)
            assert kind < len(index["falseKinds"])
        ignored = [truth[4] for truth in index["images"][image]["truths"]]
        for place, is_ignored in enumerate(ignored):
            found, kind = truths[2 * place : 2 * place + 2]
            assert (kind >= 0) == (found < 0 and not is_ignored)


def test_the_page_tells_of_the_data_set_and_its_statements(page: Path) -> None:
    text = page.read_text()
    assert "rendered street scenes" in text
    assert "made easy" in text
    assert "95 % interval" in text
    assert "±" in text
    assert "0.0456" not in text  # the time per image differs from run to run
    assert "unconfirmed" not in text


def test_a_miss_rate_of_a_table_tells_its_interval_over_images(page: Path) -> None:
    found = [
        json.loads((page.parents[1] / "evaluation" / "resnet50-2s" / seed / "results.json").read_text())
        for seed in ("1", "2")
    ]
    told = []
    for seed, results in enumerate(found, start=1):
        rate = results["steps"]["2"]["iou_0.75"]["reasonable"]
        interval = results["intervals"]["2"]["iou_0.75"]["reasonable"]
        told.append(f"seed {seed}: {rate:.2f}, over images: {interval['low']:.2f} to {interval['high']:.2f}")
    text = page.read_text()
    assert text.count(f'title="{"; ".join(told)}"') >= 2  # ablation, backbones
    fused = found[0]["intervals"]["C1+C2_B2"]["iou_0.50"]["reasonable"]
    assert f"over images: {fused['low']:.2f} to {fused['high']:.2f}; seed 2: " in text


@pytest.fixture(scope="module")
def browser(page: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    driver = open_browser(tmp_path_factory.mktemp("chromium"))
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
    visit(driver, page.as_uri())
    until(lambda: driver.execute_script("return document.documentElement.dataset.ready === 'true'"))


def complaints(driver: Any) -> list[str]:
    """What the browser's console holds, without Vega's advice on charts whose panels have axes of their own."""
    return [entry["message"] for entry in driver.get_log("browser") if '"WARN"' not in entry["message"]]


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


def drawn(driver: Any, node: str) -> str:
    """The text that tells which drawing of a chart is shown."""
    return str(driver.execute_script(f"return document.getElementById('{node}').dataset.drawn ?? ''"))


def lines(driver: Any, node: str) -> list[str]:
    """The paths of a chart's lines."""
    found = driver.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(path => path.getAttribute('d'))",
        f"#{node} .mark-line path",
    )
    return [path for path in found if path]


def redrawn(driver: Any, node: str, change: Any) -> None:
    before = drawn(driver, node)
    change()
    until(lambda: drawn(driver, node) not in ("", before))


def show(driver: Any, node: Any) -> Any:
    driver.execute_script("arguments[0].scrollIntoView({block: 'center', behavior: 'instant'})", node)
    return node


@pytest.mark.parametrize(("width", "height"), [(1400, 1000), (390, 844)])
def test_opens_without_errors_and_fits_the_window(browser: Any, page: Path, width: int, height: int) -> None:
    browser.get_log("performance")
    open_page(browser, page, width, height)
    until(lambda: all(drawn(browser, f"{name}-plot") for name in ("steps", "curve", "positives", "loss")))
    assert complaints(browser) == []
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    assert len(lines(browser, "curve-plot")) == 3 * 2  # variants, IoUs
    addresses = requests_of(browser, page.as_uri())
    assert page.as_uri() in addresses
    assert not [address for address in addresses if address.startswith(("http", "ws"))]


def test_curves_follow_the_controls(opened: Any) -> None:
    until(lambda: len(lines(opened, "curve-plot")) == 6)
    first = lines(opened, "curve-plot")
    key = one(opened, "#curve-key").text
    redrawn(opened, "curve-plot", lambda: choose(opened, "#curve-subset", "all"))
    assert lines(opened, "curve-plot") != first
    assert one(opened, "#curve-key").text != key
    redrawn(opened, "curve-plot", lambda: choose(opened, "#curve-subset", "reasonable"))
    assert lines(opened, "curve-plot") == first
    redrawn(opened, "curve-plot", lambda: choose(opened, "#curve-step", "2"))
    assert "resnet50-2s, step 2" in one(opened, "#curve-key").text
    assert "resnet50-1s" not in one(opened, "#curve-key").text
    redrawn(opened, "curve-plot", lambda: choose(opened, "#curve-step", "last"))
    redrawn(opened, "curve-plot", lambda: choose(opened, '#curve-key input[data-variant="resnet50-2s"]', ""))
    assert len(lines(opened, "curve-plot")) == 4
    assert "hidden=resnet50-2s" in opened.execute_script("return location.hash")
    assert complaints(opened) == []


def test_the_list_of_variants_tells_the_values_under_the_cursor(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    until(lambda: len(lines(opened, "curve-plot")) == 6)
    chart = show(opened, one(opened, "#curve-plot svg"))
    assert "log-average miss rate" in one(opened, "#curve-key").text
    ActionChains(opened).move_to_element_with_offset(chart, -200, 0).perform()
    until(lambda: "per image" in one(opened, "#curve-key").text)
    plot = one(opened, "#curve-plot")
    plot.send_keys(Keys.ARROW_RIGHT * 3)
    before = one(opened, "#curve-key").text
    plot.send_keys(Keys.ARROW_RIGHT * 3)
    assert one(opened, "#curve-key").text != before
    plot.send_keys(Keys.ESCAPE)
    assert "log-average miss rate" in one(opened, "#curve-key").text


def test_losses_follow_the_part_that_is_chosen(opened: Any) -> None:
    until(lambda: len(lines(opened, "loss-plot")) == 3)
    redrawn(opened, "loss-plot", lambda: choose(opened, "#loss-part", "step2_regression"))
    assert len(lines(opened, "loss-plot")) == 2
    assert "paper: resnet50-2s" in one(opened, "#positives-plot").text
    assert complaints(opened) == []


def test_speed_comes_from_outside_of_what_is_hashed(opened: Any) -> None:
    table = show(opened, one(opened, "#speed-table")).text
    assert "0.0456" in table
    assert "<i>one</i>" in table  # as text


def text_of(driver: Any, node: str) -> str:
    """A node's text, also under a dialog."""
    return str(driver.execute_script("return document.getElementById(arguments[0]).textContent", node))


def boxes(driver: Any, kind: str) -> int:
    return len(driver.find_elements("css selector", f".card .{kind} .line"))


def changed(driver: Any, change: Any) -> None:
    """Change a control of the explorer and wait until it is drawn."""
    redrawn(driver, "ex-cards", change)


def test_the_explorer_follows_the_controls(opened: Any, page: Path) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    index = page_data(page)["explorer"]
    truths = sum(not truth[4] for image in index["images"] for truth in image["truths"])
    changed(opened, lambda: choose(opened, "#ex-score", "0"))
    assert boxes(opened, "found") + boxes(opened, "missed") == truths
    found = outcomes(page, "resnet50-2s", 1)["2"]["found"][0]
    assert boxes(opened, "found") == boxes(opened, "correct") == len(found) > 0
    changed(opened, lambda: choose(opened, "#ex-seed", "2"))
    assert boxes(opened, "found") == len(outcomes(page, "resnet50-2s", 2)["2"]["found"][0])
    changed(opened, lambda: choose(opened, "#ex-iou", "0.75"))
    assert boxes(opened, "found") == len(outcomes(page, "resnet50-2s", 2)["2"]["found"][1])
    changed(opened, lambda: choose(opened, "#ex-score", "1000"))
    assert boxes(opened, "missed") == truths
    assert boxes(opened, "false") == 0
    changed(opened, lambda: choose(opened, "#ex-rate", "1"))
    at_one = boxes(opened, "false")
    changed(opened, lambda: choose(opened, "#ex-rate", "0.1"))
    assert boxes(opened, "false") < at_one
    changed(opened, lambda: choose(opened, "#ex-drawn", "missed"))
    assert boxes(opened, "missed") == 0
    assert complaints(opened) == []


def test_last_step_survives_another_variant(opened: Any) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    assert one(opened, "#ex-step input:checked").get_attribute("value") == "last"
    changed(opened, lambda: choose(opened, "#ex-set", "resnet50-1s"))
    assert "resnet50-1s, seed 1" in one(opened, "#ex-totals").text
    changed(opened, lambda: choose(opened, "#ex-set", "mobilenet-2s"))
    assert one(opened, "#ex-step input:checked").get_attribute("value") == "last"
    assert "mobilenet-2s, step 2" in one(opened, "#ex-totals").text
    changed(opened, lambda: choose(opened, "#ex-step", "1"))
    assert "mobilenet-2s, step 1" in one(opened, "#ex-totals").text


def test_errors_are_sorted_and_filtered(opened: Any) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    cards = opened.find_elements("css selector", ".card")
    errors = [len(card.find_elements("css selector", ".missed .line, .false .line")) for card in cards]
    assert errors == sorted(errors, reverse=True)
    changed(opened, lambda: choose(opened, "#ex-kind", "false"))
    cards = opened.find_elements("css selector", ".card")
    assert 0 < len(cards) < 9
    assert all(card.find_elements("css selector", ".false") for card in cards)
    changed(opened, lambda: choose(opened, "#ex-size", "0-50"))
    assert one(opened, "#ex-none").is_displayed()  # none of them is so small
    changed(opened, lambda: choose(opened, "#ex-size", ""))
    false = boxes(opened, "false")
    changed(opened, lambda: choose(opened, "#ex-show", "false"))
    assert len(opened.find_elements("css selector", ".card.crop")) == false
    changed(opened, lambda: choose(opened, "#ex-show", "missed"))
    changed(opened, lambda: choose(opened, "#ex-kind", ""))
    crops = opened.find_elements("css selector", ".card.crop figcaption")
    assert crops
    assert all("% visible" in crop.text for crop in crops)
    assert complaints(opened) == []


def test_two_sets_stand_side_by_side(opened: Any) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    changed(opened, lambda: choose(opened, "#ex-with", "mobilenet-2s"))
    assert len(opened.find_elements("css selector", ".card")) == 9
    assert len(opened.find_elements("css selector", ".card .picture")) == 18
    assert len(one(opened, "#ex-totals").text.splitlines()) == 3
    changed(opened, lambda: choose(opened, "#ex-kind", "first"))
    for card in opened.find_elements("css selector", ".card"):
        first, second = (
            len(picture.find_elements("css selector", ".missed .line"))
            for picture in card.find_elements("css selector", ".picture")
        )
        assert first
        assert first + second > 0


def rates_shown(driver: Any) -> list[str]:
    """The cells of the comparison: A, B, A - B, interval, p."""
    return [cell.text for cell in driver.find_elements("css selector", "#ex-rates tbody td")]


@pytest.mark.parametrize(
    ("iou", "other", "seed", "options"),
    [("0.5", "resnet50-2s", "", ""), ("0.75", "mobilenet-2s|2", "2", " --iou 0.75")],
)
def test_two_sets_are_compared_as_by_the_command(
    opened: Any, page: Path, iou: str, other: str, seed: str, options: str
) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    assert not one(opened, "#ex-compare").is_displayed()
    changed(opened, lambda: choose(opened, "#ex-with", other))
    changed(opened, lambda: choose(opened, "#ex-with-step", "1"))
    if iou != "0.5":  # which is chosen at first
        changed(opened, lambda: choose(opened, "#ex-iou", iou))
    root = page.parents[1]
    truth = read_ground_truth(root / "cache" / "ground_truth.json")
    files = ["detections/resnet50-2s/1/step2.json", f"detections/{other.partition('|')[0]}/{seed or 1}/step1.json"]
    first, second = (read_detections(root / name, truth) for name in files)
    expected = compare_detections(truth, first, second, iou_thresholds=[float(iou)])
    difference = expected.differences[f"iou_{float(iou):.2f}"]["reasonable"]
    assert difference.interval is not None
    assert rates_shown(opened)[:3] == [f"{difference.a:.2f}", f"{difference.b:.2f}", f"{difference.value:+.2f}"]
    low, high = (float(text) for text in rates_shown(opened)[3].split(" to "))
    spread = difference.interval.standard_error
    assert low == pytest.approx(difference.interval.low, abs=0.5 * spread)
    assert high == pytest.approx(difference.interval.high, abs=0.5 * spread)
    assert float(rates_shown(opened)[4]) == pytest.approx(difference.p_value, abs=0.07)
    holds_zero = "do not tell A and B apart" in one(opened, "#ex-compare").text
    assert holds_zero == (low <= 0 <= high)

    alone = [len(expected.of(who)) for who in "AB"]
    assert sum(alone) > 0
    assert f"{alone[0]} by A alone, {alone[1]} by B alone" in one(opened, "#ex-alone").text
    tables = opened.find_elements("css selector", "#ex-compare table[data-counts]")
    assert [table.get_attribute("data-counts") for table in tables] == ["height", "visible part", "the other's error"]
    for table, counts in zip(tables, expected.counts().values(), strict=True):
        rows = [
            [int(cell.text) for cell in row.find_elements("css selector", "td")]
            for row in table.find_elements("css selector", "tbody tr")
        ]
        assert [sum(column) for column in zip(*rows, strict=True)] == alone
        assert sorted(rows) == sorted(map(list, counts.values()))
    command = one(opened, "#ex-command").text
    assert command == f"alfnet compare {' '.join(files)} --ground-truth cache/ground_truth.json{options}"
    changed(opened, lambda: choose(opened, "#ex-show", "missed"))
    for kind, number in (("second", alone[0]), ("first", alone[1])):
        changed(opened, lambda kind=kind: choose(opened, "#ex-kind", kind))
        assert len(opened.find_elements("css selector", ".card.crop")) == number
    assert complaints(opened) == []


@pytest.mark.parametrize("protocol", PROTOCOLS.values(), ids=PROTOCOLS)
def test_the_page_s_statistics_are_those_of_the_command(browser: Any, page: Path, golden: Path, protocol: Any) -> None:
    """On 150 images, the other detections of which lack every seventh, by each protocol's rules."""
    open_page(browser, page, 1400, 1000)
    truth = read_ground_truth(golden / "miss_rate_150_gt.json")
    first = read_detections(golden / "miss_rate_150_dt.json", truth)
    kept = np.arange(len(first.scores)) % 7 != 0
    second = Detections(first.image_ids[kept], first.boxes[kept], first.scores[kept] ** 2)
    settings = {"iou_thresholds": [0.5], "subsets": SUBSETS[:1], "protocol": protocol}
    expected = compare_detections(truth, first, second, **settings).differences["iou_0.50"]["reasonable"]
    assert expected.interval is not None
    matched = [outcomes_of(truth, found, 0.5, SUBSETS[0], protocol) for found in (first, second)]
    people = truth.annotation_image_ids[~matched[0].ignored]
    found = browser.execute_script(
        "const [first, second, images, people, protocol] = arguments;"
        "return compareRankings(rankingOf(first, 0, 7), rankingOf(second, 0, 7), images, people, protocol)",
        *(_step_data([one], truth.image_ids) for one in matched),
        list(range(len(truth.image_ids))),
        [int((people == image_id).sum()) for image_id in truth.image_ids.tolist()],
        {"points": list(protocol.fppi_points), "atOrAbove": protocol.at_or_above, "floor": protocol.floor},
    )
    assert (found["a"], found["b"]) == pytest.approx((expected.a, expected.b), abs=1e-9)
    spread = expected.interval.standard_error
    assert spread > 0
    assert found["low"] == pytest.approx(expected.interval.low, abs=0.4 * spread)
    assert found["high"] == pytest.approx(expected.interval.high, abs=0.4 * spread)
    assert found["p"] == pytest.approx(expected.p_value, abs=0.07)


def test_the_command_follows_the_run_s_protocol_and_begins_with_reasonable() -> None:
    assert _options(PROTOCOLS["citypersons"]) == ""
    assert _options(PROTOCOLS["caltech-new"]) == " --protocol caltech-new"
    assert _options(PROTOCOLS["crowdhuman"]) == " --protocol crowdhuman --subset reasonable"


def test_sets_of_different_images_are_not_compared(opened: Any, page: Path) -> None:
    """As two seeds are in a cross-validation."""
    until(lambda: drawn(opened, "ex-cards"))
    number = [one["name"] for one in page_data(page)["explorer"]["sets"]].index("mobilenet-2s")
    opened.execute_script(
        "return alfnetExplorer.load(arguments[0]).then((steps) => {"
        " for (const step of Object.values(steps)) step.covered[0] = 0; })",
        number,
    )
    changed(opened, lambda: choose(opened, "#ex-with", "mobilenet-2s"))
    assert "tested on different images" in one(opened, "#ex-compare").text
    assert rates_shown(opened) == []
    assert len(opened.find_elements("css selector", ".card")) == 8


def test_equal_sets_do_not_differ(opened: Any) -> None:
    until(lambda: drawn(opened, "ex-cards"))
    changed(opened, lambda: choose(opened, "#ex-with", "resnet50-2s"))
    a, *rest = rates_shown(opened)
    assert rest == [a, "+0.00", "+0.00 to +0.00", "1.000"]
    assert not opened.find_elements("css selector", "#ex-compare table[data-counts]")
    changed(opened, lambda: choose(opened, "#ex-with", ""))
    assert not one(opened, "#ex-compare").is_displayed()


def test_the_address_brings_back_what_was_chosen(browser: Any, page: Path) -> None:
    open_page(browser, page, 1400, 1000)
    until(lambda: drawn(browser, "ex-cards"))
    for name, value in (
        ("set", "mobilenet-2s"),
        ("seed", "2"),
        ("with", "resnet50-1s"),
        ("kind", "missed"),
        ("sort", "false"),
    ):
        changed(browser, lambda name=name, value=value: choose(browser, f"#ex-{name}", value))
    browser.execute_script("document.querySelector('.card button').click()")
    until(lambda: one(browser, "#ex-dialog").is_displayed())
    address = browser.current_url
    title, totals = one(browser, "#ex-dialog-title").text, text_of(browser, "ex-totals")
    browser.get("about:blank")
    visit(browser, address)
    until(lambda: drawn(browser, "ex-cards"))
    until(lambda: one(browser, "#ex-dialog").is_displayed())
    assert one(browser, "#ex-dialog-title").text == title
    assert text_of(browser, "ex-totals") == totals
    assert one(browser, "#ex-with").get_attribute("value") == "resnet50-1s"


def test_an_address_with_values_that_are_none_shows_the_first(browser: Any, page: Path) -> None:
    """By hand, cut short, or of a report with other variants: what cannot be chosen is left out, the rest is kept."""
    wrong = (
        "set=none&seed=99&at=77&with=nobody&with-at=x&iou=0.6&rate=5&score=abc&show=foo&kind=first&size=q&visible=-"
        "&sort=z&image=..&subset=nope&step=9&hidden=a,b&loss=zz&__proto__=x&constructor=y"
    )
    open_page(browser, page, 1400, 1000)
    until(lambda: drawn(browser, "ex-cards"))
    totals = text_of(browser, "ex-totals")
    browser.get("about:blank")
    visit(browser, f"{page.as_uri()}#gallery&{wrong}&drawn=missed")
    until(lambda: drawn(browser, "ex-cards"))
    assert text_of(browser, "ex-totals") == totals
    assert len(browser.find_elements("css selector", ".card")) == 9
    assert one(browser, "#ex-kind").get_attribute("value") == ""
    assert one(browser, "#curve-subset").get_attribute("value") == "reasonable"
    assert not browser.find_elements("css selector", ".card .false")
    until(lambda: lines(browser, "curve-plot"))
    assert complaints(browser) == []


def test_an_image_opens_and_turns(opened: Any) -> None:
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.keys import Keys

    until(lambda: drawn(opened, "ex-cards"))
    show(opened, one(opened, ".card button")).click()
    dialog = one(opened, "#ex-dialog")
    until(dialog.is_displayed)
    title = one(opened, "#ex-dialog-title")
    first = title.text
    assert "frankfurt_" in first
    assert "found" in first
    one(opened, "#ex-next").click()
    assert title.text != first
    ActionChains(opened).send_keys(Keys.ARROW_LEFT).perform()
    assert title.text == first
    placed = opened.execute_script(
        "return [...document.querySelectorAll('#ex-dialog .score')].map(n => { const b = n.getBoundingClientRect();"
        " return [b.left, b.right, b.top, b.bottom]; })"
    )
    for place, (left, right, top, bottom) in enumerate(placed):
        for other in placed[:place]:
            across = left < other[1] - 2 and other[0] < right - 2
            assert not (across and top < other[3] - 4 and other[2] < bottom - 4), "labels overlap"
    one(opened, "#ex-close").click()
    until(lambda: not dialog.is_displayed())
    assert complaints(opened) == []


def test_tables_can_be_copied(opened: Any) -> None:
    details = opened.find_elements("css selector", "#results details")
    assert [part.find_element("css selector", "summary").text for part in details] == [
        "as CSV",
        "as Markdown",
        "as LaTeX",
    ]
    show(opened, details[0].find_element("css selector", "summary")).click()
    assert details[0].find_element("css selector", "pre").text.startswith("variant,backbone,steps,test_step,mr_50")
