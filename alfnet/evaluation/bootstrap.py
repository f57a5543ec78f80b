"""What a miss rate is worth on so many images: resampling the images, after matching once.

Matching is per image, so a resampled data set needs none: its curve counts each detection and each pedestrian as often
as its image was drawn. A thousand curves are then a few cumulative sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alfnet.errors import AlfnetError
from alfnet.evaluation.matching import FALSE_POSITIVE, TRUE_POSITIVE
from alfnet.evaluation.miss_rate import iou_key
from alfnet.evaluation.outcomes import Outcomes, all_outcomes, false_positives_at, image_places
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.evaluation.subsets import Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats, Integers
from alfnet.reading.results_file import Detections

RESAMPLES = 1000
SEED = 0
_CELLS = 2_000_000
"""Numbers of a cumulative sum held at once: 8 MB, as fits a cache."""

Weights = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Interval:
    """Where 95 % of the resampled miss rates lie (percentiles), and their standard deviation; in percent."""

    low: float
    high: float
    standard_error: float

    def to_dict(self) -> dict[str, float]:
        """Return what the JSON holds, six decimals."""
        return {"low": round(self.low, 6), "high": round(self.high, 6), "standard_error": round(self.standard_error, 6)}


@dataclass(frozen=True)
class Ranked:
    """The detections that count, best first, by the column (the image, or another unit) whose weight they carry."""

    wrong: Integers
    """(F,) columns of the false positives."""
    found: Integers
    """(T,) columns of the true positives."""
    found_before: Integers
    """(F + 1,) how many true positives come before each false positive, and all of them."""
    pedestrians: Integers
    """(C,) pedestrians per column."""
    images: int
    """By which false positives are divided."""
    protocol: Protocol = CITYPERSONS
    """For the points at which a curve is read, and how."""

    def limits(self) -> Integers:
        """(P,) the most false positives that a detection may stand behind to count at each FPPI point."""
        most = [false_positives_at(point, self.images) for point in self.protocol.fppi_points]
        if not self.protocol.at_or_above:
            return np.array(most)
        # Up to the false positive that reaches the point: those before it are one less than it needs.
        reaching = zip(most, self.protocol.fppi_points, strict=True)
        return np.array([number - (number / self.images == point) for number, point in reaching])


def ranked(result: Outcomes) -> Ranked:
    """Return a matching as `Ranked`, a column per image."""
    state = result.state
    columns = image_places(result.ground_truth, result.detections.image_ids[result.order])
    people = image_places(result.ground_truth, result.ground_truth.annotation_image_ids[~result.ignored])
    pedestrians = np.bincount(people, minlength=result.images)
    return rank_columns(columns, state, pedestrians, result.images, result.protocol)


def rank_columns(
    columns: Integers, state: npt.NDArray[np.int8], pedestrians: Integers, images: int, protocol: Protocol
) -> Ranked:
    """Build `Ranked` of the columns (K,) and states (K,) of detections, best first."""
    right = state == TRUE_POSITIVE
    wrong = np.flatnonzero(state == FALSE_POSITIVE)
    before = np.cumsum(right)
    total = int(before[-1]) if len(before) else 0
    return Ranked(columns[wrong], columns[right], np.append(before[wrong], total), pedestrians, images, protocol)


def draw(images: int, resamples: int, seed: int) -> Weights:
    """Return how often each image stands in each resampled data set of as many images, (resamples, images).

    Raises AlfnetError for a seed below 0.
    """
    if seed < 0:
        raise AlfnetError(f"seed {seed}: expected 0 or a larger whole number")
    drawn = np.random.default_rng(seed).integers(0, images, size=(resamples, images))
    cells = (drawn + images * np.arange(resamples)[:, None]).ravel()
    return np.bincount(cells, minlength=resamples * images).reshape(resamples, images).astype(np.int32)


def weighted_miss_rates(data: Ranked, weights: Weights, pedestrian_weights: Weights | None = None) -> Floats:
    """Return the log-average miss rate in percent for every row of `weights` (B, C), NaN where a row has nobody.

    pedestrian_weights: those of the pedestrians' columns, where they are not the detections'. A row of ones gives the
    protocol's own figure.
    """
    limits = data.limits()
    # Beyond one false positive per image nothing is read; twice as many are enough for nearly every resample.
    lists = weights.shape[1] // len(data.pedestrians)  # two where two detectors are mixed
    enough = min(len(data.wrong), lists * (2 * int(limits[-1]) + 50))
    rates = np.empty(len(weights))
    rows = max(1, _CELLS // max(1, enough + len(data.found)))
    for start in range(0, len(weights), rows):
        part = weights[start : start + rows]
        people = part if pedestrian_weights is None else pedestrian_weights[start : start + rows]
        rates[start : start + rows] = _rates(data, part, people, limits, enough)
    return rates


def _rates(data: Ranked, weights: Weights, people: Weights, limits: Integers, enough: int) -> Floats:
    by_column = np.ascontiguousarray(weights.T)  # the sums run over detections, all resamples side by side
    wrong = np.cumsum(by_column[data.wrong[:enough]], axis=0, dtype=np.int32)
    if enough < len(data.wrong) and (wrong[-1] <= limits[-1]).any():
        return _rates(data, weights, people, limits, len(data.wrong))
    counted = np.stack([(wrong <= limit).sum(axis=0) for limit in limits])  # false positives at or below each point
    found = np.zeros((len(data.found) + 1, len(weights)), dtype=np.int32)
    np.cumsum(by_column[data.found], axis=0, out=found[1:])
    hits = np.take_along_axis(found, data.found_before[counted], axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        missed = 1 - hits / (people @ data.pedestrians)
        return 100 * np.exp(np.log(np.maximum(missed, data.protocol.floor)).mean(axis=0))


def interval(values: Floats) -> Interval | None:
    """Return the 95 % interval of resampled values (B,); None where they are none. NaN (nobody drawn) is left out."""
    values = values[np.isfinite(values)]
    if not len(values):
        return None
    low, high = np.quantile(values, [0.025, 0.975])
    return Interval(float(low), float(high), float(values.std(ddof=1)) if len(values) > 1 else 0.0)


def bootstrap(
    ground_truth: GroundTruth,
    detections: Detections,
    iou_thresholds: Sequence[float],
    subsets: Sequence[Subset] | None = None,
    protocol: Protocol = CITYPERSONS,
    *,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> dict[str, dict[str, Interval | None]]:
    """Return the interval of every miss rate: {"iou_0.50": {"reasonable": Interval, ...}}, None without pedestrians.

    All subsets and thresholds use the same resampled images. Raises AlfnetError for fewer than 2 resamples.
    """
    if resamples < 2:
        raise AlfnetError(f"{resamples} resamples were asked for; an interval needs 2 at least, 1000 are usual")
    weights = draw(len(ground_truth.image_ids), resamples, seed)
    intervals: dict[str, dict[str, Interval | None]] = {}
    for result in all_outcomes(ground_truth, detections, iou_thresholds, subsets, protocol):
        row = intervals.setdefault(iou_key(result.iou), {})
        rates = weighted_miss_rates(ranked(result), weights) if result.pedestrians else np.empty(0)
        row[result.subset.name] = interval(rates)
    return intervals
