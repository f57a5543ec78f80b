"""One table, three forms."""

from __future__ import annotations

import csv
import io

import pytest

from alfnet.report.results import Sample
from alfnet.report.table import Column, Table, escape_latex

TABLE = Table(
    "example",
    (Column("variant", "Variant"), Column("mr_50", "MR & more"), Column("paper_mr_50", "Paper: MR")),
    (("a_b|c", 12.005, None), ("d", 3, 12.01)),
    "100 % of {them} cost 5 $ ≥ 1 × 2",
)
SEEDS = Table(
    "seeds",
    (Column("variant", "Variant"), Column("mr_50", "MR"), Column("nothing", "Nothing")),
    (("a", Sample((10.0, 12.0, None)), None), ("b", Sample((7.0,)), None), ("c", None, None)),
    "",
    seeds=(1, 2, 5),
    footer=("One.", "Two."),
)


def read(table: Table) -> list[list[str]]:
    return list(csv.reader(io.StringIO(table.csv())))


def test_csv_reads_back_with_two_decimals_and_nothing_for_none() -> None:
    assert read(TABLE) == [["variant", "mr_50", "paper_mr_50"], ["a_b|c", "12.01", ""], ["d", "3", "12.01"]]
    assert "\r" not in TABLE.csv()


def test_csv_has_mean_deviation_number_and_every_seed() -> None:
    assert read(SEEDS) == [
        ["variant", "mr_50", "mr_50_sd", "nothing", "seeds", "mr_50_seed_1", "mr_50_seed_2", "mr_50_seed_5"],
        ["a", "11.00", "1.41", "", "2", "10.0000", "12.0000", ""],
        ["b", "7.00", "", "", "1", "7.0000", "", ""],
        ["c", "", "", "", "0", "", "", ""],
    ]


def test_a_single_seed_looks_as_if_there_were_none() -> None:
    table = Table("t", (Column("mr_50", "MR"),), ((Sample((10.5,)),),), "", seeds=(3,))
    assert read(table) == [["mr_50"], ["10.50"]]
    assert "10.50 |" in table.markdown()


def test_markdown_shows_mean_and_deviation_without_empty_columns() -> None:
    text = SEEDS.markdown()
    assert "11.00 ± 1.41" in text
    assert "nothing" not in text
    assert text.endswith("\n- One.\n- Two.\n")


def test_a_figure_of_fewer_seeds_says_of_how_many() -> None:
    text = SEEDS.markdown()
    assert "11.00 ± 1.41 (n = 2) |" in text
    assert " 7.00 (n = 1) |" in text
    assert r"11.00 $\pm$ 1.41 (n = 2)" in SEEDS.latex()
    assert "n = " not in SEEDS.csv()
    whole = Table("t", (Column("mr_50", "MR"),), ((Sample((10.0, 12.0)),),), "", seeds=(1, 2))
    assert "n = " not in whole.markdown()


def test_csv_quotes_commas() -> None:
    table = Table("t", (Column("pair", "Pair"),), (("(0.3, 0.5)",),), "")
    assert read(table)[1] == ["(0.3, 0.5)"]


def test_markdown_has_dashes_for_none_escaped_bars_and_the_caption() -> None:
    lines = TABLE.markdown().splitlines()
    assert lines[0].split("|")[1].strip() == "variant"
    assert lines[2].startswith("| a_b\\|c ")
    assert lines[2].rstrip(" |").endswith("–")
    assert {len(line) for line in lines[:4]} == {len(lines[0])}
    assert lines[1].split("|")[2].endswith(":")  # numbers to the right
    assert lines[-1] == TABLE.caption


def test_latex_escapes_everything_special() -> None:
    assert escape_latex(r"\&%$#_{}~^") == (r"\textbackslash{}\&\%\$\#\_\{\}\textasciitilde{}\textasciicircum{}")
    text = TABLE.latex()
    assert r"a\_b|c & 12.01 & -- \\" in text
    assert r"MR \& more" in text
    assert r"\caption{100 \% of \{them\} cost 5 \$ $\geq$ 1 $\times$ 2}" in text
    assert r"\begin{tabular}{lrr}" in text
    assert r"11.00 $\pm$ 1.41" in SEEDS.latex()
    assert text.isascii()


def test_tables_without_rows_have_all_forms() -> None:
    table = Table("t", TABLE.columns, (), "none")
    assert read(table) == [["variant", "mr_50", "paper_mr_50"]]
    assert table.markdown().endswith("none\n")
    assert r"\label{tab:t}" in table.latex()


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="2 cells for 1 columns"):
        Table("t", (Column("a", "A"),), (("x", "y"),), "")
