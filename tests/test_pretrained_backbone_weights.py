from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import (
    ALFNet,
    load_backbone_weights,
    make_backbone_module,
    read_network_settings,
    write_first_weights,
)
from alfnet.network.settings import NetworkSettings
from alfnet.network.weight_files import read_weights, write_weights
from alfnet.params import AnchorSettings, BackboneSettings
from alfnet.pretrained.backbone_weights import make_backbone
from alfnet.profiles import load_profile

REAL = Path("data/weights/mobilenet_2_5_224_tf_no_top.h5")


def backbone_settings(**changes: object) -> BackboneSettings:
    values: dict[str, Any] = {"init": "random", "width": 0.125, "url": None, "bytes": None, "md5": None}
    values |= {"batch_norm": "trained", "batch_norm_momentum": 0.1, "freeze": False} | changes
    return BackboneSettings(**values)


def model(backbone: str = "mobilenet", width: float = 0.125) -> ALFNet:
    anchors = AnchorSettings(widths=[[16], [32], [64], [128]], ratio=0.41)
    return ALFNet(
        NetworkSettings(
            backbone=backbone,
            steps=1,
            backbone_width=width,
            head_width=0.125,
            batch_norm="trained",
            batch_norm_momentum=0.1,
            freeze=False,
            anchors=anchors,
        )
    )


def test_random_backbone_is_left_to_the_seed_of_the_training(tmp_path: Path) -> None:
    make_backbone(backbone_settings(), "mobilenet", tmp_path / "a.safetensors")
    tensors, description = read_weights(tmp_path / "a.safetensors", "backbone")
    assert description == {"backbone": "mobilenet", "width": 0.125, "init": "random"}
    assert not tensors
    kept = model()
    kept.initialise(np.random.Generator(np.random.PCG64(1)))
    before = {name: tensor.clone() for name, tensor in kept.state_dict().items()}
    load_backbone_weights(kept, tmp_path / "a.safetensors")
    assert all(torch.equal(tensor, before[name]) for name, tensor in kept.state_dict().items())


def test_random_weights_are_the_same_on_every_machine() -> None:
    filled = model()
    filled.initialise(np.random.Generator(np.random.PCG64(1)))
    content = b"".join(tensor.numpy().tobytes() for tensor in filled.state_dict().values())
    assert hashlib.sha256(content).hexdigest() == "85e888573f5f75a118f35b9898f9acb828318f4b59f23aa14301cf629b56880e"


def test_first_weights_say_which_network_they_are_for(tmp_path: Path) -> None:
    make_backbone(backbone_settings(), "mobilenet", tmp_path / "a.safetensors")
    settings = model().settings
    write_first_weights(tmp_path / "a.safetensors", tmp_path / "first.safetensors", settings)
    assert read_network_settings(tmp_path / "first.safetensors") == settings
    load_backbone_weights(model(), tmp_path / "first.safetensors")
    with pytest.raises(AlfnetError, match=r"needs a mobilenet of width 0\.25"):
        write_first_weights(tmp_path / "a.safetensors", tmp_path / "b.safetensors", model(width=0.25).settings)
    with pytest.raises(AlfnetError, match="settings that this version does not know"):
        read_network_settings(tmp_path / "a.safetensors")


def test_other_backbone_or_width_is_refused(tmp_path: Path) -> None:
    make_backbone(backbone_settings(), "mobilenet", tmp_path / "a.safetensors")
    with pytest.raises(
        AlfnetError, match=r"a mobilenet of width 0\.125, but the model needs a resnet50 of width 0\.125"
    ):
        load_backbone_weights(model("resnet50"), tmp_path / "a.safetensors")
    with pytest.raises(AlfnetError, match=r"needs a mobilenet of width 0\.25"):
        load_backbone_weights(model(width=0.25), tmp_path / "a.safetensors")
    model().save(tmp_path / "d.safetensors")
    with pytest.raises(AlfnetError, match="holds a detector; a backbone was expected"):
        load_backbone_weights(model(), tmp_path / "d.safetensors")


def download_settings(shared: Path, **changes: object) -> BackboneSettings:
    path = shared / REAL
    values = {"init": "download", "width": 0.25, "url": path.resolve().as_uri(), "bytes": path.stat().st_size}
    return backbone_settings(**values | changes)


def test_downloaded_backbone_is_converted(shared: Path, tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    make_backbone(
        download_settings(shared),
        "mobilenet",
        tmp_path / "a.safetensors",
        lambda done, total: seen.append((done, total)),
    )
    size = (shared / REAL).stat().st_size
    assert seen[-1] == (size, size)
    filled = model(width=0.25)
    load_backbone_weights(filled, tmp_path / "a.safetensors")
    assert filled.backbone.stem.conv.weight.std() > 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


@pytest.mark.parametrize(
    ("backbone", "changes", "message"),
    [
        ("mobilenet", {"width": 1.0}, r"a mobilenet of width 0\.25, but backbones\.mobilenet\.width is 1;"),
        ("resnet50", {}, "holds a mobilenet"),
        ("mobilenet", {"md5": "0" * 32}, "checksum"),
        ("mobilenet", {"bytes": 5}, "5 was expected"),
    ],
)
def test_wrong_download_leaves_the_earlier_file(
    shared: Path, tmp_path: Path, backbone: str, changes: dict, message: str
) -> None:
    out = tmp_path / "a.safetensors"
    out.write_text("earlier")
    settings = download_settings(shared, **changes)
    with pytest.raises(AlfnetError, match=message) as caught:
        make_backbone(settings, backbone, out)
    assert str(caught.value).startswith(str(settings.url))
    assert out.read_text() == "earlier"


def trained(width: float = 0.125) -> ALFNet:
    network = model(width=width)
    network.initialise(np.random.Generator(np.random.PCG64(3)))
    return network


def own_settings(path: str, **changes: object) -> BackboneSettings:
    return backbone_settings(**{"init": "download", "url": path} | changes)


@pytest.mark.parametrize("kind", ["detector", "backbone", "half"])
def test_backbone_of_a_file_of_this_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    """A detector's or a backbone's, by a path in the project; half precision becomes float32."""
    monkeypatch.chdir(tmp_path)
    network, path = trained(), Path("weights/pretrained/a.safetensors")
    path.parent.mkdir(parents=True)
    if kind == "detector":
        network.save(path)
    else:
        tensors = {name: t.half() if kind == "half" else t for name, t in network.backbone.state_dict().items()}
        write_weights(path, "backbone", tensors, {"backbone": "mobilenet", "width": 0.125, "init": "download"})
    md5 = hashlib.md5(path.read_bytes()).hexdigest()
    make_backbone(own_settings(str(path), md5=md5), "mobilenet", tmp_path / "out.safetensors")
    filled = model()
    load_backbone_weights(filled, tmp_path / "out.safetensors")
    for name, tensor in filled.backbone.state_dict().items():
        assert tensor.dtype == network.backbone.state_dict()[name].dtype
        torch.testing.assert_close(tensor, network.backbone.state_dict()[name], rtol=1e-3, atol=1e-6)
    assert read_weights(tmp_path / "out.safetensors", "backbone")[1]["init"] == "download"


def test_files_that_hold_no_such_backbone_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    out = tmp_path / "out.safetensors"
    out.write_text("earlier")
    trained().save("d.safetensors")
    make_backbone(backbone_settings(), "mobilenet", "r.safetensors")
    write_weights("s.safetensors", "backbone", {"x": torch.zeros(3)}, {"backbone": "mobilenet", "width": 0.125})
    Path("cut.safetensors").write_bytes(Path("d.safetensors").read_bytes()[:-7])
    for name, backbone, changes, message in (
        ("d", "resnet50", {}, "the backbone in it is mobilenet of width 0.125, not resnet50"),
        (
            "d",
            "mobilenet",
            {"width": 0.25},
            r"a mobilenet of width 0\.125, but backbones\.mobilenet\.width is 0\.25; .*init: random",
        ),
        ("d", "mobilenet", {"md5": "0" * 32}, "checksum"),
        ("r", "mobilenet", {}, "drawn in training"),
        ("s", "mobilenet", {}, "does not fit the network: lacks"),
        ("cut", "mobilenet", {}, "not a whole safetensors file"),
        ("none", "mobilenet", {}, "must name a file that can be read"),
    ):
        with pytest.raises(AlfnetError, match=message) as caught:
            make_backbone(own_settings(f"{name}.safetensors", **changes), backbone, out)
        assert str(caught.value).startswith(f"{name}.safetensors: ")
        assert out.read_text() == "earlier"
    for path in ("../d.safetensors", str(tmp_path / "d.safetensors")):
        with pytest.raises(AlfnetError, match="https:// or file://"):
            make_backbone(own_settings(path), "mobilenet", out)


def test_numbers_are_numpys() -> None:
    """The first weights are PCG64's normal numbers in the order of the layers."""
    filled = model()
    filled.initialise(np.random.Generator(np.random.PCG64(5)))
    weight = filled.backbone.state_dict()["stem.conv.weight"]
    numbers = np.random.Generator(np.random.PCG64(5)).standard_normal(weight.shape)
    np.testing.assert_allclose(weight.numpy(), numbers * (1 / (3 * 9 * 3)) ** 0.5, rtol=1e-6)


def test_the_detector_in_the_box_gives_its_backbone(
    tmp_path: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What README says for one's own images without a network, with the settings of their profile."""
    monkeypatch.chdir(root)
    own = load_profile("own", root / "profiles").backbones["mobilenet"]
    settings = own.model_copy(update={"url": "weights/photos.safetensors", "bytes": None, "md5": None})
    make_backbone(settings, "mobilenet", tmp_path / "out.safetensors")
    filled = model(width=own.width)
    load_backbone_weights(filled, tmp_path / "out.safetensors")
    shipped = ALFNet.load("weights/photos.safetensors").backbone.state_dict()
    assert all(torch.equal(tensor, shipped[name]) for name, tensor in filled.backbone.state_dict().items())


def test_a_model_of_timm_takes_its_own_weights_and_no_others(tmp_path: Path) -> None:
    """timm itself would leave random what a file has nothing for."""
    timm = pytest.importorskip("timm")
    name, out = "timm/mobilenetv3_small_050", tmp_path / "out.safetensors"
    own = make_backbone_module(name, width=1.0, momentum=0.1, fixed=False)
    own.initialise(np.random.Generator(np.random.PCG64(4)))
    description = {"backbone": name, "width": 1.0, "init": "download"}
    write_weights(tmp_path / "own.safetensors", "backbone", own.state_dict(), description)
    settings = own_settings((tmp_path / "own.safetensors").as_uri(), width=1.0)
    make_backbone(settings, name, out)
    tensors, _ = read_weights(out, "backbone")
    assert all(torch.equal(tensors[key], tensor) for key, tensor in own.state_dict().items())
    with pytest.raises(AlfnetError, match=r"own\.safetensors: the backbone in it is timm/mobilenetv3_small_050"):
        make_backbone(settings, "timm/resnet18", out)

    whole = timm.create_model(name.removeprefix("timm/"), pretrained=False)
    save_file(whole.state_dict(), tmp_path / "whole.safetensors")
    make_backbone(own_settings((tmp_path / "whole.safetensors").as_uri(), width=1.0), name, out)
    tensors, _ = read_weights(out, "backbone")
    assert torch.equal(tensors["extractor.conv_stem.weight"], whole.conv_stem.weight)
    save_file({"other." + key: tensor for key, tensor in whole.state_dict().items()}, tmp_path / "others.safetensors")
    save_file({"x": torch.zeros(2, 2)}, tmp_path / "x.safetensors")
    for file, message in (("x", r"another model than timm/mobilenetv3_small_050 \(0 of"), ("others", "another model")):
        with pytest.raises(AlfnetError, match=message):
            make_backbone(own_settings((tmp_path / f"{file}.safetensors").as_uri(), width=1.0), name, out)


def test_an_address_with_a_question_mark_still_names_its_kind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of hubs: .../model.safetensors?download=true. A NUL is in no address."""
    path = tmp_path / "d.safetensors"
    trained().save(path)

    def copied(url: str, out: Path, **_: object) -> None:
        out.write_bytes(path.read_bytes())

    monkeypatch.setattr("alfnet.pretrained.backbone_weights.download", copied)
    address = "https://example.org/d.safetensors?download=true"
    make_backbone(own_settings(address), "mobilenet", tmp_path / "out.safetensors")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(
        AlfnetError, match=r"^https://example\.org/d\.safetensors\?download=true: not a whole safetensors"
    ):
        make_backbone(own_settings(address), "mobilenet", tmp_path / "out.safetensors")
    monkeypatch.undo()
    with pytest.raises(AlfnetError, match="can be fetched"):
        make_backbone(own_settings("a\0b"), "mobilenet", tmp_path / "out.safetensors")
