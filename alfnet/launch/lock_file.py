"""dvc.lock, and DVC's list of who uses what, after a kill: DVC writes both in place, so they may be cut short."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path


def lock_fault(path: Path) -> str | None:
    """Return what is wrong with a lock file, None where DVC can read it or there is none."""
    if not path.is_file():
        return None
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from voluptuous import Invalid

    try:
        text = path.read_text()
        content = YAML(typ="safe").load(text)
    except (YAMLError, UnicodeDecodeError):
        return "is no YAML"
    if not content:
        return "is empty"
    if not text.endswith("\n"):
        return "ends within a line"
    try:
        COMPILED_LOCKFILE_SCHEMA(content)
    except Invalid:
        return "lacks part of its content"
    return None


def mend_lock(root: Path) -> str | None:
    """Put a broken dvc.lock out of the way and return a sentence about it; None where there is nothing to mend.

    The next `dvc repro` writes it anew: DVC's run cache knows every stage that ran, so none runs again for it.
    """
    _drop_broken_list(root / ".dvc" / "tmp" / "rwlock")
    path = root / "dvc.lock"
    fault = lock_fault(path)
    if fault is None:
        return None
    aside = root / ".scratch" / "dvc.lock.broken"
    aside.parent.mkdir(exist_ok=True)
    os.replace(path, aside)
    return (
        f"{path.name} {fault}: DVC was stopped while it wrote it. It is now {aside.relative_to(root)}; "
        "the next dvc repro restores every stage from the run cache (or take the last committed one: "
        "git checkout dvc.lock)"
    )


def _drop_broken_list(path: Path) -> None:
    """Delete the list of files in use where it is no JSON: no DVC runs with one, and whoever was in it was killed."""
    if _is_broken(path):
        time.sleep(0.5)  # perhaps it was just being written
        if _is_broken(path):
            path.unlink(missing_ok=True)


def _is_broken(path: Path) -> bool:
    try:
        json.loads(path.read_text())
    except FileNotFoundError:
        return False
    except ValueError:
        return True
    return False
