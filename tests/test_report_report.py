"""The whole report from a made-up finished pipeline."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
from pathlib import Path

import cv2
import pytest

from alfnet.errors import AlfnetError
from alfnet.params import Params
from alfnet.report.charts import library
from alfnet.report.report import Report, make_report
from tests.report_data import make_project, mini_params

pytestmark = pytest.mark.costly

FILES = [
    "plots/ablation.csv",
    "plots/ablation.md",
    "plots/detections.png",
    *(f"plots/{name}.{suffix}" for name in ("miss_rate_curves", "positives", "steps") for suffix in ("csv", "png")),
    *(
        f"plots/tables/{name}.{suffix}"
        for name in ("backbones", "fusion", "precision", "steps", "subsets", "thresholds")
        for suffix in ("csv", "md", "tex")
    ),
    "plots/training_losses.csv",
    *(f"report/{kind}/{n:04d}.jpg" for kind in ("images", "thumbnails") for n in range(1, 7)),
    "report/index.html",
    *(f"report/outcomes/{n:04d}.js" for n in range(1, 5)),
]
SMALL = {
    "resnet50-2s": {"backbone": "resnet50", "steps": 2},
    "mobilenet-1s": {"backbone": "mobilenet", "steps": 1},
}


@pytest.fixture(scope="module")
def params() -> Params:
    return mini_params(variants=SMALL, seeds=[3, 5])


@pytest.fixture(scope="module")
def made(params: Params, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    root = tmp_path_factory.mktemp("project")
    make_project(root, params, images=6)
    # What a removed variant left behind is none of the report's business.
    shutil.copytree(root / "summaries" / "resnet50-2s", root / "summaries" / "removed")
    return root, make_report(params, root=root)


@pytest.fixture
def project(made: tuple[Path, Report], tmp_path: Path) -> Path:
    """A copy to break."""
    return Path(shutil.copytree(made[0], tmp_path / "project"))


def written(root: Path) -> dict[str, str]:
    places = [root / "plots", root / "report", root / "timings"]
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for place in places
        for path in sorted(place.rglob("*"))
        if path.is_file() and "training" not in path.parts
    }


def test_writes_what_the_pipeline_expects(made: tuple[Path, Report]) -> None:
    assert sorted(written(made[0])) == sorted(FILES)


def test_the_same_results_give_the_same_bytes_elsewhere(
    made: tuple[Path, Report], project: Path, params: Params, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (project / "plots").glob("*.*"):
        path.unlink()
    shutil.rmtree(project / "report")
    monkeypatch.chdir(project)
    make_report(params, root=Path())
    assert written(project) == written(made[0])
    page = (project / "report" / "index.html").read_text()
    assert str(project) not in page
    ours = page.replace(library(), "")
    assert not re.search(r"20\d\d-\d\d-\d\d", ours)


def test_png_files_carry_no_date_or_version(made: tuple[Path, Report]) -> None:
    for name in ("detections", "miss_rate_curves", "positives", "steps"):
        content = (made[0] / "plots" / f"{name}.png").read_bytes()
        assert b"tEXt" not in content
        assert b"tIME" not in content
        assert cv2.imread(str(made[0] / "plots" / f"{name}.png")) is not None


def test_tables_hold_the_measured_numbers(made: tuple[Path, Report]) -> None:
    root, report = made
    found = [
        json.loads((root / "evaluation" / "resnet50-2s" / seed / "results.json").read_text()) for seed in ("3", "5")
    ]
    values = [results["steps"]["2"]["iou_0.75"]["reasonable"] for results in found]
    with (root / "plots" / "ablation.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["variant"] for row in rows] == ["resnet50-2s", "resnet50-2s", "mobilenet-1s"]
    assert rows[1]["mr_75"] == f"{sum(values) / 2:.2f}"
    assert rows[1]["mr_75_sd"] == f"{abs(values[0] - values[1]) / 2**0.5:.2f}"
    assert [rows[1]["mr_75_seed_3"], rows[1]["mr_75_seed_5"]] == [f"{value:.4f}" for value in values]
    assert rows[0]["parameters_millions"] == "3.13"
    assert {row["paper_mr_50"] for row in rows} == {""}
    assert len(report.ablation.footer) == 1
    with (root / "plots" / "tables" / "fusion.csv").open() as file:
        fusion = list(csv.DictReader(file))
    assert fusion[3]["combination"] == "(C1+C2)B2"
    assert fusion[3]["mr_50_seed_3"] == f"{found[0]['fusion']['C1+C2_B2']['iou_0.50']['reasonable']:.4f}"


def test_curves_csv_fits_logarithmic_axes(made: tuple[Path, Report]) -> None:
    with (made[0] / "plots" / "miss_rate_curves.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["variant", "iou", "fppi", "mean", "low", "high"]
    assert {(row["variant"], row["iou"]) for row in rows} == {(name, iou) for name in SMALL for iou in ("0.50", "0.75")}
    assert min(float(row[name]) for row in rows for name in ("fppi", "low")) > 0


def test_the_time_per_image_stays_out_of_what_is_hashed(
    made: tuple[Path, Report], project: Path, params: Params
) -> None:
    (project / "timings" / "mobilenet-1s").mkdir(parents=True)
    (project / "timings" / "mobilenet-1s" / "3.json").write_text('{"seconds_per_image": 0.0789, "images": 9}')
    make_report(params, root=project)
    files = written(project)
    assert {name: digest for name, digest in files.items() if not name.startswith("timings/")} == written(made[0])
    assert "0.0789" in (project / "timings" / "timings.csv").read_text()
    assert "0.0789" in (project / "timings" / "timings.js").read_text()


@pytest.mark.parametrize(
    ("path", "stage"),
    [
        ("summaries/resnet50-2s/summary.json", "dvc repro summarise@resnet50-2s"),
        ("summaries/resnet50-2s/curves.csv", "dvc repro summarise@resnet50-2s"),
        ("detections/resnet50-2s/5/positives.json", "dvc repro detect@resnet50-2s-5"),
        ("detections/resnet50-2s/3/step2.json", "dvc repro detect@resnet50-2s-3"),
        ("models/mobilenet-1s/3/model.safetensors", "dvc repro train@mobilenet-1s-3"),
        ("cache/ground_truth.json", "dvc repro ground_truth"),
    ],
)
def test_a_missing_file_names_the_variant_and_the_stage(project: Path, params: Params, path: str, stage: str) -> None:
    (project / path).unlink()
    before = written(project)
    with pytest.raises(AlfnetError, match=re.escape(path)) as caught:
        make_report(params, root=project)
    assert stage in str(caught.value)
    assert written(project) == before


@pytest.mark.parametrize(
    ("path", "content", "message"),
    [
        ("summaries/resnet50-2s/summary.json", '{"seeds": [3], "steps": {"1": {}}}', "test steps 1 to 2"),
        ("summaries/resnet50-2s/summary.json", "[1]", "test steps 1 to 2"),
        ("summaries/resnet50-2s/curves.csv", "x,y\n1,2\n", "not a table of"),
        (
            "summaries/resnet50-2s/curves.csv",
            "test_step,iou,subset,fppi,mean,low,high\n1,0.5,a,b,c,d,e\n",
            "not a table of",
        ),
        ("detections/resnet50-2s/3/positives.json", '{"ground_truths": 3}', "positives per step"),
        ("models/resnet50-2s/3/model.safetensors", "no weights", "not a whole safetensors file"),
    ],
)
def test_a_file_of_another_structure_is_named(
    project: Path, params: Params, path: str, content: str, message: str
) -> None:
    (project / path).write_text(content)
    with pytest.raises(AlfnetError, match=message) as caught:
        make_report(params, root=project)
    assert path in str(caught.value)


@pytest.mark.parametrize("seeds", [[5, 3], [3, 5, 7], [3], [4, 5]])
def test_results_of_other_seeds_are_refused(project: Path, params: Params, seeds: list[int]) -> None:
    """Values are told apart by their place: in another order one seed's would stand under another's name."""
    before = written(project)
    with pytest.raises(AlfnetError, match=r"summary\.json: is of seeds 3, 5, the parameters have seed.*dvc repro"):
        make_report(params.model_copy(update={"seeds": seeds}), root=project)
    assert written(project) == before


def test_an_imported_detector_has_no_losses(project: Path, params: Params) -> None:
    shutil.rmtree(project / "plots" / "training")
    make_report(params, root=project)
    page = (project / "report" / "index.html").read_text()
    assert 'id="losses"' not in page
    assert 'href="#losses"' not in page
