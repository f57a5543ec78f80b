"""Stage `detect@VARIANT-SEED`: detections of every test step and score fusion on the validation images."""

from pathlib import Path

from parameters import arguments, checked_params, seed_of

from alfnet.errors import exit_with_message
from alfnet.files import read_json
from alfnet.runtime import configure_libraries


@exit_with_message
def main(name: str, seed: str) -> None:
    """Detect with variant `name` trained with `seed`."""
    params = checked_params()
    configure_libraries(params.runtime)
    from alfnet.detection.run import detect_split

    chosen = read_json(Path("validation") / name / seed / "tested.json")
    detect_split(
        Path("models") / name / seed / chosen["weights"],
        Path("cache/val.json"),
        params.data.images_folder,
        params.detect,
        accelerator=params.machine.accelerator,
        out=Path("detections") / name / seed,
        timings=Path("timings") / name / f"{seed}.json",  # not an output: it differs from run to run
        title=f"detect {name}, seed {seed}",
        fold=params.data.fold(seed_of(params, seed)),
    )


if __name__ == "__main__":
    main(*arguments("variant", "seed"))
