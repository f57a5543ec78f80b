"""Import of Keras files: real ones where they are present, and synthetic ones in the same layout everywhere."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import make_backbone_module, normalise
from alfnet.pretrained.keras import import_detector, load_backbone
from alfnet.pretrained.keras_file import open_layers

Layers = dict[str, list[np.ndarray]]
TOLERANCE = 1e-4


def read_layers(path: Path) -> Layers:
    with open_layers(path) as layers:
        return {name: [array.read() for array in arrays] for name, arrays in layers.items()}


class Writer:
    """Makes layers of random numbers, in Keras' shapes and order."""

    def __init__(self) -> None:
        self.layers: Layers = {}
        self.rng = np.random.default_rng(7)

    def random(self, *shape: int, scale: float = 1.0) -> np.ndarray:
        return (scale * self.rng.standard_normal(shape)).astype(np.float32)

    def conv(self, name: str, kernel: int, inputs: int, outputs: int, *, bias: bool = True) -> None:
        arrays = [self.random(kernel, kernel, inputs, outputs, scale=(2 / (kernel * kernel * inputs)) ** 0.5)]
        self.layers[name] = [*arrays, self.random(outputs, scale=0.1)] if bias else arrays

    def depthwise(self, name: str, channels: int) -> None:
        self.layers[name] = [self.random(3, 3, channels, 1, scale=0.5)]

    def norm(self, name: str, channels: int) -> None:
        gamma, variance = 1 + self.random(channels, scale=0.1), 1 + self.random(channels, scale=0.1) ** 2
        self.layers[name] = [gamma, self.random(channels, scale=0.1), self.random(channels, scale=0.1), variance]

    def heads(self, widths: tuple[int, int, int], steps: int, share: float) -> None:
        p3, p6, hidden = int(512 * share), int(256 * share), int(256 * share)
        self.conv("P3", 3, widths[0], p3)
        self.conv("P6", 3, widths[2], p6)
        for step in range(1, steps + 1):
            for level, channels in enumerate((p3, widths[1], widths[2], p6)):
                self.conv(f"pred{level}_{step}_conv", 3, channels, hidden)
                self.conv(f"pred{level}_{step}_rpn_class", 1, hidden, 2)
                self.conv(f"pred{level}_{step}_rpn_regress", 1, hidden, 8)


def resnet50_layers(share: float = 1 / 16) -> Writer:
    """The layers that spec and Keras name for ResNet-50, with `share` of the channels."""
    writer = Writer()
    channels = int(64 * share)
    writer.conv("conv1", 7, 3, channels)
    writer.norm("bn_conv1", channels)
    for stage, (letters, inner) in {2: ("abc", 64), 3: ("abcd", 128), 4: ("abcdef", 256), 5: ("abc", 512)}.items():
        inner = int(inner * share)
        for letter in letters:
            branches = [("2a", 1, channels, inner), ("2b", 3, inner, inner), ("2c", 1, inner, 4 * inner)]
            if letter == "a":
                branches.append(("1", 1, channels, 4 * inner))
            for branch, kernel, inputs, outputs in branches:
                writer.conv(f"res{stage}{letter}_branch{branch}", kernel, inputs, outputs)
                writer.norm(f"bn{stage}{letter}_branch{branch}", outputs)
            channels = 4 * inner
    return writer


def mobilenet_layers(share: float = 1 / 8) -> Writer:
    writer = Writer()
    channels = int(32 * share)
    writer.conv("conv1", 3, 3, channels, bias=False)
    writer.norm("conv1_bn", channels)
    outputs = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
    for number, count in enumerate(outputs, start=1):
        writer.depthwise(f"conv_dw_{number}", channels)
        writer.norm(f"conv_dw_{number}_bn", channels)
        writer.conv(f"conv_pw_{number}", 1, channels, int(count * share), bias=False)
        channels = int(count * share)
        writer.norm(f"conv_pw_{number}_bn", channels)
    return writer


def detector_layers(backbone: str, steps: int) -> Layers:
    share = 1 / 16 if backbone == "resnet50" else 1 / 8
    writer = (resnet50_layers if backbone == "resnet50" else mobilenet_layers)(share)
    published = (512, 1024, 2048) if backbone == "resnet50" else (256, 512, 1024)
    third, fourth, fifth = (int(channels * share) for channels in published)
    writer.heads((third, fourth, fifth), steps, 1 / 32)
    return writer.layers


def write(path: Path, layers: Layers, *, as_bytes: bool = False, style: str = "{layer}/array_{index}:0") -> Path:
    """Write Keras' save_weights layout, with the empty groups of layers without weights."""

    def names(values: list[str]) -> np.ndarray:
        if as_bytes:
            return np.array([value.encode() for value in values], dtype="S64")
        return np.array(values, dtype=h5py.string_dtype())

    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = names(["input_1", *layers, "activation_1"])
        for layer in ("input_1", "activation_1"):
            file.create_group(layer).attrs["weight_names"] = names([])
        for layer, arrays in layers.items():
            group = file.create_group(layer)
            weights = [style.format(layer=layer, index=index) for index in range(len(arrays))]
            group.attrs["weight_names"] = names(weights)
            for name, array in zip(weights, arrays, strict=True):
                group[name] = array
    return path


def pixels(height: int = 64, width: int = 128) -> torch.Tensor:
    numbers = np.random.default_rng(3).integers(0, 256, (1, height, width, 3), dtype=np.uint8)
    return normalise(torch.from_numpy(numbers))


class Reference:
    """ResNet-50 and the heads straight from the spec: padding done by hand, strides by slicing, in float64."""

    def __init__(self, layers: Layers) -> None:
        self.layers = {name: [torch.from_numpy(array).double() for array in arrays] for name, arrays in layers.items()}

    def conv(self, name: str, images: torch.Tensor) -> torch.Tensor:
        kernel, bias = self.layers[name]
        return F.conv2d(images, kernel.permute(3, 2, 0, 1)) + bias[None, :, None, None]

    def norm(self, name: str, images: torch.Tensor) -> torch.Tensor:
        gamma, beta, mean, variance = (array[None, :, None, None] for array in self.layers[name])
        return gamma * (images - mean) / torch.sqrt(variance + 1e-3) + beta

    def block(self, name: str, images: torch.Tensor, stride: int, project: bool) -> torch.Tensor:
        def layer(branch: str, images: torch.Tensor) -> torch.Tensor:
            return self.norm(f"bn{name}_branch{branch}", self.conv(f"res{name}_branch{branch}", images))

        images = images[:, :, ::stride, ::stride]  # a 1x1 convolution of stride 2 reads every other pixel
        output = layer("2a", images).clamp(min=0)
        output = layer("2b", F.pad(output, (1, 1, 1, 1))).clamp(min=0)
        output = layer("2c", output)
        return (output + (layer("1", images) if project else images)).clamp(min=0)

    def backbone(self, images: torch.Tensor) -> list[torch.Tensor]:
        output = self.conv("conv1", F.pad(images.double(), (3, 3, 3, 3)))[:, :, ::2, ::2]
        output = self.norm("bn_conv1", output).clamp(min=0)
        output = F.pad(output, (0, 1, 0, 1), value=-torch.inf)
        output = output.unfold(2, 3, 2).unfold(3, 3, 2).amax((-2, -1))
        features = []
        for stage, letters in {2: "abc", 3: "abcd", 4: "abcdef", 5: "abc"}.items():
            for letter in letters:
                first = letter == "a"
                output = self.block(f"{stage}{letter}", output, 2 if first and stage > 2 else 1, first)
            features.append(output)
        return features[1:]

    def detect(self, images: torch.Tensor, steps: int) -> list[tuple[np.ndarray, np.ndarray]]:
        """Per step logits (B,) and offsets (B, 4), in the order of Keras' Reshape of (H, W, C)."""
        stride8, stride16, stride32 = self.backbone(images)
        p3 = self.conv("P3", F.pad(stride8, (1, 1, 1, 1))).clamp(min=0)
        p6 = self.conv("P6", F.pad(stride32, (0, 1, 0, 1)))[:, :, ::2, ::2].clamp(min=0)
        outputs = []
        for step in range(1, steps + 1):
            logits: list[np.ndarray] = []
            offsets: list[np.ndarray] = []
            for level, feature in enumerate((p3, stride16, stride32, p6)):
                hidden = self.conv(f"pred{level}_{step}_conv", F.pad(feature, (1, 1, 1, 1))).clamp(min=0)
                for name, into, size in (("class", logits, 1), ("regress", offsets, 4)):
                    output = self.conv(f"pred{level}_{step}_rpn_{name}", hidden)[0]
                    into.append(np.moveaxis(output.numpy(), 0, -1).reshape(-1, size))
            outputs.append((np.concatenate(logits)[:, 0], np.concatenate(offsets)))
        return outputs


def largest_difference(found: torch.Tensor, expected: torch.Tensor | np.ndarray) -> float:
    expected = torch.as_tensor(expected).double()
    assert found.shape == expected.shape
    return float((found.double() - expected).abs().max() / expected.abs().max().clamp(min=1))


def test_real_mobilenet_has_tensorflows_features(shared: Path) -> None:
    folder = shared / "data" / "weights"
    state, width = load_backbone(folder / "mobilenet_2_5_224_tf_no_top.h5", "mobilenet")
    assert width == 0.25
    module = make_backbone_module("mobilenet", width=width, momentum=0.01, fixed=True)
    module.load_state_dict(state)
    stored = np.load(folder / "mobilenet_2_5_features.npz")
    images = torch.from_numpy(stored["image_rgb"]).permute(2, 0, 1)[None] / 127.5 - 1  # Keras' own preprocessing
    with torch.no_grad():
        features = module.eval()(images)
    for feature, name in zip(features, ("stride8", "stride16", "stride32"), strict=True):
        difference = np.abs(feature[0].permute(1, 2, 0).numpy() - stored[name]).max()
        assert difference <= TOLERANCE, name


def test_real_layout_detector_has_tensorflows_outputs(shared: Path) -> None:
    folder = shared / "data" / "weights"
    model = import_detector(folder / "alfnet_mobilenet025_2step.hdf5", "mobilenet", 2)
    assert (model.settings.backbone_width, model.settings.head_width) == (0.25, 1.0)
    stored = np.load(folder / "alfnet_mobilenet025_2step_outputs.npz")
    with torch.no_grad():
        outputs = model(normalise(torch.from_numpy(stored["image_bgr"])[None]))
    for step, (logits, offsets) in enumerate(outputs, start=1):
        assert np.abs(logits[0].sigmoid().numpy() - stored[f"cls_{step}"][:, 0]).max() <= TOLERANCE
        assert np.abs(offsets[0].numpy() - stored[f"regr_{step}"]).max() <= TOLERANCE


@pytest.mark.parametrize("as_bytes", [False, True])
@pytest.mark.parametrize("style", ["{layer}/array_{index}:0", "{layer}_{index}:0"])
def test_resnet50_features_equal_a_slow_computation(tmp_path: Path, as_bytes: bool, style: str) -> None:
    layers = resnet50_layers().layers
    state, width = load_backbone(write(tmp_path / "r.h5", layers, as_bytes=as_bytes, style=style), "resnet50")
    assert width == 1 / 16
    module = make_backbone_module("resnet50", width=width, momentum=0.01, fixed=True)
    module.load_state_dict(state)
    with torch.no_grad():
        features = module.eval()(pixels())
    for feature, expected in zip(features, Reference(layers).backbone(pixels()), strict=True):
        assert largest_difference(feature, expected) < 1e-5


@pytest.mark.parametrize("steps", [1, 2, 3])
def test_resnet50_detector_equals_a_slow_computation(tmp_path: Path, steps: int) -> None:
    layers = detector_layers("resnet50", steps)
    model = import_detector(write(tmp_path / f"city_res50_{steps}step.hdf5", layers), "resnet50", steps)
    found = model.settings
    assert (found.backbone_width, found.head_width, found.steps) == (1 / 16, 1 / 32, steps)
    assert (found.batch_norm, found.freeze) == ("fixed", True)
    with torch.no_grad():
        outputs = model(pixels())
    for (logits, offsets), (logits1, offsets1) in zip(outputs, Reference(layers).detect(pixels(), steps), strict=True):
        assert largest_difference(logits[0], logits1) < 1e-5
        assert largest_difference(offsets[0], offsets1) < 1e-5


@pytest.mark.parametrize("steps", [1, 2])
def test_mobilenet_detector_is_imported(tmp_path: Path, steps: int) -> None:
    path = write(tmp_path / f"city_mobnet_{steps}step.hdf5", detector_layers("mobilenet", steps))
    model = import_detector(path, "mobilenet", steps)
    assert (model.settings.backbone_width, model.settings.batch_norm) == (1 / 8, "trained")
    assert [tuple(offsets.shape) for _, offsets in model(pixels())] == [(1, 340, 4)] * steps


def test_classifier_layers_are_left_out(tmp_path: Path) -> None:
    layers = resnet50_layers().layers | {"fc1000": [np.ones((8, 10), np.float32), np.ones(10, np.float32)]}
    state, _ = load_backbone(write(tmp_path / "r.h5", layers), "resnet50")
    assert not any("fc" in name for name in state)


@pytest.mark.parametrize(
    ("backbone", "layer"),
    [
        ("resnet50", "conv1"),
        ("resnet50", "bn4f_branch2b"),
        ("resnet50", "res5a_branch1"),
        ("resnet50", "P6"),
        ("resnet50", "pred3_2_rpn_regress"),
        ("mobilenet", "conv_dw_13_bn"),
        ("mobilenet", "pred0_1_conv"),
    ],
)
def test_lacking_layer_is_named(tmp_path: Path, backbone: str, layer: str) -> None:
    layers = detector_layers(backbone, 2)
    del layers[layer]
    with pytest.raises(AlfnetError, match=rf"d\.hdf5: lacks the layer {layer}$"):
        import_detector(write(tmp_path / "d.hdf5", layers), backbone, 2)


def transposed(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [arrays[0].transpose(3, 2, 0, 1), *arrays[1:]]


def halved(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return [array[..., ::2] for array in arrays]


def without_last(arrays: list[np.ndarray]) -> list[np.ndarray]:
    return arrays[:-1]


@pytest.mark.parametrize(
    ("backbone", "layer", "change"),
    [
        ("resnet50", "res2a_branch2b", transposed),
        ("resnet50", "res2a_branch2b", without_last),
        ("resnet50", "bn3a_branch2a", without_last),
        ("resnet50", "bn3a_branch2a", halved),
        ("resnet50", "pred1_1_rpn_class", halved),
        ("resnet50", "P3", halved),
        ("mobilenet", "conv_dw_2", transposed),
        ("mobilenet", "conv_pw_13", halved),
    ],
)
def test_wrong_shape_is_named(tmp_path: Path, backbone: str, layer: str, change: Callable[..., list]) -> None:
    layers = detector_layers(backbone, 1)
    layers[layer] = change(layers[layer])
    with pytest.raises(AlfnetError, match=rf"layer {layer} has arrays of shape .*, expected "):
        import_detector(write(tmp_path / "d.hdf5", layers), backbone, 1)


@pytest.mark.parametrize(("asked", "held"), [(2, 1), (3, 2), (1, 2), (2, 3)])
def test_other_number_of_steps_is_refused(tmp_path: Path, asked: int, held: int) -> None:
    path = write(tmp_path / "d.hdf5", detector_layers("mobilenet", held))
    with pytest.raises(
        AlfnetError, match=rf"a detector with {held} step\(s\), not the {asked} asked for; use --steps {held}"
    ):
        import_detector(path, "mobilenet", asked)


def test_backbone_is_not_a_detector(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match="no predictor blocks"):
        import_detector(write(tmp_path / "m.h5", mobilenet_layers().layers), "mobilenet", 1)


def test_other_backbone_is_recognised(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"holds a mobilenet .*not the resnet50"):
        load_backbone(write(tmp_path / "m.h5", mobilenet_layers().layers), "resnet50")
    with pytest.raises(AlfnetError, match=r"holds a resnet50 .*not the mobilenet"):
        import_detector(write(tmp_path / "d.hdf5", detector_layers("resnet50", 1)), "mobilenet", 1)


@pytest.mark.parametrize("keep", [0.0, 0.01, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path: Path, keep: float) -> None:
    path = write(tmp_path / "m.h5", mobilenet_layers().layers)
    content = path.read_bytes()
    path.write_bytes(content[: int(keep * len(content))])
    with pytest.raises(AlfnetError, match=r"m\.h5: not a whole HDF5 file"):
        read_layers(path)


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match="no such file"):
        read_layers(tmp_path / "none.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["data"] = np.ones(3)
    with pytest.raises(AlfnetError, match="no attribute layer_names"):
        read_layers(tmp_path / "other.h5")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.ones(4, np.int64), "does not hold floating-point numbers"),
        (np.array([b"\x80\x04."] * 4, dtype=object), "does not hold floating-point numbers"),
        (np.array([1, 1, np.nan, 1], np.float32), "not finite"),
    ],
)
def test_anything_but_finite_numbers_is_refused(tmp_path: Path, array: np.ndarray, message: str) -> None:
    layers = mobilenet_layers().layers
    layers["conv1_bn"][1] = array
    with pytest.raises(AlfnetError, match=rf"layer conv1_bn: .*{message}"):
        read_layers(write(tmp_path / "m.h5", layers))


OTHERS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a PyTorch file": (lambda path: torch.save({"a": torch.ones(1)}, path), "a PyTorch file"),
    "an old PyTorch file": (
        lambda path: torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=False),
        "pickle",
    ),
    "a .keras archive": (lambda path: zipped(path, "metadata.json", "model.weights.h5"), "Keras 3"),
    "another zip": (lambda path: zipped(path, "weights.h5"), "unpack it"),
    "half a zip": (lambda path: path.write_bytes(b"PK\x03\x04half"), "cut short"),
    "safetensors": (lambda path: save_file({"a": torch.ones(1)}, path), "needs no import"),
    "a Git LFS pointer": (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "git lfs pull"),
    "a web page": (lambda path: path.write_text("<!DOCTYPE html><html>"), "web page"),
}


def zipped(path: Path, *names: str) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, b"content")


@pytest.mark.parametrize("kind", OTHERS)
def test_the_usual_other_files_are_named_for_what_they_are(tmp_path: Path, kind: str) -> None:
    make, said = OTHERS[kind]
    make(tmp_path / "w.h5")
    with pytest.raises(AlfnetError, match=rf"w\.h5: .*{said}"):
        import_detector(tmp_path / "w.h5", "mobilenet", 2)


def test_keras_3_and_later_resnets_are_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "k.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.ones(3)
    with pytest.raises(AlfnetError, match="Keras 3"):
        load_backbone(tmp_path / "k.weights.h5", "resnet50")
    write(tmp_path / "r.h5", {"conv1_conv": [np.ones((7, 7, 3, 4), np.float32)]})
    with pytest.raises(AlfnetError, match="the later ResNet-50"):
        load_backbone(tmp_path / "r.h5", "resnet50")


def test_a_whole_saved_model_and_a_nested_one_are_read(tmp_path: Path) -> None:
    layers = mobilenet_layers().layers
    plain, _ = load_backbone(write(tmp_path / "plain.h5", layers), "mobilenet")
    write(tmp_path / "part.h5", layers)
    with h5py.File(tmp_path / "whole.h5", "w") as file, h5py.File(tmp_path / "part.h5") as part:
        part.copy(part, file, "model_weights")
    with h5py.File(tmp_path / "nested.h5", "w") as file:
        file.attrs["layer_names"] = ["input_1", "lambda_1", "model_1"]
        file.create_group("input_1").attrs["weight_names"] = np.array([], "S1")
        file.create_group("lambda_1").attrs["weight_names"] = np.array([], "S1")
        group = file.create_group("model_1")
        names = [f"{layer}/array_{index}:0" for layer, arrays in layers.items() for index in range(len(arrays))]
        group.attrs["weight_names"] = names
        for name, array in zip(names, [array for arrays in layers.values() for array in arrays], strict=True):
            group[name] = array
    for name in ("whole.h5", "nested.h5"):
        state, width = load_backbone(tmp_path / name, "mobilenet")
        assert width == 1 / 8
        assert all(torch.equal(state[key], plain[key]) for key in plain)


@pytest.mark.parametrize("kind", ["external storage", "external link", "soft link", "virtual", "group link"])
def test_pointers_out_of_the_file_are_not_followed(tmp_path: Path, kind: str) -> None:
    path = write(tmp_path / "m.h5", mobilenet_layers().layers)
    secret = tmp_path / "secret"
    secret.write_bytes(bytes(range(256)) * 64)
    write(tmp_path / "other.h5", mobilenet_layers().layers)
    os.mkfifo(tmp_path / "fifo")  # a reader that follows hangs
    with h5py.File(path, "r+") as file:
        group, name = file["conv1"], "conv1/array_0:0"
        shape = group[name].shape
        if kind == "group link":
            del file["conv1"]
            file["conv1"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/conv1")
        else:
            del group[name]
        if kind == "external storage":
            group.create_dataset(name, shape, "f4", external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        elif kind == "external link":
            group[name] = h5py.ExternalLink(str(tmp_path / "fifo"), "/x")
        elif kind == "soft link":
            group[name] = h5py.SoftLink("/conv1_bn/conv1_bn/array_0:0")
        elif kind == "virtual":
            layout = h5py.VirtualLayout(shape, "f4")
            layout[...] = h5py.VirtualSource(str(tmp_path / "other.h5"), "conv1/conv1/array_0:0", shape)
            group.create_virtual_dataset(name, layout)
    with pytest.raises(AlfnetError, match=r"m\.h5: .*not followed"):
        load_backbone(path, "mobilenet")


def test_declared_sizes_are_compared_before_anything_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "m.h5", mobilenet_layers().layers)
    with h5py.File(path, "r+") as file:
        del file["conv_pw_13/conv_pw_13/array_0:0"]
        file["conv_pw_13"].create_dataset(
            "conv_pw_13/array_0:0", (1, 1, 2**20, 2**20), "f4", chunks=(1, 1, 2**10, 2**10), compression="gzip"
        )  # 4 TiB of zeros in some bytes
    with pytest.raises(AlfnetError, match=r"layer conv_pw_13 has arrays of shape \(1,1,1048576,1048576\)"):
        load_backbone(path, "mobilenet")


@pytest.mark.parametrize(
    ("array", "value", "said"),
    [(3, -1e-3, "variance below zero"), (0, 1e30, "holds a value of 1e\\+30"), (1, 1e39, "finite")],
)
def test_broken_numbers_are_refused(tmp_path: Path, array: int, value: float, said: str) -> None:
    layers = mobilenet_layers().layers
    layers["conv1_bn"][array] = layers["conv1_bn"][array].astype(np.float64)
    layers["conv1_bn"][array][1] = value
    with pytest.raises(AlfnetError, match=rf"layer conv1_bn.*{said}"):
        load_backbone(write(tmp_path / "m.h5", layers), "mobilenet")


def test_a_file_that_is_being_written_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "m.h5", mobilenet_layers().layers)
    hold = f"import h5py; f = h5py.File({str(path)!r}, 'r+'); print('open', flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "open\n"
        with pytest.raises(AlfnetError, match="another process holds"):
            load_backbone(path, "mobilenet")
        holder.communicate("\n")


def test_imported_detector_is_saved_and_loaded(tmp_path: Path) -> None:
    model = import_detector(write(tmp_path / "d.hdf5", detector_layers("mobilenet", 2)), "mobilenet", 2)
    model.save(tmp_path / "d.safetensors")
    loaded = type(model).load(tmp_path / "d.safetensors")
    for (logits, offsets), (logits1, offsets1) in zip(model(pixels()), loaded(pixels()), strict=True):
        assert torch.equal(logits, logits1)
        assert torch.equal(offsets, offsets1)
