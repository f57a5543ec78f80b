"""A table and its forms: CSV for programs, Markdown for reading on a code host, LaTeX for a paper.

The forms are pandas'; the numbers are turned into text here first, so that equal figures give equal bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alfnet.report.results import Sample

Cell = str | int | float | Sample | None

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
    "±": r"$\pm$",
    "→": r"$\to$",
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
    """A table: every row has one cell per column; None is a figure that does not exist, never a zero.

    A `Sample` is a figure measured once per seed: its mean and standard deviation are shown; the CSV has each seed's
    value too. `seeds` are the seeds of the run; with a single one the table looks as if there were none.
    """

    name: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    caption: str
    seeds: tuple[int, ...] = (1,)
    footer: tuple[str, ...] = ()
    """Sentences below the caption, a point each."""

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

    def text(self, cell: Cell) -> str:
        """Return a cell as a person reads it; with its n where that is not the number of seeds."""
        return format_cell(cell, len(self.seeds))

    def filled(self) -> list[int]:
        """The columns that hold something, all of them in a table without rows: dashes alone are not worth reading."""
        return [
            index
            for index in range(len(self.columns))
            if not self.rows or any(row[index] is not None for row in self.rows)
        ]

    def frame(self) -> pd.DataFrame:
        """Return the table as a program wants it: text cells, a Sample in columns for mean, deviation and each seed.

        The columns are those of the table; behind each measured one `..._sd`, and last `seeds` (their number) and
        `..._seed_N`. With a single seed the columns are the table's own.
        """
        several = len(self.seeds) > 1
        data: dict[str, list[str]] = {}
        behind: dict[str, list[str]] = {}
        for index, column in enumerate(self.columns):
            cells = [row[index] for row in self.rows]
            data[column.name] = [format_number(cell) for cell in cells]
            if several and any(isinstance(cell, Sample) for cell in cells):
                samples = [cell if isinstance(cell, Sample) else Sample(()) for cell in cells]
                data[f"{column.name}_sd"] = [format_number(sample.deviation) for sample in samples]
                behind["seeds"] = [str(sample.n) for sample in samples]
                for place, seed in enumerate(self.seeds):
                    behind[f"{column.name}_seed_{seed}"] = [
                        "" if place >= len(sample.values) or (value := sample.values[place]) is None else f"{value:.4f}"
                        for sample in samples
                    ]
        return pd.DataFrame(data | {"seeds": behind.pop("seeds")} | behind if behind else data, dtype=str)

    def csv(self) -> str:
        """Return the table as CSV: column names, numbers with two decimals (each seed's with four), nothing for None."""
        return self.frame().to_csv(index=False, lineterminator="\n")

    def markdown(self) -> str:
        """Return the table in GitHub's Markdown, caption and footer below; – for None, columns of None left out."""
        shown = self.filled()
        cells = {
            self.columns[index].name: [self.text(row[index]).replace("|", "\\|") for row in self.rows]
            for index in shown
        }
        align = ["right" if self.is_numeric(index) else "left" for index in shown]
        text = pd.DataFrame(cells, dtype=str).to_markdown(index=False, colalign=align, disable_numparse=True)
        footer = "".join(f"- {sentence}\n" for sentence in self.footer)
        return f"{text}\n\n{self.caption}\n" + (f"\n{footer}" if footer else "")

    def latex(self) -> str:
        r"""Return a LaTeX `table` with its caption (\usepackage{booktabs}); -- for None, columns of None left out."""
        shown = self.filled()
        cells = pd.DataFrame([[escape_latex(self.text(row[index])) for index in shown] for row in self.rows])
        text = cells.to_latex(
            index=False,
            header=[escape_latex(self.columns[index].title) for index in shown] if self.rows else False,
            escape=False,
            column_format="".join("r" if self.is_numeric(index) else "l" for index in shown),
            caption=escape_latex(self.caption),
            label=f"tab:{self.name}",
        )
        return "% needs \\usepackage{booktabs}\n" + text


def format_number(cell: Cell) -> str:
    """Return a cell as a program reads it: a float or a Sample's mean with two decimals, nothing for None."""
    if cell is None or (isinstance(cell, Sample) and not cell.n):
        return ""
    if isinstance(cell, Sample):
        return f"{cell.mean:.2f}"
    return f"{cell:.2f}" if isinstance(cell, float) else str(cell)


def format_cell(cell: Cell, seeds: int = 1) -> str:
    """Return a cell as a person reads it: '12.01', '12.01 ± 0.35' of several seeds, – for None.

    seeds: of the run; a figure of fewer says so: '12.01 (n = 1)' is that of an imported detector, which has no seeds.
    """
    text = format_number(cell)
    if isinstance(cell, Sample) and cell.deviation is not None:
        text = f"{text} ± {cell.deviation:.2f}"
    if isinstance(cell, Sample) and 0 < cell.n < seeds:
        text = f"{text} (n = {cell.n})"
    return text or "–"


def escape_latex(text: str) -> str:
    """Return `text` such that LaTeX prints it as it stands."""
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)
