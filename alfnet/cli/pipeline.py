"""Commands around the pipeline: profile, check, table."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfnet.cli.common import ParamsOption
from alfnet.cli.prune import leftovers
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from alfnet.params import Params


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
    """Check the parameter file, put right a dvc.lock that was cut short, and name outputs of removed variants and seeds."""
    from alfnet.launch.lock_file import mend_lock
    from alfnet.params import load_params

    params = load_params(params_file)
    for line in check_names(params, params_file):
        print(line, file=sys.stderr)
    if said := mend_lock(params_file.parent):
        print(said, file=sys.stderr)
    left = leftovers(params, params_file.parent)
    if left:
        shown = ", ".join(map(str, left[:5])) + (f" and {len(left) - 5} more" if len(left) > 5 else "")
        print(f"outputs of variants or seeds that {params_file} does not have: {shown}", file=sys.stderr)
        print("they change the report's inputs; remove them with: alfnet prune", file=sys.stderr)
    print(f"{params_file}: profile {params.profile}, {len(params.variants)} variants", file=sys.stderr)


def check_names(params: Params, params_file: Path) -> list[str]:
    """Check what the parameters name outside themselves; return sentences about files that a stage will miss if it runs.

    Raises AlfnetError for what no stage can use: addresses of no kind that is fetched, a detector to start from that is
    not there, and backbones that the installed timm does not have.
    """
    from alfnet.preparation.fetch import local_path
    from alfnet.pretrained.download import is_in_project

    addresses = {f"prepare.{name}.url": one.url for name, one in params.prepare.items()}
    used = dict.fromkeys(variant.backbone for variant in params.variants.values() if variant.weights is None)
    for name in used:
        settings = params.backbones[name]
        if settings.init == "download" and settings.url is not None:
            addresses[f"backbones.{name}.url"] = settings.url
    in_project = {key: url for key, url in addresses.items() if key.startswith("backbones.") and is_in_project(url)}
    missing = []
    for key, address in addresses.items():
        if key in in_project:
            continue
        try:
            file = local_path(address)
        except AlfnetError as error:
            raise AlfnetError(f"{params_file}: {key}: {error}") from None
        if file is not None and not file.exists():
            missing.append(
                f"{params_file}: {key}: {file}: no such file or folder; a stage that reads it will stop: correct it"
            )
    missing += [
        f"{params_file}: {key}: {place}: no such file in the project (addresses begin with https:// or file://); the stage "
        "backbone will stop: correct it"
        for key, place in in_project.items()
        if not (params_file.parent / place).is_file()
    ]
    files = {f"variants.{name}.weights": variant.weights for name, variant in params.variants.items()}
    files |= {f"prepare.{name}.images": one.images for name, one in params.prepare.items()}
    for key, place in files.items():
        if place is not None and not (params_file.parent / place).exists():
            missing.append(
                f"{params_file}: {key}: {place}: no such file or folder; a stage that reads it will stop: correct it"
            )
    start = params.train.init_from
    if start is not None and not (params_file.parent / start).is_file():
        raise AlfnetError(
            f"{params_file}: train.init_from: {start}: no such file; name a detector, as weights/detectors/NAME.safetensors, "
            "or null to start from the backbone's weights"
        )
    if start is not None and Path(start).parent != Path("weights/detectors"):
        missing.append(
            f"{params_file}: train.init_from: {start}: lies outside weights/detectors, where the pipeline watches: when another "
            "file takes its place, nothing runs again; copy it there"
        )
    _check_timm(sorted(name for name in used if name.startswith("timm/")), params_file)
    return missing


def _check_timm(backbones: list[str], params_file: Path) -> None:
    from importlib.util import find_spec

    if not backbones or find_spec("timm") is None:  # it imports torch, some seconds
        return
    from alfnet.network.timm_backbone import features_of

    for backbone in backbones:
        try:
            features_of(backbone.removeprefix("timm/"))
        except AlfnetError as error:
            raise AlfnetError(f"{params_file}: {error}") from None


def table(
    name: Annotated[
        str, typer.Argument(help="ablation, or a table of plots/tables: precision (AP), subsets, steps, fusion, ...")
    ] = "ablation",
    params_file: ParamsOption = Path("params.yaml"),
) -> None:
    """Print the ablation table of the last `dvc repro`, and what it means; or another table of it."""
    from alfnet.cli.artifacts import check_table
    from alfnet.params import load_params
    from alfnet.report.report import print_summary

    if name != "ablation":
        tables = {path.stem: path for path in sorted(Path("plots/tables").glob("*.md"))}
        if name not in tables:
            there = ", ".join(["ablation", *tables])
            raise AlfnetError(f"{name}: no such table; there are {there} (of the last `dvc repro`)")
        print(tables[name].read_text(encoding="utf-8"), end="")
        return
    print_summary(load_params(params_file), root=Path())
    try:
        check_table(params_file)
    except AlfnetError as error:
        print(f"warning: {error}", file=sys.stderr)
