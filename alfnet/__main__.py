"""The program `alfnet`, also as `python -m alfnet`: Ctrl-C ends it with a line, from the first moment on."""

from __future__ import annotations

import sys

from alfnet.collector import collector_paused


def main() -> None:
    """Import and run the command line."""
    try:
        with collector_paused():
            from alfnet.cli import main as run

        run()
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)


if __name__ == "__main__":
    main()
