"""`alfnet launch`: the pipeline with its trainings side by side."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from alfnet.errors import AlfnetError


class On(StrEnum):
    """Where jobs run."""

    local = "local"
    slurm = "slurm"


def launch(
    on: Annotated[On, typer.Option(help="Processes of this machine, or jobs of a Slurm cluster.")] = On.local,
    jobs: Annotated[int | None, typer.Option(min=1, help="At once; left out: one per GPU or core.")] = None,
    gpus: Annotated[str | None, typer.Option(help="Local: GPUs for the jobs to share, such as 0,1.")] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm.")] = None,
    time: Annotated[
        int | None, typer.Option(help="Slurm: minutes per job; one that needs more is queued again.")
    ] = None,
    array_parallelism: Annotated[int | None, typer.Option(min=1, help="Slurm: jobs of the array at once.")] = None,
    gpus_per_node: Annotated[int | None, typer.Option(min=0, help="Slurm: GPUs of a job.")] = None,
    cpus_per_task: Annotated[int, typer.Option(min=1, help="Slurm: cores of a job.")] = 1,
) -> None:
    """Run what `dvc repro` would run, each variant and seed as a job of its own; then collect it with `dvc repro`.

    Uncommitted changes are carried along. A job that is killed goes on from its checkpoint; one that fails leaves the
    others running. The number of jobs at once changes no result.
    """
    from alfnet.launch.run import Options
    from alfnet.launch.run import launch as run
    from alfnet.params import load_params

    params = load_params(Path("params.yaml"))
    try:
        devices = tuple(int(part) for part in gpus.split(",")) if gpus else ()
    except ValueError:
        raise AlfnetError(f"--gpus {gpus}: numbers with commas between were expected, such as 0,1") from None
    given = {
        "partition": partition,
        "time": time,
        "array_parallelism": array_parallelism,
        "gpus_per_node": gpus_per_node,
        "cpus_per_task": cpus_per_task,
    }
    slurm = {key: value for key, value in given.items() if value is not None}
    raise typer.Exit(run(params, Path.cwd(), Options(on=on.value, jobs=jobs, gpus=devices, slurm=slurm)))
