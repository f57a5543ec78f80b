"""What benchmarks do differently, as data: there is one matching, and a protocol says with which rules.

Sources: CityPersons' public script (docs/method.md#miss-rate), Caltech's toolbox (docs/method.md#caltech), CrowdHuman's
devkit as its users ship it (its Caltech-style matching and `eval_MR`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from alfnet.errors import AlfnetError
from alfnet.evaluation.subsets import PUBLISHED, Subset


@dataclass(frozen=True)
class Protocol:
    """The rules of a benchmark's log-average miss rate. Boxes are x, y, width, height in pixels, areas without +1."""

    name: str
    subsets: tuple[Subset, ...]
    fppi_points: tuple[float, ...]
    """False positives per image at which the miss rate is read."""
    at_or_above: bool = False
    """Read the first point of the curve at or above an FPPI (and the last where there is none), not the last below."""
    floor: float = 0.0
    """The least miss rate that counts (a fraction); at 0, one point with miss rate 0 makes the figure 0."""
    detections_per_image: int | None = None
    """The best of an image that count, before the height margin; None: all."""
    height_margin: float = 1.25
    """Detections up to this factor outside a subset's heights take part: they may well meet a pedestrian inside."""
    highest_included: bool = True
    """A pedestrian of a subset's upper bound belongs to it."""
    threshold_included: bool = True
    """IoU >= threshold is a match; else only > is."""
    later_first: bool = True
    """Of equal IoUs the ground truth later in the file is taken; else the earlier one."""
    truth_aspect: float | None = None
    """Pedestrians that count get width = aspect * height about their centre; ignored boxes keep theirs."""
    detection_aspect: float | None = None
    """Detections get width = aspect * height about their centre."""
    border: float | None = None
    """Pedestrians that come closer to the image's edge, in pixels, are ignored."""
    clipped: bool = False
    """All boxes are cut off at the image's edges."""
    epsilon: float = 0.0
    """Added to areas that are divided by, square pixels."""
    lowest_iou: float = 0.5
    """The least IoU threshold that makes sense."""
    whole_numbers: bool = True
    """The numbers of Caltech's text annotations are rounded, as by the benchmark's reader."""

    def __post_init__(self) -> None:
        """Lists become tuples: a protocol is looked up by its content (`miss_rate.find_candidates`)."""
        object.__setattr__(self, "subsets", tuple(self.subsets))
        object.__setattr__(self, "fppi_points", tuple(self.fppi_points))


_ROUNDED = (0.0100, 0.0178, 0.0316, 0.0562, 0.1000, 0.1778, 0.3162, 0.5623, 1.0000)
_UNROUNDED = tuple(10 ** (-2 + step / 4) for step in range(9))

CITYPERSONS = Protocol(
    name="citypersons",
    subsets=PUBLISHED["citypersons"],
    fppi_points=_ROUNDED,
    floor=1e-10,
    detections_per_image=1000,
)

CALTECH_ORIGINAL = Protocol(
    name="caltech-original",
    subsets=PUBLISHED["caltech"],
    fppi_points=_UNROUNDED,
    highest_included=False,
    truth_aspect=0.41,
    detection_aspect=0.41,  # the official toolbox; the CSP and Pedestron copies leave detections as they are
    border=5.0,
    lowest_iou=0.1,
)

CALTECH_NEW = replace(
    CALTECH_ORIGINAL,
    name="caltech-new",
    subsets=PUBLISHED["caltech-new"],
    highest_included=True,
    detection_aspect=None,
)
"""Pedestron's ground truth of 2020: within bounds, widths 0.41 h."""

CALTECH_NEW_2016 = replace(CALTECH_NEW, name="caltech-new-2016", truth_aspect=None, border=None, whole_numbers=False)
"""CSP's ground truth of 2016: no bounds, boxes as they are, with their fractions."""

CROWDHUMAN = Protocol(
    name="crowdhuman",
    subsets=PUBLISHED["crowdhuman"],
    fppi_points=_ROUNDED,
    at_or_above=True,
    threshold_included=False,
    later_first=False,
    clipped=True,
    epsilon=1e-6,
)

PROTOCOLS = {
    protocol.name: protocol for protocol in (CITYPERSONS, CALTECH_ORIGINAL, CALTECH_NEW, CALTECH_NEW_2016, CROWDHUMAN)
}

_OF_ANNOTATIONS = {
    "coco": "citypersons",
    "odgt": "crowdhuman",
    "vbb": "caltech-original",
    "bbgt": "caltech-new",
}
"""The protocol that belongs to a kind of ground truth."""


def find_protocol(name: str | None, annotations: str = "coco") -> Protocol:
    """Return the protocol of that name; without one, or for "caltech", the one that the kind of annotations asks for.

    annotations: `GroundTruth.annotations`. Raises AlfnetError for an unknown name.
    """
    fitting = _OF_ANNOTATIONS.get(annotations, "citypersons")
    if name is None:
        return PROTOCOLS[fitting]
    if name == "caltech":
        return PROTOCOLS[fitting if fitting.startswith("caltech") else "caltech-new"]
    if name not in PROTOCOLS:
        raise AlfnetError(f"protocol {name!r}: unknown; there are citypersons, caltech, crowdhuman, and {_variants()}")
    return PROTOCOLS[name]


def _variants() -> str:
    return ", ".join(name for name in PROTOCOLS if name.startswith("caltech-"))
