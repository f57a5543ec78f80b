"""Whether an output of the pipeline belongs to the present params.yaml, by what dvc.lock says of the stage that made it."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.yaml_file import read_yaml


def recorded_stages(lock: Path) -> dict[str, Any]:
    """The stages of a lock file by name; AlfnetError where it is missing or no lock file."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        content = YAML(typ="safe").load(lock.read_text())
        return dict(content["stages"])
    except FileNotFoundError:
        raise AlfnetError(f"{lock}: no such file; run: dvc repro") from None
    except (YAMLError, UnicodeDecodeError, KeyError, TypeError, ValueError):
        raise AlfnetError(f"{lock}: no whole lock file; put it right with: alfnet check") from None


def departure(
    stages: Mapping[str, Any], name: str, out: str, params_file: Path, leave_out: Collection[str] = ()
) -> str | None:
    """How the stage's record departs from the present parameters or from the file `out` beside them; None where not at all.

    `leave_out` are sections of the parameters that do not matter.
    """
    if name not in stages:
        return f"dvc.lock knows no stage {name}"
    present = read_yaml(params_file)
    for key, value in _params(stages[name]).items():
        if key.split(".")[0] not in leave_out and _at(present, key) != value:
            return f"it was made with another {key} than {params_file} has"
    file = params_file.parent / out
    md5 = _md5_of(stages[name], "outs", out)
    if file.is_file() and hashlib.md5(file.read_bytes(), usedforsecurity=False).hexdigest() != md5:
        return "it is not the file that dvc.lock names"
    return None


def source_departure(stages: Mapping[str, Any], name: str, folder: str, params_file: Path) -> str | None:
    """How the data set that a stage read from `folder` departs from what is there now by the records; None where not at all."""
    for maker in (f"prepare@{Path(folder).name}", f"dataset@{Path(folder).name}"):
        kind = "prepare" if maker.startswith("prepare") else "synthetic"
        if Path(folder).name not in (read_yaml(params_file).get(kind) or {}):
            continue
        if maker not in stages:
            return f"{folder} has not been made yet"
        if (reason := departure(stages, maker, folder, params_file, ["runtime"])) is not None:
            return f"{folder}: {reason}"
        used, made = _md5_of(stages[name], "deps", folder), _md5_of(stages[maker], "outs", folder)
        if used is not None and used != made:
            return f"{folder} has been made anew since"
    return None


def _params(stage: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for section in stage.get("params", {}).values() for key, value in section.items()}


def _md5_of(stage: Mapping[str, Any], kind: str, path: str) -> str | None:
    return next((entry.get("md5") for entry in stage.get(kind, []) if entry.get("path") == path), None)


def _at(content: Any, key: str) -> Any:
    for part in key.split("."):
        content = content.get(part) if isinstance(content, dict) else None
    return content
