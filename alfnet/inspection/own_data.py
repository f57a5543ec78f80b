"""A params.yaml that trains on somebody's own COCO file: the profile `own` with the file's place, category and frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from alfnet.annotations.coco import load_coco, read_coco
from alfnet.annotations.images import AnnotatedImage
from alfnet.errors import AlfnetError
from alfnet.files import write_text
from alfnet.inspection.findings import plural
from alfnet.params import check_params
from alfnet.profiles import merged_text, profiles

# Height and width, the smallest first: images are shrunk into the smallest in which people are tall enough.
FRAMES = ((256, 512), (512, 1024), (1024, 2048))
MEDIAN_HEIGHT = 60  # pixels; the levels of small strides, which have most anchors, then see most people


def write_own_params(path: Path, images: Path | None, category: str | None, out: Path, *, force: bool) -> str:
    """Write the parameter file `out` for a COCO file; return what to do next.

    The frame is chosen so that half of the people are at least 60 px tall in it. Raises AlfnetError where `out` holds
    changes that no profile has, unless `force`.
    """
    from io import StringIO

    from ruamel.yaml import YAML

    present = out.read_text() if out.is_file() else None
    untouched = present is None or "profile: own\n" in present or present in map(merged_text, profiles())
    if not untouched and not force:
        raise AlfnetError(
            f"{out} holds changes that no profile has; keep them as profiles/YOURS.yaml, or add --force to lose them"
        )
    annotated = read_coco(path, category)
    height, width = choose_frame(annotated)
    folder = images or next(one for one in (path.parent / "images", path.parent) if one.is_dir())
    yaml = YAML()
    content = yaml.load(merged_text("own"))
    prepare = content["prepare"]["own"]
    prepare["url"] = path.resolve().as_uri()
    prepare["images"] = str(folder.resolve())
    prepare["category"] = load_coco(path, category).category if category is not None else None
    for section in (prepare, content["data"]):
        section["height"], section["width"] = height, width
    text = StringIO()
    yaml.default_flow_style = False
    yaml.dump(content, text)
    check_params(YAML(typ="safe").load(text.getvalue()), str(out))
    write_text(out, text.getvalue())
    return (
        f"{out} now trains on {plural(len(annotated), 'image')} of {path}, shrunk into {width} x {height} px (the smallest "
        "frame in which half of the people are tall enough), a fifth of them kept for tests; next: dvc repro"
    )


def choose_frame(images: list[AnnotatedImage]) -> tuple[int, int]:
    """Height and width of the smallest frame in which half of the people are at least 60 px tall."""
    for height, width in FRAMES:
        tall = [
            box[3] * min(1.0, height / image.height, width / image.width)
            for image in images
            for box in image.boxes[image.pedestrian]
        ]
        if tall and np.median(tall) >= MEDIAN_HEIGHT:
            return height, width
    return FRAMES[-1]
