"""What stands for an image file's pixels, without its name, place and times."""

from __future__ import annotations

import hashlib
from pathlib import Path

from alfnet.errors import AlfnetError

SAMPLED = 2**16  # bytes at either end
SUMMED = (".png",)
"""Formats whose last bytes hold a checksum of all pixels, so that both ends stand for the file."""


def image_identity(path: Path) -> str:
    """Return a checksum of the file's size and content; of a large PNG its ends. Raises AlfnetError where it cannot be read."""
    try:
        with open(path, "rb") as file:
            if path.suffix.lower() not in SUMMED:
                return hashlib.file_digest(file, "sha256").hexdigest()
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(SAMPLED)
            file.seek(max(len(head), size - SAMPLED))
            return hashlib.sha256(f"{size} ".encode() + head + file.read()).hexdigest()
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read ({error.strerror}); put the image there") from None
