"""Every format's reader, on tiny files in the true layout."""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alfnet.annotations import training_cache as making
from alfnet.annotations.caltech import TextObject, frame_of, read_caltech, read_text_annotation
from alfnet.annotations.citypersons import read_mat
from alfnet.annotations.citypersons_json import LABELS, SUFFIX, read_citypersons
from alfnet.annotations.coco import load_coco, read_coco
from alfnet.annotations.crowdhuman import read_crowdhuman
from alfnet.annotations.eurocity import read_eurocity
from alfnet.annotations.images import AnnotatedImage, Split, annotated_image, check_name, deal_into_folds
from alfnet.annotations.pennfudan import read_pennfudan
from alfnet.annotations.seq import read_seq_frames, read_seq_header
from alfnet.annotations.training_cache import TrainingRule
from alfnet.annotations.vbb import read_vbb
from alfnet.errors import AlfnetError


def message(function: Any, *arguments: Any) -> str:
    with pytest.raises(AlfnetError) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# CityPersons' official JSON


def write_official_json(folder: Path, mat: Path, split: Split) -> Path:
    """The JSON files of gtBbox_cityPersons_trainval.zip that say what a .mat says."""
    names = {number: label for label, number in LABELS.items()}
    for image in read_mat(mat, split):
        objects = [
            {
                "label": names[int(row[0])],
                "bbox": [int(value) for value in row[1:5]],
                "instanceId": int(row[5]),
                "bboxVis": [int(value) for value in row[6:10]],
            }
            for row in image.rows
        ]
        path = folder / split / image.city / image.file_name.replace("_leftImg8bit.png", SUFFIX)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"imgHeight": 1024, "imgWidth": 2048, "objects": objects}))
    return folder / split


@pytest.mark.parametrize("split", ["val"])
def test_official_json_says_what_the_mat_says(shared: Path, tmp_path: Path, split: Split) -> None:
    mat = shared / "data" / "citypersons" / f"anno_{split}.mat"
    folder = write_official_json(tmp_path / "gtBboxCityPersons", mat, split)
    ours, theirs = read_citypersons(folder), read_mat(mat, split)
    assert [(one.city, one.file_name) for one in ours] == [(one.city, one.file_name) for one in theirs]
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one.rows, other.rows)


def test_one_official_json_file(tmp_path: Path) -> None:
    path = tmp_path / f"frankfurt_000000_000294{SUFFIX}"
    entry = {"label": "pedestrian", "bbox": [1, 2, 30, 60], "bboxVis": [1, 2, 30, 50], "instanceId": 24000}
    path.write_text(
        json.dumps({"imgHeight": 1024, "imgWidth": 2048, "objects": [entry, {"label": "ignore", "bbox": [0, 0, 9, 9]}]})
    )
    (image,) = read_citypersons(path)
    assert (image.city, image.file_name) == ("frankfurt", "frankfurt_000000_000294_leftImg8bit.png")
    assert image.rows.tolist() == [[1, 1, 2, 30, 60, 24000, 1, 2, 30, 50], [0, 0, 0, 9, 9, 0, 0, 0, 9, 9]]


@pytest.mark.parametrize(
    ("content", "part"),
    [
        ("{", "cut short"),
        ("[]", "a list"),
        ('{"objects": 3}', "a list of objects"),
        ('{"objects": [{"label": "car", "bbox": [1, 2, 3, 4]}]}', "'car'"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 0, 4]}]}', "from 1 px"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 3]}]}', "bbox is [1, 2, 3]"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 3, 4], "bboxVis": "x"}]}', "bboxVis"),
        ('{"objects": [{"label": "rider", "bbox": [1, 2, 3, 4], "instanceId": "x"}]}', "instanceId"),
        ('{"objects": [3]}', "object 1"),
    ],
)
def test_wrong_official_json_is_described(tmp_path: Path, content: str, part: str) -> None:
    path = tmp_path / f"ulm_0_1{SUFFIX}"
    path.write_text(content)
    assert part in message(read_citypersons, path)


def test_folders_that_are_no_split(tmp_path: Path) -> None:
    assert "gtBboxCityPersons/val" in message(read_citypersons, tmp_path)
    for split in ("train", "val"):
        (tmp_path / split / "ulm").mkdir(parents=True)
        (tmp_path / split / "ulm" / f"ulm_{split}_1{SUFFIX}").write_text('{"objects": []}')
    assert "the splits train, val" in message(read_citypersons, tmp_path)
    assert len(read_citypersons(tmp_path / "val")) == 1


# COCO


def coco(**changes: Any) -> dict[str, Any]:
    content = {
        "images": [
            {"id": 7, "file_name": "a/one.jpg", "height": 300, "width": 400},
            {"id": 3, "file_name": "two.png", "height": 500, "width": 200},
        ],
        "annotations": [
            {"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 30, 60]},
            {"id": 2, "image_id": 7, "category_id": 1, "bbox": [5, 6, 20, 50], "vis_bbox": [5, 6, 20, 25]},
            {"id": 3, "image_id": 7, "category_id": 1, "bbox": [5, 6, 20, 50], "iscrowd": 1},
            {"id": 4, "image_id": 7, "category_id": 1, "bbox": [5, 6, 20, 50], "ignore": 1, "visible_ratio": 0.3},
            {"id": 5, "image_id": 7, "category_id": 2, "bbox": [0, 0, 20, 20]},
        ],
        "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}],
    }
    return content | changes


def test_coco(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco()))
    one, two = read_coco(tmp_path / "x.json", "person")
    assert (one.file_name, one.height, one.width) == ("a/one.jpg", 300, 400)
    assert one.boxes.tolist() == [[5, 6, 20, 50]] * 3
    assert one.visible.tolist() == [[5, 6, 20, 25], [5, 6, 20, 50], [5, 6, 20, 50]]
    assert one.visible_ratios.tolist() == [0.5, 1, 0.3]
    assert one.pedestrian.tolist() == [True, False, False]
    assert one.crowd.tolist() == [False, True, False]
    assert two.boxes.tolist() == [[1, 2, 30, 60]]


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"images": 3}, "no list under 'images'"),
        ({"images": [3]}, "images[0] is 3"),
        ({"images": coco()["images"] * 2}, "stands there twice"),
        ({"images": [{"id": 7, "file_name": "../x.jpg", "height": 3, "width": 4}]}, "relative to the folder"),
        ({"images": [{"id": 7, "file_name": "/x.jpg", "height": 3, "width": 4}]}, "relative to the folder"),
        ({"images": [{"id": 7, "file_name": "x.jpg", "height": "3", "width": 4}]}, "height is '3'"),
        ({"images": [{"id": 7, "height": 3, "width": 4}]}, "file_name is None"),
        ({"images": [{"id": 7, "file_name": "x.jpg", "height": 3.5, "width": 4}]}, "height is 3.5"),
        ({"images": coco()["images"][:1]}, "has the image_id 3, which is no image's id"),
        ({"categories": [{"id": 1, "name": "human"}]}, "has no category 'person'; there are: human"),
        ({"categories": {"1": "person"}}, "no list of objects with id and name"),
        ({"annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 0, 60]}]}, "above 0"),
        ({"annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3]}]}, "bbox is [1, 2, 3]"),
        ({"annotations": [{"id": 1, "image_id": 3, "category_id": 1}]}, "bbox is None"),
        (
            {"annotations": [{"id": 9, "image_id": 3, "category_id": {"a": 1}}]},
            "annotation 9 has the category_id {'a': 1}",
        ),
        ({"annotations": [{"id": 9, "image_id": 3}]}, "annotation 9 has the category_id None"),
        ({"annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 1e400]}]}, "bbox is"),
        (
            {"annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "vis_ratio": 30}]},
            "a number from 0 to 1",
        ),
        (
            {"annotations": [{"id": 1, "image_id": 3, "category_id": 1, "bbox": [1, 2, 3, 4], "iscrowd": 7}]},
            "iscrowd is 7",
        ),
    ],
)
def test_wrong_coco_files_are_described(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco(**changes)))
    text = message(read_coco, tmp_path / "x.json", "person")
    assert part in text
    assert str(tmp_path / "x.json") in text


def test_the_category_has_to_be_clear(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(json.dumps(coco()))
    assert "name that of people: category in params.yaml" in message(read_coco, tmp_path / "x.json", None)
    (tmp_path / "x.json").write_text(json.dumps(coco(categories=[{"id": 1, "name": "people"}])))
    assert [len(image.boxes) for image in read_coco(tmp_path / "x.json", None)] == [3, 1]


def test_real_photographs(shared: Path) -> None:
    folder = shared / "data" / "pennfudan"
    counts = {split: read_coco(folder / f"{split}.json") for split in ("train", "val")}
    assert {split: (len(images), sum(len(one.boxes) for one in images)) for split, images in counts.items()} == {
        "train": (100, 260),
        "val": (40, 97),
    }


# Penn-Fudan

PENNFUDAN = """# Compatible with PASCAL Annotation Version 1.00
Image filename : "PennFudanPed/PNGImages/{name}.png"
Image size (X x Y x C) : {width} x {height} x 3
Database : "The Penn-Fudan-Pedestrian Database"
Objects with ground truth : {count} {{ {labels} }}
# Note there may be some objects not included in the ground truth list for they are severe-occluded
# or have very small size.
# Top left pixel co-ordinates : (1, 1)
"""
PENNFUDAN_BOX = """# Details for pedestrian {n} ("PASpersonWalking")
Original label for object {n} "PASpersonWalking" : "PennFudanPed"
Bounding box for object {n} "PASpersonWalking" (Xmin, Ymin) - (Xmax, Ymax) : ({x1}, {y1}) - ({x2}, {y2})
Pixel mask for object {n} "PASpersonWalking" : "PennFudanPed/PedMasks/{name}_mask.png"

"""


def pennfudan_text(name: str, height: int, width: int, boxes: list[list[int]]) -> str:
    """A text of the zip's Annotation folder; boxes are x, y, width, height from 0."""
    labels = " ".join(['"PASpersonWalking"'] * len(boxes))
    text = PENNFUDAN.format(name=name, height=height, width=width, count=len(boxes), labels=labels)
    for n, (x, y, w, h) in enumerate(boxes, start=1):
        text += PENNFUDAN_BOX.format(n=n, name=name, x1=x + 1, y1=y + 1, x2=x + w, y2=y + h)
    return text


def write_pennfudan_zip(path: Path, photographs: dict[str, tuple[np.ndarray, list[list[int]]]]) -> None:
    """PennFudanPed.zip in its true layout, of photographs (H, W, 3) and boxes."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("PennFudanPed/readme.txt", "made up")
        for name, (photograph, boxes) in photographs.items():
            height, width = photograph.shape[:2]
            png = cv2.imencode(".png", photograph)[1].tobytes()
            archive.writestr(f"PennFudanPed/PNGImages/{name}.png", png)
            archive.writestr(f"PennFudanPed/Annotation/{name}.txt", pennfudan_text(name, height, width, boxes))


def test_pennfudan_gives_the_boxes_of_the_coco_files(shared: Path, tmp_path: Path) -> None:
    # The first photograph's text as published begins with (160, 182) - (302, 431); its COCO file has [159, 181, 143, 250].
    for image in read_coco(shared / "data" / "pennfudan" / "val.json")[:10]:
        name = image.file_name.removesuffix(".jpg")
        text = pennfudan_text(name, image.height, image.width, image.boxes.astype(int).tolist())
        (tmp_path / f"{name}.txt").write_text(text)
        if name == "FudanPed00001":
            assert "(160, 182) - (302, 431)" in text
    read = read_pennfudan(tmp_path)
    expected = sorted(read_coco(shared / "data" / "pennfudan" / "val.json")[:10], key=lambda one: one.file_name)
    for one, other in zip(read, expected, strict=True):
        assert one.file_name == other.file_name.replace(".jpg", ".png")
        assert (one.height, one.width) == (other.height, other.width)
        np.testing.assert_array_equal(one.boxes, other.boxes)


def test_wrong_pennfudan_texts(tmp_path: Path) -> None:
    assert "no annotation texts" in message(read_pennfudan, tmp_path)
    path = tmp_path / "FudanPed00001.txt"
    whole = pennfudan_text("FudanPed00001", 100, 80, [[1, 2, 20, 60], [30, 2, 20, 60]])
    for content, part in (
        ("", "is missing"),
        (whole[: len(whole) // 2], "says 2 objects and has"),
        (whole.replace("80 x 100", "40 x 100"), "leaves 40 x 100 px"),
    ):
        path.write_text(content)
        assert part in message(read_pennfudan, tmp_path)


# Caltech


@pytest.mark.parametrize("name", ["trailer8.seq", "trailer16.seq"])
def test_seq(shared: Path, name: str) -> None:
    samples = shared / "data" / "caltech" / "samples"
    expected = json.loads((samples / "expected.json").read_text())["seq"][name]
    header = read_seq_header(samples / name)
    assert (header.width, header.height, header.frames) == (
        expected["width"],
        expected["height"],
        expected["num_frames"],
    )
    assert header.trailer_bytes == expected["trailer_bytes"]
    frames = dict(read_seq_frames(samples / name))
    assert list(frames) == [0, 1, 2]
    for number, frame in enumerate(expected["frames"]):
        assert frames[number].offset == frame["offset"]
        assert hashlib.sha256(frames[number].jpeg).hexdigest() == frame["sha256"]
        assert frames[number].seconds == pytest.approx(frame["timestamp"], abs=1e-9)
    assert list(dict(read_seq_frames(samples / name, range(2, 99, 3)))) == [2]


def test_seq_without_a_number_of_frames_is_read_to_its_end(shared: Path, tmp_path: Path) -> None:
    content = bytearray((shared / "data" / "caltech" / "samples" / "trailer8.seq").read_bytes())
    struct.pack_into("<I", content, 548 + 6 * 4, 0)
    (tmp_path / "V000.seq").write_bytes(content)
    assert len(list(read_seq_frames(tmp_path / "V000.seq"))) == 3


def test_broken_videos(shared: Path, tmp_path: Path) -> None:
    content = (shared / "data" / "caltech" / "samples" / "trailer8.seq").read_bytes()
    path = tmp_path / "V000.seq"
    for broken, part in (
        (content[:2000], "breaks off in frame 1 of 3"),
        (content[:500], "its header of 1,024 bytes"),
        (b"RIFF" + content[4:], "0xFEED"),
        (content[:4] + bytes(20) + content[24:], "Norpix"),
        (content[: 548 + 20] + struct.pack("<I", 100) + content[548 + 24 :], "frames of format 100"),
        (content[:1028] + b"xx" + content[1030:], "frame 0 is no JPEG"),
    ):
        path.write_bytes(broken)
        with pytest.raises(AlfnetError, match=part):
            list(read_seq_frames(path))
    assert "No such file" in message(read_seq_header, tmp_path / "V001.seq")


def test_vbb(shared: Path) -> None:
    samples = shared / "data" / "caltech" / "samples"
    expected = json.loads((samples / "expected.json").read_text())["vbb"]
    frames = read_vbb(samples / "V000.vbb")
    assert len(frames) == expected["nFrame"]
    for number, objects in enumerate(frames, start=1):
        listed = expected["frames"].get(str(number), [])
        assert [one.id for one in objects] == [one["id"] for one in listed]
        for one, other in zip(objects, listed, strict=True):
            assert one.label == expected["objLbl"][other["id"] - 1]
            assert one.box == pytest.approx(other["pos"])
            assert one.visible == pytest.approx(other["posv"])
            assert one.occluded == bool(other["occl"])


def test_vbb_of_another_structure(shared: Path, tmp_path: Path) -> None:
    assert "A was expected" in message(read_vbb, shared / "data" / "citypersons" / "anno_val.mat")
    text = message(read_mat, shared / "data" / "caltech" / "samples" / "V000.vbb")
    assert "a .vbb file of Caltech's annotations" in text
    content = (shared / "data" / "caltech" / "samples" / "V000.vbb").read_bytes()
    (tmp_path / "V000.vbb").write_bytes(content[:-500])
    assert "cut short" in message(read_vbb, tmp_path / "V000.vbb")


def test_caltech_texts(shared: Path, tmp_path: Path) -> None:
    samples = shared / "data" / "caltech" / "samples"
    expected = json.loads((samples / "expected.json").read_text())["text"]
    for name, rows in expected.items():
        if not name.endswith(".txt"):
            continue
        read = read_text_annotation(samples / name)
        for one, other in zip(read, rows, strict=True):
            assert (one.label, list(one.box), one.occluded) == (other["label"], other["bb"], bool(other["occ"]))
            assert (list(one.visible), one.ignore) == (other["bbv"], bool(other["ign"]))
    first = read_text_annotation(samples / "fractional.txt")[0]
    assert first.box == (55.645, 168, 12.71, 31)
    (tmp_path / "set00_V000_I00002.txt").write_text("person 1 2 3\n")
    assert "the first line is" in message(read_text_annotation, tmp_path / "set00_V000_I00002.txt")
    (tmp_path / "set00_V000_I00002.txt").write_text("% bbGt version=3\nperson 1 2 3\n")
    assert "line 2 is 'person 1 2 3'" in message(read_text_annotation, tmp_path / "set00_V000_I00002.txt")


def test_caltech_visible_ratios() -> None:
    box = (10.0, 10.0, 20.0, 50.0)
    ratios = [
        TextObject("person", box, occluded, visible, False).visible_ratio
        for occluded, visible in (
            (False, (0, 0, 0, 0)),
            (True, (0, 0, 0, 0)),
            (True, box),
            (True, (10.0, 10.0, 20.0, 25.0)),
        )
    ]
    assert ratios == [1, 1, 0, 0.5]  # 0 where the visible box equals the box, as in the benchmark's code


def caltech_folder(folder: Path, samples: Path) -> Path:
    """Two annotated frames of the samples, with images in one folder for the split."""
    (folder / "images" / "test").mkdir(parents=True)
    (folder / "annotations").mkdir()
    for name, image in (("set99_V000_I00029", "set99_V000_I00029.jpg"), ("set99_V000_I00059", "set99_V000_59.png")):
        (folder / "annotations" / f"{name}.txt").write_bytes((samples / f"{name}.txt").read_bytes())
        cv2.imwrite(str(folder / "images" / "test" / image), np.zeros((480, 640, 3), np.uint8))
    return folder


def test_caltech_by_texts_and_by_videos(shared: Path, tmp_path: Path) -> None:
    samples = shared / "data" / "caltech" / "samples"
    folder = caltech_folder(tmp_path, samples)
    images = folder / "images"
    texts = read_caltech(folder / "annotations", images, images / "test", height=480, width=640)
    assert [one.file_name for one in texts] == ["test/set99_V000_I00029.jpg", "test/set99_V000_59.png"]
    assert texts[0].pedestrian.tolist() == [True] * 6
    videos = tmp_path / "vbb"
    (videos / "set99").mkdir(parents=True)
    (videos / "set99" / "V000.vbb").write_bytes((samples / "V000.vbb").read_bytes())
    original = read_caltech(videos, images, images / "test", height=480, width=640)
    assert [one.file_name for one in original] == [one.file_name for one in texts]
    # Person of 100 px, one of 52 px with .7 visible, one too low, a group, one unsure, one at the border: labels decide.
    assert original[0].pedestrian.tolist() == [True, True, False, False, False, True]
    np.testing.assert_allclose(original[0].boxes, texts[0].boxes, atol=0.75)
    (images / "test" / "set99_V000_59.png").unlink()
    text = message(lambda: read_caltech(folder / "annotations", images, images / "test", height=480, width=640))
    assert "1 of 2 annotated images are not there, e.g. set99_V000_I00059.jpg" in text


def test_caltech_texts_with_the_images_suffix(golden: Path, tmp_path: Path) -> None:
    folder = caltech_folder(tmp_path, golden / "caltech_samples")
    images = folder / "images"

    def read() -> list[AnnotatedImage]:
        return read_caltech(folder / "annotations", images, images / "test", height=480, width=640)

    expected = [one.boxes.tolist() for one in read()]
    for suffix in (".jpg.txt", ".png.txt"):
        for text in (folder / "annotations").glob("*.txt"):
            text.rename(text.with_name(text.name.split(".")[0] + suffix))
        assert [one.boxes.tolist() for one in read()] == expected
    for text in (folder / "annotations").glob("*.txt"):
        text.rename(text.with_name(text.name.replace("set", "s")))
    assert "none of its 2 .txt files is named like a frame, e.g. s99_V000_I00029.png.txt" in message(read)


def test_frame_names() -> None:
    assert frame_of("set06_V000_I00029") == frame_of("set06_V000_29") == frame_of("set06V000_I00029") == (6, 0, 29)
    assert frame_of("FudanPed00001") is None


@pytest.mark.costly
def test_caltech_training_rule_on_the_real_test_set(shared: Path) -> None:
    # The published cache (docs/method.md#caltech-annotations): 3,538 pedestrians, 4,058 ignore regions, 4,024 images.
    content = json.loads((shared / "data" / "caltech" / "annotations_new.json").read_text())
    images = []
    for entry in content["images"]:
        rows = entry["boxes"]
        images.append(
            annotated_image(
                f"{entry['file']}.jpg",
                480,
                640,
                rows,
                pedestrian=[mark == "0" for mark in entry["text_ignore"]],
            )
        )
    cache = making.training_cache(images, "val", TrainingRule(0, covered=None, clipping="whole_pixels"))
    ignored = [annotation["ignore"] for annotation in cache["annotations"]]
    assert (len(images), ignored.count(0), ignored.count(1)) == (4024, 3538, 4058)
    assert all(isinstance(value, int) for annotation in cache["annotations"] for value in annotation["bbox"])


# CrowdHuman and EuroCity


def write_crowdhuman(folder: Path) -> Path:
    (folder / "Images").mkdir(parents=True)
    cv2.imwrite(str(folder / "Images" / "273271,c9db.jpg"), np.zeros((300, 400, 3), np.uint8))
    boxes = [
        {
            "tag": "person",
            "fbox": [-5, 6, 60, 150],
            "vbox": [0, 6, 55, 75],
            "hbox": [1, 1, 9, 9],
            "extra": {"box_id": 0, "occ": 1},
        },
        {"tag": "mask", "fbox": [100, 6, 60, 150], "vbox": [100, 6, 60, 150], "extra": {"ignore": 1}},
        {"tag": "person", "fbox": [200, 6, 60, 150], "vbox": [200, 6, 60, 150], "extra": {"ignore": 1}},
    ]
    (folder / "annotation_val.odgt").write_text(json.dumps({"ID": "273271,c9db", "gtboxes": boxes}) + "\n")
    return folder / "annotation_val.odgt"


def test_crowdhuman(tmp_path: Path) -> None:
    path = write_crowdhuman(tmp_path)
    (image,) = read_crowdhuman(path, tmp_path / "Images")
    assert (image.file_name, image.height, image.width) == ("273271,c9db.jpg", 300, 400)
    assert image.pedestrian.tolist() == [True, False, False]
    assert image.visible_ratios[0] == pytest.approx(55 * 75 / (60 * 150))
    whole = path.read_text()
    for content, part in (
        (whole + whole, "stands there twice"),
        (whole + whole[:50], "line 2 is no JSON"),
        ('{"gtboxes": []}\n', "line 1 has no ID"),
        ("", "holds no image"),
        (whole.replace('"mask"', '"cat"'), "box 2: the tag person or mask was expected"),
        (whole.replace('"fbox": [-5, 6, 60, 150]', '"fbox": [-5, 6, 60]'), "line 1, box 1: fbox is [-5, 6, 60]"),
    ):
        path.write_text(content)
        assert part in message(read_crowdhuman, path, tmp_path / "Images")
    path.write_text(whole)
    (tmp_path / "Images" / "273271,c9db.jpg").unlink()
    assert "1 of 1 images are not there" in message(read_crowdhuman, path, tmp_path / "Images")


def test_eurocity(tmp_path: Path) -> None:
    folder = tmp_path / "labels" / "val" / "amsterdam"
    folder.mkdir(parents=True)
    children = [
        {"identity": "pedestrian", "x0": 10, "y0": 20, "x1": 40, "y1": 100, "tags": ["occluded>40"], "children": []},
        {"identity": "rider", "x0": 10.5, "y0": 20, "x1": 40, "y1": 100, "tags": [], "children": []},
        {"identity": "person-group-far-away", "x0": 10, "y0": 20, "x1": 40, "y1": 100, "tags": []},
    ]
    path = folder / "amsterdam_00001.json"
    path.write_text(json.dumps({"imagewidth": 1920, "imageheight": 1024, "children": children}))
    (image,) = read_eurocity(tmp_path / "labels" / "val", Path("val"))
    assert (image.file_name, image.height, image.width) == ("val/amsterdam/amsterdam_00001.png", 1024, 1920)
    assert image.boxes.tolist() == [[10, 20, 30, 80], [10.5, 20, 29.5, 80], [10, 20, 30, 80]]
    assert image.pedestrian.tolist() == [True, False, False]
    assert image.crowd.tolist() == [False, False, True]
    assert image.visible_ratios.tolist() == [0.4, 1, 1]
    path.write_text(json.dumps({"imagewidth": 1920, "imageheight": 1024, "children": [{"identity": "pedestrian"}]}))
    assert "numbers were expected" in message(read_eurocity, tmp_path / "labels" / "val")
    assert "no JSON files" in message(read_eurocity, tmp_path / "nothing")


# folds


def test_folds_follow_from_names_and_seed_alone() -> None:
    images = [annotated_image(f"{n}.png", 10, 10, [], pedestrian=[]) for n in range(23)]
    dealt = {one.file_name: one.fold for one in deal_into_folds(images, 1, 5)}
    assert dealt == {one.file_name: one.fold for one in deal_into_folds(images[::-1], 1, 5)}
    assert dealt != {one.file_name: one.fold for one in deal_into_folds(images, 2, 5)}
    assert sorted(list(dealt.values()).count(fold) for fold in range(5)) == [4, 4, 5, 5, 5]
    assert "cannot be parted" in message(deal_into_folds, images[:3], 1, 5)


def test_whole_numbers_written_with_a_point(tmp_path: Path) -> None:
    content = coco()
    (tmp_path / "a.json").write_text(json.dumps(content))
    for image in content["images"]:
        image |= {key: float(image[key]) for key in ("id", "height", "width")}
    for entry in content["annotations"]:
        entry["image_id"] = float(entry["image_id"])
    (tmp_path / "b.json").write_text(json.dumps(content))
    first, second = (read_coco(tmp_path / name, "person") for name in ("a.json", "b.json"))
    assert [(one.height, one.width, len(one.boxes)) for one in first] == [
        (one.height, one.width, len(one.boxes)) for one in second
    ]
    assert type(second[0].height) is int


def test_a_category_written_with_a_point_is_the_same_one(tmp_path: Path) -> None:
    content = coco()
    (tmp_path / "a.json").write_text(json.dumps(content))
    for entry in content["annotations"]:
        entry["category_id"] = float(entry["category_id"])
    (tmp_path / "b.json").write_text(json.dumps(content))
    assert len(load_coco(tmp_path / "b.json", "person").annotations) == len(
        load_coco(tmp_path / "a.json", "person").annotations
    )
    assert load_coco(tmp_path / "b.json", "person").annotations
    for wrong in (True, None, "1", [1]):
        content["annotations"][0]["category_id"] = wrong
        (tmp_path / "c.json").write_text(json.dumps(content))
        assert "a number of `categories` was expected" in message(load_coco, tmp_path / "c.json", "person")


def test_visible_parts_a_little_larger_than_the_whole_are_all_visible() -> None:
    image = annotated_image(
        "a.png",
        100,
        100,
        [[0, 0, 10, 20], [0, 0, 10, 20], [5, 5, 0, 20]],
        pedestrian=[True] * 3,
        visible=[[0, 0, 11, 21], [0, 0, 10, 10], [5, 5, 3, 20]],
    )
    assert image.visible_ratios.tolist() == [1.0, 0.5, 0.0]


def test_names_of_images_may_hold_odd_blanks_but_no_control_characters() -> None:
    name = "Screenshot 2026-01-01 at 10.11.00\u202fAM\u00a0ä.png"
    assert check_name(name, "a.json") == name
    for wrong in ("a\nb.png", "a\x00.png", "\udc80.png"):
        assert "without control characters" in message(check_name, wrong, "a.json")
