"""The licences of everything that requirements.lock installs: `python -m tools.licences` writes docs/licences.md.

A package whose licence is not on the list below is refused (tests/test_supply.py): whoever adds one decides about it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from alfnet.files import write_text

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
OUT = ROOT / "docs" / "licences.md"

# As packages write them (SPDX expressions, classifiers, or words), compared without case.
ALLOWED = {
    "0bsd", "3-clause bsd license", "apache 2.0", "apache license 2.0", "apache license, version 2.0",
    "apache software license", "apache-2.0",
    "apache-2.0 with llvm-exception", "bsd", "bsd license", "bsd-2-clause", "bsd-3-clause", "bsl-1.0", "cc0-1.0", "epl-2.0",
    "freebsd",
    "isc license (iscl)", "isc", "mit", "mit license", "mit-0", "mit-cmu", "mozilla public license 2.0 (mpl 2.0)", "mpl-2.0",
    "psf-2.0", "python software foundation license", "unlicense", "zlib", "zope public license", "zpl-2.1",
    "the unlicense (unlicense)", "hpnd",
}  # fmt: skip

# Packages that are used under other terms, and why that is all right: nothing of them is copied or shipped.
EXCEPTIONS = {
    "av": "BSD-3-Clause; its wheels carry FFmpeg with libx264 (GPL-2.0-or-later), which writes videos here and is not shipped",
    "grandalf": "GPL-2.0 or EPL-1.0 (its README); draws `dvc dag`, in DVC's own process",
    "pygit2": "GPL-2.0 with linking exception; Git for DVC",
    "dulwich": "Apache-2.0 is chosen; Git for DVC",
    "cuda-toolkit": "NVIDIA's terms; the CUDA libraries of PyTorch's build",
}
NVIDIA = "NVIDIA's terms; the CUDA libraries of PyTorch's build"


def locked() -> list[str]:
    """The names in the lock file, normalised, in its order."""
    return [normalised(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", LOCK.read_text(), re.MULTILINE)]


def normalised(name: str) -> str:
    """A package's name as indexes compare it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(name: str) -> str:
    """What an installed package says of its licence: expression, classifiers, or the first line of the text."""
    found = metadata.metadata(name)
    expression = (found.get_all("License-Expression") or [""])[0]
    classifiers = [
        line.rsplit("::", 1)[1].strip() for line in found.get_all("Classifier") or [] if "License ::" in line
    ]
    words = (found.get_all("License") or [""])[0].strip().splitlines()
    return expression or "; ".join(line for line in classifiers if line != "OSI Approved") or (words or [""])[0]


def allowed(name: str) -> bool:
    """Whether a package's licence is on the list: all parts of it, or one part of an 'or'."""
    if name in EXCEPTIONS or name.startswith(("nvidia-", "cuda-")):
        return True

    def listed(part: str) -> bool:
        return not {part.strip().lower(), part.strip(" ()").lower()}.isdisjoint(ALLOWED)

    alternatives = re.split(r"\s+OR\s+", licence(name))
    return any(all(map(listed, re.split(r"\s+AND\s+|;", alternative))) for alternative in alternatives)


def rows() -> Iterator[tuple[str, str]]:
    """Name and licence of every package of the lock file that is installed here."""
    for name in locked():
        try:
            said = licence(name)
        except metadata.PackageNotFoundError:
            continue  # for another system or Python
        yield name, EXCEPTIONS.get(name) or (NVIDIA if name.startswith(("nvidia-", "cuda-")) else said)


def main() -> None:
    """Write the table."""
    lines = [
        "# Licences of what is installed",
        "",
        "Made by `python -m tools.licences` from the installed packages' own words. `pip install alfnet` alone brings few of",
        "them; all are needed for the pipeline and the tests. None of their code is part of this repository but Vega,",
        "Vega-Lite and Vega-Embed (BSD 3-clause licence), which vl-convert carries: alfnet/report/page/plots.html holds them.",
        "",
        "| package | licence |",
        "| ------- | ------- |",
        *(f"| {name} | {said.replace('|', '/')} |" for name, said in rows()),
    ]
    write_text(OUT, "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
