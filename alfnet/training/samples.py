"""Training images in batches: which image stands where is a function of the seed and the update's number alone.

So is what the augmentation makes of it. Neither depends on the number of workers or devices, and a run that is
resumed at some update goes on with the very images that an uninterrupted run would have had.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from alfnet.annotations.cache import CachedImage
from alfnet.boxes.targets import BoxLists
from alfnet.errors import AlfnetError
from alfnet.images import read_image
from alfnet.params import AugmentSettings
from alfnet.runtime import keep_freed_memory
from alfnet.training.augment import Sample, augment
from alfnet.training.decoded import DecodedImages

SampleKey = tuple[int, int]
"""(epoch, index into the list of images), both from 0."""

PREFETCHED = 2  # batches that each worker process holds ready
PATIENCE = 300  # seconds without a batch from any worker, after which something is wrong

# Spawn keys that keep the streams of random numbers of one seed apart.
_ORDER, _SAMPLE = 0, 1


@dataclass(frozen=True)
class Batch:
    """Augmented images of one size, and their boxes (float32 x1 y1 x2 y2 in pixels of the augmented image)."""

    images: Tensor
    """uint8 (B, H, W, 3), B G R."""
    pedestrians: BoxLists
    """Any number per image, none included."""
    ignore_regions: BoxLists
    """Likewise."""
    names: list[str]
    """File names as in the cache, for messages."""
    indices: list[int]
    """Positions in the cache."""

    def __len__(self) -> int:
        return len(self.names)

    def tensors(self) -> list[Tensor]:
        """All that lies on the device."""
        boxes = (self.pedestrians, self.ignore_regions)
        return [self.images, *(tensor for each in boxes for tensor in (each.boxes, each.real))]

    def pin_memory(self) -> Batch:
        """The same in page-locked memory, from which a GPU can copy by itself."""
        return replace(
            self,
            images=self.images.pin_memory(),
            pedestrians=self.pedestrians.pin_memory(),
            ignore_regions=self.ignore_regions.pin_memory(),
        )

    def to(self, device: torch.device | str) -> Batch:
        """The same on a device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            pedestrians=self.pedestrians.to(device),
            ignore_regions=self.ignore_regions.to(device),
        )


class TrainingSamples(Dataset[tuple[Sample, str, SampleKey]]):
    """The augmented images of an annotation cache, looked up by (epoch, index)."""

    def __init__(
        self,
        images: Sequence[CachedImage],
        folder: str | Path,
        settings: AugmentSettings,
        *,
        seed: int,
        cache_bytes: int = 0,
        decoded: DecodedImages | None = None,
    ) -> None:
        """Prepare; no image is read yet.

        Args:
            images: the content of the training cache.
            folder: the folder that their file names are relative to (.../leftImg8bit).
            settings: the augmentation.
            seed: with epoch and index it determines a sample.
            cache_bytes: decoded images are kept in memory up to this many bytes (never in worker processes, which
                would each keep their own). 0 keeps none.
            decoded: the images decoded on disk (`decode_images`), in place of their files.

        Raises:
            AlfnetError: there is no image.
        """
        if not images:
            raise AlfnetError("the training cache holds no image with a pedestrian: nothing to train on")
        self.images = list(images)
        self.folder = Path(folder)
        self.settings = settings
        self.seed = seed
        self.cache_bytes = cache_bytes
        self.decoded = decoded
        self._decoded: dict[int, np.ndarray] = {}
        self._decoded_bytes = 0

    def __len__(self) -> int:
        return len(self.images)

    def __getstate__(self) -> dict[str, Any]:
        """For worker processes, which start without the decoded images."""
        return {**self.__dict__, "_decoded": {}, "_decoded_bytes": 0}

    def __getitem__(self, key: SampleKey) -> tuple[Sample, str, SampleKey]:
        epoch, index = key
        image = self.images[index]
        rng = sample_generator(self.seed, epoch, index)
        sample = augment(self._pixels(index), image.pedestrians, image.ignore_regions, self.settings, rng)
        return sample, image.file_name, key

    def check_files(self) -> None:
        """Raise AlfnetError if any image is not there, with the number of them, examples and the cities that lack all."""
        missing = [image.file_name for image in self.images if not (self.folder / image.file_name).is_file()]
        if not missing:
            return
        cities = {str(Path(name).parent) for name in missing} - {
            str(Path(image.file_name).parent) for image in self.images if image.file_name not in set(missing)
        }
        shown = ", ".join(missing[:3]) + (", ..." if len(missing) > 3 else "")
        whole = f"; whole folders: {', '.join(sorted(Path(city).name for city in cities))}" if cities else ""
        raise AlfnetError(
            f"{self.folder}: {len(missing)} of {len(self.images)} images are not there ({shown}{whole}); put them there, "
            "or correct data.folder"
        )

    def batch(self, keys: Sequence[SampleKey]) -> Batch:
        """The samples of `keys` as one batch. Raises AlfnetError naming an image that is missing or damaged."""
        return collate([self[key] for key in keys])

    def _pixels(self, index: int) -> np.ndarray:
        """The decoded image (H, W, 3), uint8 B G R; not to be written to."""
        if self.decoded is not None:
            return self.decoded[index]
        if index in self._decoded:
            return self._decoded[index]
        image = self.images[index]
        pixels = read_image(self.folder / image.file_name, expected_size=(image.height, image.width))
        # The first that fit stay: every epoch needs every image once, so throwing out the oldest would hit nothing.
        if self._decoded_bytes + pixels.nbytes <= self.cache_bytes and get_worker_info() is None:
            self._decoded[index] = pixels
            self._decoded_bytes += pixels.nbytes
        return pixels


def collate(samples: Sequence[tuple[Sample, str, SampleKey]]) -> Batch:
    """Put samples of one size together."""
    return Batch(
        images=torch.from_numpy(np.stack([sample.image for sample, _, _ in samples])),
        pedestrians=BoxLists.of([torch.from_numpy(sample.pedestrians) for sample, _, _ in samples]),
        ignore_regions=BoxLists.of([torch.from_numpy(sample.ignore_regions) for sample, _, _ in samples]),
        names=[name for _, name, _ in samples],
        indices=[index for _, _, (_, index) in samples],
    )


def sample_order(seed: int, images: int, batch: int, update: int) -> list[SampleKey]:
    """The `batch` samples (epoch, index) of an update (from 0).

    Every epoch is a permutation of the images of its own; epochs follow each other without a gap, so an update may
    hold the end of one and the begin of the next, and no image is left out.
    """
    positions = range(update * batch, (update + 1) * batch)
    return [(p // images, int(_permutation(seed, images, p // images)[p % images])) for p in positions]


@functools.lru_cache(maxsize=4)
def _permutation(seed: int, images: int, epoch: int) -> np.ndarray:
    return _generator(seed, _ORDER, epoch).permutation(images)


def sample_generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """The source of all random numbers of a sample."""
    return _generator(seed, _SAMPLE, epoch, index)


def _generator(seed: int, *stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=stream)))


class UpdateBatches(Sampler[list[SampleKey]]):
    """The samples of the micro-batches of one device, update by update.

    Of each update's batch, device `rank` of `world` takes its contiguous part, and loads it `images_per_device`
    images at a time: `micro_batches` lists of samples per update.
    """

    def __init__(
        self,
        *,
        seed: int,
        images: int,
        batch: int,
        images_per_device: int,
        first_update: int,
        updates: int,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        """`updates` is the number of updates of the whole run: those from `first_update` (from 0) on are given."""
        if batch % (images_per_device * world):
            raise ValueError(f"a batch of {batch} does not divide into {world} devices x {images_per_device} images")
        self.seed, self.images, self.batch, self.images_per_device = seed, images, batch, images_per_device
        self.first_update, self.updates, self.rank, self.world = first_update, updates, rank, world

    @property
    def micro_batches(self) -> int:
        """Lists of samples per update on this device."""
        return self.batch // (self.images_per_device * self.world)

    def __len__(self) -> int:
        return max(0, self.updates - self.first_update) * self.micro_batches

    def __iter__(self) -> Iterator[list[SampleKey]]:
        part = self.batch // self.world
        for update in range(self.first_update, self.updates):
            keys = sample_order(self.seed, self.images, self.batch, update)[self.rank * part : (self.rank + 1) * part]
            for start in range(0, part, self.images_per_device):
                yield keys[start : start + self.images_per_device]


def loader(
    samples: TrainingSamples,
    *,
    first_update: int,
    updates: int,
    batch: int,
    images_per_device: int,
    workers: int,
    rank: int = 0,
    world: int = 1,
    pin_memory: bool = False,
) -> Iterator[Batch]:
    """Yield the micro-batches of the updates from `first_update` to `updates` - 1, in order.

    They are the same whatever the number of workers: 0 loads in this process when a batch is asked for, more load
    ahead in as many processes, which end with the iterator.

    Raises:
        AlfnetError: an image is missing, damaged or of another size than the cache says; from workers alike. Also where
            workers cannot hand over their batches (too little shared memory), die, or give nothing for five minutes.
    """
    batches = UpdateBatches(
        seed=samples.seed,
        images=len(samples),
        batch=batch,
        images_per_device=images_per_device,
        first_update=first_update,
        updates=updates,
        rank=rank,
        world=world,
    )
    if workers:
        settings = samples.settings
        check_shared_memory(workers, images_per_device * settings.height * settings.width * 3)
        return _from_processes(samples, batches, workers, pin_memory)
    # A thread that loads ahead was tried: with two cores that are busy with the network it gains nothing.
    loaded = (samples.batch(keys) for keys in batches)
    return (batch.pin_memory() for batch in loaded) if pin_memory else loaded


def on_device(batches: Iterator[Batch], device: torch.device) -> Iterator[Batch]:
    """Yield the batches on `device`; a GPU copies the next one while it computes with the present one."""
    if device.type != "cuda":
        yield from (batch.to(device) for batch in batches)
        return
    copying = torch.cuda.Stream(device)
    following: Batch | None = None
    for batch in batches:
        with torch.cuda.stream(copying):
            copied = batch.to(device)
        if following is not None:
            yield following
        torch.cuda.current_stream(device).wait_stream(copying)
        for tensor in copied.tensors():
            tensor.record_stream(torch.cuda.current_stream(device))  # or its memory would be given away too early
        following = copied
    if following is not None:
        yield following


def check_shared_memory(workers: int, batch_bytes: int, place: str = "/dev/shm") -> None:
    """Raise AlfnetError if the batches that `workers` processes hold ready do not fit into shared memory."""
    if not Path(place).is_dir():
        return
    found = os.statvfs(place)
    free = found.f_bavail * found.f_frsize
    needed = round(1.1 * workers * PREFETCHED * (batch_bytes + 2**14))
    if needed > free:
        raise AlfnetError(
            f"{place}: {workers} workers hold {workers * PREFETCHED} batches of {batch_bytes / 1e6:.1f} MB ready, "
            f"{needed / 1e6:.1f} MB in all, but {free / 1e6:.1f} MB are free there; give the container more "
            "(docker run --shm-size 2g), or lower machine.workers"
        )


def _from_processes(
    samples: TrainingSamples, batches: UpdateBatches, workers: int, pin_memory: bool
) -> Iterator[Batch]:
    data_loader: DataLoader[Any] = DataLoader(
        _Guarded(samples),
        batch_sampler=batches,
        # Forked workers would inherit the thread pools of OpenCV and torch without their threads, and hang; those of a
        # fork server would outlive this process when it is killed.
        multiprocessing_context="spawn",
        collate_fn=_collate_guarded,
        num_workers=workers,
        prefetch_factor=PREFETCHED,
        timeout=PATIENCE,
        worker_init_fn=_set_up_worker,
        pin_memory=pin_memory,
        # Or it would draw a seed for the workers from torch's global state.
        generator=torch.Generator().manual_seed(0),
    )
    try:
        for item in data_loader:
            if isinstance(item, AlfnetError):
                raise item
            yield item
    except RuntimeError as error:  # a worker was killed, or gave nothing in time
        raise AlfnetError(
            f"a process that loads images failed ({str(error).splitlines()[0]}); was memory or /dev/shm full (docker run "
            "--shm-size)? Lower machine.workers, or look at the disk that holds the images"
        ) from None


class _Guarded(Dataset[tuple[Sample, str, SampleKey] | AlfnetError]):
    """Gives an AlfnetError as the sample: DataLoader would wrap a raised one in a worker's traceback."""

    def __init__(self, samples: TrainingSamples) -> None:
        self.samples = samples

    def __getitem__(self, key: SampleKey) -> tuple[Sample, str, SampleKey] | AlfnetError:
        try:
            return self.samples[key]
        except AlfnetError as error:
            return error
        except OSError as error:
            return AlfnetError(f"{self.samples.images[key[1]].file_name}: {error.strerror or error}")


def _collate_guarded(items: list[tuple[Sample, str, SampleKey] | AlfnetError]) -> Batch | AlfnetError:
    samples = []
    for item in items:
        if isinstance(item, AlfnetError):
            return item
        samples.append(item)
    return collate(samples)


def _set_up_worker(_: int) -> None:
    cv2.setNumThreads(1)  # the workers are the parallelism
    keep_freed_memory()
