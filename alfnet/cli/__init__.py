"""The command `alfnet`: a module per group of commands; each reads its options and calls one function of the package.

What a command computes with is imported when it runs, and of the commands the one that is asked for, so that
`alfnet evaluate` starts at once and needs neither torch nor DVC.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
from collections.abc import Iterable
from typing import Annotated

import typer

from alfnet.collector import collector_paused
from alfnet.errors import AlfnetError, exit_with_message, extra_needed

COMMANDS: dict[str, tuple[str, str | None]] = {
    "evaluate": ("evaluate", None),
    "compare": ("compare", None),
    "convert": ("convert", None),
    "detect": ("detect", "detect"),
    "export": ("export", "export"),
    "serve": ("serve", "serve"),
    "profile": ("pipeline", "pipeline"),
    "check": ("pipeline", "pipeline"),
    "schema": ("pipeline", "pipeline"),
    "artifacts": ("artifacts", "pipeline"),
    "launch": ("launch", "pipeline"),
    "dag": ("dvc_views", "pipeline"),
    "experiments": ("dvc_views", "pipeline"),
    "prune": ("prune", "pipeline"),
    "report": ("report", "pipeline"),
    "table": ("pipeline", "pipeline"),
    "data": ("data", "train"),
    "weights": ("weights", "train"),
}
"""For each command its module and the extra that it needs; where that is None it follows from the module that is missing.

The module has a function of the command's name or, for those of `GROUPS`, their commands as `app`."""

GROUPS = ("data", "weights")


def _show_version(wanted: bool) -> None:
    if wanted:
        from alfnet import __version__

        print(f"alfnet {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """ALFNet, a single-stage pedestrian detector: data, detection, evaluation, weights. The pipeline itself: dvc repro."""


def command_line(names: Iterable[str] = COMMANDS) -> typer.Typer:
    """The command line with the commands `names`, of `COMMANDS`."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, callback=_options)
    for name in names:
        module = importlib.import_module(f"alfnet.cli.{COMMANDS[name][0]}")
        if name in GROUPS:
            app.add_typer(module.app, name=name)
        else:
            app.command()(getattr(module, name))
    return app


def _refuse_empty(arguments: list[str]) -> None:
    """Raise AlfnetError for an empty argument: as a path it would mean the present folder, and it is an unset variable's."""
    for place, argument in enumerate(arguments):
        option = re.fullmatch(r"(--[a-z-]+)=", argument)
        if argument and not option:
            continue
        before = arguments[place - 1] if place else ""
        where = option[1] if option else before if before.startswith("-") else f"argument {place + 1}"
        raise AlfnetError(
            f"{where}: is empty; give it a value, or leave it out (a variable of the shell may not be set)"
        )


@exit_with_message
def main() -> None:
    """Run the command line, of which a known command alone is built: all of them take time before any work."""
    _refuse_empty(sys.argv[1:])
    first = sys.argv[1] if len(sys.argv) > 1 else ""
    alone = first in COMMANDS and "_ALFNET_COMPLETE" not in os.environ
    with extra_needed(COMMANDS[first][1] if alone else None):
        with collector_paused():
            app = command_line([first] if alone else COMMANDS)
        app()
