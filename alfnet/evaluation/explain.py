"""Which deviations give a figure that somebody got: `alfnet evaluate ... --got 12.19`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from rich.console import Console

from alfnet.errors import AlfnetError
from alfnet.evaluation.deviations import Deviation, deviations
from alfnet.evaluation.other_rules import Overlaps, Setting, miss_rate_by
from alfnet.evaluation.printing import printed
from alfnet.evaluation.subsets import PUBLISHED, SUBSETS, Subset
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.records import Floats
from alfnet.reading.results_file import Detections

_OF_FILES = ("boxes", "scores", "cut", "suppression", "ids", "images")
"""Groups of deviations that change detections or ground truth, not rules."""


@dataclass(frozen=True)
class Got:
    """A figure that somebody got: percent, and half a unit of its last digit."""

    subset: Subset
    iou: float
    value: float
    tolerance: float
    text: str

    @property
    def name(self) -> str:
        """Of the subset and threshold."""
        return self.subset.name if self.iou == 0.5 else f"{self.subset.name} at IoU {self.iou:g}"

    @property
    def stated(self) -> str:
        """The figure with the digits that were stated."""
        return f"{self.value:.{max(0, round(-np.log10(2 * self.tolerance)))}f}"

    def fits(self, figure: float | None) -> bool:
        """Whether a figure, rounded to the digits that were stated, is this one."""
        return figure is not None and abs(figure - self.value) <= self.tolerance * (1 + 1e-6)


@dataclass(frozen=True)
class Explanation:
    """One deviation, or two, and the figures that they give."""

    deviations: tuple[Deviation, ...]
    figures: tuple[float | None, ...]
    """In the order of what was asked for."""
    distance: float
    """The largest difference from what was asked for, percent."""
    fits: bool
    same: tuple[Deviation, ...] = ()
    """Others that give the very same figures on these files."""

    @property
    def sentence(self) -> str:
        """What was done and what to change."""
        what = ", and ".join(deviation.sentence for deviation in self.deviations)
        remedies = dict.fromkeys(deviation.remedy for deviation in self.deviations)
        return f"{what}; {'; '.join(remedies)}"


@dataclass(frozen=True)
class Answer:
    """What gives the figures that somebody got."""

    got: tuple[Got, ...]
    protocol: tuple[float | None, ...]
    """The protocol's own figures."""
    explanations: tuple[Explanation, ...]
    """Those that fit, the likeliest first; where none does, the nearest."""
    tried: int
    more: int = 0
    """How many further ones fit."""
    signs: tuple[str, ...] = ()
    """What was noticed in the detections themselves: it may have moved every figure."""
    example: str = "--got-from small=..., --got-from reasonable@0.75=..."
    """Further figures that could be given."""

    @property
    def is_protocol(self) -> bool:
        """Whether the figures are the protocol's."""
        return all(got.fits(figure) for got, figure in zip(self.got, self.protocol, strict=True))

    @property
    def text(self) -> str:
        """The answer in words."""
        return printed(self.print, width=100).rstrip()

    def print(self, console: Console) -> None:
        """Print what gives the figures."""
        for got, figure in zip(self.got, self.protocol, strict=True):
            by_protocol = "none, for nobody is in it" if figure is None else f"{figure:.3f}"
            console.print(
                f"Got {got.stated} ({got.name}); by the protocol it is {by_protocol}.",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
        if self.is_protocol:
            if not self.signs:
                console.print("That is the protocol's figure: nothing is done differently.", soft_wrap=True)
                return
            console.print(
                "That is the protocol's figure for these files: nothing is done differently in the evaluation. But what stands "
                "in the file of detections may have moved it:",
                soft_wrap=True,
            )
            for sign in self.signs:
                console.print(f" - {sign}", highlight=False, markup=False, soft_wrap=True)
            return
        if not self.explanations:
            console.print("Nothing that is known changes the figure of these files.", soft_wrap=True)
            return
        several = len(self.got) > 1
        several_ways = len(self.explanations) > 1 or any(explanation.same for explanation in self.explanations)
        if self.fits:
            heading = "This gives the figures:" if several else "This gives the figure:"
            if several_ways:
                heading = f"Each of these gives the figure{'s' if several else ''}, the likeliest first:"
        else:
            heading = f"None of {self.tried} ways gives {'them' if several else 'it'}; the nearest:"
        console.print(heading, style="bold", soft_wrap=True)
        for number, explanation in enumerate(self.explanations, 1):
            figures = ", ".join("-" if figure is None else f"{figure:.3f}" for figure in explanation.figures)
            console.print(
                f" {number}. {figures}: {explanation.sentence}.", highlight=False, markup=False, soft_wrap=True
            )
            for other in explanation.same:
                sentence = f"{other.sentence}; {other.remedy}"
                console.print(f"    Or, the same here: {sentence}.", highlight=False, markup=False, soft_wrap=True)
        if self.more:
            console.print(f"{self.more} more ways give it, too.", highlight=False, soft_wrap=True)
        if several_ways and not several:
            console.print(
                f"Further figures tell them apart: {self.example}", highlight=False, markup=False, soft_wrap=True
            )

    def __str__(self) -> str:
        return self.text

    @property
    def fits(self) -> bool:
        """Whether something gives the figures to the digits stated."""
        return self.is_protocol or any(explanation.fits for explanation in self.explanations)


def parse_got(text: str, subsets: Sequence[Subset] = SUBSETS, iou: float = 0.5) -> Got:
    """Read a figure: 12.19, reasonable=12.19 or small@0.75=49.7; percent (a fraction where it is below 1).

    `iou` is the threshold of a figure that names none. A subset is one of `subsets` or of the published ones. Raises
    AlfnetError for anything else.
    """
    name, equals, number = text.rpartition("=")
    name, at, own_iou = name.partition("@")
    known = {subset.name: subset for group in PUBLISHED.values() for subset in group}
    known |= {subset.name: subset for subset in subsets}
    if equals and name not in known:
        raise AlfnetError(f"{text!r}: no subset {name!r}; there are {', '.join(known)}")
    found = re.fullmatch(r"\s*(\d+)(?:\.(\d*))?\s*%?\s*", number)
    try:
        threshold = float(own_iou) if at else iou
    except ValueError:
        threshold = 0.0
    if found is None or not 0.1 <= threshold <= 0.95:
        raise AlfnetError(
            f"{text!r}: expected a miss rate in percent, such as 12.19, small=49.7 or reasonable@0.75=38.14"
        )
    digits = len(found[2] or "")
    value = float(f"{found[1]}.{found[2] or 0}")
    if 0 < value < 1 and digits >= 3:  # a fraction
        value, digits = round(100 * value, 10), digits - 2
    if value > 100:
        raise AlfnetError(f"{text!r}: a miss rate is at most 100 percent")
    return Got(known[name] if equals else subsets[0], threshold, value, 0.5 * 10.0**-digits, text)


def explain_figures(ground_truth: GroundTruth, detections: Detections, got: Sequence[Got], *, shown: int = 5) -> Answer:
    """Find what gives figures that somebody got on these files: each known deviation alone, then two together.

    Pairs are tried only where nothing alone fits, for they are thousands, and some fit by chance. Raises AlfnetError where
    nothing was got, for two figures of one subset, and for a subset that the ground truth cannot tell.
    """
    if not got:
        raise AlfnetError("no figure was given to explain")
    _check(ground_truth, got)
    overlaps = Overlaps(_lowest(got))
    base = [Setting.of(ground_truth, detections, figure.subset, figure.iou) for figure in got]
    protocol = tuple(miss_rate_by(setting, overlaps) for setting in base)
    if all(figure.fits(value) for figure, value in zip(got, protocol, strict=True)):
        return Answer(tuple(got), protocol, (), 1, signs=detections.warnings)
    found: list[tuple[Deviation, tuple[float | None, ...]]] = []
    giving: dict[tuple[float | None, ...], list[Deviation]] = {}
    for deviation in deviations():
        figures = _figures(deviation, base, overlaps)
        if figures is None or figures == protocol:
            continue
        found.append((deviation, figures))
        giving.setdefault(figures, []).append(deviation)
    results: list[Explanation] = []
    for figures, alike in giving.items():
        likeliest, *others = sorted(alike, key=lambda deviation: deviation.rarity)
        results.append(replace(_explanation((likeliest,), figures, got), same=tuple(others)))
    fitting = sorted((result for result in results if result.fits), key=_likelihood)
    tried = 1 + len(found)
    nearest = sorted(results, key=lambda result: result.distance)[:3]
    if not fitting:
        pairs, more = _in_pairs(ground_truth, detections, base, found, got)
        tried += more
        fitting = sorted((result for result in pairs if result.fits), key=_likelihood)
        nearest += sorted(pairs, key=lambda result: result.distance)[:2]
    example = "--got-from 'from 100 px=...'" if _unknown(ground_truth.visible_ratios) else Answer.example
    if fitting:
        more = max(0, len(fitting) - shown)
        return Answer(tuple(got), protocol, tuple(fitting[:shown]), tried, more, example=example)
    nearest.sort(key=lambda result: result.distance)
    return Answer(tuple(got), protocol, tuple(nearest), tried, example=example)


def _check(ground_truth: GroundTruth, got: Sequence[Got]) -> None:
    seen: dict[str, Got] = {}
    for figure in got:
        other = seen.setdefault(figure.name, figure)
        if other.value != figure.value:
            raise AlfnetError(f"{figure.name} cannot be both {other.stated} and {figure.stated}; give one figure of it")
        if figure.subset.needs_visibility and _unknown(ground_truth.visible_ratios):
            raise AlfnetError(
                f"{figure.text}: the subset {figure.subset.name!r} needs vis_ratio, which the ground truth does not have; "
                "give a figure of one of the subsets that were evaluated"
            )


def _unknown(visible_ratios: Floats) -> bool:
    """Whether a ground truth says of nobody (G,) how much is visible."""
    return bool(len(visible_ratios)) and bool(np.isnan(visible_ratios).all())


def _figures(deviation: Deviation, base: Sequence[Setting], overlaps: Overlaps) -> tuple[float | None, ...] | None:
    """The figures that a deviation gives, None where it can be in none of the settings."""
    settings = [deviation.change(setting) for setting in base]
    if all(setting is None for setting in settings):
        return None
    if any(
        s is not None and s.subset.needs_visibility and len(s.visible) and np.isnan(s.visible).all() for s in settings
    ):
        return None
    return tuple(miss_rate_by(setting or before, overlaps) for setting, before in zip(settings, base, strict=True))


def _in_pairs(
    ground_truth: GroundTruth,
    detections: Detections,
    base: Sequence[Setting],
    found: Sequence[tuple[Deviation, tuple[float | None, ...]]],
    got: Sequence[Got],
) -> tuple[list[Explanation], int]:
    """Try the deviations two at a time; returns those pairs that come near, and how many were tried.

    A long list of detections is cut where its end counts for nothing (and deviations for which it counts are left out);
    what fits is then worked out on the whole list.
    """
    whole, overlaps = Overlaps(_lowest(got)), Overlaps(_lowest(got))
    kept = _surest(ground_truth, detections)
    short = base
    if kept is not None:
        some = Detections(detections.image_ids[kept], detections.boxes[kept], detections.scores[kept])
        short = [Setting.of(ground_truth, some, figure.subset, figure.iou) for figure in got]
    alone: list[tuple[Deviation, list[Setting]]] = []
    for deviation, figures in found:
        if kept is None or _same(_figures(deviation, short, overlaps), figures):
            changed = [deviation.change(setting) or setting for setting in short]
            alone.append((deviation, changed))
    # What changes the files goes first: its overlaps are then computed once for all rules.
    alone.sort(key=lambda item: item[0].group not in _OF_FILES)
    near: list[Explanation] = []
    tried = 0
    for (first, changed), (second, _) in combinations(alone, 2):
        if first.group == second.group:
            continue
        tried += 1
        # One figure after another: most pairs fail at the first.
        figures_so_far: list[float | None] = []
        for figure, setting in zip(got, changed, strict=True):
            twice = second.change(setting)
            figures_so_far.append(None if twice is None else miss_rate_by(twice, overlaps))
            value = figures_so_far[-1]
            if value is None or abs(value - figure.value) > max(0.1, 2 * figure.tolerance):
                break
        else:
            explanation = _explanation((first, second), tuple(figures_so_far), got)
            if kept is not None and explanation.fits:
                both = [second.change(first.change(setting) or setting) or setting for setting in base]
                figures = tuple(miss_rate_by(setting, whole) for setting in both)
                explanation = _explanation((first, second), figures, got)
            near.append(explanation)
    distinct = {explanation.figures: explanation for explanation in sorted(near, key=_likelihood, reverse=True)}
    return list(distinct.values()), tried


def _surest(ground_truth: GroundTruth, detections: Detections) -> np.ndarray | None:
    """Which detections a figure may depend on: up to several false positives an image; None: all."""
    enough = 5 * len(ground_truth.image_ids) + len(ground_truth.boxes)
    if len(detections.scores) <= 1.5 * enough:
        return None
    order = np.lexsort((detections.image_ids, -detections.scores))[:enough]
    return np.sort(order)


def _same(figures: tuple[float | None, ...] | None, expected: tuple[float | None, ...]) -> bool:
    return figures is not None and all(
        one == other or (one is not None and other is not None and abs(one - other) < 1e-9)
        for one, other in zip(figures, expected, strict=True)
    )


def _lowest(got: Sequence[Got]) -> float:
    return min(0.3, *(figure.iou for figure in got))


def _explanation(used: tuple[Deviation, ...], figures: tuple[float | None, ...], got: Sequence[Got]) -> Explanation:
    differences = [
        float("inf") if figure is None else abs(figure - wanted.value)
        for figure, wanted in zip(figures, got, strict=True)
    ]
    fits = all(wanted.fits(figure) for figure, wanted in zip(figures, got, strict=True))
    return Explanation(used, figures, max(differences), fits)


def _likelihood(explanation: Explanation) -> tuple[int, float]:
    return sum(deviation.rarity for deviation in explanation.deviations), explanation.distance
