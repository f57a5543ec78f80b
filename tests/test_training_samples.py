"""Training samples: independent of workers, devices and resuming; clean messages; the cache in memory."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from alfnet.annotations.cache import CachedImage
from alfnet.errors import AlfnetError
from alfnet.images import write_png
from alfnet.params import AugmentSettings, ColourSettings
from alfnet.training import samples as module
from alfnet.training.samples import Batch, TrainingSamples, UpdateBatches, loader, sample_order

SETTINGS = AugmentSettings(
    height=64,
    width=128,
    brightness=[0.5, 2.0],
    brightness_probability=0.5,
    flip_probability=0.5,
    scale=[0.3, 1.0],
    pedestrian_inside=0.5,
    pedestrian_width=8,
    ignore_area=100,
    ignore_side=8,
    colour=ColourSettings(probability=0, contrast=[0.6, 1.4], saturation=[0, 1.6], hue=25),
)
IMAGES = 7


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("leftImg8bit")
    for index in range(IMAGES):
        write_png(folder / name(index), np.random.default_rng(index).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    return folder


def name(index: int) -> str:
    return f"train/ulm/ulm_{index:06d}_000019_leftImg8bit.png"


def cached(index: int) -> CachedImage:
    people = np.array([[20 * i + 5, 10, 20 * i + 17, 40] for i in range(index % 3)], np.float32).reshape(-1, 4)
    return CachedImage(
        id=index + 1,
        file_name=name(index),
        height=64,
        width=128,
        pedestrians=people,
        visible=people,
        ignore_regions=np.array([[70, 10, 120, 60]], np.float32),
    )


def make(folder: Path, seed: int = 5, cache_bytes: int = 0) -> TrainingSamples:
    return TrainingSamples([cached(i) for i in range(IMAGES)], folder, SETTINGS, seed=seed, cache_bytes=cache_bytes)


def run(samples: TrainingSamples, *, first: int = 0, workers: int = 0, rank: int = 0, world: int = 1) -> list[Batch]:
    return list(
        loader(
            samples,
            first_update=first,
            updates=6,
            batch=4,
            images_per_device=2,
            workers=workers,
            rank=rank,
            world=world,
        )
    )


def same(a: Batch, b: Batch) -> bool:
    boxes = zip(a.tensors()[1:], b.tensors()[1:], strict=True)
    return (
        a.names == b.names
        and a.indices == b.indices
        and torch.equal(a.images, b.images)
        and all(torch.equal(x, y) for x, y in boxes)
    )


def test_a_batch_holds_what_the_network_needs(folder: Path) -> None:
    batch = run(make(folder))[0]
    assert len(batch) == 2
    assert batch.images.shape == (2, 64, 128, 3)
    assert batch.images.dtype == torch.uint8
    lists = batch.pedestrians.lists() + batch.ignore_regions.lists()
    assert [boxes.dtype for boxes in lists] == [torch.float32] * 4
    assert all(boxes.shape[1] == 4 for boxes in lists)
    assert batch.names == [name(index) for index in batch.indices]
    assert same(batch.to("cpu"), batch)


@pytest.mark.costly
def test_samples_do_not_depend_on_workers_order_or_global_random_states(folder: Path) -> None:
    expected = run(make(folder))
    assert len(expected) == 12
    alone = make(folder)
    direct = [alone.batch(keys) for keys in reversed(list(batches(first_update=0)))]
    assert all(same(a, b) for a, b in zip(expected, reversed(direct), strict=True))

    random.seed(1)
    np.random.seed(1)
    torch.manual_seed(1)
    state = torch.get_rng_state()
    processes = run(make(folder, cache_bytes=10**9), workers=2)
    assert all(same(a, b) for a, b in zip(expected, processes, strict=True))
    assert torch.equal(torch.get_rng_state(), state)
    assert (random.random(), np.random.random()) == (
        random.Random(1).random(),
        np.random.RandomState(1).random_sample(),
    )


def test_samples_depend_on_seed_epoch_and_index(folder: Path) -> None:
    samples = make(folder)
    reference = samples[0, 3][0].image
    np.testing.assert_array_equal(samples[0, 3][0].image, reference)
    for other in (samples[1, 3], make(folder, seed=6)[0, 3]):
        assert not np.array_equal(other[0].image, reference)
    # Two images alike in all but their index get other random numbers.
    twins = TrainingSamples([cached(3), cached(3)], folder, SETTINGS, seed=5)
    assert not np.array_equal(twins[0, 0][0].image, twins[0, 1][0].image)


def batches(first_update: int, rank: int = 0, world: int = 1) -> UpdateBatches:
    return UpdateBatches(
        seed=5,
        images=IMAGES,
        batch=4,
        images_per_device=2,
        first_update=first_update,
        updates=6,
        rank=rank,
        world=world,
    )


def test_order_is_a_permutation_per_epoch_and_leaves_no_image_out() -> None:
    keys = [key for update in range(7) for key in sample_order(5, IMAGES, 4, update)]
    assert [epoch for epoch, _ in keys] == [position // IMAGES for position in range(28)]
    epochs = [[index for _, index in keys[i : i + IMAGES]] for i in range(0, 28, IMAGES)]
    assert all(sorted(epoch) == list(range(IMAGES)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert [i for _, i in sample_order(6, IMAGES, 28, 0)] != [i for _, i in sample_order(5, IMAGES, 28, 0)]
    # A batch larger than the data set takes several epochs.
    assert sample_order(5, IMAGES, 28, 0) == keys


def test_resuming_goes_on_with_the_same_batches(folder: Path) -> None:
    whole = run(make(folder))
    for first in (1, 4, 6):
        rest = run(make(folder), first=first)
        assert len(rest) == len(whole) - 2 * first == len(batches(first))
        assert all(same(a, b) for a, b in zip(whole[2 * first :], rest, strict=True))


def test_devices_share_each_update(folder: Path) -> None:
    whole = list(batches(0))
    first, second = list(batches(0, 0, 2)), list(batches(0, 1, 2))
    assert [batches(0).micro_batches, batches(0, 0, 2).micro_batches] == [2, 1]
    assert [keys for pair in zip(first, second, strict=True) for keys in pair] == whole
    assert same(run(make(folder), rank=1, world=2)[3], run(make(folder))[7])
    with pytest.raises(ValueError, match="does not divide"):
        UpdateBatches(seed=0, images=7, batch=6, images_per_device=4, first_update=0, updates=1)


@pytest.mark.costly
@pytest.mark.parametrize("workers", [0, 1])
def test_missing_picture_is_one_clean_message(folder: Path, workers: int) -> None:
    images = [cached(i) for i in range(IMAGES + 1)]  # the last has no file
    samples = TrainingSamples(images, folder, SETTINGS, seed=5)
    with pytest.raises(AlfnetError) as error:
        run(samples, workers=workers)
    assert str(error.value).startswith(f"{folder / name(IMAGES)}: no such image")
    assert "\n" not in str(error.value)


def test_picture_of_another_size_is_refused(folder: Path) -> None:
    wrong = CachedImage(**{**cached(1).__dict__, "height": 128, "width": 256})
    with pytest.raises(AlfnetError, match="128 x 64 px, 256 x 128 was expected"):
        TrainingSamples([wrong], folder, SETTINGS, seed=5)[0, 0]


def test_bad_settings_are_refused_at_once(folder: Path) -> None:
    with pytest.raises(AlfnetError, match="nothing to train on"):
        TrainingSamples([], folder, SETTINGS, seed=5)


def test_images_of_any_ratio_make_one_batch(folder: Path) -> None:
    samples = TrainingSamples([cached(0)], folder, SETTINGS.model_copy(update={"height": 128}), seed=5)
    assert samples.batch([(0, 0), (1, 0)]).images.shape == (2, 128, SETTINGS.width, 3)


def test_memory_cache_changes_nothing_but_the_reading(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[Path] = []
    read = module.read_image
    monkeypatch.setattr(module, "read_image", lambda path, **size: (reads.append(path), read(path, **size))[1])
    expected = run(make(folder))
    assert len(reads) == 24
    for limit, number in ((10**9, IMAGES), (3 * 64 * 128 * 3, None)):
        reads.clear()
        samples = make(folder, cache_bytes=limit)
        assert all(same(a, b) for a, b in zip(expected, run(samples), strict=True))
        assert number is None or len(reads) == number
        assert sum(picture.nbytes for picture in samples._decoded.values()) <= limit
    assert len(samples._decoded) == 3


def test_missing_images_are_counted_with_their_cities(folder: Path) -> None:
    images = [cached(i) for i in range(IMAGES)]
    make(folder).check_files()
    gone = [CachedImage(**{**cached(i).__dict__, "file_name": f"train/bonn/bonn_{i}.png"}) for i in range(4)]
    samples = TrainingSamples([*images, cached(IMAGES), *gone], folder, SETTINGS, seed=5)
    with pytest.raises(AlfnetError, match=r"5 of 12 images are not there \(train/ulm.*whole folders: bonn\)"):
        samples.check_files()


def test_too_little_shared_memory_is_said_before_the_first_update(monkeypatch: pytest.MonkeyPatch) -> None:
    little = type("S", (), {"f_bavail": 50, "f_frsize": 4096})()
    monkeypatch.setattr(module.os, "statvfs", lambda _: little)
    with pytest.raises(AlfnetError, match=r"/dev/shm: 2 workers hold 4 batches of 2\.5 MB ready, .*--shm-size"):
        module.check_shared_memory(2, 2_500_000)
    module.check_shared_memory(2, 10_000)


def test_a_worker_that_is_killed_ends_the_run_with_a_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def __init__(self, *_: object, **__: object) -> None:
            pass

        def __iter__(self) -> Iterator[Batch]:
            raise RuntimeError("DataLoader worker (pid(s) 7) exited unexpectedly\nmore")

    monkeypatch.setattr(module, "DataLoader", Broken)
    with pytest.raises(AlfnetError, match=r"a process that loads images failed \(DataLoader worker .*--shm-size"):
        run(make(folder), workers=1)
