"""The arithmetic that a run uses: `portable` (the same bytes on every x86-64 machine with AVX2) or `native` (fast).

The libraries choose their instruction set when they are imported, so `configure` must run before numpy, cv2 and torch:
nothing here imports them at the top.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, Literal

from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Runtime = Literal["portable", "native"]

# A reduction is split by thread, so the number of threads is part of the result. One: trainings run side by side, which
# uses cores better than threads do (two at once on two cores: 1.16 x as fast as one after the other with two threads).
PORTABLE_THREADS = 1

# OpenCV's dispatched extensions, each with a flag of processors that have it.
_OPENCV_AVX512 = {"AVX512-SKX": "avx512bw", "AVX512-COMMON": "avx512f", "AVX512-ICL": "avx512_bitalg"}


def _to_disable_in_opencv() -> str:
    """The extensions above that this processor has (all of them where that can't be read).

    OpenCV complains, in every process, of each that is to be disabled and isn't there.
    """
    try:
        with open("/proc/cpuinfo", encoding="ascii") as file:
            flags = next(line for line in file if line.startswith("flags")).split()
    except (OSError, ValueError, StopIteration):
        return ",".join(_OPENCV_AVX512)
    return ",".join(name for name, flag in _OPENCV_AVX512.items() if flag in flags)


# Each caps one library's own choice of instructions at AVX2 (found by comparing bytes under emulated processors;
# `make portability` repeats the comparison).
PORTABLE_ENVIRONMENT = {
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "ATEN_CPU_CAPABILITY": "avx2",
    "MKL_CBWR": "COMPATIBLE",  # MKL_CBWR=AVX2 still differs between Intel and AMD
    "OMP_NUM_THREADS": str(PORTABLE_THREADS),
    "MKL_NUM_THREADS": str(PORTABLE_THREADS),
    "OPENBLAS_NUM_THREADS": "1",
    "OPENBLAS_CORETYPE": "Haswell",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENCV_CPU_DISABLE": _to_disable_in_opencv(),
    "OPENCV_IPP": "disabled",
    "OPENCV_LOG_LEVEL": "ERROR",  # or it says at every start that IPP is off
}


def configure(runtime: Runtime) -> None:
    """Set up the arithmetic of this process and the processes that it starts. Raises AlfnetError if it comes too late."""
    if runtime == "native":
        return
    if all(os.environ.get(key) == value for key, value in PORTABLE_ENVIRONMENT.items()):
        return
    imported = [name for name in ("torch", "numpy", "cv2") if name in sys.modules]
    if imported:
        raise AlfnetError(f"runtime: portable has to be set up before {', '.join(imported)} is imported")
    os.environ.update(PORTABLE_ENVIRONMENT)


def configure_libraries(runtime: Runtime) -> None:
    """Set the number of threads and deterministic algorithms of torch and OpenCV; call after `configure`."""
    import cv2
    import torch

    keep_freed_memory()
    # OpenCV's threads would compete with torch's, and its images are small.
    cv2.setNumThreads(1)
    if runtime == "portable":
        torch.set_num_threads(PORTABLE_THREADS)
        torch.use_deterministic_algorithms(True)
        # It would also fill all fresh memory, to make reads of it repeatable; nothing here reads what it has not written.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]


def keep_freed_memory() -> None:
    """Let glibc keep what is freed for the next allocation, where glibc is what allocates. It changes no result.

    By default it gives every large tensor back to the system, and each update of a small network then pays for some
    thousand page faults.
    """
    import ctypes

    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError, TypeError):
        return
    trim_threshold, mmap_threshold = -1, -3
    # The larger is refused by versions of glibc that allow half a heap at most.
    if not mallopt(mmap_threshold, 1 << 30):
        mallopt(mmap_threshold, 32 << 20)
    mallopt(trim_threshold, 2**31 - 1)


def make_fabric(accelerator: str, *, devices: int = 1, nodes: int = 1, **options: Any) -> Fabric:
    """Fabric on the devices that are asked for; `options` go to it. Processes start with `launch`.

    One process per device: those that torchrun or srun has started for the purpose, or else started by `launch` itself.
    The tasks of a Slurm job are left alone unless `srun` has started as many as there are devices: what runs in the job,
    such as a pipeline's stage, is not all of them at once.

    Raises AlfnetError where there is no such device, or not as many.
    """
    import torch
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import (
        LightningEnvironment,
        SLURMEnvironment,
        TorchElasticEnvironment,
    )

    environment: Any = LightningEnvironment()
    if TorchElasticEnvironment.detect():
        environment = TorchElasticEnvironment()
        local, world = int(os.environ["LOCAL_WORLD_SIZE"]), int(os.environ["WORLD_SIZE"])
        devices, nodes = local, world // local  # torchrun's own numbers
    elif devices * nodes > 1 and os.environ.get("SLURM_STEP_NUM_TASKS") == str(devices * nodes):
        environment = SLURMEnvironment(auto_requeue=False)
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if accelerator == "cuda" and not gpus:
        built = f"CUDA {torch.version.cuda} build" if torch.version.cuda else "build for CPUs"
        raise AlfnetError(
            f"params: machine.accelerator: cuda, but torch sees no GPU ({built}); "
            "set auto or cpu, or look at what nvidia-smi says"
        )
    if accelerator != "cpu" and gpus and devices > gpus:
        raise AlfnetError(
            f"params: machine.devices: {devices}, but torch sees {gpus} GPU{'s' if gpus > 1 else ''}; "
            f"set at most {gpus}, or look at CUDA_VISIBLE_DEVICES"
        )
    return Fabric(accelerator=accelerator, devices=devices, num_nodes=nodes, plugins=[environment], **options)
