"""The one error that a user is meant to read."""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


class AlfnetError(Exception):
    """A problem that the user can mend: the message says what was found, what was expected and what to do."""


def exit_with_message(function: Callable[P, R]) -> Callable[P, R]:
    """Wrap an entry point: an `AlfnetError`, or trouble with a file or disk, becomes one line on stderr and exit code 2.

    Ctrl-C becomes exit code 130. Anything else is a bug of ours and keeps its traceback.
    """

    @functools.wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except AlfnetError as error:
            print(f"error: {error}", file=sys.stderr)
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            print(f"error: {where}{error.strerror or error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("interrupted; run the same command again to go on", file=sys.stderr)
            sys.exit(130)
        sys.exit(2)

    return wrapped
