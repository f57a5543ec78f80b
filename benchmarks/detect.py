"""What detection costs beside the network: reading images strictly, and the whole command; and the memory of an image.

    python -m benchmarks.detect                  # reading, beside OpenCV; the command, beside the network alone
    python -m benchmarks.detect --memory         # bytes per pixel of both backbones at full width

Everything is compared with a peer in the same run. A machine that others use meanwhile is said.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from alfnet.detection.backend import TorchBackend
from alfnet.detection.detector import Detector, published_settings
from alfnet.detection.saving import Save
from alfnet.detection.stream import detect_sources
from alfnet.detection.timing import doubts, machine, measure
from alfnet.images import decode_image
from alfnet.network.alfnet import ALFNet
from alfnet.network.settings import NetworkSettings
from alfnet.profiles import PACKAGED, PAPER, load_profile


def network(backbone: Literal["resnet50", "mobilenet"], width: float) -> ALFNet:
    """A network of two steps with random weights."""
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
    return model


def street(height: int = 1024, width: int = 2048) -> np.ndarray:
    """An image that compresses about as a photograph does."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (height // 16, width // 16, 3), dtype=np.uint8)
    smooth = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC).astype(int)
    return np.clip(smooth + random.integers(-4, 5, smooth.shape), 0, 255).astype(np.uint8)


def milliseconds(work: Callable[[], Any], runs: int = 9) -> float:
    """The median time of `work`."""
    times = []
    for _ in range(runs):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return float(np.median(times)) * 1000


def reading() -> None:
    """Print what strict reading costs beside OpenCV's decoder, 1024 x 2048 px."""
    image = street()
    for suffix in (".png", ".jpg"):
        content = cv2.imencode(suffix, image)[1].tobytes()
        plain = milliseconds(lambda: cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR))  # noqa: B023
        strict = milliseconds(lambda: decode_image(content, "x"))  # noqa: B023
        print(f"reading {suffix[1:]}: {strict:.1f} ms, OpenCV alone {plain:.1f} ms: {strict / plain:.2f} x")


def command(images: int) -> None:
    """Print what the command takes per image beside the network with its boxes alone, MobileNet of a quarter's width."""
    detector = Detector(TorchBackend(network("mobilenet", 0.25), torch.device("cpu")), published_settings())
    image = street()
    with tempfile.TemporaryDirectory() as folder:
        for number in range(images):
            (Path(folder) / "in").mkdir(exist_ok=True)
            cv2.imwrite(f"{folder}/in/{number:03d}.png", image)
        alone = measure(lambda each: detector.detect_batch(each[None]), [image] * images, runs="torch", seconds=60)
        for formats in ([Save.coco, Save.txt], [Save.coco, Save.txt, Save.pictures]):
            out = Path(folder) / f"out{len(formats)}"
            summary = detect_sources(detector, [f"{folder}/in"], out, formats=formats, batch=1)
            each = summary.seconds / summary.images
            named = ", ".join(formats)
            print(
                f"detect --save {named}: {each * 1000:.0f} ms per image, network and boxes alone "
                f"{alone['seconds_per_image'] * 1000:.0f} ms: {each / alone['seconds_per_image']:.2f} x"
            )
    if doubt := doubts(alone):
        print(f"doubtful: {doubt}")


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


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--images", type=int, default=12)
    arguments = parser.parse_args()
    print(f"{machine()}, {torch.get_num_threads()} threads")
    if arguments.memory:
        memory()
        return
    reading()
    command(arguments.images)


if __name__ == "__main__":
    main()
