"""Videos and cameras, frame by frame, and drawn frames as a video that plays everywhere (H.264 in MP4)."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np

from alfnet.errors import AlfnetError

log = logging.getLogger(__name__)

_QUALITY = "20"  # libx264's constant rate factor; 18 cannot be told from the original, 23 is its default
_TIME_BASE = Fraction(1, 90_000)
_MATROSKA_CLUSTER = b"\x1f\x43\xb6\x75"  # where the frames begin
_MATROSKA_DURATION = (b"\x44\x89\x84", b"\x44\x89\x88")  # a number of 4 or 8 bytes


@dataclass(frozen=True)
class Frame:
    """One frame."""

    image: np.ndarray
    """uint8 (H, W, 3), channels B G R."""
    number: int
    """From 1."""
    seconds: float
    """When it is shown, from the video's start."""


class VideoReader:
    """The frames of a video file or camera, in the order in which they are shown."""

    def __init__(self, name: str) -> None:
        """Open `name`: a file, or `camera:0`. Raises AlfnetError where it holds no video or is not there."""
        import av

        self.name = name
        try:
            if name.startswith("camera:"):
                device = f"/dev/video{name.removeprefix('camera:')}"
                if not Path(device).exists():
                    raise AlfnetError(f"{name}: there is no {device}; is the camera connected, and may you use it?")
                self._container: Any = av.open(device, format="v4l2")
            else:
                self._container = av.open(name)
        except (av.FFmpegError, OSError) as error:
            raise AlfnetError(f"{name}: not readable as a video ({_words(error)}); copy it again") from None
        if not self._container.streams.video:
            self._container.close()
            raise AlfnetError(f"{name}: holds no video stream")
        self._stream = self._container.streams.video[0]
        self._stream.thread_type = "AUTO"
        self.rate = Fraction(self._stream.average_rate or self._stream.guessed_rate or 25)
        self.count = int(self._stream.frames or 0)
        """Frames as the file announces them; 0 where it does not."""
        self._announced_end = self._matroska_seconds()

    def _matroska_seconds(self) -> float | None:
        """When a Matroska or WebM file, which announces no number of frames, says that it ends; None where it does not.

        A file that was written to a pipe has no such word, and FFmpeg may guess one from the file's size: so it is looked for.
        """
        if (
            "matroska" not in self._container.format.name
            or not self._container.duration
            or not Path(self.name).is_file()
        ):
            return None
        with open(self.name, "rb") as file:
            header = file.read(2**16).partition(_MATROSKA_CLUSTER)[0]
        return self._container.duration / 1e6 if any(each in header for each in _MATROSKA_DURATION) else None

    def frames(self) -> Iterator[Frame]:
        """Decode. Raises AlfnetError, naming the frame, where the file is damaged or cut short."""
        import av

        number, start, end = 0, None, 0.0
        # The announced end is that of the longest stream, so all are read for it.
        streams = [self._stream] if self._announced_end is None else list(self._container.streams)
        try:
            for packet in self._container.demux(streams):
                if packet.pts is not None:
                    end = max(end, float((packet.pts + (packet.duration or 0)) * packet.time_base))
                if packet.stream.index != self._stream.index:
                    continue
                for frame in packet.decode():
                    if frame.is_corrupt:
                        raise AlfnetError(f"{self.name}: frame {number + 1} is damaged; copy the video again")
                    number += 1
                    seconds = float(frame.time) if frame.time is not None else float((number - 1) / self.rate)
                    start = seconds if start is None else start
                    image = _upright(frame.to_ndarray(format="bgr24"), int(getattr(frame, "rotation", 0) or 0))
                    yield Frame(image, number, seconds - start)
        except (av.FFmpegError, OSError) as error:
            raise AlfnetError(
                f"{self.name}: damaged or cut short behind frame {number} ({_words(error)}); copy the video again"
            ) from None
        if number == 0:
            raise AlfnetError(f"{self.name}: holds no frame; was it cut short? Copy the video again")
        if self.count > number + 1:
            raise AlfnetError(f"{self.name}: cut short: {number} of its {self.count} frames are there; copy it again")
        # Sound is coded in pieces of up to 0.1 s, of which the last may be longer than what is heard.
        tolerance = max(1.5 / float(self.rate), 0.05 if len(self._container.streams) == 1 else 0.15)
        if self._announced_end is not None and end < self._announced_end - tolerance:
            raise AlfnetError(
                f"{self.name}: cut short: it ends after {end:.2f} of its {self._announced_end:.2f} s (frame {number}); "
                "copy it again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._container.close()


class VideoWriter:
    """Writes frames as H.264 in MP4; each is shown when the original was, so the frame rate is kept."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self.path, self.rate = path, rate
        self._container: Any = None
        self._stream: Any = None
        self._start = 0.0
        self._last = -1
        self._size = (0, 0)

    def takes(self, image: np.ndarray) -> bool:
        """Whether a frame may be `image`: all have the size of the first."""
        return self._container is None or _even_sides(image) == self._size

    def write(self, frame: Frame) -> None:
        """Add a frame; the first is shown at 0 s. Odd sides lose a row or column, which H.264 has not.

        Raises AlfnetError for a frame of another size than the first, or of one that H.264 cannot have.
        """
        import av

        height, width = _even_sides(frame.image)
        if 0 in (height, width):
            raise self._no_h264(frame.image, "no side may be below 2 px")
        if self._container is None:
            self._container = av.open(str(self.path), "w", format="mp4", options={"movflags": "+faststart"})
            # A fixed rate here is a header's word alone: the time stamps below say when a frame is shown.
            self._stream = self._container.add_stream(
                "libx264", rate=self.rate, options={"crf": _QUALITY, "preset": "veryfast"}
            )
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.codec_context.time_base = _TIME_BASE
            self._size = (height, width)
            self._start = frame.seconds
        if (height, width) != self._size:
            raise AlfnetError(f"{self.path.name}: the frames change their size at frame {frame.number}")
        encoded = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame.image[:height, :width]), format="bgr24")
        self._last = max(self._last + 1, round((frame.seconds - self._start) / _TIME_BASE))
        encoded.pts, encoded.time_base = self._last, _TIME_BASE
        try:  # what writing to the disk raises is no fault of the frame
            packets = self._stream.encode(encoded)
        except av.FFmpegError as error:
            raise self._no_h264(frame.image, _words(error)) from None
        self._container.mux(packets)

    def close(self) -> None:
        """Write what is still in the encoder, and the index."""
        if self._container is not None:
            self._container.mux(self._stream.encode())
            self._container.close()

    def abandon(self) -> None:
        """Close the file as it is and delete it: for want of a whole one."""
        # Without an end to what was begun: the encoder may not even have opened.
        self._container = self._stream = None
        self.path.unlink(missing_ok=True)

    def _no_h264(self, image: np.ndarray, why: str) -> AlfnetError:
        return AlfnetError(
            f"frames of {image.shape[1]} x {image.shape[0]} px cannot be written as a video ({why}); leave video out of --save"
        )


def _even_sides(image: np.ndarray) -> tuple[int, int]:
    return image.shape[0] // 2 * 2, image.shape[1] // 2 * 2


def _upright(image: np.ndarray, degrees: int) -> np.ndarray:
    """Turn a frame as the file asks for: `degrees` counter-clockwise, as phones note it."""
    turns = round(degrees / 90) % 4
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image


def _words(error: BaseException) -> str:
    return str(getattr(error, "strerror", None) or error)
