"""Slurm as `alfnet launch` uses it: what a job asks for, and where the queue has it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError
from alfnet.params import MachineSettings

MINUTES = 24 * 60
"""Of a job where nothing else is asked for: many clusters allow a day, and submitit's own 5 end a training at its start."""
SIGNAL_SECONDS = 90
"""Before a job's end Slurm tells it, so that it stops its stage and is queued again."""
OWN_OPTIONS = ("partition", "time", "array-parallelism", "gpus-per-node", "cpus-per-task")
GIVEN_BY_THE_LAUNCH = (
    "array",
    "output",
    "error",
    "open-mode",
    "signal",
    "requeue",
    "nodes",
    "ntasks",
    "ntasks-per-node",
)
GPU_OPTIONS = ("gpus", "gpus-per-task", "gpus-per-socket", "gres")
"""Other ways to ask sbatch for GPUs; whoever takes one says all about them."""
QUEUED = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_FED", "REQUEUE_HOLD", "RESV_DEL_HOLD", "SPECIAL_EXIT")
"""Slurm's states of jobs that do not run yet, or not again."""
NO_LIMIT = 10**6


def sbatch_options(texts: Iterable[str]) -> dict[str, str | bool]:
    """Options of sbatch by name, from texts such as "account=vision"; the value `true` stands for a bare option.

    Raises AlfnetError for a text of another form, and for what has an option of its own or is the launch's business.
    """
    options: dict[str, str | bool] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        name = name.removeprefix("--").replace("_", "-")
        if not equals or not re.fullmatch(r"[a-z][a-z-]+", name) or not value or not value.isprintable():
            raise AlfnetError(
                f"--sbatch {text}: KEY=VALUE was expected, an option of sbatch in full, such as account=vision or mem=32G "
                "(exclusive=true for one without a value)"
            )
        if name in OWN_OPTIONS:
            raise AlfnetError(f"--sbatch {text}: that has an option of its own: --{name} {value}")
        if name in GIVEN_BY_THE_LAUNCH:
            raise AlfnetError(f"--sbatch {text}: the launch sets {name} itself, one task on one node for each job")
        if name in options:
            raise AlfnetError(f"--sbatch {text}: {name} is given twice; sbatch takes one value")
        options[name] = True if value == "true" else value
    return options


def parameters(machine: MachineSettings, given: Mapping[str, Any], options: Mapping[str, str | bool]) -> dict[str, Any]:
    """What each job asks for, in submitit's words (without their prefix slurm_).

    given: what the command says, by submitit's names. options: those of sbatch beside them. What neither says comes from
    the machine's settings: a GPU for each device of a training, a core for each of its processes and their loaders.
    """
    asked: dict[str, Any] = {"time": MINUTES, **given}
    if "gpus_per_node" not in asked and not set(options) & set(GPU_OPTIONS):
        wanted = machine.accelerator == "cuda" or (machine.accelerator == "auto" and has_gpus(given.get("partition")))
        asked["gpus_per_node"] = machine.devices if wanted else 0
    if not asked.get("gpus_per_node"):
        asked.pop("gpus_per_node", None)  # a Slurm without GPUs refuses also the wish for none
    if "cpus_per_task" not in asked and "cpus-per-gpu" not in options:
        asked["cpus_per_task"] = machine.devices * (machine.workers + 1)
    if options:
        asked["additional_parameters"] = dict(options)
    return asked


def has_gpus(partition: str | None) -> bool:
    """Whether Slurm names GPUs among the nodes of a partition, or of the default one; False where there is no Slurm."""
    partition = partition or os.environ.get("SBATCH_PARTITION")
    command = ["sinfo", "--noheader", "--format=%P %G", *([f"--partition={partition}"] if partition else [])]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return False
    for line in listed.stdout.splitlines():
        name, _, resources = line.partition(" ")
        if (partition or name.endswith("*")) and re.search(r"(^|,)gpu\b", resources.strip()):
            return True
    return False


def in_words(asked: Mapping[str, Any], machine: MachineSettings) -> str:
    """One line for whoever starts a launch: what each job asks Slurm for."""
    options = asked.get("additional_parameters", {})
    gpus = asked.get("gpus_per_node")
    parts = []
    if gpus:
        parts.append(f"{gpus} GPU{'s' if gpus > 1 else ''}")
    elif not set(options) & set(GPU_OPTIONS):
        reason = {
            "cpu": " (machine.accelerator: cpu)",
            "auto": " (machine.accelerator: auto, and sinfo names none in the partition; --gpus-per-node asks for them)",
        }
        parts.append("no GPU" + reason.get(machine.accelerator, ""))
    if cores := asked.get("cpus_per_task"):
        parts.append(f"{cores} core{'s' if cores > 1 else ''}")
    parts.append(f"{asked['time']} minutes, as often as needed")
    parts += [f"--{name}" if value is True else f"--{name}={value}" for name, value in options.items()]
    return f"each job asks Slurm for {', '.join(parts)}"


def executor(logs: Path, asked: Mapping[str, Any], at_once: int | None) -> Any:
    """submitit's executor for jobs that ask for so much, `at_once` of an array at a time (None: all that Slurm starts).

    Raises AlfnetError where there is no Slurm.
    """
    import submitit

    if not shutil.which("sbatch"):
        raise AlfnetError("sbatch: no such command; is Slurm on this machine? Without it: alfnet launch --on local")
    # Without Slurm's accounting submitit warns at every look; the jobs' own result files tell it all the same.
    logging.getLogger("submitit").setLevel(logging.ERROR)
    # Python takes the place of the batch script's shell, so that Slurm's signal reaches it and nothing else. With `srun`
    # it would reach, and end, all processes of the job before submitit has them stopped in order.
    python = f"exec {shlex.quote(sys.executable)}"
    jobs = submitit.SlurmExecutor(logs, max_num_timeout=NO_LIMIT, python=python)
    options = {"signal": f"B:USR2@{SIGNAL_SECONDS}", "requeue": True, **asked.get("additional_parameters", {})}
    defaults = {"job_name": "alfnet", "time": MINUTES, "array_parallelism": at_once or NO_LIMIT}
    always = {"stderr_to_stdout": True, "use_srun": False, "additional_parameters": options}
    jobs.update_parameters(**{**defaults, **asked, **always})
    return jobs


def queue() -> dict[str, tuple[str, str]] | None:
    """This user's jobs that Slurm knows, by id: (state such as PENDING, reason); None where Slurm does not answer."""
    # With --array a line for each task of an array, which are otherwise listed as 12_[3-9] while they wait.
    command = ["squeue", "--noheader", "--array", "--format=%i %T %r", f"--user={os.getuid()}"]
    listed = subprocess.run(command, capture_output=True, text=True)
    if listed.returncode:  # Slurm is busy or being restarted
        return None
    lines = [[*line.split(maxsplit=2), "", ""] for line in listed.stdout.splitlines() if line.strip()]
    return {job: (state, reason.strip()) for job, state, reason, *_ in lines}


def cancel(jobs: Sequence[str]) -> None:
    """Cancel jobs; those that have ended are passed over."""
    with contextlib.suppress(OSError):
        subprocess.run(["scancel", *jobs], capture_output=True)
