"""The first weights of a backbone: seeded random numbers, or an ImageNet file of Keras, as safetensors."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import initialise_backbone, make_backbone_module
from alfnet.network.layers import scaled
from alfnet.network.weight_files import write_weights
from alfnet.params import Backbone, BackboneSettings
from alfnet.pretrained.download import Progress, download
from alfnet.pretrained.keras import STEM_CHANNELS, load_backbone


def make_backbone(
    settings: BackboneSettings, backbone: Backbone, seed: int, out: str | Path, progress: Progress | None = None
) -> None:
    """Write the backbone that `settings` describe to `out`: safetensors, with backbone, width and init in the metadata.

    init: random depends on `seed` alone. init: download fetches the Keras file to a temporary place, checks size and
    checksum, and converts it; `progress` is handed to the download.

    Raises AlfnetError where the download fails, or the file holds another backbone or another width.
    """
    if settings.init == "random":
        module = make_backbone_module(
            backbone, width=settings.width, momentum=settings.batch_norm_momentum, fixed=settings.batch_norm == "fixed"
        )
        initialise_backbone(module, np.random.Generator(np.random.PCG64(seed)))
        tensors = module.state_dict()
    else:
        tensors = _download(settings, backbone, progress)
    write_weights(out, "backbone", tensors, {"backbone": backbone, "width": settings.width, "init": settings.init})


def _download(settings: BackboneSettings, backbone: Backbone, progress: Progress | None) -> dict[str, Tensor]:
    assert settings.url is not None  # checked with the parameters
    with tempfile.TemporaryDirectory(prefix="alfnet-") as folder:
        path = Path(folder) / f"{backbone}.h5"
        download(settings.url, path, expected_bytes=settings.bytes, md5=settings.md5, progress=progress)
        try:
            tensors, width = load_backbone(path, backbone)
        except AlfnetError as error:
            raise AlfnetError(str(error).replace(str(path), settings.url)) from None
    found, wanted = (scaled(STEM_CHANNELS[backbone], share) for share in (width, settings.width))
    if found != wanted:
        raise AlfnetError(
            f"{settings.url}: a {backbone} of width {width:g}, but backbones.{backbone}.width is {settings.width:g}; "
            "set the width to the file's, or name another file"
        )
    return tensors
