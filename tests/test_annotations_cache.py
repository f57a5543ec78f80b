from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.annotations import training_cache as making
from alfnet.annotations.cache import load_cache
from alfnet.annotations.citypersons import ImageAnnotations, annotated, read_mat, write_mat
from alfnet.annotations.images import Split, annotated_image
from alfnet.annotations.training_cache import TrainingRule
from alfnet.errors import AlfnetError

SIZE: dict[str, Any] = {"width": 2048, "height": 1024, "minimum_height": 50}


def training_cache(images: list[ImageAnnotations], split: Split, *, width: int, height: int, minimum_height: float):
    """The cache of CityPersons' annotations."""
    return making.training_cache(
        annotated(images, split, height=height, width=width), split, TrainingRule(minimum_height)
    )


def write_training_cache(path: Path, split: Split, out: Path, *, width: int, height: int, minimum_height: float):
    """The cache of a .mat file."""
    images = annotated(read_mat(path, split), split, height=height, width=width)
    return making.write_training_cache(images, split, out, TrainingRule(minimum_height), str(path))


def image(*rows: Sequence[float], frame: int = 1) -> ImageAnnotations:
    """Rows of [class, x, y, w, h], wholly visible, or with the visible [x, y, w, h] behind it."""
    full = [[row[0], *row[1:5], 0, *(row[5:] or row[1:5])] for row in rows]
    return ImageAnnotations(
        "ulm", f"ulm_{frame:06}_000019_leftImg8bit.png", np.array(full, dtype=float).reshape(-1, 10)
    )


def boxes(cache: dict[str, Any], ignore: int, key: str = "bbox") -> list[list[float]]:
    return [annotation[key] for annotation in cache["annotations"] if annotation["ignore"] == ignore]


@pytest.fixture
def cache_file(tmp_path: Path) -> Path:
    images = [
        image([1, 10, 20, 30, 60, 12, 25, 28, 50], [0, 500, 500, 5, 6]),
        image([1, 1, 2, 40, 99], frame=2),
        image(),
    ]
    write_mat(tmp_path / "anno_val.mat", images, "val")
    write_training_cache(tmp_path / "anno_val.mat", "val", tmp_path / "val.json", **SIZE)
    return tmp_path / "val.json"


@pytest.mark.costly
@pytest.mark.parametrize("split", ["train", "val"])
def test_equals_the_published_caches(shared: Path, tmp_path: Path, split: Split) -> None:
    data = shared / "data" / "citypersons"
    counts = write_training_cache(data / f"anno_{split}.mat", split, tmp_path / "cache.json", **SIZE)
    published = json.loads((data / f"published_cache_{split}.json").read_text())
    ours = [
        {"file": one.file_name, "boxes": one.pedestrians.tolist(), "ignore": one.ignore_regions.tolist()}
        for one in load_cache(tmp_path / "cache.json", split)
    ]
    assert ours == published
    figures = {"train": (2112, 12390, 12942), "val": (500, 2484, 3246)}[split]
    assert counts == dict(zip(("images", "pedestrians", "ignore_regions"), figures, strict=True))


@pytest.mark.costly
def test_visible_boxes_belong_to_their_pedestrians(shared: Path, tmp_path: Path) -> None:
    path = shared / "data" / "citypersons" / "anno_train.mat"
    write_training_cache(path, "train", tmp_path / "cache.json", **SIZE)
    annotated = {f"train/{one.city}/{one.file_name}": one.rows for one in read_mat(path)}
    compared = 0
    for one in load_cache(tmp_path / "cache.json"):
        assert one.visible.shape == one.pedestrians.shape
        assert (one.visible[:, :2] >= one.pedestrians[:, :2]).all()
        assert (one.visible[:, 2:] <= one.pedestrians[:, 2:]).all()
        rows = {tuple(row[1:5]): row[6:10] for row in annotated[one.file_name]}
        for full, part in zip(one.pedestrians.tolist(), one.visible.tolist(), strict=True):
            raw = rows.get((full[0], full[1], full[2] - full[0], full[3] - full[1]))
            if raw is not None:  # not clipped
                assert part == [raw[0], raw[1], raw[0] + raw[2], raw[1] + raw[3]]
                compared += 1
    assert compared > 11_000


def test_layout() -> None:
    cache = training_cache(
        [image([1, 10, 20, 30, 60, 12, 25, 28, 50], [3, 300, 301, 4, 80.5])],
        "val",
        width=2048,
        height=1024,
        minimum_height=50,
    )
    assert cache == {
        "info": {"split": "val", "rule": {"minimum_height": 50, "covered": 0.5}},
        "images": [{"id": 1, "file_name": "val/ulm/ulm_000001_000019_leftImg8bit.png", "height": 1024, "width": 2048}],
        "annotations": [
            {
                "id": 1,
                "image_id": 1,
                "category_id": 1,
                "bbox": [10, 20, 30, 60],
                "area": 1800,
                "iscrowd": 0,
                "ignore": 0,
                "vis_bbox": [12, 25, 28, 50],
            },
            {
                "id": 2,
                "image_id": 1,
                "category_id": 1,
                "bbox": [300, 301, 4, 80.5],
                "area": 322,
                "iscrowd": 1,
                "ignore": 1,
            },
        ],
        "categories": [{"id": 1, "name": "pedestrian"}],
    }


def test_only_class_1_of_enough_height_is_a_pedestrian() -> None:
    rows = [[kind, 100 * kind, 10, 20, 60] for kind in range(6)] + [[1, 700, 10, 20, 49], [1, 800, 10, 20, 50]]
    cache = training_cache([image(*rows)], "train", **SIZE)
    assert [box[0] for box in boxes(cache, 0)] == [100, 800]
    assert [box[0] for box in boxes(cache, 1)] == [0, 200, 300, 400, 500, 700]
    cache = training_cache([image(*rows)], "train", **(SIZE | {"minimum_height": 55}))
    assert [box[0] for box in boxes(cache, 0)] == [100]


def test_clipping() -> None:
    rows = [
        [1, -140, -5, 170, 90, -3, -4, 100, 80],  # keeps its width, as in the published caches
        [1, 2000, 900, 60, 400, 2010, 950, 90, 500],
        [1, 2040, 990, 20, 60],  # 33 px tall when clipped
    ]
    cache = training_cache([image(*rows)], "train", **SIZE)
    assert boxes(cache, 0) == [[0, 0, 170, 90], [2000, 900, 47, 123]]
    assert boxes(cache, 0, "vis_bbox") == [[0, 0, 100, 80], [2010, 950, 37, 73]]
    assert boxes(cache, 1) == [[2040, 990, 7, 33]]


@pytest.mark.parametrize(
    ("regions", "dropped"),
    [
        ([[0, 0, 0, 19, 49]], True),  # with +1 widths 20 x 50 of 20 x 100 px: exactly half
        ([[0, 0, 0, 19, 48]], False),
        ([[0, 0, 0, 19, 24], [0, 0, 75, 19, 24]], True),  # two quarters
        ([[0, 0, 0, 19, 24], [2, 0, 0, 19, 24]], True),  # the same quarter twice counts twice
        ([[0, 0, 0, 19, 24], [0, 20, 0, 300, 99]], False),  # the second only touches
        ([[0, 0, 0, 900, 900]], True),
        ([[1, 0, 0, 19, 49]], True),  # too low to be a pedestrian: an ignore region
        ([[1, 0, 0, 19, 50]], False),
        ([], False),
    ],
)
def test_covered_pedestrians_are_dropped(regions: list[list[float]], dropped: bool) -> None:
    cache = training_cache([image([1, 0, 0, 19, 99], *regions)], "train", **SIZE)
    assert ([0, 0, 19, 99] in boxes(cache, 0)) is not dropped
    assert [0, 0, 19, 99] not in boxes(cache, 1)  # neither pedestrian nor ignore region


def test_cover_rule_against_counted_pixels() -> None:
    generator = np.random.Generator(np.random.PCG64(5))
    dropped = 0
    for _ in range(40):
        corners = generator.integers(0, 60, (9, 2))
        sides = generator.integers(10, 60, (9, 2))
        rows = [[int(index > 3), *corners[index], *sides[index]] for index in range(9)]
        cache = training_cache([image(*rows)], "val", width=200, height=200, minimum_height=10)
        layers = np.zeros((200, 200), dtype=int)
        for _, x, y, w, h in rows[:4]:
            layers[y : y + h + 1, x : x + w + 1] += 1
        expected = [[x, y, w, h] for _, x, y, w, h in rows[4:] if layers[y : y + h + 1, x : x + w + 1].mean() < 0.5]
        assert boxes(cache, 0) == expected
        dropped += 5 - len(expected)
    assert 20 < dropped < 180


def test_an_image_of_another_data_set_is_clipped_to_its_part_inside() -> None:
    boxes_given: list[list[float]] = [[-10, -20, 50, 120], [180, 10, 40, 100], [300, 10, 40, 100], [90.5, 0, 10, 100]]
    one = annotated_image("a/b.jpg", 100, 200, boxes_given, pedestrian=[True, True, True, False])
    rule = TrainingRule(50, covered=None, clipping="inside")
    cache = making.training_cache([one], "train", rule)
    assert boxes(cache, 0) == [[0, 0, 40, 100], [180, 10, 20, 90]]  # the third has no part in the image
    assert boxes(cache, 1) == [[90.5, 0, 10, 100]]


def test_little_visible_pedestrians_become_ignore_regions_where_the_rule_says_so() -> None:
    one = annotated_image(
        "b.jpg", 100, 200, [[0, 0, 20, 80], [50, 0, 20, 80]], pedestrian=[True, True], visible_ratios=[0.5, 0.7]
    )
    cache = making.training_cache([one], "val", TrainingRule(50, 0.65, clipping="inside"))
    assert boxes(cache, 0) == [[50, 0, 20, 80]]
    assert boxes(cache, 1) == [[0, 0, 20, 80]]
    assert cache["info"]["rule"]["minimum_visible_ratio"] == 0.65


def test_without_the_cover_rule_covered_pedestrians_stay() -> None:
    one = annotated_image("b.jpg", 100, 200, [[0, 0, 20, 80], [0, 0, 20, 80]], pedestrian=[True, False])
    kept = making.training_cache([one], "train", TrainingRule(50, covered=None, clipping="inside"))
    assert len(boxes(kept, 0)) == 1
    assert not boxes(making.training_cache([one], "train", TrainingRule(50, clipping="inside")), 0)


def test_visible_box_stays_beside_its_pedestrian_when_another_is_dropped() -> None:
    rows = [
        [1, 0, 0, 19, 99, 1, 1, 5, 5],
        [0, 0, 0, 50, 99],
        [1, 400, 0, 19, 99, 401, 2, 6, 6],
    ]
    cache = training_cache([image(*rows)], "train", **SIZE)
    assert boxes(cache, 0) == [[400, 0, 19, 99]]
    assert boxes(cache, 0, "vis_bbox") == [[401, 2, 6, 6]]


def test_images_kept() -> None:
    covered = image([1, 0, 0, 19, 99], [0, 0, 0, 50, 99], frame=2)
    images = [image([2, 9, 9, 9, 99]), covered, image(frame=3), image([1, 5, 5, 20, 80], frame=4)]
    train, val = (training_cache(images, split, **SIZE) for split in ("train", "val"))
    # Train: those with a pedestrian before the cover rule, even if that leaves none.
    assert [(one["id"], one["file_name"][:16]) for one in train["images"]] == [
        (1, "train/ulm/ulm_00"),
        (2, "train/ulm/ulm_00"),
    ]
    assert [one["file_name"][16:20] for one in train["images"]] == ["0002", "0004"]
    assert [one["image_id"] for one in train["annotations"]] == [1, 2]
    assert [one["id"] for one in val["images"]] == [1, 2, 3, 4]
    assert [one["image_id"] for one in val["annotations"]] == [1, 2, 4]
    assert [one["id"] for one in val["annotations"]] == [1, 2, 3]


def test_same_bytes_again(cache_file: Path) -> None:
    content = cache_file.read_bytes()
    write_training_cache(cache_file.parent / "anno_val.mat", "val", cache_file, **SIZE)
    assert cache_file.read_bytes() == content


def test_loaded_images(cache_file: Path) -> None:
    first, second, third = load_cache(cache_file, "val")
    assert (first.id, first.file_name) == (1, "val/ulm/ulm_000001_000019_leftImg8bit.png")
    assert (first.height, first.width) == (1024, 2048)
    assert first.pedestrians.tolist() == [[10, 20, 40, 80]]
    assert first.visible.tolist() == [[12, 25, 40, 75]]
    assert first.ignore_regions.tolist() == [[500, 500, 505, 506]]
    assert second.ignore_regions.shape == third.pedestrians.shape == third.visible.shape == (0, 4)
    assert {boxes.dtype for boxes in (first.pedestrians, first.visible, second.ignore_regions)} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("rows", "part"),
    [
        (
            [[1, 10, 10, 20, 60], [0, 2048, 0, 5, 5]],
            "the box in row 2 starts at (2048, 0), outside an image of 2048 x 1024",
        ),
        ([[1, 10, 1100, 20, 60]], "data.height"),
        ([[1, 10, 10, 20, 60, 3000, 10, 20, 60]], "starts at (3000, 10)"),
        ([[1, 10, 10, 20, 40]], "none of 1 images has a pedestrian of at least 50 px"),
        ([], "data.minimum_pedestrian_height"),
    ],
)
def test_unusable_annotations_leave_the_earlier_cache(cache_file: Path, rows: list[list[float]], part: str) -> None:
    content, mat = cache_file.read_bytes(), cache_file.parent / "anno_val.mat"
    write_mat(mat, [image(*rows)], "val")
    with pytest.raises(AlfnetError) as caught:
        write_training_cache(mat, "val", cache_file, **SIZE)
    assert str(caught.value).startswith(f"{mat}: ")
    assert part in str(caught.value)
    assert cache_file.read_bytes() == content


def test_annotations_of_the_other_split_are_refused(cache_file: Path) -> None:
    mat = cache_file.parent / "anno_val.mat"
    with pytest.raises(AlfnetError, match="annotations of the val split"):
        write_training_cache(mat, "train", cache_file.parent / "train.json", **SIZE)
    assert {path.name for path in cache_file.parent.iterdir()} == {"anno_val.mat", "val.json"}


def test_cache_of_the_wrong_split_is_refused(cache_file: Path) -> None:
    with pytest.raises(
        AlfnetError, match=r"val\.json: cache of the wrong split: it holds 'val', 'train' is needed; .*train"
    ):
        load_cache(cache_file, "train")
    assert len(load_cache(cache_file)) == 3


@pytest.mark.parametrize(
    ("change", "part"),
    [
        (lambda cache: cache.pop("info"), "info is missing"),
        (lambda cache: cache.pop("images"), "images is missing"),
        (lambda cache: cache.pop("annotations"), "annotations is missing"),
        (lambda cache: cache.update(info={}), "info: split is missing"),
        (lambda cache: cache.update(info=[1]), "info is [1], dict was expected"),
        (lambda cache: cache.update(images={}), "images is {}, list was expected"),
        (lambda cache: cache["images"].append("x"), "images[3]: id is missing"),
        (lambda cache: cache["images"][1].pop("file_name"), "images[1]: file_name is missing"),
        (lambda cache: cache["images"][1].update(id=1), "images[1]: id 1 stands there twice"),
        (lambda cache: cache["images"][1].update(id=True), "images[1]: id is True, int was expected"),
        (lambda cache: cache["images"][0].update(width="2048"), "images[0]: width is '2048', int was expected"),
        (lambda cache: cache["images"][0].update(height=0), "images[0]: height and width must be at least 1"),
        (lambda cache: cache["annotations"][0].pop("ignore"), "annotations[0]: ignore is missing"),
        (lambda cache: cache["annotations"][0].pop("bbox"), "annotations[0]: bbox is missing"),
        (lambda cache: cache["annotations"][0].pop("vis_bbox"), "annotations[0]: vis_bbox is missing"),
        (
            lambda cache: cache["annotations"][1].update(image_id=9),
            "annotations[1]: image_id 9 is not among the images",
        ),
        (lambda cache: cache["annotations"][1].update(bbox=[1, 2, 3]), "annotations[1]: bbox is [1, 2, 3]"),
        (lambda cache: cache["annotations"][1].update(bbox=[1, 2, 3, "4"]), "[x, y, w, h] was expected"),
        (lambda cache: cache["annotations"][1].update(bbox=[1, 2, 3, float("nan")]), "[x, y, w, h] was expected"),
        (lambda cache: cache["annotations"][1].update(bbox=[1, 2, 3, True]), "[x, y, w, h] was expected"),
        (lambda cache: cache["annotations"][1].update(bbox=[1, 2, -3, 4]), "[x, y, w, h] was expected"),
    ],
)
def test_other_layouts_are_refused(cache_file: Path, change: Any, part: str) -> None:
    cache = json.loads(cache_file.read_text())
    change(cache)
    cache_file.write_text(json.dumps(cache))
    with pytest.raises(AlfnetError) as caught:
        load_cache(cache_file)
    assert str(caught.value).startswith(f"{cache_file}: ")
    assert part in str(caught.value)
    assert "alfnet data cache" in str(caught.value)


def test_files_that_are_no_cache_are_refused(cache_file: Path) -> None:
    content = cache_file.read_bytes()
    for broken in (content[: len(content) // 2], b"", b"\x89PNG\r\n", b"[]", b"3"):
        cache_file.write_bytes(broken)
        with pytest.raises(AlfnetError, match=str(cache_file)):
            load_cache(cache_file)
    with pytest.raises(AlfnetError, match="no such file"):
        load_cache(cache_file.with_name("absent.json"))
