"""`alfnet report`: make the report of the present results, show it, or set it beside another revision's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from alfnet.cli.common import ParamsOption


def report(
    params_file: ParamsOption = Path("params.yaml"),
    show: Annotated[bool, typer.Option("--open", help="Show the present report in the browser; none is made.")] = False,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="REV",
            help="Set the present report beside that of a commit, branch, tag or experiment; none is made.",
        ),
    ] = None,
) -> None:
    """Make tables, charts and page of the present results, as the stage `report` does; or show what there is."""
    from alfnet.params import load_params
    from alfnet.report.report import make_report, write_timings
    from alfnet.report.results import read_results, read_timings
    from alfnet.report.revisions import compare_reports, present_report

    root = params_file.parent
    if compare is not None:
        page = compare_reports(root, compare)
    elif show:
        page = present_report(root)
        params = load_params(params_file)
        if timings := read_timings(params, root):  # a report from DVC's cache came without them
            write_timings(read_results(params, root), timings, root)
    else:
        make_report(load_params(params_file), root=root)
        page = present_report(root)
    print(page)
    if show:
        import webbrowser

        webbrowser.open(page.resolve().as_uri())
