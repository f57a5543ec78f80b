"""Backbones of timm: their maps, their own normalisation, weights from a local file, and a row in the table as any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.params import BackboneSettings
from tests.test_training_train import network

timm = pytest.importorskip("timm")

NAME = "timm/resnet10t"


def model(name: str = NAME, **changes) -> ALFNet:
    return network(backbone=name, backbone_width=1.0, **changes)


def images() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (1, 64, 128, 3), dtype=np.uint8))


@torch.no_grad()
def test_maps_are_timms_own_of_the_normalised_rgb_image() -> None:
    net = model()
    found = net.backbone.eval()(normalise(images()))
    configuration = timm.get_pretrained_cfg("resnet10t")
    rgb = images().flip(-1).permute(0, 3, 1, 2) / 255
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in (configuration.mean, configuration.std))
    expected = net.backbone.extractor((rgb - mean) / deviation)
    for each, wanted, stride, channels in zip(found, expected, (8, 16, 32), net.backbone.channels, strict=True):
        assert each.shape == (1, channels, 64 // stride, 128 // stride)
        torch.testing.assert_close(each, wanted, rtol=1e-3, atol=1e-3)


@pytest.mark.costly
def test_the_seed_alone_decides_the_weights_and_torchs_numbers_stay() -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    one = model().state_dict()
    assert torch.equal(before, torch.get_rng_state())
    torch.manual_seed(2)
    other = model().state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.costly
def test_saved_and_loaded(tmp_path: Path) -> None:
    net = model()
    net.save(tmp_path / "m.safetensors")
    loaded = ALFNet.load(tmp_path / "m.safetensors")
    assert loaded.settings.backbone == NAME
    assert all(torch.equal(t, loaded.state_dict()[n]) for n, t in net.state_dict().items())


def test_fixed_and_frozen_parts() -> None:
    net = model(batch_norm="fixed", freeze=True).train()
    before = {name: b.clone() for name, b in net.named_buffers()}
    logits, offsets = net(normalise(images()))[0]
    (logits.sum() + offsets.sum()).backward()
    assert all(torch.equal(b, before[name]) for name, b in net.named_buffers())
    moved = {name.split(".")[2] for name, p in net.backbone.named_parameters("backbone") if p.grad is not None}
    assert moved == {"layer2", "layer3", "layer4"}


@pytest.mark.costly
def test_weights_from_a_local_file(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    from alfnet.network.alfnet import load_backbone_weights
    from alfnet.pretrained.backbone_weights import make_backbone

    torch.manual_seed(3)
    whole = timm.create_model("resnet10t")
    save_file(whole.state_dict(), tmp_path / "model.safetensors")
    settings = BackboneSettings(
        init="download", width=1.0, url=(tmp_path / "model.safetensors").as_uri(), bytes=None, md5=None,
        batch_norm="trained", batch_norm_momentum=0.1, freeze=False,
    )  # fmt: skip
    make_backbone(settings, NAME, tmp_path / "backbone.safetensors")
    net = model()
    load_backbone_weights(net, tmp_path / "backbone.safetensors")
    assert torch.equal(net.backbone.extractor.layer4[0].conv1.weight, whole.layer4[0].conv1.weight)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("timm/vit_tiny_patch16_224", "offers maps of stride 16, 16, 16; 8, 16 and 32 are needed"),
        ("timm/resnet1", "has no such model; did you mean .*resnet1"),
        (
            "timm/efficientformerv2_s0",
            "does not take an image of 192 x 128 px .*bound to one image size cannot be used",
        ),
    ],
)
def test_models_that_do_not_fit_are_named(name: str, message: str) -> None:
    with pytest.raises(AlfnetError, match=message):
        model(name)
