"""dvc.lock: its parts for a job and what a job recorded; and what a kill leaves of it, since DVC writes it in place."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from alfnet.files import write_text


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
    if (fault := lock_fault(path)) is None:
        return None
    from dvc.lock import LockError

    aside = root / ".scratch" / "dvc.lock.broken"
    try:
        with _dvcs_lock(root):  # a DVC that runs may just be writing it
            if (fault := lock_fault(path)) is None:
                return None
            aside.parent.mkdir(exist_ok=True)
            os.replace(path, aside)
    except LockError:
        return f"{path.name} {fault}, and DVC is running here, perhaps writing it: look again when that has ended"
    return (
        f"{path.name} {fault}: DVC was stopped while it wrote it. It is now {aside.relative_to(root)}; "
        "the next dvc repro restores every stage from the run cache (or take the last committed one: "
        "git checkout dvc.lock)"
    )


def _dvcs_lock(root: Path) -> AbstractContextManager[Any]:
    """What DVC holds while it works on the folder; it is not waited for long. Nothing where no DVC can work."""
    from dvc.repo import Repo

    return Repo(str(root)).lock if (root / ".dvc").is_dir() else nullcontext()


def leave_out(path: Path, unneeded: Callable[[str], bool]) -> None:
    """Drop the stages of a lock file whose name is `unneeded`.

    DVC reads and writes the whole file for every stage that it records, some seconds where it has thousands of lines.
    """
    content = _read(path)
    for name in [name for name in content.get("stages", {}) if unneeded(name)]:
        del content["stages"][name]
    if content:
        _write(path, content)


def recorded(path: Path, names: list[str]) -> dict[str, Any]:
    """Return what a lock file holds of the stages of these names."""
    stages = _read(path).get("stages", {})
    return {name: stages[name] for name in names if name in stages}


def record(root: Path, stages: Mapping[str, Any]) -> None:
    """Put what DVC recorded of `stages` in other folders of the repository into the lock file of `root`.

    All at once, where a `dvc repro` that restores them one by one writes the file for each. Nothing is taken on trust: the
    next `dvc repro` compares every file with what stands there, and runs a stage for which it does not hold.
    """
    from dvc.repo import Repo

    if not stages:
        return
    path = root / "dvc.lock"
    with Repo(str(root), _wait_for_lock=True) as repo, repo.lock:
        content = _read(path) or {"schema": "2.0"}
        content.setdefault("stages", {}).update(stages)
        _write(path, content)


def _read(path: Path) -> Any:
    from dvc.utils.serialize import parse_yaml_for_update

    return parse_yaml_for_update(path.read_text(), str(path)) if path.is_file() else {}


def _write(path: Path, content: Any) -> None:
    from dvc.utils.serialize import dumps_yaml

    write_text(path, dumps_yaml(content))


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
