"""`python -m tools.soak`: try it all, print what went wrong, and write docs/reliability.md (`make soak`)."""

from __future__ import annotations

import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from alfnet.files import write_text
from tools.soak.cases import BAD, prepare
from tools.soak.readers import ROOT

OUT = ROOT / "docs" / "reliability.md"

# Each promise, and the test that shows it.
PROMISES = (
    ("A command replaces only its own earlier output", "tests/test_cli.py::test_no_command_writes_over_an_input_or_a_stranger"),
    ("Results go through links, pipes and devices", "tests/test_cli.py::test_results_go_through_links_pipes_and_devices"),
    ("A folder with anything else in it stays", "tests/test_outputs.py::test_what_is_not_ours_stays"),
    ("`alfnet prune` removes what stages wrote, and nothing else", "tests/test_cli.py::test_check_and_prune_find_what_removed_variants_left_and_nothing_else"),
    ("A file appears whole or not at all", "tests/test_files.py::test_failing_block_leaves_the_earlier_file"),
    ("What a killed process left behind goes with the next run", "tests/test_files.py::test_what_a_killed_process_left_beside_an_output_goes_with_the_next_write"),
    ("A full disk is named", "tests/test_files.py::test_a_full_disk_is_named"),
    ("A killed `dvc repro` ends with the same bytes", "tests/test_pipeline.py::test_killed_repro_ends_with_the_same_bytes"),
    ("HDF5 files cannot point elsewhere", "tests/test_pretrained_keras.py::test_pointers_out_of_the_file_are_not_followed"),
    ("Declared sizes are compared before memory is taken", "tests/test_pretrained_keras.py::test_declared_sizes_are_compared_before_anything_is_read"),
    ("YAML bombs are refused", "tests/test_yaml_file.py::test_bombs_and_broken_files_are_refused"),
    ("Downloads are verified, redirects stay in bounds", "tests/test_pretrained_download.py::test_redirects_out_of_bounds_are_refused"),
    ("What is installed is pinned by hash", "tests/test_supply.py::test_every_locked_package_has_an_exact_version_and_hashes"),
)  # fmt: skip


def main(
    cases: Annotated[int, typer.Option(help="Damaged files, over all readers.")] = 3000,
    kills: Annotated[int, typer.Option(help="Of the whole pipeline.")] = 40,
    signals: Annotated[int, typer.Option(help="To commands that write.")] = 96,
    races: Annotated[int, typer.Option(help="Of two equal commands, for each command.")] = 3,
    disks: Annotated[bool, typer.Option(help="Try full disks.")] = True,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="A folder for the files of bad endings.")] = None,
    write: Annotated[bool, typer.Option(help="Write docs/reliability.md.")] = True,
) -> None:
    """Damage, kill, interrupt, fill the disk; exit code 1 if any promise was broken."""
    prepare()
    from tools.soak.disks import full_disks
    from tools.soak.fuzz import fuzz
    from tools.soak.interruptions import races as run_races
    from tools.soak.interruptions import signals as send_signals
    from tools.soak.kills import kill_pipeline
    from tools.soak.readers import readers

    started = time.monotonic()
    all_readers = readers()
    bars = {
        name: iter(track(range(total), description=name, console=None, disable=not sys.stderr.isatty()))
        for name, total in (("damaged files", cases + len(all_readers)), ("signals", signals), ("kills", kills))
    }
    tallies = fuzz(all_readers, cases, seed, keep=keep, on_case=lambda: next(bars["damaged files"], None))
    faults = [fault for tally in tallies for fault in tally.faults]
    rows = [("two at once", *_counted(run_races(races)))] if races else []
    if disks:
        rows.append(("full disks, each command that writes", *_counted(full_disks())))
    if signals:
        found = send_signals(signals, seed, on_case=lambda: next(bars["signals"], None))
        rows.append(("SIGINT, SIGTERM, SIGKILL to commands that write, at random moments", signals, found))
    if kills:
        killed = kill_pipeline(kills, seed, on_case=lambda: next(bars["kills"], None))
        rows.append((f"SIGKILL to the whole pipeline, {killed.finished} runs compared", killed.kills, killed.faults))
    faults += [fault for _, _, found in rows for fault in found]
    for fault in faults:
        print(fault)
    total = sum((tally.outcomes for tally in tallies), Counter())
    print(
        f"{sum(total.values())} damaged files: {dict(total)}; {len(faults)} faults in {time.monotonic() - started:.0f} s"
    )
    if write:
        write_text(OUT, document(tallies, rows, seed))
    if faults:
        raise typer.Exit(1)


def _counted(found: tuple[int, list[str]]) -> tuple[int, list[str]]:
    return found


def document(tallies: list, rows: list[tuple[str, int, list[str]]], seed: int) -> str:
    """The text of docs/reliability.md."""
    lines = [
        "# Reliability",
        "",
        "What this project promises about files and failures, the test that shows each promise, and the counts of the last",
        "`make soak`, which wrote this page.",
        "",
        "| promise | shown by |",
        "| ------- | -------- |",
        *(f"| {promise} | `{test}` |" for promise, test in PROMISES),
        "",
        f"## Damaged files (seed {seed})",
        "",
        "Each case runs in a process of its own, with 10 s and 2 GiB. Read: the damage does not show in this format, or did",
        "not matter. Silent: taken although it is certainly bad, with another content than the whole file's.",
        "",
        "| reader | cases | refused | read | " + " | ".join(BAD) + " | slowest, s |",
        "| ------ | ----: | ------: | ---: | " + " | ".join("---:" for _ in BAD) + " | ---------: |",
    ]
    for tally in tallies:
        counts = tally.outcomes
        cells = [sum(counts.values()), counts["refused"], counts["accepted"], *(counts[outcome] for outcome in BAD)]
        lines.append(f"| {tally.name} | " + " | ".join(map(str, cells)) + f" | {tally.slowest:.1f} |")
    lines += ["", "## Everything else", "", "| what | tries | faults |", "| ---- | ----: | -----: |"]
    lines += [f"| {name} | {tries} | {len(found)} |" for name, tries, found in rows]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    typer.run(main)
