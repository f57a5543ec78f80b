"""ONNX files: the graph by PyTorch's exporter, non-maximum suppression by ONNX's own operator.

The opset and the operators (`operators`) are those that TensorRT, OpenVINO and ONNX Runtime all take.
"""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, compose, helper, numpy_helper

from alfnet.boxes.anchors import anchors
from alfnet.boxes.coding import constant
from alfnet.errors import AlfnetError
from alfnet.export.graph import DECODED_OUTPUTS, OUTPUTS, Decoder, DeployedNetwork, Grid
from alfnet.export.settings import METADATA_KEY, ExportSettings
from alfnet.network.alfnet import ALFNet
from alfnet.params import DetectSettings

OPSET = 18
OPERATORS = {
    "network": frozenset({
        "Add", "Cast", "Clip", "Concat", "Conv", "MaxPool", "Pad", "Relu", "Reshape", "Slice", "Sub", "Transpose", "Unsqueeze",
    }),
    "rgb": frozenset({"GatherND"}),
    "decode": frozenset({"Div", "Exp", "Gather", "Max", "Min", "Mul", "Sigmoid"}),
    "dynamic": frozenset({"Range", "Shape", "Squeeze"}),
    "nms": frozenset({"Gather", "GatherND", "GreaterOrEqual", "NonMaxSuppression", "ReduceMin"}),
    "int8": frozenset({"DequantizeLinear", "QuantizeLinear"}),
}  # fmt: skip
"""Of the paper's two backbones: the operators of the network, and those that an option adds (`dynamic`: to `decode`)."""
_SIZE_FOR_TRACING = (128, 192)


def operators(export: ExportSettings) -> frozenset[str]:
    """The operators that a file of the paper's two backbones may hold."""
    decoded = export.decode or export.nms
    asked = {
        "network": True,
        "rgb": export.channels == "rgb",
        "decode": decoded,
        "dynamic": decoded and export.size is None,
        "nms": export.nms,
        "int8": export.int8,
    }
    return frozenset().union(*(OPERATORS[name] for name, holds in asked.items() if holds))


def onnx_model(
    model: ALFNet,
    export: ExportSettings,
    detect: DetectSettings,
    description: str,
    *,
    test_step: int | None = None,
    calibration: Sequence[np.ndarray] = (),
) -> onnx.ModelProto:
    """Return the ONNX model of a detector.

    `detect` is for `export.decode` (its `scores`) and `export.nms`, `test_step` (None: the last) for the latter alone,
    `calibration` (images (1, H, W, 3) uint8 of the input's channel order) for `export.int8`.

    Raises AlfnetError for a backbone that cannot be exported for any size, where that is asked for.
    """
    height, width = export.size or _SIZE_FOR_TRACING
    proto = _network(DeployedNetwork(model, rgb=export.channels == "rgb", half=export.half), height, width)
    if export.size is None:
        _open_sizes(proto)
    if export.int8:
        from alfnet.export.quantise import quantise

        proto = quantise(proto, calibration)
    if export.decode or export.nms:
        proto = _with_decoder(proto, model, export, detect.scores)
    if export.nms:
        append_selection(proto, detect, test_step or model.settings.steps)
    proto.producer_name, proto.producer_version, proto.doc_string = "alfnet", "", ""
    helper.set_model_props(proto, {METADATA_KEY: description})
    onnx.checker.check_model(proto)
    return proto


def _network(network: DeployedNetwork, height: int, width: int) -> onnx.ModelProto:
    images = torch.zeros((1, height, width, 3), dtype=torch.uint8)
    return _exported(network, (images,), ["images"], list(OUTPUTS), None)


def _exported(
    module: torch.nn.Module, inputs: tuple[torch.Tensor, ...], names: list[str], outputs: list[str], dynamic: Any
) -> onnx.ModelProto:
    constant.cache_clear()  # what is kept from real runs is no part of a traced one, and the other way round
    with _quiet():
        program = torch.onnx.export(
            module, inputs, dynamo=True, opset_version=OPSET, input_names=names, output_names=outputs,
            dynamic_shapes=dynamic, verbose=False,
        )  # fmt: skip
    constant.cache_clear()
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    for node in proto.graph.node:
        node.ClearField("metadata_props")  # the exporter's stack traces hold paths of this machine
        node.ClearField("doc_string")
    for value in (*proto.graph.value_info, *proto.graph.input, *proto.graph.output):
        value.ClearField("metadata_props")
    proto.graph.ClearField("metadata_props")
    proto.graph.ClearField("value_info")
    proto.ClearField("metadata_props")
    return proto


def _open_sizes(proto: onnx.ModelProto) -> None:
    """Make a graph that was traced at one size take any number of images, of any sides that are multiples of 64.

    All its paddings are constants, so the traced size stands in the shapes of its heads' reshapes alone. (The exporter can
    trace open sizes itself, but reasons about them for minutes.)

    Raises AlfnetError for a backbone that reshapes its maps, as transformers do: what such a shape means is not known.
    """
    shapes = {tensor.name: tensor for tensor in proto.graph.initializer}
    opened = set()
    of_heads = _reshapes_before_outputs(proto.graph)
    for node in proto.graph.node:
        if node.op_type != "Reshape":
            continue
        if node.output[0] not in of_heads:
            raise AlfnetError("this backbone cannot be exported with --dynamic; give --height and --width")
        del node.attribute[:]  # allowzero: a 0 here means "as it is"
        if node.input[1] not in opened:
            values = numpy_helper.to_array(shapes[node.input[1]]).tolist()
            # (1, n) and (1, n, 4): the batch stays what it is, n follows from the rest.
            opened_shape = np.array([0, -1, *values[2:]], dtype=np.int64)
            shapes[node.input[1]].CopyFrom(numpy_helper.from_array(opened_shape, node.input[1]))
            opened.add(node.input[1])
    for value in (*proto.graph.input, *proto.graph.output):
        dimensions = value.type.tensor_type.shape.dim
        for index, name in enumerate(
            ("images", "height", "width") if value.name == "images" else ("images", None, "anchors")
        ):
            if name is not None:
                dimensions[index].dim_param = name


def _reshapes_before_outputs(graph: onnx.GraphProto) -> set[str]:
    """The outputs of the reshapes behind which their values are put together only: those of the heads."""
    makers = {name: node for node in graph.node for name in node.output}
    found, waiting = set(), [value.name for value in graph.output]
    while waiting:
        name = waiting.pop()
        node = makers.get(name)
        if node is not None and node.op_type == "Reshape":
            found.add(name)
        elif node is not None and node.op_type in ("Concat", "Unsqueeze", "Cast"):
            waiting.extend(node.input)
    return found


def _with_decoder(proto: onnx.ModelProto, model: ALFNet, export: ExportSettings, rule: str) -> onnx.ModelProto:
    """Add the outputs boxes and scores; `rule`: how a step's score is made (`Decoder`)."""
    steps, dim = model.settings.steps, torch.export.Dim
    if export.size is not None:
        height, width = export.size
        boxes = anchors(height, width, model.settings.anchors)
        limit = torch.tensor([width - 1.0, height - 1.0] * 2)
        module: torch.nn.Module = _FixedDecoder(boxes, limit, rule)
        inputs = (torch.zeros(1, steps, len(boxes)), torch.zeros(1, steps, len(boxes), 4))
        decoder = _exported(module, inputs, ["raw_logits", "raw_offsets"], list(DECODED_OUTPUTS), None)
        return _joined(proto, decoder, "decode_")
    images, count = dim("images", min=1), dim("anchors", min=2)
    decoder = _exported(
        Decoder(rule),
        (torch.zeros(2, steps, 7), torch.zeros(2, steps, 7, 4), torch.zeros(7, 4), torch.zeros(4)),
        ["raw_logits", "raw_offsets", "raw_anchors", "raw_limit"],
        list(DECODED_OUTPUTS),
        ({0: images, 2: count}, {0: images, 2: count}, {0: count}, None),
    )
    grid = _exported(
        Grid(model.settings.anchors),
        (torch.zeros((2, *_SIZE_FOR_TRACING, 3), dtype=torch.uint8),),
        ["raw_images"],
        ["raw_anchors", "raw_limit"],
        ({0: images, 1: 64 * dim("rows", min=1), 2: 64 * dim("columns", min=1)},),
    )
    joined = _joined(_joined(proto, grid, "grid_"), decoder, "decode_")
    _measure_float_images(joined.graph)
    return joined


def _measure_float_images(graph: onnx.GraphProto) -> None:
    """Take the sizes from the images in float32: TensorRT takes uint8 as an input that is converted, and for nothing else."""
    conversions = (node.output[0] for node in graph.node if node.op_type == "Cast" and node.input[0] == "images")
    converted = next(conversions, "images")
    for node in graph.node:
        if node.op_type == "Shape" and node.input[0] == "images":
            node.input[0] = converted


class _FixedDecoder(torch.nn.Module):
    """`Decoder` for one input size."""

    def __init__(self, boxes: torch.Tensor, limit: torch.Tensor, rule: str) -> None:
        super().__init__()
        self.register_buffer("fixed_anchors", boxes)
        self.register_buffer("fixed_limit", limit)
        self.decoder = Decoder(rule)

    def forward(self, logits: torch.Tensor, offsets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """As `Decoder.forward`."""
        found: tuple[torch.Tensor, torch.Tensor] = self.decoder(logits, offsets, self.fixed_anchors, self.fixed_limit)
        return found


def _joined(first: onnx.ModelProto, second: onnx.ModelProto, prefix: str) -> onnx.ModelProto:
    """One graph of two: inputs of the second called raw_X are X of the first; its outputs are added to the first's."""
    prefixed = compose.add_prefix(second, prefix, rename_inputs=False, rename_outputs=False)
    known = {value.name for value in (*first.graph.input, *first.graph.output)} | {
        name for node in first.graph.node for name in node.output
    }
    for node in prefixed.graph.node:
        for index, name in enumerate(node.input):
            if name.startswith("raw_") and name.removeprefix("raw_") in known:
                node.input[index] = name.removeprefix("raw_")
    first.graph.node.extend(prefixed.graph.node)
    first.graph.initializer.extend(prefixed.graph.initializer)
    first.graph.output.extend(value for value in prefixed.graph.output if not value.name.startswith("raw_"))
    return first


def append_selection(proto: onnx.ModelProto, detect: DetectSettings, step: int) -> None:
    """Add the published selection to a decoded graph (docs/method.md#test): an output `detections`, (K, 6).

    A row is: image, x1, y1, x2, y2, score, in pixels of the input, sorted by image and score. A box with a side (+1) below
    `minimum_side` gets score 0, which is below every threshold. The cut at `before_nms` is left out: a picture with more
    than 6,000 scores above the threshold would be needed for it to matter.
    """
    graph = proto.graph

    def constant(name: str, values: list[float] | list[int], kind: int, shape: list[int] | None = None) -> str:
        graph.initializer.append(helper.make_tensor(name, kind, [len(values)] if shape is None else shape, values))
        return name

    def node(kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        graph.node.append(helper.make_node(kind, inputs, [output], name=f"select_{output}", **attributes))
        return output

    chosen = constant("select_step", [step - 1], TensorProto.INT64, [])
    boxes = node("Gather", ["boxes", chosen], "step_boxes", axis=1)  # (N, B, 4)
    scores = node("Gather", ["scores", chosen], "step_scores", axis=1)  # (N, B)
    near = node(
        "Slice", [boxes, *(constant(f"near_{i}", [v], TensorProto.INT64) for i, v in enumerate((0, 2, 2)))], "near"
    )
    far = node(
        "Slice", [boxes, *(constant(f"far_{i}", [v], TensorProto.INT64) for i, v in enumerate((2, 4, 2)))], "far"
    )
    one = constant("one_pixel", [1.0], TensorProto.FLOAT)
    # The published areas count pixels (+1): moving the far corner by one gives the same arithmetic.
    beyond = node("Add", [far, one], "beyond")
    sides = node("Sub", [beyond, near], "sides")
    smallest = node("ReduceMin", [sides, constant("last_axis", [-1], TensorProto.INT64)], "smallest", keepdims=0)
    large = node(
        "GreaterOrEqual", [smallest, constant("minimum_side", [detect.minimum_side], TensorProto.FLOAT)], "large"
    )
    factor = node("Cast", [large], "factor", to=TensorProto.FLOAT)
    counted = node("Mul", [scores, factor], "counted")
    by_class = node("Unsqueeze", [counted, constant("class_axis", [1], TensorProto.INT64)], "by_class")  # (N, 1, B)
    grown = node("Concat", [near, beyond], "grown", axis=-1)
    picked = node(
        "NonMaxSuppression",
        [
            grown,
            by_class,
            constant("after_nms", [detect.after_nms], TensorProto.INT64),
            constant("nms_iou", [detect.nms_iou], TensorProto.FLOAT),
            constant("score_threshold", [detect.score_threshold], TensorProto.FLOAT),
        ],
        "picked",
        center_point_box=0,
    )  # (K, 3): image, class, box
    place = node("Gather", [picked, constant("image_and_box", [0, 2], TensorProto.INT64)], "place", axis=1)
    found = node("GatherND", [boxes, place], "found")  # (K, 4)
    score = node("GatherND", [scores, place], "found_scores")
    column = node("Unsqueeze", [score, constant("column", [1], TensorProto.INT64)], "score_column")
    image = node("Gather", [picked, constant("image", [0], TensorProto.INT64)], "image_of", axis=1)
    image_column = node("Cast", [image], "image_column", to=TensorProto.FLOAT)
    node("Concat", [image_column, found, column], "detections", axis=1)
    graph.output.append(helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["found", 6]))


def save_onnx(proto: onnx.ModelProto, path: Path) -> None:
    """Write a model as one file, whole or not at all."""
    from alfnet.files import write_bytes

    write_bytes(path, proto.SerializeToString(deterministic=True))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress and warns about its own insides."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    logging.getLogger("onnxscript").setLevel(logging.ERROR)
    logging.getLogger("onnx_ir").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        yield
