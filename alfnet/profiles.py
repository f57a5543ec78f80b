"""Profiles: one file is complete, `citypersons` with the paper's settings; the others hold what departs from it.

A profile is merged into the complete one key by key. A list or a number takes the place of the earlier one, and so does
a mapping whose keys are names (`synthetic`, `backbones`, `variants`, `train.targets.thresholds`): who names variants
means these and no others. A comment belongs to the value below it: it is kept with the value, and goes with it.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel

from alfnet.errors import AlfnetError
from alfnet.params import Params, check_params, load_params
from alfnet.yaml_file import read_yaml

PAPER = "citypersons"
"""The complete profile."""
PACKAGED = Path(__file__).resolve().with_name("profiles")
"""The profiles that come with the package; the project's folder profiles/ is the same in a clone."""
SCHEMA_LINE = "# yaml-language-server: $schema="


@dataclass(frozen=True)
class _Node:
    """A value with the comment above its key; the value of a mapping is a dictionary of nodes."""

    comment: tuple[str, ...]
    value: Any


def profiles(folder: str | Path = "profiles") -> dict[str, Path]:
    """Return the profiles by name: those of the package, and those in `folder`, which come first where both have one."""
    found = [*sorted(PACKAGED.glob("*.yaml")), *sorted(Path(folder).glob("*.yaml"))]
    return {path.stem: path for path in found}


def merged_text(name: str, folder: str | Path = "profiles") -> str:
    """Return the complete params.yaml of a profile, with the comments of both files.

    Raises AlfnetError where there is no such profile, or what comes out is not valid; the message names the profile.
    """
    tree = _merged(name, folder)
    lines = [f"{SCHEMA_LINE}profiles/params.schema.json"]
    for number, (key, node) in enumerate(tree.items()):
        if number and (isinstance(node.value, dict | list)):
            lines.append("")
        lines += _lines(key, node, 0)
    return "\n".join(lines) + "\n"


def load_profile(name: str, folder: str | Path = "profiles") -> Params:
    """Return the complete parameters of a profile; AlfnetError as for `merged_text`."""
    return check_params(_plain(_merged(name, folder)), f"profile {name}")


@functools.cache
def paper_params() -> Params:
    """The paper's settings: the complete profile, as it comes with the package."""
    return load_params(PACKAGED / f"{PAPER}.yaml")


def schema(*, complete: bool) -> dict[str, Any]:
    """Return the JSON schema of params.yaml, with the docstrings as descriptions; not `complete`: of a profile's departures.

    The checks that need more than one key are `alfnet check`'s alone.
    """
    described = Params.model_json_schema()
    if not complete:
        for part in [described, *described["$defs"].values()]:
            if part is described or part["title"] not in ("IouThresholds", "VariantSettings", "SyntheticSettings"):
                part.pop("required", None)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described}


def _merged(name: str, folder: str | Path) -> dict[str, _Node]:
    found = profiles(folder)
    if name not in found:
        raise AlfnetError(f"profile {name}: there is none; there are {', '.join(found)}")
    tree = _read(found[PAPER])
    if name != PAPER:
        tree = _merge(tree, _read(found[name]), Params)
    check_params(_plain(tree), str(found[name]))
    return tree


def _read(path: Path) -> dict[str, _Node]:
    from ruamel.yaml import YAML

    content = read_yaml(path)
    if not isinstance(content, dict):
        raise AlfnetError(f"{path}: holds no keys; a profile is written like params.yaml")
    text = path.read_text()
    return _nodes(YAML().load(text), content, text.splitlines())


def _nodes(positions: Any, content: dict[str, Any], lines: list[str]) -> dict[str, _Node]:
    nodes = {}
    for key, value in content.items():
        known = positions.lc.data or {}
        row = known[key][0] if key in known else 0  # a merged key (<<) stands elsewhere
        comment: list[str] = []
        while row > 0 and lines[row - 1].strip().startswith("#"):
            row -= 1
            if not lines[row].startswith(SCHEMA_LINE):
                comment.insert(0, lines[row].strip())
        inside = _nodes(positions[key], value, lines) if isinstance(value, dict) and value else value
        nodes[key] = _Node(tuple(comment), inside)
    return nodes


def _merge(base: dict[str, _Node], changes: dict[str, _Node], section: Any) -> dict[str, _Node]:
    """Put `changes` over `base`; `section` is the type that both are of."""
    merged = dict(base)
    for key, node in changes.items():
        kind = _type_of(section, key)
        both = key in base and isinstance(base[key].value, dict) and isinstance(node.value, dict)
        if both and not _has_free_names(kind):
            merged[key] = _Node(node.comment or base[key].comment, _merge(base[key].value, node.value, kind))
        else:
            merged[key] = node
    return merged


def _type_of(section: Any, key: str) -> Any:
    """The type of a section's value; Any where the type has no such key, which the check of the whole then says."""
    if isinstance(section, type) and issubclass(section, BaseModel):
        field = section.model_fields.get(key)
        return Any if field is None else field.annotation
    return get_args(section)[1] if get_origin(section) is dict else Any


def _has_free_names(kind: Any) -> bool:
    """Whether a type is a mapping from names of the user's own, and not from names of a given list."""
    return get_origin(kind) is dict and get_origin(get_args(kind)[0]) is not Literal


def _plain(nodes: Mapping[str, _Node]) -> dict[str, Any]:
    return {key: _plain(node.value) if _is_tree(node.value) else node.value for key, node in nodes.items()}


def _is_tree(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(node, _Node) for node in value.values())


def _lines(key: str, node: _Node, depth: int) -> list[str]:
    """The lines of a value in block style, indented by two spaces a level."""
    indent = "  " * depth
    lines = [indent + line for line in node.comment]
    if not _is_tree(node.value):
        head, *rest = _dumped({key: node.value})
        # The items of a list stand below their key; what else takes several lines is indented already.
        inside = "  " if isinstance(node.value, list) else ""
        return [*lines, indent + head, *(indent + inside + line for line in rest)]
    lines.append(indent + _dumped({key: 0})[0].removesuffix(" 0"))
    for inner, value in node.value.items():
        lines += _lines(inner, value, depth + 1)
    return lines


def _dumped(content: dict[str, Any]) -> list[str]:
    from ruamel.yaml import YAML

    yaml: Any = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False
    yaml.width = 10_000
    text = io.StringIO()
    yaml.dump(content, text)
    return text.getvalue().splitlines()
