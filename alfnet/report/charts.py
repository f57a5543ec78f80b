"""The charts: one Vega-Lite specification each, in charts/, for `dvc plots`, the page and the PNG files.

A specification is a template in DVC's form: `<DVC_METRIC_DATA>` stands for the rows. `dvc plots` fills it itself and adds
a column `rev`; `filled` does the same for the page and the PNG files, where there is one revision and no legend of them.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd

from alfnet.files import write_bytes

NAMES = ("steps", "miss_rate", "positives", "training")
VEGA_LITE = "6.4"
_FONT = "DejaVu Sans"  # of matplotlib: the same letters on every machine
_SCALE = 1.6  # pixels of a PNG per unit of the chart

Rows = Sequence[dict[str, Any]]


def template(name: str) -> dict[str, Any]:
    """Return the specification of a chart, unfilled."""
    return json.loads(resources.files("alfnet.report").joinpath("charts", f"{name}.json").read_text(encoding="utf-8"))


def filled(name: str, rows: Rows) -> dict[str, Any]:
    """Return a chart's specification with its rows: those of its CSV file, as `rows_of` gives them."""
    chart = template(name)
    chart["data"] = {"name": "rows", "values": list(rows)}
    return _without_revisions(chart)


def _without_revisions(part: Any) -> Any:
    if isinstance(part, list):
        return [_without_revisions(entry) for entry in part if not _is_revision(entry)]
    if isinstance(part, dict):
        return {
            key: entry if key == "values" else _without_revisions(entry)
            for key, entry in part.items()
            if not _is_revision(entry)
        }
    return part


def _is_revision(part: Any) -> bool:
    return isinstance(part, dict) and part.get("field") == "rev"


def write_png(path: Path, chart: dict[str, Any]) -> None:
    """Write a filled chart as PNG: the same bytes for the same chart on every processor (`make portability`)."""
    import matplotlib as mpl
    import vl_convert

    vl_convert.register_font_directory(str(Path(mpl.get_data_path()) / "fonts" / "ttf"))
    drawn = chart | {"background": "white", "config": chart["config"] | {"font": _FONT}, "padding": 12}
    write_bytes(path, vl_convert.vegalite_to_png(drawn, vl_version=VEGA_LITE, scale=_SCALE))


def csv_text(frame: pd.DataFrame) -> str:
    """Return a chart's rows as CSV with six significant digits: the same bytes for the same numbers."""
    shown = frame.apply(
        lambda column: column.map(lambda value: f"{value:.6g}") if pd.api.types.is_float_dtype(column) else column
    )
    return shown.to_csv(index=False, lineterminator="\n")


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a table as rows for a chart."""
    return [{str(key): value for key, value in row.items()} for row in frame.to_dict(orient="records")]


@functools.cache
def library() -> str:
    """Return Vega, Vega-Lite and Vega-Embed (BSD 3-clause) as one script, from the page that `dvc plots` fills."""
    page = resources.files("alfnet.report").joinpath("page", "plots.html").read_text(encoding="utf-8")
    return page.partition('<script id="library">')[2].partition("</script>")[0]
