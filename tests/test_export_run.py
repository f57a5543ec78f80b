"""All that an exported file gives is compared with PyTorch, and a file that gives something else is not kept."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from alfnet.detection.detector import published_settings
from alfnet.errors import AlfnetError
from alfnet.export import onnx_file, run
from alfnet.export.graph import Grid
from alfnet.export.run import BOXES_AT_MOST, SCORES_AT_MOST, Difference, calibration_images, export_detector, spread
from alfnet.export.runtimes import OPEN
from alfnet.export.settings import SUFFIXES, ExportSettings, describe, fixed_selection
from alfnet.images import MEAN_COLOUR, shrink_to_frame, write_png
from alfnet.network.alfnet import ALFNet
from alfnet.params import DetectSettings
from tests.commands import alfnet
from tests.test_export import SIZE, images, model_of

LOW = published_settings().model_copy(
    update={"score_threshold": 1e-6, "minimum_side": 30.0, "after_nms": 1000, "scores": "mean"}
)
"""Many boxes pass."""

Export = Callable[..., Difference]


@pytest.fixture(scope="module")
def model() -> ALFNet:
    return model_of("mobilenet")


@pytest.fixture(scope="module")
def traced() -> dict[tuple[object, ...], onnx.ModelProto]:
    """What was traced already, which takes seconds, by what it is made of."""
    return {}


@pytest.fixture
def tracing(monkeypatch: pytest.MonkeyPatch, traced: dict[tuple[object, ...], onnx.ModelProto]) -> None:
    """Nothing is traced twice."""
    trace = onnx_file._exported

    def exported(module: torch.nn.Module, inputs: tuple[Tensor, ...], *rest: Any) -> onnx.ModelProto:
        state = tuple(tensor.numpy().tobytes() for tensor in module.state_dict().values())
        kind = getattr(module, "decoder", module)
        choices = [getattr(kind, name, None) for name in ("rule", "order", "half_precision")]
        key = (type(module), state, str(choices), *(value.shape for value in inputs), str(rest))
        if key not in traced:
            traced[key] = trace(module, inputs, *rest)
        proto = onnx.ModelProto()
        proto.CopyFrom(traced[key])
        return proto

    monkeypatch.setattr(onnx_file, "_exported", exported)


@pytest.fixture
def export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ALFNet, tracing: None) -> Export:
    """A function that exports `model` to a file in `tmp_path`."""
    monkeypatch.setattr(run, "_SIZE_TO_CHECK", SIZE)
    model.save(tmp_path / "model.safetensors", extra={"profile": "a test"})

    def write(name: str, detect: DetectSettings = LOW, test_step: int | None = None, **choices: Any) -> Difference:
        out = tmp_path / name
        kind = next(kind for kind, suffix in SUFFIXES.items() if suffix == out.suffix)
        settings = ExportSettings(**{"format": kind, "size": SIZE, "test_step": test_step} | choices)
        calibration = []
        if settings.int8:
            calibration = [tmp_path / f"{number}.png" for number in range(4)]
            for path, image in zip(calibration, images(4), strict=True):
                write_png(path, image)
        return export_detector(
            tmp_path / "model.safetensors", out, settings, detect, test_step=test_step, calibration=calibration,
            origin={"miss_rates": "5 %"},
        )  # fmt: skip

    return write


@pytest.mark.costly
@pytest.mark.parametrize(
    ("name", "choices", "rule"),
    [
        ("model.onnx", {"nms": True}, "mean"),
        ("model.onnx", {"nms": True, "test_step": 1}, "product"),
        ("model.xml", {"decode": True}, "product"),
        ("model.xml", {"nms": True}, "mean"),
        pytest.param("model.onnx", {"nms": True, "size": None}, "mean", marks=pytest.mark.slow),
        pytest.param("model.xml", {"decode": True, "size": None}, "mean", marks=pytest.mark.slow),
        pytest.param("model.onnx", {"decode": True, "channels": "rgb"}, "mean", marks=pytest.mark.slow),
        pytest.param("model.onnx", {"nms": True, "half": True}, "mean", marks=pytest.mark.slow),
        pytest.param("model.xml", {"nms": True, "half": True}, "mean", marks=pytest.mark.slow),
    ],
)
def test_all_outputs_are_compared(
    export: Export, tmp_path: Path, name: str, choices: dict[str, Any], rule: str
) -> None:
    detect = LOW.model_copy(update={"scores": rule})
    difference = export(name, detect, **choices)
    assert difference.size == SIZE
    if choices.get("half"):
        assert difference.boxes > BOXES_AT_MOST
    else:
        assert difference.boxes <= BOXES_AT_MOST
        assert difference.scores <= SCORES_AT_MOST
    if choices.get("nms"):
        assert difference.detections is not None
        assert difference.detections > 20
        assert f"its {difference.detections} detections are the same" in str(difference)
    else:
        assert difference.detections is None
    backend = OPEN["onnx" if name.endswith("onnx") else "openvino"](tmp_path / name, "cpu")
    assert backend.origin == {"profile": "a test", "miss_rates": "5 %"}


@pytest.mark.long
def test_an_int8_file_decodes_its_own_predictions(export: Export, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("nncf")
    for name in ("model.onnx", "model.xml"):
        assert (export(name, nms=True, int8=True).detections or 0) > 20
    monkeypatch.setattr(onnx_file, "anchors", shifted(onnx_file.anchors))
    with pytest.raises(AlfnetError, match="not kept: its boxes differ by"):
        export("other.onnx", nms=True, int8=True)


def shifted(anchors: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The anchors with one of them, of the coarsest level, a little elsewhere."""

    def changed(*arguments: Any) -> Tensor:
        boxes = anchors(*arguments).clone()
        boxes[-1] -= 2
        return boxes

    return changed


class ShiftedGrid(Grid):
    """A grid with one anchor a little elsewhere."""

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        boxes, limit = super().forward(images)
        return torch.cat([boxes[:-1], boxes[-1:] - 2]), limit


@pytest.mark.costly
@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_whose_decoder_is_wrong_is_not_kept(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    decoder, with_decoder = onnx_file._FixedDecoder, onnx_file._with_decoder

    def refused(said: str, **choices: Any) -> None:
        with pytest.raises(AlfnetError, match=f"the exported file is not kept: {said}"):
            export(name, decode=True, **choices)
        assert not (tmp_path / name).exists()
        monkeypatch.setattr(onnx_file, "_FixedDecoder", decoder)
        monkeypatch.setattr(onnx_file, "_with_decoder", with_decoder)

    monkeypatch.setattr(onnx_file, "_FixedDecoder", lambda boxes, limit, rule: decoder(boxes, limit + 3, rule))
    refused(r"its boxes differ by \d.* px and its scores by .*e-\d+ from what its own logits and offsets make")
    monkeypatch.setattr(
        onnx_file, "_with_decoder", lambda proto, model, export, _: with_decoder(proto, model, export, "product")
    )
    refused(r"its boxes differ by .*e-\d+ px and its scores by 0\.")
    monkeypatch.setattr(onnx_file, "anchors", shifted(onnx_file.anchors))
    refused(r"its boxes differ by \d")


@pytest.mark.slow
def test_a_file_of_any_size_whose_anchors_are_wrong_is_not_kept(
    export: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(onnx_file, "Grid", ShiftedGrid)
    for name in ("model.onnx", "model.xml"):
        with pytest.raises(AlfnetError, match=r"not kept: its boxes differ by \d"):
            export(name, decode=True, size=None)


@pytest.mark.costly
@pytest.mark.parametrize("name", ["model.onnx", "model.xml"])
def test_a_file_that_selects_otherwise_is_not_kept(
    export: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    append = onnx_file.append_selection
    changes = ({"score_threshold": 0.5}, {"nms_iou": 0.3}, {"minimum_side": 16.0}, {"after_nms": 10}, {"step": 1})
    for change in changes if name == "model.onnx" else changes[:1]:  # OpenVINO's files take longer to write
        step = int(change.get("step", 2))
        other = LOW.model_copy(update={key: value for key, value in change.items() if key != "step"})

        def selection(proto: onnx.ModelProto, *_: Any, other: DetectSettings = other, step: int = step) -> None:
            append(proto, other, step)

        monkeypatch.setattr(onnx_file, "append_selection", selection)
        with pytest.raises(AlfnetError, match=r"not kept: its \d+ detections are not the \d+ that the settings select"):
            export(name, nms=True)
    monkeypatch.setattr(onnx_file, "append_selection", lambda *_: None)
    with pytest.raises(AlfnetError, match="not kept: its output detections is missing"):
        export(name, nms=True)
    monkeypatch.setattr(onnx_file, "_with_decoder", lambda proto, *_: proto)
    with pytest.raises(AlfnetError, match="not kept: its output boxes is missing, where finite numbers of shape"):
        export(name, nms=True)
    assert not (tmp_path / name).exists()


@pytest.mark.slow
def test_boxes_of_the_whole_image_are_kept(tmp_path: Path) -> None:
    """Whose decoding alone is rounded by more than a thousandth of a pixel."""
    model = model_of("mobilenet")
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if ".offsets.weight" in name:
                parameter *= 40
    model.save(tmp_path / "model.safetensors")
    for name, kind in (("model.onnx", "onnx"), ("model.xml", "openvino")):
        settings = ExportSettings(format=kind, size=(256, 512), nms=True)  # type: ignore[arg-type]
        export_detector(tmp_path / "model.safetensors", tmp_path / name, settings, LOW)
        assert (tmp_path / name).exists()


def test_what_is_fixed_in_the_graph_is_in_the_description(model: ALFNet) -> None:
    def fixed(**choices: Any) -> dict[str, Any]:
        return fixed_selection(describe(model.settings, ExportSettings(format="onnx", size=None, **choices), {}, LOW))

    assert fixed() == {}
    assert fixed(decode=True) == {"scores": "mean"}
    assert fixed(nms=True) == {
        "scores": "mean", "score_threshold": 1e-6, "nms_iou": 0.5, "minimum_side": 30.0, "after_nms": 1000,
    }  # fmt: skip


def test_calibration_images_are_as_the_network_will_see_them(tmp_path: Path) -> None:
    large, small = images(1, 200, 300)[0], images(1, 60, 90)[0]
    paths = [tmp_path / "large.png", tmp_path / "small.png"]
    for path, image in zip(paths, (large, small), strict=True):
        write_png(path, image)

    def read(size: tuple[int, int] | None, frame: tuple[int, int] | None, **choices: Any) -> list[np.ndarray]:
        found = calibration_images(paths, ExportSettings(format="onnx", size=size, **choices), frame)
        assert all(image.dtype == np.uint8 and image.flags.c_contiguous and len(image) == 1 for image in found)
        return [image[0] for image in found]

    # Shrunk into the frame, but for one that fits.
    first, second = read((128, 192), (96, 160))
    framed, scale = shrink_to_frame(large, 96, 160)
    assert scale < 0.5
    np.testing.assert_array_equal(first[:96, :160], framed)
    assert (first[96:] == MEAN_COLOUR).all()
    assert (first[:, 160:] == MEAN_COLOUR).all()
    np.testing.assert_array_equal(second[:60, :90], small)
    assert (second[60:] == MEAN_COLOUR).all()
    # Without a frame: the corner, or all of it where any size is taken.
    first, second = read((128, 192), None)
    np.testing.assert_array_equal(first, large[:128, :192])
    first, second = read(None, None)
    assert (first.shape, second.shape) == ((256, 320, 3), (64, 128, 3))
    np.testing.assert_array_equal(first[:200, :300], large)
    assert (first[200:] == MEAN_COLOUR).all()
    swapped, _ = read(None, None, channels="rgb")
    np.testing.assert_array_equal(swapped[..., ::-1], first)


@pytest.mark.parametrize("dynamic", [False, True])
def test_a_detector_that_shrinks_images_is_calibrated_with_shrunk_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ALFNet, dynamic: bool
) -> None:
    write_png(tmp_path / "large.png", images(1, 200, 300)[0])
    origin = {"trained_on": json.dumps({"frame": [192, 64]})}
    model.save(tmp_path / "model.safetensors", extra=origin)
    seen: list[np.ndarray] = []

    def stop(*_: Any, calibration: list[np.ndarray], **__: Any) -> None:
        seen.extend(calibration)
        raise AlfnetError("seen")

    monkeypatch.setattr(run, "onnx_model", stop)
    settings = ExportSettings(format="onnx", size=None if dynamic else (128, 192), int8=True)
    with pytest.raises(AlfnetError, match="seen"):
        export_detector(
            tmp_path / "model.safetensors", tmp_path / "m.onnx", settings, LOW, calibration=[tmp_path / "large.png"]
        )
    assert [image.shape for image in seen] == [(1, 64 if dynamic else 128, 192, 3)]
    assert (seen[0][0, :, 96:] == MEAN_COLOUR).all()  # 300 x 200 in a frame of 192 x 64


@pytest.mark.parametrize("count", [1, 64, 65, 100, 127, 128, 1000])
def test_calibration_takes_images_from_the_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ALFNet, count: int
) -> None:
    assert len(spread(range(count), 64)) == min(count, 64)
    (tmp_path / "images").mkdir()
    for number in range(count):
        (tmp_path / f"images/{number:04}.png").touch()
    model.save(tmp_path / "model.safetensors")
    chosen: list[int] = []

    def note(*_: Any, calibration: list[Path], **__: Any) -> str:
        chosen.extend(int(path.stem) for path in calibration)
        return ""

    monkeypatch.setattr(run, "export_detector", note)
    alfnet(
        "export", "--weights", "model.safetensors", "--out", "m.onnx", "--int8", "--calibration", "images", cwd=tmp_path
    )
    assert len(chosen) == min(count, 64)
    assert max(np.diff([-1, *chosen, count])) <= -(-count // 64) + 1


def test_the_pipelines_miss_rates_go_along(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: ALFNet) -> None:
    weights = tmp_path / "models/a-2s/1/model.safetensors"
    weights.parent.mkdir(parents=True)
    given: list[dict[str, str]] = []

    def note(*_: Any, origin: dict[str, str], **__: Any) -> str:
        given.append(origin)
        return ""

    monkeypatch.setattr(run, "export_detector", note)
    model.save(weights)
    alfnet("export", "--weights", str(weights), "--out", "m.onnx", cwd=tmp_path)
    (tmp_path / "metrics").mkdir()
    (tmp_path / "metrics/a-2s.json").write_text(json.dumps({"mr_50": 5.5, "mr_75": 20.25}))
    alfnet("export", "--weights", str(weights), "--out", "m.onnx", cwd=tmp_path)
    model.save(weights, extra={"trained_on": json.dumps({"miss_rate_percent": {"0.50": 5.0}})})
    alfnet("export", "--weights", str(weights), "--out", "m.onnx", cwd=tmp_path)
    text = "5.5 % at IoU 0.50, 20.25 % at IoU 0.75 (metrics/a-2s.json: mean over its seeds, last step)"
    assert given == [{}, {"miss_rates": text}, {}]


@pytest.mark.slow
@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize("size", [SIZE, None])
def test_the_operators_are_those_that_are_listed(size: tuple[int, int] | None) -> None:
    """Exactly: each is in a file, and no other."""
    found: dict[str, set[str]] = {}
    for backbone in ("resnet50", "mobilenet"):
        for choice in ("plain", "decode", "nms"):
            settings = ExportSettings(format="onnx", size=size, decode=choice == "decode", nms=choice == "nms")
            proto = onnx_file.onnx_model(model_of(backbone), settings, LOW, "")
            kinds = {node.op_type for node in proto.graph.node}
            assert kinds <= onnx_file.operators(settings)
            assert [(each.domain, each.version) for each in proto.opset_import] == [("", onnx_file.OPSET)]
            found[choice] = found.get(choice, set()) | kinds
            if size is None and choice != "plain":  # TensorRT converts images of uint8, and does nothing else with them
                assert {node.op_type for node in proto.graph.node if "images" in node.input} == {"Cast"}
    assert found["plain"] == onnx_file.OPERATORS["network"]
    assert found["nms"] == onnx_file.operators(settings)


def test_the_operators_are_documented() -> None:
    documented = (Path(__file__).parents[1] / "docs/deploy.md").read_text()
    listed = {name: " ".join(f"`{kind}`" for kind in sorted(kinds)) for name, kinds in onnx_file.OPERATORS.items()}
    del listed["int8"]  # not for TensorRT
    assert all(each in documented for each in listed.values())
