"""An image in whatever form somebody has it: a path, an array, a PIL image."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Union

import numpy as np

from alfnet.detection.formats import read_or_name
from alfnet.errors import AlfnetError

if TYPE_CHECKING:
    from PIL import Image

ImageLike = Union[str, "os.PathLike[str]", np.ndarray, "Image.Image"]

BYTES = (bytes, bytearray, memoryview)
"""Kinds of what is the content of a file, and no image yet."""

_ACCEPTED = "a path, a uint8 array (height, width, 3) or (height, width), a PIL image, or a list of these is expected"


def as_bgr(image: Any, bgr: bool = False) -> np.ndarray:
    """An image in any of the forms that `Detector` takes as uint8 (H, W, 3), channels B G R."""
    if isinstance(image, (str, os.PathLike)):
        return read_or_name(image)
    if hasattr(image, "getexif"):  # PIL
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(image)
        if upright.mode.startswith("I;16"):  # as the reader of files does: the upper 8 bits
            return as_bgr((np.asarray(upright) >> 8).astype(np.uint8))
        if upright.mode in ("I", "F"):
            raise AlfnetError(
                f"a PIL image of mode {upright.mode}, numbers of 32 bits: give 8 bits per channel. Of an image of 16 bits: "
                "(numpy.asarray(image) / 256).clip(0, 255).astype('uint8'); convert('RGB') would cut off what is above 255"
            )
        if upright.mode == "La":  # the one mode that Pillow makes no colours of
            upright = upright.convert("LA")
        return np.ascontiguousarray(np.asarray(upright.convert("RGB"))[..., ::-1])
    if isinstance(image, BYTES):
        raise AlfnetError(
            f"{type(image).__name__} instead of an image: {_ACCEPTED}; of an image file's content: "
            "PIL.Image.open(io.BytesIO(content))"
        )
    if not hasattr(image, "__array__") and not isinstance(image, Sequence):
        raise AlfnetError(f"{type(image).__name__} instead of an image: {_ACCEPTED}")
    array = np.asarray(image)
    if array.dtype != np.uint8:
        raise AlfnetError(
            f"an array of {array.dtype}: uint8 is expected, 0 to 255 (16 bits: image >> 8; 0 to 1: image * 255, as uint8)"
        )
    if array.ndim == 2:
        array = array[..., None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise AlfnetError(f"an array of shape {np.shape(image)}: (height, width, 3) or (height, width) is expected")
    if array.shape[2] == 1:
        return np.ascontiguousarray(np.broadcast_to(array, (*array.shape[:2], 3)))
    colours = array[..., :3]
    return np.ascontiguousarray(colours if bgr else colours[..., ::-1])
