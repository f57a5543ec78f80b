"""Stage `ground_truth`: what detections on the validation images are compared with."""

from pathlib import Path

from parameters import checked_params

from alfnet.errors import exit_with_message


@exit_with_message
def main() -> None:
    """Write the evaluation ground truth."""
    data = checked_params().data
    from alfnet.annotations.data_set import write_val_ground_truth

    write_val_ground_truth(data, Path("cache/ground_truth.json"))


if __name__ == "__main__":
    main()
