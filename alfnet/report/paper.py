"""The paper's figures, and which of our runs they belong beside.

Source of the figures: `paper_results.yaml`, copied from the paper's tables as shown on its ECCV 2018 poster. Figures
without a source at hand (MobileNet's) are left out.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

from alfnet.params import AugmentSettings, IouThresholds, Params, VariantSettings
from alfnet.profiles import paper_params

THRESHOLDS_MODEL = "resnet50-2s"
"""The model of the paper's tables of thresholds and of score fusion."""

Thresholds = tuple[tuple[float, float], ...]

# The settings in which a run has to equal the profile `citypersons` to be the paper's model (docs/method.md#training).
# The training schedule is not among them, because the paper's own is not known for certain (the unit of its
# "iterations"); nor are the weight average and the order of updates, in which paper and 2018 code differ.
_TEST = (
    "data.name",
    "data.height",
    "data.width",
    "head.anchors",
    "detect",
)
_TRAINING = (
    "data.minimum_pedestrian_height",
    "data.minimum_visible_ratio",
    "data.covered",
    "head.width",
    "train.augment",
)
_BACKBONE = ("init", "width", "batch_norm", "freeze")


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
    return as_pairs(params.thresholds(variant)) == _published_thresholds(settings.steps)


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
    if name not in paper_figures()["parameters_millions"] and name not in paper_figures()["steps"]:
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
    keys = list(_TEST)
    if settings.weights is None:
        keys += [*_TRAINING, *(f"backbones.{settings.backbone}.{key}" for key in _BACKBONE)]
    published = paper_params()
    if any(_value(params, key) != _value(published, key) for key in keys):
        return False
    millions = paper_figures()["parameters_millions"].get(model_name(settings))
    return parameters is None or millions is None or abs(parameters / 1e6 / millions - 1) <= 0.01


def _published_thresholds(steps: int) -> Thresholds | None:
    pairs = paper_params().train.targets.thresholds.get(str(steps))
    return None if pairs is None else as_pairs(pairs)


def _value(params: Params, key: str) -> Any:
    value: Any = params
    for part in key.split("."):
        value = value[part] if isinstance(value, dict) else getattr(value, part)
    if isinstance(value, AugmentSettings) and value.colour.probability == 0:
        return value.model_copy(update={"colour": None})  # then its other settings change nothing
    return value
