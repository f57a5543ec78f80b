"""`python -m tools.soak`: try it all, print what went wrong, and write docs/reliability.md (`make soak`)."""

from __future__ import annotations

import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import track

from alfnet.files import write_text
from tools.soak.cases import BAD, prepare
from tools.soak.parts import Part, Parts, joined
from tools.soak.readers import ROOT

OUT = ROOT / "docs" / "reliability.md"
STATE = ROOT / ".scratch" / "soak"

# Each promise, and the test that shows it.
PROMISES = (
    ("A command replaces only its own earlier output", "tests/test_cli.py::test_no_command_writes_over_an_input_or_a_stranger"),
    ("Results go through links, pipes and devices", "tests/test_cli.py::test_results_go_through_links_pipes_and_devices"),
    ("A folder with anything else in it stays", "tests/test_outputs.py::test_what_is_not_ours_stays"),
    ("`alfnet prune` removes what stages wrote, and nothing else", "tests/test_cli.py::test_check_and_prune_find_what_removed_variants_left_and_nothing_else"),
    ("A file appears whole or not at all", "tests/test_files.py::test_failing_block_leaves_the_earlier_file"),
    ("Unfinished outputs lie where no stage looks; those of dead processes go", "tests/test_files.py::test_temporaries_can_lie_elsewhere_and_dead_ones_go"),
    ("What a killed process left behind goes with the next run", "tests/test_files.py::test_what_a_killed_process_left_beside_an_output_goes_with_the_next_write"),
    ("A full disk is named", "tests/test_files.py::test_a_full_disk_is_named"),
    ("Weights that are not finite, or absurd, are neither written nor read", "tests/test_network_weight_files.py::test_numbers_that_no_network_computes_with_are_neither_written_nor_read"),
    ("A damaged checkpoint is passed over with a word", "tests/test_training_checkpoints.py::test_every_damage_is_passed_over_with_a_word"),
    ("A finished training stays until another of its name has ended", "tests/test_training_checkpoints.py::test_a_finished_run_stays_until_another_of_its_name_has_ended"),
    ("Ctrl-C ends a training with a line that says what is kept", "tests/test_training_run.py::test_ctrl_c_ends_a_training_with_a_line"),
    ("SIGTERM too; a second training of a run names the first", "tests/test_training_run.py::test_a_second_training_of_a_run_names_the_first_and_sigterm_ends_that_with_a_line"),
    ("A training ends with the process that started it", "tests/test_training_run.py::test_a_training_ends_with_the_process_that_started_it"),
    ("A killed `dvc repro` ends with the same bytes", "tests/test_pipeline.py::test_killed_repro_ends_with_the_same_bytes"),
    ("A `dvc.lock` that was cut short is recognised and mended", "tests/test_pipeline.py::test_a_lock_file_cut_short_is_mended"),
    ("No shell reads a name of params.yaml", "tests/test_pipeline.py::test_names_are_never_read_by_a_shell"),
    ("What `dvc add` put there survives `dvc checkout`", "tests/test_pipeline.py::test_data_that_dvc_add_put_there_survives"),
    ("Stages run the package beside them", "tests/test_pipeline.py::test_stages_use_the_package_beside_them"),
    ("HDF5 files cannot point elsewhere", "tests/test_pretrained_keras.py::test_pointers_out_of_the_file_are_not_followed"),
    ("Declared sizes are compared before memory is taken", "tests/test_pretrained_keras.py::test_declared_sizes_are_compared_before_anything_is_read"),
    ("Bombs among detections and ground truths are refused within a GiB", "tests/test_reading_forms.py::test_bombs_within_a_gibibyte"),
    ("So are MATLAB's", "tests/test_annotations_mat_file.py::test_a_bomb_of_zeros_is_refused_before_it_is_unpacked"),
    ("So are images, from their headers", "tests/test_images.py::test_bombs_are_refused_from_the_header"),
    ("So are YAML's", "tests/test_yaml_file.py::test_bombs_and_broken_files_are_refused"),
    ("Damaged JPEGs are refused (where their damage shows: a flipped bit may make another whole picture)", "tests/test_images.py::test_damaged_jpegs_are_refused"),
    ("Strange content is one message", "tests/test_reading_forms.py::test_strange_content_is_one_message"),
    ("What makes a miss rate certainly wrong is an error", "tests/test_reading_traps.py::test_certain_mistakes_of_the_ground_truth"),
    ("What probably does is a warning with counts", "tests/test_reading_traps.py::test_traps_are_named"),
    ("Downloads are verified, redirects stay in bounds", "tests/test_pretrained_download.py::test_redirects_out_of_bounds_are_refused"),
    ("What is installed is pinned by hash", "tests/test_supply.py::test_every_locked_package_has_an_exact_version_and_hashes"),
    ("Its licences are those that somebody decided on", "tests/test_supply.py::test_every_licence_is_one_that_somebody_decided_on"),
)  # fmt: skip


def main(
    cases: Annotated[int, typer.Option(help="Damaged files, over all readers.")] = 3000,
    kills: Annotated[int, typer.Option(help="Of the pipeline.")] = 40,
    signals: Annotated[int, typer.Option(help="To commands that write.")] = 96,
    races: Annotated[int, typer.Option(help="Of two equal commands, for each command.")] = 3,
    disks: Annotated[bool, typer.Option(help="Try full disks.")] = True,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 1,
    keep: Annotated[Path | None, typer.Option(help="A folder for the files of bad endings.")] = None,
    state: Annotated[Path, typer.Option(help="Where finished parts stay, for a soak that was interrupted.")] = STATE,
    write: Annotated[bool, typer.Option(help="Write docs/reliability.md.")] = True,
) -> None:
    """Damage, kill, interrupt, fill the disk; exit code 1 if any promise was broken."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what it started and wrote goes with it
    prepare()
    from tools.soak.commands import commands
    from tools.soak.disks import full_disks
    from tools.soak.fuzz import fuzz
    from tools.soak.interruptions import races as run_races
    from tools.soak.interruptions import signals as send_signals
    from tools.soak.kills import kill_pipeline, make_reference
    from tools.soak.readers import Reader, readers

    parts = Parts(state, seed)
    all_readers, names = readers(), sorted({command.name for command in commands()})
    each = -(-cases // len(all_readers))

    def damaged(reader: Reader) -> Part:
        tally = fuzz(reader, each, seed, keep=keep)
        return Part(reader.name, each, tally.faults, {str(how): n for how, n in tally.outcomes.items()}, tally.slowest)

    def counted(function: Callable[..., tuple[int, list[str]]], *arguments: object) -> Part:
        return Part(function.__name__, *function(*arguments))

    def of_pipeline(number: int, wanted: int) -> Part:
        reference = parts.folder / "reference"
        make_reference(reference)
        killed = kill_pipeline(wanted, seed * 1000 + number, reference)
        return Part("kills", killed.kills, killed.faults, {"finished": killed.finished})

    files, rows = [], []
    for reader in track(all_readers if cases else [], description="damaged files"):
        files.append(parts.run(f"files {reader.name}", each, partial(damaged, reader)))
    if races:
        found = [
            parts.run(f"races {name}", races, partial(counted, run_races, races, {name}))
            for name in track(names, description="two at once")
        ]
        rows.append(joined("two equal commands at once", found))
    if disks:
        found = [
            parts.run(f"disks {name}", "", partial(counted, full_disks, {name}))
            for name in track(names, description="full disks")
        ]
        rows.append(joined("full disks, for each command that writes", found))
    if signals:
        found = [
            parts.run(f"signals {number}", size, partial(counted, send_signals, size, seed + number))
            for number, size in track(list(_portions(signals, 24)), description="signals")
        ]
        rows.append(joined("SIGINT, SIGTERM, SIGKILL to commands that write, at random moments", found))
    if kills:
        found = [
            parts.run(f"kills {number}", size, partial(of_pipeline, number, size))
            for number, size in track(list(_portions(kills, 10)), description="kills")
        ]
        finished = sum(part.counts["finished"] for part in found)
        what = "SIGKILL to `dvc repro` and its stage, SIGTERM and SIGKILL to DVC alone, at random moments"
        rows.append(joined(f"{what}; {finished} runs that got through were compared", found))
    faults = [fault for part in (*files, *rows) for fault in part.faults]
    total = Counter[str]()
    for part in files:
        total.update(part.counts)
    print(f"{total.total()} damaged files: {dict(total)}; {len(faults)} faults")
    if write:
        write_text(OUT, document(files, rows, seed))
    if faults:
        raise typer.Exit(1)


def _portions(total: int, size: int) -> Iterator[tuple[int, int]]:
    """Number and size of the portions of a whole."""
    for number, start in enumerate(range(0, total, size)):
        yield number, min(size, total - start)


def document(files: list[Part], rows: list[Part], seed: int) -> str:
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
        "Each case runs in a process of its own, with 10 s of a processor and 2 GiB. Read: the damage does not show in this",
        "format (a JPEG with a flipped bit is a JPEG of another picture), or did not matter. Silent: taken although it is",
        "certainly bad, with another content than the whole file's.",
        "",
        "| reader | cases | refused | read | " + " | ".join(BAD) + " | slowest, s |",
        "| ------ | ----: | ------: | ---: | " + " | ".join("---:" for _ in BAD) + " | ---------: |",
    ]
    total = Counter[str]()
    for part in files:
        total.update(part.counts)
        lines.append(_row(part.name, Counter(part.counts), part.seconds))
    lines.append(_row("all", total, max((part.seconds for part in files), default=0.0)))
    lines += ["", "## Everything else", "", "| what | tries | faults |", "| ---- | ----: | -----: |"]
    lines += [f"| {part.name} | {part.tries} | {len(part.faults)} |" for part in rows]
    return "\n".join(lines) + "\n"


def _row(name: str, counts: Counter[str], seconds: float) -> str:
    cells = [counts.total(), counts["refused"], counts["accepted"], *(counts[outcome] for outcome in BAD)]
    return f"| {name} | " + " | ".join(map(str, cells)) + f" | {seconds:.1f} |"


if __name__ == "__main__":
    typer.run(main)
