"""Caltech's files against what the official readers make of them (tests/golden/caltech_samples)."""

from __future__ import annotations

import json
import math
import shutil
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alfnet.annotations.mat_file import load_mat
from alfnet.annotations.vbb import read_vbb
from alfnet.errors import AlfnetError
from alfnet.evaluation.evaluate import evaluate_files
from alfnet.evaluation.miss_rate import outside, with_aspect
from alfnet.evaluation.protocol import CALTECH_NEW, CALTECH_ORIGINAL, Protocol
from alfnet.evaluation.subsets import PUBLISHED
from alfnet.reading.ground_truth import GroundTruth
from alfnet.reading.ground_truth_file import read_ground_truth
from alfnet.reading.results_file import read_detections


@pytest.fixture(scope="module")
def samples(golden: Path) -> Path:
    return golden / "caltech_samples"


@pytest.fixture(scope="module")
def expected(samples: Path) -> dict[str, Any]:
    return json.loads((samples / "expected.json").read_text())


@pytest.fixture
def videos(samples: Path, tmp_path: Path) -> Path:
    (tmp_path / "annotations" / "set99").mkdir(parents=True)
    shutil.copy(samples / "V000.vbb", tmp_path / "annotations" / "set99")
    return tmp_path / "annotations"


@pytest.fixture
def texts(samples: Path, tmp_path: Path) -> Path:
    (tmp_path / "new").mkdir()
    for file in samples.glob("set99_*.txt"):
        shutil.copy(file, tmp_path / "new")
    return tmp_path / "new"


def test_vbb_as_the_official_writer_wrote_it(samples: Path, expected: dict[str, Any]) -> None:
    annotation = load_mat(samples / "V000.vbb", "")["A"][0, 0]
    frames = read_vbb(samples / "V000.vbb")
    vbb = expected["vbb"]
    assert annotation["nFrame"].item() == vbb["nFrame"] == len(frames)
    assert [label.item() for label in annotation["objLbl"].ravel()] == vbb["objLbl"]
    for name in ("objInit", "objStr", "objEnd", "objHide"):
        assert annotation[name].ravel().tolist() == vbb[name]
    for number, objects in enumerate(frames, start=1):
        for one, known in zip(objects, vbb["frames"].get(str(number), []), strict=True):
            assert (one.id, one.label, one.occluded) == (known["id"], vbb["objLbl"][known["id"] - 1], known["occl"])
            assert one.box == pytest.approx(known["pos"], abs=1e-12)
            assert one.visible == pytest.approx(known["posv"], abs=1e-12)


def check_rows(truth: GroundTruth, rows: dict[str, Any], protocol: Protocol) -> None:
    """Boxes and flags per setting and 1-based frame, as after the official reader."""
    known = {subset.name: subset for subset in (*PUBLISHED["caltech"], *PUBLISHED["caltech-new"])}
    known |= {subset.name: subset for subset in PUBLISHED["caltech"]} if protocol is CALTECH_ORIGINAL else {}
    for setting, frames in rows.items():
        subset = known[setting.lower()]
        ignored = outside(subset, truth, protocol)
        boxes = np.where(ignored[:, None], truth.boxes, with_aspect(truth.boxes, 0.41))
        for frame, expected_rows in frames.items():
            image = truth.ids_by_name()[f"set99_V000_I{int(frame) - 1:05d}"]
            here = truth.annotation_image_ids == image
            table = np.column_stack([boxes[here], ignored[here]])
            assert table == pytest.approx(np.array(expected_rows), abs=1e-6), (setting, frame)


def test_evaluation_boxes_of_both_readers(videos: Path, texts: Path, expected: dict[str, Any]) -> None:
    rows = expected["evaluation"]["rows"]
    original = read_ground_truth(videos)
    assert original.file_names == ("set99_V000_I00029", "set99_V000_I00059")
    assert original.annotations == "vbb"
    check_rows(original, rows["vbb, image bounds"], CALTECH_ORIGINAL)
    new = read_ground_truth(texts)
    assert new.file_names == original.file_names
    settings = {"Reasonable", "All", "Occ=heavy"}  # the others mean nothing on the new annotations
    check_rows(new, {k: v for k, v in rows["text, image bounds"].items() if k in settings}, CALTECH_NEW)


def test_numbers_of_the_new_annotations(samples: Path, tmp_path: Path, expected: dict[str, Any]) -> None:
    shutil.copy(samples / "fractional.txt", tmp_path / "set06_V000_I00029.txt")
    rounded, exact = (read_ground_truth(tmp_path, whole_numbers=whole) for whole in (True, False))
    known = expected["text"]["fractional.txt"]
    assert exact.boxes.tolist() == [row["bb"] for row in known]
    assert rounded.boxes.tolist() == [[math.floor(value + 0.5) for value in row["bb"]] for row in known]
    assert exact.ignored.tolist() == [False, False, True]
    assert exact.visible_ratios.tolist() == [1, pytest.approx(0.7), 1]


def test_result_folder(videos: Path, tmp_path: Path) -> None:
    truth = read_ground_truth(videos)
    results = tmp_path / "results" / "set99"
    results.mkdir(parents=True)
    with pytest.raises(AlfnetError, match="is a folder"):
        read_detections(results.parent, truth)
    for content in ("30 1 2 3 4 0.5\n29 9 9 9 9 0.9\n60 5 6 7 8 0.25\n", "60,5,6,7,8,0.25\n30,1,2,3,4,0.5\n"):
        (results / "V000.txt").write_text(content)
        found = read_detections(results.parent, truth)
        assert found.image_ids.tolist() == [1, 2]
        assert found.boxes.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]
        assert found.scores.tolist() == [0.5, 0.25]
    (results / "V000.txt").write_text("")
    assert len(read_detections(results.parent, truth).scores) == 0
    for content, message in (
        ("29 1 2 3 4 0.5\n59 1 2 3 4 0.5\n", "1 of 1 result files have rows, but none of a frame .* 0-based: add 1"),
        ("1 1 2 3 4 0.5\n2 1 2 3 4 0.5\n", "frames are, counted from 1, 30, 60"),
    ):
        (results / "V000.txt").write_text(content)
        with pytest.raises(AlfnetError, match=message):
            read_detections(results.parent, truth)
    (results / "V000.txt").write_text("30 1 2 3 4\n")
    with pytest.raises(AlfnetError, match=r"V000\.txt: no rows of 6 numbers"):
        read_detections(results.parent, truth)
    (results / "V000.txt").rename(results / "V001.txt")
    with pytest.raises(AlfnetError, match=r"no file for 1 of the ground truth's 1 videos, e\.g\. set99/V000\.txt"):
        read_detections(results.parent, truth)


def test_one_result_file_without_test_frames_is_named(texts: Path, tmp_path: Path) -> None:
    shutil.copy(texts / "set99_V000_I00029.txt", texts / "set99_V001_I00029.txt")
    (tmp_path / "results" / "set99").mkdir(parents=True)
    for video, row in (("V000", "30 1 2 3 4 0.5"), ("V001", "41 1 2 3 4 0.5")):
        (tmp_path / "results" / "set99" / f"{video}.txt").write_text(row + "\n")
    found = read_detections(tmp_path / "results", read_ground_truth(texts))
    assert len(found.scores) == 1
    assert "1 of 2 result files have rows, but none of a frame of the ground truth" in found.warnings[0]


@pytest.mark.costly
def test_the_official_figure_from_the_official_files(shared: Path, tmp_path: Path) -> None:
    """The whole way, from result files and a ground truth in COCO's layout, by the 2014 toolbox' rules."""
    caltech = shared / "data" / "caltech"
    if not caltech.is_dir():
        pytest.skip("the real Caltech data is not here")
    images = json.loads((caltech / "annotations_original.json").read_text())["images"]
    annotations = [
        {
            "image_id": number, "category_id": 1, "bbox": box, "ignore": int(label != "person"), "height": box[3],
            "vis_ratio": visible[2] * visible[3] / (box[2] * box[3]) if any(visible) else 1,
        }
        for number, image in enumerate(images, start=1)
        for label, box, visible in zip(image["labels"], image["boxes"], image["visible"], strict=True)
        if label != "person-fa"
    ]  # fmt: skip
    listed = [
        {"id": number, "file_name": f"{image['file']}.jpg", "width": 640, "height": 480}
        for number, image in enumerate(images, start=1)
    ]
    (tmp_path / "gt.json").write_text(json.dumps({"images": listed, "annotations": annotations}))
    records = json.loads((caltech / "expected.json").read_text())["records"]
    for name in ("dense", "sparse"):
        for width in ("given", "0.41h"):
            found = evaluate_files(
                tmp_path / "gt.json", caltech / "detections" / name, iou=[0.5, 0.75], protocol="caltech-original",
                detection_aspect=0.41 if width == "0.41h" else None, subsets=PUBLISHED["caltech-new"],
            )  # fmt: skip
            for record in records:
                wanted = (record["annotations"], record["detections"], record["detection_width"])
                if wanted == ("original", name, width) and record["setting"] in ("Reasonable", "All", "Occ=heavy"):
                    figure = found.results[f"iou_{record['iou']:.2f}"][record["setting"].lower()]
                    assert figure == pytest.approx(record["miss_rate"], abs=1e-5, rel=0)


@pytest.mark.parametrize("seed", range(150))
def test_damaged_vbb_is_one_message(samples: Path, tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    content = bytearray((samples / "V000.vbb").read_bytes())
    if seed % 3 == 0:
        content = content[: rng.integers(0, len(content))]
    else:
        for place in rng.integers(0, min(len(content), 128 + 20_000), 1 + seed % 7):
            content[place] ^= 1 << int(rng.integers(8))
    (tmp_path / "V000.vbb").write_bytes(content)
    try:
        read_ground_truth(tmp_path / "V000.vbb")
    except AlfnetError as error:
        message = str(error)
    else:
        message = "read"
    assert "\n" not in message


def test_a_compressed_vbb_is_read_alike(samples: Path, tmp_path: Path) -> None:
    content = (samples / "V000.vbb").read_bytes()
    packed = zlib.compress(content[128:])
    head = content[:128] + (15).to_bytes(4, "little") + len(packed).to_bytes(4, "little")
    (tmp_path / "V000.vbb").write_bytes(head + packed)
    assert read_vbb(tmp_path / "V000.vbb") == read_vbb(samples / "V000.vbb")
