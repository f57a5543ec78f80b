"""`torchrun stages/train.py VARIANT SEED` in a project: what it writes, and how its result gets into dvc.lock."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.throwaway import new_repository, ran, run

VARIANT = "mobilenet-2s"
STAGE = f"train@{VARIANT}-1"
# Python reads it at every start. What torchrun has started notes the files that it opens for writing or puts in place.
NOTING = """\
import os, sys
if "RANK" in os.environ:
    notes = open(os.path.join(os.environ["NOTES"], os.environ["RANK"]), "a", buffering=1)
    def note(event, arguments):
        path = None
        if event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            path = arguments[0]
        elif event == "os.rename":
            path = arguments[1]
        if isinstance(path, (str, bytes, os.PathLike)):
            notes.write(os.path.abspath(os.fsdecode(path)) + "\\n")
    sys.addaudithook(note)
"""


def files(folder: Path) -> dict[Path, bytes]:
    """What there is of the training, with the content."""
    names = ("models", "plots/training", ".scratch")
    paths = [path for name in names for path in (folder / name).rglob("*") if path.is_file()]
    return {path.relative_to(folder): path.read_bytes() for path in paths}


@pytest.mark.long
@pytest.mark.pipeline
def test_torchrun_writes_one_result_and_dvc_repro_takes_it(tmp_path: Path) -> None:
    folder = new_repository(
        tmp_path / "project", variants=(VARIANT,), seeds=[1], runtime="native", train__images_per_device=1
    )
    run("dvc", "repro", "cache_annotations", f"first_weights@{VARIANT}", cwd=folder)
    assert not files(folder)
    notes = tmp_path / "notes"
    notes.mkdir()
    (notes / "sitecustomize.py").write_text(NOTING)
    command = ("torchrun", "--nproc-per-node=2", "stages/train.py", VARIANT, "1")
    output = run(*command, cwd=folder, PYTHONPATH=f"{folder}{os.pathsep}{notes}", NOTES=str(notes)).stdout
    assert "going on after" not in output

    # One model, one set of curves, the checkpoints of one run, and nothing unfinished.
    written = files(folder)
    (scratch,) = (folder / ".scratch").glob(f"{VARIANT}-1-*")
    checkpoints = sorted(path.name for path in scratch.glob("*.ckpt"))
    assert [name.split("-")[0] for name in checkpoints] == ["000000002", "000000003"]
    curves = {path for path in written if path.suffix == ".tsv"}
    assert {path.stem for path in curves} >= {"loss", "step1_regression", "step2_classification"}
    assert {str(path) for path in written} == {
        f"models/{VARIANT}/1/model.safetensors",
        f"models/{VARIANT}/1/snapshots/kept.json",
        f"plots/training/{VARIANT}/1/metrics.json",
        *(str(path) for path in curves),
        *(f".scratch/{scratch.name}/{name}" for name in ("lock", "likeness", *checkpoints)),
    }
    for path in curves:
        assert [line.split(b"\t")[0] for line in written[path].splitlines()] == [b"step", b"1", b"2", b"3"], path

    # The first process wrote them, each once (the curves grow update by update), the second wrote nothing there.
    noted = {
        rank: [
            path.relative_to(folder)
            for path in map(Path, (notes / rank).read_text().splitlines())
            if folder in path.parents
        ]
        for rank in ("0", "1")
    }
    assert noted["0"].count(Path("models") / VARIANT / "1/model.safetensors") == 1
    assert noted["0"].count(Path(".scratch") / scratch.name / checkpoints[-1]) == 1
    assert noted["1"] == []

    # A plain run goes on from the last checkpoint, after which nothing is left to train, and DVC records what it gives.
    output = run("dvc", "repro", STAGE, cwd=folder).stdout
    assert STAGE in ran(output)
    assert "going on after update 3 of 3" in output
    assert files(folder) == written | {
        Path(".scratch") / scratch.name / "lock": (scratch / "lock").read_bytes()  # names the process
    }
    assert f"Stage '{STAGE}' didn't change, skipping" in run("dvc", "repro", STAGE, cwd=folder).stdout
