"""Stage `cache_annotations@SPLIT`: the training cache of a split, from the data set's own annotations."""

from pathlib import Path
from typing import Literal

from parameters import arguments, checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main(split: Literal["train", "val"]) -> None:
    """Cache the annotations of `split` (train or val)."""
    data = checked_params().data
    from alfnet.annotations.data_set import write_split_cache

    counts = write_split_cache(data, split, Path("cache") / f"{split}.json")
    print(f"{split}: " + ", ".join(f"{number} {name}" for name, number in counts.items()))


if __name__ == "__main__":
    main(*arguments("split"))
