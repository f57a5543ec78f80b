"""Stage `report`: the tables, plots and page of all variants in params.yaml."""

from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main() -> None:
    """Write the report."""
    params = checked_params()
    from alfnet.report.report import make_report

    make_report(params, root=Path())


if __name__ == "__main__":
    main()
