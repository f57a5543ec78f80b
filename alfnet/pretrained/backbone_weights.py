"""The pretrained weights of a backbone as safetensors: from an ImageNet file of Keras, or from a file of this project."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, make_backbone_module
from alfnet.network.layers import scaled
from alfnet.network.timm_backbone import PREFIX, TimmBackbone, features_of
from alfnet.network.weight_files import is_weight_file, load_tensors, read_weights, weights_kind, write_weights
from alfnet.params import Backbone, BackboneSettings
from alfnet.pretrained.download import Progress, download
from alfnet.pretrained.keras import STEM_CHANNELS, load_backbone


def make_backbone(
    settings: BackboneSettings, backbone: Backbone, out: str | Path, progress: Progress | None = None
) -> None:
    """Write the backbone that `settings` describe to `out`: safetensors, with backbone, width and init in the metadata.

    init: random gives a file without weights, since they are drawn with each training's seed. init: download fetches
    the file to a temporary place, checks size and checksum, and converts it; `progress` is handed to the download. The
    file may be one of alfnet's: a backbone, or a detector, whose backbone is taken. Else it is timm's for a model of timm,
    and Keras' for the two others.

    Raises AlfnetError where the download fails, or the file holds another backbone or another width, and for a model of
    timm that does not fit (`features_of`).
    """
    if backbone.startswith(PREFIX):  # before anything is fetched or prepared
        features_of(backbone.removeprefix(PREFIX))
    tensors = {} if settings.init == "random" else _download(settings, backbone, progress)
    write_weights(out, "backbone", tensors, {"backbone": backbone, "width": settings.width, "init": settings.init})


def _download(settings: BackboneSettings, backbone: Backbone, progress: Progress | None) -> dict[str, Tensor]:
    url = settings.url
    assert url is not None  # checked with the parameters
    plain = not backbone.startswith(PREFIX) and Path(urlsplit(url).path).suffix != ".safetensors"
    with tempfile.TemporaryDirectory(prefix="alfnet-") as folder:
        path = Path(folder) / (f"{backbone}.h5" if plain else "model.safetensors")
        download(url, path, expected_bytes=settings.bytes, md5=settings.md5, progress=progress)
        try:
            return _read(path, settings, backbone)
        except AlfnetError as error:
            raise AlfnetError(str(error).replace(str(path), url)) from None


def _read(path: Path, settings: BackboneSettings, backbone: Backbone) -> dict[str, Tensor]:
    """The backbone in a file of alfnet's, of timm's or of Keras'."""
    ours = is_weight_file(path)
    if backbone.startswith(PREFIX) and not ours:
        return _timm_weights(path, settings, backbone)
    keras = not ours and path.suffix != ".safetensors"
    tensors, width = load_backbone(path, backbone) if keras else backbone_of(path, backbone)
    stem = STEM_CHANNELS.get(backbone, 1)  # a model of timm has one width
    if scaled(stem, width) != scaled(stem, settings.width):
        raise AlfnetError(
            f"{path}: a {backbone} of width {width:g}, but backbones.{backbone}.width is {settings.width:g}; "
            "set the width to the file's, or name another file (or init: random, and url: null)"
        )
    if not keras:
        fixed, momentum = settings.batch_norm == "fixed", settings.batch_norm_momentum
        load_tensors(
            make_backbone_module(backbone, width=settings.width, momentum=momentum, fixed=fixed), tensors, path
        )
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


def _timm_weights(path: Path, settings: BackboneSettings, backbone: Backbone) -> dict[str, Tensor]:
    """The weights of a model of timm from its safetensors file, which names layers as the whole model does."""
    module = make_backbone_module(backbone, width=1.0, momentum=settings.batch_norm_momentum, fixed=False)
    try:
        extractor = features_of(
            backbone.removeprefix(PREFIX), pretrained=True, pretrained_cfg_overlay={"file": str(path)}
        )
        offered = [(tuple(tensor.shape), tensor) for tensor in load_file(path).values()]
    except (SafetensorError, RuntimeError, KeyError, ValueError, OSError) as error:
        raise AlfnetError(
            f"{path}: not the weights of {backbone} in safetensors ({str(error).splitlines()[0]}); "
            "give the file model.safetensors of that model"
        ) from None
    assert isinstance(module, TimmBackbone)
    # timm leaves random what a file of other names has nothing for; a model's own preparation may change some weights.
    kernels = [tensor for tensor in extractor.state_dict().values() if tensor.dim() > 1]
    taken = sum(
        any(shape == kernel.shape and torch.equal(one.to(kernel), kernel) for shape, one in offered)
        for kernel in kernels
    )
    if 2 * taken < len(kernels):
        raise AlfnetError(
            f"{path}: holds the weights of another model than {backbone} ({taken} of {len(kernels)} kernels are in it); give "
            "the file model.safetensors of that model"
        )
    module.extractor.load_state_dict(extractor.state_dict())
    return dict(module.state_dict())
