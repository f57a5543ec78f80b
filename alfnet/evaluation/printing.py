"""What results are printed with: their text, tables without lines, and the table of kinds of error."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from alfnet.evaluation.error_kinds import FALSE_POSITIVE_MEANINGS, MISS_MEANINGS, NAMES, UP_TO, ErrorKinds


def printed(print_to: Callable[[Console], None], width: int) -> str:
    """What a function prints to a console of a width, as plain text."""
    stream = io.StringIO()
    print_to(Console(file=stream, width=width, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def plain_table(title: str) -> Table:
    """A table without lines around its cells."""
    return Table(title=title or None, title_justify="left", box=None, pad_edge=False)


def counted(number: int, noun: str) -> str:
    """Return a number with its noun: "1 image", "2 images"."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def print_error_kinds(kinds: Sequence[ErrorKinds], console: Console) -> None:
    """Print, for each matching, false positives and misses by kind, and the miss rate left if a kind were mended."""
    for found in kinds:
        if found.miss_rate is None:
            continue
        where = f"{escape(found.outcomes.subset.name)}, IoU {found.outcomes.iou:g}"
        title = f"What went wrong: {where}, miss rate {found.miss_rate:.2f}"
        table = plain_table(title)
        table.add_column("kind")
        for heading in ("false positives", "misses", "left if mended"):
            table.add_column(heading, justify="right")
        for kind, (wrong, missed) in found.counts().items():
            left = found.left[kind]
            table.add_row(
                NAMES[kind],
                str(wrong) if kind in FALSE_POSITIVE_MEANINGS else "-",
                str(missed) if kind in MISS_MEANINGS else "-",
                "-" if left is None else f"{left:.2f}",
            )
        console.print(table)
    console.print(f"(up to {UP_TO:g} false positive per image, beyond which nothing counts)", highlight=False)
