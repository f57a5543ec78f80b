"""ONNX Runtime's sessions: the device that was asked for, and the one that a session really has.

Nothing here needs torch: `alfnet serve` opens files without it, `alfnet detect` with it.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Any

from alfnet.errors import AlfnetError

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"


@dataclass(frozen=True)
class OnnxSession:
    """An open file of ONNX Runtime."""

    session: Any
    """onnxruntime.InferenceSession."""
    version: str
    """Of ONNX Runtime."""
    where: str
    """For people: CPU, GPU, or GPU 1 where a number was given."""

    @property
    def on_gpu(self) -> bool:
        """Whether the session computes on a GPU."""
        return self.where != "CPU"


def open_session(path: str | os.PathLike[str], device: str, threads: int) -> OnnxSession:
    """Open an ONNX file on auto (a GPU where this ONNX Runtime has one), cpu, cuda, cuda:1, ...

    Raises AlfnetError for another name of a device, a GPU that is asked for by name and is not there, and a file that
    cannot be opened; ModuleNotFoundError where ONNX Runtime is not installed.
    """
    import onnxruntime as runtime

    asked = re.fullmatch(r"cuda(?::(\d{1,3}))?", device)
    if asked is None and device not in ("auto", "cpu"):
        raise AlfnetError(
            f"--device {device}: ONNX Runtime has no such device here; there are auto, cpu, cuda, cuda:0, cuda:1, ..."
        )
    available = runtime.get_available_providers()
    if asked and CUDA not in available:
        raise AlfnetError(
            f"--device {device}: this ONNX Runtime is built for {', '.join(available)}; install onnxruntime-gpu, or set cpu"
        )
    number = int(asked[1] or 0) if asked else 0
    gpu = [(CUDA, {"device_id": number})] if asked or (device == "auto" and CUDA in available) else []
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    try:
        session = runtime.InferenceSession(str(path), options, providers=[*gpu, CPU])
    except Exception as error:  # its own classes have no common base that is public
        raise AlfnetError(f"{path}: ONNX Runtime cannot open it ({first_line(error)}); export it again") from None
    # A GPU whose driver or libraries are missing is left out by ONNX Runtime, which then takes the CPU.
    on_gpu = CUDA in session.get_providers()
    if asked and not on_gpu:
        raise AlfnetError(
            f"--device {device}: ONNX Runtime could not use this GPU and took the CPU; look at nvidia-smi and at the CUDA "
            "and cuDNN that onnxruntime-gpu asks for, or set cpu"
        )
    where = "CPU" if not on_gpu else f"GPU {number}" if asked and asked[1] else "GPU"
    return OnnxSession(session, str(runtime.__version__), where)


def first_line(error: BaseException) -> str:
    """The first line of what an error says, cut to 200 characters; its class where it says nothing."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
