"""Detection in whatever somebody brings: reading, the network and writing each in a thread, with little in between.

Decoding and encoding leave Python's lock, so they overlap with the network. The queues between are short, of very large
images one image long: memory does not grow with the number of images.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np

from alfnet.detection.detector import Detector, batch_size
from alfnet.detection.formats import decode_or_name, read_or_name
from alfnet.detection.saving import Result, Save, Saver
from alfnet.detection.sources import Source, Sources, find_sources
from alfnet.detection.video import Frame, VideoReader
from alfnet.errors import AlfnetError
from alfnet.outputs import check_outputs, check_own_folder, own_folder
from alfnet.progress import progress_report

log = logging.getLogger(__name__)

T = TypeVar("T")

_ITEMS_WAITING = 8
"""Between two threads."""
_PIXELS_WAITING = 100_000_000
"""Between two threads: once so many wait no further image is made, so it is these and one image at most. 300 MB."""


@dataclass
class Summary:
    """What a run did."""

    images: int = 0
    """Images and frames looked at."""
    found: int = 0
    """Pedestrians found."""
    seconds: float = 0.0
    failures: list[str] = field(default_factory=list)
    """A message for every source that could not be read."""
    not_written: list[str] = field(default_factory=list)
    """A message for every source whose pictures, crops or video could not be written; its boxes are with the others'."""
    left_out: str | None = None


@dataclass(frozen=True)
class _Read:
    """An image on its way, or the word that a source has ended (`image` None) or failed (`failure`)."""

    source: Source
    image: np.ndarray | None = None
    frame: Frame | None = None
    rate: Fraction = Fraction(25)
    failure: str | None = None


def detect_sources(
    detector: Detector,
    arguments: Sequence[str],
    out: Path,
    *,
    formats: Sequence[Save],
    batch: int | None = None,
    tile: tuple[int, int] | None = None,
    strict: bool = False,
) -> Summary:
    """Detect in images, folders, videos, ... (`find_sources`), and write the folder `out`, whole or not at all.

    images.json (COCO images: id, file_name, height, width; of videos frame and seconds) is always written; the rest by
    `formats`: detections.json (COCO results), detections.txt (2018 format), detections.csv, pictures/, crops/, videos/.
    Image ids count what was read from 1, in the order of images.json.

    A source that cannot be read, or not be written as a picture or video, or a name that stands for nothing, is named in the
    summary and does not stop the others, unless `strict`. A video whose frames change their size becomes several.

    Raises AlfnetError where every name stands for nothing, `out` holds something that alfnet did not write, or is an input,
    and where no source could be read; then what stood in `out` is still there.
    """
    check_own_folder(out)
    sources = find_sources(arguments, out=out)
    check_outputs({"--out": out}, {"an input": sources.files})
    summary = Summary(left_out=sources.describe_left_out(), failures=list(sources.missing))
    if strict and summary.failures:
        raise AlfnetError(summary.failures[0])
    with own_folder(out, "alfnet detect") as folder:
        _run(detector, sources, folder, formats, batch, tile, strict, summary)
        if summary.images == 0:
            raise AlfnetError("nothing could be read:\n" + "\n".join(summary.failures))
    return summary


def _run(
    detector: Detector,
    sources: Sources,
    folder: Path,
    formats: Sequence[Save],
    batch: int | None,
    tile: tuple[int, int] | None,
    strict: bool,
    summary: Summary,
) -> None:
    reading = _Pump(lambda: _read_all(sources.sources), "read")
    saver = Saver(folder, formats, strict=strict)
    writing = _Writer(saver)
    total = len(sources.sources)
    started = time.perf_counter()
    try:
        with progress_report("detect", total) as report:
            done = 0
            for group in _batches(iter(reading), batch):
                if group[0].failure is not None:
                    if strict:
                        raise AlfnetError(group[0].failure)
                    summary.failures.append(group[0].failure)
                elif group[0].image is None:
                    writing.put(None)
                    done += group[0].source.kind in ("video", "camera")
                else:
                    _detect_group(detector, group, tile, writing, summary)
                done += sum(read.frame is None and (read.image is not None or bool(read.failure)) for read in group)
                summary.seconds = time.perf_counter() - started
                report.update(min(done, total), f"{summary.images / max(1e-9, summary.seconds):.1f} images/s")
                del group  # or its images would be kept while the next are waited for
    except KeyboardInterrupt:
        # A camera has no end of its own: Ctrl-C is how it ends, and what was seen is kept.
        if not (summary.images and all(source.kind == "camera" for source in sources.sources)):
            writing.stop(abandon=True)
            raise
    except BaseException:
        writing.stop(abandon=True)
        raise
    finally:
        reading.stop()
    writing.stop()
    summary.not_written.extend(saver.failures.values())
    summary.seconds = time.perf_counter() - started


def _detect_group(
    detector: Detector, group: list[_Read], tile: tuple[int, int] | None, writing: _Writer, summary: Summary
) -> None:
    images = [read.image for read in group if read.image is not None]
    try:
        # One image, as the very large ones are, is not copied.
        together = np.ascontiguousarray(images[0])[None] if len(images) == 1 else np.stack(images)
        selections = detector.detect_batch(together, tile=tile)
    except AlfnetError as error:  # too large for the memory
        summary.failures.extend(f"{read.source.name}: {error}" for read in group)
        return
    for read, image, selection in zip(group, images, selections, strict=True):
        boxes, scores = selection.boxes.numpy(), selection.scores.numpy()
        writing.put(Result(image, boxes, scores, detector.test_step, read.source.name, read.frame, read.rate))
        summary.images += 1
        summary.found += len(scores)


def _read_all(sources: Sequence[Source]) -> Iterator[_Read]:
    for source in sources:
        try:
            if source.kind == "image":
                yield _Read(source, read_or_name(source.name))
            elif source.kind == "bytes":
                yield _Read(source, decode_or_name(source.content, source.name))
            else:
                with VideoReader(source.name) as video:
                    for frame in video.frames():
                        yield _Read(source, frame.image, frame, video.rate)
                yield _Read(source)
        except AlfnetError as error:
            yield _Read(source, failure=str(error))


def _batches(reads: Iterator[_Read], batch: int | None) -> Iterator[list[_Read]]:
    """Groups of following images of one size and source kind; what is no image stands alone."""
    group: list[_Read] = []
    for read in reads:
        if group and (read.image is None or group[0].image is None or read.image.shape != group[0].image.shape):
            yield group
            group = []
        group.append(read)
        is_whole = read.image is None or len(group) >= (batch or batch_size(*read.image.shape[:2]))
        del read
        if is_whole:
            yield group
            group = []
    if group:
        yield group


class _Queue(Generic[T]):
    """A queue between two threads, short in items and in pixels."""

    def __init__(self, items: int, pixels: int) -> None:
        self._most_items, self._most_pixels = items, pixels
        self._items: deque[tuple[T, int]] = deque()
        self._pixels = 0
        self._closed = False
        self._changed = threading.Condition()

    def put(self, item: T, pixels: int = 0) -> None:
        """Add an item that holds so many pixels, then wait until there is room for another.

        To wait behind, not before, keeps who puts from making the next image while there is no room for it.
        """
        with self._changed:
            self._items.append((item, pixels))
            self._pixels += pixels
            self._changed.notify_all()
            while not self._closed and (
                len(self._items) >= self._most_items or (self._items and self._pixels >= self._most_pixels)
            ):
                self._changed.wait()

    def get(self) -> T:
        """Take the oldest item; wait for one."""
        with self._changed:
            while not self._items:
                self._changed.wait()
            item, pixels = self._items.popleft()
            self._pixels -= pixels
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """From now on `put` does not wait."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()


def _pixels(image: np.ndarray | None) -> int:
    return 0 if image is None else image.shape[0] * image.shape[1]


class _Pump:
    """Runs an iterator in a thread, a few items ahead."""

    def __init__(self, make: Callable[[], Iterator[_Read]], name: str) -> None:
        self._queue: _Queue[_Read | BaseException | None] = _Queue(_ITEMS_WAITING, _PIXELS_WAITING)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._work, args=(make,), name=name, daemon=True)
        self._thread.start()

    def _work(self, make: Callable[[], Iterator[_Read]]) -> None:
        last: BaseException | None = None
        try:
            for item in make():
                self._queue.put(item, _pixels(item.image))
                del item  # or it would be kept while the next is made
                if self._stopped.is_set():
                    return
        except BaseException as error:  # handed on to the thread that asks
            last = error
        self._queue.put(last)

    def __iter__(self) -> Iterator[_Read]:
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            del item

    def stop(self) -> None:
        """End the thread at its next item."""
        self._stopped.set()
        self._queue.close()
        self._thread.join(timeout=10)


class _Writer:
    """Gives results to a `Saver` in a thread of its own."""

    def __init__(self, saver: Saver) -> None:
        self._saver = saver
        self._queue: _Queue[Result | type[StopIteration] | None] = _Queue(_ITEMS_WAITING, _PIXELS_WAITING)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="write", daemon=True)
        self._thread.start()

    def put(self, result: Result | None) -> None:
        """Hand over a result; None: its source has ended. Raises what writing has raised."""
        if self._error is not None:
            raise self._error
        self._queue.put(result, 0 if result is None else _pixels(result.image))

    def stop(self, *, abandon: bool = False) -> None:
        """Wait for what was handed over, and finish the files; `abandon`: they will be deleted."""
        self._queue.close()
        self._queue.put(StopIteration)
        self._thread.join()
        if abandon:
            self._saver.abandon()
            return
        if self._error is not None:
            self._saver.abandon()
            raise self._error
        self._saver.close()

    def _work(self) -> None:
        while True:
            item = self._queue.get()
            if item is StopIteration:
                return
            if self._error is not None:
                continue  # what is handed over until the other thread sees the error
            try:
                if isinstance(item, Result):
                    self._saver.add(item)
                else:
                    self._saver.end_source()
            except BaseException as error:  # raised in the other thread
                self._error = error
            del item  # or it would be kept until the next comes
