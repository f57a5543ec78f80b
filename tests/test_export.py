"""Exported files give what PyTorch gives, alone and behind the detector."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import torch.nn.functional as F

from alfnet.boxes.anchors import anchors
from alfnet.boxes.cascade import cascade
from alfnet.cli.export import _check_replaceable
from alfnet.detection.detector import default_weights, published_settings
from alfnet.detection.postprocess import select, step_scores
from alfnet.errors import AlfnetError
from alfnet.export import run
from alfnet.export.graph import Decoder, DeployedNetwork, Grid
from alfnet.export.ncnn_file import write_ncnn
from alfnet.export.onnx_file import _open_sizes, onnx_model
from alfnet.export.quantise import sensitive_nodes
from alfnet.export.run import BOXES_AT_MOST, SCORES_AT_MOST, checked_difference, export_detector, rounding
from alfnet.export.runtimes import ExportedBackend, NcnnBackend, OnnxBackend, OpenVinoBackend, exported_summary
from alfnet.export.settings import MARKS, SUFFIXES, ExportSettings, describe
from alfnet.images import write_png
from alfnet.network.alfnet import CHANNEL_MEANS, ALFNet, normalise
from alfnet.network.layers import BatchNorm
from alfnet.params import DetectSettings
from tests.commands import alfnet
from tests.test_training_train import network

SIZE = (128, 192)


def model_of(backbone: str) -> ALFNet:
    """A small network of two steps whose normalisation does something, and whose every layer sees the image."""
    model = network(backbone=backbone, steps=2)
    generator = torch.Generator().manual_seed(1)
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    with torch.no_grad():
        for module in norms:
            module.weight.uniform_(0.5, 1.5, generator=generator)
            module.bias.uniform_(-0.5, 1, generator=generator)
            module.momentum = 1.0
        model.train()(normalise(torch.from_numpy(images())))  # mean and variance of all maps
        for name, parameter in model.named_parameters():
            if name.endswith((".logits.weight", ".offsets.weight")):
                parameter *= 0.15  # scores that are neither 0 nor 1, boxes near their anchors: as learnt
    for module in norms:
        module.momentum = 0.1
    return model.eval()


def test_the_networks_of_these_tests_look_at_the_image() -> None:
    for backbone in ("resnet50", "mobilenet"):
        model = model_of(backbone)
        with torch.inference_mode():
            first, black = (model(normalise(torch.from_numpy(each))) for each in (images(1), images(1) * 0))
        for (logits, offsets), (other_logits, other_offsets) in zip(first, black, strict=True):
            assert (logits - other_logits).abs().mean() > 0.01
            assert (offsets - other_offsets).abs().mean() > 0.01


def images(count: int = 2, height: int = SIZE[0], width: int = SIZE[1]) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("backbone", "rule"), [("resnet50", "product"), ("mobilenet", "mean")])
def test_the_deployed_graph_is_the_network(backbone: str, rule: str) -> None:
    model = model_of(backbone)
    pixels = torch.from_numpy(images())
    with torch.inference_mode():
        expected = model(normalise(pixels))
        logits, offsets = DeployedNetwork(model)(pixels)
        from_rgb, _ = DeployedNetwork(model, rgb=True)(pixels.flip(-1))
        in_half, _ = DeployedNetwork(model, half=True)(pixels)
        grid, limit = Grid(model.settings.anchors)(pixels)
        boxes, scores = Decoder(rule)(logits, offsets, grid, limit)
    for step, (expected_logits, expected_offsets) in enumerate(expected):
        torch.testing.assert_close(logits[:, step], expected_logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(offsets[:, step], expected_offsets, rtol=1e-4, atol=1e-4)
    assert torch.equal(from_rgb, logits)
    assert 0 < (in_half - logits).abs().max() < 0.1
    assert torch.equal(grid, anchors(*SIZE, model.settings.anchors))
    cascaded = cascade(grid, list(offsets.unbind(1)), *SIZE)
    for step in range(2):
        torch.testing.assert_close(boxes[:, step], cascaded[step + 1])
    torch.testing.assert_close(scores[:, 1], step_scores(list(logits.sigmoid().unbind(1)), rule)[1])


def test_the_copy_leaves_the_network_as_it_was() -> None:
    model = model_of("resnet50")
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    DeployedNetwork(model, half=True)
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


def exported(tmp_path: Path, name: str, backbone: str = "mobilenet", **choices: object) -> tuple[ALFNet, Path]:
    model = model_of(backbone)
    model.save(tmp_path / "model.safetensors", extra={"profile": "a test"})
    out = tmp_path / name
    kind = next(kind for kind, suffix in SUFFIXES.items() if suffix == out.suffix)
    settings = ExportSettings(**{"format": kind, "size": SIZE} | choices)  # type: ignore[arg-type]
    calibration = []
    if settings.int8:
        for number, image in enumerate(images(4)):
            calibration.append(tmp_path / f"{number}.png")
            write_png(calibration[-1], image)
    low = published_settings().model_copy(update={"score_threshold": 1e-6, "minimum_side": 30.0})
    difference = export_detector(tmp_path / "model.safetensors", out, settings, low, calibration=calibration)
    if settings.precision == "float32":
        assert difference.boxes <= BOXES_AT_MOST
        assert difference.scores <= SCORES_AT_MOST
    return model, out


def assert_predicts(backend: ExportedBackend, model: ALFNet, pixels: np.ndarray) -> None:
    with torch.inference_mode():
        expected = model(normalise(torch.from_numpy(pixels)))
    for (logits, offsets), (expected_logits, expected_offsets) in zip(backend.predict(pixels), expected, strict=True):
        torch.testing.assert_close(logits, expected_logits, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(offsets, expected_offsets, rtol=1e-4, atol=1e-4)


class Session:
    """Stands in for ONNX Runtime's, and gives back what it is given."""

    def __init__(self, found: Exception | list[np.ndarray]) -> None:
        self.found = found

    def run(self, names: list[str], inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.mark.parametrize(
    ("logits", "part"),
    [
        (
            RuntimeError("kernel_shape is not compatible\nwith W"),
            r"ONNX Runtime cannot run it \(kernel_shape is not compatible\)",
        ),
        (np.zeros((1, 2, 10), np.float32), "predicts .* where its settings make"),
        (np.zeros((1, 1, 1020), np.float32), "predicts .* where its settings make"),
        (np.full((1, 2, 1020), np.nan, np.float32), "computes numbers that are not finite"),
    ],
)
def test_a_file_that_is_damaged_and_opens_is_refused_when_it_computes(
    logits: Exception | np.ndarray, part: str
) -> None:
    model = model_of("mobilenet")
    found = logits if isinstance(logits, Exception) else [logits, np.zeros((*logits.shape, 4), np.float32)]
    backend = object.__new__(OnnxBackend)
    backend.path, backend.settings, backend.session = Path("model.onnx"), model.settings, Session(found)
    backend.export = ExportSettings(format="onnx", size=SIZE)
    assert len(anchors(*SIZE, model.settings.anchors)) == 1020
    with pytest.raises(AlfnetError, match=rf"model\.onnx: {part}.*export it again"):
        backend.predict(images(1))


@pytest.mark.slow
def test_onnx_of_one_size_with_detections(tmp_path: Path) -> None:
    model, out = exported(tmp_path, "model.onnx", nms=True)
    backend = OnnxBackend(out, "cpu")
    assert backend.origin == {"profile": "a test"}
    assert_predicts(backend, model, images())
    with pytest.raises(AlfnetError, match=r"takes images of at most 192 x 128 px .*--dynamic"):
        backend.predict(images(height=192))
    pixels = images(1)
    _, _, boxes, scores, found = backend.session.run(None, {"images": pixels})
    low: DetectSettings = published_settings().model_copy(update={"score_threshold": 1e-6, "minimum_side": 30.0})
    expected = select(
        torch.from_numpy(boxes[0, 1]), torch.from_numpy(scores[0, 1]), **low.model_dump(exclude={"scores"})
    )
    assert len(expected.boxes) > 5
    np.testing.assert_allclose(found[:, 1:5], expected.boxes, atol=1e-3)
    np.testing.assert_allclose(found[:, 5], expected.scores, rtol=1e-5)
    assert not found[:, 0].any()
    content = out.read_bytes()
    assert str(Path.home()).encode() not in content
    assert str(tmp_path).encode() not in content


@pytest.mark.slow
def test_onnx_of_any_size(tmp_path: Path) -> None:
    model, out = exported(tmp_path, "model.onnx", "resnet50", size=None, decode=True)
    backend = OnnxBackend(out, "cpu")
    for shape in ((1, 64, 64), (3, 192, 128)):
        pixels = images(*shape)
        assert_predicts(backend, model, pixels)
        logits, offsets, boxes, scores = backend.session.run(None, {"images": pixels})
        tensors = [torch.from_numpy(array) for array in (logits, offsets)]
        expected = Decoder(published_settings().scores)(
            *tensors, *Grid(model.settings.anchors)(torch.from_numpy(pixels))
        )
        np.testing.assert_allclose(boxes, expected[0], atol=1e-3)
        np.testing.assert_allclose(scores, expected[1], atol=1e-6)
    odd = backend.predict(images(1, 100, 150))  # padded
    assert odd[0][0].shape == (1, len(anchors(128, 192, model.settings.anchors)))


def test_a_backbone_that_reshapes_its_maps_has_no_open_size() -> None:
    def graph(middle: str) -> onnx.ModelProto:
        """A reshape, and `middle` before the output."""
        shapes = [onnx.numpy_helper.from_array(np.array([1, 24, 1]), name) for name in ("tokens", "boxes")]
        nodes = [
            onnx.helper.make_node("Reshape", ["images", "tokens"], ["a"]),
            onnx.helper.make_node(middle, ["a"], ["b"], axis=1),
            onnx.helper.make_node("Unsqueeze", ["b", "boxes"], ["logits"]),
        ]
        images, logits = (
            onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
            for name, shape in (("images", [1, 4, 6, 3]), ("logits", [1, 24, 1]))
        )
        return onnx.helper.make_model(onnx.helper.make_graph(nodes, "", [images], [logits], shapes))

    with pytest.raises(AlfnetError, match="cannot be exported with --dynamic; give --height and --width"):
        _open_sizes(graph("Softmax"))
    opened = graph("Concat")
    _open_sizes(opened)
    assert onnx.numpy_helper.to_array(opened.graph.initializer[0]).tolist() == [0, -1, 1]


@pytest.mark.slow
def test_openvino_and_int8(tmp_path: Path) -> None:
    model, out = exported(tmp_path, "model.xml")
    assert_predicts(OpenVinoBackend(out, "cpu"), model, images())
    assert MARKS["openvino"] in out.read_bytes()
    pytest.importorskip("nncf")
    model, out = exported(tmp_path, "small.onnx", int8=True)
    backend = OnnxBackend(out, "cpu")
    assert "int8" in backend.name
    assert b"QuantizeLinear" in out.read_bytes()
    with torch.inference_mode():
        expected = model(normalise(torch.from_numpy(images())))
    found = backend.predict(images())
    assert (found[1][0] - expected[1][0]).abs().mean() < expected[1][0].std()


@pytest.mark.costly
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_ncnn_takes_any_size(tmp_path: Path, backbone: str) -> None:
    model, out = exported(tmp_path, "model.param", backbone, size=None)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "model.bin",
        "model.json",
        "model.param",
        "model.safetensors",
    ]
    backend = NcnnBackend(out, "cpu")
    assert backend.origin == {"profile": "a test"}
    for shape in ((1, 64, 64), (3, 192, 128)):
        assert_predicts(backend, model, images(*shape))
    odd = images(1, 100, 150)
    grey = np.rint(CHANNEL_MEANS).astype(np.uint8)
    padded = np.concatenate([odd, np.broadcast_to(grey, (1, 100, 42, 3))], axis=2)
    padded = np.concatenate([padded, np.broadcast_to(grey, (1, 28, 192, 3))], axis=1)
    for found, expected in zip(backend.predict(odd), backend.predict(padded), strict=True):
        assert torch.equal(found[0], expected[0])
        assert torch.equal(found[1], expected[1])
    summary = exported_summary(out)
    assert (summary["format"], summary["size"]) == ("ncnn", "any (multiples of 64)")
    assert summary["bytes"] == sum(out.with_suffix(end).stat().st_size for end in (".param", ".bin", ".json"))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    exported(tmp_path, "model.param", backbone, size=None)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def small_ncnn(folder: Path) -> Path:
    """Export without the comparison at real size."""
    model, out = model_of("mobilenet"), folder / "model.param"
    write_ncnn(DeployedNetwork(model), out, describe(model.settings, ExportSettings(format="ncnn", size=None), {}))
    return out


@pytest.mark.parametrize(
    ("ending", "content", "said"),
    [
        (".bin", None, r"model\.bin: no such file; an ncnn export is model\.param, model\.bin and model\.json"),
        (".json", None, r"model\.json: no such file"),
        (".bin", b"cut", r"model\.bin: is not the file that model\.json describes; it is damaged, export it again"),
        (".param", b"7767517\n1 1\nInput a 0 1 in0\n", r"model\.param: is not the file that model\.json describes"),
        (".json", "widths", r"model\.json: is not as alfnet export wrote it; it is damaged"),
        (".json", b"[1]", r"model\.json: was not written by alfnet export"),
        (".json", b'{"sha256": 3}', r"model\.json: was not written by alfnet export"),
        (".json", b"\xff{", r"model\.json: was not written by alfnet export"),
    ],
)
def test_ncnn_files_that_are_not_whole_are_refused(
    tmp_path: Path, ending: str, content: bytes | str | None, said: str
) -> None:
    out = small_ncnn(tmp_path)
    NcnnBackend(out, "cpu")
    if content is None:
        out.with_suffix(ending).unlink()
    elif isinstance(content, str):  # other anchors
        text = out.with_suffix(ending).read_text()
        assert "24.0" in text
        out.with_suffix(ending).write_text(text.replace("24.0", "25.0"))
    else:
        out.with_suffix(ending).write_bytes(content)
    with pytest.raises(AlfnetError, match=said):
        NcnnBackend(out, "cpu")


def test_ncnn_computes_what_pytorch_does(tmp_path: Path) -> None:
    assert_predicts(NcnnBackend(small_ncnn(tmp_path), "cpu"), model_of("mobilenet"), images(1, 64, 64))


def test_ncnn_is_computed_on_the_cpu(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match=r"model\.old: no exported file by its ending"):
        NcnnBackend(small_ncnn(tmp_path).rename(tmp_path / "model.old"), "cpu")
    with pytest.raises(AlfnetError, match="--device cuda: ncnn files are computed on the CPU"):
        NcnnBackend(small_ncnn(tmp_path), "cuda")


class Written(torch.nn.Module):
    """A layer that is a function."""

    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, value: torch.Tensor) -> torch.Tensor:
        return self.function(value)


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        (
            Written(lambda x: F.max_pool2d(F.pad(x, (0, 1, 0, 1)), 3, 2)),
            "zeros before max-pooling of what may be negative",
        ),
        (Written(lambda x: F.pad(x, (0, 1, 0, 1)) + x), "padding before BinaryOp"),
        (Written(lambda x: F.pad(F.pad(x, (0, 1, 0, 1)), (0, 1, 0, 1))), "pad"),
        (Written(lambda x: F.pad(x, (0, 1))), "pad"),
        (Written(lambda x: F.pad(x, (0, -1, 0, -1))), "pad"),
        (Written(lambda x: F.pad(x, (1, 1, 1, 1), value=3.0)), "pad"),
        (Written(lambda x: torch.add(x, x, alpha=2)), "add"),
        (Written(lambda x: torch.add(x, other=x)), "add"),
        (Written(lambda x: x * 2 if x.sum() > 0 else x), "TraceError in tracing it"),
        (torch.nn.BatchNorm2d(3), "BatchNorm2d in it"),
        (torch.nn.Sequential(torch.nn.Sigmoid()), "Sigmoid in it"),
        (torch.nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"), "padding other than by zeros"),
        (torch.nn.Sequential(torch.nn.ZeroPad2d(1), torch.nn.MaxPool2d(3, 2)), "MaxPool2d in it"),
    ],
)
def test_ncnn_files_of_other_layers_are_refused(tmp_path: Path, layer: torch.nn.Module, said: str) -> None:
    network = DeployedNetwork(model_of("mobilenet"))
    network.backbone = torch.nn.Sequential(layer, network.backbone)
    with pytest.raises(AlfnetError, match=rf"cannot be written for ncnn \(.*{said}.*export it as ONNX or OpenVINO"):
        write_ncnn(network, tmp_path / "model.param", "{}")
    assert not list(tmp_path.iterdir())


class Off:
    """A backend that gives PyTorch's predictions with the offsets of the last step scaled."""

    def __init__(self, model: ALFNet, factor: float) -> None:
        self.model, self.factor = model, factor

    def predict(self, images: np.ndarray) -> list[tuple[torch.Tensor, torch.Tensor]]:
        with torch.inference_mode():
            *first, (logits, offsets) = self.model(normalise(torch.from_numpy(images)))
        return [*first, (logits, offsets * self.factor)]


def test_a_file_that_computes_something_else_is_not_kept() -> None:
    model, export = model_of("mobilenet"), ExportSettings(format="onnx", size=SIZE)
    assert checked_difference(Off(model, 1), model, export, published_settings()).boxes == 0
    with pytest.raises(AlfnetError, match=r"not kept: .* where 0\.001 px and 1e-05 are allowed"):
        checked_difference(Off(model, 1.01), model, export, published_settings())


def test_boxes_of_half_the_image_may_differ_by_what_rounding_makes_of_them() -> None:
    size = (512, 1024)
    model, export = model_of("mobilenet"), ExportSettings(format="onnx", size=size)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".offsets.weight" in name:
                parameter *= 40
    own = rounding(model, size).boxes
    assert own > BOXES_AT_MOST
    assert checked_difference(Off(model, 1 + 1e-7), model, export, published_settings()).boxes <= 2 * own
    with pytest.raises(AlfnetError, match="not kept"):
        checked_difference(Off(model, 1.01), model, export, published_settings())


@pytest.mark.long
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_the_fine_maps_and_the_last_convolutions_stay_in_float(backbone: str) -> None:
    """Told by the sizes of the maps, of which `sensitive_nodes` knows nothing."""
    export = ExportSettings(format="onnx", size=SIZE)
    proto = onnx_model(model_of(backbone), export, published_settings(), "")
    shapes = onnx.shape_inference.infer_shapes(proto).graph.value_info
    heights = {value.name: value.type.tensor_type.shape.dim[2].dim_value for value in shapes if len(dims(value)) == 4}
    convolutions = [node for node in proto.graph.node if node.op_type == "Conv"]
    fine = {node.name for node in convolutions if heights[node.output[0]] >= SIZE[0] // 4}
    last = {node.name for node in convolutions if ".both." in node.input[1]}
    kept = set(sensitive_nodes(proto))
    assert kept & {node.name for node in convolutions} == fine | last
    assert len(last) == 8
    assert 5 < len(fine) < 15
    others = {node.op_type for node in proto.graph.node if node.name in kept} - {"Conv"}
    assert {"Cast", "Sub"} <= others <= {"Cast", "Sub", "Transpose", "Clip", "Relu", "Pad", "MaxPool", "Add"}


def dims(value: onnx.ValueInfoProto) -> list[object]:
    return list(value.type.tensor_type.shape.dim)


def test_what_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude each other"):
        ExportSettings(format="onnx", size=None, half=True, int8=True)
    with pytest.raises(ValueError, match="multiples of 64"):
        ExportSettings(format="onnx", size=(100, 200))
    for choice in ({"decode": True}, {"nms": True}, {"half": True}, {"int8": True}, {"channels": "rgb"}):
        with pytest.raises(ValueError, match="an ncnn file holds the float32 convolutions alone"):
            ExportSettings(format="ncnn", size=None, **choice)  # type: ignore[arg-type]
    weights, out = tmp_path / "m.safetensors", tmp_path / "m.onnx"
    model_of("mobilenet").save(weights)
    with pytest.raises(AlfnetError, match="no image to calibrate"):
        export_detector(weights, out, ExportSettings(format="onnx", size=SIZE, int8=True), published_settings())
    assert not (tmp_path / "m.onnx").exists()
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07broken")
    with pytest.raises(AlfnetError, match=r"cannot open it|description is missing"):
        OnnxBackend(tmp_path / "broken.onnx", "cpu")
    with pytest.raises(AlfnetError, match="alfnet export --weights"):
        OnnxBackend(tmp_path / "m.safetensors", "cpu")
    with pytest.raises(AlfnetError, match="no such file"):
        OpenVinoBackend(tmp_path / "absent.xml", "cpu")
    with pytest.raises(AlfnetError, match="--device cuda"):
        OnnxBackend(tmp_path / "broken.onnx", "cuda")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--out", "m.foo"], "--out m.foo: name it NAME.onnx for ONNX, NAME.xml for OpenVINO, or NAME"),
        (["--out", "m"], "--out m: name it NAME.onnx for ONNX"),
        (["--out", "m.onnx", "--format", "openvino"], "--out m.onnx: with --format openvino name it m.xml"),
        (["--out", "m.xml", "--format", "onnx"], "--out m.xml: with --format onnx name it m.onnx"),
        (["--out", "m.onnx", "--format", "ncnn"], "--out m.onnx: with --format ncnn name it m.param"),
        (["--out", "m.param", "--nms"], "--nms: an ncnn file holds the float32 convolutions alone"),
        (["--out", "m.param", "--height", "64"], "--height and --width: an ncnn file takes images of any size"),
        (["--out", "old.param"], "old.bin: is there and holds no earlier export of alfnet"),
        (["--out", "m.onnx", "--test-step", "1"], "--test-step 1: is of --nms"),
        (["--out", "m.onnx", "--nms", "--test-step", "9"], "--test-step 9: this network has the steps 1 to 2"),
        (
            ["--out", "m.onnx", "--weights", "old.onnx"],
            "old.onnx: an exported file already (ONNX); alfnet export needs",
        ),
        (["--out", "m.param", "--weights", "m.bin"], "--out m.param and its .bin m.bin: is the file of --weights"),
        (["--out", "m.onnx", "--weights", "."], ".: is a folder; name the file in it: model.safetensors"),
    ],
)
def test_commands_that_cannot_be_are_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: list[str], said: str
) -> None:
    def work(*arguments: object, **options: object) -> None:
        raise AssertionError("exports")

    monkeypatch.setattr(run, "onnx_model", work)
    model_of("mobilenet").save(tmp_path / "model.safetensors")
    for name in ("old.onnx", "old.bin"):
        (tmp_path / name).write_bytes(b"\x08\x07")
    assert said in alfnet("export", "--weights", "model.safetensors", *options, cwd=tmp_path, code=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "old.bin", "old.onnx"]


def test_an_earlier_export_of_any_size_is_written_over(tmp_path: Path) -> None:
    out = tmp_path / "m.onnx"
    with out.open("wb") as file:
        file.seek(2**26 + 1)  # of which nothing is stored
        file.write(MARKS["onnx"])
    _check_replaceable(out, "onnx")
    with out.open("r+b") as file:
        file.seek(2**26 + 1)
        file.write(b"an alfnet of somebody's")
    with pytest.raises(AlfnetError, match=r"m\.onnx: is there and holds no earlier export"):
        _check_replaceable(out, "onnx")


def test_the_weights_of_another_export_stay(tmp_path: Path) -> None:
    out = small_ncnn(tmp_path)
    _check_replaceable(out, "ncnn")
    assert MARKS["onnx"] in default_weights().with_suffix(".onnx").read_bytes()
    with pytest.raises(AlfnetError, match=r"model\.bin: is there"):
        _check_replaceable(out.with_suffix(".xml"), "openvino")
    about = out.with_suffix(".json").read_bytes()
    out.with_suffix(".json").write_bytes(b"{}")
    with pytest.raises(AlfnetError, match=r"model\.json: is there"):
        _check_replaceable(out, "ncnn")
    out.with_suffix(".json").write_bytes(about)
    for content, name in ((b"", "bin"), (b"7767517\n1 1\nInput an_alfnet 0 1 in0\n", "param")):
        out.write_bytes(content)
        with pytest.raises(AlfnetError, match=rf"model\.{name}: is there"):
            _check_replaceable(out, "ncnn")


def test_info_of_an_exported_file(tmp_path: Path) -> None:
    weights = default_weights()
    path = str(weights.with_suffix(".onnx"))
    said = json.loads(alfnet("weights", "info", path, "--json", cwd=tmp_path))
    expected = json.loads(alfnet("weights", "info", str(weights), "--json", cwd=tmp_path))
    assert (said["holds"], said["format"], said["nms"], said["channels"]) == ("exported detector", "onnx", True, "bgr")
    assert said["size"] == "any (multiples of 64)"
    assert {key: said[key] for key in expected.keys() - {"file", "bytes", "holds"}} == {
        key: expected[key] for key in expected.keys() - {"file", "bytes", "holds"}
    }
    assert "exported detector" in alfnet("weights", "info", path, cwd=tmp_path)
    (tmp_path / "broken.onnx").write_bytes(b"\x08\x07broken")
    assert "ONNX Runtime cannot open it" in alfnet("weights", "info", "broken.onnx", cwd=tmp_path, code=2)
    assert "no such file" in alfnet("weights", "info", "absent.xml", cwd=tmp_path, code=2)
