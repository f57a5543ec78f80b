"""The network as ncnn files: NAME.param (layers, text), NAME.bin (weights) and NAME.json (what it is, and checksums).

ncnn (Tencent, BSD) computes float32 convolutions on CPUs faster than the other runtimes here (docs/performance.md), and
runs on phones and boards. Its files hold the convolutions up to the maps of the predictor blocks; the means are subtracted
before, and the maps put in order after, by `alfnet.export.runtimes.NcnnBackend`. The layers' numbered parameters are those
of ncnn's docs/developer-guide/operators.md, the files those of its param-and-model-file-structure.md.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from alfnet.errors import AlfnetError
from alfnet.export.graph import DeployedNetwork
from alfnet.export.settings import METADATA_KEY, files_of
from alfnet.files import write_json

INPUT = "in0"
_MAGIC = "7767517"
_FLOAT32 = np.zeros(1, np.uint32)
"""Before a layer's weights: how they are stored."""
_RELU, _CLIP = 1, 3  # ncnn's numbers of activations within a convolution
_RELUS: tuple[object, ...] = (F.relu, torch.relu)
_SUMS: tuple[object, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")
_Pads = tuple[int, int, int, int]


def output_name(number: int) -> str:
    """The name of an output: the maps of step number // 4 + 1 on level number % 4, (A + 4A, H / stride, W / stride)."""
    return f"out{number}"


def write_ncnn(network: DeployedNetwork, out: Path, description: str) -> None:
    """Write the files of `network` beside `out`, NAME.param; `description` is of `alfnet.export.settings.describe`.

    Raises AlfnetError for a backbone of other layers than convolutions, ReLUs, sums and max-pooling, as the paper's two have
    them (`nn.Conv2d`, `nn.ZeroPad2d`, and functions for the rest).
    """
    layers = _layers(network)
    blobs = sum(len(layer.outputs) for layer in layers)
    lines = [_MAGIC, f"{len(layers)} {blobs}", *(layer.line() for layer in layers)]
    param, binary, about = files_of(out, "ncnn")
    binary.write_bytes(b"".join(part.tobytes() for layer in layers for part in layer.weights))
    param.write_text("\n".join(lines) + "\n")
    content = json.loads(description)
    digests = {"param": _sha256(param), "bin": _sha256(binary), "description": _sha256_of(content)}
    write_json(about, content | {"sha256": digests}, indent=1)


def read_ncnn(out: Path) -> str:
    """Return the description of an export, and check that its files are whole: ncnn itself may crash on damaged ones.

    Raises AlfnetError where one is missing, or not the one that was written.
    """
    param, binary, about = files = files_of(out, "ncnn")
    for path in files:
        if not path.is_file():
            raise AlfnetError(f"{path}: no such file; an ncnn export is {param.name}, {binary.name} and {about.name}")
    try:
        content = json.loads(about.read_bytes())
        expected = dict(content.pop("sha256"))
        whole = expected["description"] == _sha256_of(content)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise AlfnetError(f"{about}: was not written by alfnet export; export the detector") from None
    if not whole:
        raise AlfnetError(f"{about}: is not as alfnet export wrote it; it is damaged, export it again")
    for path in (param, binary):
        if expected.get(path.suffix[1:]) != _sha256(path):
            raise AlfnetError(f"{path}: is not the file that {about.name} describes; it is damaged, export it again")
    return json.dumps(content, sort_keys=True)


def _sha256_of(content: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@dataclass
class _Layer:
    kind: str
    name: str
    inputs: list[str]
    outputs: list[str]
    parameters: dict[int, str | int] = field(default_factory=dict)
    weights: list[np.ndarray] = field(default_factory=list)

    def line(self) -> str:
        parameters = [f"{key}={value}" for key, value in self.parameters.items()]
        counts = [str(len(self.inputs)), str(len(self.outputs))]
        return " ".join([self.kind, self.name, *counts, *self.inputs, *self.outputs, *parameters])


class _Maps(nn.Module):
    """(N, 3, H, W), float32 less the means -> for every step and level the predictor block's map (N, A + 4A, h, w)."""

    def __init__(self, network: DeployedNetwork) -> None:
        super().__init__()
        self.network = network

    def forward(self, values: Tensor) -> list[Tensor]:
        return self.network.maps(values)


def _layers(network: DeployedNetwork) -> list[_Layer]:
    """The layers in the order of computing; every blob has one reader, since `Split` copies what several read."""
    try:
        traced = fx.symbolic_trace(_Maps(network))
    except Exception as error:  # what a foreign backbone raises under tracing is its own affair
        raise _refused(f"{type(error).__name__} in tracing it") from None
    translated = _Translation(dict(traced.named_modules()))
    for node in traced.graph.nodes:
        translated.add(node)
    return translated.finished()


class _Translation:
    """Layers of ncnn from a graph of torch.fx, node by node."""

    def __init__(self, modules: dict[str, nn.Module]) -> None:
        self.modules = modules
        self.layers: list[_Layer] = []
        self.blob: dict[fx.Node, str] = {}
        self.padded: dict[fx.Node, _Pads] = {}
        """What is padded with zeros on its way to its one reader: left, right, top, bottom."""
        self.maker: dict[str, _Layer] = {}

    def add(self, node: fx.Node) -> None:
        """Take the next node."""
        if node.op == "placeholder":
            self._layer(node, "Input", [])
        elif node.op == "output":
            self._name_outputs(cast(Sequence[fx.Node], node.args[0]))
        elif node.op == "call_module":
            self._module(node, self.modules[str(node.target)])
        elif node.target in _RELUS:
            self._activation(node, _RELU, "")
        elif node.target is F.relu6:
            self._activation(node, _CLIP, "2,0.0,6.0")
        elif node.target in _SUMS:
            terms = [each for each in node.args if isinstance(each, fx.Node)]
            if len(terms) != 2 or len(node.args) != 2 or node.kwargs:
                raise _refused(f"{node.format_node()} in it")
            self._layer(node, "BinaryOp", terms, {0: 0})
        elif node.target is F.pad:
            given = dict(zip(("input", "pad", "mode", "value"), node.args, strict=False)) | node.kwargs
            if given.get("mode", "constant") != "constant" or given.get("value") not in (None, 0):
                raise _refused(f"{node.format_node()} in it")
            self._pad(node, tuple(cast(Sequence[int], given["pad"])))
        elif node.target in _POOLS:
            self._pool(node)
        else:
            raise _refused(f"{node.target} in it")

    def _module(self, node: fx.Node, module: nn.Module) -> None:
        if isinstance(module, nn.ZeroPad2d):
            self._pad(node, module.padding)
        elif type(module) is nn.Conv2d:
            self._convolution(node, module)
        else:
            raise _refused(f"{type(module).__name__} in it")

    def _layer(
        self, node: fx.Node, kind: str, inputs: Sequence[fx.Node], parameters: Mapping[int, str | int] | None = None
    ) -> _Layer:
        if any(each in self.padded for each in inputs):
            raise _refused(f"padding before {kind} in it")
        # The first layer's name says who wrote the file, for `alfnet export` not to write over another.
        name, blob = (METADATA_KEY, INPUT) if kind == "Input" else (str(len(self.layers)),) * 2
        layer = _Layer(kind, name, [self.blob[each] for each in inputs], [blob], dict(parameters or {}))
        self.layers.append(layer)
        self.blob[node], self.maker[blob] = blob, layer
        return layer

    def _pad(self, node: fx.Node, pads: tuple[int, ...]) -> None:
        [source] = node.all_input_nodes
        if len(pads) != 4 or min(pads) < 0 or source in self.padded or len(node.users) != 1:
            raise _refused(f"{node.format_node()} in it")
        left, right, top, bottom = pads
        self.blob[node], self.padded[node] = self.blob[source], (left, right, top, bottom)

    def _convolution(self, node: fx.Node, conv: nn.Conv2d) -> None:
        if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
            raise _refused("padding other than by zeros in it")
        left, right, top, bottom = self._padding(node, conv.padding[1], conv.padding[0])
        kind = "Convolution" if conv.groups == 1 else "ConvolutionDepthWise"
        layer = self._layer(node, kind, node.all_input_nodes, {
            0: conv.out_channels, 1: conv.kernel_size[1], 11: conv.kernel_size[0], 2: conv.dilation[1], 12: conv.dilation[0],
            3: conv.stride[1], 13: conv.stride[0], 4: left, 15: right, 14: top, 16: bottom,
            5: int(conv.bias is not None), 6: conv.weight.numel(),
        } | ({} if conv.groups == 1 else {7: conv.groups}))  # fmt: skip
        layer.weights = [_FLOAT32, _array(conv.weight)]
        if conv.bias is not None:
            layer.weights.append(_array(conv.bias))

    def _pool(self, node: fx.Node) -> None:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
        given = dict(zip(names, node.args[1:], strict=False)) | node.kwargs
        kernel, stride = given["kernel_size"], given.get("stride", given["kernel_size"])
        plain = given.get("padding", 0) == 0 and given.get("dilation", 1) == 1 and not given.get("ceil_mode", False)
        if not (isinstance(kernel, int) and isinstance(stride, int) and plain):
            raise _refused(f"{node.format_node()} in it")
        # ncnn pads with the lowest number, this network with zeros: the same, behind a ReLU.
        [source] = node.all_input_nodes
        behind = source.all_input_nodes[0] if source in self.padded else source
        if source in self.padded and behind.target not in (*_RELUS, F.relu6):
            raise _refused("zeros before max-pooling of what may be negative in it")
        left, right, top, bottom = self._padding(node, 0, 0)
        pads = {3: left, 14: right, 13: top, 15: bottom}
        self._layer(node, "Pooling", [source], {0: 0, 1: kernel, 2: stride} | pads | {5: 1})

    def _padding(self, node: fx.Node, across: int, down: int) -> _Pads:
        """A layer's own padding and that of a padding before it, which it takes over."""
        left, right, top, bottom = self.padded.pop(node.all_input_nodes[0], (0, 0, 0, 0))
        return left + across, right + across, top + down, bottom + down

    def _activation(self, node: fx.Node, kind: int, limits: str) -> None:
        source = node.all_input_nodes[0]
        maker = self.maker[self.blob[source]]
        fits = maker.kind.startswith("Convolution") and 9 not in maker.parameters
        if fits and len(source.users) == 1 and source not in self.padded:
            maker.parameters[9] = kind
            if limits:
                maker.parameters[-23310] = limits
            self.blob[node] = self.blob[source]
        elif kind == _RELU:
            self._layer(node, "ReLU", [source])
        else:
            self._layer(node, "Clip", [source], {0: "0.0", 1: "6.0"})

    def _name_outputs(self, outputs: Sequence[fx.Node]) -> None:
        for number, node in enumerate(outputs):
            maker = self.maker[self.blob[node]]
            maker.outputs = [output_name(number)]

    def finished(self) -> list[_Layer]:
        """All layers, with a `Split` behind every blob that has several readers."""
        readers: dict[str, list[tuple[_Layer, int]]] = {}
        for layer in self.layers:
            for place, name in enumerate(layer.inputs):
                readers.setdefault(name, []).append((layer, place))
        found = []
        for layer in self.layers:
            found.append(layer)
            several = readers.get(layer.outputs[0], [])
            if len(several) > 1:
                copies = [f"{layer.outputs[0]}_{number}" for number in range(len(several))]
                for (reader, place), copy in zip(several, copies, strict=True):
                    reader.inputs[place] = copy
                found.append(_Layer("Split", f"split_{layer.name}", list(layer.outputs), copies))
        return found


_POOLS: tuple[Callable[..., Any], ...] = (F.max_pool2d, torch.max_pool2d)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.detach().to(torch.float32).contiguous().numpy()


def _refused(what: str) -> AlfnetError:
    return AlfnetError(f"this backbone cannot be written for ncnn ({what}); export it as ONNX or OpenVINO")
