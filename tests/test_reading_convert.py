from __future__ import annotations

import json
from pathlib import Path

import pytest

from alfnet.errors import AlfnetError
from alfnet.reading.convert import convert_file
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections


def test_there_and_back_through_every_form(golden: Path, tmp_path: Path) -> None:
    truth_file, source = golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"
    truth = read_ground_truth(truth_file)
    first = read_detections(source, truth)
    for name in ("a.json", "b.txt", "c.csv", "d.jsonl", "e.json"):
        convert_file(truth_file, source, tmp_path / name)
        source = tmp_path / name
        found = read_detections(source, truth)
        for column in ("image_ids", "boxes", "scores"):
            assert getattr(found, column).tolist() == getattr(first, column).tolist(), name
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "e.json").read_bytes()
    assert json.loads((tmp_path / "a.json").read_text())[0]["category_id"] == 1


def test_text_counts_images_in_the_ground_truths_order(golden: Path, tmp_path: Path) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    content["images"] = content["images"][::-1]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    (tmp_path / "dt.json").write_text(
        json.dumps([{"image_id": i, "category_id": 1, "bbox": [i, 2, 3, 4], "score": 0.1} for i in (1, 24)])
    )
    convert_file(tmp_path / "gt.json", tmp_path / "dt.json", tmp_path / "o.txt")
    assert (tmp_path / "o.txt").read_text() == "1 24.0 2.0 3.0 4.0 0.1\n24 1.0 2.0 3.0 4.0 0.1\n"


def test_sizes_that_get_lost_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth, found = tmp_path / "gt.odgt", tmp_path / "dt.odgt"
    found.write_text('{"ID": "a", "height": 100, "width": 90, "dtboxes": [{"box": [1, 2, 3, 4], "score": 0.5}]}')
    for sizes, warned in (("", True), ('"height": 100, "width": 90, ', False)):
        truth.write_text(f'{{"ID": "a", {sizes}"gtboxes": [{{"tag": "person", "fbox": [1, 2, 3, 4]}}]}}')
        convert_file(truth, found, tmp_path / "o.json")
        assert ("says the sizes of images" in capsys.readouterr().err) == warned


def test_nothing_and_refusals(golden: Path, tmp_path: Path) -> None:
    truth = golden / "miss_rate_24_gt.json"
    (tmp_path / "dt.json").write_text("[]")
    convert_file(truth, tmp_path / "dt.json", tmp_path / "o.json")
    assert json.loads((tmp_path / "o.json").read_text()) == []
    with pytest.raises(AlfnetError, match="the suffix says the form"):
        convert_file(truth, tmp_path / "dt.json", tmp_path / "o.xml")
    (tmp_path / "mine.txt").write_text("my notes\n")
    with pytest.raises(AlfnetError, match="holds no earlier detections"):
        convert_file(truth, tmp_path / "dt.json", tmp_path / "mine.txt")
    assert (tmp_path / "mine.txt").read_text() == "my notes\n"
