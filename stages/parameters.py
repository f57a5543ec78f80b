"""What every stage does first, and the stage `parameters`, on which all others depend: params.yaml is checked as a whole.

Importing this module puts the package beside it first on the path: `dvc exp run --queue`, `--temp` and `alfnet launch`
run a stage in a copy of the tree, while an editable installation names one tree for ever.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import alfnet  # noqa: E402

if Path(alfnet.__file__).resolve().parent.parent != ROOT:
    sys.exit(
        f"error: {sys.argv[0]} would run the package in {Path(alfnet.__file__).parent}, but dvc.lock records the one in "
        f"{ROOT}; run it from that folder, without another alfnet on the path"
    )

from alfnet.errors import exit_with_message  # noqa: E402
from alfnet.files import keep_temporaries_in, write_text  # noqa: E402
from alfnet.params import Params, load_params  # noqa: E402
from alfnet.runtime import configure  # noqa: E402


def checked_params() -> Params:
    """Read and check params.yaml, and set up the arithmetic before numpy, cv2 and torch are imported."""
    params = load_params()
    configure(params.runtime)
    # Not beside the outputs, some of which are folders that other stages depend on as a whole.
    keep_temporaries_in(Path(os.environ.get("ALFNET_SCRATCH", ".scratch")) / "unfinished")
    return params


def arguments(*names: str) -> list[Any]:
    """Return the stage's arguments, as options (`--variant V --seed S`, how DVC quotes them) or in order (`V S`).

    By hand the seed may be left out: the first one of params.yaml.
    """
    parser = argparse.ArgumentParser(allow_abbrev=False)
    given = sys.argv[1:]
    as_options = any(text.startswith("--") for text in given)
    for name in names:
        if as_options:
            parser.add_argument(f"--{name}", required=True)
        else:
            parser.add_argument(name, nargs="?" if name == "seed" else None)
    values = vars(parser.parse_args(given))
    if "seed" in values and values["seed"] is None:
        values["seed"] = str(first_seed())
    return [values[name] for name in names]


def seed_of(params: Params, text: str) -> int:
    """Return a seed given as text; AlfnetError where params.yaml does not have it."""
    return params.check_seed(int(text) if text.isdecimal() else -1)


@exit_with_message
def first_seed() -> int:
    """Return the first seed of params.yaml."""
    return load_params().seeds[0]


@exit_with_message
def main() -> None:
    """Check the parameters; the file written says so, and never changes, so that no other stage runs for its sake."""
    load_params()
    write_text("cache/parameters.txt", "params.yaml has been checked\n")


if __name__ == "__main__":
    main()
