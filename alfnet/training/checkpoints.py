"""Checkpoints of a run that may be killed at any moment: whole or absent, and never those of another run."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim import Optimizer

from alfnet.errors import AlfnetError
from alfnet.files import sha256

KEPT = 2  # the one before the newest is there for when the newest is damaged

# What a run's result depends on, as paths in the package; stage `train` in dvc.yaml depends on the same
# (tests/test_training_checkpoints.py compares).
CODE = ("runtime.py", "images.py", "annotations/cache.py", "annotations/images.py", "boxes", "network", "training")


class Checkpoints:
    """The checkpoints of one run in a scratch folder, named by their update and the checksum of their content.

    They stay when the run has ended, until another run of the same name ends: whoever keeps the result may need to ask
    for it again. As a context (`with`), the folder belongs to this process until it ends.
    """

    def __init__(self, scratch: str | Path, name: str, fingerprint: str) -> None:
        """`fingerprint` stands for all that determines the run: another one gets another folder."""
        self.name = name
        self.folder = Path(scratch) / f"{name}-{fingerprint[:16]}"
        self._lock: IO[str] | None = None
        self.ending: BaseException | None = None
        """Why the run is to end, once a signal has said so. The exception that its handler raises may get lost in code that
        drops whatever is raised (a bare `except:`, C code that has called into Python), so `save` and `check` raise it again."""

    def __enter__(self) -> Checkpoints:
        """Claim the folder; AlfnetError, naming process and host, where another process has it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        # The lock ends with the process, however that ends.
        lock = open(self.folder / "lock", "a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            owner = lock.read().strip() or "another process"
            lock.close()
            raise AlfnetError(
                f"{self.folder}: {owner} is at this very training; wait for it to end, or stop it, and run this again"
            ) from None
        lock.truncate(0)
        lock.write(f"process {os.getpid()} on {socket.gethostname()}")
        lock.flush()
        self._lock = lock
        return self

    def __exit__(self, *_: object) -> None:
        """Give the folder back; one without a checkpoint goes."""
        if self._lock is not None:
            if not self._paths():
                shutil.rmtree(self.folder, ignore_errors=True)
            self._lock.close()
            self._lock = None

    def check(self) -> None:
        """Raise why the run is to end, if it is."""
        if self.ending is not None:
            raise self.ending

    def save(self, fabric: Fabric, update: int, state: dict[str, Any]) -> None:
        """Write a checkpoint and drop all but the newest two. Every process of the run has to call this."""
        self.check()
        if fabric.is_global_zero:
            self.folder.mkdir(parents=True, exist_ok=True)
        fabric.barrier()
        # The same temporary name in every process, where `atomic_path` would make one for each.
        temporary = self.folder / "unfinished"
        with _signals_wait():
            fabric.save(temporary, state)
            if fabric.is_global_zero:
                with open(temporary, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, self.folder / f"{update:09d}-{sha256(temporary)}.ckpt")
                for path in self._paths()[:-KEPT]:
                    path.unlink()
        fabric.barrier()

    def load(self, fabric: Fabric, state: dict[str, Any], updates: int) -> bool:
        """Load the newest whole checkpoint of at most so many updates into the objects of `state`; False where none is.

        One whose checksum or content is not what it should be is passed over with a word about it.
        """
        for path in reversed(self._paths()):
            if int(path.name.split("-")[0]) > updates:
                continue
            fault = _fault(path, state)
            if fault is None:
                fabric.load(path, state, weights_only=True)
                fabric.print(f"going on after update {state['run'].update} of {updates}", file=sys.stderr)
                return True
            fabric.print(f"{path} {fault}: going back to the checkpoint before it", file=sys.stderr)
        return False

    def explain(self, likeness: str, updates: int, schedule: str) -> str | None:
        """Say why a longer run begins anew, if there is a finished shorter one that differs from it in nothing else.

        `likeness` stands for all that determines the run but the number of updates; it is noted for later runs.
        """
        (self.folder / "likeness").write_text(likeness)
        if self.newest():
            return None
        for folder in self.folder.parent.glob(f"{self.name}-*"):
            other = Checkpoints(folder.parent, self.name, folder.name.removeprefix(f"{self.name}-"))
            noted = folder / "likeness"
            if folder != self.folder and noted.is_file() and noted.read_text() == likeness and other.newest():
                return (
                    f"a run of {other.newest()} updates is there, but the {schedule} rate of {updates} updates differs "
                    "from the first one on: training begins anew (a constant rate would go on)"
                )
        return None

    def newest(self) -> int:
        """Return the update of the newest checkpoint, 0 where there is none."""
        paths = self._paths()
        return int(paths[-1].name.split("-")[0]) if paths else 0

    def remove_superseded(self) -> None:
        """Delete the folders of other runs of this name, when this one's result is in place, but those still running."""
        for folder in self.folder.parent.glob(f"{self.name}-*"):
            is_other = folder != self.folder and len(folder.name) == len(self.folder.name)
            if is_other and folder.is_dir() and not folder.is_symlink() and _is_free(folder):
                shutil.rmtree(folder, ignore_errors=True)

    def _paths(self) -> list[Path]:
        return sorted(path for path in self.folder.glob("*-*.ckpt") if path.name.split("-")[0].isdecimal())


@contextmanager
def _signals_wait() -> Iterator[None]:
    """Within the block SIGTERM and Ctrl-C wait for its end.

    `copyreg`, which every `pickle` calls, drops whatever is raised within some of its lines: one SIGTERM of twenty was lost.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}  # not the system's own
    try:
        for kind in ours:
            signal.signal(kind, lambda number, frame: came.append(number))
        yield
    finally:
        for kind, handler in ours.items():
            signal.signal(kind, handler)
    for number in came:
        signal.raise_signal(number)


def _is_free(folder: Path) -> bool:
    try:
        with open(folder / "lock", "a+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _fault(path: Path, state: Mapping[str, Any]) -> str | None:
    """What is wrong with a checkpoint, if anything: its checksum, or what it holds beside what `state` needs."""
    try:
        if sha256(path) != path.stem.split("-")[1]:
            return "is damaged (its checksum does not match)"
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a reader of foreign bytes; whatever it raises means the same
        return f"is damaged ({type(error).__name__})"
    if not isinstance(content, dict) or content.keys() != state.keys():
        return "is no checkpoint of this version"
    for name, target in state.items():
        if not _fits(content[name], target):
            return f"holds a {name} of another form"
    return None


def _fits(content: Any, target: Any) -> bool:
    if not isinstance(content, dict):
        return False
    expected = target.state_dict()
    if isinstance(target, Optimizer) or hasattr(target, "param_groups"):
        return _optimizer_fits(content, target)
    if content.keys() != expected.keys():
        return False
    if isinstance(target, nn.Module):
        return all(isinstance(c, Tensor) and c.shape == expected[name].shape for name, c in content.items())
    return all(isinstance(value, type(expected[name])) or expected[name] is None for name, value in content.items())


def _optimizer_fits(content: dict[str, Any], optimizer: Any) -> bool:
    expected = optimizer.state_dict()["param_groups"]
    groups, state = content.get("param_groups"), content.get("state")
    if not isinstance(groups, list) or not isinstance(state, dict) or len(groups) != len(expected):
        return False
    for found, wanted in zip(groups, expected, strict=True):
        if not isinstance(found, dict) or found.keys() != wanted.keys() or found["params"] != wanted["params"]:
            return False
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    return all(
        isinstance(index, int)
        and index < len(parameters)
        and isinstance(values, dict)
        and all(isinstance(v, Tensor) and v.shape in ((), parameters[index].shape) for v in values.values())
        for index, values in state.items()
    )


def fingerprint(settings: dict[str, Any], files: Iterable[str | Path]) -> str:
    """A hash of all that determines a run: its settings (JSON-able), the code that is loaded, and the files' content."""
    package = Path(__file__).resolve().parent.parent
    code = [package / part for part in CODE]
    sources = [path for part in code for path in (sorted(part.glob("*.py")) if part.is_dir() else [part])]
    description = {
        "settings": settings,
        "torch": torch.__version__,
        "code": [sha256(path) for path in sources],
        "files": [sha256(path) for path in files],
    }
    return hashlib.sha256(json.dumps(description, sort_keys=True).encode()).hexdigest()
