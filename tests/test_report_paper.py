"""Which of our runs the paper's figures belong beside."""

from __future__ import annotations

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from alfnet.errors import AlfnetError
from alfnet.report.paper import paper_figures, published_miss_rates, published_model
from tests.report_data import mini_params, pairs, published_params


def test_published_models_on_citypersons() -> None:
    params = published_params()
    models = [name for name in params.variants if published_model(params, name) is not None]
    assert models == ["resnet50-1s", "resnet50-2s", "resnet50-3s", "mobilenet-1s", "mobilenet-2s"]
    assert [published_model(params, name) for name in models] == models
    assert published_miss_rates(params, "resnet50-2s", 1) == (13.17, 45.0)
    assert published_miss_rates(params, "resnet50-2s", 2) == (12.01, 36.49)
    assert published_miss_rates(params, "resnet50-3s", 3) == (12.88, 39.31)


def test_a_model_without_published_figures_has_none() -> None:
    params = published_params()
    assert published_model(params, "mobilenet-2s") == "mobilenet-2s"
    assert published_miss_rates(params, "mobilenet-2s", 2) == (None, None)


def test_nothing_of_mini_is_the_papers() -> None:
    params = mini_params()
    for name, variant in params.variants.items():
        assert published_model(params, name) is None
        assert published_miss_rates(params, name, variant.steps) == (None, None)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("data.name", "synthetic"),
        ("data.width", 1024),
        ("data.minimum_pedestrian_height", 40),
        ("backbones.resnet50.width", 0.5),
        ("backbones.resnet50.init", "random"),
        ("backbones.resnet50.batch_norm", "trained"),
        ("head.width", 0.5),
        ("head.anchors.ratio", 0.5),
        ("head.anchors.widths", [[16, 24], [32, 48], [64, 80], [128, 161]]),
        ("train.augment.height", 320),
        ("train.augment.colour.probability", 0.5),
        ("detect.score_threshold", 0.05),
        ("detect.nms_iou", 0.4),
        (
            "train.targets.thresholds",
            {"1": pairs((0.4, 0.5)), "2": pairs((0.3, 0.5), (0.5, 0.6)), "3": pairs(*[(0.3, 0.5)] * 3)},
        ),
    ],
)
def test_any_other_setting_is_not_the_papers(key: str, value: object) -> None:
    changes: dict[str, object] = {key: value}
    if key == "backbones.resnet50.init":
        changes |= {"backbones.resnet50.batch_norm": "trained", "backbones.resnet50.freeze": False}
    params = published_params(**changes)
    assert published_model(params, "resnet50-2s") is None
    assert published_miss_rates(params, "resnet50-2s", 2) == (None, None)


def test_the_schedule_does_not_matter() -> None:
    assert published_model(published_params(**{"train.updates": 7}), "resnet50-2s") == "resnet50-2s"


def test_what_is_off_does_not_matter() -> None:
    assert published_model(published_params(**{"train.augment.colour.hue": 7}), "resnet50-2s") == "resnet50-2s"


def test_a_parameter_count_far_off_is_not_the_papers() -> None:
    params = published_params()
    assert published_model(params, "resnet50-2s", parameters=48_383_696) == "resnet50-2s"
    assert published_model(params, "resnet50-2s", parameters=30_000_000) is None


def test_the_papers_threshold_pairs_at_the_last_step() -> None:
    variants = {
        "pair": {"backbone": "resnet50", "steps": 2, "thresholds": pairs((0.3, 0.5), (0.4, 0.6))},
        "other": {"backbone": "resnet50", "steps": 2, "thresholds": pairs((0.3, 0.5), (0.4, 0.7))},
        "mobile": {"backbone": "mobilenet", "steps": 2, "thresholds": pairs((0.3, 0.5), (0.4, 0.6))},
    }
    params = published_params(variants=variants)
    assert [published_model(params, name) for name in variants] == [None, None, None]
    assert published_miss_rates(params, "pair", 2) == (13.31, 39.30)
    assert published_miss_rates(params, "pair", 1) == (None, None)
    assert published_miss_rates(params, "other", 2) == (None, None)
    assert published_miss_rates(params, "mobile", 2) == (None, None)


def test_the_citypersons_profile_has_all_of_the_papers_threshold_pairs() -> None:
    params = published_params()
    two_steps = [
        name for name, variant in params.variants.items() if variant.backbone == "resnet50" and variant.steps == 2
    ]
    found = sorted(published_miss_rates(params, name, 2) for name in two_steps)
    assert found == sorted(tuple(row["mr"]) for row in paper_figures()["thresholds"])


def test_an_imported_detector_is_judged_by_test_settings_and_size() -> None:
    variants = {"released": {"backbone": "resnet50", "steps": 2, "weights": "weights/detectors/released.safetensors"}}
    params = published_params(variants=variants, **{"head.width": 0.5, "train.augment.height": 320})
    assert published_model(params, "released", parameters=48_383_696) == "resnet50-2s"
    assert published_model(params, "released", parameters=8_000_000) is None
    assert published_model(mini_params(variants=variants), "released") is None


def test_an_unknown_variant_is_named() -> None:
    with pytest.raises(AlfnetError, match="no such variant"):
        published_model(mini_params(), "resnet50-9s")


def test_the_papers_threshold_table_agrees_with_its_table_of_steps() -> None:
    row = next(
        row for row in paper_figures()["thresholds"] if row["step2"] == [0.5, 0.7] and row["step1"] == [0.3, 0.5]
    )
    assert row["mr"] == paper_figures()["steps"]["resnet50-2s"][2]


def test_the_figures_are_the_specifications(shared: Path) -> None:
    specified = YAML(typ="safe").load((shared / "spec" / "paper_results.yaml").read_text())
    del specified["backbones_recalled"]  # no source at hand
    found = dict(paper_figures())  # a copy: it is kept for the next call
    ours, theirs = found.pop("caltech"), specified.pop("caltech")
    assert found == specified
    assert ours | theirs == ours  # and the methods that the paper's table on Caltech names beside its own
