"""Matplotlib figures as PNG files of the same bytes for the same numbers."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from alfnet.files import write_bytes

# Okabe and Ito's colours, told apart with every common colour blindness; their yellow is left out on a white ground.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#5B5B5B")
_BACKBONE_DASHES = {"resnet50": "solid", "mobilenet": (0, (5, 2))}
_SECOND_ROUND = (0, (1.2, 1.2))

# Everything that a user's matplotlibrc or the machine's fonts could change.
_STYLE = {
    "font.family": ["DejaVu Sans"],  # comes with matplotlib
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "legend.frameon": False,
    "text.usetex": False,
    "path.simplify": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style, whatever the user's settings are."""
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(_STYLE)
        yield


def line_style(index: int, backbone: str) -> dict[str, Any]:
    """Return colour and dashes for the variant at a position of the parameters; dotted where a colour comes again."""
    dashes = _BACKBONE_DASHES[backbone] if index < len(COLOURS) else _SECOND_ROUND
    return {"color": COLOURS[index % len(COLOURS)], "linestyle": dashes}


def write_figure(path: Path, figure: Figure, *, dpi: int = 110) -> None:
    """Write a figure as PNG, without dates or versions in it."""
    FigureCanvasAgg(figure)
    buffer = io.BytesIO()
    figure.savefig(
        buffer, format="png", dpi=dpi, metadata={"Software": None}, facecolor="white", pil_kwargs={"optimize": True}
    )
    write_bytes(path, buffer.getvalue())
