"""What `alfnet data check` and `anchors` say of data sets that are right, and wrong in the usual ways."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from alfnet.annotations.citypersons import ImageAnnotations, write_mat
from alfnet.annotations.images import annotated_image
from alfnet.boxes.anchors import anchors as grid
from alfnet.errors import AlfnetError
from alfnet.images import read_image
from alfnet.inspection import citypersons as module
from alfnet.inspection.anchors import anchor_fit, suggest, write_plot, yaml_lines
from alfnet.inspection.citypersons import check_citypersons, looks_like_citypersons, unpack_images
from alfnet.inspection.coco import check_coco
from alfnet.inspection.own_data import choose_frame, write_own_params
from alfnet.inspection.run import check_path
from alfnet.inspection.sheet import contact_sheet
from alfnet.params import AnchorSettings, load_params
from alfnet.preparation.fetch import md5_of

ANCHORS = AnchorSettings(widths=[[16, 24], [32, 48], [64, 80], [128, 160]], ratio=0.41)


def image(path: Path, height: int = 60, width: int = 80) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((height, width, 3), 90, np.uint8))


# COCO


def own(folder: Path, **changes: Any) -> Path:
    """A COCO file of three images, right but for `changes`."""
    for name in ("a.jpg", "b.png", "c.jpg"):
        image(folder / "images" / name)
    content = {
        "images": [
            {"id": n, "file_name": f, "height": 60, "width": 80} for n, f in enumerate(("a.jpg", "b.png", "c.jpg"))
        ],
        "annotations": [{"id": n, "image_id": n % 3, "category_id": 1, "bbox": [30 + n, 10, 12, 30]} for n in range(6)],
        "categories": [{"id": 1, "name": "person"}],
    } | changes
    (folder / "people.json").write_text(json.dumps(content))
    return folder / "people.json"


def boxes(*rows: Sequence[float]) -> list[dict[str, Any]]:
    return [{"id": n, "image_id": n % 3, "category_id": 1, "bbox": row} for n, row in enumerate(rows)]


def entries(**changes: Any) -> list[dict[str, Any]]:
    listed = [{"id": n, "file_name": f, "height": 60, "width": 80} for n, f in enumerate(("a.jpg", "b.png", "c.jpg"))]
    listed[1] |= changes
    return listed


def many(folder: Path, number: int = 10, **changes: Any) -> Path:
    """A COCO file of `number` images with a person of 30 px in each; `changes` are keys of all annotations."""
    names = [f"{n}.jpg" for n in range(number)]
    for name in names:
        image(folder / "images" / name)
    people = [{"id": n, "image_id": n, "category_id": 1, "bbox": [30 + n, 10, 12, 30]} | changes for n in range(number)]
    listed = [{"id": n, "file_name": name, "height": 60, "width": 80} for n, name in enumerate(names)]
    return own(folder, images=listed, annotations=people)


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """The COCO file after `change` on its content."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    return path


def test_nothing_is_wrong_with_a_right_file(tmp_path: Path) -> None:
    found = check_path(many(tmp_path), None, None, tmp_path / "sheet.png")
    assert (found.problems, found.doubts) == ([], [])
    assert "10 images, 10 annotations of category 'person'" in found.facts[0]
    assert any("all 80 x 60 px" in fact for fact in found.facts)
    assert read_image(tmp_path / "sheet.png").shape[2] == 3


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        (
            {"images": entries(file_name="b.jpg")},
            "1 of 3 images are not there, e.g. b.jpg; there is b.png: correct the suff",
        ),
        (
            {"images": entries(height=61)},
            "1 of 3 images have another size than the file says, e.g. b.png (says 80 x 61, is",
        ),
        ({"images": entries(height=80, width=60)}, "1 of 3 images have height and width exchanged"),
        (
            {"images": [{"id": 0, "file_name": "a.jpg"}]},
            "1 of 1 images have no height and width in the file, e.g. a.jpg",
        ),
        ({"images": entries(id=0)}, "1 image id used more than once, e.g. 0"),
        ({"images": entries(file_name="a.jpg")}, "1 file name used more than once, e.g. a.jpg"),
        ({"images": []}, "no images in it"),
        ({"annotations": []}, "nothing to train on"),
        ({"annotations": boxes([1, 2, 0, 4])}, "1 of 1 annotations have a width or height of 0"),
        ({"annotations": boxes([1, 2, 3])}, "1 of 1 annotations have no bbox of four numbers"),
        ({"annotations": [{"id": 1, "image_id": 77, "category_id": 1, "bbox": [1, 2, 3, 4]}]}, "belong to no image"),
        ({"annotations": boxes([0.4, 0.2, 0.1, 0.5], [0.3, 0.2, 0.1, 0.6])}, "they look like shares of the image"),
        (
            {"annotations": boxes([40, 10, 52, 50], [50, 12, 61, 55], [60, 10, 72, 58])},
            "all would fit as corners x1, y1, x2, y2, e.g. [40.0, 10.0, 52.0, 50.0]",
        ),
    ],
)
def test_what_is_wrong_with_coco_files(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    path = own(tmp_path, **changes)
    problems = check_coco(path, tmp_path / "images", None).problems
    assert any(part in problem for problem in problems), problems


def test_an_image_that_was_cut_short_is_found(tmp_path: Path) -> None:
    """Its header is whole; the pipeline would stop at it."""
    path = many(tmp_path)
    cut = tmp_path / "images" / "4.jpg"
    cut.write_bytes(cut.read_bytes()[:-200])
    (problem,) = check_coco(path, tmp_path / "images", None).problems
    assert "1 of 10 images cannot be read" in problem
    assert "4.jpg" in problem


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"annotations": boxes([90, 10, 12, 30], [30, 10, 12, 30])}, "1 of 2 boxes lie wholly outside their image"),
        ({"annotations": boxes(*[[30, 10, 12, 30]] * 6)}, "3 annotations of a box that its image has already"),
        ({"annotations": boxes([30, 10, 40, 20], [20, 10, 40, 20])}, "are these standing people?"),
        ({"annotations": boxes([30, 10, 4, 10], [20, 10, 4, 11])}, "half of the people are lower than"),
    ],
)
def test_what_is_doubtful_in_coco_files(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    doubts = check_coco(own(tmp_path, **changes), tmp_path / "images", None).doubts
    assert any(part in doubt for doubt in doubts), doubts


def test_what_the_reader_refuses_is_wrong(tmp_path: Path) -> None:
    """Else "nothing is wrong" would be said of a file at which the pipeline then stops."""
    cases: list[tuple[dict[str, Any], str]] = [
        ({"visible_ratio": 45}, "the visible ratio is 45"),
        ({"iscrowd": "0"}, "iscrowd is '0'"),
        ({"iscrowd": 1}, "all 10 annotations of category 'person' are ignore regions"),
        ({"ignore": 1}, "nobody to train on"),
    ]
    for number, (changes, part) in enumerate(cases):
        (problem,) = check_path(many(tmp_path / str(number), **changes), None, None, None).problems
        assert part in problem
    (problem,) = check_path(
        changed(many(tmp_path), lambda content: content["images"][0].update(file_name=str(tmp_path / "images/0.jpg"))),
        None,
        None,
        None,
    ).problems
    assert "a name relative to the folder of images was expected" in problem


def test_a_file_that_the_pipeline_cannot_part_is_wrong(tmp_path: Path) -> None:
    (problem,) = check_path(many(tmp_path / "few", 4), None, None, None).problems
    assert "4 images: at least 5 are needed" in problem
    path = changed(many(tmp_path / "one"), lambda content: content.update(annotations=content["annotations"][:1]))
    (problem,) = check_path(path, None, None, None).problems
    assert "nobody is annotated in the" in problem
    assert "people are in 1 of 10 images" in problem
    problems = check_path(many(tmp_path / "low", bbox=[30, 10, 6, 12]), None, None, None).problems
    assert [one.split(" px tall")[0].split(" is at ")[1] for one in problems] == ["least 20"] * 2
    path = many(tmp_path / "twice")
    (tmp_path / "twice/images/0.jpg").rename(tmp_path / "twice/images/1.png")
    image(tmp_path / "twice/images/1.png")
    changed(path, lambda content: content["images"][0].update(file_name="1.png"))
    (problem,) = check_path(path, None, None, None).problems
    assert problem == "1.png and 1.jpg would both become 1.png; rename one of them"


def test_ignore_regions_are_not_counted_as_people(tmp_path: Path) -> None:
    path = changed(
        many(tmp_path),
        lambda content: content["annotations"].extend(
            [{"id": 20 + n, "image_id": n, "category_id": 1, "bbox": [1, 1, 70, 10], "iscrowd": 1} for n in range(10)]
            * 2
        ),
    )
    found = check_path(path, None, None, None)
    assert (found.problems, found.doubts) == ([], [])
    assert any("heights: 30 / 30 / 30 px" in fact and "width / height 0.40" in fact for fact in found.facts)
    assert any("20 ignore regions" in fact for fact in found.facts)
    changed(path, lambda content: content["annotations"].pop(0))
    assert any("1 image without people" in fact for fact in check_path(path, None, None, None).facts)


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("/nowhere/{}.png", "of 10 images are not there"),
        ("../images/{}.png", "there is ../images/0.jpg: correct the suffixes"),
        ("{}.gif", "there is 0.jpg: correct the suffixes in the file"),
        ("", "correct file_name in the file"),
        ("x" * 300, "correct file_name in the file"),
        ("a\0b", "correct file_name in the file"),
        ("a[1]*.jpg", "put them there, or leave them and their annotations out of the file"),
        ("C:\\data\\{}.jpg", "correct file_name in the file"),
    ],
)
def test_names_that_lead_nowhere(tmp_path: Path, name: str, part: str) -> None:
    path = changed(many(tmp_path), lambda content: content["images"][0].update(file_name=name.format(0)))
    problems = check_path(path, None, None, None).problems
    assert any(part in problem for problem in problems), problems
    assert not any("name their folder as --images" in problem for problem in problems)


def test_an_absolute_name_with_another_suffix_is_no_traceback(tmp_path: Path) -> None:
    name = str(tmp_path / "images" / "0.png")
    path = changed(many(tmp_path), lambda content: content["images"][0].update(file_name=name))
    problems = check_path(path, None, None, None).problems
    assert any("there is 0.jpg: correct the suffixes" in problem for problem in problems), problems


def test_names_that_include_the_folder_ask_for_the_one_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def prefix(content: dict[str, Any]) -> None:
        for one in content["images"]:
            one["file_name"] = f"images/{one['file_name']}"

    path = changed(many(tmp_path), prefix)
    (problem,) = check_path(path, None, None, None).problems
    assert "there is images/0.jpg: name the folder . as --images ." in problem
    assert check_path(path, tmp_path, None, None).problems == []


@pytest.mark.parametrize("form", ["{folder}/images/{name}", "../images/{name}"])
def test_images_that_are_named_in_a_roundabout_way_are_not_said_to_be_unused(tmp_path: Path, form: str) -> None:
    def rename(content: dict[str, Any]) -> None:
        for one in content["images"]:
            one["file_name"] = form.format(folder=tmp_path, name=one["file_name"])

    found = check_path(changed(many(tmp_path), rename), None, None, None)
    assert any("3 images there but not in people.json, e.g. a.jpg, b.png, c.jpg" in fact for fact in found.facts)
    assert any("relative to the folder of images" in problem for problem in found.problems)


def test_image_ids_that_are_no_ids(tmp_path: Path) -> None:
    path = changed(many(tmp_path), lambda content: content["images"][0].update(id=[1]))
    assert (
        "1 of 10 images have an id that is no number and no text, e.g. [1]"
        in check_path(path, None, None, None).problems[0]
    )


def test_other_kinds_of_files_are_recognised(tmp_path: Path) -> None:
    def nameless(content: dict[str, Any]) -> None:
        for one in content["images"]:
            one["im_name"] = one.pop("file_name")

    (problem,) = check_path(changed(many(tmp_path / "a"), nameless), None, None, None).problems
    assert "10 of 10 images have no text as file_name (the keys are: id, height, width, im_name)" in problem

    def outlines(content: dict[str, Any]) -> None:
        for one in content["annotations"]:
            one["segmentation"] = [one.pop("bbox")]

    (problem,) = check_path(changed(many(tmp_path / "b"), outlines), None, None, None).problems
    assert "10 of 10 annotations have a segmentation but no bbox" in problem
    assert "[x1, y1, x2 - x1, y2 - y1]" in problem

    def kinds(content: dict[str, Any]) -> None:
        del content["categories"]
        content["annotations"][0]["category_id"] = 2

    (doubt,) = check_path(changed(many(tmp_path / "c"), kinds), None, None, None).doubts
    assert "2 different category_id (1, 2)" in doubt
    two = [{"id": 1, "name": "person"}, {"id": 2, "name": "car"}]
    path = changed(many(tmp_path / "d"), lambda content: content.update(categories=two))
    with pytest.raises(AlfnetError, match=r"name that of people: .*--category on the command line"):
        check_path(path, None, None, None)
    with pytest.raises(AlfnetError, match="there are: person, car; name that of people: "):
        check_path(path, None, "people", None)
    city(tmp_path / "e")
    with pytest.raises(AlfnetError, match=rf"a MATLAB file.*alfnet data check {tmp_path}/e$"):
        check_path(tmp_path / "e/annotations/anno_val.mat", None, None, None)


def test_images_elsewhere_are_found(tmp_path: Path) -> None:
    path = own(tmp_path)
    (tmp_path / "images").rename(tmp_path / "photographs")
    found = check_path(path, None, None, None)
    assert any("photographs/a.jpg: name that folder as --images" in problem for problem in found.problems)
    damaged = tmp_path / "photographs" / "a.jpg"
    damaged.write_bytes(b"<html>")
    found = check_path(path, tmp_path / "photographs", None, None)
    assert any("1 of 3 images cannot be read" in problem for problem in found.problems)
    with pytest.raises(AlfnetError, match=r"alfnet data check .*people\.json"):
        check_path(tmp_path, None, None, None)
    with pytest.raises(AlfnetError, match="no such file or folder"):
        check_path(tmp_path / "nothing", None, None, None)


def test_from_a_coco_file_to_parameters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.chdir(root)
    path = own(tmp_path)
    out = tmp_path / "params.yaml"
    said = write_own_params(path, None, None, out, force=False)
    assert re.search(
        r"^    url: https://github\.com/\S+$", out.read_text(), re.MULTILINE
    )  # on its line, to be replaced
    assert "next: dvc repro" in said
    params = load_params(out)
    assert params.prepare["own"].url == path.as_uri()
    assert (params.prepare["own"].images, params.data.category) == (str(tmp_path / "images"), "person")
    assert params.prepare["own"].height == params.data.height
    written = out.read_text()
    write_own_params(path, None, None, out, force=False)  # its own file is written again
    assert out.read_text() == written
    path.write_text(path.read_text() + "\n")  # corrected
    write_own_params(path, None, None, out, force=False)
    assert load_params(out).prepare["own"].md5 == md5_of(path) != params.prepare["own"].md5  # so it is prepared anew
    write_own_params(many(tmp_path / "other"), None, None, out, force=False)  # and for another data set
    write_own_params(path, None, None, out, force=False)
    for line in ("seeds:", "  updates: 2000", "    height: 256"):
        text = out.read_text()
        assert text.count(line) >= 1
        mine = text.replace(line, f"# mine\n{line}".replace("2000", "3000").replace("256", "512"), 1)
        out.write_text(mine)
        with pytest.raises(AlfnetError, match="--force"):
            write_own_params(path, None, None, out, force=False)
        assert out.read_text() == mine
        out.write_text(text)
    out.write_text("mine: 1\n")
    with pytest.raises(AlfnetError, match="--force"):
        write_own_params(path, None, None, out, force=False)
    assert out.read_text() == "mine: 1\n"


@pytest.mark.parametrize(("height", "frame"), [(300, (256, 512)), (100, (512, 1024)), (60, (1024, 2048))])
def test_the_frame_is_the_smallest_in_which_people_are_tall_enough(height: int, frame: tuple[int, int]) -> None:
    people = annotated_image("a.jpg", 800, 1600, [[5, 5, 40, height]] * 3, pedestrian=[True] * 3)
    assert choose_frame([people]) == frame


def test_people_that_are_small_in_every_frame_get_the_smallest_that_keeps_their_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: Path
) -> None:
    people = annotated_image("a.jpg", 383, 456, [[5, 5, 10, 24]] * 3, pedestrian=[True] * 3)
    empty = annotated_image("b.jpg", 2000, 4000, [], pedestrian=[])
    assert choose_frame([people, empty]) == (512, 1024)
    monkeypatch.chdir(root)
    said = write_own_params(many(tmp_path), None, None, tmp_path / "params.yaml", force=False)
    assert "512 x 256 px" in said
    assert "half of the people are lower than 30 px there, too small" in said
    assert "tall enough" not in said


# CityPersons


def city(folder: Path, *, images: bool = True) -> Path:
    """A small CityPersons copy: two cities of train, one of val."""
    for split, cities in (("train", ("aachen", "bochum")), ("val", ("frankfurt",))):
        listed = []
        for name in cities:
            for frame in range(2):
                file = f"{name}_{frame:06}_000019_leftImg8bit.png"
                listed.append(ImageAnnotations(name, file, np.array([[1, 5, 5, 20, 50, 0, 5, 5, 20, 50]], float)))
                if images:
                    image(folder / "leftImg8bit" / split / name / file, 1024, 2048)
        write_mat(folder / "annotations" / f"anno_{split}.mat", listed, split)  # type: ignore[arg-type]
    return folder


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """The published counts are those of the small copy."""
    monkeypatch.setattr(module, "IMAGES", {"train": 4, "val": 2})
    monkeypatch.setattr(module, "ROWS", {"train": 4, "val": 2})


def test_a_whole_copy(tmp_path: Path, small: None) -> None:
    assert looks_like_citypersons(city(tmp_path / "data"))
    found = check_citypersons(tmp_path / "data")
    assert (found.problems, found.doubts) == ([], [])
    assert any("4 images in 2 folders of cities" in fact for fact in found.facts)


def test_counts_are_compared_with_the_published_ones(tmp_path: Path) -> None:
    doubts = check_citypersons(city(tmp_path)).doubts
    assert any("CityPersons' train has 2,975 images and 27,770 rows" in doubt for doubt in doubts)
    assert any("CityPersons' val has 500 images and 5,795 rows" in doubt for doubt in doubts)


def test_whole_cities_that_are_missing_are_named(tmp_path: Path, small: None) -> None:
    city(tmp_path)
    for file in (tmp_path / "leftImg8bit" / "train" / "bochum").iterdir():
        file.unlink()
    (found,) = check_citypersons(tmp_path).problems
    assert "2 of 4 annotated images are not there" in found
    assert "whole cities: bochum" in found


def test_usual_other_layouts(tmp_path: Path, small: None) -> None:
    without_split = tmp_path / "a"
    for name in ("aachen", "frankfurt"):
        image(without_split / name / f"{name}_000000_000019_leftImg8bit.png")
    assert looks_like_citypersons(without_split)
    assert any(
        "cities without a folder for the split" in problem for problem in check_citypersons(without_split).problems
    )
    renamed = city(tmp_path / "b")
    for file in (renamed / "leftImg8bit" / "val" / "frankfurt").iterdir():
        file.rename(file.with_name(file.name.replace("_leftImg8bit", "")))
    assert any(
        "there is val/frankfurt/frankfurt_000000_000019.png" in one for one in check_citypersons(renamed).problems
    )
    linked = city(tmp_path / "c")
    (linked / "leftImg8bit").rename(tmp_path / "disk")
    (linked / "leftImg8bit").symlink_to(tmp_path / "disk")
    assert any("`dvc add` leaves out what is linked" in doubt for doubt in check_citypersons(linked).doubts)
    assert not looks_like_citypersons(tmp_path / "nothing")


def test_damaged_and_small_images_of_the_sample(tmp_path: Path, small: None) -> None:
    city(tmp_path)
    first, second = sorted((tmp_path / "leftImg8bit" / "val" / "frankfurt").iterdir())
    first.write_bytes(first.read_bytes()[:-50])
    image(second, 512, 1024)
    found = check_citypersons(tmp_path)
    assert any(str(first) in problem for problem in found.problems)
    assert any("1024 x 512 px" in doubt for doubt in found.doubts)


def test_archives_are_said_to_be_unpacked_and_unpacked(tmp_path: Path, small: None) -> None:
    city(tmp_path / "made")
    (tmp_path / "data").mkdir()
    archive = tmp_path / "data" / module.IMAGE_ZIP
    with zipfile.ZipFile(archive, "w") as zipped:
        for file in sorted((tmp_path / "made" / "leftImg8bit").rglob("*.png")):
            zipped.write(file, file.relative_to(tmp_path / "made").as_posix())
        zipped.writestr("leftImg8bit/test/berlin/berlin_000000_000019_leftImg8bit.png", b"not unpacked")
        zipped.writestr("../outside.png", b"never written")
    (tmp_path / "data" / module.ANNOTATION_ZIP).write_bytes(b"")
    problems = check_citypersons(tmp_path / "data").problems
    assert any("--unpack" in problem for problem in problems)
    assert any("holds them as JSON: unpack it" in problem for problem in problems)
    assert unpack_images(tmp_path / "data") == 6
    assert unpack_images(tmp_path / "data") == 0  # all there
    assert len(list((tmp_path / "data").rglob("*.png"))) == 6
    assert not (tmp_path / "outside.png").exists()
    (tmp_path / "data" / "leftImg8bit" / "val" / "frankfurt" / "frankfurt_000000_000019_leftImg8bit.png").write_bytes(
        b""
    )
    assert unpack_images(tmp_path / "data") == 1
    mine = tmp_path / "data" / "leftImg8bit" / "val" / "frankfurt" / "frankfurt_000000_000019_leftImg8bit.png"
    mine.write_bytes(b"with faces made unrecognisable")
    with pytest.raises(AlfnetError, match=r"1 images are there with another content .* 0 others written: delete them"):
        unpack_images(tmp_path / "data")
    assert mine.read_bytes() == b"with faces made unrecognisable"
    mine.unlink()
    whole = archive.read_bytes()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr(mine.relative_to(tmp_path / "data").as_posix(), bytes(range(256)) * 40)
    damaged = bytearray(archive.read_bytes())
    start = damaged.index(b".png") + 4
    damaged[start : start + 8] = b"\xff" * 8
    archive.write_bytes(bytes(damaged))
    with pytest.raises(AlfnetError, match="a damaged archive"):
        unpack_images(tmp_path / "data")
    archive.write_bytes(whole)
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(AlfnetError, match="a damaged archive"):
        unpack_images(tmp_path / "data")


def test_an_empty_folder_says_where_the_data_comes_from(tmp_path: Path) -> None:
    problems = check_citypersons(tmp_path).problems
    assert any("https://www.cityscapes-dataset.com" in problem for problem in problems)
    assert any("put anno_train.mat into data/citypersons/annotations/" in problem for problem in problems)


def test_real_annotations_are_whole(shared: Path) -> None:
    facts = check_citypersons(shared / "data" / "citypersons").facts
    assert any("2,975 images, 27,770 rows" in fact for fact in facts)
    assert any("500 images, 5,795 rows" in fact for fact in facts)


# anchors and sheets


def test_the_fit_is_what_the_grid_of_anchors_gives() -> None:
    """A second way: IoU of pedestrians with all anchors of an image, with their centres on a cell's and half a cell away."""
    from alfnet.inspection.anchors import _iou

    boxes_of_grid = grid(1024, 1024, ANCHORS).double().numpy()
    for size in ([20.0, 50.0], [60.0, 150.0], [30.0, 90.0]):
        fit = anchor_fit(np.array([size]), ANCHORS)
        for level, stride in enumerate((8, 16, 32, 64)):
            centre = 512 + (stride - 1) / 2 + 0.5  # continuous
            pedestrian = np.array(
                [centre - size[0] / 2, centre - size[1] / 2, centre + size[0] / 2, centre + size[1] / 2]
            )
            whole = boxes_of_grid + np.array([0, 0, 1, 1])  # inclusive corners to continuous ones
            cell = 1024 // stride
            start = sum(2 * (1024 // earlier) ** 2 for earlier in (8, 16, 32, 64)[:level])
            mine = whole[start : start + 2 * cell * cell]
            common = np.clip(
                np.minimum(mine[:, 2:], pedestrian[2:]) - np.maximum(mine[:, :2], pedestrian[:2]), 0, None
            ).prod(1)
            areas = (mine[:, 2:] - mine[:, :2]).prod(1)
            best = (common / (areas + size[0] * size[1] - common)).max()
            assert fit.best[0, level] == pytest.approx(best, abs=1e-6)
    assert _iou(np.array([[10.0, 10.0]]), np.array([[10.0, 10.0]]), 5)[0, 0] == pytest.approx(25 / 175)


def test_suggestions_meet_more_and_never_less(tmp_path: Path) -> None:
    random = np.random.Generator(np.random.PCG64(1))
    heights = np.exp(random.normal(np.log(60), 0.4, 500))
    sizes = np.stack([heights * random.normal(0.9, 0.05, 500), heights], 1)
    before, after = anchor_fit(sizes, ANCHORS), anchor_fit(sizes, suggest(sizes, ANCHORS))
    assert sum(after.share()) > sum(before.share()) + 0.2
    assert after.ratio == pytest.approx(0.9, abs=0.03)
    assert yaml_lines(suggest(sizes, ANCHORS)).startswith("head:\n  anchors:\n    widths:\n      - - ")
    ours = np.array([[16.0, 39.0], [24, 58.5], [32, 78], [48, 117], [64, 156], [80, 195], [128, 312], [160, 390]] * 4)
    assert sum(anchor_fit(ours, suggest(ours, ANCHORS)).share()) >= sum(anchor_fit(ours, ANCHORS).share())
    write_plot(tmp_path / "anchors.png", sizes, ANCHORS, suggest(sizes, ANCHORS))
    assert read_image(tmp_path / "anchors.png").shape[:2] == (462, 1100)


def test_contact_sheets_show_boxes_and_say_what_cannot_be_shown(tmp_path: Path) -> None:
    for name in ("a.png", "b.png"):
        image(tmp_path / name, 100, 200)
    listed = [
        annotated_image(name, 100, 200, [[20, 10, 40, 80], [120, 10, 40, 80]], pedestrian=[True, False])
        for name in ("a.png", "missing.png", "b.png")
    ]
    png, faults = contact_sheet(listed, tmp_path)
    (tmp_path / "sheet.png").write_bytes(png)
    assert len(faults) == 1
    assert "missing.png" in faults[0]
    sheet = read_image(tmp_path / "sheet.png").astype(int)
    for colour in ((80, 200, 40), (0, 170, 255)):
        assert (np.abs(sheet - colour).max(axis=2) < 3).sum() > 200
    with pytest.raises(AlfnetError, match="missing"):
        contact_sheet(listed[1:2], tmp_path)


def test_a_contact_sheet_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not a doubt about the data set: whoever asked for the sheet would take the earlier one for it."""
    people = own(tmp_path)

    def full(path: Path, content: bytes) -> None:
        raise AlfnetError(f"{path}: no space left")

    monkeypatch.setattr("alfnet.inspection.run.write_bytes", full)
    with pytest.raises(AlfnetError, match=r"sheet\.png: no space left"):
        check_path(people, tmp_path / "images", None, tmp_path / "sheet.png")


def test_linked_cities_are_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    for split, city in (("train", "aachen"), ("val", "lindau")):
        (tmp_path / "disk" / city).mkdir(parents=True)
        (folder / "leftImg8bit" / split).mkdir(parents=True)
    (folder / "leftImg8bit" / "train" / "aachen").symlink_to(tmp_path / "disk" / "aachen")
    (folder / "leftImg8bit" / "val" / "lindau").mkdir()
    doubts = " ".join(check_citypersons(folder).doubts)
    assert f"{folder / 'leftImg8bit' / 'train' / 'aachen'} is a link" in doubts


def test_a_link_to_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AlfnetError, match=r"leftImg8bit: a link to .*elsewhere, where nothing is"):
        check_path(tmp_path, None, None, None)
    (tmp_path / "gtBboxCityPersons").mkdir()  # something of the data set is there: then it is one finding of several
    assert any("where nothing is" in doubt for doubt in check_path(tmp_path, None, None, None).doubts)
