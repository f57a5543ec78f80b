"""`alfnet.evaluate` as in a notebook, and subsets as data."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import alfnet
from alfnet.errors import AlfnetError
from alfnet.evaluation.evaluate import evaluate_files
from alfnet.evaluation.protocol import PROTOCOLS, find_protocol
from alfnet.evaluation.subsets import EVERYTHING, PUBLISHED, Subset, parse_subset, read_subsets


def test_a_notebook(golden: Path) -> None:
    ground_truth, detections = golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"
    expected = json.loads((golden / "miss_rate_expected.json").read_text())["miss_rate_24"]

    result = alfnet.evaluate(ground_truth, detections)

    assert result.miss_rate["reasonable"] == pytest.approx(expected["iou_0.50"]["reasonable"], abs=1e-5)
    assert result.miss_rate["all", 0.75] == pytest.approx(expected["iou_0.75"]["all"], abs=1e-5)
    assert dict(result.miss_rate) == pytest.approx(expected["iou_0.50"], abs=1e-5)
    assert result.average_precision["AP50"] == pytest.approx(63.77, abs=0.01)
    text = str(result)
    assert text.splitlines()[2].split() == ["reasonable", ">=", "50", ">=", "0.65", "28", "25.96", "69.07"]
    assert text.endswith("78 detections, 24 images")
    assert max(map(len, text.splitlines())) <= 80
    assert "&gt;= 50" in result._repr_html_()
    for key, message in (("tall", "no subset 'tall'"), (("all", 0.6), "IoU 0.6 was not evaluated")):
        with pytest.raises(KeyError, match=message):
            result.miss_rate[key]

    frame = result.to_frame()
    assert frame.loc["reasonable", "iou_0.50"] == result.miss_rate["reasonable"]
    assert frame.loc["small", "pedestrians"] == 3
    import matplotlib as mpl

    mpl.use("Agg")
    axes = result.plot(["reasonable", "all"])
    labels = [text.get_text() for text in axes.get_legend().get_texts()]
    assert labels[0] == "reasonable, IoU 0.50: 25.96 %"
    assert len(labels) == 4
    with pytest.raises(AlfnetError, match="no subset 'tall'"):
        result.plot(["tall"])


def test_paths_dictionaries_and_arrays_are_the_same(golden: Path) -> None:
    ground_truth, detections = golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"
    content, records = json.loads(ground_truth.read_text()), json.loads(detections.read_text())
    first = alfnet.evaluate(str(ground_truth), str(detections), iou=0.5)
    rows = np.array([[r["image_id"], *r["bbox"], r["score"]] for r in records])
    truths = np.array([[a["image_id"], *a["bbox"], a["vis_ratio"], a["ignore"]] for a in content["annotations"]])
    for truth, found, options in (
        (content, records, {}),
        (content, rows, {}),
        (truths, rows, {"images": 24}),
        (truths, records, {"images": range(1, 25)}),
    ):
        result = alfnet.evaluate(truth, found, iou=0.5, **options)
        assert result.results == first.results
        assert result.pedestrians == first.pedestrians
    with pytest.raises(AlfnetError, match="say how many images"):
        alfnet.evaluate(truths, rows)
    with pytest.raises(AlfnetError, match=r"shape \(78, 5\)"):
        alfnet.evaluate(content, rows[:, :5])
    with pytest.raises(AlfnetError, match="not in the ground truth"):
        alfnet.evaluate(content, rows + 99)


def test_one_image_is_singular() -> None:
    result = alfnet.evaluate(np.array([[1, 0, 0, 41, 100.0]]), np.array([[1, 0, 0, 41, 100, 0.5]]), images=1, iou=0.5)
    assert str(result).endswith("1 detection, 1 image")
    assert result.miss_rate["reasonable"] == pytest.approx(1e-8, abs=1e-6)


def test_the_published_figures_from_python(shared: Path) -> None:
    result = alfnet.evaluate(
        shared / "data/citypersons/val_gt.json", shared / "data/detections/alfnet_resnet50_2s.json", subsets="r-ho"
    )
    assert result.miss_rate["R"] == 12.012167
    assert result.miss_rate["R", 0.75] == 36.482977
    assert result.miss_rate["HO"] == 43.859254
    assert result.pedestrians["R+HO"] == 2312


@pytest.fixture
def files(golden: Path) -> tuple[Path, Path]:
    return golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"


def test_thresholds_as_numpy_has_them(files: tuple[Path, Path]) -> None:
    iou: Any
    expected = alfnet.evaluate(*files, iou=[0.5 + 0.05 * i for i in range(10)])
    assert list(expected.miss_rate) == [subset.name for subset in PUBLISHED["citypersons"]]
    assert alfnet.evaluate(*files, iou=np.arange(0.5, 1, 0.05)).results == expected.results
    for iou in (np.float32(0.6), [np.float32(0.6)], np.array(0.6)):
        result = alfnet.evaluate(*files, iou=iou)
        assert result.results["iou_0.60"] == expected.results["iou_0.60"]
        assert result.errors(iou=float(np.float32(0.6))).outcomes.iou == 0.6
    for iou, message in (("x", "expected one IoU threshold"), (None, "threshold nan"), (0.555, "at most two decimals")):
        with pytest.raises(AlfnetError, match=message):
            alfnet.evaluate(*files, iou=iou)


def test_subsets_in_every_form(files: tuple[Path, Path], tmp_path: Path) -> None:
    given: Any
    (tmp_path / "s.yaml").write_text("A: {height: 50-}\n")
    for given, names in (
        (tmp_path / "s.yaml", ["A"]),
        (PUBLISHED["r-ho"][1], ["HO"]),
        (["r-ho", "small", PUBLISHED["citypersons"][0]], ["R", "HO", "R+HO", "small", "reasonable"]),
    ):
        assert list(alfnet.evaluate(*files, subsets=given).miss_rate) == names
    for given, message in (([], "no subset was given"), ([3], "3 was found"), (3, "3 was found")):
        with pytest.raises(AlfnetError, match=message):
            alfnet.evaluate(*files, subsets=given)


def test_any_name_of_a_subset_is_printed(files: tuple[Path, Path]) -> None:
    result = alfnet.evaluate(*files, subsets=["[/x]=height:50-", "a[b]=height:50-"])
    assert [line.split()[0] for line in str(result).splitlines()[2:4]] == ["[/x]", "a[b]"]
    assert str(result.explain("[/x]=12.3")).startswith("Got 12.3 ([/x]);")


def test_numpys_numbers_in_records(files: tuple[Path, Path]) -> None:
    content, records = (json.loads(file.read_text()) for file in files)
    expected = alfnet.evaluate(*files).results
    for change in (
        lambda r: {"score": np.float64(r["score"])},
        lambda r: {"category_id": np.int64(1), "image_id": np.int32(r["image_id"])},
        lambda r: {"bbox": np.array(r["bbox"])},
        lambda r: {"bbox": tuple(r["bbox"])},
        lambda r: {"bbox": list(np.array(r["bbox"]))},
    ):
        assert alfnet.evaluate(content, [r | change(r) for r in records]).results == expected
        annotations = [r | (change(r | {"score": 1})) for r in content["annotations"]]
        assert alfnet.evaluate(content | {"annotations": annotations}, records).results == expected
    images = [{"id": np.int64(i["id"]), "height": np.int64(1024), "width": np.int64(2048)} for i in content["images"]]
    result = alfnet.evaluate(content | {"images": tuple(images)}, records)
    assert result.results == expected
    assert result.truth is not None
    assert result.truth.image_sizes[0].tolist() == [1024, 2048]
    with pytest.raises(AlfnetError, match="1 of 78 detections have a 'score' that is not a number"):
        alfnet.evaluate(content, [*records[:77], {**records[77], "score": np.arange(3)}])


def test_exchanged_and_strange_arguments(files: tuple[Path, Path]) -> None:
    images: Any
    content, records = (json.loads(file.read_text()) for file in files)
    with pytest.raises(AlfnetError, match="were the two files exchanged"):
        alfnet.evaluate(records, content)
    rows = np.array([[1, 0, 0, 41, 100.0]])
    found = np.array([[1, 0, 0, 41, 100, 0.5]])
    for images in (150.0, np.array(150), np.arange(1, 151)):
        assert alfnet.evaluate(rows, found, images=images).images == 150
    for images in (1.5, [1.5], math.inf, "many", np.ones((2, 2))):
        with pytest.raises(AlfnetError, match="expected their number, or all their ids"):
            alfnet.evaluate(rows, found, images=images)
    for wrong in (np.array([["a"] * 6]), "nobody"):
        with pytest.raises(AlfnetError):
            alfnet.evaluate(rows, wrong, images=1)


def test_results_can_stand_in_lists(files: tuple[Path, Path]) -> None:
    first, second = alfnet.evaluate(*files), alfnet.evaluate(*files)
    assert first != second
    assert second in [first, second]
    assert first.errors() not in [second.errors()]
    assert first.truth not in [second.truth]
    assert first.found not in [second.found]


def test_caltechs_fractions_are_kept_alike_everywhere(tmp_path: Path) -> None:
    """CSP's ground truth of 2016 is not rounded: from Python, in a comparison and as a command."""
    (tmp_path / "new").mkdir()
    rows = "% bbGt version=3\nperson 100.4 100.4 40.4 80.45 0 0 0 0 0 0 0\n"
    (tmp_path / "new" / "set06_V000_I00029.txt").write_text(rows)
    (tmp_path / "dt.csv").write_text("image,x,y,w,h,score\n1,100.4,100.4,40.4,80.45,0.9\n")
    given = tmp_path / "new", tmp_path / "dt.csv"
    for protocol, height in (("caltech-new-2016", 80.45), ("caltech-new", 80)):
        result = alfnet.evaluate(*given, protocol=protocol)
        assert result.truth is not None
        assert result.truth.heights.tolist() == [height]
        assert evaluate_files(*given, iou=[0.5, 0.75], protocol=protocol).results == result.results
        compared = alfnet.compare(*given, given[1], protocol=protocol, resamples=2)
        assert compared.kinds[0].outcomes.ground_truth.heights.tolist() == [height]


# -- subsets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a=height:50-,visible:0.2-", Subset("a", (50, math.inf), (0.2, math.inf))),
        ("R+HO = height: 50-, visible: 0.2-", Subset("R+HO", (50, math.inf), (0.2, math.inf))),
        ("a=height:50-75", Subset("a", (50, 75), EVERYTHING)),
        ("a=height:-75,visible:0-1", Subset("a", (0, 75), EVERYTHING)),
        ("a=visible:-0.65", Subset("a", (0, math.inf), (0, 0.65))),
        ("a=", Subset("a", (0, math.inf), EVERYTHING)),
        ("reasonable", PUBLISHED["citypersons"][0]),
        ("R+HO", PUBLISHED["r-ho"][2]),
    ],
)
def test_subset_from_a_text(text: str, expected: Subset) -> None:
    assert parse_subset(text) == expected


@pytest.mark.parametrize(
    "text",
    ["tall", "=height:5-", "a=50-", "a=height:5", "a=height:9-5", "a=height:x-", "a=size:1-", "a=visible:2-3",
     "a=height:1-,height:2-", "a=height:1.2.3-", "a=height:" + "9" * 400 + "-1"],
)  # fmt: skip
def test_no_subset(text: str) -> None:
    with pytest.raises(AlfnetError) as error:
        parse_subset(text)
    assert "\n" not in str(error.value)


def test_subsets_from_files(tmp_path: Path) -> None:
    expected = (Subset("R+HO", (50, math.inf), (0.2, math.inf)), Subset("tiny", (0, 50), EVERYTHING))
    (tmp_path / "s.yaml").write_text("R+HO: {height: 50-, visible: '>= 0.2'}\ntiny:\n  height: [null, 50]\n")
    (tmp_path / "s.json").write_text('{"R+HO": {"height": [50, null], "visible": 0.2}, "tiny": "height:-50"}')
    assert read_subsets(str(tmp_path / "s.yaml")) == read_subsets(str(tmp_path / "s.json")) == expected
    for content in ("[1, 2]", "a: {height: [1, 2, 3]}", "a: [", "a: {b: 1}", "", "a: 5", "? [x]\n: 1"):
        (tmp_path / "s.yaml").write_text(content)
        with pytest.raises(AlfnetError):
            read_subsets(str(tmp_path / "s.yaml"))
    with pytest.raises(AlfnetError, match="neither a file nor a published set; these are: citypersons, r-ho"):
        read_subsets("nothing")
    with pytest.raises(AlfnetError, match="cannot be read"):
        read_subsets(str(tmp_path / "nothing.yaml"))


def test_two_subsets_of_one_name(golden: Path) -> None:
    files = golden / "miss_rate_24_gt.json", golden / "miss_rate_24_dt.json"
    with pytest.raises(AlfnetError, match="two different ones"):
        alfnet.evaluate(*files, subsets=["a=height:1-", "a=height:2-"])


def test_protocols_by_name() -> None:
    assert find_protocol(None).name == "citypersons"
    assert find_protocol(None, "odgt").name == "crowdhuman"
    assert find_protocol("caltech").name == find_protocol(None, "bbgt").name == "caltech-new"
    assert find_protocol("caltech", "vbb").name == "caltech-original"
    assert all(find_protocol(name) is protocol for name, protocol in PROTOCOLS.items())
    with pytest.raises(AlfnetError, match="there are citypersons, caltech, crowdhuman"):
        find_protocol("kitti")


def test_the_readmes_lines_run(root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (root / "README.md").read_text(), re.DOTALL)
    (block,) = [block for block in blocks if "alfnet.evaluate(" in block]
    import matplotlib as mpl

    mpl.use("Agg")
    monkeypatch.chdir(root)
    exec(block, {})
    assert "733 detections, 150 images" in capsys.readouterr().out
