"""A ground truth in columns: images and annotations, whatever file they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import PurePosixPath

import numpy as np

from alfnet.errors import AlfnetError
from alfnet.reading.records import Booleans, Floats, Integers

PEDESTRIAN = 1
"""The category that is evaluated; CityPersons' ground truth has every annotation in it and tells by `ignore`."""


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A ground truth in columns: I images and G annotations, both in file order."""

    image_ids: Integers
    """(I,)"""
    file_names: tuple[str, ...]
    """I names, "" where the file has none."""
    image_sizes: Floats
    """(I, 2) height and width in pixels, NaN where the file does not say."""
    annotation_image_ids: Integers
    """(G,)"""
    boxes: Floats
    """(G, 4) x, y, width, height in pixels of the full image; they may leave it."""
    heights: Floats
    """(G,) pixels, the file's `height`."""
    visible_ratios: Floats
    """(G,) visible area / full area; NaN where the file does not say, infinity for whole pedestrians of a .vbb file."""
    ignored: Booleans
    """(G,) the file's `ignore`: ignore regions, riders, sitting persons, groups."""
    warnings: tuple[str, ...] = ()
    annotations: str = "coco"
    """The kind of annotations, which a protocol may belong to: coco, odgt, vbb or bbgt (Caltech's text files)."""
    category: int = PEDESTRIAN
    """The category that is evaluated, in the detections too."""
    crowds: Booleans | None = None
    """(G,) the file's `iscrowd`, which counts for nothing here, but does in pycocotools; None where it has none."""

    folds: tuple[int | None, ...] = ()
    """Per image the part of a cross-validation that it belongs to; empty where the file has none."""

    def of_fold(self, fold: int | None) -> GroundTruth:
        """The images of one part of a cross-validation, with their annotations; None: all."""
        if fold is None:
            return self
        chosen = np.array([one == fold for one in self.folds], dtype=np.bool_)
        if not chosen.any():
            raise AlfnetError(f"the ground truth has no image of fold {fold}; make it again: dvc repro ground_truth")
        mine = np.isin(self.annotation_image_ids, self.image_ids[chosen])
        return replace(
            self,
            image_ids=self.image_ids[chosen],
            file_names=tuple(name for name, kept in zip(self.file_names, chosen, strict=True) if kept),
            image_sizes=self.image_sizes[chosen],
            annotation_image_ids=self.annotation_image_ids[mine],
            boxes=self.boxes[mine],
            heights=self.heights[mine],
            visible_ratios=self.visible_ratios[mine],
            ignored=self.ignored[mine],
            folds=tuple(one for one in self.folds if one == fold),
        )

    def sizes_of(self, image_ids: Integers) -> Floats:
        """Width and height (n, 2) in pixels of the images with these ids (n,), which must be there; NaN where unknown."""
        order = np.argsort(self.image_ids, kind="stable")
        return self.image_sizes[order[np.searchsorted(self.image_ids, image_ids, sorter=order)]][:, ::-1]

    def ids_by_name(self) -> dict[str, int]:
        """Image ids by file name, by its last part and by that without suffix, where that is unique."""
        ids: dict[str, set[int]] = {}
        for name, image_id in zip(self.file_names, self.image_ids.tolist(), strict=True):
            for form in {name, PurePosixPath(name).name, PurePosixPath(name).stem} - {""}:
                ids.setdefault(form, set()).add(image_id)
        return {name: next(iter(found)) for name, found in ids.items() if len(found) == 1}

    def describe_ids(self) -> str:
        """Say in a message which ids there are."""
        return f"{len(self.image_ids)} images with ids {self.image_ids.min()} to {self.image_ids.max()}"
