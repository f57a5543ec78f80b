"""Decoded images on disk: the very pixels, written once, taken over where a process was killed, checked, and announced."""

from __future__ import annotations

import fcntl
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from alfnet.annotations.cache import CachedImage
from alfnet.errors import AlfnetError
from alfnet.images import read_image, write_png
from alfnet.training import decoded as module
from alfnet.training.decoded import decode_images
from tests.test_training_samples import IMAGES, cached, make, name, run, same


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "leftImg8bit"
    for index in range(IMAGES):
        write_png(folder / name(index), np.random.default_rng(index).integers(0, 256, (64, 128, 3), dtype=np.uint8))
    return folder


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the images that are decoded."""
    found: list[str] = []
    monkeypatch.setattr(
        module, "read_image", lambda path, **size: (found.append(path.name), read_image(path, **size))[1]
    )
    return found


def images() -> list[CachedImage]:
    return [cached(index) for index in range(IMAGES)]


def test_pixels_and_samples_are_those_of_the_files(folder, tmp_path, capsys):
    decoded = decode_images(images(), folder, tmp_path / "store")
    assert f"decoding {IMAGES} images, 0.0 GB on disk" in capsys.readouterr().err
    for index in range(IMAGES):
        np.testing.assert_array_equal(decoded[index], read_image(folder / name(index)))
        with pytest.raises(ValueError, match="read-only"):
            decoded[index][0, 0] = 0
    plain, with_decoded = make(folder), make(folder)
    with_decoded.decoded = pickle.loads(pickle.dumps(decoded))  # as a worker process gets it
    assert all(same(a, b) for a, b in zip(run(plain), run(with_decoded), strict=True))


def test_written_once_wherever_the_images_lie(folder, tmp_path, reads):
    decode_images(images(), folder, tmp_path / "store")
    assert len(reads) == IMAGES
    shutil.copytree(folder, tmp_path / "copy")
    decode_images(images(), tmp_path / "copy", tmp_path / "store")
    assert len(reads) == IMAGES
    write_png(folder / name(2), np.zeros((64, 128, 3), np.uint8))
    again = decode_images(images(), folder, tmp_path / "store")
    assert len(reads) == 2 * IMAGES
    assert not again[2].any()


def test_a_killed_one_is_taken_over(folder, tmp_path, reads, monkeypatch):
    read = module.read_image

    def failing(path: Path, **size) -> np.ndarray:
        if path.name == Path(name(IMAGES - 1)).name:
            raise KeyboardInterrupt
        return read(path, **size)

    monkeypatch.setattr(module, "read_image", failing)
    monkeypatch.setattr(module.os, "sched_getaffinity", lambda _: {0})
    with pytest.raises(KeyboardInterrupt):
        decode_images(images(), folder, tmp_path / "store")
    monkeypatch.setattr(module, "read_image", read)
    reads.clear()
    done = next((tmp_path / "store").glob("*.done"))
    done.write_text(done.read_text() + "5 12")  # a line cut short
    decoded = decode_images(images(), folder, tmp_path / "store")
    assert 0 < len(reads) < IMAGES
    for index in range(IMAGES):
        np.testing.assert_array_equal(decoded[index], read_image(folder / name(index)))


def test_a_touched_file_is_verified_and_mended(folder, tmp_path, reads):
    path = decode_images(images(), folder, tmp_path / "store").path
    content = bytearray(path.read_bytes())
    content[3 * 64 * 128 * 3 + 5] ^= 1
    path.write_bytes(content)
    reads.clear()
    decoded = decode_images(images(), folder, tmp_path / "store")
    assert reads == [Path(name(3)).name]
    np.testing.assert_array_equal(decoded[3], read_image(folder / name(3)))


def test_it_may_be_deleted_at_any_time(folder, tmp_path, reads):
    """As docs/training.md says: whoever has opened it goes on with it, and the next one writes what is missing."""
    store = tmp_path / "store"
    at_work = decode_images(images(), folder, store)
    np.testing.assert_array_equal(at_work[0], read_image(folder / name(0)))
    shutil.rmtree(store)
    np.testing.assert_array_equal(at_work[1], read_image(folder / name(1)))
    decode_images(images(), folder, store)
    for ending, written in (("images", IMAGES), ("verified", 0), ("done", 0), ("lock", 0)):
        (path,) = store.glob(f"*.{ending}")
        path.unlink()
        reads.clear()
        decoded = decode_images(images(), folder, store)
        assert len(reads) == written, ending
        for index in range(IMAGES):
            np.testing.assert_array_equal(decoded[index], read_image(folder / name(index)))


def test_lists_of_their_own_have_files_of_their_own(folder, tmp_path):
    """Such as the folds of a cross-validation; neither takes the place of the other."""
    parts = [images()[:-2], images()[2:]]
    folds = [decode_images(part, folder, tmp_path / "store") for part in parts]
    assert len(list((tmp_path / "store").glob("*.images"))) == 2
    for fold, part in zip(folds, parts, strict=True):
        assert fold.path.stat().st_size == len(part) * 64 * 128 * 3
        np.testing.assert_array_equal(fold[0], read_image(folder / part[0].file_name))


def test_one_decodes_and_the_others_wait(folder, tmp_path, reads, capsys):
    path = decode_images(images(), folder, tmp_path / "store").path
    path.unlink()
    reads.clear()
    with ThreadPoolExecutor(1) as pool, open(path.with_suffix(".lock"), "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another process is at it
        waiting = pool.submit(decode_images, images(), folder, tmp_path / "store")
        with pytest.raises(TimeoutError):
            waiting.result(timeout=0.3)
        assert not reads
        fcntl.flock(lock, fcntl.LOCK_UN)
        assert waiting.result(timeout=60).path == path
    assert "another process decodes these images; waiting for it" in capsys.readouterr().err


def test_too_little_space_and_missing_images_are_named(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "SPARE", 2**62)
    with pytest.raises(AlfnetError, match=r"7 decoded images take 0\.0 GB, and .* GB are free there; free some"):
        decode_images(images(), folder, tmp_path / "store")
    (folder / name(1)).unlink()
    with pytest.raises(AlfnetError, match=r"ulm_000001_000019_leftImg8bit\.png: cannot be read"):
        decode_images(images(), folder, tmp_path / "store")
