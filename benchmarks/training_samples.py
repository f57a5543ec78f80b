"""Time per training sample from decoded images on disk, from the files, and from peers, as ratios in one run.

Images of 1024 x 2048 px are made for it. Peers: `cv2.imread`, an `np.load(mmap_mode="r")` file per image, and litdata,
which is fetched for the run where there is a registry. FFCV cannot be installed by pip alone: its source is compiled against
OpenCV's and libjpeg-turbo's C headers. Usage: python -m benchmarks.training_samples [IMAGES]
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from alfnet.annotations.cache import CachedImage
from alfnet.images import read_image, write_png
from alfnet.params import load_params
from alfnet.runtime import keep_freed_memory
from alfnet.training.augment import augment
from alfnet.training.decoded import decode_images
from alfnet.training.samples import TrainingSamples, sample_generator

HEIGHT, WIDTH, ROUNDS = 1024, 2048, 6
LITDATA = ("litdata", "lightning-utilities", "obstore", "tifffile", "boto3", "botocore", "s3transfer", "jmespath")
"""litdata, and what it imports that this project does not."""


def main(number: int) -> None:
    """Print the table."""
    cv2.setNumThreads(1)
    keep_freed_memory()  # as the loader's processes do
    settings = load_params("profiles/citypersons.yaml").train.augment
    people = np.array([[700, 400, 760, 546], [1500, 380, 1560, 526]], np.float32)
    none = np.zeros((0, 4), np.float32)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        images = [CachedImage(i + 1, f"train/a/{i}.png", HEIGHT, WIDTH, people, people, none) for i in range(number)]
        for index, image in enumerate(images):
            noise = np.random.default_rng(index).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), dtype=np.uint8)
            write_png(folder / image.file_name, cv2.resize(noise, (WIDTH, HEIGHT)))
            np.save(folder / f"{index}.npy", read_image(folder / image.file_name))
        samples = {kind: TrainingSamples(images, folder, settings, seed=1) for kind in ("files", "decoded")}
        with contextlib.redirect_stderr(io.StringIO()):
            samples["decoded"].decoded = decode_images(images, folder, folder / "store")

        def from_numpy(index: int) -> None:
            pixels = np.load(folder / f"{index}.npy", mmap_mode="r")
            augment(pixels, people, none, settings, sample_generator(1, 0, index))

        ways: dict[str, Callable[[int], object]] = {
            "sample, decoded images on disk": lambda index: samples["decoded"][0, index],
            "sample, np.load(mmap_mode='r')": from_numpy,
            "sample, image files": lambda index: samples["files"][0, index],
            "cv2.imread": lambda index: cv2.imread(str(folder / images[index].file_name)),
        }
        if _fetch(folder / "packages", *LITDATA):
            ways["sample, litdata"] = _litdata(folder, number, settings, people, none)
        times = {name: np.empty((ROUNDS, number)) for name in ways}
        for turn in range(ROUNDS + 1):  # the first brings the files into memory
            for index in range(number):
                for name, way in ways.items():  # by turns, so that other work on the machine meets all alike
                    started = time.process_time()
                    way(index)
                    times[name][turn - 1, index] = 1e3 * (time.process_time() - started)
    print(
        "| what | ms, median | fastest of each image | x cv2.imread (quartiles) | x np.load |\n|---|---:|---:|---:|---:|"
    )
    for name, found in times.items():
        low, ratio, high = np.quantile(found / times["cv2.imread"], (0.25, 0.5, 0.75))
        beside = np.median(found / times["sample, np.load(mmap_mode='r')"])
        fastest = np.median(found.min(axis=0))
        print(
            f"| {name} | {np.median(found):.2f} | {fastest:.2f} | {ratio:.3f} ({low:.3f} - {high:.3f}) | {beside:.2f} |"
        )


def _fetch(folder: Path, *packages: str) -> bool:
    """Install packages for this process alone, without what they ask for; False where they are not to be had."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), *packages]
    if subprocess.run(command, capture_output=True).returncode:
        return False
    sys.path.append(str(folder))
    return True


def _litdata(
    folder: Path, number: int, settings: object, people: np.ndarray, none: np.ndarray
) -> Callable[[int], None]:
    from litdata.streaming.cache import Cache  # type: ignore[import-not-found]

    cache = Cache(str(folder / "litdata"), chunk_bytes="256MB")
    for index in range(number):
        cache[index] = np.load(folder / f"{index}.npy")
    cache.done()
    cache.merge()

    def read(index: int) -> None:
        augment(cache[index], people, none, settings, sample_generator(1, 0, index))  # type: ignore[arg-type]

    return read


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 12)
