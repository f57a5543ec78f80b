"""Check on a GPU what could not be checked without one, and write one table: `make gpu`, or `python -m tools.gpu`.

Needs the packages of `alfnet[train]` but no DVC, no params.yaml and no data set. Exit code 1 where a check failed.
"""

from __future__ import annotations

import argparse
import logging
import os
import platform
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import torch

from alfnet.detection.backend import torch_device
from alfnet.errors import exit_with_message
from tools.gpu import agreement, speed, training
from tools.gpu.material import FULL, TINY
from tools.gpu.report import Report

# What matters most and takes least comes first: a run that is cut short leaves the rest out.
SECTIONS = {
    "sets": agreement.check_sets,
    "agreement": agreement.check_agreement,
    "resume": training.check_resume,
    "devices": training.check_devices,
    "updates": speed.measure_updates,
    "detection": speed.measure_detection,
    "waiting": speed.measure_waiting,
    "whole": speed.measure_whole,
    "memory": speed.measure_memory,
    "compile": training.check_compile,
}


@exit_with_message
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sections; return 1 where a check failed."""
    parser = argparse.ArgumentParser(prog="python -m tools.gpu", description=__doc__)
    parser.add_argument(
        "--device", default="cuda", help="cuda, cuda:1, ..., or cpu to try the checks out (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("gpu.md"), help="the table (%(default)s)")
    parser.add_argument("--seconds", type=float, default=270, help="after so many no section begins (%(default)s)")
    parser.add_argument("--quick", action="store_true", help="tiny networks and pictures, which say nothing of speed")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, metavar="SECTION", help=f"of {', '.join(SECTIONS)}")
    given = parser.parse_args(arguments)
    device = torch_device(given.device, "--device")
    cv2.setNumThreads(1)
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    report = Report(given.out, _title(device, given.quick), seconds=given.seconds)
    sizes = TINY if given.quick else FULL
    for name in given.only or SECTIONS:
        report.section(name, lambda check=SECTIONS[name]: check(report, sizes, device))  # type: ignore[misc]
        if device.type == "cuda":
            torch.cuda.empty_cache()
    print(f"\n{report.markdown()}\nwritten to {given.out}: please paste it into an issue")
    return int(report.failed)


def _title(device: torch.device, quick: bool) -> str:
    name = platform.processor() or platform.machine()
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        name = f"{torch.cuda.device_count()} x {found.name} ({found.total_memory / 2**30:.0f} GiB)"
    import lightning_fabric
    import torchvision

    versions = (
        f"torch {torch.__version__}, torchvision {torchvision.__version__}, lightning-fabric {lightning_fabric.__version__}, "
        f"cuDNN {torch.backends.cudnn.version()}, Python {platform.python_version()}"
    )
    tiny = "; tiny networks and pictures, which say nothing of speed" if quick else ""
    return f"**{name}**, {os.cpu_count()} cores; {versions}{tiny}"


if __name__ == "__main__":
    sys.exit(main())
