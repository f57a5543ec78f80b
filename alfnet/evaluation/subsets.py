"""Subsets of the pedestrians as data: the published ones by name, and one's own from an option or a file."""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from alfnet.errors import AlfnetError

Range = tuple[float, float]

EVERYTHING: Range = (-math.inf, math.inf)
NOT_OCCLUDED: Range = (math.inf, math.inf)
"""Caltech's original annotations: the visible ratio of a pedestrian without a visible box is infinite there."""


@dataclass(frozen=True)
class Subset:
    """A part of the pedestrians: bounds are inclusive, and pedestrians outside are ignored, not missed."""

    name: str
    height: Range
    """Pixels."""
    visible_ratio: Range
    aspect_deviation: Range | None = None
    """Of |width / height - 0.41|; Caltech's settings Ar=..."""
    margin: float | None = None
    """Instead of the protocol's height margin; Caltech's settings Expand=..."""

    def __post_init__(self) -> None:
        """Ranges given as lists become tuples, as in a protocol."""
        object.__setattr__(self, "height", tuple(self.height))
        object.__setattr__(self, "visible_ratio", tuple(self.visible_ratio))
        if self.aspect_deviation is not None:
            object.__setattr__(self, "aspect_deviation", tuple(self.aspect_deviation))

    @property
    def needs_visibility(self) -> bool:
        """Whether a ground truth without visible ratios cannot be told to be in it."""
        return self.visible_ratio != EVERYTHING

    def ranges(self) -> dict[str, list[float | None]]:
        """Its ranges for a JSON file: lower and upper bound, None for no bound."""
        found = {"height": self.height, "visible": self.visible_ratio, "aspect_deviation": self.aspect_deviation}
        rows = {key: [None if math.isinf(bound) else bound for bound in given] for key, given in found.items() if given}
        if self.visible_ratio == NOT_OCCLUDED:
            rows["visible"] = [1.0, None]
        return rows | ({} if self.margin is None else {"margin": [self.margin]})


SUBSETS = (
    Subset("reasonable", (50, math.inf), (0.65, math.inf)),
    Subset("small", (50, 75), (0.65, math.inf)),
    Subset("medium", (75, 100), (0.65, math.inf)),
    Subset("large", (100, math.inf), (0.65, math.inf)),
    Subset("bare", (50, math.inf), (0.9, math.inf)),
    Subset("partial", (50, math.inf), (0.65, 0.9)),
    Subset("heavy", (50, math.inf), (0, 0.65)),
    Subset("occluded", (50, math.inf), (0.2, 0.65)),
    Subset("all", (20, math.inf), (0.2, math.inf)),
)
"""CityPersons' subsets in the order of the output; "occluded" is the benchmark's "occ=heavy"."""

_HEIGHTS = (
    Subset("from 50 px", (50, math.inf), EVERYTHING),
    Subset("50-75 px", (50, 75), EVERYTHING),
    Subset("75-100 px", (75, 100), EVERYTHING),
    Subset("from 100 px", (100, math.inf), EVERYTHING),
    Subset("from 20 px", (20, math.inf), EVERYTHING),
    Subset("everybody", (0, math.inf), EVERYTHING),
)

_CALTECH_ORIGINAL = (
    Subset("reasonable", (50, math.inf), (0.65, math.inf)),
    Subset("all", (20, math.inf), (0.2, math.inf)),
    Subset("scale=large", (100, math.inf), NOT_OCCLUDED),
    Subset("scale=near", (80, math.inf), NOT_OCCLUDED),
    Subset("scale=medium", (30, 80), NOT_OCCLUDED),
    Subset("scale=far", (20, 30), NOT_OCCLUDED),
    Subset("occ=none", (50, math.inf), NOT_OCCLUDED),
    Subset("occ=partial", (50, math.inf), (0.65, 1)),
    Subset("occ=heavy", (50, math.inf), (0.2, 0.65)),
    Subset("ar=all", (50, math.inf), NOT_OCCLUDED, aspect_deviation=(0, math.inf)),
    Subset("ar=typical", (50, math.inf), NOT_OCCLUDED, aspect_deviation=(0, 0.1)),
    Subset("ar=atypical", (50, math.inf), NOT_OCCLUDED, aspect_deviation=(0.1, math.inf)),
    Subset("expand=100", (50, math.inf), (0.65, math.inf), margin=1.0),
    Subset("expand=150", (50, math.inf), (0.65, math.inf), margin=1.5),
)

PUBLISHED: dict[str, tuple[Subset, ...]] = {
    # The 2018 evaluation script's ranges (small, medium and large as in the CSP and ALFNet papers).
    "citypersons": SUBSETS,
    # Zhang et al. (CVPR 2017) and those who follow it: R, HO, R+HO.
    "r-ho": (
        Subset("R", (50, math.inf), (0.65, math.inf)),
        Subset("HO", (50, math.inf), (0.2, 0.65)),
        Subset("R+HO", (50, math.inf), (0.2, math.inf)),
    ),
    # What Pedestron prints; its "heavy" is not the script's.
    "pedestron": (
        Subset("reasonable", (50, math.inf), (0.65, math.inf)),
        Subset("small", (50, 75), (0.65, math.inf)),
        Subset("heavy", (50, math.inf), (0.2, 0.65)),
        Subset("all", (20, math.inf), (0.2, math.inf)),
    ),
    "caltech": _CALTECH_ORIGINAL,
    # On the new annotations the other settings hold nobody, or the same as Reasonable (docs/method.md#caltech).
    "caltech-new": (
        Subset("reasonable", (50, math.inf), (0.65, math.inf)),
        Subset("small", (50, 75), (0.65, math.inf)),
        Subset("occ=heavy", (50, math.inf), (0.2, 0.65)),
        Subset("all", (20, math.inf), (0.2, math.inf)),
    ),
    "crowdhuman": (Subset("everybody", EVERYTHING, EVERYTHING),),
    # For ground truths that do not say how much of a pedestrian is visible.
    "heights": _HEIGHTS,
}
"""The published sets of subsets by name."""

_SPEC = "NAME=height:50-,visible:0.2-0.65 (pixels, and a fraction from 0 to 1; each may be left out)"


def parse_subset(text: str) -> Subset:
    """Read a subset of one's own: NAME=height:LOW-HIGH,visible:LOW-HIGH, where a side may be left out.

    Raises AlfnetError for anything else.
    """
    name, equals, spec = text.partition("=")
    if not equals:
        for known in PUBLISHED.values():
            for subset in known:
                if subset.name == text:
                    return subset
        raise AlfnetError(f"subset {text!r}: no published one has this name; expected {_SPEC}")
    ranges: dict[str, Any] = {}
    for part in filter(None, map(str.strip, spec.split(","))):
        key, colon, value = part.partition(":")
        if not colon or key.strip() in ranges:
            raise AlfnetError(f"subset {text!r}: {part!r} was found; expected {_SPEC}")
        ranges[key.strip()] = value
    return _subset(name, ranges, f"subset {text!r}")


def read_subsets(name_or_path: str | os.PathLike[str]) -> tuple[Subset, ...]:
    """Return the published subsets of that name, or those in a YAML or JSON file.

    The file maps names to ranges: {"R+HO": {"height": "50-", "visible": "0.2-"}}; a range may also be a list of two
    numbers, null for no bound. Raises AlfnetError for an unknown name and a file of another kind.
    """
    if isinstance(name_or_path, str) and name_or_path in PUBLISHED:
        return PUBLISHED[name_or_path]
    path = Path(name_or_path)
    if not path.suffix and not path.exists():
        raise AlfnetError(
            f"subsets {str(path)!r}: neither a file nor a published set; these are: {', '.join(PUBLISHED)}"
        )
    content = _read_mapping(path)
    if not isinstance(content, dict) or not content:
        raise AlfnetError(f"{path}: expected subsets by name, like\nR+HO: {{height: 50-, visible: 0.2-}}")
    return distinct([_subset(name, ranges, f"{path}: subset {name!r}") for name, ranges in content.items()])


def chosen_subsets(names: Iterable[str]) -> tuple[Subset, ...]:
    """Return what `evaluate.subsets` of the parameters names: published sets, and one's own (`parse_subset`).

    Reasonable comes first, also where it is not among them. Raises AlfnetError where two that differ have one name.
    """
    return distinct([SUBSETS[0], *named_subsets(names)])


def named_subsets(listed: Iterable[str | Subset]) -> list[Subset]:
    """Return the subsets of a list of published sets' names, subsets' names, one's own (`parse_subset`) and subsets.

    Raises AlfnetError for anything else.
    """
    found: list[Subset] = []
    for one in listed:
        if not isinstance(one, (str, Subset)):
            raise AlfnetError(f"subsets: {_shown(one)} was found; expected names, or {_SPEC}")
        if isinstance(one, Subset):
            found.append(one)
        else:
            found += PUBLISHED[one] if one in PUBLISHED else (parse_subset(one),)
    return found


def distinct(subsets: Iterable[Subset]) -> tuple[Subset, ...]:
    """Return the subsets in their order. Raises AlfnetError where two differ and have one name; equal ones count once."""
    found: dict[str, Subset] = {}
    for subset in subsets:
        if found.setdefault(subset.name, subset) != subset:
            raise AlfnetError(f"subset {subset.name!r}: two different ones have this name; give each its own")
    return tuple(found.values())


def without_whole_ones(subsets: Sequence[Subset]) -> tuple[tuple[Subset, ...], str]:
    """Return what of `subsets` can be evaluated where nobody is marked as not occluded at all, and a sentence that says so."""
    usable = tuple(subset for subset in subsets if subset.visible_ratio != NOT_OCCLUDED)
    left_out = ", ".join(subset.name for subset in subsets if subset not in usable)
    if not left_out or not usable:
        return tuple(subsets), ""
    return usable, (
        "the ground truth does not mark who is not occluded at all, as Caltech's .vbb files do, so these subsets, which need it, "
        f"are left out: {left_out}"
    )


def without_visibility(subsets: Sequence[Subset]) -> tuple[tuple[Subset, ...], str]:
    """Return what of `subsets` can be evaluated on a ground truth without visible ratios, and a sentence that says so.

    Where none can, the ranges of heights alone take their place.
    """
    usable = tuple(subset for subset in subsets if not subset.needs_visibility)
    left_out = [subset.name for subset in subsets if subset.needs_visibility]
    if not left_out:
        return usable, ""
    instead = "" if usable else "; ranges of height alone are evaluated instead"
    sentence = f"the ground truth has no vis_ratio, so these subsets, which need it, are left out: {', '.join(left_out)}{instead}"
    return usable or PUBLISHED["heights"], sentence


def _subset(name: Any, ranges: Any, where: str) -> Subset:
    name = str(name).strip()
    if not name or len(name) > 40 or not name.isprintable():
        raise AlfnetError(f"{where}: expected a name of 1 to 40 characters")
    if isinstance(ranges, str):
        return parse_subset(f"{name}={ranges}")
    if not isinstance(ranges, dict):
        raise AlfnetError(f"{where}: {_shown(ranges)} was found; expected height and visible, as in {_SPEC}")
    unknown = set(ranges) - {"height", "visible"}
    if unknown:
        raise AlfnetError(f"{where}: unknown key {_shown(sorted(map(str, unknown))[0])}; there are height and visible")
    height = _range(ranges.get("height"), f"{where}: height", 0.0)
    visible = _range(ranges.get("visible"), f"{where}: visible", 0.0)
    if visible[0] > 1 or (visible[1] > 1 and not math.isinf(visible[1])):
        raise AlfnetError(f"{where}: visible is a fraction of the body, from 0 to 1")
    # A bound of 1 is no bound, and 0 is none: so a subset of heights alone needs no visible ratios.
    visible = (visible[0], math.inf if visible[1] >= 1 else visible[1])
    return Subset(name, height, EVERYTHING if visible == (0, math.inf) else visible)


def _range(value: Any, where: str, lowest: float) -> Range:
    low: Any
    high: Any
    if value is None:
        return lowest, math.inf
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        low, high = value, None
    elif isinstance(value, str) and (found := re.fullmatch(r"\s*([0-9.]*)\s*-\s*([0-9.]*)\s*", value)):
        low, high = found[1] or None, found[2] or None
    elif isinstance(value, str) and (found := re.fullmatch(r"\s*>=\s*([0-9.]+)\s*", value)):
        low, high = found[1], None
    elif isinstance(value, list) and len(value) == 2:
        low, high = value
    else:
        raise AlfnetError(f"{where}: {_shown(value)} was found; expected a range like 50-, 50-75 or -75")
    try:
        bounds = (lowest if low is None else float(low), math.inf if high is None else float(high))
    except (TypeError, ValueError, OverflowError):
        raise AlfnetError(f"{where}: {_shown(value)} was found; expected a range like 50-, 50-75 or -75") from None
    if not lowest <= bounds[0] <= bounds[1]:
        raise AlfnetError(f"{where}: {_shown(value)} is no range from a lower to a higher bound")
    return bounds


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:60] + "..."


def _read_mapping(path: Path) -> Any:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise AlfnetError(f"{path}: cannot be read as subsets ({error.strerror or error})") from None
    except ValueError as error:
        raise AlfnetError(f"{path}: cannot be read as subsets ({error})") from None
    if len(text) > 2**20:
        raise AlfnetError(f"{path}: larger than 1 MiB; a file of subsets is a few lines")
    if text.lstrip().startswith("{"):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            pass  # YAML has braces, too
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError, RecursionError, AttributeError) as error:
        problem = getattr(error, "problem", None) or (str(error).splitlines() or [type(error).__name__])[0]
        mark = getattr(error, "problem_mark", None)
        where = "" if mark is None else f" in line {mark.line + 1}"
        raise AlfnetError(f"{path}: no valid YAML or JSON ({problem}{where})") from None
