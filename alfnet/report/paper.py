"""The paper's figures, and which of our runs they belong beside.

Source of the figures: `paper_results.yaml`, copied from the paper's tables as shown on its ECCV 2018 poster; rows
marked "recalled" there have no source at hand and are shown as unconfirmed.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from alfnet.params import IouThresholds, Params, VariantSettings

UNCONFIRMED = "recalled, unconfirmed"
THRESHOLDS_MODEL = "resnet50-2s"
"""The model of the paper's tables of thresholds and of score fusion."""

Thresholds = tuple[tuple[float, float], ...]

# The published method's settings (docs/method.md#training); a run that differs in one of them is not the paper's model.
# The training schedule is not among them, because the paper's own is not known for certain (the unit of its
# "iterations"); nor are the weight average and the order of updates, in which paper and 2018 code differ.
_PUBLISHED_TEST: dict[str, Any] = {
    "data.name": "citypersons",
    "data.height": 1024,
    "data.width": 2048,
    "head.anchors.widths": [[16, 24], [32, 48], [64, 80], [128, 160]],
    "head.anchors.ratio": 0.41,
    "detect.score_threshold": 0.1,
    "detect.nms_iou": 0.5,
    "detect.minimum_side": 16,
    "detect.before_nms": 6000,
    "detect.after_nms": 100,
}
_PUBLISHED_TRAINING: dict[str, Any] = {
    "data.minimum_pedestrian_height": 50,
    "head.width": 1.0,
    "train.augment.height": 640,
    "train.augment.width": 1280,
    "train.augment.brightness": [0.5, 2.0],
    "train.augment.brightness_probability": 0.5,
    "train.augment.flip_probability": 0.5,
    "train.augment.scale": [0.3, 1.0],
    "train.augment.pedestrian_inside": 0.5,
    "train.augment.pedestrian_width": 16,
    "train.augment.ignore_area": 100,
    "train.augment.ignore_side": 8,
}
_PUBLISHED_BACKBONE: dict[str, dict[str, Any]] = {
    "resnet50": {"init": "download", "width": 1.0, "batch_norm": "fixed", "freeze": True},
    "mobilenet": {"init": "download", "width": 1.0, "batch_norm": "trained", "freeze": True},
}
_PUBLISHED_THRESHOLDS: dict[int, Thresholds] = {
    1: ((0.3, 0.5),),
    2: ((0.3, 0.5), (0.5, 0.7)),
    3: ((0.3, 0.5), (0.4, 0.65), (0.5, 0.75)),
}


@functools.cache
def paper_figures() -> dict[str, Any]:
    """Return the content of paper_results.yaml."""
    from ruamel.yaml import YAML

    return YAML(typ="safe").load(resources.files("alfnet.report").joinpath("paper_results.yaml").read_text())


def as_pairs(thresholds: list[IouThresholds]) -> Thresholds:
    """Return training IoU thresholds as (lower, upper) per step."""
    return tuple((float(pair.lower), float(pair.upper)) for pair in thresholds)


def model_name(variant: VariantSettings) -> str:
    """Return the name that paper_results.yaml uses for a model of this backbone and number of steps."""
    return f"{variant.backbone}-{variant.steps}s"


def has_published_thresholds(params: Params, variant: str) -> bool:
    """Whether a variant has the paper's training thresholds for its number of steps, or is an imported detector."""
    settings = params.variant(variant)
    if settings.weights is not None:
        return True
    return as_pairs(params.thresholds(variant)) == _PUBLISHED_THRESHOLDS.get(settings.steps)


def published_model(params: Params, variant: str, *, parameters: int | None = None) -> str | None:
    """Return the paper's model ('resnet50-2s', ...) that a variant is, or None where a setting is not the paper's.

    Compared are the data set and its size, widths, anchors, training thresholds and augmentation, and the test's
    settings (docs/method.md#training); not the training schedule, which is not known for certain. For an imported
    detector only what is used: the data set, anchors and test settings.

    Args:
        params: the parameters of the run.
        variant: a key of params.variants; AlfnetError for another.
        parameters: the network's parameter count where it is known; more than 1 % off the published one gives None.
    """
    settings = params.variant(variant)
    name = model_name(settings)
    if name not in {**paper_figures()["steps"], **paper_figures()["backbones_recalled"]}:
        return None
    if not has_published_thresholds(params, variant):
        return None
    return name if _settings_are_published(params, settings, parameters) else None


def published_miss_rates(
    params: Params, variant: str, test_step: int, *, parameters: int | None = None
) -> tuple[float | None, float | None]:
    """Return the paper's (MR at IoU 0.5, at IoU 0.75) in percent, Reasonable, of what a variant is, or (None, None).

    For the paper's models the figures of its table of steps; for resnet50-2s trained with other thresholds those of
    its table of thresholds, at the last step. Figures without a source (MobileNet's) are not given.
    """
    settings = params.variant(variant)
    model = published_model(params, variant, parameters=parameters)
    if model is not None:
        return step_miss_rates(model, test_step)
    if (
        settings.weights is None
        and model_name(settings) == THRESHOLDS_MODEL
        and test_step == settings.steps
        and _settings_are_published(params, settings, parameters)
    ):
        return threshold_miss_rates(as_pairs(params.thresholds(variant)))
    return None, None


def step_miss_rates(model: str, test_step: int) -> tuple[float | None, float | None]:
    """Return the (MR at IoU 0.5, at 0.75) of a model and test step from the paper's table of steps, or (None, None)."""
    figures = paper_figures()["steps"].get(model, {}).get(test_step)
    return (None, None) if figures is None else (figures[0], figures[1])


def threshold_miss_rates(thresholds: Thresholds) -> tuple[float | None, float | None]:
    """Return the paper's (MR at IoU 0.5, at 0.75) of resnet50-2s trained with these thresholds, or (None, None)."""
    for row in paper_figures()["thresholds"]:
        if (tuple(row["step1"]), tuple(row["step2"])) == thresholds:
            return row["mr"][0], row["mr"][1]
    return None, None


def _settings_are_published(params: Params, settings: VariantSettings, parameters: int | None) -> bool:
    expected = dict(_PUBLISHED_TEST)
    if settings.weights is None:
        expected |= _PUBLISHED_TRAINING
        expected |= {
            f"backbones.{settings.backbone}.{key}": value
            for key, value in _PUBLISHED_BACKBONE[settings.backbone].items()
        }
    if any(_value(params, key) != value for key, value in expected.items()):
        return False
    millions = paper_figures()["parameters_millions"].get(model_name(settings))
    return parameters is None or millions is None or abs(parameters / 1e6 / millions - 1) <= 0.01


def _value(params: Params, key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    return value
