"""`alfnet launch`: the pipeline with its trainings side by side."""

from __future__ import annotations

import sys
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
    gpus: Annotated[
        str | None, typer.Option(help="Local: GPUs for the jobs to share, such as 0,1; left out: all.")
    ] = None,
    partition: Annotated[str | None, typer.Option(help="Slurm; left out: the cluster's default.")] = None,
    time: Annotated[
        int | None,
        typer.Option(
            min=5,
            help="Slurm: minutes per job, 1440 (a day) if left out; one that needs more is queued again and goes on.",
        ),
    ] = None,
    array_parallelism: Annotated[
        int | None, typer.Option(min=1, help="Slurm: jobs of the array at once; left out: --jobs, or all.")
    ] = None,
    gpus_per_node: Annotated[
        int | None,
        typer.Option(
            min=0,
            help="Slurm: GPUs of a job; left out: machine.devices, unless machine.accelerator is cpu, or auto and the "
            "partition has none.",
        ),
    ] = None,
    cpus_per_task: Annotated[
        int | None,
        typer.Option(
            min=1, help="Slurm: cores of a job; left out: one, and one per loader of images, for each device."
        ),
    ] = None,
    sbatch: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Slurm: any other option of sbatch, such as account=vision; repeatable."
        ),
    ] = None,
) -> None:
    """Run what `dvc repro` would run, each variant and seed as a job of its own; then collect it with `dvc repro`.

    Uncommitted changes are carried along. A job that is killed goes on from its checkpoint; one that fails leaves the
    others running. With `runtime: portable` the number of jobs at once changes no result.
    """
    given = {
        "partition": partition,
        "time": time,
        "array_parallelism": array_parallelism,
        "gpus_per_node": gpus_per_node,
        "cpus_per_task": cpus_per_task,
    }
    slurm = {key: value for key, value in given.items() if value is not None}
    if (slurm or sbatch) and on is On.local:
        names = ", ".join(f"--{key.replace('_', '-')}" for key in [*slurm, *(["sbatch"] if sbatch else [])])
        raise AlfnetError(f"{names}: for jobs of Slurm alone; add --on slurm, or leave that out")
    if gpus is not None and on is On.slurm:
        raise AlfnetError(f"--gpus {gpus}: for jobs of this machine alone; Slurm gives GPUs out: --gpus-per-node 1")
    devices = [str(number) for number in _devices(gpus)] if gpus is not None else ()

    from alfnet.launch.run import Options
    from alfnet.launch.run import launch as run
    from alfnet.launch.slurm import in_words, parameters, sbatch_options
    from alfnet.params import load_params

    extra = sbatch_options(sbatch or [])
    params = load_params(Path("params.yaml"))
    if on is On.slurm:
        slurm = parameters(params.machine, slurm, extra)
        print(in_words(slurm, params.machine), file=sys.stderr, flush=True)
    options = Options(on=on.value, jobs=jobs, gpus=devices, slurm=slurm)
    raise typer.Exit(run(params, Path.cwd(), options))


def _devices(gpus: str) -> tuple[int, ...]:
    """The numbers in the text of --gpus; AlfnetError where they are none, negative or repeated."""
    try:
        devices = tuple(int(part) for part in gpus.split(","))
    except ValueError:
        raise AlfnetError(f"--gpus {gpus}: numbers with commas between were expected, such as 0,1") from None
    if min(devices) < 0:
        raise AlfnetError(f"--gpus {gpus}: a number is negative; GPUs count from 0, as nvidia-smi lists them")
    if len(set(devices)) < len(devices):
        raise AlfnetError(
            f"--gpus {gpus}: a number stands there twice; name each GPU once, and for two jobs on each of them "
            f"add --jobs {2 * len(set(devices))}"
        )
    return devices
