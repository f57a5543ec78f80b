"""Miss rate over false positives per image as a drawing, for notebooks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from alfnet.errors import AlfnetError, extra_needed
from alfnet.evaluation.curves import thin
from alfnet.evaluation.miss_rate import MissRates, miss_rates_at_points
from alfnet.evaluation.protocol import Protocol

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_FPPI_TICKS = (0.001, 0.01, 0.1, 1, 10, 100)
_MISS_RATE_TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1)


def plot_curves(rates: MissRates, protocol: Protocol, subsets: Sequence[str], axes: Axes | None = None) -> Axes:
    """Draw the curves of some subsets at all IoU thresholds, log over log; return the axes.

    A curve begins at its first false positive: before it FPPI is 0, which a logarithm has no place for. Dots are where
    the protocol reads the curve. Raises AlfnetError for an unknown subset.
    """
    with extra_needed("notebook"):
        import matplotlib.pyplot as plt
        from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

    if axes is None:
        _, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    lowest, most = 1.0, 1.0
    for key, curves in rates.curves.items():
        for name in subsets:
            if name not in curves:
                raise AlfnetError(f"no subset {name!r} was evaluated; there are: {', '.join(curves)}")
            curve = curves[name]
            if curve is None or curve.fppi[-1] == 0:
                continue
            points = thin(curve, protocol=protocol)
            shown = points.fppi > 0
            percent = rates.percent[key][name]
            label = f"{name}, IoU {key.removeprefix('iou_')}: {percent:.2f} %"
            (line,) = axes.plot(points.fppi[shown], points.miss_rate[shown], label=label, linewidth=1.5)
            first = points.fppi[shown][0]
            at = [
                (fppi, rate)
                for fppi, rate in zip(protocol.fppi_points, miss_rates_at_points(curve, protocol), strict=True)
                if first <= fppi <= points.fppi[-1] and rate > 0
            ]
            axes.plot(*zip(*at, strict=True), "o", color=line.get_color(), markersize=3) if at else None
            positive = points.miss_rate[points.miss_rate > 0]
            lowest, most = min(lowest, positive.min()), max(most, points.fppi[-1])
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.001, 1.2 * most)
    axes.set_ylim(max(0.005, 0.8 * lowest), 1.1)
    for axis, ticks in ((axes.xaxis, _FPPI_TICKS), (axes.yaxis, _MISS_RATE_TICKS)):
        axis.set_major_locator(FixedLocator(ticks))
        axis.set_minor_locator(NullLocator())
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("false positives per image")
    axes.set_ylabel("miss rate")
    axes.grid(alpha=0.3)
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize="small")
    return axes
