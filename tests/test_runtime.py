"""The portable arithmetic is set before the libraries that read it, or refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alfnet.runtime import PORTABLE_ENVIRONMENT, PORTABLE_THREADS, make_fabric


def _python(root: Path, code: str, **environment: str) -> str:
    """What the code prints in a fresh process, whose environment says nothing about arithmetic."""
    plain = {key: value for key, value in os.environ.items() if key not in PORTABLE_ENVIRONMENT}
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, env=plain | environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_portable_sets_the_environment_of_this_process_and_its_children(root: Path) -> None:
    code = """
import json, subprocess, sys
from alfnet.runtime import configure
configure("portable")
subprocess.run([sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"], check=True)
"""
    assert json.loads(_python(root, code)).items() >= PORTABLE_ENVIRONMENT.items()


def test_portable_names_no_instructions_that_the_processor_lacks(root: Path) -> None:
    """OpenCV would complain of each in every process."""
    code = """
import os
from alfnet.runtime import configure
configure("portable")
os.dup2(1, 2)
import cv2
"""
    assert _python(root, code) == ""


def test_portable_replaces_other_values(root: Path) -> None:
    code = """
import os
from alfnet.runtime import configure
configure("portable")
print(os.environ["OMP_NUM_THREADS"])
"""
    assert _python(root, code, OMP_NUM_THREADS="7").split() == [str(PORTABLE_THREADS)]


def test_native_leaves_the_environment_alone(root: Path) -> None:
    code = """
import os
before = dict(os.environ)
import numpy
from alfnet.runtime import configure
configure("native")
print(dict(os.environ) == before)
"""
    assert _python(root, code).split() == ["True"]


def test_looking_at_the_module_imports_no_heavy_library(root: Path) -> None:
    code = """
import sys
import alfnet.runtime
print(sorted({"numpy", "torch", "cv2"} & set(sys.modules)))
"""
    assert _python(root, code).strip() == "[]"


@pytest.mark.parametrize("library", ["numpy", "cv2"])
def test_portable_is_refused_once_a_library_has_chosen_its_instructions(root: Path, library: str) -> None:
    code = f"""
import os
import {library}
from alfnet.errors import AlfnetError
from alfnet.runtime import configure
before = dict(os.environ)
try:
    configure("portable")
except AlfnetError as error:
    print(error)
print(dict(os.environ) == before)
"""
    message, unchanged = _python(root, code).splitlines()
    assert message.startswith("runtime: portable has to be set up before ")
    assert library in message
    assert unchanged == "True"


def test_portable_is_fine_after_the_imports_when_a_parent_has_set_it_up(root: Path) -> None:
    code = """
import numpy
from alfnet.runtime import configure
configure("portable")
print("fine")
"""
    assert _python(root, code, **PORTABLE_ENVIRONMENT).split() == ["fine"]


def test_libraries_obey(root: Path) -> None:
    """The values are ones that numpy, OpenCV and torch know: each of them names what it then uses."""
    code = """
from alfnet.runtime import configure, configure_libraries
configure("portable")
configure_libraries("portable")
import cv2, torch
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__
print(torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), cv2.getNumThreads())
print(torch.backends.cpu.get_cpu_capability())
print([name for name in __cpu_dispatch__ if __cpu_features__[name]])
"""
    assert _python(root, code).splitlines() == [f"{PORTABLE_THREADS} True 1", "AVX2", "['X86_V3']"]


def test_the_tasks_of_a_slurm_job_are_not_taken_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """DVC runs a stage once in a job of any number of tasks; only as many as `srun` started for the devices work together."""
    from lightning_fabric.plugins.environments import LightningEnvironment, SLURMEnvironment

    job = {
        "SLURM_JOB_NAME": "train",
        "SLURM_JOB_ID": "77",
        "SLURM_PROCID": "0",
        "SLURM_LOCALID": "0",
        "SLURM_NODEID": "0",
        "SLURM_NODELIST": "localhost",
        "SLURM_NTASKS": "4",
        "SLURM_NTASKS_PER_NODE": "4",
    }
    for name, value in job.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("SLURM_STEP_NUM_TASKS", raising=False)
    alone = make_fabric("cpu")
    assert (alone.world_size, alone.global_rank, alone.is_global_zero) == (1, 0, True)
    several = make_fabric("cpu", devices=4)
    assert isinstance(several.strategy.cluster_environment, LightningEnvironment)
    assert not several.strategy.cluster_environment.creates_processes_externally  # `launch` starts them
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    assert isinstance(make_fabric("cpu", devices=4).strategy.cluster_environment, SLURMEnvironment)
