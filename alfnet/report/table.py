"""A table and its forms: CSV for programs, Markdown for reading on a code host, LaTeX for a paper."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

Cell = str | int | float | None

_LATEX_SPECIAL = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "–": "--",
    "×": r"$\times$",
    "≥": r"$\geq$",
    "≤": r"$\leq$",
}


@dataclass(frozen=True)
class Column:
    """A column: `name` heads it in CSV and Markdown, `title` in LaTeX and on the page."""

    name: str
    title: str

    @property
    def is_paper(self) -> bool:
        """Whether the column holds published figures, which are never measured here."""
        return self.name.startswith("paper_")


@dataclass(frozen=True)
class Table:
    """A table: every row has one cell per column; None is a figure that does not exist, never a zero."""

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"table {self.name}: {len(row)} cells for {len(self.columns)} columns: {row}")

    def column(self, name: str) -> list[Cell]:
        """Return the cells of the column called `name`, top to bottom."""
        index = [column.name for column in self.columns].index(name)
        return [row[index] for row in self.rows]

    def is_numeric(self, index: int) -> bool:
        """Whether a column holds no text."""
        return bool(self.rows) and not any(isinstance(row[index], str) for row in self.rows)

    def csv(self) -> str:
        """Return the table as CSV: column names, numbers with two decimals, nothing for None."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(column.name for column in self.columns)
        writer.writerows([format_cell(cell, "") for cell in row] for row in self.rows)
        return text.getvalue()

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown, its caption below; – for None."""
        rows = [[format_cell(cell, "–").replace("|", "\\|") for cell in row] for row in self.rows]
        head = [column.name for column in self.columns]
        widths = [max(len(line[index]) for line in [head, *rows]) for index in range(len(head))]
        right = [self.is_numeric(index) for index in range(len(head))]
        rule = [
            "-" * (width - 1) + ":" if is_right else "-" * width for width, is_right in zip(widths, right, strict=True)
        ]
        padded = [_pad(head, widths, right), rule, *(_pad(row, widths, right) for row in rows)]
        return "\n".join("| " + " | ".join(line) + " |" for line in padded) + f"\n\n{self.caption}\n"

    def latex(self) -> str:
        r"""Return a LaTeX `table` with its caption (\usepackage{booktabs}); -- for None."""
        alignment = "".join("r" if self.is_numeric(index) else "l" for index in range(len(self.columns)))
        lines = [
            r"% needs \usepackage{booktabs}",
            r"\begin{table}",
            r"\centering",
            rf"\caption{{{escape_latex(self.caption)}}}",
            rf"\label{{tab:{self.name}}}",
            rf"\begin{{tabular}}{{{alignment}}}",
            r"\toprule",
            " & ".join(escape_latex(column.title) for column in self.columns) + r" \\",
            r"\midrule",
            *(" & ".join(escape_latex(format_cell(cell, "–")) for cell in row) + r" \\" for row in self.rows),
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
        return "\n".join(lines) + "\n"


def format_cell(cell: Cell, nothing: str) -> str:
    """Return a cell as text: a float with two decimals, `nothing` for None."""
    if cell is None:
        return nothing
    if isinstance(cell, float):
        return f"{cell:.2f}"
    return str(cell)


def escape_latex(text: str) -> str:
    """Return `text` such that LaTeX prints it as it stands."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def _pad(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> list[str]:
    return [
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    ]
