from __future__ import annotations

import io
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import scipy.io

from alfnet.annotations.citypersons import ImageAnnotations, read_mat, write_mat
from alfnet.annotations.images import Split
from alfnet.annotations.training_cache import plain_number
from alfnet.errors import AlfnetError

FIELDS = ("cityname", "im_name", "bbs")
ROW = [1, 947, 406, 17, 40, 24000, 950, 407, 14, 39]


def image(*rows: Sequence[float], city: str = "aachen", frame: int = 19) -> ImageAnnotations:
    values = np.array(rows, dtype=np.float64).reshape(-1, 10)
    return ImageAnnotations(city, f"{city}_000000_{frame:06}_leftImg8bit.png", values)


# One image of every kind of storage that the real files have.
IMAGES = [
    image(ROW, [0, 1839, 382, 31, 71, 0, 1839, 382, 31, 71]),
    image(),
    image([2, 120, 40, 17, 40, 0, 120, 40, 17, 40], frame=20),
    image([1, -140, 406, 170, 40, 25009, 0, 407, 14, 39], ROW, city="zurich"),
]


def save(path: Path, variables: dict[str, Any]) -> Path:
    scipy.io.savemat(path, variables)
    return path


def cells(*structs: Any) -> np.ndarray:
    cell = np.empty((1, len(structs)), dtype=object)
    cell[0, :] = structs
    return cell


def entry(**changes: Any) -> dict[str, Any]:
    """An image's struct, with fields changed or (None) left out."""
    fields: dict[str, Any] = {"cityname": "aachen", "im_name": "aachen_0_leftImg8bit.png", "bbs": np.array([ROW])}
    return {name: value for name, value in (fields | changes).items() if value is not None}


def message(path: Path, split: Split | None = None) -> str:
    with pytest.raises(AlfnetError) as caught:
        read_mat(path, split)
    text = str(caught.value)
    assert str(path) in text
    assert "\n" not in text
    return text


def assert_same_structure(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to the last nested type, shape and value."""
    assert (ours.dtype, ours.shape) == (theirs.dtype, theirs.shape)
    for one, other in zip(ours.ravel(), theirs.ravel(), strict=True):
        assert (one.dtype, one.shape) == (other.dtype, other.shape)
        for field in FIELDS:
            mine, real = one[0, 0][field], other[0, 0][field]
            assert (mine.dtype, mine.shape) == (real.dtype, real.shape)
            assert (mine == real).all()


def test_written_file_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "new" / "anno_train.mat"
    write_mat(path, IMAGES, "train")
    back = read_mat(path, "train")
    assert [(one.city, one.file_name) for one in back] == [(one.city, one.file_name) for one in IMAGES]
    for one, other in zip(back, IMAGES, strict=True):
        assert one.rows.dtype == np.float64
        np.testing.assert_array_equal(one.rows, other.rows)


def test_written_file_has_the_types_of_the_real_ones(tmp_path: Path) -> None:
    write_mat(tmp_path / "x.mat", IMAGES, "val")
    cell = scipy.io.loadmat(tmp_path / "x.mat")["anno_val_aligned"]
    assert (cell.dtype, cell.shape) == (object, (1, 4))
    assert [one[0, 0]["bbs"].dtype for one in cell[0]] == [np.uint16, np.uint8, np.uint8, np.int16]
    assert [one[0, 0]["bbs"].shape for one in cell[0]] == [(2, 10), (0, 10), (1, 10), (2, 10)]
    assert cell[0, 0].dtype.names == FIELDS
    # To MATLAB, all of it is of class double.
    cell = scipy.io.loadmat(tmp_path / "x.mat", mat_dtype=True)["anno_val_aligned"]
    assert {one[0, 0]["bbs"].dtype for one in cell[0]} == {np.dtype(np.float64)}


@pytest.mark.costly
@pytest.mark.parametrize("split", ["train", "val"])
def test_rewritten_real_file_is_the_real_file(shared: Path, tmp_path: Path, split: Split) -> None:
    real = shared / "data" / "citypersons" / f"anno_{split}.mat"
    ours = tmp_path / "x.mat"
    images = read_mat(real, split)
    assert len(images) == {"train": 2975, "val": 500}[split]
    write_mat(ours, images, split)
    for as_saved in (False, True):
        loaded = [scipy.io.loadmat(path, mat_dtype=as_saved) for path in (ours, real)]
        assert_same_structure(*(variables[f"anno_{split}_aligned"] for variables in loaded))
    # A second way: behind the header, the real file is the same bytes, compressed.
    assert zlib.decompress(real.read_bytes()[136:]) == ours.read_bytes()[128:]


def test_equal_content_gives_equal_bytes_without_a_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mat(tmp_path / "a.mat", IMAGES, "train")
    monkeypatch.setattr("time.asctime", lambda: "Tue Oct 03 09:16:29 2017")
    write_mat(tmp_path / "b.mat", IMAGES, "train")
    content = (tmp_path / "a.mat").read_bytes()
    assert content == (tmp_path / "b.mat").read_bytes()
    assert content[:116].rstrip() == b"MATLAB 5.0 MAT-file, CityPersons annotations written by alfnet"


def test_half_pixels_survive(tmp_path: Path) -> None:
    rows = [1, 10.5, 20.25, 30, 40, 0, 10.5, 20.25, 30, 40]
    write_mat(tmp_path / "x.mat", [image(rows)], "train")
    assert read_mat(tmp_path / "x.mat")[0].rows.tolist() == [rows]


def test_no_images(tmp_path: Path) -> None:
    write_mat(tmp_path / "x.mat", [], "val")
    assert read_mat(tmp_path / "x.mat", "val") == []


def test_failing_write_leaves_the_earlier_file(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(b"earlier")
    with pytest.raises(ValueError, match=r"must be \(n, 10\)"):
        write_mat(path, [ImageAnnotations("aachen", "x.png", np.zeros((3, 5)))], "train")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_files_that_are_no_whole_mat_file(tmp_path: Path) -> None:
    absent = tmp_path / "absent.mat"
    assert "no such file" in message(absent)
    assert "folder" in message(tmp_path)
    for content in (b"", b"MATLAB", bytes(5000)):
        path = tmp_path / "x.mat"
        path.write_bytes(content)
        text = message(path)
        assert "not a whole .mat file" in text
        assert "copy" in text


@pytest.mark.parametrize(
    ("content", "part"),
    [
        (b'{"images": [], "annotations": []}', "a COCO annotation file (use data.format: coco, or --format coco)"),
        (
            b'{"info": {}, "licenses": [' + b"1," * 5000 + b'1], "images": [], "annotations": []}',
            "a COCO annotation file",
        ),
        (b'{"ID": "1", "gtboxes": []}\n{"ID": "2", "gtboxes": []}\n', "CrowdHuman's annotations (.odgt"),
        (b'{"imgHeight": 1024, "imgWidth": 2048, "objects": []}', "CityPersons' JSON of one image"),
        (b'{"imageheight": 1, "children": [{"identity": "pedestrian"}]}', "EuroCity's JSON of one image"),
        (b"[1, 2]", "a JSON file"),
        (b"% bbGt version=3\nperson 1 2 3 4 0 0 0 0 0 0 0\n", "Caltech's annotation text of one image"),
        (b"\n<!DOCTYPE html><title>Log in</title>", "a web page"),
        ("ééé 1 2 3\n".encode(), "a text file"),
        (b"\x89PNG\r\n\x1a\n" + bytes(300), "a PNG image"),
        (b"PK\x03\x04" + bytes(300), "a zip archive"),
        (b"\xed\xfe\x00\x00" + bytes(2000), "a video of Caltech (.seq)"),
    ],
)
def test_other_formats_are_named_for_what_they_are(tmp_path: Path, content: bytes, part: str) -> None:
    path = tmp_path / "x.mat"
    path.write_bytes(content)
    text = message(path)
    assert part in text
    assert "cut short" not in text


def test_truncated_anywhere(tmp_path: Path) -> None:
    stream = io.BytesIO()
    scipy.io.savemat(stream, {"anno_val_aligned": cells(entry(), entry())}, do_compression=True)
    write_mat(tmp_path / "x.mat", IMAGES[:2], "val")
    for content in (stream.getvalue(), (tmp_path / "x.mat").read_bytes()):
        for length in range(0, len(content), 13):
            path = tmp_path / "short.mat"
            path.write_bytes(content[:length])
            # Cut before the first variable it is a whole file, and an empty one.
            assert ("cut short" if length != 128 else "holds no variable") in message(path)


def test_hdf5_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        file["anno_train_aligned"] = np.zeros(3)
    header = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM"
    content = path.read_bytes()
    path.write_bytes(header + content[len(header) :])
    text = message(path)
    assert "HDF5" in text
    assert "-v7" in text


def test_other_variables_are_named(tmp_path: Path) -> None:
    text = message(save(tmp_path / "x.mat", {"bbs": np.zeros(3), "names": "x"}))
    assert "holds bbs, names" in text
    assert "anno_train_aligned" in text
    assert "no variable" in message(save(tmp_path / "x.mat", {}))
    both = {"anno_train_aligned": cells(entry()), "anno_val_aligned": cells(entry())}
    assert "exactly one" in message(save(tmp_path / "x.mat", both))


def test_wrong_split_is_named(tmp_path: Path) -> None:
    write_mat(tmp_path / "x.mat", IMAGES, "val")
    text = message(tmp_path / "x.mat", "train")
    assert "annotations of the val split" in text
    assert "anno_train.mat" in text
    assert len(read_mat(tmp_path / "x.mat", "val")) == len(read_mat(tmp_path / "x.mat")) == 4


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        (np.zeros((3, 10)), "3 x 10 array of float64, a cell array was expected"),
        ("text", "text, a cell array was expected"),
        (entry(), "1 x 1 struct of cityname, im_name, bbs, a cell array was expected"),
        (
            cells(np.zeros((4, 10))),
            "image 1 is a 4 x 10 array of float64, a struct of cityname, im_name, bbs was expected",
        ),
        (cells(entry(), cells(entry())), "image 2 is a 1 x 1 cell array, a struct"),
        (cells(entry(bbs=None)), "image 1 is a 1 x 1 struct of cityname, im_name, a struct"),
        (cells(entry(cityname=3)), "cityname is a 1 x 1 array of int64, a text was expected"),
        (cells(entry(im_name="")), "im_name is a 0 text, a text was expected"),
        (cells(entry(im_name=np.array(["one", "two"]))), "im_name is a 2 text, a text was expected"),
        (cells(entry(im_name=" ")), "im_name is ' ', a plain name was expected"),
        (cells(entry(im_name="../../secret.png")), "im_name is '../../secret.png', a plain name was expected"),
        (cells(entry(cityname="..")), "cityname is '..', a plain name was expected"),
        (cells(entry(cityname="a\nb")), "cityname is 'a\\nb', a plain name was expected"),
        (cells(entry(bbs="text")), "bbs is a 1 text, numbers were expected"),
        (cells(entry(bbs=cells(1))), "bbs is a 1 x 1 cell array, numbers were expected"),
        (cells(entry(bbs=np.array([[1j] * 10]))), "bbs is a complex matrix, numbers were expected"),
        (cells(entry(bbs=np.ones((4, 5)))), "bbs is a 4 x 5 array of float64, n x 10 was expected [class, x1,"),
        (cells(entry(bbs=np.ones((10, 4)))), "bbs is a 10 x 4 array of float64, n x 10 was expected"),
        (cells(entry(bbs=np.ones((2, 10, 2)))), "bbs is a 2 x 10 x 2 array of float64, n x 10 was expected"),
        (cells(entry(bbs=np.array([ROW, [6, *ROW[1:]]]))), "row 2 of bbs is [6.0, 947.0,"),
        (cells(entry(bbs=np.array([[1.5, *ROW[1:]]]))), "row 1 of bbs is [1.5, 947.0,"),
        (cells(entry(bbs=np.array([[1, np.nan, *ROW[2:]]]))), "row 1 of bbs is [1.0, nan,"),
        (cells(entry(bbs=np.array([[*ROW[:9], np.inf]]))), "row 1 of bbs is [1.0, 947.0,"),
        (cells(entry(bbs=np.array([[*ROW[:3], 0, *ROW[4:]]]))), "a width and height from 1 px"),
        (cells(entry(bbs=np.array([[*ROW[:8], -1, 39]]))), "row 1 of bbs"),
    ],
)
def test_another_structure_is_described(tmp_path: Path, variable: Any, part: str) -> None:
    text = message(save(tmp_path / "x.mat", {"anno_train_aligned": variable}))
    assert part in text
    assert "anno_val.mat" in text


def test_the_image_is_named(tmp_path: Path) -> None:
    variable = cells(entry(), entry(im_name="ulm_7.png", bbs=np.ones((4, 5))))
    assert "image 2 (ulm_7.png)" in message(save(tmp_path / "x.mat", {"anno_train_aligned": variable}))


def test_matlabs_empty_matrix_is_an_image_without_objects(tmp_path: Path) -> None:
    path = save(tmp_path / "x.mat", {"anno_train_aligned": cells(entry(bbs=np.zeros((0, 0))))})
    assert read_mat(path)[0].rows.shape == (0, 10)


def test_plain_number() -> None:
    assert [repr(plain_number(value)) for value in (3.0, -0.0, 0.5, np.float64(7))] == ["3", "0", "0.5", "7"]
