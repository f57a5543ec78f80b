"""Each format of data sets through annotations, cache, ground truth, training, detection and evaluation, on tiny files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from ruamel.yaml import YAML

from alfnet.annotations.cache import load_cache
from alfnet.annotations.citypersons import ImageAnnotations, write_mat
from alfnet.annotations.data_set import write_split_cache, write_val_ground_truth
from alfnet.detection.run import detect_split
from alfnet.errors import AlfnetError
from alfnet.evaluation.run import evaluate_to_files
from alfnet.evaluation.validation import Validated, choose, validate
from alfnet.network.alfnet import write_first_weights
from alfnet.network.file_origin import read_origin
from alfnet.network.settings import network_settings
from alfnet.params import Params, check_params
from alfnet.preparation.prepare import prepare
from alfnet.pretrained.backbone_weights import make_backbone
from alfnet.training.run import train_variant
from tests import throwaway
from tests.test_annotations_formats import write_pennfudan_zip
from tests.tiny import raw_params

HEIGHT, WIDTH = 128, 256
SPLITS = ("train", "val")


def person(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> tuple[np.ndarray, list[int]]:
    """A noisy image with a bright upright box in it, and that box x, y, w, h."""
    random = np.random.Generator(np.random.PCG64(seed))
    image = random.integers(0, 120, (height, width, 3), dtype=np.uint8)
    h = min(height - 10, 80)
    box = [int(random.integers(5, width - 50)), int(random.integers(2, height - h - 2)), 33, h]
    image[box[1] : box[1] + box[3], box[0] : box[0] + box[2]] += 120
    return image, box


def save(path: Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


def citypersons(folder: Path) -> dict[str, Any]:
    for split in SPLITS:
        images = []
        for n in range(3):
            image, box = person(seed=n)
            name = f"ulm_00000{n}_000019_leftImg8bit.png"
            save(folder / "leftImg8bit" / split / "ulm" / name, image)
            images.append(ImageAnnotations("ulm", name, np.array([[1, *box, 0, *box]], dtype=float)))
        write_mat(folder / "annotations" / f"anno_{split}.mat", images, split)  # type: ignore[arg-type]
    return {}


def citypersons_json(folder: Path) -> dict[str, Any]:
    for split in SPLITS:
        for n in range(3):
            image, box = person(seed=n)
            stem = f"ulm_00000{n}_000019"
            save(folder / "leftImg8bit" / split / "ulm" / f"{stem}_leftImg8bit.png", image)
            path = folder / "annotations" / split / "ulm" / f"{stem}_gtBboxCityPersons.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            entry = {"label": "pedestrian", "bbox": box, "bboxVis": box, "instanceId": 24000}
            path.write_text(json.dumps({"imgHeight": HEIGHT, "imgWidth": WIDTH, "objects": [entry]}))
    return {"train_annotations": "train", "val_annotations": "val"}


def coco(folder: Path) -> dict[str, Any]:
    """One file of both splits, JPEG and PNG of sizes that are multiples of nothing."""
    sizes = [(120, 200), (133, 97), (90, 90), (200, 130), (101, 222), (64, 128)]
    content: dict[str, list] = {"images": [], "annotations": [], "categories": [{"id": 7, "name": "person"}]}
    for n, (height, width) in enumerate(sizes, start=1):
        image, box = person(height, width, n)
        name = f"part/{n}.{'jpg' if n % 2 else 'png'}"
        save(folder / "images" / name, image)
        content["images"].append({"id": n, "file_name": name, "height": height, "width": width})
        content["annotations"].append({"id": n, "image_id": n, "category_id": 7, "bbox": box})
    (folder / "annotations").mkdir()
    (folder / "annotations" / "people.json").write_text(json.dumps(content))
    return {
        "format": "coco",
        "images": "images",
        "train_images": "images/part",
        "val_images": "images/part",
        "train_annotations": "people.json",
        "val_annotations": "people.json",
        "category": "person",
        "height": None,
        "width": None,
        "split": {"seed": 1, "folds": 3, "cross_validation": False},
    }


def cross_validation(folder: Path) -> dict[str, Any]:
    return coco(folder) | {"split": {"seed": 1, "folds": 3, "cross_validation": True}}


def caltech(folder: Path) -> dict[str, Any]:
    for split, video in (("train", "set00_V000"), ("test", "set06_V000")):
        for n in range(3):
            image, box = person(480, 640, n)
            name = f"{video}_I{30 * n + 29:05}"
            save(folder / "images" / split / f"{name}.jpg", image)
            path = folder / "annotations" / split / f"{name}.txt"
            path.parent.mkdir(parents=True, exist_ok=True)
            row = " ".join(map(str, box))
            path.write_text(f"% bbGt version=3\nperson {row} 0 0 0 0 0 0 0\nperson 4 4 20 30 0 0 0 0 0 1 0\n")
    return {
        "format": "caltech",
        "images": "images",
        "train_images": "images/train",
        "val_images": "images/test",
        "train_annotations": "train",
        "val_annotations": "test",
        "height": 480,
        "width": 640,
        "minimum_pedestrian_height": 0,
        "covered": None,
    }


def crowdhuman(folder: Path) -> dict[str, Any]:
    (folder / "annotations").mkdir()
    for split in SPLITS:
        lines = []
        for n in range(3):
            image, box = person(111, 150 + n, n)
            save(folder / "Images" / f"{split},{n}.jpg", image)
            boxes = [{"tag": "person", "fbox": box, "vbox": box}, {"tag": "mask", "fbox": [0, 0, 9, 9]}]
            lines.append(json.dumps({"ID": f"{split},{n}", "gtboxes": boxes}))
        (folder / "annotations" / f"annotation_{split}.odgt").write_text("\n".join(lines) + "\n")
    return {
        "format": "crowdhuman",
        "images": "Images",
        "train_images": "Images",
        "val_images": "Images",
        "train_annotations": "annotation_train.odgt",
        "val_annotations": "annotation_val.odgt",
        "height": None,
        "width": None,
    }


def eurocity(folder: Path) -> dict[str, Any]:
    for split in SPLITS:
        for n in range(3):
            image, (x, y, w, h) = person(seed=n)
            save(folder / "img" / split / "roma" / f"roma_{n:05}.png", image)
            path = folder / "annotations" / split / "roma" / f"roma_{n:05}.json"
            path.parent.mkdir(parents=True, exist_ok=True)
            child = {"identity": "pedestrian", "x0": x, "y0": y, "x1": x + w, "y1": y + h, "tags": [], "children": []}
            path.write_text(json.dumps({"imagewidth": WIDTH, "imageheight": HEIGHT, "children": [child]}))
    return {
        "format": "eurocity",
        "images": "img",
        "train_images": "img/train",
        "val_images": "img/val",
        "train_annotations": "train",
        "val_annotations": "val",
    }


def pennfudan(folder: Path) -> dict[str, Any]:
    """The zip through the stage that scales it, and then as the COCO file that it makes."""
    photographs = {f"FudanPed{n:05}": person(150, 120 + n, n) for n in range(1, 7)}
    archive = folder.with_name("PennFudanPed.zip")
    write_pennfudan_zip(archive, {name: (image, [box]) for name, (image, box) in photographs.items()})
    raw = {"format": "pennfudan", "url": archive.as_uri(), "images": None, "category": None, "bytes": None, "md5": None}
    settings = check_params(parameters(folder, {}) | {"prepare": {"p": raw | {"height": HEIGHT, "width": WIDTH}}}, "x")
    prepare(settings.prepare["p"], folder, downloads=folder.with_name("downloads"))
    return {
        "format": "coco",
        "images": "images",
        "train_images": "images",
        "val_images": "images",
        "annotations": str(folder),
        "train_annotations": "annotations.json",
        "val_annotations": "annotations.json",
        "category": "person",
        "split": {"seed": 1, "folds": 3, "cross_validation": True},
    }


def pennfudan_texts(folder: Path) -> dict[str, Any]:
    """The photographs of the unpacked zip as they are."""
    import zipfile

    photographs = {f"PennPed{n:05}": person(150, 120 + n, n) for n in range(1, 7)}
    write_pennfudan_zip(folder.with_name("p.zip"), {name: (image, [box]) for name, (image, box) in photographs.items()})
    with zipfile.ZipFile(folder.with_name("p.zip")) as archive:
        archive.extractall(folder)
    return {
        "format": "pennfudan",
        "images": "PennFudanPed/PNGImages",
        "train_images": "PennFudanPed/PNGImages",
        "val_images": "PennFudanPed/PNGImages",
        "annotations": str(folder / "PennFudanPed"),
        "train_annotations": "Annotation",
        "val_annotations": "Annotation",
        "height": None,
        "width": None,
        "split": {"seed": 1, "folds": 3, "cross_validation": False},
    }


def parameters(folder: Path, data: dict[str, Any]) -> dict[str, Any]:
    raw = raw_params(variants=("mobilenet-2s",), train__updates=2)
    raw["synthetic"] = {}
    raw["data"] |= {"folder": str(folder), "annotations": str(folder / "annotations"), "height": HEIGHT, "width": WIDTH}
    raw["data"] |= data
    return raw


def run(params: Params, folder: Path, seed: int) -> dict[str, Any]:
    """What the stages do for one variant and seed; returns its results."""
    counts = {split: write_split_cache(params.data, split, folder / f"{split}.json") for split in SPLITS}  # type: ignore[arg-type]
    assert all(count["pedestrians"] for count in counts.values())
    write_val_ground_truth(params.data, folder / "ground_truth.json")
    first = folder / "first.safetensors"
    make_backbone(params.backbones["mobilenet"], "mobilenet", folder / "backbone.safetensors")
    write_first_weights(folder / "backbone.safetensors", first, network_settings(params, "mobilenet-2s"))
    train_variant(
        params,
        "mobilenet-2s",
        seed,
        first=first,
        cache=folder / "train.json",
        out=folder / "model.safetensors",
        scratch=folder / "scratch",
    )
    fold = params.data.fold(seed)
    detect_split(
        folder / "model.safetensors",
        folder / "val.json",
        params.data.images_folder,
        params.detect.model_copy(update={"score_threshold": 0.0}),
        accelerator="cpu",
        out=folder / "detections",
        timings=folder / "timings.json",
        title="test",
        fold=fold,
    )
    evaluate_to_files(
        folder / "ground_truth.json",
        folder / "detections",
        iou=params.evaluate.iou,
        protocol=params.evaluate.protocol,
        subsets=params.evaluate.subsets,
        results=folder / "evaluation",
        fold=fold,
    )
    return json.loads((folder / "evaluation" / "results.json").read_text())


FORMATS = (
    citypersons, citypersons_json, coco, cross_validation, caltech, crowdhuman, eurocity, pennfudan, pennfudan_texts,
)  # fmt: skip


@pytest.mark.parametrize("make", FORMATS)
def test_from_annotations_to_miss_rates(tmp_path: Path, make: Callable[[Path], dict[str, Any]]) -> None:
    folder = tmp_path / "data"
    if make is not pennfudan:
        folder.mkdir()
    raw = parameters(folder, make(folder))
    if make is caltech:
        raw["evaluate"] |= {"protocol": "caltech-new", "subsets": ["caltech-new"]}
    params = check_params(raw, "params.yaml")
    results = run(params, tmp_path, seed=1)
    assert set(results["steps"]) == {"1", "2"}
    assert results["steps"]["2"]["iou_0.50"]["reasonable"] is not None
    found = json.loads((tmp_path / "detections" / "step2.json").read_text())
    truth = json.loads((tmp_path / "ground_truth.json").read_text())
    # Boxes lie inside their images, of whatever size these are.
    sizes = {image["id"]: (image["width"], image["height"]) for image in truth["images"]}
    assert found
    for one in found:
        x, y, w, h = one["bbox"]
        width, height = sizes[one["image_id"]]
        assert min(x, y) >= 0
        assert x + w <= width + 1
        assert y + h <= height + 1
    if params.data.folds is not None:
        folds = {image["id"]: image["fold"] for image in truth["images"]}
        assert {folds[one["image_id"]] for one in found} == {params.data.fold(1)}
        assert len(truth["images"]) == 6
    elif params.data.split is not None:
        train, val = (load_cache(tmp_path / f"{split}.json") for split in SPLITS)
        names = {image.file_name for image in train}, {image.file_name for image in val}
        assert not names[0] & names[1]
        assert (len(names[0]), len(names[1])) == (4, 2)


@pytest.mark.slow
@pytest.mark.pipeline
@pytest.mark.parametrize("make", [coco, cross_validation, caltech, crowdhuman, eurocity])
def test_dvc_runs_the_whole_pipeline(tmp_path: Path, make: Callable[[Path], dict[str, Any]]) -> None:
    """`dvc repro` as a person runs it, from the data set's own files to the page."""
    folder = throwaway.new_repository(tmp_path / "project", variants=("mobilenet-2s",))
    data = folder / "data" / make.__name__
    data.mkdir(parents=True)
    raw = parameters(data, make(data)) | {"seeds": [1, 2] if make is cross_validation else [1]}
    for key in ("folder", "annotations"):
        raw["data"][key] = Path(raw["data"][key]).relative_to(folder).as_posix()
    raw["detect"]["score_threshold"] = 0.0  # two updates teach nothing
    raw["detect"]["after_nms"] = 5
    if make is caltech:
        raw["evaluate"] |= {"protocol": "caltech-new", "subsets": ["caltech-new", "tall=height:60-,visible:0.5-"]}
    with (folder / "params.yaml").open("w") as file:
        YAML().dump(raw, file)
    assert "report" in throwaway.ran(throwaway.run("dvc", "repro", cwd=folder).stdout)
    assert "up to date" in throwaway.run("dvc", "repro", cwd=folder).stdout

    truth = json.loads((folder / "cache" / "ground_truth.json").read_text())
    for seed in raw["seeds"]:
        results = json.loads((folder / "evaluation" / "mobilenet-2s" / str(seed) / "results.json").read_text())
        assert results["steps"]["2"]["iou_0.50"]["reasonable"] is not None
        found = json.loads((folder / "detections" / "mobilenet-2s" / str(seed) / "step2.json").read_text())
        tested = {image["id"] for image in truth["images"] if image.get("fold") in (None, seed - 1)}
        assert {one["image_id"] for one in found} == tested
    assert json.loads((folder / "metrics" / "mobilenet-2s.json").read_text())["n"] == len(raw["seeds"])
    assert (folder / "report" / "index.html").stat().st_size > 10_000
    assert (folder / "plots" / "ablation.csv").read_text().count("mobilenet-2s") == 2
    subsets = (folder / "plots/tables/subsets.csv").read_text().splitlines()[0].split(",")
    tables = {path.stem for path in (folder / "plots/tables").glob("*.csv")}
    assert ("caltech" in tables) == (make is caltech)
    assert ("occ=heavy" in subsets) == ("tall" in subsets) == (make is caltech)


def test_seeds_one_to_n_test_on_every_image_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    params = check_params(parameters(tmp_path / "data", cross_validation(tmp_path / "data")), "params.yaml")
    assert [params.data.fold(seed) for seed in (1, 2, 3, 4)] == [0, 1, 2, 0]
    write_split_cache(params.data, "val", tmp_path / "val.json")
    from alfnet.annotations.cache import load_fold

    tested = [
        image.file_name
        for seed in (1, 2, 3)
        for image in load_fold(tmp_path / "val.json", "val", params.data.fold(seed))
    ]
    assert sorted(tested) == sorted(image.file_name for image in load_cache(tmp_path / "val.json"))


def test_weights_kept_on_the_way_are_validated_and_the_best_can_be_tested(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    raw = parameters(folder, citypersons(folder))
    raw["train"] |= {"updates": 5, "snapshot_every": 2}
    params = check_params(raw, "params.yaml")
    run(params, tmp_path, seed=1)
    model = tmp_path / "model.safetensors"
    kept = sorted((tmp_path / "snapshots").glob("*.safetensors"))
    assert json.loads((tmp_path / "snapshots" / "kept.json").read_text()) == {"updates": [2, 4]}
    assert [path.name for path in kept] == ["0000002.safetensors", "0000004.safetensors"]
    assert [read_origin(path)["updates"] for path in [*kept, model]] == [2, 4, 5]
    # A snapshot is what a training of the same schedule has then: its first update changes the weights, and so does each.
    assert len({path.read_bytes()[-1000:] for path in [*kept, model]}) == 3

    seen: list[Validated] = []
    found = validate(
        model,
        tmp_path / "val.json",
        tmp_path / "ground_truth.json",
        params.data.images_folder,
        params.detect.model_copy(update={"score_threshold": 0.0}),
        accelerator="cpu",
        title="test",
        on_validated=seen.append,
    )
    assert seen == found
    assert [(one.update, one.weights) for one in found] == [(2, kept[0]), (4, kept[1]), (5, model)]
    # The same figure as the pipeline's for the last weights.
    results = json.loads((tmp_path / "evaluation" / "results.json").read_text())
    assert found[-1].miss_rate == pytest.approx(results["steps"]["2"]["iou_0.50"]["reasonable"], abs=1e-6)

    rated = [one._replace(miss_rate=rate) for one, rate in zip(found, (30.0, 20.0, 25.0), strict=True)]
    assert choose(model, rated, "best") == kept[1]
    assert choose(model, rated, "last") == model
    assert choose(model, [one._replace(miss_rate=20.0) for one in rated], "best") == model
    assert choose(model, [one._replace(miss_rate=None) for one in rated], "best") == model


def test_without_snapshots_nothing_is_validated(tmp_path: Path) -> None:
    (tmp_path / "snapshots").mkdir()
    nothing = tmp_path / "nothing"
    settings = check_params(raw_params(), "params.yaml").detect
    assert validate(nothing, nothing, nothing, nothing, settings, accelerator="cpu", title="test") == []
    assert choose(nothing, [], "best") == nothing


def test_best_needs_weights_to_choose_from() -> None:
    raw = raw_params(evaluate__tested="best")
    with pytest.raises(AlfnetError, match="snapshot_every"):
        check_params(raw, "params.yaml")
