"""Post-training quantisation to int8: weights and activations of the convolutions, calibrated on images (NNCF)."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Sequence

import numpy as np
import onnx

from alfnet.errors import AlfnetError

FINEST_STRIDE = 4
"""Pixels of the input per cell of the map: convolutions that write such a map, or a finer one, stay in float32."""


def quantise(proto: onnx.ModelProto, calibration: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Return the network in int8, with float inputs and outputs of its layers as calibration saw them.

    proto: the graph of `DeployedNetwork`. calibration: images (1, H, W, 3) uint8. What stays in float32: `sensitive_nodes`.

    Raises AlfnetError without images.
    """
    if not len(calibration):
        raise AlfnetError("--int8: no image to calibrate with; give a folder of training images with --calibration")
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with warnings.catch_warnings(action="ignore"), contextlib.redirect_stdout(io.StringIO()):
        import nncf
        from nncf.quantization.advanced_parameters import (
            AdvancedQuantizationParameters,
            OverflowFix,
            QuantizationParameters,
        )

        quantised: onnx.ModelProto = nncf.quantize(
            proto,
            nncf.Dataset(calibration, lambda image: {"images": image}),
            preset=nncf.QuantizationPreset.MIXED,
            subset_size=len(calibration),
            advanced_parameters=AdvancedQuantizationParameters(
                # It costs more than it gives: the fast one sees the mean of an activation alone, not where it is, nor the
                # padding, and moves the predictions further away; the exact one takes longer and is hardly better than none.
                disable_bias_correction=True,
                # Half the range of the weights: processors without VNNI add two products in 16 bits, which would overflow.
                overflow_fix=OverflowFix.ENABLE,
                # One range per tensor, which is all that ONNX Runtime's convolutions take.
                activations_quantization_params=QuantizationParameters(per_channel=False),
            ),
            ignored_scope=nncf.IgnoredScope(names=sensitive_nodes(proto), validate=False),
        )
    return quantised


def sensitive_nodes(proto: onnx.ModelProto) -> list[str]:
    """Names of the nodes that stay in float32, of the graph of `DeployedNetwork` (any backbone and input size).

    These are the two last convolutions of every predictor block, whose outputs are logits and offsets, and all that works
    on maps of stride 4 or finer, the pixels among them: few channels, so that the rounding of one is not averaged out by the
    others, and everything after inherits it. With one convolution quantised at a time these change the predictions most,
    in both backbones; of a published network's multiplications they are less than a tenth.
    """
    heads = {tensor.name for tensor in proto.graph.initializer if ".both." in tensor.name}
    strides = {value.name: 1 for value in proto.graph.input}
    found = []
    for node in proto.graph.node:  # in the order of computation
        of_inputs = [strides[name] for name in node.input if name in strides]
        if not of_inputs:
            continue
        step = next((attribute.ints[0] for attribute in node.attribute if attribute.name == "strides"), 1)
        stride = max(of_inputs) * step
        strides |= dict.fromkeys(node.output, stride)
        if stride <= FINEST_STRIDE or (node.op_type == "Conv" and heads & set(node.input)):
            found.append(node.name)
    return found
