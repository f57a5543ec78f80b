"""What the commands share: options, and the set-up of parameters and arithmetic."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from alfnet.params import Params

ParamsOption = Annotated[Path, typer.Option("--params", help="The parameter file.")]


class Split(StrEnum):
    """The splits of CityPersons that have annotations."""

    train = "train"
    val = "val"


class BackboneName(StrEnum):
    """The backbones."""

    resnet50 = "resnet50"
    mobilenet = "mobilenet"


def set_up(params_file: Path) -> Params:
    """Read the parameters and set up the arithmetic that they ask for, before any library that it concerns."""
    from alfnet.params import load_params
    from alfnet.runtime import configure, configure_libraries

    params = load_params(params_file)
    configure(params.runtime)
    configure_libraries(params.runtime)
    return params
