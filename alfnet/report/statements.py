"""What the ablation table says of the paper's claim, in sentences that promise no more than the seeds bear.

Each comparison is paired: the same seed gives both variants the same images in the same order and the same first
weights where they share a network, so the difference is taken seed by seed. Its 95 % interval is Student's t. A table
'shows' something only where that interval excludes zero. Rows of which one was measured once and the other with several
seeds (an imported detector beside trained ones) have no pairs, and are not compared.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd
from scipy import stats

CONFIDENCE = 0.95
IOU_COLUMNS = {0.5: "mr_50", 0.75: "mr_75"}
CLAIM_IOU = 0.75
"""Where the paper's further steps should pay: boxes that fit closely."""

Verdict = Literal["shows", "points that way", "does not show", "shows the opposite"]


@dataclass(frozen=True)
class Comparison:
    """A paired comparison of two rows of the table; a positive difference is a lower (better) miss rate of the second."""

    claim: str
    """'two steps are better than one with resnet50'."""
    first: str
    second: str
    """The rows: 'resnet50-1s', 'resnet50-2s step 2'."""
    iou: float
    seeds: tuple[int, ...]
    """Those with both figures."""
    before: tuple[float, ...]
    after: tuple[float, ...]
    """Miss rates in percent, one per seed."""

    @property
    def differences(self) -> tuple[float, ...]:
        """First minus second, in points, one per seed."""
        return tuple(round(a - b, 6) for a, b in zip(self.before, self.after, strict=True))

    @property
    def mean(self) -> float:
        """The mean difference in points."""
        return statistics.fmean(self.differences)

    @property
    def printed_mean(self) -> float:
        """The mean difference as the sentences print it, by which the verdict goes, too: 0.004 points are none."""
        return round(self.mean, 2)

    @property
    def better(self) -> int:
        """With how many of the seeds the second is better."""
        return sum(difference > 0 for difference in self.differences)

    @property
    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the mean difference (Student's t, n - 1 degrees of freedom); None for one seed."""
        n = len(self.differences)
        if n < 2:
            return None
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(self.differences) / math.sqrt(n)
        return self.mean - half, self.mean + half

    @property
    def verdict(self) -> Verdict:
        """What may be said of the claim."""
        if self.printed_mean == 0:
            return "does not show"
        if self.interval is not None and self.interval[0] > 0:
            return "shows"
        if self.interval is not None and self.interval[1] < 0:
            return "shows the opposite"
        return "points that way" if self.printed_mean > 0 else "does not show"

    def sentence(self) -> str:
        """Return the comparison as one sentence with its uncertainty."""
        means = f"{statistics.fmean(self.before):.2f} → {statistics.fmean(self.after):.2f} %"
        size = f"{abs(self.printed_mean):.2f} points {'lower' if self.printed_mean > 0 else 'higher'}"
        if self.printed_mean == 0:
            size = "no difference"
        if self.interval is None:
            evidence = f"{means}, {size}; one seed, so no interval"
        else:
            low, high = self.interval
            seeds = f"better with {self.better} of {len(self.differences)} seeds"
            evidence = f"{means}, {size}; 95 % interval of the decrease {low:+.2f} to {high:+.2f}; {seeds}"
        return f"{self._opening()} at IoU {self.iou:g} ({evidence})."

    def _opening(self) -> str:
        if self.verdict == "shows":
            return f"The table shows that {self.claim}"
        if self.verdict == "shows the opposite":
            return f"The table shows the opposite of: {self.claim}"
        if self.verdict == "points that way":
            return f"The table points that way, without showing it: {self.claim}"
        return f"The table does not show that {self.claim}"


def comparisons(table: pd.DataFrame, iou: float = CLAIM_IOU) -> list[Comparison]:
    """Return the paper's comparisons that the ablation table has the rows for.

    Two steps against one, for each backbone (the first variants that have pairs); then the last test step against the
    first, for each model of several steps. A row that was measured once has no pair among those of several seeds.

    Args:
        table: the ablation table (`Table.frame` or plots/ablation.csv): variant, backbone, steps, test_step, mr_50,
            mr_75 and, of several seeds, mr_50_seed_1, ...
        iou: 0.5 or 0.75.
    """
    found: list[Comparison | None] = []
    for backbone in table["backbone"].drop_duplicates():
        claim = f"two steps are better than one with {backbone}"
        pairs = itertools.product(*(_finals(table, backbone, steps) for steps in (1, 2)))
        compared = (_compare(claim, one, two, iou) for one, two in pairs)
        found.append(next((comparison for comparison in compared if comparison is not None), None))
    for name in table["variant"].drop_duplicates():
        own = table[table["variant"] == name].sort_values("test_step", key=lambda column: column.astype(int))
        if len(own) > 1:
            claim = f"the last step is better than the first in {name}"
            found.append(_compare(claim, own.iloc[0], own.iloc[-1], iou))
    return [comparison for comparison in found if comparison is not None]


def strongest(found: Iterable[Comparison]) -> Comparison | None:
    """Return the comparison with the most to say: shown before hinted, then the one whose interval begins highest.

    A large mean over seeds that disagree says less than a smaller one over seeds that agree. A single seed has no interval;
    its difference counts after those that have one.
    """
    order: Sequence[Verdict] = ("shows", "points that way", "shows the opposite", "does not show")

    def weight(comparison: Comparison) -> tuple[int, bool, float]:
        interval = comparison.interval
        return (
            -order.index(comparison.verdict),
            interval is not None,
            comparison.mean if interval is None else interval[0],
        )

    return max(found, key=weight, default=None)


def statements(table: pd.DataFrame) -> list[str]:
    """Return a sentence per comparison at IoU 0.75, the strongest first, the others in the table's order."""
    found = comparisons(table)
    lead = strongest(found)
    if lead is None:
        return ["The table has no two rows that tell what a further step brings."]
    return [lead.sentence(), *(comparison.sentence() for comparison in found if comparison is not lead)]


def _finals(table: pd.DataFrame, backbone: str, steps: int) -> list[pd.Series]:
    """The rows of the last test step, of every variant with this backbone and number of steps."""
    rows = table[
        (table["backbone"] == backbone)
        & (table["steps"].astype(int) == steps)
        & (table["test_step"].astype(int) == steps)
    ]
    return [row for _, row in rows.iterrows()]


def _compare(claim: str, first: pd.Series, second: pd.Series, iou: float) -> Comparison | None:
    """None without a seed that has both figures, and where one row was measured once, the other with several seeds.

    An imported detector's one figure stands under the first seed, with which it has nothing to do.
    """
    columns = _seed_columns(first, iou)
    measured = [sum(_value(row, column) is not None for _, column in columns) for row in (first, second)]
    if measured[0] != measured[1] and 1 in measured:
        return None
    pairs = {seed: (_value(first, column), _value(second, column)) for seed, column in columns}
    both = {seed: pair for seed, pair in pairs.items() if None not in pair}
    if not both:
        return None
    before, after = zip(*both.values(), strict=True)
    return Comparison(claim, _title(first), _title(second), iou, tuple(both), before, after)


def _seed_columns(row: pd.Series, iou: float) -> list[tuple[int, str]]:
    """The columns with each seed's value; the one column of a table of a single seed."""
    name = IOU_COLUMNS[iou]
    prefix = f"{name}_seed_"
    columns = [(int(column.removeprefix(prefix)), column) for column in row.index if column.startswith(prefix)]
    return columns or [(1, name)]


def _value(row: pd.Series, column: str) -> float | None:
    value = row[column]
    return None if value == "" or pd.isna(value) else float(value)


def _title(row: pd.Series) -> str:
    return f"{row['variant']} step {row['test_step']}"
