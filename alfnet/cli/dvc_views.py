"""`alfnet dag` and `alfnet experiments`: what DVC knows, in a form that fits a page."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from rich.table import Table


def dag(dvc_file: Annotated[Path, typer.Option("--file", help="The pipeline.")] = Path("dvc.yaml")) -> None:
    """Draw the pipeline's groups of stages as a Mermaid graph (`dvc dag` draws every variant and seed)."""
    from ruamel.yaml import YAML

    if not dvc_file.is_file():
        raise AlfnetError(f"{dvc_file}: no such file; run this in the project's folder")
    stages = YAML(typ="safe").load(dvc_file.read_text())["stages"]
    made = {name: [_path(entry) for entry in stage.get("outs", [])] for name, stage in stages.items()}
    print("flowchart LR")
    for name, stage in stages.items():
        axes = " x ".join(stage.get("matrix", {}))
        print(f'  {name}["{name}{f"<br/><i>per {axes}</i>" if axes else ""}"]')
    for name, stage in stages.items():
        needs = [_path(entry) for entry in stage.get("deps", [])]
        named = {out for outs in made.values() for out in outs}
        for other, outs in made.items():
            if other != name and any(
                _meet(need, out) for need in needs for out in outs if need == out or need not in named
            ):
                print(f"  {other} --> {name}")


def experiments() -> None:
    """List the experiments: what each changed, and the last step's miss rates of every variant at IoU 0.5 and 0.75."""
    from rich.console import Console
    from rich.measure import Measurement

    console = Console()
    rows = _experiments()
    variants = list(dict.fromkeys(name for _, _, rates in rows for name in rates))
    tables = [_table(rows, variants, changes=changes) for changes in (True, False)]
    unlimited = console.options.update(max_width=10_000)
    fitting = [table for table in tables if Measurement.get(console, unlimited, table).maximum <= console.width]
    # Too narrow for all in one row: what was changed stands below; narrower still, the variants stand below each other.
    console.print(fitting[0] if fitting else _turned(rows, variants))
    if not fitting or fitting[0] is tables[1]:
        for name, changes, _ in rows:
            if changes:
                console.print(f"{name.strip()}: {', '.join(changes)}", highlight=False, markup=False)
    console.print("miss rate in percent of the last step, IoU 0.5/0.75", highlight=False)


_Rows = list[tuple[str, list[str], dict[str, str]]]
"""Per experiment its name, what it changed, and the miss rates by variant."""


def _table(rows: _Rows, variants: list[str], *, changes: bool) -> Table:
    table = _empty_table("experiment")
    if changes:
        table.add_column("changed parameters", no_wrap=True)
    for variant in variants:
        head, hyphen, tail = variant.rpartition("-")
        table.add_column(f"{head}{hyphen}\n{tail}" if head else variant, no_wrap=True)
    for name, changed, rates in rows:
        between = ["\n".join(changed)] if changes else []
        table.add_row(name, *between, *(rates.get(variant, "") for variant in variants))
    return table


def _turned(rows: _Rows, variants: list[str]) -> Table:
    table = _empty_table("variant")
    for name, _, _ in rows:
        table.add_column(name.strip(), overflow="fold")
    for variant in variants:
        table.add_row(variant, *(rates.get(variant, "") for _, _, rates in rows))
    return table


def _empty_table(first: str) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    table.add_column(first, no_wrap=True)
    return table


def _experiments() -> _Rows:
    result = subprocess.run([sys.executable, "-m", "dvc", "exp", "show", "--json"], capture_output=True, text=True)
    if result.returncode:
        raise AlfnetError(f"dvc exp show: {result.stderr.strip()}")
    rows: _Rows = []
    for commit in json.loads(result.stdout):
        base = _parameters(commit)
        rows.append((_name(commit), [], _rates(commit)))
        for group in commit.get("experiments") or []:
            for revision in group["revs"]:
                found = _parameters(revision)
                changes = [f"{key}: {found.get(key)}" for key in found | base if found.get(key) != base.get(key)]
                rows.append((f"  {_name(revision)}", changes, _rates(revision)))
    return rows


def _name(revision: dict[str, Any]) -> str:
    """What Git or DVC calls a revision, or the first digits of its hash; 'workspace' is no hash."""
    name, hash_ = revision.get("name"), revision["rev"]
    return name or (hash_[:7] if re.fullmatch(r"[0-9a-f]{40}", hash_) else hash_)


def _parameters(revision: dict[str, Any]) -> dict[str, Any]:
    files = ((revision.get("data") or {}).get("params") or {}).values()
    flat: dict[str, Any] = {}
    for file in files:
        _flatten(file.get("data") or {}, "", flat)
    return flat


def _flatten(values: dict[str, Any], prefix: str, flat: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _flatten(value, f"{prefix}{key}.", flat)
        else:
            flat[prefix + key] = value


def _rates(revision: dict[str, Any]) -> dict[str, str]:
    files = (revision.get("data") or {}).get("metrics") or {}
    rates = {}
    for path, file in files.items():
        values = file.get("data") or {}
        if "mr_50" in values and "mr_75" in values:
            rates[Path(path).stem] = f"{values['mr_50']:.1f}/{values['mr_75']:.1f}"
    return rates


def _path(entry: Any) -> str:
    """A path of dvc.yaml with a star for what varies."""
    return re.sub(r"\$\{[^}]*\}", "*", entry if isinstance(entry, str) else next(iter(entry)))


def _meet(need: str, out: str) -> bool:
    """Whether one path is the other or lies in it; a star stands for one name or, at the start, for any folder."""
    parts = list(zip(need.split("/"), out.split("/"), strict=False))
    if need.startswith("*"):  # the data set's own folder
        return out.startswith("data/")
    return all(a == b or "*" in (a, b) or re.fullmatch(b.replace("*", ".*"), a) for a, b in parts)
