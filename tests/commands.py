"""Commands run in the tests' own process: a process of its own costs each of them seconds to import torch."""

from __future__ import annotations

import contextlib
import io
import sys
from pathlib import Path
from unittest import mock

import cv2
import torch

from alfnet.cli import main


def alfnet(*arguments: str, cwd: Path, code: int = 0) -> str:
    """Run a command in a folder; its output, with stderr."""
    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    output = io.StringIO()
    ended = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.chdir(cwd))
        stack.enter_context(mock.patch.object(sys, "argv", ["alfnet", *arguments]))
        stack.enter_context(contextlib.redirect_stdout(output))
        stack.enter_context(contextlib.redirect_stderr(output))
        try:
            main()
        except SystemExit as stop:
            ended = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        finally:
            torch.set_num_threads(threads)
            torch.use_deterministic_algorithms(deterministic)
            cv2.setNumThreads(1)
    assert ended == code, output.getvalue()
    return output.getvalue()
