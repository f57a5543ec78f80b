"""Keras 2 weight files (HDF5, `save_weights` layout), opened so that only what lies in the file itself can be read.

HDF5 files may point elsewhere: to other files by external links, external storage and virtual data sets. All that is
refused before anything is read, and an array is read only after its declared shape was compared with the expected one.
"""

from __future__ import annotations

import errno
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from alfnet.errors import AlfnetError

_HDF5 = b"\x89HDF\r\n\x1a\n"
_LAYERS_AT_MOST = 10_000
_ABSURD = 1e10  # no trained weight is near it; a flipped bit in an exponent often is

# Layers that tell a file's maker where the usual layout is not there.
_OTHER_LAYOUTS = {
    "conv1_conv": "the later ResNet-50 of keras-applications (its layers are called conv1_conv, conv2_block1_1_conv, ...)",
    "conv_pw_1_bn_1": "a MobileNet whose layers were renamed",
}


class Array:
    """One array of a layer: its shape is known, its numbers are read when asked for."""

    def __init__(self, path: Path, layer: str, dataset: h5py.Dataset) -> None:
        """Raises AlfnetError where the data set holds no floating-point numbers or lies outside the file."""
        self._where = f"{path}: layer {layer}: {dataset.name.rsplit('/', 1)[-1]}"
        self._dataset = dataset
        if dataset.is_virtual or dataset.external:
            raise AlfnetError(f"{self._where} lies in another file; such pointers are not followed")
        if dataset.shape is None or dataset.dtype.kind != "f":
            raise AlfnetError(f"{self._where} does not hold floating-point numbers")

    @property
    def shape(self) -> tuple[int, ...]:
        """The declared shape, in Keras' order."""
        return tuple(self._dataset.shape)

    def read(self) -> np.ndarray:
        """Return the numbers as float32; AlfnetError where they are not finite or absurdly large."""
        with np.errstate(over="ignore"):
            values = self._dataset[()].astype(np.float32)
        if not np.isfinite(values).all():
            raise AlfnetError(f"{self._where} holds values that are not finite")
        if values.size and np.abs(values).max() > _ABSURD:
            raise AlfnetError(
                f"{self._where} holds a value of {np.abs(values).max():g}; the file is damaged: download it again"
            )
        return values


Layers = Mapping[str, list[Array]]


@contextmanager
def open_layers(path: str | Path) -> Iterator[Layers]:
    """Yield the arrays of every layer that has any, by layer name and in the layer's order; the file stays open.

    A whole saved model (its weights in the group `model_weights`) and a model nested in another (as Keras'
    multi_gpu_model saves it) are read alike: what counts is the layers inside.

    Raises AlfnetError, also for what goes wrong within the block, where the file is missing, is something else (named
    where known), cut short, not in Keras' layout, points outside itself, or holds anything but finite numbers. Nothing in
    the file is executed.
    """
    path = Path(path)
    if not path.is_file():
        raise AlfnetError(f"{path}: no such file; a Keras weight file (HDF5) was expected")
    _check_start(path)
    try:
        with h5py.File(path, "r") as file:
            yield _layers(path, file)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES) and "lock" in str(error):
            raise AlfnetError(
                f"{path}: another process holds this file open for writing; wait until it has finished, or copy the file"
            ) from None
        raise _damaged(path, error) from None
    except (KeyError, RuntimeError, ValueError, TypeError, MemoryError, AttributeError, OverflowError) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> AlfnetError:
    reason = " ".join(str(error).split())[:200]
    return AlfnetError(
        f"{path}: not a whole HDF5 file in Keras' layout ({reason}); was it cut short? Download it again"
    )


def _check_start(path: Path) -> None:
    """Raise AlfnetError for a file that is clearly something else than HDF5, saying what."""
    with path.open("rb") as file:
        start = file.read(512)
    expected = "a Keras 2 weight file (HDF5) was expected"
    if start.startswith(_HDF5):
        return
    if start.startswith(b"PK\x03\x04"):
        raise AlfnetError(f"{path}: {_zip_content(path)}; {expected}")
    if start.startswith(b"\x80"):
        raise AlfnetError(
            f"{path}: a Python pickle (older PyTorch files are such), which is never opened here; {expected}"
        )
    if start[8:9] == b"{" and int.from_bytes(start[:8], "little") < 2**27:
        raise AlfnetError(f"{path}: a safetensors file: it needs no import, use it as it is; {expected}")
    if start.startswith(b"version https://git-lfs"):
        raise AlfnetError(f"{path}: a Git LFS pointer, not the file itself; fetch that with: git lfs pull")
    if start.lstrip()[:1] == b"<":
        raise AlfnetError(f"{path}: a web page was saved in place of the file; download it again by its direct address")


def _zip_content(path: Path) -> str:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a zip archive that was cut short"
    if any(name.endswith(".weights.h5") for name in names):
        return (
            "a model archive of Keras 3 (.keras, a zip); only Keras 2's own layout is read: load it in Keras and save "
            "it with Keras 2's save_weights (HDF5, one group per layer)"
        )
    if any(name.endswith("data.pkl") for name in names):
        return (
            "a PyTorch file (a zip with a pickle in it), which is never opened here; save its state_dict as safetensors"
        )
    hdf5 = [name for name in names if name.endswith((".h5", ".hdf5"))]
    return f"a zip archive (of {', '.join(names[:3])}); " + ("unpack it first" if hdf5 else "not a weight file")


def _layers(path: Path, file: h5py.File) -> Layers:
    root = file
    if "layer_names" not in file.attrs and isinstance(file.get("model_weights", getlink=True), h5py.HardLink):
        root = file["model_weights"]
    if "layer_names" not in root.attrs:
        names = [str(name) for name in list(root)[:_LAYERS_AT_MOST]]
        if "layers" in names or "_layer_checkpoint_dependencies" in names:
            raise AlfnetError(
                f"{path}: written by Keras 3 (.weights.h5: a group layers/ with numbered arrays, without the layers' "
                "names); only Keras 2's layout is read: save it with Keras 2's save_weights"
            )
        raise AlfnetError(
            f"{path}: HDF5, but not as Keras' save_weights writes it (no attribute layer_names); "
            f"it holds {', '.join(names[:5]) or 'nothing'}"
        )
    layers: dict[str, list[Array]] = {}
    for name in _names(root, "layer_names"):
        group = _member(path, root, name)
        for weight in _names(group, "weight_names"):
            array = _member(path, group, weight)
            if not isinstance(array, h5py.Dataset):
                raise AlfnetError(f"{path}: layer {name}: {weight} does not hold floating-point numbers")
            layers.setdefault(_layer(name, weight), []).append(Array(path, name, array))
    for layer, meaning in _OTHER_LAYOUTS.items():
        if layer in layers:
            raise AlfnetError(
                f"{path}: holds {meaning}, which the published detectors were not built on; give the file of the 2015 release"
            )
    return layers


def _layer(group: str, weight: str) -> str:
    """The layer that an array belongs to: the first part of its name where a model is nested in a group, else the group.

    In plain files that part repeats the group's name ("conv1/kernel:0" in "conv1") or is missing ("conv1_W:0").
    """
    first, _, rest = weight.partition("/")
    nested = rest and group.startswith(("model", "resnet", "mobilenet", "sequential", "functional"))
    return first if nested else group


def _member(path: Path, group: Any, name: str) -> Any:
    """What stands at `name` in a group, link by link: only what lies in this file."""
    for part in name.strip("/").split("/"):
        link = group.get(part, getlink=True) if isinstance(group, h5py.Group) else None
        if link is None:
            raise AlfnetError(f"{path}: names {name!r}, which it does not hold; download it again")
        if not isinstance(link, h5py.HardLink):
            raise AlfnetError(f"{path}: {name!r} is a link to another place; such pointers are not followed")
        group = group[part]
    return group


def _names(group: Any, attribute: str) -> list[str]:
    """Names are str or bytes, depending on who wrote the file."""
    if not isinstance(group, h5py.Group) or attribute not in group.attrs:
        raise ValueError(f"no attribute {attribute}")
    values = np.asarray(group.attrs[attribute]).reshape(-1)
    if len(values) > _LAYERS_AT_MOST:
        raise ValueError(f"{len(values)} {attribute}")
    return [name.decode() if isinstance(name, bytes) else str(name) for name in values.tolist()]
