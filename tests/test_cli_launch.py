"""`alfnet launch`: options that do not fit together."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.commands import alfnet


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ("--partition gpu --time 240", "--partition, --time: for jobs of Slurm alone; add --on slurm, or leave"),
        ("--cpus-per-task 1", "--cpus-per-task: for jobs of Slurm alone"),
        ("--on slurm --gpus 0,1", "--gpus 0,1: for jobs of this machine alone; Slurm gives GPUs out: --gpus-per-node"),
        ("--gpus 0,-3", "--gpus 0,-3: a number is negative"),
        ("--gpus 0,0,1", "--gpus 0,0,1: a number stands there twice; name each GPU once"),
        ("--gpus 0,x", "--gpus 0,x: numbers with commas between"),
        ("--sbatch account=vision --time 60", "--time, --sbatch: for jobs of Slurm alone; add --on slurm"),
        (
            "--on slurm --sbatch account",
            "--sbatch account: KEY=VALUE was expected, an option of sbatch in full, such as",
        ),
        ("--on slurm --sbatch time=60", "--sbatch time=60: that has an option of its own: --time 60"),
        ("--on slurm --time 2", "2 is not in the range x>=5"),
        ("--on slurm --partition gpu --sbatch account=a --sbatch mem=32G", "params.yaml: no such file"),
        ("--on slurm --partition gpu", "params.yaml: no such file"),
        ("--gpus 1,0", "params.yaml: no such file"),
    ],
)
def test_options_of_the_other_kind_of_jobs_are_refused(options: str, said: str, tmp_path: Path) -> None:
    assert said in " ".join(alfnet("launch", *options.split(), cwd=tmp_path, code=2).split())
