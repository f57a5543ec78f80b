"""How fast the device is: updates and images per second, memory, waiting for data, and what the whole paper takes."""

from __future__ import annotations

import functools
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path

import torch

from alfnet.detection.backend import TorchBackend
from alfnet.detection.detector import Detector
from alfnet.training.decoded import decode_images
from alfnet.training.samples import Batch, TrainingSamples, check_shared_memory
from alfnet.training.train import update_batches
from tools.gpu.material import (
    SEED,
    Sizes,
    Training,
    machine_settings,
    make_batch,
    make_network,
    pictures,
    published,
    synchronise,
    train_settings,
    write_pictures,
)
from tools.gpu.report import Report

PAPER_SECONDS = {1: 0.26, 2: 0.27, 3: 0.28}
"""Per image of 1024 x 2048 on a GTX 1080Ti, by steps (alfnet/report/paper_results.yaml)."""

PUBLISHED = "float32, as published"
MODES: dict[str, dict[str, object]] = {
    PUBLISHED: {},
    "TF32": {"tf32": True},
    "bf16-mixed": {"precision": "bf16-mixed"},
}


def measure_updates(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Updates per second of ResNet-50 with two steps in every precision, by the order of maps in memory."""
    batch = [make_batch(sizes.loaded, sizes.training).to(device)]
    for mode, changes in MODES.items():
        for channels_last in (True, False):
            order = "channels last" if channels_last else "channels first"
            title = (
                f"updates per second, resnet50, 2 steps, batch {sizes.loaded} at {_by(sizes.training)}, {mode}, {order}"
            )

            def speed(changes: dict[str, object] = changes, last: bool = channels_last, title: str = title) -> None:
                settings = train_settings(sizes.training, sizes.loaded, channels_last=last, **changes)
                training = Training(make_network("resnet50", 2, sizes.width), settings, device)
                rate = 1 / seconds_each(lambda: training.update(batch), sizes.timed, device)
                report.figure(title, f"{rate:.2f}", f"{rate * sizes.loaded:.1f} images a second")

            report.attempt(title, speed)


def measure_memory(report: Report, sizes: Sizes, device: torch.device) -> None:
    """The peak of the device's memory in an update of ResNet-50 with three steps, by the number of images in one piece."""
    for mode in (PUBLISHED, "bf16-mixed"):
        for number in sizes.batches:
            title = f"peak memory of an update, resnet50, 3 steps, {number} images at {_by(sizes.training)}, {mode}"
            if device.type != "cuda":
                report.not_checked(title, "no GPU")
                continue

            def peak(mode: str = mode, number: int = number, title: str = title) -> None:
                torch.cuda.empty_cache()
                settings = train_settings(sizes.training, number, **MODES[mode])
                training = Training(make_network("resnet50", 3, sizes.width), settings, device)
                batch = [make_batch(number, sizes.training).to(device)]
                training.update(batch)  # the optimiser's averages come into being
                torch.cuda.reset_peak_memory_stats(device)
                training.update(batch)
                synchronise(device)
                free = torch.cuda.get_device_properties(device).total_memory
                used = torch.cuda.max_memory_allocated(device)
                report.figure(title, f"{used / 2**30:.1f} GiB", f"of {free / 2**30:.1f} GiB")

            report.attempt(title, peak)


def measure_waiting(report: Report, sizes: Sizes, device: torch.device) -> None:
    """The share of time that training waits for its data, from decoded images on disk.

    The time of an update with batches from the loader, beside that with one batch that lies on the device already.
    """
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = write_pictures(folder, sizes.images, sizes.detection)
        with redirect_stderr(StringIO()):
            decoded = decode_images(images, folder, folder / "decoded")
        settings = train_settings(sizes.training, sizes.loaded, updates=10**6)
        samples = TrainingSamples(images, folder, settings.augment, seed=SEED, decoded=decoded)
        started = time.perf_counter()
        for index in range(min(20, sizes.images)):
            samples[0, index]
        each = (time.perf_counter() - started) / min(20, sizes.images)
        report.figure("a training sample from decoded images, one process", f"{1e3 * each:.2f} ms")
        machine = machine_settings(device, workers=sizes.workers)
        check_shared_memory(machine.workers, sizes.loaded * sizes.training[0] * sizes.training[1] * 3)
        for mode in (PUBLISHED, "bf16-mixed"):
            changed = settings.model_copy(update=MODES[mode])
            training = Training(make_network("resnet50", 2, sizes.width), changed, device)
            batch = [make_batch(sizes.loaded, sizes.training).to(device)]
            alone = seconds_each(functools.partial(training.update, batch), sizes.timed, device)
            loaded = _seconds_with_data(
                training, update_batches(samples, changed, machine, training.fabric, first_update=0), 4 * sizes.workers
            )
            report.figure(
                f"share of time lost to waiting for data, {sizes.workers} processes load, batch {sizes.loaded}, {mode}",
                f"{100 * max(0.0, 1 - alone / loaded):.1f} %",
                f"{1 / loaded:.2f} updates a second, {1 / alone:.2f} without loading",
            )


def _seconds_with_data(training: Training, batches: Iterator[list[Batch]], number: int) -> float:
    """Seconds of an update with batches from the loader, over more of them than its processes hold ready."""
    for _ in range(3):
        training.update(next(batches))
    synchronise(training.device)
    started = time.perf_counter()
    for _ in range(number):
        training.update(next(batches))
    synchronise(training.device)
    return (time.perf_counter() - started) / number


def measure_detection(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Seconds per image for every network, from the array in memory to the boxes, with all boxes given to the selection."""
    images = pictures(1, *sizes.detection)
    settings = published().detect.model_copy(update={"score_threshold": 0.0})
    for backbone in ("resnet50", "mobilenet"):
        for steps in (1, 2, 3):
            title = f"seconds per image of {_by(sizes.detection)}, {backbone}, {steps} step{'s' * (steps > 1)}"

            def detect(backbone: str = backbone, steps: int = steps, title: str = title) -> None:
                detector = Detector(TorchBackend(make_network(backbone, steps, sizes.width), device), settings)
                times = {}
                for name, allowed in (("float32", False), ("TF32", True)):
                    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = allowed
                    for _ in range(2):
                        detector.detect_batch(images)
                    found: list[float] = []
                    until = time.perf_counter() + sizes.timed
                    while not found or time.perf_counter() < until:
                        started = time.perf_counter()
                        detector.detect_batch(images)  # the boxes come to the CPU: nothing is left to wait for
                        found.append(time.perf_counter() - started)
                    times[name] = statistics.median(found)
                beside = f"paper, GTX 1080Ti: {PAPER_SECONDS[steps]:.2f}" if backbone == "resnet50" else ""
                report.figure(title, ", ".join(f"{name} {value:.4f}" for name, value in times.items()), beside)

            report.attempt(title, detect)


def measure_whole(report: Report, sizes: Sizes, device: torch.device) -> None:
    """Updates per second of each published network with the published batch in one piece, and hours for all trainings."""
    params = published()
    kinds = sorted({(variant.backbone, variant.steps) for variant in params.variants.values()}, reverse=True)
    number, seeds = sizes.batches[-1], len(params.seeds)
    for mode in (PUBLISHED, "bf16-mixed"):
        seconds: dict[tuple[str, int], float] = {}

        def each(mode: str = mode, seconds: dict[tuple[str, int], float] = seconds) -> None:
            for backbone, steps in kinds:
                settings = train_settings(sizes.training, number, **MODES[mode])
                training = Training(make_network(backbone, steps, sizes.width), settings, device)
                batch = [make_batch(number, sizes.training).to(device)]
                seconds[backbone, steps] = seconds_each(functools.partial(training.update, batch), sizes.timed, device)
                report.figure(
                    f"updates per second, {backbone}, {steps} step{'s' * (steps > 1)}, batch {number} in one piece, {mode}",
                    f"{1 / seconds[backbone, steps]:.2f}",
                    f"{seconds[backbone, steps]:.3f} s an update",
                )
            hours = sum(
                seconds[variant.backbone, variant.steps] * params.training(name).updates * seeds / 3600
                for name, variant in params.variants.items()
            )
            report.figure(
                f"estimate: {len(params.variants)} variants x {seeds} seeds x {params.train.updates:,} updates, {mode}",
                f"{hours:.1f} hours on one such device",
                f"{hours / 8:.1f} hours on eight, one training on each",
            )

        report.attempt(f"updates per second of all networks, {mode}", each)


def seconds_each(function: Callable[[], object], seconds: float, device: torch.device) -> float:
    """Seconds of a call, over so many calls as fill about `seconds`, after two to warm up."""
    for _ in range(2):
        function()
    synchronise(device)
    started = time.perf_counter()
    function()
    synchronise(device)
    number = max(2, min(50, round(seconds / max(1e-6, time.perf_counter() - started))))
    started = time.perf_counter()
    for _ in range(number):
        function()
    synchronise(device)
    return (time.perf_counter() - started) / number


def _by(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"
