"""Weight files: safetensors, with what is needed to use them as JSON in the metadata.

Equal weights and metadata give equal bytes: the metadata has one key, because safetensors writes several in any order.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from alfnet.errors import AlfnetError
from alfnet.files import write_bytes

Kind = Literal["detector", "backbone"]
METADATA_KEYS: dict[Kind, str] = {"detector": "alfnet", "backbone": "alfnet_backbone"}
FORMAT = 1
# ImageNet's weights and variances stay below 1e6; what is beyond this comes of a damaged file or a training gone astray.
LARGEST = 1e10


def write_weights(path: str | Path, kind: Kind, tensors: Mapping[str, Tensor], description: Mapping[str, Any]) -> None:
    """Write `tensors` and the JSON-able `description` to `path`, whole or not at all.

    Raises AlfnetError for numbers that no network computes with (`check_numbers`): whatever stood at `path` stays.
    """
    check_numbers(tensors, f"{path}: not written")
    metadata = json.dumps({"format": FORMAT, **description}, sort_keys=True, allow_nan=False)
    plain = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_bytes(path, save(plain, {METADATA_KEYS[kind]: metadata}))


def read_weights(path: str | Path, kind: Kind) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors (on the CPU) and the description in a weight file.

    Raises AlfnetError where the file is missing, no safetensors, cut short, not of this kind or format, or holds numbers
    that no network computes with (`check_numbers`).
    """
    path = Path(path)
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file; a {kind} in safetensors was expected")
    try:
        with safe_open(str(path), "pt") as file:
            description = _description(path, kind, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise AlfnetError(f"{path}: not a whole safetensors file ({error}); {_advice(path)}") from None
    check_numbers(tensors, str(path))
    return tensors, description


def check_numbers(tensors: Mapping[str, Tensor], source: str) -> None:
    """Raise AlfnetError, naming `source` and the tensor, for numbers that are not finite, a negative variance, or beyond 1e10."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point() or not tensor.numel():
            continue
        smallest, largest = (float(value) for value in torch.aminmax(tensor.detach().float()))
        if not (math.isfinite(smallest) and math.isfinite(largest)):
            fault = "holds values that are not finite"
        elif name.endswith("running_var") and smallest < 0:
            fault = f"holds a variance below zero ({smallest:.3g})"
        elif max(-smallest, largest) > LARGEST:
            fault = f"holds values up to {max(-smallest, largest):.3g}, beyond any that a network is made of"
        else:
            continue
        raise AlfnetError(
            f"{source}: {name} {fault}; a training that went astray (lower train.learning_rate.peak) or a damaged file"
        )


def read_extra(path: str | Path) -> dict[str, str]:
    """Return the `extra` entries that `ALFNet.save` stored in a file; AlfnetError as for `read_weights`."""
    _, description = read_weights(path, "detector")
    return dict(description.get("extra", {}))


def read_description(path: str | Path) -> dict[str, Any]:
    """Return the description in a weight file of any kind, without its tensors; AlfnetError as for `read_weights`."""
    path = Path(path)
    kind = weights_kind(path)
    with safe_open(str(path), "pt") as file:
        return _description(path, kind, file.metadata() or {})


def read_extra_only(path: str | Path) -> dict[str, str]:
    """Return the `extra` entries of a weight file of any kind, without its tensors; empty where there are none."""
    extra = read_description(path).get("extra", {})
    return {key: value for key, value in extra.items() if isinstance(value, str)} if isinstance(extra, dict) else {}


def weights_kind(path: str | Path) -> Kind:
    """Return which kind of weights a file holds; AlfnetError as for `read_weights`."""
    path = Path(path)
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file; weights in safetensors were expected")
    try:
        with safe_open(str(path), "pt") as file:
            metadata = file.metadata() or {}
    except SafetensorError as error:
        raise AlfnetError(f"{path}: not a whole safetensors file ({error}); {_advice(path)}") from None
    for kind, key in METADATA_KEYS.items():
        if key in metadata:
            return kind
    raise AlfnetError(f"{path}: was not written by alfnet (its metadata is missing); {_advice(path)}")


def is_weight_file(path: str | Path) -> bool:
    """Return whether a file is one of alfnet's weight files, of any kind."""
    try:
        return weights_kind(path) in METADATA_KEYS
    except AlfnetError:
        return False


def copy_weights(source: str | Path, out: str | Path, kind: Kind) -> None:
    """Copy a weight file that holds a `kind`; AlfnetError where it holds something else or is broken."""
    found = weights_kind(source)
    if found != kind:
        raise AlfnetError(f"{source}: holds a {found}; a {kind} was expected")
    write_bytes(out, Path(source).read_bytes())


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], source: str | Path) -> None:
    """Copy `tensors` into `module`; AlfnetError (naming `source`) unless names and shapes are exactly the module's."""
    expected = module.state_dict()
    problems = []
    if missing := sorted(expected.keys() - tensors.keys()):
        problems.append(f"lacks {_some(missing)}")
    if unknown := sorted(tensors.keys() - expected.keys()):
        problems.append(f"holds {_some(unknown)}, which the network has not")
    for name in sorted(expected.keys() & tensors.keys()):
        found, wanted = tensors[name], expected[name]
        if found.shape != wanted.shape:
            problems.append(f"{name} has shape {tuple(found.shape)}, expected {tuple(wanted.shape)}")
        elif found.is_floating_point() != wanted.is_floating_point():
            problems.append(f"{name} holds {found.dtype}, expected {wanted.dtype}")
    if problems:
        more = f"; and {len(problems) - 3} more differences" if len(problems) > 3 else ""
        raise AlfnetError(f"{source}: does not fit the network: {'; '.join(problems[:3])}{more}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            expected[name].copy_(tensor)


def _description(path: Path, kind: Kind, metadata: Mapping[str, str]) -> dict[str, Any]:
    text = metadata.get(METADATA_KEYS[kind])
    if text is None:
        other = [name for name, key in METADATA_KEYS.items() if key in metadata]
        found = f"holds a {other[0]}" if other else "was not written by alfnet (its metadata is missing)"
        raise AlfnetError(f"{path}: {found}; a {kind} was expected")
    try:
        description = json.loads(text)
    except ValueError:
        description = None
    if not isinstance(description, dict):
        raise AlfnetError(f"{path}: the metadata of the {kind} is broken; make or copy the file again")
    found_format = description.pop("format", None)
    if found_format != FORMAT:
        raise AlfnetError(
            f"{path}: weight file of format {found_format}, this version reads format {FORMAT}; "
            "make the file again with this version"
        )
    return description


def _advice(path: Path) -> str:
    if path.suffix in (".h5", ".hdf5"):
        return "convert Keras files with: alfnet weights import"
    return "was it cut short? Make or copy it again"


def _some(names: list[str], shown: int = 3) -> str:
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return ", ".join(names[:shown]) + more
