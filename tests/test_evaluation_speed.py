from __future__ import annotations

import importlib.util
import time
from pathlib import Path

import pytest

from alfnet.evaluation.miss_rate import evaluate
from alfnet.reading.ground_truth import read_ground_truth
from alfnet.reading.results_file import read_detections


@pytest.mark.slow
def test_53000_detections_in_a_second_and_a_half(root: Path, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("benchmark", root / "benchmarks" / "miss_rate.py")
    assert spec is not None
    assert spec.loader is not None
    benchmark = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(benchmark)
    truth_file, detections_file = benchmark.make_files(tmp_path, seed=1)

    start = time.process_time()  # of all threads, and not of other programs
    truth = read_ground_truth(truth_file)
    detections = read_detections(detections_file, truth)
    rates = evaluate(truth, detections, [0.5, 0.75])
    seconds = time.process_time() - start

    assert (len(detections.scores), len(truth.image_ids), detections.warnings) == (53_000, 500, ())
    assert all(0 < percent < 100 for row in rates.percent.values() for percent in row.values())
    assert seconds < 1.5
