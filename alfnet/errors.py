"""The one error that a user is meant to read."""

from __future__ import annotations

import errno
import functools
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, ParamSpec, TypeVar

from alfnet.extras import missing_extra

P = ParamSpec("P")
R = TypeVar("R")


class AlfnetError(Exception):
    """A problem that the user can mend: the message says what was found, what was expected and what to do."""


@contextmanager
def extra_needed(extra: str | None = None) -> Iterator[None]:
    """Raise AlfnetError, naming the extra to install, where an import within the block fails for want of it."""
    try:
        yield
    except ModuleNotFoundError as error:
        sentence = missing_extra(error, extra)
        if sentence is None:
            raise
        raise AlfnetError(sentence) from None


def exit_with_message(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap an entry point: an `AlfnetError`, or trouble with a file, disk or memory, becomes one line on stderr and exit code 2.

    Ctrl-C becomes exit code 130. Anything else is a bug of ours and keeps its traceback.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AlfnetError as error:
            print(f"error: {error}", file=sys.stderr)
        except BrokenPipeError:  # `alfnet ... | head`: who reads has seen enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(141)
        except OSError as error:
            print(f"error: {_trouble(error)}", file=sys.stderr)
        except MemoryError as error:
            print(f"error: the memory does not suffice{f' ({error})' if str(error) else ''}", file=sys.stderr)
        except ModuleNotFoundError as error:
            sentence = missing_extra(error)
            if sentence is None:
                raise
            print(f"error: {sentence}", file=sys.stderr)
        except KeyboardInterrupt as stop:
            _say_interrupted(str(stop))
        except SystemExit as stop:  # the command line's library has seen Ctrl-C first
            if stop.code == 130:
                _say_interrupted()
            raise
        sys.exit(2)

    return wrapped


def _say_interrupted(message: str = "") -> NoReturn:
    print(message or "interrupted; run the same command again to go on", file=sys.stderr)
    sys.exit(130)


def _trouble(error: OSError) -> str:
    """The path, what is wrong with it, and for a full disk without a path the disks that are full."""
    where = f"{error.filename}: " if error.filename else ""
    what = error.strerror or str(error)
    if error.errno == errno.ENOSPC and not where:
        places = (os.getcwd(), tempfile.gettempdir(), "/dev/shm")
        full = [place for place in places if os.path.isdir(place) and shutil.disk_usage(place).free < 2**24]
        where = f"{', '.join(full)}: " if full else ""
    if error.errno == errno.ENOSPC:
        what += "; free some there, or work on another disk"
    return where + what
