"""The pretrained weights of a backbone as safetensors: from an ImageNet file of Keras, or from a file of this project."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, make_backbone_module
from alfnet.network.layers import scaled
from alfnet.network.timm_backbone import PREFIX, TimmBackbone, features_of
from alfnet.network.weight_files import load_tensors, read_weights, weights_kind, write_weights
from alfnet.params import Backbone, BackboneSettings
from alfnet.pretrained.download import Progress, download
from alfnet.pretrained.keras import STEM_CHANNELS, load_backbone


def make_backbone(
    settings: BackboneSettings, backbone: Backbone, out: str | Path, progress: Progress | None = None
) -> None:
    """Write the backbone that `settings` describe to `out`: safetensors, with backbone, width and init in the metadata.

    init: random gives a file without weights, since they are drawn with each training's seed. init: download fetches
    the file to a temporary place, checks size and checksum, and converts it; `progress` is handed to the download. A
    file .safetensors is one of this project's: a backbone, or a detector, whose backbone is taken. Any other is Keras'.

    Raises AlfnetError where the download fails, or the file holds another backbone or another width.
    """
    tensors = {} if settings.init == "random" else _download(settings, backbone, progress)
    write_weights(out, "backbone", tensors, {"backbone": backbone, "width": settings.width, "init": settings.init})


def _download(settings: BackboneSettings, backbone: Backbone, progress: Progress | None) -> dict[str, Tensor]:
    assert settings.url is not None  # checked with the parameters
    if backbone.startswith(PREFIX):
        return _timm_weights(settings, backbone, progress)
    ours = settings.url.endswith(".safetensors")
    with tempfile.TemporaryDirectory(prefix="alfnet-") as folder:
        path = Path(folder) / f"{backbone}{'.safetensors' if ours else '.h5'}"
        download(settings.url, path, expected_bytes=settings.bytes, md5=settings.md5, progress=progress)
        try:
            tensors, width = backbone_of(path, backbone) if ours else load_backbone(path, backbone)
            found, wanted = (scaled(STEM_CHANNELS[backbone], share) for share in (width, settings.width))
            if found != wanted:
                raise AlfnetError(
                    f"{path}: a {backbone} of width {width:g}, but backbones.{backbone}.width is {settings.width:g}; "
                    "set the width to the file's, or name another file (or init: random, and url: null)"
                )
            if ours:
                _check_tensors(tensors, settings, backbone, path)
        except AlfnetError as error:
            raise AlfnetError(str(error).replace(str(path), settings.url)) from None
    return tensors


def backbone_of(path: Path, backbone: Backbone) -> tuple[dict[str, Tensor], float]:
    """Return the backbone in a weight file of this project, a backbone or a detector, in float32, and its width.

    Raises AlfnetError where the file holds another backbone than the one named, or none, or is no such file.
    """
    found: Any
    width: Any
    if weights_kind(path) == "detector":
        network = ALFNet.load(path)
        found, width, tensors = (
            network.settings.backbone,
            network.settings.backbone_width,
            network.backbone.state_dict(),
        )
    else:
        tensors, description = read_weights(path, "backbone")
        found, width = description.get("backbone"), description.get("width")
    if found != backbone or not isinstance(width, int | float) or not 0 < width <= 1:
        raise AlfnetError(f"{path}: the backbone in it is {found} of width {width}, not {backbone}; name another file")
    if not tensors:
        raise AlfnetError(f"{path}: a backbone whose weights are drawn in training (init: random); name a trained one")
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}, width


def _check_tensors(tensors: dict[str, Tensor], settings: BackboneSettings, backbone: Backbone, path: Path) -> None:
    module = make_backbone_module(
        backbone, width=settings.width, momentum=settings.batch_norm_momentum, fixed=settings.batch_norm == "fixed"
    )
    load_tensors(module, tensors, path)


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
