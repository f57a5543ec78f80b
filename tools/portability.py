"""Compares the bytes of a native run with those under emulated Intel Haswell and AMD EPYC processors (`make portability`).

The emulation is Debian's qemu-user; some minutes in all. Exit code 1 if any byte differs.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROCESSORS = ("Haswell", "EPYC-Rome")


def main() -> int:
    """Run the probe natively and emulated, and compare."""
    qemu = shutil.which("qemu-x86_64")
    if qemu is None:
        print("error: qemu-x86_64 is missing; on Debian: apt-get install qemu-user", file=sys.stderr)
        return 2
    hashes = {"native": probe([])}
    for processor in PROCESSORS:
        hashes[processor] = probe([qemu, "-cpu", processor])
    different = 0
    for file, native in hashes["native"].items():
        others = {name: found.get(file) for name, found in hashes.items() if found.get(file) != native}
        print(f"{'same     ' if not others else 'DIFFERENT'}  {file}  {', '.join(others)}")
        different += bool(others)
    print(f"{len(hashes['native'])} files; {different} differ between native, {', '.join(PROCESSORS)}")
    return 1 if different else 0


def probe(prefix: list[str]) -> dict[str, str]:
    """Run tools/portability_probe.py behind `prefix`; return its hashes."""
    name = prefix[-1] if prefix else "native"
    print(f"running on {name}", file=sys.stderr, flush=True)
    started = time.monotonic()
    # qemu-user takes a real binary, not the link in the virtual environment; PYTHONPATH stands in for the latter.
    binary = str(Path(sys.executable).resolve())
    paths = [str(ROOT), *(path for path in sys.path if "site-packages" in path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    run = subprocess.run(
        [*prefix, binary, "-m", "tools.portability_probe"],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    print(f"  {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return json.loads(run.stdout)


if __name__ == "__main__":
    sys.exit(main())
