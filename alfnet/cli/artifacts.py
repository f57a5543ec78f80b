"""`alfnet artifacts`: tell registries which model of each variant is the best one."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alfnet.cli.common import ParamsOption
from alfnet.errors import AlfnetError
from alfnet.files import write_text

if TYPE_CHECKING:  # its settings take a third of a second to build, which `alfnet evaluate` should not wait for
    from alfnet.params import Params

TABLE = Path("plots/ablation.csv")
MARK = "artifacts:"
COMMENT = """\
# The best model of each variant, for registries (GTO and what builds on it): of its seeds the one with the lowest miss rate
# on the validation images. DVC has no matrix here; `alfnet artifacts` writes this section, and keeps entries of other names.
"""
OWN = "ALFNet on "
"""How the descriptions of this command's entries begin, also of variants that are gone."""
NAMES = {"resnet50": "ResNet-50", "mobilenet": "MobileNet"}


def artifacts(params_file: ParamsOption = Path("params.yaml")) -> None:
    """Write the section `artifacts` of dvc.yaml: for each variant the model of the seed with the lowest miss rate.

    By IoU 0.5 and the Reasonable subset after the last step, from plots/ablation.csv of the last `dvc repro`, which must be
    of the present parameters.
    """
    from alfnet.params import load_params

    root = params_file.parent
    params = load_params(params_file)
    pipeline = root / "dvc.yaml"
    if not pipeline.is_file():
        raise AlfnetError(f"{pipeline}: no such file; run this in the project's folder")
    best = best_seeds(params, root / TABLE)
    check_table(params_file)
    write_text(pipeline, with_artifacts(pipeline.read_text(), params, best))
    for name, (seed, miss_rate) in best.items():
        print(f"{name}: seed {seed}" + ("" if miss_rate is None else f", MR {miss_rate:.2f} %"))


def best_seeds(params: Params, table: Path) -> dict[str, tuple[int, float | None]]:
    """Return for each variant the seed with the lowest miss rate, and that rate; the first seed where none is measured.

    Raises AlfnetError where the table is missing or lacks a variant.
    """
    if not table.is_file():
        raise AlfnetError(f"{table}: no such file; run: dvc repro")
    with table.open(newline="") as file:
        last = {row["variant"]: row for row in csv.DictReader(file)}  # rows are in the order of the test steps
    best: dict[str, tuple[int, float | None]] = {}
    for name in params.variants:
        if name not in last:
            raise AlfnetError(f"{table}: does not hold the variant {name}; run: dvc repro")
        texts = {seed: last[name].get(f"mr_50_seed_{seed}") for seed in params.seeds}
        rates = {seed: float(text) for seed, text in texts.items() if text}
        if rates:
            seed = min(rates, key=lambda one: (rates[one], params.seeds.index(one)))
            best[name] = seed, rates[seed]
        else:
            mean = last[name]["mr_50"]
            best[name] = params.seeds[0], float(mean) if mean else None
    return best


def check_table(params_file: Path) -> None:
    """Raise AlfnetError where plots/ablation.csv is of other parameters or another data set than `params_file`.

    By the record of the stage `report` in dvc.lock: the table itself does not name them.
    """
    from alfnet.launch.records import departure, recorded_stages

    stages = recorded_stages(params_file.parent / "dvc.lock")
    # What a page looks like, and what is exported, changes no miss rate.
    reason = departure(stages, "report", str(TABLE), params_file, ["profile", "report", "deploy"])
    if reason is not None:
        raise AlfnetError(
            f"{params_file.parent / TABLE}: is not of the present parameters and data: {reason}; run: dvc repro"
        )


def with_artifacts(pipeline: str, params: Params, best: dict[str, tuple[int, float | None]]) -> str:
    """Return the text of a dvc.yaml with the variants' entries of its section `artifacts` written anew.

    The rest stays as it is, entries that somebody else wrote among it; they come last.
    """
    lines = pipeline.splitlines(keepends=True)
    start = next((place for place, line in enumerate(lines) if line.startswith(MARK)), len(lines))
    end = next((place for place in range(start + 1, len(lines)) if lines[place][:1] not in (" ", "\n")), len(lines))
    while end > start and end < len(lines) and lines[end - 1] == "\n":
        end -= 1
    while start and lines[start - 1].startswith("#"):
        start -= 1
    section = COMMENT + MARK + "\n" + "".join(_entry(params, name, *found) for name, found in best.items())
    others = "".join(_entries_of_others(lines[start:end], set(best)))
    return "".join(lines[:start]) + section + others + "".join(lines[end:])


def _entries_of_others(section: list[str], variants: set[str]) -> list[str]:
    """The lines of the entries in the present section that this command did not write."""
    starts = [place for place, line in enumerate(section) if re.match(r"  \S", line)]
    kept: list[str] = []
    for start, end in zip(starts, [*starts[1:], len(section)], strict=True):
        name = section[start].strip().split(":")[0].strip("'\"")
        if name not in variants and not any(line.startswith(f"    desc: {OWN}") for line in section[start:end]):
            kept += section[start:end]
    return kept


def _entry(params: Params, name: str, seed: int, miss_rate: float | None) -> str:
    variant: Any = params.variants[name]
    steps = f"{variant.steps} localisation step{'s' if variant.steps > 1 else ''}"
    measured = "" if miss_rate is None else f", MR {miss_rate:.2f} % on {params.data.name}"
    return (
        f"  {name}:\n"
        f"    path: models/{name}/{seed}/model.safetensors\n"
        "    type: model\n"
        f"    desc: {OWN}{NAMES.get(variant.backbone, variant.backbone)} with {steps}, seed {seed}{measured}\n"
        "    labels:\n"
        "    - pedestrian-detection\n"
        f"    - {variant.backbone}\n"
    )
