"""The ablation table in the terminal, with what it shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from alfnet.errors import AlfnetError
from alfnet.params import Params
from alfnet.report.results import read_timings
from alfnet.report.statements import statements

_NEEDED = ("variant", "backbone", "steps", "test_step", "mr_50", "mr_75", "parameters_millions")


def read_ablation(path: Path) -> pd.DataFrame:
    """Read plots/ablation.csv, every cell as text; AlfnetError where it is missing or another table."""
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        for column in _NEEDED:
            values = table[column]
            if column not in ("variant", "backbone"):
                pd.to_numeric(values.replace("", "nan"))
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; make it with: dvc repro") from None
    except (KeyError, ValueError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise AlfnetError(f"{path}: not an ablation table ({error}); make it again with: dvc repro -f report") from None
    return table


def print_summary(params: Params, *, root: Path, console: Any = None) -> None:
    """Print plots/ablation.csv below `root` as a table, the best of each column marked, and what it shows.

    It needs that one file, so it works in a fresh clone without data; the time per image is added for variants that
    detection has timed on this machine. Raises AlfnetError where the file is missing or of other variants.
    """
    from rich.console import Console
    from rich.table import Table as RichTable

    table = read_ablation(root / "plots" / "ablation.csv")
    found = list(table["variant"].drop_duplicates())
    if found != list(params.variants):
        raise AlfnetError(
            f"plots/ablation.csv: is of the variants {', '.join(found)}, the parameters have "
            f"{', '.join(params.variants)}; run: dvc repro"
        )
    timings = read_timings(params, root)
    paper = [name for name in ("paper_mr_50", "paper_mr_75") if name in table and (table[name] != "").any()]
    has_spread = "mr_75_sd" in table
    best = {name: pd.to_numeric(table[name].replace("", "nan")).min() for name in ("mr_50", "mr_75")}
    shown = RichTable(title="Miss rate in percent, Reasonable subset (lower is better)", title_justify="left")
    shown.add_column("variant", no_wrap=True)
    for title in ("test step", "IoU 0.5", "IoU 0.75", *(["seeds"] if has_spread else [])):
        shown.add_column(title, justify="right", no_wrap=True)
    for name in paper:
        shown.add_column(f"paper {'0.5' if name.endswith('50') else '0.75'}", justify="right", style="dim")
    shown.add_column("parameters", justify="right")
    if timings:
        shown.add_column("s / image", justify="right")
    rows = table.to_dict(orient="records")
    for index, row in enumerate(rows):
        is_last = index + 1 == len(rows) or rows[index + 1]["variant"] != row["variant"]
        seconds = timings.get(row["variant"], {}).get("seconds_per_image")
        shown.add_row(
            row["variant"],
            f"{row['test_step']} of {row['steps']}",
            *(_measured(row, name, best[name]) for name in ("mr_50", "mr_75")),
            *([row["seeds"]] if has_spread else []),
            *(row[name] or "–" for name in paper),
            f"{row['parameters_millions']} M" if row["parameters_millions"] else "–",
            *(["" if seconds is None or not is_last else f"{seconds:.3f}"] if timings else []),
            end_section=is_last,
        )
    console = console or Console()
    console.print(shown)
    if has_spread:
        console.print("± standard deviation over the seeds", style="dim", highlight=False)
    for sentence in statements(table):
        console.print(sentence, markup=False, highlight=False)


def _measured(row: dict[Any, Any], name: str, best: float) -> str:
    if not row[name]:
        return "–"
    deviation = row.get(f"{name}_sd")
    text = f"{row[name]} ± {deviation}" if deviation else row[name]
    return f"[bold green]{text}[/]" if float(row[name]) == best else text
