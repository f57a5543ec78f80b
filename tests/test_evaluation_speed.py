"""How long the evaluation takes, as a multiple of what JSON alone takes to read, and what it holds in memory."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import pytest

from alfnet.evaluation.evaluate import evaluate_files
from benchmarks import miss_rate as benchmark


@pytest.mark.slow
def test_53039_detections_take_a_few_times_what_reading_json_takes(tmp_path: Path) -> None:
    files = benchmark.make_files(tmp_path, seed=1)

    def reading() -> None:
        for file in files:
            json.loads(file.read_text())

    def evaluating() -> None:
        found = evaluate_files(*files, iou=[0.5, 0.75])
        assert (found.detections, found.images) == (53_039, 500)
        assert all(0 < percent < 100 for row in found.rates.percent.values() for percent in row.values())

    def seconds(action: object) -> float:
        """The least processor time of three runs."""
        times = []
        for _ in range(3):
            start = time.process_time()
            action()  # type: ignore[operator]
            times.append(time.process_time() - start)
        return min(times)

    assert seconds(evaluating) < 8 * seconds(reading)


@pytest.mark.costly
def test_memory_does_not_grow_with_the_text_of_a_list(tmp_path: Path) -> None:
    truth, found = benchmark.make_files(tmp_path, seed=1, number=20_000)
    assert benchmark.run(benchmark._OURS, ["evaluate", str(truth), str(found)]).megabytes < 200
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss > 0
