"""Stage `dataset@NAME`: render a data set of street scenes in CityPersons' own formats."""

from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str) -> None:
    """Render data set `name`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from alfnet.annotations.rendered import render_from_settings

    render_from_settings(params.synthetic[name], Path("data") / name)


if __name__ == "__main__":
    main(*arguments("name"))
