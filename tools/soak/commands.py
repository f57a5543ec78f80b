"""Commands that write, on small inputs: what full disks, signals and races are tried on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from alfnet.files import write_json
from tools.soak.readers import GOLDEN, ROOT, _write_detector, _write_mat


@dataclass(frozen=True)
class Command:
    """A command line without the program, and what it writes in the folder that it runs in."""

    line: str
    output: str

    @property
    def arguments(self) -> list[str]:
        """Its words."""
        return self.line.split()

    @property
    def name(self) -> str:
        """Its first words."""
        return " ".join(word for word in self.arguments[:2] if not word.startswith("-") and "." not in word)


def commands() -> list[Command]:
    """Every command that writes files."""
    size = "--height 64 --width 128 --train-images 2 --val-images 1"
    detector = "--backbone mobilenet --steps 1"
    lines = (
        ("evaluate gt.json dt.json --out", "rates.json"),
        ("evaluate gt.json dt.json --curves", "curves.csv"),
        ("evaluate gt.json dt.json --page", "errors.html"),
        ("compare dt.json dt.json --gt gt.json --out", "difference.json"),
        ("convert gt.json dt.json", "converted.csv"),
        ("data cache --annotations anno_val.mat --split val --out", "val.json"),
        ("data ground-truth --annotations anno_val.mat --out", "truth.json"),
        (f"data synthetic {size} --params settings.yaml --out", "scenes"),
        ("data check people.json --images people --sheet", "sheet.png"),
        (f"weights import keras.hdf5 {detector} --out", "imported.safetensors"),
        ("detect images --weights model.safetensors --out", "found"),
    )
    return [
        *(Command(f"{line} {output}", output) for line, output in lines),
        Command("profile citypersons --force", "params.yaml"),
    ]


def named(names: set[str] | None) -> list[Command]:
    """The commands called so; all for None."""
    return [command for command in commands() if names is None or command.name in names]


def make_inputs(folder: Path) -> None:
    """Write what `commands` read into `folder`."""
    from tests.test_pretrained_keras import detector_layers, write
    from tests.tiny import write_params
    from tools.soak.readers import _encoded

    shutil.copy(GOLDEN / "miss_rate_24_gt.json", folder / "gt.json")
    shutil.copy(GOLDEN / "miss_rate_24_dt.json", folder / "dt.json")
    shutil.copytree(ROOT / "profiles", folder / "profiles")
    for name in ("params.yaml", "settings.yaml"):  # `profile` replaces the first
        write_params(folder / name)
    _write_mat(folder / "anno_val.mat")
    _write_detector(folder / "model.safetensors")
    write(folder / "keras.hdf5", detector_layers("mobilenet", 1))
    for name in ("images", "people"):
        (folder / name).mkdir()
        for number in range(3):
            _encoded(".png")(folder / name / f"{number}.png")
    listed = [{"id": n, "file_name": f"{n}.png", "height": 64, "width": 96} for n in range(3)]
    people = [
        {"id": n + 1, "image_id": n, "category_id": 1, "bbox": [9 + n, 4, 20, 48], "iscrowd": 0} for n in range(3)
    ]
    write_json(
        folder / "people.json",
        {"images": listed, "annotations": people, "categories": [{"id": 1, "name": "person"}]},
    )


def command_line(command: Command) -> list[str]:
    """How to start a command with this Python."""
    return [sys.executable, "-m", "alfnet", *command.arguments]


def environment() -> dict[str, str]:
    """The environment of a command: this tree's package, one thread."""
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def run(command: Command, folder: Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end in `folder`."""
    return subprocess.run(
        command_line(command),
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        **options,  # type: ignore[call-overload]
    )


def content(path: Path) -> dict[str, bytes]:
    """All bytes of a file or folder, by name; {} where nothing is."""
    if path.is_file():
        return {"": path.read_bytes()}
    return {str(file.relative_to(path)): file.read_bytes() for file in sorted(path.rglob("*")) if file.is_file()}


def comparable(found: dict[str, bytes]) -> dict[str, bytes]:
    """`content` without what differs between runs that do the same: times."""
    kept = dict(found)
    for name in found:
        if name.endswith(".json"):
            value = json.loads(found[name])
            if isinstance(value, dict) and {"seconds", "seconds_per_image"} & value.keys():
                del kept[name]
    return kept


def leftovers(folder: Path) -> list[str]:
    """Temporary files and folders below `folder`."""
    return [str(path.relative_to(folder)) for path in folder.rglob(".*.tmp-*")]
