"""Every figure of speed beside a peer in the same run: `make bench`, or `python -m benchmarks`; writes docs/performance.md.

Sections can be run one at a time (`--only`): the others stay in the document as they are. On one core; the load of the
machine is noted with each, since ratios bear other programs and milliseconds do not. Detection takes all cores, and more
peers where an environment is named that has them (`--tensorflow`, `--ultralytics`).
"""

from __future__ import annotations

import argparse
import datetime
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import torch

from alfnet.files import write_text
from benchmarks import detect, growth, miss_rate

ROOT = Path(__file__).resolve().parent.parent
DOCUMENT = ROOT / "docs" / "performance.md"
INTRODUCTION = """# Speed beside peers

Written by `make bench` (`python -m benchmarks`; `--only SECTION` replaces one). A ratio is a round's time over the peer's in
the same round, as median and quartiles: it bears other programs and other machines, where milliseconds do not. Those are of
the machine of that day, with what else it did. The sections on detection take all cores, the others one.
"""


def samples(rounds: int) -> list[str]:
    """Training samples, as benchmarks/training_samples.py measures them."""
    return ["## Training samples of 1024 x 2048 images", "", *_table("training_samples", str(2 * rounds))]


def evaluation(rounds: int, numbers: Sequence[int] = (10_000, miss_rate.DETECTIONS, 200_000)) -> list[str]:
    """The miss rate by the number of detections, beside COCO's evaluators."""
    lines = ["## Evaluation of 500 images by detections", ""]
    lines += ["| detections | program | seconds | MB | times alfnet |", "|---:|---|---:|---:|---:|"]
    with tempfile.TemporaryDirectory() as folder:
        packages = miss_rate.faster_coco_eval(Path(folder) / "packages")
        for number in numbers:
            rows = miss_rate.contest(Path(folder), number, 1, max(1, rounds // 3), packages)
            ours = rows[0][1].seconds
            lines += [
                f"| {number:,} | {name} | {cost.seconds:.2f} | {cost.megabytes:.0f} | {cost.seconds / ours:.2f} |"
                for name, cost in rows
            ]
    return [*lines, "", "Each a process of its own, the cheapest of its runs; more of it in [speed.md](speed.md).", ""]


def report(rounds: int) -> list[str]:
    """The report of ten variants and three seeds on 500 images; no peer makes such a report."""
    return ["## Report of 500 images, 10 variants, 3 seeds", "", *_table("report")]


def deployment(rounds: int) -> list[str]:
    """What benchmarks/deploy.py measures of networks, its headings a level lower."""
    text = _output("deploy", "--rounds", str(rounds), "--images", "0", *_elsewhere)
    return [f"#{line}" if line.startswith("#") else line for line in text.splitlines()]


def command(rounds: int) -> list[str]:
    """What it measures of the whole command, with one round to find the fastest runtime."""
    text = _output("deploy", "--rounds", "1")
    return text[text.index("## The whole command") :].splitlines()


_elsewhere: list[str] = []
"""Options of benchmarks/deploy.py that name environments with peers."""

SECTIONS: dict[str, Callable[[int], list[str]]] = {
    "samples": samples,
    "targets": growth.targets,
    "updates": growth.updates,
    "selection": growth.selection,
    "reading": detect.reading,
    "evaluation": evaluation,
    "variants": growth.variants,
    "report": report,
    "deployment": deployment,
    "command": command,
}


def _output(module: str, *arguments: str) -> str:
    command = [sys.executable, "-m", f"benchmarks.{module}", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def _table(module: str, *arguments: str) -> list[str]:
    return [*[line for line in _output(module, *arguments).splitlines() if line.startswith("|")], ""]


def with_section(text: str, name: str, lines: Sequence[str]) -> str:
    """The document with a section put in its place, behind those that come before it."""
    sections = dict(re.findall(r"<!-- section: (\w+) -->\n(.*?)<!-- /section -->\n", text, re.DOTALL))
    sections[name] = "\n".join(lines).rstrip() + "\n"
    known = [each for each in [*SECTIONS, *sections] if each in sections]
    blocks = [f"<!-- section: {each} -->\n{sections[each]}<!-- /section -->\n" for each in dict.fromkeys(known)]
    return "\n".join([INTRODUCTION, *blocks])


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the sections and write the document after each."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    parser.add_argument("--rounds", type=int, default=9, help="(%(default)s)")
    parser.add_argument("--out", type=Path, default=DOCUMENT, help="(%(default)s)")
    for peer in ("tensorflow", "ultralytics"):
        parser.add_argument(f"--{peer}", metavar="PYTHON", help=f"of an environment with {peer}, for --only deployment")
    given = parser.parse_args(arguments)
    for peer in ("tensorflow", "ultralytics"):
        if python := getattr(given, peer):
            _elsewhere.extend([f"--{peer}", python])
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    for name in given.only or SECTIONS:
        load = os.getloadavg()[0]
        lines = SECTIONS[name](given.rounds)
        day = datetime.datetime.now(datetime.UTC).date()
        noted = f"Measured {day}, {given.rounds} rounds; load of the machine before it: {load:.1f} on {os.cpu_count()} cores."
        text = given.out.read_text(encoding="utf-8") if given.out.is_file() else ""
        write_text(given.out, with_section(text, name, [*lines, noted]))
        print("\n".join(lines), flush=True)


if __name__ == "__main__":
    main()
