"""Stage `detect@VARIANT`: detections of every test step and score fusion on the validation images."""

import sys
from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str) -> None:
    """Detect with variant `name`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from alfnet.detection.run import detect_split

    detect_split(
        Path("models") / name / "model.safetensors",
        Path("cache/val.json"),
        Path(params.data.folder) / "leftImg8bit",
        params.detect,
        out=Path("detections") / name,
        timings=Path("timings") / f"{name}.json",  # not an output: it differs from run to run
        title=f"detect {name}",
    )


if __name__ == "__main__":
    main(sys.argv[1])
