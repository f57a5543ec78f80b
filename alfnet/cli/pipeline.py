"""Commands around the pipeline: profile, check, table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import ParamsOption
from alfnet.cli.prune import leftovers
from alfnet.errors import AlfnetError


def profile(
    name: Annotated[str | None, typer.Argument(help="A file in profiles/, without .yaml.")] = None,
    force: Annotated[
        bool, typer.Option(help="Replace a params.yaml that is no profile's, with changes of yours.")
    ] = False,
) -> None:
    """Write params.yaml from a profile; without a name, list the profiles.

    profiles/citypersons.yaml is complete, and profiles/NAME.yaml holds what departs from it. They are merged key by key; a
    list, and a mapping of names of your own (synthetic, backbones, variants, train.targets.thresholds), is replaced as a whole.
    """
    from alfnet.files import write_text
    from alfnet.profiles import merged_text, profiles

    target = Path("params.yaml")
    present = target.read_text() if target.exists() else None
    if name is None:
        for profile_name in profiles():
            print(("* " if merged_text(profile_name) == present else "  ") + profile_name)
        return
    text = merged_text(name)
    if present is not None and not force and present not in (merged_text(known) for known in profiles()):
        raise AlfnetError(
            "params.yaml holds changes that no profile has; keep them as profiles/YOURS.yaml, or add --force to lose them"
        )
    write_text(target, text)
    print(f"params.yaml is now the profile {name}; next: dvc repro")


def schema(
    folder: Annotated[Path, typer.Argument(help="The folder to write to.")] = Path("profiles"),
) -> None:
    """Write the JSON schemas by which an editor completes and checks params.yaml and profiles."""
    from alfnet.files import write_json
    from alfnet.profiles import schema as described

    write_json(folder / "params.schema.json", described(complete=True), indent=1)
    write_json(folder / "profile.schema.json", described(complete=False), indent=1)


def check(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Check the parameter file, put right a dvc.lock that was cut short, and name outputs of variants that are no more."""
    from alfnet.launch.lock_file import mend_lock
    from alfnet.params import load_params

    params = load_params(params_file)
    if said := mend_lock(params_file.parent):
        print(said, file=sys.stderr)
    left = leftovers(params, params_file.parent)
    if left:
        shown = ", ".join(map(str, left[:5])) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        print(f"outputs of variants that {params_file} does not have: {shown}", file=sys.stderr)
        print("they change the report's inputs; remove them with: alfnet prune", file=sys.stderr)
    print(f"{params_file}: profile {params.profile}, {len(params.variants)} variants", file=sys.stderr)


def table(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Print the ablation table of the last `dvc repro`, and what it means."""
    from alfnet.params import load_params
    from alfnet.report.report import print_summary

    print_summary(load_params(params_file), root=Path())
