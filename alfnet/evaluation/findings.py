"""What is printed beside the table of miss rates: kinds of error, the answer to "why did I get this", comparisons."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from alfnet.evaluation.compare import Comparison
from alfnet.evaluation.deviations import Answer
from alfnet.evaluation.error_kinds import FALSE_POSITIVE_MEANINGS, KINDS, MISS_MEANINGS, NAMES, UP_TO, ErrorKinds


def print_error_kinds(kinds: Sequence[ErrorKinds], console: Console) -> None:
    """Print, for each matching, false positives and misses by kind, and the miss rate left if a kind were mended."""
    for found in kinds:
        if found.miss_rate is None:
            continue
        title = f"What went wrong: {found.outcomes.subset.name}, IoU {found.outcomes.iou:g}, miss rate {found.miss_rate:.2f}"
        table = _table(title)
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


def kinds_legend() -> str:
    """Say what the kinds mean, a line each."""
    lines = []
    for kind in KINDS:
        meanings = [
            f"{what}: {meaning[kind]}"
            for what, meaning in (("box", FALSE_POSITIVE_MEANINGS), ("miss", MISS_MEANINGS))
            if kind in meaning
        ]
        lines.append(f"{NAMES[kind]} - {'; '.join(meanings)}")
    return "\n".join(lines)


def answer_text(answer: Answer) -> str:
    """Return what `print_answer` prints, as plain text."""
    stream = io.StringIO()
    print_answer(answer, Console(file=stream, width=100, color_system=None))
    return stream.getvalue().rstrip()


def print_answer(answer: Answer, console: Console) -> None:
    """Print what gives the figures that somebody got."""
    for got, figure in zip(answer.got, answer.protocol, strict=True):
        by_protocol = "none, for nobody is in it" if figure is None else f"{figure:.3f}"
        console.print(
            f"Got {got.value:g} ({got.name}); by the protocol it is {by_protocol}.", highlight=False, soft_wrap=True
        )
    if answer.is_protocol:
        console.print("That is the protocol's figure: nothing is done differently.", soft_wrap=True)
        return
    several = len(answer.got) > 1
    if answer.fits:
        heading = "This gives the figures:" if several else "This gives the figure:"
        if len(answer.explanations) > 1:
            heading = f"Each of these gives the figure{'s' if several else ''}, the likeliest first:"
    else:
        heading = f"None of {answer.tried} ways gives {'them' if several else 'it'}; the nearest:"
    console.print(heading, style="bold", soft_wrap=True)
    for number, explanation in enumerate(answer.explanations, 1):
        figures = ", ".join("-" if figure is None else f"{figure:.3f}" for figure in explanation.figures)
        console.print(f" {number}. {figures}: {explanation.sentence}.", highlight=False, markup=False, soft_wrap=True)
    if answer.more:
        console.print(f"{answer.more} more ways give it, too.", highlight=False, soft_wrap=True)
    if len(answer.explanations) > 1 and not several:
        console.print(
            "Further figures tell them apart: --got-from small=..., --got-from reasonable@0.75=...", highlight=False,
            markup=False, soft_wrap=True,
        )  # fmt: skip


def comparison_text(comparison: Comparison) -> str:
    """Return what `print_comparison` prints, as plain text."""
    stream = io.StringIO()
    print_comparison(comparison, Console(file=stream, width=100, color_system=None))
    return "\n".join(line.rstrip() for line in stream.getvalue().splitlines())


def print_comparison(comparison: Comparison, console: Console, *, listed: int = 10) -> None:
    """Print miss rates side by side with what their differences are worth, and whom one alone finds."""
    console.print(f"A: {comparison.names[0]}\nB: {comparison.names[1]}", highlight=False, markup=False, soft_wrap=True)
    for key, row in comparison.differences.items():
        table = _table(f"Log-average miss rate, percent, at IoU {key.removeprefix('iou_')}")
        table.add_column("subset")
        for heading in ("A", "B", "A - B", "95 % interval", "p"):
            table.add_column(heading, justify="right")
        for subset, found in row.items():
            if found.a is None or found.b is None or found.interval is None or found.p_value is None:
                table.add_row(subset, "-", "-", "-", "-", "-")
                continue
            table.add_row(
                subset,
                f"{found.a:.2f}",
                f"{found.b:.2f}",
                f"{found.value:+.2f}",
                f"{found.interval.low:+.2f} to {found.interval.high:+.2f}",
                f"{found.p_value:.3f}",
                style="bold" if found.shows else "",
            )
        console.print(table)
    console.print(
        f"{comparison.images} images, resampled for the interval of A - B (bold: it excludes 0); p: A and B exchanged "
        "on random images.",
        highlight=False,
    )
    only_a, only_b = len(comparison.of("A")), len(comparison.of("B"))
    console.print(
        f"\nOf {comparison.pedestrians} pedestrians ({comparison.subset}, IoU {comparison.iou:g}), at "
        f"{comparison.fppi:g} false positives per image each: {comparison.found_by_both} found by both, {only_a} by A "
        f"alone, {only_b} by B alone, {comparison.found_by_neither} by neither.",
        highlight=False,
    )
    headings = {"height": "height, px", "visible": "visible part", "error": "the other's error"}
    for name, counts in comparison.counts().items():
        if not counts:
            continue
        table = _table("")
        table.add_column(headings[name])
        table.add_column("A alone", justify="right")
        table.add_column("B alone", justify="right")
        for label, (a, b) in counts.items():
            table.add_row(label, str(a), str(b))
        console.print(table)
    for who in ("A", "B"):
        alone = sorted(comparison.of(who), key=lambda found: -found.height)[:listed]
        if alone:
            console.print(f"The tallest that {who} alone finds:", highlight=False)
        for one in alone:
            x, y, width, height = one.box
            where = f"{width:.0f} x {height:.0f} px at {x:.0f}, {y:.0f}"
            console.print(
                f"  {one.image or one.image_id}: {where} ({NAMES[one.other_kind]})",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )


def _table(title: str) -> Table:
    return Table(title=title or None, title_justify="left", box=None, pad_edge=False)
