"""One table, three forms."""

from __future__ import annotations

import csv
import io

import pytest

from alfnet.report.table import Column, Table, escape_latex

TABLE = Table(
    "example",
    (Column("variant", "Variant"), Column("mr_50", "MR & more"), Column("paper_mr_50", "Paper: MR")),
    (("a_b|c", 12.005, None), ("d", 3, 12.01)),
    "100 % of {them} cost 5 $ ≥ 1 × 2",
)


def test_csv_reads_back_with_two_decimals_and_nothing_for_none() -> None:
    rows = list(csv.reader(io.StringIO(TABLE.csv())))
    assert rows == [["variant", "mr_50", "paper_mr_50"], ["a_b|c", "12.01", ""], ["d", "3", "12.01"]]
    assert "\r" not in TABLE.csv()


def test_csv_quotes_commas() -> None:
    table = Table("t", (Column("pair", "Pair"),), (("(0.3, 0.5)",),), "")
    assert list(csv.reader(io.StringIO(table.csv())))[1] == ["(0.3, 0.5)"]


def test_markdown_has_dashes_for_none_escaped_bars_and_the_caption() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[0].split("|")[1].strip() == "variant"
    assert lines[2].startswith("| a_b\\|c ")
    assert lines[2].rstrip(" |").endswith("–")
    assert {len(line) for line in lines[:4]} == {len(lines[0])}
    assert lines[1].split("|")[2].endswith(": ") or lines[1].split("|")[2].strip().endswith(":")  # numbers to the right
    assert lines[-1] == TABLE.caption


def test_latex_escapes_everything_special() -> None:
    assert escape_latex(r"\&%$#_{}~^") == (r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}")
    text = TABLE.latex()
    assert r"a\_b|c & 12.01 & -- \\" in text
    assert r"MR \& more" in text
    assert r"\caption{100 \% of \{them\} cost 5 \$ $\geq$ 1 $\times$ 2}" in text
    assert r"\begin{tabular}{lrr}" in text
    assert text.isascii()


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", (Column("a", "A"),), (("x", "y"),), "")
