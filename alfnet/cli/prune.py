"""`alfnet prune`: remove what stages wrote for variants and seeds that the parameter file no longer has, and nothing else."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from alfnet.cli.common import ParamsOption
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from alfnet.params import Params


def prune(
    params_file: ParamsOption = Path("params.yaml"),
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List the files and remove none.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove outputs of variants and seeds that params.yaml no longer has (DVC keeps its copies in the cache).

    Only files that a stage writes, by name and content, in the parameter file's own folder; they are listed first.
    """
    from alfnet.params import load_params

    root = params_file.parent
    files = leftovers(load_params(params_file), root)
    for path in files:
        print(path)
    if not files:
        print("nothing to remove")
    if not files or dry_run:
        return
    if not yes:
        if not sys.stdin.isatty():
            raise AlfnetError(
                "prune: nobody to ask whether these files may go; add --yes, or --dry-run to list them only"
            )
        if not typer.confirm(f"Remove {len(files)} {'file' if len(files) == 1 else 'files'}?"):
            print("nothing removed")
            return
    for path in files:
        path.unlink()
        for folder in path.parents:
            if folder == root or folder.parent == root or any(folder.iterdir()):
                break
            folder.rmdir()
    print(f"removed {len(files)} {'file' if len(files) == 1 else 'files'}")


def leftovers(params: Params, root: Path) -> list[Path]:
    """Files below `root` that stages wrote for variants or seeds that the parameters do not have, sorted by place.

    A file counts if it stands where a stage writes, under the name that the stage gives it, with content of that kind:
    someone's own files in these folders, whatever they are called, do not.
    """
    found: list[Path] = []
    for place, names in _WRITTEN.items():
        for entry in sorted((root / place).glob("*")):
            if entry.is_symlink():
                continue  # a link leads to somebody's own files
            if entry.name in params.variants:
                candidates = _of_other_seeds(entry, params.seeds, place in _SEED_FILES)
            elif entry.stem in params.variants:
                continue
            else:
                candidates = _files(entry)
            for path in candidates:
                name = entry.suffix if entry.is_file() else path.name
                if any(Path(name).match(pattern) and holds(path) for pattern, holds in names) and not path.is_symlink():
                    found.append(path)
    return found


def _of_other_seeds(variant: Path, seeds: Collection[int], files: bool) -> list[Path]:
    """The files in a variant's folder below those of other seeds; `files`: each seed has a file there in place of a folder."""
    found: list[Path] = []
    for entry in sorted(variant.glob("*")):
        seed = entry.stem if files else entry.name
        if entry.is_symlink() or entry.is_file() != files or not re.fullmatch("0|[1-9][0-9]*", seed):
            continue
        if int(seed) not in seeds:
            found += _files(entry)
    return found


def _files(entry: Path) -> list[Path]:
    return [entry] if entry.is_file() else sorted(path for path in entry.rglob("*") if path.is_file())


def _is_weights(path: Path) -> bool:
    """Whether a safetensors file has alfnet's metadata (read without torch: 8 bytes of length, then JSON)."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = file.read(min(length, 2**20))
    return b'"__metadata__":{"alfnet' in header.replace(b" ", b"")


def _is_json(*keys: str) -> Callable[[Path], bool]:
    def holds(path: Path) -> bool:
        try:
            content = json.loads(path.read_bytes())
        except (ValueError, RecursionError):
            return False
        return isinstance(content, dict) and any(key in content for key in keys)

    return holds


def _is_detections(path: Path) -> bool:
    start = path.read_bytes()[:16]
    return start.startswith((b'[{"image_id":', b"[]"))


def _begins(*starts: bytes) -> Callable[[Path], bool]:
    return lambda path: path.read_bytes()[:64].startswith(starts)


def _is_export(path: Path) -> bool:
    """ONNX, or OpenVINO's XML and the weights beside it, as `alfnet export` writes them."""
    if path.suffix == ".bin":
        return path.with_suffix(".xml").is_file()
    return path.suffix in (".onnx", ".xml")


def _anything(path: Path) -> bool:
    return True


# Per folder: the names that stages give to files there ("" stands for the variant, as in metrics/VARIANT.json).
_WRITTEN: dict[str, Iterable[tuple[str, Callable[[Path], bool]]]] = {
    "models": [
        ("model.safetensors", _is_weights),
        ("[0-9]*.safetensors", _is_weights),
        ("kept.json", _is_json("updates")),
    ],
    "weights/first": [(".safetensors", _is_weights)],
    "detections": [
        ("step[1-9].json", _is_detections),
        ("C*B[1-9].json", _is_detections),
        ("step[1-9].txt", _anything),
        ("positives.json", _is_json("ground_truths")),
    ],
    "validation": [
        ("tested.json", _is_json("weights")),
        ("metrics.json", _is_json("step")),
        ("*.tsv", _begins(b"step\t", b"timestamp\t")),
    ],
    "evaluation": [
        ("results.json", _is_json("steps")),
        ("curves.csv", _begins(b"test_step,")),
    ],
    "deploy": [
        ("report.json", _is_json("miss_rates")),
        ("float32.json", _is_detections),
        ("int8.json", _is_detections),
        ("float32.*", _is_export),
        ("int8.*", _is_export),
    ],
    "metrics/deploy": [("[0-9]*.json", _is_json("int8_mr_50", "int8_mr_75"))],
    "summaries": [("summary.json", _is_json("seeds")), ("curves.csv", _begins(b"test_step,"))],
    "metrics": [(".json", _is_json("miss_rate_percent", "mr_50"))],
    "plots/curves": [(".csv", _begins(b"iou,", b"fppi,", b"test_step,"))],
    "plots/training": [("metrics.json", _is_json("step")), ("*.tsv", _begins(b"step\t", b"timestamp\t"))],
    "timings": [("[0-9]*.json", _is_json("seconds_per_image"))],
}
_SEED_FILES = ("metrics/deploy", "timings")
"""Where a seed has a file, as in metrics/deploy/VARIANT/SEED.json, and elsewhere a folder."""
