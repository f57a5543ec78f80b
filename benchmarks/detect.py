"""What detection costs beside the network: reading images strictly, beside OpenCV; and the memory of an image.

    python -m benchmarks --only reading          # into docs/performance.md
    python -m benchmarks.detect                  # bytes per pixel of both backbones at full width

What the whole command costs beside the network: benchmarks/deploy.py.
"""

from __future__ import annotations

import multiprocessing
import resource
from collections.abc import Callable
from typing import Any, Literal

import cv2
import numpy as np
import torch

from alfnet.detection.backend import TorchBackend
from alfnet.detection.timing import machine
from alfnet.images import decode_image
from alfnet.network.alfnet import ALFNet, normalise
from alfnet.network.layers import BatchNorm
from alfnet.network.settings import NetworkSettings
from alfnet.profiles import PACKAGED, PAPER, load_profile
from benchmarks.turns import HEAD, by_turns, row


def network(backbone: Literal["resnet50", "mobilenet"], width: float) -> ALFNet:
    """A network of two steps whose random weights let every layer see the image, as learnt ones do.

    Left as they are initialised, activations vanish on the way (MobileNet), and what comes out is the same for any image
    and in any precision.
    """
    model = ALFNet(
        NetworkSettings(
            backbone=backbone,
            steps=2,
            backbone_width=width,
            head_width=width,
            batch_norm="trained",
            batch_norm_momentum=0.1,
            freeze=False,
            anchors=load_profile(PAPER, PACKAGED).head.anchors,
        )
    )
    model.initialise(np.random.default_rng(0))
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5, generator=generator)
            norm.bias.uniform_(-0.5, 1, generator=generator)
            norm.momentum = 1.0
        model.train()(normalise(torch.from_numpy(street(256, 512)[None])))  # mean and variance of all maps
        for name, parameter in model.named_parameters():
            if name.endswith((".logits.weight", ".offsets.weight")):
                parameter.mul_(0.15)  # scores that are neither 0 nor 1, boxes near their anchors
    for norm in norms:
        norm.momentum = 0.1
    return model.eval()


def street(height: int = 1024, width: int = 2048) -> np.ndarray:
    """An image that compresses about as a photograph does."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + random.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)


def reading(rounds: int) -> list[str]:
    """Strict reading beside OpenCV's decoder, 1024 x 2048 px."""
    image = street()
    lines = ["## Reading an image of 2048 x 1024 px", "", *HEAD]
    for suffix in (".png", ".jpg"):
        content = cv2.imencode(suffix, image)[1].tobytes()
        ways: dict[str, Callable[[], object]] = {
            "strict": lambda content=content: decode_image(content, "x"),  # type: ignore[misc]
            "plain": lambda content=content: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR),  # type: ignore[misc]
        }
        lines.append(
            row(f"{suffix[1:].upper()}, damage noticed", by_turns(ways, "plain", rounds)["strict"], "`cv2.imdecode`")
        )
    return [*lines, ""]


def _peak(backbone: Literal["resnet50", "mobilenet"], side: int, results: Any) -> None:
    backend = TorchBackend(network(backbone, 1.0), torch.device("cpu"))
    backend.predict(np.zeros((1, 64, 64, 3), np.uint8))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    backend.predict(np.zeros((1, side, 2 * side, 3), np.uint8))
    results.put((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024)


def memory() -> None:
    """Print the bytes per pixel that one image takes on its way through the network."""
    context = multiprocessing.get_context("spawn")
    for backbone in ("resnet50", "mobilenet"):
        for side in (512, 1024):
            results = context.Queue()
            process = context.Process(target=_peak, args=(backbone, side, results))
            process.start()
            peak = results.get()
            process.join()
            print(f"{backbone}, {2 * side} x {side} px: {peak / (2 * side * side):.0f} bytes per pixel")


if __name__ == "__main__":
    print(machine())
    memory()
