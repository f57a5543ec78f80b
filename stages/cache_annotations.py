"""Stage `cache_annotations@SPLIT`: the training cache of a split, by the published rule."""

from pathlib import Path

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(split: str) -> None:
    """Cache the annotations of `split` (train or val)."""
    data = checked_params().data
    from alfnet.annotations.cache import write_training_cache

    counts = write_training_cache(
        Path(data.annotations) / f"anno_{split}.mat",
        split,
        Path("cache") / f"{split}.json",
        width=data.width,
        height=data.height,
        minimum_height=data.minimum_pedestrian_height,
    )
    print(f"{split}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


if __name__ == "__main__":
    main(*arguments("split"))
