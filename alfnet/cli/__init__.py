"""The command `alfnet`: a module per group of commands; each reads its options and calls one function of the package.

What a command computes with is imported when it runs, so that `alfnet evaluate` starts without torch.
"""

from __future__ import annotations

import typer

from alfnet.cli import data, detect, evaluate, pipeline, prune, weights
from alfnet.errors import exit_with_message

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="ALFNet, a single-stage pedestrian detector: data, detection, evaluation, weights. The pipeline itself: dvc repro.",
)
for command in (evaluate.evaluate, detect.detect, pipeline.profile, pipeline.check, prune.prune, pipeline.table):
    app.command()(command)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


@exit_with_message
def main() -> None:
    """Run the command line."""
    app()
