"""The pretrained weights of a backbone, an ImageNet file of Keras, as safetensors."""

from __future__ import annotations

import tempfile
from pathlib import Path

from safetensors import SafetensorError
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import make_backbone_module
from alfnet.network.layers import scaled
from alfnet.network.timm_backbone import PREFIX, TimmBackbone, features_of
from alfnet.network.weight_files import write_weights
from alfnet.params import Backbone, BackboneSettings
from alfnet.pretrained.download import Progress, download
from alfnet.pretrained.keras import STEM_CHANNELS, load_backbone


def make_backbone(
    settings: BackboneSettings, backbone: Backbone, out: str | Path, progress: Progress | None = None
) -> None:
    """Write the backbone that `settings` describe to `out`: safetensors, with backbone, width and init in the metadata.

    init: random gives a file without weights, since they are drawn with each training's seed. init: download fetches
    the Keras file to a temporary place, checks size and checksum, and converts it; `progress` is handed to the download.

    Raises AlfnetError where the download fails, or the file holds another backbone or another width.
    """
    tensors = {} if settings.init == "random" else _download(settings, backbone, progress)
    write_weights(out, "backbone", tensors, {"backbone": backbone, "width": settings.width, "init": settings.init})


def _download(settings: BackboneSettings, backbone: Backbone, progress: Progress | None) -> dict[str, Tensor]:
    assert settings.url is not None  # checked with the parameters
    if backbone.startswith(PREFIX):
        return _timm_weights(settings, backbone, progress)
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


def _timm_weights(settings: BackboneSettings, backbone: Backbone, progress: Progress | None) -> dict[str, Tensor]:
    """The weights of a model of timm from its safetensors file, which names layers as the whole model does."""
    assert settings.url is not None
    with tempfile.TemporaryDirectory(prefix="alfnet-") as folder:
        path = Path(folder) / "model.safetensors"
        download(settings.url, path, expected_bytes=settings.bytes, md5=settings.md5, progress=progress)
        module = make_backbone_module(backbone, width=1.0, momentum=settings.batch_norm_momentum, fixed=False)
        try:
            extractor = features_of(
                backbone.removeprefix(PREFIX), pretrained=True, pretrained_cfg_overlay={"file": str(path)}
            )
        except (SafetensorError, RuntimeError, KeyError, ValueError, OSError) as error:
            raise AlfnetError(
                f"{settings.url}: not the weights of {backbone} in safetensors ({str(error).splitlines()[0]}); "
                "give the file model.safetensors of that model"
            ) from None
    assert isinstance(module, TimmBackbone)
    module.extractor.load_state_dict(extractor.state_dict())
    return dict(module.state_dict())
