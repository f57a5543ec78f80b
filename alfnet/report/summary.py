"""The ablation table in the terminal, with what it means in two sentences."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.params import Params
from alfnet.report.results import read_timings
from alfnet.report.table import Table, format_cell

Row = dict[str, Any]

_LISTED = 4  # more gains than this are given as a range
_INTEGERS = ("steps", "test_step")
_NUMBERS = ("mr_50", "mr_75", "paper_mr_50", "paper_mr_75", "parameters_millions")


def ablation_rows(table: Table) -> list[Row]:
    """Return the ablation table as one dictionary per row, numbers rounded as they are printed."""
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, row, strict=True)) for row in table.rows]
    return [{key: round(cell, 2) if isinstance(cell, float) else cell for key, cell in row.items()} for row in rows]


def read_ablation(path: Path) -> list[Row]:
    """Read plots/ablation.csv; AlfnetError where it is missing or another table."""
    try:
        with path.open(newline="") as file:
            rows: list[Row] = list(csv.DictReader(file))
        for row in rows:
            row.update({name: int(row[name]) for name in _INTEGERS})
            row.update({name: float(row[name]) if row[name] else None for name in _NUMBERS})
    except FileNotFoundError:
        raise AlfnetError(f"{path}: no such file; make it with: dvc repro") from None
    except (KeyError, TypeError, ValueError) as error:
        raise AlfnetError(
            f"{path}: not an ablation table ({error!r}); make it again with: dvc repro -f report"
        ) from None
    return rows


def conclusions(rows: list[Row]) -> list[str]:
    """Say in two sentences, from the numbers alone, whether more steps are better at IoU 0.75.

    The first compares models of one and two steps of a backbone (the first variant of each), the second the first and
    the last test step within each model of several steps. Where the numbers do not show it, the sentences say so.
    """
    return [_steps_sentence(rows), _last_step_sentence(rows)]


def _steps_sentence(rows: list[Row]) -> str:
    changes: list[tuple[str, float]] = []
    for backbone in dict.fromkeys(row["backbone"] for row in rows):
        one, two = (_final(rows, backbone, steps) for steps in (1, 2))
        if one is not None and two is not None:
            changes.append((f"with {backbone} ({one:.2f} → {two:.2f} %)", one - two))
    if not changes:
        return (
            "No backbone has variants of both one and two steps, so the table does not tell what a second step brings."
        )
    better = [f"{_points(gain)} lower {where}" for where, gain in changes if gain > 0]
    equal = [f"the same {where}" for where, gain in changes if gain == 0]
    worse = [f"{_points(-gain)} higher {where}" for where, gain in changes if gain < 0]
    subject = "At IoU 0.75 the miss rate of models of two steps"
    if not worse and not equal:
        return f"{subject} is lower than that of models of one: {_join(better)}."
    if not better:
        return f"{subject} is not lower than that of models of one: {_join(equal + worse)}."
    return f"{subject} is not always lower than that of models of one: {_join(better + equal + worse)}."


def _last_step_sentence(rows: list[Row]) -> str:
    gains: list[tuple[str, float]] = []
    for variant in dict.fromkeys(row["variant"] for row in rows):
        own = sorted((row for row in rows if row["variant"] == variant), key=lambda row: row["test_step"])
        if len(own) > 1 and own[0]["mr_75"] is not None and own[-1]["mr_75"] is not None:
            gains.append((variant, own[0]["mr_75"] - own[-1]["mr_75"]))
    if not gains:
        return "No model of several steps was tested, so first and last step cannot be compared."
    better = [f"{_points(gain)} ({variant})" for variant, gain in gains if gain > 0]
    others = [
        f"{variant} ({_points(-gain)} worse)" if gain < 0 else f"{variant} (no difference)"
        for variant, gain in gains
        if gain <= 0
    ]
    if len(better) > _LISTED:
        gain_of = dict(gains)
        least, most = (
            choose((name for name in gain_of if gain_of[name] > 0), key=gain_of.__getitem__) for choose in (min, max)
        )
        better = [f"{_points(gain_of[least])} ({least}) to {_points(gain_of[most])} ({most})"]
    if not others:
        return f"Within every model of several steps the last step is better there than the first, by {_join(better)}."
    if not better:
        return f"Within the models of several steps the last step is not better there than the first: {_join(others)}."
    return (
        f"Within a model the last step is better there than the first by {_join(better)}, but not in {_join(others)}."
    )


def print_summary(params: Params, *, root: Path, console: Any = None) -> None:
    """Print plots/ablation.csv below `root` as a table, the best of each column marked, and what it means.

    It needs that one file, so it works in a fresh clone without data; the time per image is added for variants that
    detection has timed on this machine. Raises AlfnetError where the file is missing or of other variants.
    """
    from rich.console import Console
    from rich.table import Table as RichTable

    rows = read_ablation(root / "plots" / "ablation.csv")
    found = list(dict.fromkeys(row["variant"] for row in rows))
    if found != list(params.variants):
        raise AlfnetError(
            f"plots/ablation.csv: is of the variants {', '.join(found)}, the parameters have "
            f"{', '.join(params.variants)}; run: dvc repro"
        )
    timings = read_timings(params, root)
    has_paper = any(row["paper_mr_50"] is not None or row["paper_mr_75"] is not None for row in rows)
    best = {
        name: min((row[name] for row in rows if row[name] is not None), default=None) for name in ("mr_50", "mr_75")
    }
    table = RichTable(title="Miss rate in percent, Reasonable subset (lower is better)", title_justify="left")
    table.add_column("variant", no_wrap=True)
    table.add_column("test step", justify="right")
    table.add_column("IoU 0.5", justify="right")
    table.add_column("IoU 0.75", justify="right")
    if has_paper:
        table.add_column("paper 0.5", justify="right", style="dim")
        table.add_column("paper 0.75", justify="right", style="dim")
    table.add_column("parameters", justify="right")
    if timings:
        table.add_column("s / image", justify="right")
    for index, row in enumerate(rows):
        measured = [_highlight(row[name], best[name]) for name in ("mr_50", "mr_75")]
        paper = [format_cell(row[name], "–") for name in ("paper_mr_50", "paper_mr_75")] if has_paper else []
        is_last = index + 1 == len(rows) or rows[index + 1]["variant"] != row["variant"]
        step = f"{row['test_step']} of {row['steps']}"
        millions = "–" if row["parameters_millions"] is None else f"{row['parameters_millions']:.2f} M"
        seconds = timings.get(row["variant"])
        timed = ["" if seconds is None or not is_last else f"{seconds:.3f}"] if timings else []
        table.add_row(row["variant"], step, *measured, *paper, millions, *timed, end_section=is_last)
    console = console or Console()
    console.print(table)
    console.print(" ".join(conclusions(rows)), markup=False, highlight=False)


def _final(rows: list[Row], backbone: str, steps: int) -> float | None:
    for row in rows:
        if row["backbone"] == backbone and row["steps"] == steps == row["test_step"]:
            return row["mr_75"]
    return None


def _highlight(value: float | None, best: float | None) -> str:
    text = format_cell(value, "–")
    return f"[bold green]{text}[/]" if value is not None and value == best else text


def _points(value: float) -> str:
    return f"{value:.2f} points"


def _join(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"{', '.join(parts[:-1])} and {parts[-1]}"
