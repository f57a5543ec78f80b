"""The ablation tables."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from alfnet.evaluation.subsets import PUBLISHED
from alfnet.params import Params
from alfnet.report.paper import as_pairs
from alfnet.report.results import Sample, VariantResults
from alfnet.report.tables import (
    SUBSETS,
    ablation_table,
    all_tables,
    backbones_table,
    evaluated_subsets,
    fusion_table,
    precision_table,
    steps_table,
    subset_meaning,
    subsets_table,
    thresholds_table,
    timings_table,
)
from tests.report_data import PUBLISHED_THRESHOLDS, mini_params, pairs, published_params

FUSION = ["C1*C2_B2", "C1+C2_B2", "C1B1", "C1B2", "C2B2"]


def rates(value: float, seeds: int) -> dict[str, Any]:
    """Miss rates of every subset; the seeds lie a point apart, their mean is `value` and more."""
    spread = [seed - (seeds - 1) / 2 for seed in range(seeds)]
    return {
        f"iou_{iou}": {
            subset: Sample(tuple(value + more + index + away for away in spread))
            for index, subset in enumerate(SUBSETS)
        }
        for iou, more in (("0.50", 0), ("0.75", 20))
    }


def means(table: Any, name: str) -> list[float | None]:
    return [round(cell.mean, 6) if isinstance(cell, Sample) else cell for cell in table.column(name)]


def results_of(params: Params, parameters: int | None = None) -> list[VariantResults]:
    counts = {"resnet50-1s": 39_525_032, "resnet50-2s": 48_383_696, "resnet50-3s": 57_242_360}
    return [
        VariantResults(
            name=name,
            settings=variant,
            seeds=tuple(params.seeds),
            thresholds=as_pairs(params.thresholds(name)),
            parameters=parameters or counts.get(f"{variant.backbone}-{variant.steps}s", 17_408_016),
            steps={step: rates(30 - step, len(params.seeds)) for step in range(1, variant.steps + 1)},
            fusion={key: rates(40, len(params.seeds)) for key in (FUSION if variant.steps == 2 else [])},
            precision={
                step: {"AP": Sample((40.0 + step,)), "AP50": Sample((80.0 + step,)), "AP75": None}
                for step in range(1, variant.steps + 1)
            },
            curves={},
            positives={},
            ground_truths=0,
            losses={},
        )
        for name, variant in params.variants.items()
    ]


def cell(table: Any, row: int, name: str) -> Any:
    return table.column(name)[row]


def test_average_precision_of_all_steps() -> None:
    params = mini_params(seeds=[7])
    table = precision_table(params, results_of(params))
    assert [column.name for column in table.columns] == ["variant", "test_step", "ap", "ap50", "ap75"]
    assert len(table.rows) == sum(variant.steps for variant in params.variants.values())
    assert means(table, "ap50") == [81, 81, 82, 81, 82, 83, 81, 81, 82]
    assert table.column("ap75") == [None] * 9
    without = [replace(result, precision={1: {}}) for result in results_of(params)]  # of an earlier version
    assert len(precision_table(params, without).rows) == len(params.variants)


def test_ablation_columns_and_rows() -> None:
    params = mini_params(seeds=[7])
    table = ablation_table(params, results_of(params, 1_234_567))
    assert [column.name for column in table.columns] == [
        *("variant", "backbone", "steps", "test_step", "mr_50", "mr_75"),
        *("paper_mr_50", "paper_mr_75", "parameters_millions"),
    ]
    assert table.csv().splitlines()[2] == "resnet50-2s,resnet50,2,1,29.00,49.00,,,1.23"
    assert list(zip(table.column("variant"), table.column("test_step"), strict=True)) == [
        ("resnet50-1s", 1),
        *(("resnet50-2s", step) for step in (1, 2)),
        *(("resnet50-3s", step) for step in (1, 2, 3)),
        ("mobilenet-1s", 1),
        *(("mobilenet-2s", step) for step in (1, 2)),
    ]


def test_an_imported_detector_among_trained_ones_is_told_apart() -> None:
    variants = {
        "resnet50-1s": {"backbone": "resnet50", "steps": 1},
        "resnet50-2s": {"backbone": "resnet50", "steps": 2},
        "released": {"backbone": "resnet50", "steps": 1, "weights": "weights/detectors/released.safetensors"},
    }
    params = mini_params(variants=variants, seeds=[1, 2, 3])
    results = [
        replace(one, seeds=(1,), steps={1: rates(29, 1)}) if one.name == "released" else one
        for one in results_of(params)
    ]
    table = ablation_table(params, results)
    assert "over 3 seeds; released is imported and measured once (n = 1); the CSV" in table.caption
    assert [line.count("(n = 1)") for line in table.markdown().splitlines()[2:6]] == [0, 0, 0, 2]
    assert len(table.footer) == 2
    assert "better with 3 of 3 seeds" in table.footer[0]
    assert "imported" not in ablation_table(params, results_of(params)).caption


def test_mini_has_no_paper_figure_in_the_ablation_table() -> None:
    params = mini_params()
    # Not even where somebody's mini network had the published size.
    table = ablation_table(params, results_of(params))
    assert set(table.column("paper_mr_50")) | set(table.column("paper_mr_75")) == {None}
    assert "here no row's are (the data set is synthetic)" in table.caption
    assert "paper_mr_50" not in table.markdown()


def test_citypersons_has_the_papers_figures_and_none_without_a_source() -> None:
    params = published_params()
    table = ablation_table(params, results_of(params))
    assert table.column("paper_mr_50")[:9] == [16.01, 13.17, 12.01, 14.53, 12.67, 12.88, None, None, None]
    assert "no row" not in table.caption


def test_other_tables_say_that_mini_is_comparable_in_direction_only() -> None:
    params = mini_params()
    results = results_of(params, 3_000_000)
    for table in (
        steps_table(params, results),
        fusion_table(params, results),
        backbones_table(params, results),
        subsets_table(params, results),
    ):
        assert "data set 'synthetic'" in table.caption
        assert "direction only" in table.caption
    published = published_params()
    assert "direction only" not in steps_table(published, results_of(published)).caption


def test_steps_table_pairs_the_papers_steps() -> None:
    params = mini_params()
    table = steps_table(params, results_of(params))
    row = [index for index, name in enumerate(table.column("variant")) if name == "resnet50-2s"][1]
    assert cell(table, row, "iou") == 0.75
    assert [means(table, f"test_step_{step}")[row] for step in (1, 2, 3)] == [49, 48, None]
    assert [cell(table, row, f"paper_test_step_{step}") for step in (1, 2, 3)] == [45.0, 36.49, None]
    mobilenet = table.column("variant").index("mobilenet-2s")
    assert cell(table, mobilenet, "paper_test_step_2") is None


def test_fusion_is_in_the_papers_order_with_its_figures() -> None:
    params = mini_params()
    table = fusion_table(params, results_of(params))
    assert table.column("combination")[:5] == ["C1B1", "C1B2", "C2B2", "(C1+C2)B2", "(C1*C2)B2"]
    assert table.column("paper_mr_75")[:5] == [46.83, 45.00, 34.90, 36.49, 36.49]
    assert table.column("paper_mr_75")[5:] == [None] * 5  # mobilenet-2s
    assert set(table.column("variant")) == {"resnet50-2s", "mobilenet-2s"}


def test_thresholds_have_rows_only_where_variants_differ() -> None:
    params = mini_params()
    table = thresholds_table(params, results_of(params))
    assert table.rows == ()
    assert table.csv() == "variant,step_1,step_2,mr_50,mr_75,paper_mr_50,paper_mr_75\n"
    assert "profiles/citypersons.yaml" in table.caption

    variants = {
        "resnet50-2s": {"backbone": "resnet50", "steps": 2},
        "looser": {"backbone": "resnet50", "steps": 2, "thresholds": pairs((0.3, 0.5), (0.3, 0.5))},
        "mobilenet-2s": {"backbone": "mobilenet", "steps": 2},
    }
    params = mini_params(variants=variants)
    table = thresholds_table(params, results_of(params))
    assert [row[:3] for row in table.rows] == [
        ("resnet50-2s", "(0.3, 0.5)", "(0.5, 0.7)"),
        ("looser", "(0.3, 0.5)", "(0.3, 0.5)"),
    ]
    assert table.column("paper_mr_50") == [12.01, 13.75]


def test_captions_speak_of_the_paper_only_where_its_figures_stand() -> None:
    published = mini_params()
    assert "As printed, the paper's C1B2" in fusion_table(published, results_of(published)).caption
    thresholds = {**PUBLISHED_THRESHOLDS, "2": pairs((0.3, 0.5), (0.6, 0.8))}
    stricter = mini_params(**{"train.targets.thresholds": thresholds})
    table = fusion_table(stricter, results_of(stricter))
    assert "No row has the paper's settings" in table.caption
    assert "As printed" not in table.caption
    assert set(table.column("paper_mr_50")) == {None}


def test_figures_without_a_source_are_left_out() -> None:
    params = mini_params()
    table = backbones_table(params, results_of(params))
    paper = dict(zip(table.column("variant"), table.column("paper_mr_50"), strict=True))
    assert paper["resnet50-2s"] == 12.01
    assert paper["mobilenet-2s"] is None
    assert table.column("paper_parameters_millions") == [39.5, 48.4, None, 12.1, 17.4]


def test_every_table_has_mean_deviation_and_each_seed() -> None:
    params = mini_params()
    assert len(params.seeds) == 3
    results = results_of(params, 1_234_567)
    table = ablation_table(params, results)
    header, first, *_ = table.csv().splitlines()
    assert header == (
        "variant,backbone,steps,test_step,mr_50,mr_50_sd,mr_75,mr_75_sd,paper_mr_50,paper_mr_75,parameters_millions,"
        "seeds,mr_50_seed_1,mr_50_seed_2,mr_50_seed_3,mr_75_seed_1,mr_75_seed_2,mr_75_seed_3"
    )
    assert first == (
        "resnet50-1s,resnet50,1,1,29.00,1.00,49.00,1.00,,,1.23,3,28.0000,29.0000,30.0000,48.0000,49.0000,50.0000"
    )
    assert "29.00 ± 1.00" in table.markdown()
    assert "over 3 seeds" in table.caption
    assert len(table.footer) == 5
    for other in all_tables(params, results):
        if other.rows:
            assert "_seed_3" in other.csv()
            assert "±" in other.latex() or r"$\pm$" in other.latex()


def test_subsets_never_mix_measured_and_published() -> None:
    params = mini_params()
    table = subsets_table(params, results_of(params))
    names = [column.name for column in table.columns[2:]]
    for row in table.rows:
        filled = {name.startswith("paper_") for name, value in zip(names, row[2:], strict=True) if value is not None}
        assert filled == {row[1] == "published"}
    assert "RepLoss (ResNet-50)" in table.column("method")
    assert table.column("paper_heavy")[-2:] == [56.9, 51.9]
    assert means(table, "heavy")[0] == 29 + SUBSETS.index("heavy")


def test_an_empty_subset_stays_empty() -> None:
    params = mini_params()
    results = results_of(params)
    for result in results:
        for metrics in result.steps.values():
            metrics["iou_0.50"]["heavy"] = None
    table = subsets_table(params, results)
    assert table.column("heavy") == [None] * len(table.rows)
    assert ",," in table.csv()


def test_timings_stand_in_a_table_of_their_own() -> None:
    params = mini_params()
    results = results_of(params)
    timing = {"seconds_per_image": 0.0123, "images": 120, "machine": "a processor"}
    table = timings_table(results, {"resnet50-2s": timing})
    assert table.column("seconds_per_image") == [None, "0.0123", None, None, None]
    assert table.column("images_per_second")[1] == "81.3"
    assert table.column("machine")[1] == "a processor"
    assert table.column("paper_seconds_per_image") == [0.26, 0.27, 0.28, None, None]
    assert not any("seconds" in column.name for column in backbones_table(params, results).columns)


def test_subsets_of_ones_own_have_columns_and_ranges() -> None:
    params = mini_params(**{"evaluate.subsets": ["r-ho", "tall=height:200-,visible:0.65-", "pedestron"]})
    assert [one.name for one in evaluated_subsets(params)] == [
        "reasonable", "heavy", "small", "all", "R", "HO", "R+HO", "tall",
    ]  # fmt: skip
    results = results_of(params)
    for result in results:
        for metrics in result.steps.values():
            for row in metrics.values():
                row |= dict.fromkeys(("R", "HO", "R+HO", "tall"), row["reasonable"])
    table = subsets_table(params, results)
    names = [column.name for column in table.columns]
    assert names[2:4] == ["reasonable", "paper_reasonable"]
    # Pedestron's heavy is 20 to 65 % visible: not the paper's, whose figure must not stand beside it.
    assert "heavy" in names
    assert "paper_heavy" not in names
    assert "tall ≥ 200, ≥ 0.65" in table.caption
    assert "heavy ≥ 50, 0.2 to 0.65" in table.caption


def test_a_subset_in_words() -> None:
    meanings = {one.name: subset_meaning(one) for one in PUBLISHED["caltech"]}
    assert meanings["scale=medium"] == "height 30 to 80 px, visible wholly"
    assert meanings["occ=heavy"] == "height ≥ 50 px, visible 20 to 65 %"
    assert meanings["expand=150"] == "height ≥ 50 px, visible ≥ 65 %, height margin 1.5"
    assert meanings["ar=typical"].endswith("width / height off 0.41 by ≤ 0.1")


def test_the_papers_caltech_figures_stand_below_ours_there_and_only_there() -> None:
    params = mini_params(
        **{"data.format": "caltech", "evaluate.protocol": "caltech-new", "evaluate.subsets": ["caltech-new"]}
    )
    results = results_of(params)
    for result in results:
        for metrics in result.steps.values():
            for row in metrics.values():
                row["occ=heavy"] = row["heavy"]
    tables = {table.name: table for table in all_tables(params, results)}
    caltech = tables["caltech"]
    assert caltech.column("paper_mr_50")[-2:] == [6.1, 4.5]
    assert caltech.column("paper_mr_75")[-2:] == [22.5, 18.6]
    assert means(caltech, "mr_50")[: len(results)] == [30 - result.last_step for result in results]
    for row, method in zip(caltech.rows, caltech.column("method"), strict=True):
        assert (row[2] is None) != (row[4] is None), method
    assert "caltech-new" in caltech.caption
    assert set(tables["subsets"].column("source")) == {"measured here"}, "CityPersons' methods are not for Caltech"
    assert "caltech" not in {table.name for table in all_tables(mini_params(), results_of(mini_params()))}
