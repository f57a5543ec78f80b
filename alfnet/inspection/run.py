"""`alfnet data check`: what a path or the data set of params.yaml holds, for a person to read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from alfnet.annotations.citypersons import annotated
from alfnet.annotations.citypersons_json import read_citypersons
from alfnet.annotations.coco import read_coco
from alfnet.annotations.data_set import read_split, source_of
from alfnet.annotations.images import AnnotatedImage, Split
from alfnet.errors import AlfnetError
from alfnet.files import write_bytes
from alfnet.images import image_size
from alfnet.inspection.citypersons import SIZE, check_citypersons, looks_like_citypersons
from alfnet.inspection.coco import check_coco
from alfnet.inspection.findings import Findings, plural
from alfnet.inspection.own_data import untrainable
from alfnet.inspection.sheet import contact_sheet
from alfnet.params import Params


def check_path(path: Path, images: Path | None, category: str | None, sheet: Path | None) -> Findings:
    """Check a COCO file, or a folder that holds (a part of) CityPersons; write a contact sheet where one is asked for.

    Raises AlfnetError for what is neither.
    """
    if path.is_dir():
        broken = [link for link in sorted(path.iterdir()) if link.is_symlink() and not link.exists()]
        nowhere = [
            f"{link}: a link to {link.readlink()}, where nothing is; mount it, or correct the link" for link in broken
        ]
        if not looks_like_citypersons(path):
            if nowhere:
                raise AlfnetError(nowhere[0])
            coco = sorted(path.glob("*.json"))
            hint = f"; for a COCO file name the file: alfnet data check {coco[0]}" if coco else ""
            raise AlfnetError(f"{path}: nothing of CityPersons or Cityscapes was found in this folder{hint}")
        found = check_citypersons(path)
        found.doubts += nowhere
        if sheet is not None:
            _citypersons_sheet(path, sheet, found)
        return found
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file or folder; name a COCO file, or the folder of a CityPersons copy")
    if path.suffix == ".mat":
        folder = path.parent.parent if path.parent.name == "annotations" else path.parent
        raise AlfnetError(
            f"{path}: a MATLAB file, as CityPersons' annotations are; name the folder of the whole copy: alfnet data check "
            f"{folder}"
        )
    folder = images or next((one for one in (path.parent / "images", path.parent) if one.is_dir()), path.parent)
    found = check_coco(path, folder, category)
    if not found.problems:
        found.problems += untrainable(path, category)
    if sheet is not None:
        _sheet(sheet, lambda: read_coco(path, category), folder, found)
    return found


def check_data_set(params: Params, sheet: Path | None) -> Findings:
    """Check the data set that params.yaml describes, in whatever format."""
    found = Findings()
    splits: tuple[Split, ...] = ("train", "val")
    shown: list[AnnotatedImage] = []
    for split in splits:
        source = source_of(params.data, split)
        try:
            images = read_split(params.data, split)
        except AlfnetError as error:
            if str(error) not in found.problems:
                found.problems.append(str(error))
            continue
        people = sum(int(image.pedestrian.sum()) for image in images)
        ignored = sum(len(image.boxes) for image in images) - people
        found.facts.append(
            f"{split}: {plural(len(images), 'image')}, {people:,} pedestrians, {plural(ignored, 'ignore region')} "
            f"({source.annotations})"
        )
        _check_files(images, source.images, found)
        shown += images
    if sheet is not None and shown:
        _sheet(sheet, lambda: shown, params.data.images_folder, found)
    return found


def _check_files(images: Sequence[AnnotatedImage], folder: Path, found: Findings) -> None:
    missing = [image.file_name for image in images if not (folder / image.file_name).is_file()]
    if missing:
        found.problems.append(f"{folder}: {len(missing)} of {len(images)} images are not there, e.g. {missing[0]}")
    other, broken = [], []
    for image in images:
        try:
            if (folder / image.file_name).is_file() and image_size(folder / image.file_name) != (
                image.height,
                image.width,
            ):
                other.append(image.file_name)
        except AlfnetError as error:
            broken.append(str(error))
    if other:
        found.problems.append(f"{len(other)} of {len(images)} images have another size than annotated, e.g. {other[0]}")
    if broken:
        found.problems.append(f"{len(broken)} of {len(images)} images cannot be read, e.g. {broken[0]}")


def _citypersons_sheet(folder: Path, sheet: Path, found: Findings) -> None:
    mat = next(iter(sorted(folder.rglob("anno_val.mat"))), None)
    images = next(iter(sorted(folder.rglob("leftImg8bit/val"))), None)
    if mat is None or images is None:
        found.doubts.append("no contact sheet: it needs anno_val.mat and leftImg8bit/val")
        return
    listed = annotated(read_citypersons(mat, "val"), "val", height=SIZE[0], width=SIZE[1])
    there = [image for image in listed if (images.parent / image.file_name).is_file()]
    _sheet(sheet, lambda: there, images.parent, found)


def _sheet(sheet: Path, read, folder: Path, found: Findings) -> None:  # type: ignore[no-untyped-def]
    try:
        png, faults = contact_sheet(read(), folder)
    except AlfnetError as error:
        found.doubts.append(f"no contact sheet: {error}")
        return
    write_bytes(sheet, png)
    found.problems += [fault for fault in faults if fault not in found.problems]
    found.facts.append(f"{sheet}: some images with their boxes (green: pedestrians, orange: ignore regions)")
