"""The parts of a soak, each kept when it is done: a soak that was interrupted goes on with the next one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from alfnet.files import write_json
from tools.soak.readers import ROOT

_CODE = ("alfnet", "stages", "streetscenes", "tools/soak", "tests")


@dataclass
class Part:
    """What one part tried, and what went wrong."""

    name: str
    tries: int = 0
    faults: list[str] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    """How the tries ended, where that is told apart."""
    seconds: float = 0.0
    """Of a processor, the slowest try; 0 where that is not looked at."""


class Parts:
    """Runs parts, or takes them from a folder where the same code has left them."""

    def __init__(self, folder: Path, seed: int) -> None:
        """`folder` is where the results of parts stay; those of other code or another seed are not used."""
        sources = [path for name in _CODE for path in sorted((ROOT / name).rglob("*.py"))]
        content = hashlib.sha256(str(seed).encode())
        for path in sources:
            content.update(path.read_bytes())
        self.folder = folder / content.hexdigest()[:16]

    def run(self, name: str, size: object, function: Callable[[], Part]) -> Part:
        """The part called `name` and of this size: what is kept of it, or what `function` finds; its faults are printed."""
        path = self.folder / f"{hashlib.sha256(f'{name} {size}'.encode()).hexdigest()[:16]}.json"
        if path.is_file():
            part = Part(**json.loads(path.read_bytes()))
        else:
            part = function()
            write_json(path, asdict(part))
        for fault in part.faults:
            print(fault, flush=True)
        return part


def joined(name: str, parts: list[Part]) -> Part:
    """Several parts as one."""
    return Part(name, sum(part.tries for part in parts), [fault for part in parts for fault in part.faults])
