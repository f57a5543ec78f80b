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


def quantise(proto: onnx.ModelProto, calibration: Sequence[np.ndarray]) -> onnx.ModelProto:
    """Return the network in int8, with float inputs and outputs of its layers as calibration saw them.

    proto: the graph of `DeployedNetwork`. calibration: images (1, H, W, 3) uint8. What stays in float32: the two last
    convolutions of every predictor block, whose outputs are logits and offsets, and the normalisation of the pixels.

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
            fast_bias_correction=True,
            advanced_parameters=AdvancedQuantizationParameters(
                # Half the range of the weights: processors without VNNI add two products in 16 bits, which would overflow.
                overflow_fix=OverflowFix.ENABLE,
                # One range per tensor, which is all that ONNX Runtime's convolutions take.
                activations_quantization_params=QuantizationParameters(per_channel=False),
            ),
            ignored_scope=nncf.IgnoredScope(names=sensitive_nodes(proto), validate=False),
        )
    return quantised


def sensitive_nodes(proto: onnx.ModelProto) -> list[str]:
    """Names of the nodes that stay in float32."""
    heads = {tensor.name for tensor in proto.graph.initializer if ".both." in tensor.name}
    first = {"Cast", "Sub"}
    return [
        node.name
        for node in proto.graph.node
        if (node.op_type == "Conv" and heads & set(node.input)) or node.op_type in first
    ]
