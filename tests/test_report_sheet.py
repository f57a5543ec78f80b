"""Labels on the sheet of detections."""

from __future__ import annotations

import itertools

import numpy as np

from alfnet.report.sheet import Label, apart


def test_labels_lie_apart_and_the_best_stay() -> None:
    random = np.random.default_rng(1)
    labels: list[Label] = [
        (float(x), float(y), f"{score:.2f}")
        for x, y, score in zip(random.uniform(0, 200, 40), random.uniform(60, 200, 40), random.random(40), strict=True)
    ]
    placed = apart(labels, 29, 12)
    for (left, bottom, _), (other_left, other_bottom, _) in itertools.combinations(placed, 2):
        assert abs(left - other_left) >= 29 or abs(bottom - other_bottom) >= 12 - 1e-9
    best = max(labels, key=lambda label: label[2])
    assert best in placed
    assert {(left, text) for left, _, text in placed} <= {(left, text) for left, _, text in labels}
    assert all(bottom >= 12 for _, bottom, _ in placed)


def test_labels_that_touch_nothing_stay_where_they_are() -> None:
    labels: list[Label] = [(0, 50, "0.50"), (40, 50, "0.90"), (0, 70, "0.40")]
    assert sorted(apart(labels, 29, 12)) == sorted(labels)
    assert apart([], 29, 12) == []
