"""The arithmetic that a run uses: `portable` (the same bytes on every x86-64 machine with AVX2) or `native` (fast).

The libraries choose their instruction set when they are imported, so `configure` must run before numpy, cv2 and torch:
nothing here imports them at the top.
"""

from __future__ import annotations

import os
import sys
from typing import Literal

from alfnet.errors import AlfnetError

Runtime = Literal["portable", "native"]

# A reduction is split by thread, so the number of threads is part of the result.
PORTABLE_THREADS = 2

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
    "OPENCV_CPU_DISABLE": "AVX512-SKX,AVX512-COMMON,AVX512-ICL",
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
    # OpenCV's threads would compete with torch's, and its pictures are small.
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
