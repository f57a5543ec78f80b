"""What of CityPersons lies in a folder, what is missing, and where to put it.

Cityscapes (https://www.cityscapes-dataset.com) gives the images as leftImg8bit_trainvaltest.zip (11 GB) and the annotations
as gtBbox_cityPersons_trainval.zip; anno_train.mat and anno_val.mat come from CityPersons' own repository.
"""

from __future__ import annotations

import os
import re
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from alfnet.annotations.citypersons import ImageAnnotations, read_mat
from alfnet.annotations.citypersons_json import SUFFIX, read_citypersons
from alfnet.annotations.images import Split
from alfnet.errors import AlfnetError
from alfnet.files import write_bytes
from alfnet.images import read_image
from alfnet.inspection.findings import Findings, plural, some

IMAGE_ZIP, ANNOTATION_ZIP = "leftImg8bit_trainvaltest.zip", "gtBbox_cityPersons_trainval.zip"
HOME = "data/citypersons"
IMAGES: dict[Split, int] = {"train": 2975, "val": 500}
ROWS: dict[Split, int] = {"train": 27770, "val": 5795}
SIZE = (1024, 2048)
SAMPLE = 6  # images per split that are decoded

_IMAGE_SUFFIX = "_leftImg8bit.png"
_MEMBER = re.compile(r"^leftImg8bit/(train|val)/([a-z]+)/([a-z]+_\d+_\d+_leftImg8bit\.png)$")
_FRAME = re.compile(r"^[a-z]+_\d{6}_\d{6}(_leftImg8bit)?\.(png|jpg|jpeg)$")


def looks_like_citypersons(folder: Path) -> bool:
    """Whether something of the data set lies in a folder."""
    return (
        any((folder / name).exists() for name in ("leftImg8bit", IMAGE_ZIP, ANNOTATION_ZIP, "gtBboxCityPersons"))
        or folder.name == "leftImg8bit"
        or any(folder.rglob("anno_*.mat"))
        or any(_FRAME.match(file.name) for file in _first_files(folder))
    )


def check_citypersons(folder: Path, progress: Callable[[int], None] | None = None) -> Findings:
    """Look for images and annotations in `folder`, count them against the published numbers, and decode a sample."""
    found = Findings()
    images = _image_root(folder)
    annotations = {split: _annotations(folder, split, found) for split in IMAGES}
    if images is None:
        zip_path = next(iter(sorted(folder.rglob(IMAGE_ZIP))), None)
        if zip_path is not None:
            found.problems.append(f"{zip_path}: not unpacked yet; run: alfnet data check {folder} --unpack")
        elif not _other_layout(folder, found):
            found.problems.append(
                f"{folder}: no images; get {IMAGE_ZIP} from https://www.cityscapes-dataset.com (registration), put it "
                f"into {HOME}/ and run: alfnet data check {HOME} --unpack"
            )
    else:
        for split in IMAGES:
            _check_split(images, split, annotations[split], found, progress)
        cities = (path for split in IMAGES for path in sorted((images / split).glob("*")))
        linked = [
            path for path in (folder, images, *(images / split for split in IMAGES), *cities) if path.is_symlink()
        ]
        if linked:
            found.doubts.append(
                f"{linked[0]} is a link: `dvc add` leaves out what is linked; use it without `dvc add`, with data.folder: "
                f"{images.parent.resolve()}"
            )
        elif images.resolve() != Path(HOME, "leftImg8bit").resolve():
            place = f"data.folder: {images.parent.resolve()}"
            if mat := next(iter(sorted(folder.rglob("anno_train.mat"))), None):
                place += f", data.annotations: {mat.parent.resolve()}"
            found.facts.append(f"to use them where they are: {place}")
    return found


def unpack_images(folder: Path, progress: Callable[[int, int], None] | None = None) -> int:
    """Unpack train and val of leftImg8bit_trainvaltest.zip beside it; return the number of images written.

    Images that are there with their whole size are kept, and those that some program wrote in part are written whole, so
    that the same command goes on after an interruption. Raises AlfnetError where the archive is missing, cut short or
    damaged, and in the end where images of another content are there: they are somebody's own.
    """
    path = next(iter(sorted(folder.rglob(IMAGE_ZIP))), None)
    if path is None:
        raise AlfnetError(f"{folder}: no {IMAGE_ZIP} in it; get it from https://www.cityscapes-dataset.com")
    different: list[str] = []
    try:
        with zipfile.ZipFile(path) as archive:
            members = [entry for entry in archive.infolist() if _MEMBER.match(entry.filename)]
            written = 0
            for number, entry in enumerate(members, start=1):
                target = path.parent / entry.filename
                if not target.is_file() or target.stat().st_size != entry.file_size:
                    content = archive.read(entry)
                    if target.exists() and not _is_begin(target, content):
                        different.append(entry.filename)
                    else:
                        write_bytes(target, content)
                        written += 1
                if progress is not None:
                    progress(number, len(members))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise AlfnetError(f"{path}: a damaged archive ({error}); fetch it again") from None
    if not members:
        raise AlfnetError(
            f"{path}: no images leftImg8bit/train/<city>/*{_IMAGE_SUFFIX} in it; is it Cityscapes' archive?"
        )
    if different:
        raise AlfnetError(
            f"{path}: {len(different)} images are there with another content than in the archive, e.g. {different[0]}; they were "
            f"left as they are and {written} others written: delete them to unpack them anew"
        )
    return written


def _is_begin(path: Path, content: bytes) -> bool:
    """Whether a file holds the begin of `content`, as an interrupted program leaves it."""
    return path.is_file() and path.stat().st_size < len(content) and content.startswith(path.read_bytes())


def _first_files(folder: Path, most: int = 2000) -> list[Path]:
    files: list[Path] = []
    for root, folders, names in os.walk(folder, followlinks=True):
        folders.sort()
        files += [Path(root) / name for name in sorted(names)]
        if len(files) >= most:
            break
    return files[:most]


def _image_root(folder: Path) -> Path | None:
    """The folder leftImg8bit with train or val in it: the folder itself, or below it."""
    candidates = [
        folder,
        folder / "leftImg8bit",
        *sorted(folder.glob("*/leftImg8bit")),
        *sorted(folder.glob("*/*/leftImg8bit")),
    ]
    for one in candidates:
        if any((one / split).is_dir() for split in IMAGES) and (
            one.name == "leftImg8bit" or any(one.glob(f"*/*/*{_IMAGE_SUFFIX}"))
        ):
            return one
    return None


def _annotations(folder: Path, split: Split, found: Findings) -> list[ImageAnnotations] | None:
    path = next(iter(sorted(folder.rglob(f"anno_{split}.mat"))), None)
    if path is None:
        path = next((one for one in sorted(folder.rglob(split)) if any(one.glob(f"*/*{SUFFIX}"))), None)
    if path is None:
        zip_path = next(iter(sorted(folder.rglob(ANNOTATION_ZIP))), None)
        there = f"; {zip_path} holds them as JSON: unpack it" if zip_path else ""
        found.problems.append(
            f"{folder}: no annotations of {split}{there or f'; put anno_{split}.mat into {HOME}/annotations/'} "
            f"(or the JSON folder gtBboxCityPersons/{split})"
        )
        return None
    try:
        images = read_mat(path, split) if path.is_file() else read_citypersons(path, split)
    except AlfnetError as error:
        found.problems.append(str(error))
        return None
    rows = sum(len(image.rows) for image in images)
    found.facts.append(f"{path}: {plural(len(images), 'image')}, {plural(rows, 'row')}")
    if (len(images), rows) != (IMAGES[split], ROWS[split]):
        found.doubts.append(
            f"{path}: CityPersons' {split} has {IMAGES[split]:,} images and {ROWS[split]:,} rows: is this a part, "
            "or another data set?"
        )
    return images


def _check_split(
    images: Path,
    split: Split,
    annotated: list[ImageAnnotations] | None,
    found: Findings,
    progress: Callable[[int], None] | None,
) -> None:
    folder = images / split
    if not folder.is_dir():
        found.problems.append(f"{folder}: not there; unpack {split} of {IMAGE_ZIP} too")
        return
    files = {file.name: file for file in folder.glob("*/*") if file.suffix == ".png"}
    cities = len({file.parent for file in files.values()})
    found.facts.append(f"{folder}: {plural(len(files), 'image')} in {plural(cities, 'folder')} of cities")
    if annotated is None:
        if len(files) != IMAGES[split]:
            found.doubts.append(f"{folder}: CityPersons' {split} has {IMAGES[split]:,} images")
        expected = sorted(files)
    else:
        expected = [image.file_name for image in annotated]
        missing = [image for image in annotated if not (folder / image.city / image.file_name).is_file()]
        if missing:
            of_city = Counter(image.city for image in annotated)
            gone = [city for city, count in Counter(image.city for image in missing).items() if count == of_city[city]]
            whole = f"; whole cities: {', '.join(gone)}" if gone else ""
            found.problems.append(
                f"{folder}: {len(missing)} of {len(annotated)} annotated images are not there, e.g. "
                f"{missing[0].city}/{missing[0].file_name}{whole}{_renamed(folder, missing[0])}"
            )
    there = [files[name] for name in expected if name in files]
    for number, file in enumerate(there[:: max(1, len(there) // SAMPLE)][:SAMPLE], start=1):
        try:
            shape = read_image(file).shape[:2]
        except AlfnetError as error:
            found.problems.append(str(error))
            continue
        if shape != SIZE:
            found.doubts.append(
                f"{file}: {shape[1]} x {shape[0]} px, Cityscapes' images have {SIZE[1]} x {SIZE[0]}: set data.width and "
                "data.height"
            )
        if progress is not None:
            progress(number)


def _renamed(folder: Path, image: ImageAnnotations) -> str:
    """What the missing image may be called instead."""
    stem = image.file_name.removesuffix(_IMAGE_SUFFIX)
    for place in (folder / image.city, folder):
        for suffix in (".png", ".jpg", "_leftImg8bit.jpg"):
            if (place / f"{stem}{suffix}").is_file():
                return (
                    f"; there is {place.relative_to(folder.parent) / (stem + suffix)}: names have to be "
                    f"<city>/<city>_<sequence>_<frame>{_IMAGE_SUFFIX}, so rename or link them"
                )
    return ""


def _other_layout(folder: Path, found: Findings) -> bool:
    """Say what to do with cities without split folders, and names without their suffix; True where there are images."""
    files = [file for file in _first_files(folder, 20000) if _FRAME.match(file.name)]
    if not files:
        return False
    cities = sorted({file.parent.name for file in files})
    found.facts.append(f"{folder}: {plural(len(files), 'image')} of Cityscapes, in {some(cities)}")
    if any(not file.stem.endswith("_leftImg8bit") for file in files):
        found.problems.append(
            f"names without {_IMAGE_SUFFIX}, e.g. {files[0]}: rename them, and move them to "
            f"{HOME}/leftImg8bit/<split>/<city>/"
        )
    else:
        found.problems.append(
            f"{files[0].parent}: cities without a folder for the split; move frankfurt, lindau and munster to "
            f"{HOME}/leftImg8bit/val/, and the others to {HOME}/leftImg8bit/train/"
        )
    return True
