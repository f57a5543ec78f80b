"""Make weights/photos.safetensors, the detector that comes with the project, and measure it by cross-validation.

    python -m tools.photos validate docs/photos.md   # five trainings, each tested on the fifth that it has not seen
    python -m tools.photos train                     # on all photographs
    python -m tools.photos pack

`validate` and `train` need what the stages `cache_annotations`, `ground_truth` and `backbone` of the profile `pennfudan` have
made in the frame of `FRAME` (docs/photos.md has the commands), go on where they were stopped, and write to models/photos.
`pack` stores the weights in half precision, with the frame that photographs are shrunk into and how boxes are to be chosen.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.files import read_json
from alfnet.network.file_origin import read_origin
from alfnet.network.origin import KEY
from alfnet.network.weight_files import read_weights, write_weights
from alfnet.params import Params, check_params, load_params
from alfnet.runtime import configure_libraries

if TYPE_CHECKING:
    from alfnet.reading.ground_truth import GroundTruth
    from alfnet.reading.results_file import Detections

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "weights" / "photos.safetensors"
MODELS = Path("models/photos")
VARIANT, SEED, FOLDS = "mobilenet-2s", 1, 5
FRAME = (192, 384)
"""Height and width in pixels that photographs are shrunk into."""
CROP = (192, 256)
"""Of a crop: two thirds of the photographs are at most as wide in the frame, whose rest is grey."""
WIDTHS = [[12.0, 20.0], [32.0, 48.0], [64.0, 80.0], [128.0, 160.0]]
"""Of the anchors: two for people of 30 to 60 px, else the published ones."""
DETECT: dict[str, Any] = {"scores": "mean", "score_threshold": 0.35, "nms_iou": 0.45, "minimum_side": 8}
"""Instead of published values; a mean of scores between 0 and 1 is higher than their product."""
MEASURED = {"0.50 in cross-validation": 12.5, "0.75 in cross-validation": 53.3}
"""Miss rates in percent by IoU, for the file to say of itself: no photograph is left to test this detector, but five
of the same settings have been, each on the fifth that it had not seen (docs/photos.md)."""
TRAIN = {"updates": 4000, "batch": 8, "images_per_device": 8, "weight_decay": 0.05}
AUGMENT = {
    "height": CROP[0],
    "width": CROP[1],
    "brightness": [0.5, 1.6],
    "scale": [0.467, 1.067],
    "pedestrian_width": 6,
    "colour": {"probability": 0.8, "contrast": [0.6, 1.4], "saturation": [0.0, 1.6], "hue": 25.0},
}
"""Instead of the profile's. A crop is 0.7 to 1.6 of the frame in height (of 384 x 288 px, the smallest 4 : 3 that holds the
frame, 0.467 to 1.067): in most people are whole, as they are in photographs, and above 1 they are smaller than in these
photographs, as they are in most others."""
THRESHOLDS = [{"lower": 0.3, "upper": 0.5}, {"lower": 0.6, "upper": 0.8}]
"""Of two steps; stricter than published for the second, as in the profile `mini`, and for the same reason (docs/spread.md)."""


def settings(params: Params, *, folds: bool) -> Params:
    """The profile's parameters with the settings above; without `folds` every photograph is trained on.

    Raises AlfnetError where the photographs were prepared in another frame.
    """
    data = params.data
    if (data.height, data.width) != FRAME:
        raise AlfnetError(
            f"params.yaml: data.height and data.width are {data.height} and {data.width}, not {FRAME[0]} and {FRAME[1]}; "
            "prepare the photographs as docs/photos.md says"
        )
    changed = params.model_dump()
    changed["head"]["anchors"]["widths"] = WIDTHS
    changed["train"] |= TRAIN
    changed["train"]["augment"] |= AUGMENT
    changed["train"]["targets"]["thresholds"]["2"] = THRESHOLDS
    changed["detect"] |= DETECT | {"score_threshold": 0.01}  # average precision counts what comes late, too
    checked = check_params(changed, "params.yaml")
    return checked if folds else checked.model_copy(update={"data": checked.data.model_copy(update={"split": None})})


def train(params: Params, seed: int, out: Path) -> None:
    """Train with `seed` and write the detector to `out`, where it is not there yet."""
    from alfnet.network.alfnet import write_first_weights
    from alfnet.network.settings import network_settings
    from alfnet.training.run import train_variant

    if out.exists():
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    first = out.with_name("first.safetensors")
    backbone = Path("weights/backbones") / f"{params.variant(VARIANT).backbone}.safetensors"
    write_first_weights(backbone, first, network_settings(params, VARIANT))
    scratch = Path(".scratch") / out.parent
    train_variant(params, VARIANT, seed, first=first, cache=Path("cache/train.json"), out=out, scratch=scratch)


def validate(params: Params) -> dict[str, list[dict[str, Any]]]:
    """Train and test once for each fold; return each one's results, as a stage `evaluate` writes them."""
    from alfnet.evaluation.run import evaluate_to_files

    results = []
    for seed in range(1, FOLDS + 1):
        folder = MODELS / str(seed)
        train(params, seed, folder / "model.safetensors")
        detect_fold(params, seed, params.data.images_folder, Path("cache/val.json"), folder / "detections")
        fold, iou = params.data.fold(seed), params.evaluate.iou
        evaluate_to_files(
            Path("cache/ground_truth.json"), folder / "detections", iou=iou, results=folder / "evaluation", fold=fold
        )
        results.append(read_json(folder / "evaluation" / "results.json"))
    return {VARIANT: results}


def detect_fold(params: Params, seed: int, images: Path, annotations: Path, out: Path) -> None:
    """Write what the network of one fold finds on the photographs of that fold."""
    from alfnet.detection.run import detect_split

    fold = params.data.fold(seed)
    detect_split(
        MODELS / str(seed) / "model.safetensors",
        annotations,
        images,
        params.detect,
        accelerator=params.machine.accelerator,
        out=out,
        timings=MODELS / str(seed) / "timings.json",
        title=f"detect, fold {fold}",
        fold=fold,
    )


def halved(images: Path, annotations: Path, ground_truth: Path, out: Path) -> tuple[Path, Path, Path]:
    """Shrink prepared photographs to half, in grey frames of their size; return the same three of the results, below `out`."""
    import cv2
    import numpy as np

    from alfnet.files import write_json
    from alfnet.images import read_image, shrink_to_frame, write_png

    content: dict[str, Any] = {}
    for file in (annotations, ground_truth):
        content = read_json(file)
        for person in content["annotations"]:
            for key in ("bbox", "vis_bbox", "height"):
                if key in person:
                    person[key] = (np.asarray(person[key]) / 2).tolist()
        write_json(out / file.name, content)
    for image in content["images"]:
        pixels = read_image(images / image["file_name"])
        height, width = pixels.shape[:2]
        small = cv2.resize(pixels, (width // 2, height // 2), interpolation=cv2.INTER_AREA)
        write_png(out / "images" / image["file_name"], shrink_to_frame(small, height, width)[0])
    return out / "images", out / annotations.name, out / ground_truth.name


def look(params: Params) -> str:
    """The networks of `validate` on their folds' photographs, as they are and shrunk to half, as a table of Markdown."""
    import numpy as np
    import pandas as pd

    from alfnet.evaluation.average_precision import average_precision
    from alfnet.reading.ground_truth_file import read_ground_truth
    from alfnet.reading.results_file import read_detections

    rows = []
    given = (params.data.images_folder, Path("cache/val.json"), Path("cache/ground_truth.json"))
    places = {"as they are": given, "shrunk to half": halved(*given, MODELS / "half")}
    for what, (images, val, truth_file) in places.items():
        precision, counts = [], np.zeros(4, dtype=int)
        for seed in range(1, FOLDS + 1):
            out = MODELS / str(seed) / what.replace(" ", "-")
            detect_fold(params, seed, images, val, out)
            truth = read_ground_truth(truth_file).of_fold(params.data.fold(seed))
            found = read_detections(out / f"step{params.variant(VARIANT).steps}.json", truth)
            precision.append(average_precision(truth, found))
            counts += count(truth, found)
        means = {key: round(float(np.mean([one[key] for one in precision])), 1) for key in ("AP", "AP50", "AP75")}
        rows.append(
            {"photographs": what}
            | means
            | {
                "people found": f"{counts[0]} of {counts[1]}",
                "false boxes": counts[2],
                "of them on a person": counts[3],
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False, floatfmt=".1f")


def count(truth: GroundTruth, found: Detections) -> list[int]:
    """Of the boxes with a score that `alfnet detect` shows: people found (IoU 0.5), people, false boxes, and those of the false
    ones that have an IoU of 0.1 or more with a person: second boxes, and badly placed ones."""
    import numpy as np

    from alfnet.evaluation.matching import FALSE_POSITIVE, match_pairs, rank, ranked_pairs

    order = rank(found, None)
    order = order[found.scores[order] > DETECT["score_threshold"]]
    pairs = ranked_pairs(truth, found, order, 0.1)
    states, detected = match_pairs(pairs, np.ones(len(order), dtype=np.bool_), truth.ignored, 0.5)
    near = np.zeros(len(order), dtype=np.bool_)
    near[pairs.detection[(pairs.iou >= 0.1) & ~truth.ignored[pairs.ground_truth]]] = True
    wrong = states == FALSE_POSITIVE
    return [int(detected.sum()), int((~truth.ignored).sum()), int(wrong.sum()), int((wrong & near).sum())]


def half(model: Path, out: Path, *, origin: dict[str, Any]) -> None:
    """Write a detector in half precision, with what it was trained on."""
    tensors, description = read_weights(model, "detector")
    description["extra"] = {**description.get("extra", {}), KEY: json.dumps(origin, sort_keys=True)}
    small = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
    write_weights(out, "detector", small, description)


def pack(model: Path, out: Path = OUT) -> None:
    """Convert, and note how boxes are to be chosen and what to expect."""
    half(model, out, origin=read_origin(model) | {"detect": DETECT, "miss_rate_percent": MEASURED})
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB")


@exit_with_message
def main(command: str = "", *arguments: str) -> None:
    """Run one of the commands."""
    on_all = MODELS / "all" / "model.safetensors"
    if command == "pack":
        pack(on_all)
        return
    if command not in ("train", "validate"):
        raise AlfnetError("expected: python -m tools.photos validate [FILE], train, or pack")
    params = settings(load_params(Path("params.yaml")), folds=command == "validate")
    configure_libraries(params.runtime)
    if command == "train":
        train(params, SEED, on_all)
        return
    from tools.documents import around, put
    from tools.folds import folds

    for name in ("folds", "look") if arguments else ():
        around(Path(arguments[0]), name)  # or it would be missed after an hour of trainings
    for name, text in (("folds", folds(validate(params))), ("look", look(params))):
        if arguments:
            put(Path(arguments[0]), name, text)
        else:
            print(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
