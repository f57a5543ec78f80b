"""Commands around the pipeline: profile, check, table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import ParamsOption
from alfnet.cli.prune import leftovers
from alfnet.errors import AlfnetError

PROFILES = Path("profiles")


def profile(
    name: Annotated[str | None, typer.Argument(help="A file in profiles/, without .yaml.")] = None,
    force: Annotated[
        bool, typer.Option(help="Replace a params.yaml that is no profile's, with changes of yours.")
    ] = False,
) -> None:
    """Replace params.yaml by profiles/NAME.yaml; without a name, list the profiles."""
    from alfnet.params import load_params

    profiles = {path.stem: path for path in sorted(PROFILES.glob("*.yaml"))}
    if not profiles:
        raise AlfnetError(f"{PROFILES}/: no profiles here; run this in the project's folder")
    target = Path("params.yaml")
    present = target.read_bytes() if target.exists() else None
    if name is None:
        for profile_name, path in profiles.items():
            print(("* " if path.read_bytes() == present else "  ") + profile_name)
        return
    if name not in profiles:
        raise AlfnetError(f"profile {name}: there is none; there are {', '.join(profiles)}")
    load_params(profiles[name])
    known = {path.read_bytes() for path in profiles.values()}
    if present is not None and present not in known and not force:
        raise AlfnetError(
            "params.yaml holds changes that no profile has; keep them as profiles/YOURS.yaml, or add --force to lose them"
        )
    from alfnet.files import write_bytes

    write_bytes(target, profiles[name].read_bytes())
    print(f"params.yaml is now profiles/{name}.yaml; next: dvc repro")


def check(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Check the parameter file, and name outputs of variants that it no longer has."""
    from alfnet.params import load_params

    params = load_params(params_file)
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
