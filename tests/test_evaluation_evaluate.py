from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from alfnet.errors import AlfnetError
from alfnet.evaluation.curves import curve_rows, thin
from alfnet.evaluation.evaluate import evaluate_files, evaluate_variant
from alfnet.evaluation.miss_rate import FPPI_POINTS, SUBSETS, Curve, evaluate
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections

SUBSET_ORDER = ["reasonable", "small", "medium", "large", "bare", "partial", "heavy", "occluded", "all"]


def miss_rate_of_rows(rows: list[dict[str, str]]) -> float:
    """The miss rate in percent as a reader of the CSV file computes it."""
    at_points = [[float(row["miss_rate"]) for row in rows if float(row["fppi"]) <= point][-1] for point in FPPI_POINTS]
    return float(100 * np.exp(np.mean(np.log(np.maximum(at_points, 1e-10)))))


def test_files(golden: Path, tmp_path: Path) -> None:
    out, curves = tmp_path / "metrics.json", tmp_path / "a" / "curves.csv"
    found = evaluate_files(
        golden / "miss_rate_150_gt.json", golden / "miss_rate_150_dt.json", iou=[0.75, 0.5], out=out, curves=curves
    )
    assert (found.images, found.detections, found.warnings) == (150, 733, ())
    results = json.loads(out.read_text())
    assert results == found.results
    assert list(results) == ["iou_0.50", "iou_0.75", "average_precision"]
    expected = json.loads((golden / "miss_rate_expected.json").read_text())["miss_rate_150"]
    for key in ("iou_0.50", "iou_0.75"):
        assert list(results[key]) == SUBSET_ORDER
        assert results[key] == pytest.approx(expected[key], abs=1e-5, rel=0)
    assert list(results["average_precision"]) == ["AP", "AP50", "AP75"]

    rows = list(csv.DictReader(io.StringIO(curves.read_text())))
    for key in ("0.50", "0.75"):
        for subset in SUBSET_ORDER:
            points = [row for row in rows if (row["iou"], row["subset"]) == (key, subset)]
            assert 2 <= len(points) <= 200
            assert miss_rate_of_rows(points) == pytest.approx(results[f"iou_{key}"][subset], abs=1e-4)


def test_null_and_empty_detections(golden: Path, tmp_path: Path) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    content["annotations"] = [a for a in content["annotations"] if a["height"] >= 100]
    (tmp_path / "gt.json").write_text(json.dumps(content))
    (tmp_path / "dt.txt").write_text("")
    out, curves = tmp_path / "out.json", tmp_path / "curves.csv"
    found = evaluate_files(tmp_path / "gt.json", tmp_path / "dt.txt", iou=[0.5], out=out, curves=curves)
    row = json.loads(out.read_text())["iou_0.50"]
    assert row["small"] is row["medium"] is None
    assert row["reasonable"] == row["large"] == 100
    assert found.results["average_precision"] == {"AP": 0, "AP50": 0, "AP75": 0}
    assert "0.50,large,0.0,1.0\n" in curves.read_text()
    assert "small" not in curves.read_text()


def test_equal_bytes(golden: Path, tmp_path: Path) -> None:
    for name in "ab":
        evaluate_files(
            golden / "miss_rate_150_gt.json",
            golden / "miss_rate_150_dt.json",
            iou=[0.5],
            out=tmp_path / f"{name}.json",
            curves=tmp_path / f"{name}.csv",
        )
    for suffix in ("json", "csv"):
        assert (tmp_path / f"a.{suffix}").read_bytes() == (tmp_path / f"b.{suffix}").read_bytes()


def test_wrong_input_leaves_earlier_results(golden: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    out.write_text("earlier")
    (tmp_path / "dt.json").write_text("[{")
    for iou in ([0.5], [0.2]):
        with pytest.raises(AlfnetError):
            evaluate_files(golden / "miss_rate_24_gt.json", tmp_path / "dt.json", iou=iou, out=out)
    assert out.read_text() == "earlier"


def test_low_recall_is_explained(golden: Path, tmp_path: Path) -> None:
    detections = [d for d in json.loads((golden / "miss_rate_150_dt.json").read_text()) if d["image_id"] > 1]
    for detection in detections:
        detection["image_id"] -= 1  # 0-based, but no image 0: every id is in the ground truth
    (tmp_path / "dt.json").write_text(json.dumps(detections))
    (warning,) = evaluate_files(golden / "miss_rate_150_gt.json", tmp_path / "dt.json", iou=[0.5]).warnings
    assert "0-based" in warning
    assert "add 1" in warning


def test_variant(golden: Path, tmp_path: Path) -> None:
    folder = tmp_path / "detections"
    (folder / "fusion").mkdir(parents=True)
    text = (golden / "miss_rate_24_dt.json").read_text()
    for name in ("step1", "step2", "step10", "fusion/C1B1", "fusion/C1+C2_B2"):
        (folder / f"{name}.json").write_text(text if name != "step1" else "[]")
    (folder / "positives.json").write_text("{}")
    results, rows = evaluate_variant(golden / "miss_rate_24_gt.json", folder, iou=[0.5, 0.75])
    expected = json.loads((golden / "miss_rate_expected.json").read_text())["miss_rate_24"]
    assert list(results["steps"]) == ["1", "2", "10"]
    assert list(results["steps"]["2"]) == ["iou_0.50", "iou_0.75", "AP", "AP50", "AP75"]
    assert results["steps"]["2"]["iou_0.75"] == pytest.approx(expected["iou_0.75"], abs=1e-5)
    assert set(results["steps"]["1"]["iou_0.50"].values()) == {100.0}
    assert list(results["fusion"]) == ["C1+C2_B2", "C1B1"]
    assert results["fusion"]["C1B1"]["iou_0.50"] == results["steps"]["2"]["iou_0.50"]
    interval = results["intervals"]["10"]["iou_0.75"]["all"]
    assert interval["low"] <= results["steps"]["10"]["iou_0.75"]["all"] <= interval["high"]
    assert list(results["intervals"]) == ["1", "2", "10", "C1+C2_B2", "C1B1"]
    for key, row in results["intervals"]["C1B1"].items():
        assert row == {"reasonable": results["intervals"]["10"][key]["reasonable"]}
    everybody_missed = results["errors"]["1"]["iou_0.50"]
    assert everybody_missed["background"]["misses"] > 0
    assert all(kind["false_positives"] == 0 for kind in everybody_missed.values())
    assert {row[:3] for row in rows} == {(s, i, n) for s in (1, 2, 10) for i in ("0.50", "0.75") for n in SUBSET_ORDER}


def test_variant_without_steps(golden: Path, tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"no step1\.json"):
        evaluate_variant(golden / "miss_rate_24_gt.json", tmp_path, iou=[0.5])


@pytest.mark.parametrize("seed", range(20))
def test_thinning_keeps_what_the_protocol_reads(seed: int) -> None:
    rng = np.random.default_rng(seed)
    number = int(rng.integers(1, 20_000))
    right = rng.random(number) < rng.random()
    images = int(rng.integers(1, 600))
    curve = Curve(np.cumsum(~right) / images, 1 - np.cumsum(right) / (right.sum() + 1))
    curve = Curve(np.append(0, curve.fppi), np.append(1, curve.miss_rate))
    thinned = thin(curve)
    assert len(thinned.fppi) <= 200
    assert (thinned.fppi[0], thinned.fppi[-1]) == (0, curve.fppi[-1])
    for point in FPPI_POINTS:
        assert thinned.miss_rate[thinned.fppi <= point][-1] == curve.miss_rate[curve.fppi <= point][-1]


def test_thinned_published_curves_hold_the_miss_rate(shared: Path) -> None:
    truth = read_ground_truth(shared / "data" / "citypersons" / "val_gt.json")
    rates = evaluate(truth, read_detections(shared / "data" / "detections" / "alfnet_resnet50_2s.json", truth), [0.5])
    rows = curve_rows(rates)
    for subset in SUBSETS:
        points = [{"fppi": str(f), "miss_rate": str(m)} for _, name, f, m in rows if name == subset.name]
        assert len(points) <= 200
        assert miss_rate_of_rows(points) == pytest.approx(rates.percent["iou_0.50"][subset.name], abs=1e-4)


@pytest.mark.parametrize("thresholds", [[0.5], [0.5, 0.75], [0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95]])
def test_table_fits_80_columns(golden: Path, thresholds: list[float]) -> None:
    found = evaluate_files(golden / "miss_rate_150_gt.json", golden / "miss_rate_150_dt.json", iou=thresholds)
    stream = io.StringIO()
    found.print(Console(file=stream, width=80))
    text = stream.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for subset in SUBSET_ORDER:
        assert subset in text
    for row in (found.results[f"iou_{threshold:.2f}"] for threshold in thresholds):
        for percent in row.values():
            assert f"{percent:.2f}" in text
    assert f"AP50 {found.results['average_precision']['AP50']:.2f}" in text
    assert "733 detections, 150 images" in text


def test_table_shows_a_dash_for_a_subset_without_ground_truth(golden: Path, tmp_path: Path) -> None:
    content = json.loads((golden / "miss_rate_24_gt.json").read_text())
    (tmp_path / "gt.json").write_text(json.dumps(content | {"annotations": []}))
    found = evaluate_files(tmp_path / "gt.json", golden / "miss_rate_24_dt.json", iou=[0.5])
    stream = io.StringIO()
    found.print(Console(file=stream, width=80))
    assert stream.getvalue().count(" -\n") == 9
    assert "AP -" in stream.getvalue()
