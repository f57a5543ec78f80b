"""Stage `prepare@NAME`: fetch a data set, and scale its images into frames of one size."""

import os
from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str) -> None:
    """Prepare data set `name`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from alfnet.preparation.prepare import prepare

    # A fetched archive stays outside DVC's outputs, so that a transfer that broke off goes on.
    downloads = Path(os.environ.get("ALFNET_SCRATCH", ".scratch")) / "downloads"
    counts = prepare(params.prepare[name], Path("data") / name, downloads=downloads)
    print(f"data/{name}: " + ", ".join(f"{number} {what}" for what, number in counts.items()))


if __name__ == "__main__":
    main(*arguments("name"))
