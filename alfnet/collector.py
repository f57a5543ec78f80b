"""Python's search for garbage, paused while much is made that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def collector_paused() -> Iterator[None]:
    """Do not look for garbage while many small objects are made: none of them is garbage yet, and looking takes long.

    So it is with the records of a file, and with all that imports make.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
