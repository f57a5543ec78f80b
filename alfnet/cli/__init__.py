"""The command `alfnet`: a module per group of commands; each reads its options and calls one function of the package.

What a command computes with is imported when it runs, so that `alfnet evaluate` starts at once and needs neither torch
nor DVC. `EXTRAS` says which optional part of the package the other commands need.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from alfnet.cli import (
    artifacts,
    compare,
    convert,
    data,
    detect,
    dvc_views,
    evaluate,
    export,
    launch,
    pipeline,
    prune,
    report,
    serve,
    weights,
)
from alfnet.errors import AlfnetError, exit_with_message, extra_needed

EXTRAS = {
    "artifacts": "pipeline",
    "check": "pipeline",
    "data": "train",
    "dag": "pipeline",
    "detect": "detect",
    "experiments": "pipeline",
    "export": "export",
    "profile": "pipeline",
    "launch": "pipeline",
    "prune": "pipeline",
    "report": "pipeline",
    "schema": "pipeline",
    "serve": "serve",
    "table": "pipeline",
    "weights": "train",
}
"""The extra that a command, or a group of commands, needs; for others it follows from the module that is missing."""


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


def _with_extra(function: Callable[..., Any], extra: str | None) -> Callable[..., Any]:
    """A command that names what to install where an import fails for want of an extra."""

    @functools.wraps(function)
    def command(*arguments: Any, **options: Any) -> Any:
        with extra_needed(extra):
            return function(*arguments, **options)

    return command


app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, callback=_options)
COMMANDS = (
    evaluate.evaluate,
    compare.compare,
    convert.convert,
    detect.detect,
    export.export,
    serve.serve,
    pipeline.profile,
    pipeline.check,
    pipeline.schema,
    artifacts.artifacts,
    launch.launch,
    dvc_views.dag,
    dvc_views.experiments,
    prune.prune,
    report.report,
    pipeline.table,
)
for function in COMMANDS:
    app.command()(_with_extra(function, EXTRAS.get(function.__name__)))
for name, group in (("data", data.app), ("weights", weights.app)):
    for registered in group.registered_commands:
        if registered.callback is not None:
            registered.callback = _with_extra(registered.callback, EXTRAS.get(name))
    app.add_typer(group, name=name)


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
    """Run the command line."""
    _refuse_empty(sys.argv[1:])
    app()
