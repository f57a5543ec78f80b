"""A params.yaml that trains on somebody's own COCO file: the profile `own` with the file's place, category and frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alfnet.annotations.coco import load_coco, read_coco
from alfnet.annotations.data_set import training_rule
from alfnet.annotations.images import AnnotatedImage, Split, deal_into_folds
from alfnet.annotations.training_cache import training_cache
from alfnet.errors import AlfnetError
from alfnet.files import write_text
from alfnet.inspection.findings import plural
from alfnet.params import check_params
from alfnet.preparation.fetch import md5_of
from alfnet.preparation.prepare import prepared_name
from alfnet.profiles import load_profile, merged_text, profiles

# Height and width, the smallest first: images are shrunk into the smallest in which people are tall enough.
FRAMES = ((256, 512), (512, 1024), (1024, 2048))
MEDIAN_HEIGHT = 60  # pixels; the levels of small strides, which have most anchors, then see most people


def write_own_params(path: Path, images: Path | None, category: str | None, out: Path, *, force: bool) -> str:
    """Write the parameter file `out` for a COCO file; return what to do next.

    The frame is chosen so that half of the people are at least 60 px tall in it. Raises AlfnetError where `out` holds
    changes that neither a profile nor this function made, unless `force`.
    """
    from ruamel.yaml import YAML

    present = out.read_text() if out.is_file() else None
    if present is not None and not force and not _is_as_written(present):
        raise AlfnetError(
            f"{out} holds changes of yours that no profile has; keep them as profiles/YOURS.yaml, or add --force to lose them"
        )
    annotated = read_coco(path, category)
    height, width = choose_frame(annotated)
    folder = images or next(one for one in (path.parent / "images", path.parent) if one.is_dir())
    text = _parameters(
        url=path.resolve().as_uri(),
        images=str(folder.resolve()),
        category=load_coco(path, category).category if category is not None else None,
        size=path.stat().st_size,
        md5=md5_of(path),
        height=height,
        width=width,
    )
    check_params(YAML(typ="safe").load(text), str(out))
    write_text(out, text)
    median = _median_height(annotated, height, width)
    why = (
        "the smallest frame in which half of the people are tall enough"
        if median >= MEDIAN_HEIGHT
        else f"half of the people are lower than {median:.0f} px there, too small to be found well: {MEDIAN_HEIGHT} px are "
        "wanted, and images are never enlarged"
    )
    return (
        f"{out} now trains on {plural(len(annotated), 'image')} of {path}, shrunk into {width} x {height} px where they are "
        f"larger ({why}), a fifth of them kept for tests; next: dvc repro"
    )


def _is_as_written(text: str) -> bool:
    """Whether a parameter file is a profile, or what `write_own_params` writes for the place that the file names."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    if text in map(merged_text, profiles()):
        return True
    try:
        own = YAML(typ="safe").load(text)["prepare"]["own"]
        given = {key: own[key] for key in ("url", "images", "category", "md5", "height", "width")}
        return text == _parameters(size=own["bytes"], **given)
    except (YAMLError, KeyError, TypeError):
        return False


def _parameters(
    *, url: str, images: str, category: str | None, size: int | None, md5: str | None, height: int, width: int
) -> str:
    """The text of the profile `own` with a place and what the file there holds, a category and a frame."""
    from io import StringIO

    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 4096  # an address stays on its line
    content = yaml.load(merged_text("own"))
    prepare = content["prepare"]["own"]
    prepare["url"], prepare["images"], prepare["category"] = url, images, category
    prepare["bytes"], prepare["md5"] = size, md5  # so that another content is prepared anew
    for section in (prepare, content["data"]):
        section["height"], section["width"] = height, width
    text = StringIO()
    yaml.default_flow_style = False
    yaml.dump(content, text)
    return text.getvalue()


def untrainable(path: Path, category: str | None) -> list[str]:
    """What keeps the pipeline from training on a COCO file by the profile `own`: too few images, or nobody in a part.

    The images are shrunk and parted as the pipeline does it. Raises AlfnetError where the file cannot be read.
    """
    data: Any = load_profile("own").data
    annotated = read_coco(path, category)
    height, width = choose_frame(annotated)
    framed = [_framed(image, height, width) for image in annotated]
    names: dict[str, str] = {}
    for image, original in zip(framed, annotated, strict=True):
        if image.file_name in names:
            return [
                f"{names[image.file_name]} and {original.file_name} would both become {image.file_name}; rename one of them"
            ]
        names[image.file_name] = original.file_name
    folds = data.split.folds
    if len(framed) < folds:
        return [
            f"{plural(len(framed), 'image')}: at least {folds} are needed, of which a part is kept for tests (data.split); "
            "annotate more images"
        ]
    dealt = deal_into_folds(framed, data.split.seed, folds)
    people = sum(bool(image.pedestrian.any()) for image in annotated)
    problems = []
    parts: tuple[tuple[str, Split], ...] = (("trained on", "train"), ("kept for tests", "val"))
    for purpose, split in parts:
        part = [image for image in dealt if (image.fold == 0) == (split == "val")]
        if any(not entry["ignore"] for entry in training_cache(part, split, training_rule(data))["annotations"]):
            continue
        if there := sum(int(image.pedestrian.sum()) for image in part):
            problems.append(
                f"no person of {there} in the {len(part)} images that would be {purpose} is at least "
                f"{data.minimum_pedestrian_height:g} px tall inside a frame of {width} x {height} px, and images are never "
                "enlarged; take larger images, or correct the boxes"
            )
        else:
            problems.append(
                f"nobody is annotated in the {len(part)} images that would be {purpose} (people are in {people} of "
                f"{len(dealt)} images); annotate people in more images"
            )
    return problems


def choose_frame(images: list[AnnotatedImage]) -> tuple[int, int]:
    """Height and width of the smallest frame in which half of the people are at least 60 px tall.

    Where they are in none, the smallest in which they are as tall as in the largest.
    """
    for height, width in FRAMES:
        if _median_height(images, height, width) >= MEDIAN_HEIGHT:
            return height, width
    peopled = [image for image in images if image.pedestrian.any()]
    largest = [_scale(image, *FRAMES[-1]) for image in peopled]
    return next(frame for frame in FRAMES if [_scale(image, *frame) for image in peopled] == largest)


def _median_height(images: list[AnnotatedImage], height: int, width: int) -> float:
    """Of people in a frame, pixels; 0 where there is nobody."""
    tall = [box[3] * _scale(image, height, width) for image in images for box in image.boxes[image.pedestrian]]
    return float(np.median(tall)) if tall else 0.0


def _scale(image: AnnotatedImage, height: int, width: int) -> float:
    return min(1.0, height / image.height, width / image.width)


def _framed(image: AnnotatedImage, height: int, width: int) -> AnnotatedImage:
    """An image as the stage `prepare` shrinks and names it."""
    scale = _scale(image, height, width)
    boxes, visible = image.boxes * scale, image.visible * scale
    name = prepared_name(image.file_name)
    return replace(image, file_name=name, height=height, width=width, boxes=boxes, visible=visible)
