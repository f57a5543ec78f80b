"""Checkpoints of a run that may be killed at any moment: whole or absent, and never those of another run."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from alfnet.files import sha256

KEPT = 2  # the one before the newest is there for when the newest is damaged


class Checkpoints:
    """The checkpoints of one run in a scratch folder, named by the update that they were written after."""

    def __init__(self, scratch: str | Path, name: str, fingerprint: str) -> None:
        """`fingerprint` stands for all that determines the run: another one gets another folder."""
        self.folder = Path(scratch) / f"{name}-{fingerprint[:16]}"

    def save(self, fabric: Fabric, update: int, state: dict[str, Any]) -> None:
        """Write a checkpoint and drop all but the newest two. Every process of the run has to call this."""
        if fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
        fabric.barrier()
        # The same temporary name in every process, where `atomic_path` would make one for each.
        temporary = self.folder / "unfinished"
        fabric.save(temporary, state)
        if fabric.is_global_zero:
            with open(temporary, "rb") as file:
                os.fsync(file.fileno())
            os.replace(temporary, self._path(update))
            for path in self._paths()[:-KEPT]:
                path.unlink()
        fabric.barrier()

    def load(self, fabric: Fabric) -> dict[str, Any] | None:
        """The newest checkpoint that is whole, or None. A damaged one is passed over with a word about it."""
        for path in reversed(self._paths()):
            try:
                return fabric.load(path, weights_only=True)
            except (RuntimeError, EOFError, OSError, ValueError, KeyError, pickle.UnpicklingError):
                fabric.print(f"{path} is damaged: going back to the checkpoint before it")
        return None

    def remove(self) -> None:
        """Delete the run's folder, when its result is in place."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _path(self, update: int) -> Path:
        return self.folder / f"{update:09d}.ckpt"

    def _paths(self) -> list[Path]:
        return sorted(self.folder.glob("*.ckpt"))


def fingerprint(settings: dict[str, Any], files: Iterable[str | Path], images: Iterable[str | Path]) -> str:
    """A hash of all that determines a run: its settings, the code that is loaded, the given files, the pictures' sizes.

    settings: JSON-able. files: hashed whole. images: hashed by name and size in bytes, since there may be 100 GB.
    """
    package = Path(__file__).resolve().parent.parent
    code = [package / part for part in ("images.py", "annotations", "boxes", "network", "training")]
    sources = [path for part in code for path in (sorted(part.glob("*.py")) if part.is_dir() else [part])]
    description = {
        "settings": settings,
        "torch": torch.__version__,
        "code": [sha256(path) for path in sources],
        "files": [sha256(path) for path in files],
        "images": [[Path(path).name, Path(path).stat().st_size if Path(path).exists() else None] for path in images],
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
