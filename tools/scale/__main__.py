"""Measure every stage at full size on a sample and write docs/scale.md: `make scale`, or `python -m tools.scale`.

    python -m tools.scale --folder FOLDER                              all parts, then the document
    python -m tools.scale --folder FOLDER --parts rendering decoded    some of them; what is kept of the others is used
    python -m tools.scale --folder FOLDER --parts                      the document alone

FOLDER keeps the stages' outputs and what they took. CITYPERSONS names the folder of anno_train.mat and anno_val.mat;
without it no part runs. Needs docs/gpu.md, the table of a GPU.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.files import write_text
from tools.scale.arithmetic import read_gpu
from tools.scale.document import document
from tools.scale.stages import PARTS, ROOT, Scale


@exit_with_message
def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is asked for and write the document."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.scale", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--train", type=int, default=24, help="training images of the sample (%(default)s)")
    parser.add_argument("--val", type=int, default=8, help="test images of the sample (%(default)s)")
    parser.add_argument(
        "--updates", type=int, nargs=2, default=(3, 2), help="of MobileNet's and ResNet-50's training (%(default)s)"
    )
    parser.add_argument("--parts", nargs="*", choices=PARTS, default=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "scale.md", help="(%(default)s)")
    given = parser.parse_args(arguments)
    updates = dict(zip(("mobilenet", "resnet50"), given.updates, strict=True))
    if min(given.updates) < 2:
        raise AlfnetError(
            f"--updates: found {given.updates}, expected at least 2 each, for the difference to one update"
        )
    scale = Scale(given.folder, given.train, given.val, updates)
    if given.parts and not (Path(os.environ.get("CITYPERSONS", "")) / "anno_train.mat").is_file():
        print("CITYPERSONS names no folder with anno_train.mat: the stages are left out", file=sys.stderr)
    else:
        for part in given.parts:
            scale.measure(part)
    if not scale.measured["parts"] and given.out.exists():
        raise AlfnetError(
            f"{given.out}: holds what was measured, and {given.folder} holds nothing to take its place; name another --out"
        )
    text = document(scale.measured if scale.measured["parts"] else None, read_gpu(ROOT / "docs" / "gpu.md"), _machine())
    write_text(given.out, text)
    print(f"written to {given.out}")
    return 0


def _machine() -> str:
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    return f"{len(os.sched_getaffinity(0))} cores ({models[0].partition(':')[2].strip() if models else 'unknown'})"


if __name__ == "__main__":
    sys.exit(main())
