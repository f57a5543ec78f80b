from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from alfnet.annotations import ground_truth as making
from alfnet.annotations.citypersons import ImageAnnotations, annotated, read_mat, write_mat
from alfnet.annotations.images import annotated_image
from alfnet.errors import AlfnetError

IMAGES = [
    ImageAnnotations("ulm", "ulm_1.png", np.zeros((0, 10))),
    ImageAnnotations(
        "ulm",
        "ulm_2.png",
        np.array(
            [
                [1, -5, 400, 30, 70, 24000, 0, 400, 10, 70],
                [5, 7, 400, 13, 44, 0, 0, 0, 0, 0],
                [0, 2000, 1000, 100, 40.5, 0, 2000, 1000, 100, 40.5],
            ]
        ),
    ),
]


def evaluation_ground_truth(images: list[ImageAnnotations], *, width: int, height: int) -> dict:
    """The ground truth of CityPersons' annotations."""
    return making.evaluation_ground_truth(annotated(images, "val", height=height, width=width), citypersons=True)


def write_ground_truth(path: Path, out: Path, *, width: int, height: int) -> dict[str, int]:
    """The ground truth of a .mat file."""
    images = annotated(read_mat(path, "val"), "val", height=height, width=width)
    return making.write_ground_truth(images, out, str(path), citypersons=True)


def test_equals_val_gt(shared: Path, tmp_path: Path) -> None:
    data = shared / "data" / "citypersons"
    counts = write_ground_truth(data / "anno_val.mat", tmp_path / "gt.json", width=2048, height=1024)
    assert counts == {"images": 500, "objects": 5795}
    ours, published = (json.loads(path.read_text()) for path in (tmp_path / "gt.json", data / "val_gt.json"))
    assert ours == published
    # Down to int or float, and the order of the keys.
    assert (tmp_path / "gt.json").read_text().rstrip() == (data / "val_gt.json").read_text().rstrip()


def test_every_field() -> None:
    ground_truth = evaluation_ground_truth(IMAGES, width=1024, height=512)
    assert ground_truth["images"] == [
        {"id": 1, "im_name": "ulm_1.png", "height": 512, "width": 1024},
        {"id": 2, "im_name": "ulm_2.png", "height": 512, "width": 1024},
    ]
    assert [category["id"] for category in ground_truth["categories"]] == [1, 2, 3, 4, 5, 0]
    common = {"image_id": 2, "category_id": 1}
    assert ground_truth["annotations"] == [
        common
        | {
            "id": 1,
            "iscrowd": 0,
            "ignore": 0,
            "bbox": [-5, 400, 30, 70],  # raw: not clipped
            "vis_bbox": [0, 400, 10, 70],
            "height": 70,
            "vis_ratio": 0.333333333333,
        },
        common
        | {
            "id": 2,
            "iscrowd": 1,
            "ignore": 1,
            "bbox": [7, 400, 13, 44],
            "vis_bbox": [0, 0, 0, 0],
            "height": 44,
            "vis_ratio": 0,
        },
        common
        | {
            "id": 3,
            "iscrowd": 0,
            "ignore": 1,
            "bbox": [2000, 1000, 100, 40.5],
            "vis_bbox": [2000, 1000, 100, 40.5],
            "height": 40.5,
            "vis_ratio": 1,
        },
    ]


def test_same_bytes_again(tmp_path: Path) -> None:
    write_mat(tmp_path / "anno_val.mat", IMAGES, "val")
    contents = set()
    for name in ("a", "b"):
        write_ground_truth(tmp_path / "anno_val.mat", tmp_path / name, width=1024, height=512)
        contents.add((tmp_path / name).read_bytes())
    assert len(contents) == 1


@pytest.mark.parametrize(("images", "split", "part"), [([], "val", "no image"), (IMAGES, "train", "train split")])
def test_unusable_annotations_leave_the_earlier_file(tmp_path: Path, images: list, split: str, part: str) -> None:
    write_mat(tmp_path / "x.mat", images, split)  # type: ignore[arg-type]
    out = tmp_path / "gt.json"
    out.write_text("earlier")
    with pytest.raises(AlfnetError, match=part):
        write_ground_truth(tmp_path / "x.mat", out, width=1024, height=512)
    assert out.read_text() == "earlier"
    assert len(list(tmp_path.iterdir())) == 2


def test_images_of_other_data_sets_have_their_own_sizes_and_folders(tmp_path: Path) -> None:
    images = [
        annotated_image("day/a.jpg", 300, 400, [[1, 2, 30, 60]], pedestrian=[True], visible_ratios=[0.4]),
        annotated_image("b.png", 500, 333, [[1, 2, 30, 60]], pedestrian=[False], crowd=[True]),
    ]
    counts = making.write_ground_truth(images, tmp_path / "gt.json", "own.json")
    assert counts == {"images": 2, "objects": 2}
    written = json.loads((tmp_path / "gt.json").read_text())
    assert written["images"] == [
        {"id": 1, "file_name": "day/a.jpg", "height": 300, "width": 400},
        {"id": 2, "file_name": "b.png", "height": 500, "width": 333},
    ]
    assert [(one["ignore"], one["iscrowd"], one["vis_ratio"]) for one in written["annotations"]] == [
        (0, 0, 0.4),
        (1, 1, 1),
    ]
    assert written["categories"] == [{"id": 1, "name": "pedestrian"}]
