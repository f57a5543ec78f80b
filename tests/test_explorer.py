"""The explorer: what its data holds, and the page that a browser makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.errors import AlfnetError
from alfnet.evaluation.compare import compare_detections
from alfnet.evaluation.error_kinds import KINDS, error_kinds
from alfnet.evaluation.outcomes import outcomes
from alfnet.explorer.data import comparison_data, explorer_data, find_pictures
from alfnet.explorer.page import MARK, explorer_html, write_explorer
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import Detections, read_detections
from tests.browser import open_browser, visit

Case = tuple[GroundTruth, Detections]


@pytest.fixture(scope="module")
def case(golden: Path) -> Case:
    truth = read_ground_truth(golden / "miss_rate_24_gt.json")
    return truth, read_detections(golden / "miss_rate_24_dt.json", truth)


def content_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found
    return json.loads(found[1])


def test_every_error_is_a_case(case: Case) -> None:
    kinds = error_kinds(outcomes(*case, 0.75))
    data = explorer_data(kinds, "a title")
    counts = kinds.counts()
    for group, place in (("false", 0), ("miss", 1)):
        cases = [row for row in data["cases"] if row[1] == group]
        assert len(cases) == sum(count[place] for count in counts.values())
        for name, count in counts.items():
            assert sum(row[2] == KINDS.index(name) for row in cases) == count[place]
    assert len(data["cases"]) > 5
    truth, _ = case
    for row in data["cases"]:
        image = data["images"][row[0]]
        drawn = image["truths"] if row[1] == "miss" else image["sets"][0]["detections"]
        assert any(box[:4] == row[3:7] for box in drawn)
        assert image["src"] is None
        assert (image["width"], image["height"]) == (2048, 1024)
    names = dict(zip(truth.image_ids.tolist(), truth.file_names, strict=True))
    assert {image["name"] for image in data["images"]} <= set(names.values())
    assert json.loads(json.dumps(data, allow_nan=False)) == data


def test_the_comparison_s_cases(case: Case) -> None:
    truth, detections = case
    kept = np.arange(len(detections.scores)) % 3 > 0
    fewer = Detections(detections.image_ids[kept], detections.boxes[kept], detections.scores[kept])
    found = compare_detections(truth, detections, fewer, resamples=2, names=("all", "fewer"), iou_thresholds=[0.5])
    data = comparison_data(found, "two")
    assert len(data["cases"]) == len(found.found_alone) > 3
    assert data["sets"] == ["all", "fewer"]
    assert sum(row[4] for row in data["kinds"]) == len(found.of("A"))
    assert sum(row[5] for row in data["kinds"]) == len(found.of("B"))
    for row in data["cases"]:
        assert 0 <= row[2] < len(data["kinds"])
        found_by = [image_set["found"] for image_set in data["images"][row[0]]["sets"]]
        place = [box[:4] for box in data["images"][row[0]]["truths"]].index(row[3:7])
        assert (found_by[0][place] is None) == (row[1] == "B")
        assert (found_by[1][place] is None) == (row[1] == "A")


def test_pictures_are_found_by_name_in_any_subfolder(case: Case, tmp_path: Path) -> None:
    truth, _ = case
    folder = tmp_path / "images of val" / "city"
    folder.mkdir(parents=True)
    stem = Path(truth.file_names[2]).stem
    (folder / f"{stem}.JPG").write_bytes(b"")
    (folder / "other.png").write_bytes(b"")
    found = find_pictures(truth, tmp_path / "images of val", tmp_path / "page.html")
    assert found == {int(truth.image_ids[2]): f"images%20of%20val/city/{stem}.JPG"}
    with pytest.raises(AlfnetError, match="no such folder"):
        find_pictures(truth, tmp_path / "nowhere", tmp_path / "page.html")
    (tmp_path / "empty").mkdir()
    with pytest.raises(AlfnetError, match=f"none of the {len(truth.image_ids)} images lies in it"):
        find_pictures(truth, tmp_path / "empty", tmp_path / "page.html")


def named(*names: str) -> GroundTruth:
    """Images 1, 2, ... of these names, with nobody on them."""
    none = np.zeros(0)
    return GroundTruth(
        image_ids=np.arange(1, len(names) + 1),
        file_names=names,
        image_sizes=np.full((len(names), 2), 64.0),
        annotation_image_ids=none.astype(int),
        boxes=np.zeros((0, 4)),
        heights=none,
        visible_ratios=none,
        ignored=none.astype(bool),
    )


@pytest.mark.parametrize(
    ("files", "names", "found"),
    [
        (["a/1.png", "b/1.png"], ["a/1.png", "b/1.png"], {1: "a/1.png", 2: "b/1.png"}),
        (["a/1.png", "b/1.png"], ["b\\1.tif", "./a/1.tif"], {1: "b/1.png", 2: "a/1.png"}),
        (["x/a/1.png", "x/b/1.png"], ["a/1.png", "b/1.png"], {1: "x/a/1.png", 2: "x/b/1.png"}),  # by the longest tail
        (["a/1.png"], ["val/a/1.png", "val/b/1.png"], {1: "a/1.png"}),  # the other's own is not there
        (["1.png", "a/1.png", "a/2.png"], ["1.png", "2.png"], {1: "1.png", 2: "a/2.png"}),
        (["1.png", "a/2.png"], ["a/1.png", "b/1.png", "2.png"], {3: "a/2.png"}),  # of either a or b
        (["a/1.png", "b/1.png", "2.png"], ["1.png", "2.png"], {2: "2.png"}),
        (["a/1.jpg", "a/1.png"], ["1.png", "x/y/1.jpg"], {}),
        (["a/1.jpg", "a/1.png"], ["1.png"], {1: "a/1.png"}),
        (["a/1.jpg", "a/1.png"], ["a/1.png", "a/1.jpg"], {1: "a/1.png", 2: "a/1.jpg"}),
    ],
)
def test_a_picture_is_that_of_its_image_or_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, files: list[str], names: list[str], found: dict[int, str]
) -> None:
    for file in files:
        (tmp_path / "pictures" / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pictures" / file).write_bytes(b"")
    if not found:
        with pytest.raises(
            AlfnetError, match=r"which pictures are those of the .* Folders in it share names, e\.g\. of"
        ):
            find_pictures(named(*names), tmp_path / "pictures", tmp_path / "pictures" / "page.html")
        return
    assert find_pictures(named(*names), tmp_path / "pictures", tmp_path / "pictures" / "page.html") == found
    assert ("have no picture on the page" in caplog.text) == (len(found) < len(names))


def test_the_page_holds_its_data_and_equal_data_gives_equal_bytes(case: Case, tmp_path: Path) -> None:
    data = explorer_data(error_kinds(outcomes(*case)), "</script><b>& a title")
    write_explorer(tmp_path / "a.html", data)
    write_explorer(tmp_path / "b.html", data)
    page = (tmp_path / "a.html").read_text()
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()
    assert page.startswith(MARK)
    assert content_of(page) == data
    assert "<title>&lt;/script&gt;" in page
    assert page.count("</script>") == 2
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page


def test_without_people_there_is_a_page(case: Case) -> None:
    truth, detections = case
    nobody = GroundTruth(
        image_ids=truth.image_ids,
        file_names=truth.file_names,
        image_sizes=np.full_like(truth.image_sizes, np.nan),
        annotation_image_ids=truth.annotation_image_ids,
        boxes=truth.boxes,
        heights=truth.heights,
        visible_ratios=np.full(len(truth.boxes), np.nan),
        ignored=np.ones(len(truth.boxes), dtype=np.bool_),
    )
    data = explorer_data(error_kinds(outcomes(nobody, detections)), "nobody")
    assert data["facts"][0] == ["Miss rate", "–"]
    assert {row[1] for row in data["cases"]} <= {"false"}
    assert content_of(explorer_html(data)) == data


@pytest.mark.slow
def test_a_browser_shows_the_cases_and_enlarges_them(case: Case, tmp_path: Path) -> None:
    kinds = error_kinds(outcomes(*case))
    write_explorer(tmp_path / "page.html", explorer_data(kinds, "a title"))
    misses, wrong = (sum(count[place] for count in kinds.counts().values()) for place in (1, 0))
    driver = open_browser(tmp_path / "chromium")
    try:
        visit(driver, (tmp_path / "page.html").as_uri())
        assert driver.execute_script("return document.documentElement.dataset.ready") == "true"
        cards = "return document.querySelectorAll('#cards .card').length"
        assert driver.execute_script(cards) == misses
        driver.execute_script("document.querySelector('input[value=false]').click()")
        assert driver.execute_script(cards) == wrong
        driver.execute_script("document.querySelector('#cards button').click()")
        title = "return document.getElementById('dialog-title').textContent"
        first = driver.execute_script(title)
        driver.execute_script("document.getElementById('next').click()")
        assert driver.execute_script(title) != first
        assert driver.execute_script("return document.querySelectorAll('#view .false').length") > 0
        assert [entry["message"] for entry in driver.get_log("browser")] == []
    finally:
        driver.quit()
