"""Two sets of detections side by side: is the difference more than the choice of images, and whom does one alone find?"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from alfnet.errors import AlfnetError
from alfnet.evaluation.bootstrap import (
    RESAMPLES,
    SEED,
    Ranked,
    draw,
    interval,
    rank_columns,
    ranked,
    weighted_miss_rates,
)
from alfnet.evaluation.comparison import Comparison, Difference, FoundAlone
from alfnet.evaluation.error_kinds import ErrorKinds, error_kinds
from alfnet.evaluation.evaluate import unknown_sizes, usable_subsets, with_sizes
from alfnet.evaluation.matching import FALSE_POSITIVE, IGNORED
from alfnet.evaluation.miss_rate import iou_key
from alfnet.evaluation.outcomes import Outcomes, all_outcomes, image_places
from alfnet.evaluation.protocol import CITYPERSONS, Protocol
from alfnet.evaluation.subsets import Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Booleans, Floats, Integers
from alfnet.reading.results_file import Detections

FPPI = 0.316
"""False positives per image at which pedestrians count as found: both detectors make equally many mistakes there."""


def compare_detections(
    ground_truth: GroundTruth,
    first: Detections,
    second: Detections,
    *,
    names: tuple[str, str] = ("A", "B"),
    iou_thresholds: Sequence[float] = (0.5, 0.75),
    subsets: Sequence[Subset] | None = None,
    protocol: Protocol = CITYPERSONS,
    fppi: float = FPPI,
    resamples: int = RESAMPLES,
    seed: int = SEED,
) -> Comparison:
    """Compare two sets of detections of the same images.

    The bootstrap draws images, the same for both. The permutation test exchanges A's and B's detections on a random
    half of the images; for that, scores are replaced by the number of false positives that the detector makes at them,
    so that the two need no common scale. Who is found is told for the first subset at the lowest IoU threshold, each
    detector at its own score for `fppi` false positives per image. Raises AlfnetError for IoU thresholds outside 0.5 to
    0.95, no subset or two of one name, fewer than 2 resamples and an `fppi` that is no number above 0.
    """
    if resamples < 2:
        raise AlfnetError(f"{resamples} resamples were asked for; an interval needs 2 at least, 1000 are usual")
    if not 0 < fppi < math.inf:
        raise AlfnetError(f"{fppi:g} false positives per image were asked for; give a number above 0, such as {FPPI}")
    # Both are measured on one ground truth, with the image sizes that either file says.
    ground_truth = with_sizes(with_sizes(ground_truth, first), second)
    chosen, remark = usable_subsets(ground_truth, protocol.subsets if subsets is None else subsets)
    images = len(ground_truth.image_ids)
    weights = draw(images, resamples, seed)
    exchange = np.random.default_rng([seed, 1]).integers(0, 2, size=(resamples, images)).astype(np.int32)
    differences: dict[str, dict[str, Difference]] = {}
    shown: tuple[Outcomes, Outcomes] | None = None
    results = (
        all_outcomes(ground_truth, detections, iou_thresholds, chosen, protocol) for detections in (first, second)
    )
    for a, b in zip(*results, strict=True):
        shown = shown or (a, b)
        differences.setdefault(iou_key(a.iou), {})[a.subset.name] = _difference(a, b, weights, exchange)
    assert shown is not None  # of one subset and one threshold at least
    kinds = (error_kinds(shown[0]), error_kinds(shown[1]))
    found = (shown[0].found(fppi), shown[1].found(fppi))
    counted = ~shown[0].ignored
    return Comparison(
        names=names,
        differences=differences,
        iou=shown[0].iou,
        subset=shown[0].subset.name,
        fppi=fppi,
        pedestrians=shown[0].pedestrians,
        found_by_both=int((found[0] & found[1]).sum()),
        found_by_neither=int((counted & ~found[0] & ~found[1]).sum()),
        found_alone=tuple(_found_alone(kinds, found, fppi)),
        kinds=kinds,
        images=images,
        warnings=tuple(
            filter(
                None,
                (
                    *ground_truth.warnings,
                    *first.warnings,
                    *second.warnings,
                    remark,
                    unknown_sizes(ground_truth, protocol),
                ),
            )
        ),
    )


def _difference(
    a: Outcomes, b: Outcomes, weights: npt.NDArray[np.int32], exchange: npt.NDArray[np.int32]
) -> Difference:
    if not a.pedestrians:
        return Difference(None, None, None, None)
    rankings = (ranked(a), ranked(b))
    once = np.ones((1, a.images), dtype=np.int32)
    rates = [float(weighted_miss_rates(data, once)[0]) for data in rankings]
    resampled = [weighted_miss_rates(data, weights) for data in rankings]
    both = _merged(a, b)
    observed = rates[0] - rates[1]
    kept = 1 - exchange
    people = np.ones_like(exchange)
    exchanged = weighted_miss_rates(both, np.hstack([kept, exchange]), people) - weighted_miss_rates(
        both, np.hstack([exchange, kept]), people
    )
    extreme = int((np.abs(exchanged) >= abs(observed) - 1e-9).sum())
    return Difference(rates[0], rates[1], interval(resampled[0] - resampled[1]), (1 + extreme) / (1 + len(exchange)))


def _merged(a: Outcomes, b: Outcomes) -> Ranked:
    """Both sets as one list, best first by the false positives that stand before a detection in its own list.

    The columns of A are the images, those of B follow them: weights of ones and zeros choose one of both per image.
    """
    keys, columns, states = [], [], []
    for number, result in enumerate((a, b)):
        wrong = result.state == FALSE_POSITIVE
        before = np.cumsum(wrong) - wrong
        # A correct detection goes before a false positive with as many false positives before it.
        keys.append(before + 0.5 * wrong)
        columns.append(image_places(result.ground_truth, result.detections.image_ids[result.order]) + number * a.images)
        states.append(result.state)
    order = np.argsort(np.concatenate(keys), kind="stable")
    state = np.concatenate(states)[order]
    counted = state != IGNORED
    people = image_places(a.ground_truth, a.ground_truth.annotation_image_ids[~a.ignored])
    return rank_columns(
        np.concatenate(columns)[order][counted],
        state[counted],
        np.bincount(people, minlength=a.images),
        a.images,
        a.protocol,
    )


def _found_alone(
    kinds: tuple[ErrorKinds, ErrorKinds], found: tuple[Booleans, Booleans], fppi: float
) -> list[FoundAlone]:
    truth = kinds[0].outcomes.ground_truth
    names = dict(zip(truth.image_ids.tolist(), truth.file_names, strict=True)) if truth.file_names else {}
    missed = [kind.misses_up_to(fppi) for kind in kinds]
    scores: list[Floats] = [kind.outcomes.found_at for kind in kinds]
    rows: Integers = np.flatnonzero(found[0] != found[1])
    return [
        FoundAlone(
            ground_truth=row,
            image_id=int(truth.annotation_image_ids[row]),
            image=names.get(int(truth.annotation_image_ids[row]), ""),
            box=tuple(truth.boxes[row].tolist()),
            height=float(truth.heights[row]),
            visible_ratio=float(truth.visible_ratios[row]),
            found_by="A" if found[0][row] else "B",
            score=float(scores[0 if found[0][row] else 1][row]),
            other_kind=str(missed[1 if found[0][row] else 0][row]),
        )
        for row in rows.tolist()
    ]
