"""How long an image of 1024 x 2048 px takes: the published networks through every runtime, beside other detectors.

    python -m benchmarks.deploy --out docs/deploy-speed.md                       # ten to twenty minutes on two cores
    python -m benchmarks.deploy --tensorflow /a/bin/python --ultralytics /b/bin/python --out ...    # with peers from there

All rows of a network take turns, so that whatever slows the machine slows them alike; the figure is the median of the rounds, the
ratio the median of the rounds' ratios. What differs from PyTorch is measured on the same file in the same process. Weights are
random: they change neither the work nor the time. A machine that others use meanwhile, or whose processor slows down, is said.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import cv2
import numpy as np
import torch

from alfnet.detection.backend import Backend, TorchBackend
from alfnet.detection.detector import Detector, published_settings
from alfnet.detection.saving import Save
from alfnet.detection.stream import detect_sources
from alfnet.detection.timing import BUSY_CORES, _OtherProcesses, available_cores, machine
from alfnet.export.run import compare, export_detector
from alfnet.export.runtimes import ExportedBackend, NcnnBackend, OnnxBackend, OpenVinoBackend
from alfnet.export.settings import SUFFIXES, ExportSettings, Format, files_of
from alfnet.files import write_text
from alfnet.images import write_png
from alfnet.network.alfnet import ALFNet
from benchmarks.detect import network, street

SIZE = (1024, 2048)
FLOAT32_GOAL, INT8_GOAL, COMMAND_GOAL = 0.6, 0.22, 1.08
THROTTLED = 1.15
"""Times of a fixed product of matrices, slowest tenth over fastest: a processor that slows down shows more."""


@dataclass
class Row:
    """One detector in one runtime."""

    name: str
    run: Callable[[np.ndarray], Any]
    backend: Backend | None = None
    """Of ours: what is compared with PyTorch."""
    seconds: list[float] = field(default_factory=list)
    size: int = 0
    """Of the file, bytes."""


class Speedometer:
    """A fixed piece of work, timed between the others."""

    def __init__(self) -> None:
        self._matrix = np.random.default_rng(0).standard_normal((700, 700)).astype(np.float32)
        self.seconds: list[float] = []

    def __call__(self) -> None:
        """Do the work once."""
        started = time.perf_counter()
        for _ in range(10):
            self._matrix @ self._matrix
        self.seconds.append(time.perf_counter() - started)

    @property
    def spread(self) -> float:
        """The slowest tenth over the fastest."""
        low, high = np.percentile(self.seconds, [10, 90])
        return float(high / low)


def take_turns(rows: Sequence[Row], image: np.ndarray, rounds: int, speed: Speedometer) -> None:
    """Time every row once a round, after one that does not count."""
    for number in range(rounds + 1):
        for row in rows:
            speed()
            started = time.perf_counter()
            row.run(image)
            if number:
                row.seconds.append(time.perf_counter() - started)


def our_rows(model: ALFNet, folder: Path, size: tuple[int, int]) -> list[Row]:
    """A network in PyTorch and in every exported file."""
    weights = folder / "model.safetensors"
    model.save(weights)
    rows = [Row("PyTorch, channels last (eager)", _no_run, TorchBackend(model, torch.device("cpu")))]
    rows[0].size = weights.stat().st_size
    calibration = []
    for number in range(4):
        calibration.append(folder / f"{number}.png")
        write_png(calibration[-1], np.roll(street(*size), 100 * number, axis=1))
    file = folder / "ncnn" / f"float32{SUFFIXES['ncnn']}"
    export_detector(weights, file, ExportSettings(format="ncnn", size=None), published_settings())
    rows.append(Row("ncnn, float32", _no_run, NcnnBackend(file, "cpu")))
    rows[-1].size = sum(path.stat().st_size for path in files_of(file, "ncnn"))
    kinds: tuple[Format, ...] = ("onnx", "openvino")
    for int8 in (False, True):
        for kind in kinds:
            file = folder / f"{'int8' if int8 else 'float32'}{SUFFIXES[kind]}"
            export = ExportSettings(format=kind, size=size, int8=int8)
            export_detector(weights, file, export, published_settings(), calibration=calibration)
            precision = export.precision
            if kind == "onnx":
                rows.append(Row(f"ONNX Runtime, {precision}", _no_run, OnnxBackend(file, "cpu")))
            else:
                if not int8:
                    own = OpenVinoBackend(file, "cpu", own_precision=True)
                    rows.append(Row(f"OpenVINO, as it likes ({own.arithmetic})", _no_run, own))
                rows.append(Row(f"OpenVINO, {precision}", _no_run, OpenVinoBackend(file, "cpu")))
            for row in rows:
                row.size = row.size or sum(path.stat().st_size for path in files_of(file, kind))
    for row in rows:
        assert row.backend is not None
        row.run = row.backend.predict
    return rows


def _no_run(_: np.ndarray) -> None:
    raise NotImplementedError


def retinanet(size: tuple[int, int]) -> Row:
    """torchvision's RetinaNet on ResNet-50 with a feature pyramid, one class and the background, its boxes included."""
    from torchvision.models.detection import retinanet_resnet50_fpn

    model = retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=size[0], max_size=size[1]
    ).eval()
    model = model.to(memory_format=torch.channels_last)

    @torch.inference_mode()
    def run(images: np.ndarray) -> None:
        model([torch.from_numpy(images[0]).permute(2, 0, 1).float() / 255])

    return Row("torchvision RetinaNet, ResNet-50 FPN (eager)", run)


YOLO = """
import json, sys, time
import torch
from ultralytics.nn.tasks import DetectionModel
name, height, width, rounds, threads = sys.argv[1], *map(int, sys.argv[2:])
torch.set_num_threads(threads)
model = DetectionModel(name, nc=1, verbose=False).eval().fuse(verbose=False).to(memory_format=torch.channels_last)
image = torch.rand(1, 3, height, width).contiguous(memory_format=torch.channels_last)
times = []
with torch.inference_mode():
    for _ in range(rounds + 1):
        started = time.perf_counter()
        model(image)
        times.append(time.perf_counter() - started)
print(json.dumps(times[1:]))
"""


TENSORFLOW = """
import json, os, sys, time
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
backbone, height, width, rounds, threads = sys.argv[1], *map(int, sys.argv[2:])
import numpy as np
import tensorflow as tf
tf.config.threading.set_intra_op_parallelism_threads(threads)
tf.config.threading.set_inter_op_parallelism_threads(1)
layers = tf.keras.layers
make = tf.keras.applications.ResNet50 if backbone == "resnet50" else tf.keras.applications.MobileNet
base = make(include_top=False, weights=None, input_shape=(height, width, 3))
names = {
    "resnet50": ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out"),
    "mobilenet": ("conv_pw_5_relu", "conv_pw_11_relu", "conv_pw_13_relu"),
}[backbone]
third, fourth, fifth = (base.get_layer(name).output for name in names)
levels = [
    layers.Conv2D(512, 3, padding="same", activation="relu")(third),
    fourth,
    fifth,
    layers.Conv2D(256, 3, 2, padding="same", activation="relu")(fifth),
]
outputs = []
for _ in range(2):
    for level in levels:
        shared = layers.Conv2D(256, 3, padding="same", activation="relu")(level)
        outputs += [layers.Conv2D(2, 1, activation="sigmoid")(shared), layers.Conv2D(8, 1)(shared)]
model = tf.keras.Model(base.input, outputs)
run = tf.function(lambda image: model(image, training=False))
image = tf.constant(np.random.default_rng(0).normal(0, 50, (1, height, width, 3)).astype(np.float32))
times = []
for _ in range(rounds + 1):
    started = time.perf_counter()
    run(image)[0].numpy()
    times.append(time.perf_counter() - started)
print(json.dumps([tf.__version__, times[1:]]))
"""


def elsewhere(python: str, program: str, name: str, size: tuple[int, int], rounds: int) -> Any:
    """What `program` (YOLO, TENSORFLOW) prints as JSON for a network of random weights, in the environment of `python`."""
    arguments = [python, "-c", program, name, *map(str, (*size, rounds, torch.get_num_threads()))]
    done = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.strip().splitlines()[-1])


def peers_elsewhere(arguments: argparse.Namespace, backbone: str, size: tuple[int, int]) -> list[Row]:
    """Peers from other environments, each after all others, in a process of its own."""
    rows = []
    if arguments.tensorflow:
        version, seconds = elsewhere(arguments.tensorflow, TENSORFLOW, backbone, size, arguments.rounds)
        rows.append(Row(f"TensorFlow {version}, the layers of 2018", _no_run, seconds=seconds))
    if arguments.ultralytics and backbone == "mobilenet":
        for each in arguments.yolo:
            seconds = elsewhere(arguments.ultralytics, YOLO, each, size, arguments.rounds)
            rows.append(Row(f"ultralytics {each.removesuffix('.yaml')} (eager)", _no_run, seconds=seconds))
    return rows


def has_vnni() -> bool:
    """Whether the processor has instructions for products of 8-bit numbers, for which int8 is made."""
    try:
        flags = Path("/proc/cpuinfo").read_text().split()
    except OSError:
        return False
    return any(flag in flags for flag in ("avx512_vnni", "avx_vnni", "asimddp"))


def whole_command(backend: Backend, folder: Path, images: int, image: np.ndarray) -> tuple[float, float, float]:
    """Seconds per image of the network alone, of it with its boxes, and of `alfnet detect` from PNG to results on disk."""
    detector = Detector(backend, published_settings())
    source = folder / "in"
    if not source.exists():
        source.mkdir()
        for number in range(images):
            cv2.imwrite(str(source / f"{number:03d}.png"), image)
    alone, boxes, whole = [], [], []
    backend.predict(image[None])
    for part in range(3):  # by turns, as above
        started = time.perf_counter()
        for _ in range(images):
            backend.predict(image[None])
        alone.append((time.perf_counter() - started) / images)
        started = time.perf_counter()
        for _ in range(images):
            detector.detect_batch(image[None])
        boxes.append((time.perf_counter() - started) / images)
        formats = [Save.coco, Save.txt]
        summary = detect_sources(detector, [str(source)], folder / f"out{part}", formats=formats, batch=1)
        whole.append(summary.seconds / summary.images)
    return float(np.median(alone)), float(np.median(boxes)), float(np.median(np.array(whole)))


def table(rows: Sequence[Row], model: ALFNet, size: tuple[int, int]) -> list[str]:
    """Markdown of rows that have been timed; the first is what they are compared with."""
    lines = [
        "| runtime | seconds | times eager (quartiles) | boxes differ by, px | scores differ by | file, MB |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for row in rows:
        ratios = np.array(row.seconds) / np.array(rows[0].seconds[: len(row.seconds)])
        low, ratio, high = np.quantile(ratios, (0.25, 0.5, 0.75))
        apart = ("", "")
        if isinstance(row.backend, ExportedBackend):
            difference = compare(row.backend, model, size)
            apart = (f"{difference.boxes:.2g}", f"{difference.scores:.2g}")
        file = f"{row.size / 1e6:.1f}" if row.size else ""
        cells = (row.name, f"{np.median(row.seconds):.3f}", f"{ratio:.2f} ({low:.2f} - {high:.2f})", *apart, file)
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def report(arguments: argparse.Namespace) -> str:
    """Measure everything; Markdown."""
    size = (arguments.height, arguments.width)
    image = street(*size)
    others, speed = _OtherProcesses(), Speedometer()
    others.start()
    lines: list[str] = []
    backbones: tuple[Literal["resnet50", "mobilenet"], ...] = ("resnet50", "mobilenet")
    whole = [
        "| network, runtime | network | with boxes | whole command | times the network |",
        "|---|---:|---:|---:|---:|",
    ]
    for backbone in backbones:
        model = network(backbone, arguments.scale)
        with tempfile.TemporaryDirectory() as name:
            rows = our_rows(model, Path(name), size)
            peers = [retinanet(size)] if backbone == "resnet50" else []
            take_turns([*rows, *peers], image[None], arguments.rounds, speed)
            peers += peers_elsewhere(arguments, backbone, size)
            lines += ["", f"## {'ResNet-50' if backbone == 'resnet50' else 'MobileNet'}, two steps", ""]
            lines += table([*rows, *peers], model, size)
            timed = [row for row in rows if row.backend is not None]
            if not arguments.images:
                continue
            for row in (timed[0], min(timed, key=lambda row: float(np.median(row.seconds)))):
                assert row.backend is not None
                alone, boxes, command = whole_command(row.backend, Path(name), arguments.images, image)
                label = f"{backbone}, {row.name}"
                whole.append(f"| {label} | {alone:.3f} | {boxes:.3f} | {command:.3f} | {command / alone:.2f} |")
    busy = others.cores()
    notes = [f"{machine()}, {torch.get_num_threads()} threads; torch {torch.__version__}."]
    if busy is not None and busy > BUSY_CORES:
        notes.append(f"**Doubtful: other processes took {busy:.1f} cores meanwhile.**")
    if speed.spread > THROTTLED:
        notes.append(
            f"**Doubtful: a fixed piece of work took up to {speed.spread:.2f} times as long as at best: the processor slowed "
            "down, or others used it.**"
        )
    widths = "the published widths" if arguments.scale == 1 else f"{arguments.scale:g} of the published widths"
    head = [
        "# Speed of detection",
        "",
        f"Written by `python -m benchmarks.deploy --out {arguments.out or 'FILE'}`: seconds per image of {size[1]} x {size[0]} "
        f"px, networks of {widths} with random weights, median of {arguments.rounds} rounds in which all take turns. How far "
        "boxes and scores are from PyTorch's is measured on the same files. What int8 does to the miss rate of a trained "
        "detector: [deploy.md](deploy.md#int8).",
        "",
        f"Goals: float32 in the fastest runtime at most {FLOAT32_GOAL} x eager PyTorch; int8 at most {INT8_GOAL} x, on "
        f"processors with instructions for it (VNNI), which this one has{'' if has_vnni() else ' not'}. The 2018 graph in "
        "TensorFlow took 3.48 s (ResNet-50) and 1.58 s (MobileNet) on another machine.",
        "",
        " ".join(notes),
    ]
    end = [
        "",
        "## The whole command",
        "",
        f"`alfnet detect` on {arguments.images} PNG files: decoding, network, boxes and writing (COCO, text) overlap. Goal: at "
        f"most {COMMAND_GOAL} x the network alone.",
        "",
        *whole,
    ]
    return "\n".join([*head, *lines, *(end if arguments.images else [])]) + "\n"


def main() -> None:
    """Measure, print, and write where asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=8, help="of the whole command; 0 leaves it out")
    parser.add_argument("--height", type=int, default=SIZE[0])
    parser.add_argument("--width", type=int, default=SIZE[1])
    parser.add_argument("--scale", type=float, default=1.0, help="of the networks' widths, to try this program")
    parser.add_argument("--tensorflow", metavar="PYTHON", help="the Python of an environment with tensorflow")
    parser.add_argument("--ultralytics", metavar="PYTHON", help="the Python of an environment with ultralytics")
    parser.add_argument("--yolo", nargs="+", default=["yolo11n.yaml", "yolo11s.yaml"])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(available_cores())
    text = report(arguments)
    print(text)
    if arguments.out is not None:
        write_text(arguments.out, text)


if __name__ == "__main__":
    main()
