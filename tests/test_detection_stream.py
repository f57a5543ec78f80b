"""`alfnet detect`: what it looks at, what it writes, and what it never touches."""

from __future__ import annotations

import io
import json
import os
import re
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import cv2
import numpy as np
import orjson
import pytest
import torch
from PIL import Image

from alfnet.cli import main
from alfnet.detection import detector as detector_module
from alfnet.detection import sources as sources_module
from alfnet.detection import stream
from alfnet.detection.backend import TorchBackend
from alfnet.detection.detector import Detector, published_settings
from alfnet.detection.postprocess import Selection
from alfnet.detection.saving import Result, Save
from alfnet.detection.sources import find_sources
from alfnet.detection.stream import detect_sources
from alfnet.detection.video import Frame, VideoReader, VideoWriter
from alfnet.errors import AlfnetError
from alfnet.outputs import MANIFEST
from tests.commands import alfnet
from tests.test_training_train import network

ALL = list(Save)


@pytest.fixture(scope="module")
def detector() -> Detector:
    settings = published_settings().model_copy(update={"score_threshold": 0.0, "after_nms": 5})
    return Detector(TorchBackend(network(), torch.device("cpu")), settings)


def put(path: Path, height: int = 64, width: int = 96, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
    return path


def put_video(
    path: Path, frames: int = 9, rate: Fraction = Fraction(30000, 1001), height: int = 66, width: int = 97
) -> Path:
    writer = VideoWriter(path, rate)
    for number in range(1, frames + 1):
        image = np.full((height, width, 3), 40, np.uint8)
        cv2.rectangle(image, (5 * number, 10), (5 * number + 20, 55), (200, 180, 160), -1)
        writer.write(Frame(image, number, float((number - 1) / rate)))
    writer.close()
    return path


def names(arguments: list[object], **options) -> list[str]:
    return [source.name for source in find_sources([str(argument) for argument in arguments], **options).sources]


def snapshot(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_folder_gives_what_a_person_would_call_its_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "deep/c.webp", "deep/er/d.bmp", ".hidden/e.png", "._a.jpg", "@eaDir/f.png"):
        put(tmp_path / name) if not name.endswith("JPG") else put(tmp_path / "x.jpg").rename(tmp_path / name)
    (tmp_path / "notes.txt").write_text("notes")
    put(tmp_path / "y.png").rename(tmp_path / "without_suffix")
    put_video(tmp_path / "film.mp4", 1)
    (tmp_path / "twice.png").symlink_to(tmp_path / "b.png")
    (tmp_path / "loop").symlink_to(tmp_path)
    (tmp_path / "gone.png").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe.png")
    found = find_sources([str(tmp_path)])
    assert [os.path.relpath(source.name, tmp_path) for source in found.sources] == [
        "a.JPG", "b.png", "film.mp4", "without_suffix", "deep/c.webp", "deep/er/d.bmp"
    ]  # fmt: skip
    assert found.describe_left_out() == (
        "left out: 3 hidden, 1 named twice, 1 of other kinds (notes.txt), 2 that are no files"
    )
    (tmp_path / ".hidden/none").mkdir()
    with pytest.raises(AlfnetError, match="no image or video in this folder"):
        find_sources([str(tmp_path / ".hidden" / "none")])


def test_patterns_lists_and_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    a, b = put(tmp_path / "a.png"), put(tmp_path / "deep/b c.png")
    assert names([tmp_path / "*.png"]) == [str(a)]
    assert names([tmp_path / "**/*.png"]) == [str(a), str(b)]
    assert names([b, tmp_path]) == [str(b), str(a)]
    with pytest.raises(AlfnetError, match=r"no image or video matches"):
        names([tmp_path / "*.jpg"])
    listed = tmp_path / "list.txt"
    listed.write_text("# mine\n\na.png\ndeep/b c.png\r\nmissing.png\n")
    found = find_sources([str(listed)])
    assert [source.name for source in found.sources] == [str(a), str(b)]
    assert found.missing == ["missing.png: no such image, video or folder"]
    for content, expected in (
        (f"{a}\n{b}\n".encode(), [str(a), str(b)]),
        (f"{a}\0{b}\0".encode(), [str(a), str(b)]),
        (a.read_bytes(), ["stdin"]),
    ):
        monkeypatch.setattr(sources_module.sys, "stdin", SimpleNamespace(buffer=io.BytesIO(content)))
        assert names(["-"]) == expected
    for wrong, match in (("nothing.png", "no such image"), ("camera:x", "camera:0"), ("a\0b", "not possible")):
        with pytest.raises(AlfnetError, match=match):
            names([wrong])


def test_all_formats_hold_the_same_boxes(detector: Detector, tmp_path: Path) -> None:
    put(tmp_path / "in/a.png", 70, 100, 1)
    put(tmp_path / "in/b.jpg", 64, 128, 2)
    summary = detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    assert (summary.images, summary.failures) == (2, [])
    images = json.loads((tmp_path / "out/images.json").read_text())
    assert [(image["id"], Path(image["file_name"]).name, image["height"], image["width"]) for image in images] == [
        (1, "a.png", 70, 100), (2, "b.jpg", 64, 128)
    ]  # fmt: skip
    coco = json.loads((tmp_path / "out/detections.json").read_text())
    assert len(coco) == summary.found == 10
    expected = [row for number, image in enumerate(images, 1) for row in detector(image["file_name"]).to_coco(number)]
    for row, other in zip(coco, expected, strict=True):
        assert row["image_id"] == other["image_id"]
        assert row["bbox"] == pytest.approx(other["bbox"], abs=2e-3)
        assert row["file_name"] == images[row["image_id"] - 1]["file_name"]  # its number alone would tell nothing
    lines = (tmp_path / "out/detections.txt").read_text().splitlines()
    assert [[float(value) for value in line.split()] for line in lines] == [
        [row["image_id"], *row["bbox"], row["score"]] for row in coco
    ]
    table = (tmp_path / "out/detections.csv").read_text().splitlines()
    assert table[0] == "image_id,file_name,frame,x1,y1,x2,y2,score,step"
    assert len(table) == 11
    assert sorted(path.name for path in (tmp_path / "out/pictures").iterdir()) == ["00001_a.png", "00002_b.jpg"]
    assert cv2.imread(str(tmp_path / "out/pictures/00001_a.png")).shape == (70, 100, 3)
    assert len(list((tmp_path / "out/crops").iterdir())) == 10


def test_one_bad_file_does_not_stop_the_others(detector: Detector, tmp_path: Path) -> None:
    for name in "abc":
        put(tmp_path / f"in/{name}.png")
    broken = tmp_path / "in/b.png"
    broken.write_bytes(broken.read_bytes()[:500])
    summary = detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=[Save.coco])
    assert summary.images == 2
    assert len(summary.failures) == 1
    assert "b.png: this PNG file was cut short" in summary.failures[0]
    images = json.loads((tmp_path / "out/images.json").read_text())
    assert [(image["id"], Path(image["file_name"]).name) for image in images] == [(1, "a.png"), (2, "c.png")]
    before = snapshot(tmp_path / "out")
    with pytest.raises(AlfnetError, match="cut short"):
        detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=[Save.txt], strict=True)
    with pytest.raises(AlfnetError, match=r"nothing could be read:\n.*cut short"):
        detect_sources(detector, [str(broken)], tmp_path / "out", formats=[Save.txt])
    assert snapshot(tmp_path / "out") == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]  # no temporaries


def test_a_name_that_stands_for_nothing_does_not_stop_the_others(detector: Detector, tmp_path: Path) -> None:
    image = put(tmp_path / "a.png")
    (tmp_path / "empty").mkdir()
    arguments = [str(tmp_path / "none.jpg"), str(image), str(tmp_path / "empty"), str(tmp_path / "*.gif"), "camera:x"]
    summary = detect_sources(detector, arguments, tmp_path / "out", formats=[Save.coco])
    assert summary.images == 1
    assert [failure.removeprefix(f"{tmp_path}/") for failure in summary.failures] == [
        "none.jpg: no such image, video or folder",
        "empty: no image or video in this folder",
        "*.gif: no image or video matches (0 names do)",
        "camera:x: name a camera by its number, as in camera:0",
    ]
    before = snapshot(tmp_path)
    with pytest.raises(AlfnetError, match=r"none\.jpg: no such image"):
        detect_sources(detector, arguments, tmp_path / "out", formats=[Save.coco], strict=True)
    with pytest.raises(AlfnetError, match=r"^nothing could be read:\n.*none\.jpg: no such .*\n.*empty: no image"):
        detect_sources(detector, [arguments[0], arguments[2]], tmp_path / "out", formats=[Save.coco])
    assert snapshot(tmp_path) == before


def test_up_to_three_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    for name in ("b.txt", "c.jp2", "d.doc", "e.zip"):
        (tmp_path / name).touch()
    assert find_sources([str(tmp_path)]).describe_left_out() == "left out: 4 of other kinds (b.txt, c.jp2, d.doc, ...)"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("a.jp2", b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(30), "JPEG 2000"),
        ("a.png", b"\xff\x4f\xff\x51" + bytes(30), "JPEG 2000"),
        ("a.heic", bytes(40), "HEIC"),
        ("a.CR3", b"\0\0\0\x18ftypcrx " + bytes(30), "RAW"),
        ("a.raf", b"FUJIFILMCCD-RAW 0201", "RAW"),
        ("a.nef", b"something", "RAW"),
    ],
)
def test_formats_that_are_not_read_are_named(
    detector: Detector, tmp_path: Path, name: str, content: bytes, kind: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    said = f"{path}: the format {kind} is not read; convert the image to PNG or JPEG"
    good = put(tmp_path / "good/b.png")
    assert detect_sources(detector, [str(path), str(good)], tmp_path / "out", formats=[]).failures == [said]
    with pytest.raises(AlfnetError, match=re.escape(said)):
        detector(path)


def test_inputs_and_strangers_are_never_replaced(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "holiday/pictures/a.png")
    (tmp_path / "holiday/pictures/notes.txt").write_text("mine")
    monkeypatch.chdir(tmp_path / "holiday")
    before = snapshot(tmp_path)
    for sources, out in (
        (["pictures"], "."),
        (["pictures"], ".."),
        (["pictures"], "pictures"),
        (["pictures/a.png"], "pictures"),
        (["pictures"], "/"),
        (["pictures"], "pictures/a.png"),
        (["pictures"], ""),
    ):
        with pytest.raises(AlfnetError):
            detect_sources(detector, sources, Path(out) if out else Path(), formats=ALL)
        assert snapshot(tmp_path) == before, out
    detect_sources(detector, ["pictures"], Path("found"), formats=ALL)
    with pytest.raises(AlfnetError, match="input"):  # its own drawings as the input, into the same folder
        detect_sources(detector, ["found/pictures"], Path("found"), formats=ALL)
    Path("found/mine.txt").write_text("notes")
    before = snapshot(tmp_path)
    with pytest.raises(AlfnetError, match=r"found: holds mine\.txt, which alfnet did not write"):
        detect_sources(detector, ["pictures"], Path("found"), formats=ALL)
    assert snapshot(tmp_path) == before
    Path("found/mine.txt").unlink()
    detect_sources(detector, ["pictures"], Path("found"), formats=[Save.coco])
    assert {path.name for path in Path("found").iterdir()} == {MANIFEST, "detections.json", "images.json"}


def test_results_below_the_searched_folder_are_left_out(detector: Detector, tmp_path: Path) -> None:
    put(tmp_path / "a.png")
    put(tmp_path / "deep/b.png")
    for out in ("found", "found", "deep/other", "found"):
        summary = detect_sources(detector, [str(tmp_path)], tmp_path / out, formats=[Save.pictures])
        assert summary.images == 2
    assert summary.left_out == "left out: 2 folders of earlier results"
    summary = detect_sources(detector, [str(tmp_path / "**/*.png")], tmp_path / "found", formats=[Save.pictures])
    assert summary.images == 2


def test_a_failure_while_writing_leaves_the_earlier_result(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "in/a.png")
    detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    before = snapshot(tmp_path)

    def full(path: Path, image: np.ndarray) -> None:
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("alfnet.detection.saving.write_picture", full)
    with pytest.raises((OSError, AlfnetError), match=r"(?i)no space left"):
        detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    monkeypatch.undo()

    def interrupted(self: Detector, images: np.ndarray, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Detector, "detect_batch", interrupted)
    with pytest.raises(KeyboardInterrupt):
        detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    assert snapshot(tmp_path) == before


def test_a_video_keeps_its_rate_and_its_frames_are_numbered(detector: Detector, tmp_path: Path) -> None:
    put_video(tmp_path / "film.mp4", 9)
    summary = detect_sources(
        detector, [str(tmp_path / "film.mp4")], tmp_path / "out", formats=[Save.video, Save.csv, Save.pictures], batch=4
    )
    assert summary.images == 9
    images = json.loads((tmp_path / "out/images.json").read_text())
    assert [image["frame"] for image in images] == list(range(1, 10))
    assert images[3]["seconds"] == pytest.approx(3 * 1001 / 30000, abs=1e-3)
    assert not list((tmp_path / "out/pictures").iterdir())  # the frames are in the video
    with av.open(str(tmp_path / "out/videos/film.mp4")) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.average_rate == Fraction(30000, 1001)
        assert stream.codec_context.pix_fmt == "yuv420p"
        frames = list(container.decode(stream))
    assert len(frames) == 9
    assert (frames[0].height, frames[0].width) == (66, 96)
    assert float(frames[8].time - frames[0].time) == pytest.approx(8 * 1001 / 30000, abs=1e-3)


def test_frames_of_a_changing_rate_keep_their_times(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.5, 2.0]
    writer = VideoWriter(tmp_path / "a.mp4", Fraction(25))
    for number, seconds in enumerate(times, 1):
        writer.write(Frame(np.full((64, 64, 3), 20 * number, np.uint8), number, seconds))
    writer.close()
    with VideoReader(str(tmp_path / "a.mp4")) as video:
        frames = list(video.frames())
    assert [frame.number for frame in frames] == [1, 2, 3, 4, 5]
    assert [frame.seconds for frame in frames] == pytest.approx(times, abs=1e-3)
    assert [round(float(frame.image.mean()) / 20) for frame in frames] == [1, 2, 3, 4, 5]  # in order, and B G R


def test_videos_that_cannot_be_read_are_named(detector: Detector, tmp_path: Path) -> None:
    whole = put_video(tmp_path / "a.mp4", 5).read_bytes()
    (tmp_path / "b.mp4").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "c.mp4").write_bytes(b"no video")
    (tmp_path / "d.mp4").write_bytes(b"")
    summary = detect_sources(detector, [str(tmp_path)], tmp_path / "out", formats=[Save.coco, Save.video])
    assert summary.images >= 5
    assert sorted(failure.split(": ")[0][-5:] for failure in summary.failures) == ["b.mp4", "c.mp4", "d.mp4"]
    with pytest.raises(AlfnetError, match="camera:77: there is no /dev/video77"):
        VideoReader("camera:77")


def put_matroska(path: Path, times: list[int], *, sound: str | None = None) -> Path:
    """A video whose frames are shown at `times` (ms), perhaps with two seconds of sound."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libvpx-vp9" if path.suffix == ".webm" else "libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        audio: Any = container.add_stream(sound, rate=48000) if sound else None
        for number, time in enumerate(times):
            image = np.random.default_rng(number).integers(0, 256, (64, 96, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(image, format="bgr24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if audio is not None:
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 96_000), np.int16), format="s16", layout="mono")
            silence.rate, silence.pts = 48_000, 0
            for piece in av.AudioResampler(audio.format.name, "mono", 48_000, audio.frame_size or None).resample(
                silence
            ):
                container.mux(audio.encode(piece))
            container.mux(audio.encode())
    return path


EVENLY = [40 * number for number in range(8)]


@pytest.mark.parametrize(
    ("name", "times", "sound"),
    [
        ("a.mkv", EVENLY, None),
        ("a.webm", EVENLY, None),
        ("one.mkv", [0], None),
        ("uneven.mkv", [0, 100, 150, 500, 2000], None),
        ("late.mkv", [5000 + time for time in EVENLY], None),
        ("aac.mkv", EVENLY, "aac"),  # the sound is longer than the picture
        ("opus.webm", EVENLY, "libopus"),
    ],
)
def test_a_matroska_video_is_whole_or_named(tmp_path: Path, name: str, times: list[int], sound: str | None) -> None:
    whole = put_matroska(tmp_path / name, times, sound=sound)
    with VideoReader(str(whole)) as video:
        assert [round(1000 * frame.seconds) for frame in video.frames()] == [time - times[0] for time in times]
    if len(times) == 1:
        return
    cut = whole.with_stem("cut")
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size * 2 // 3])
    with (
        VideoReader(str(cut)) as video,
        pytest.raises(AlfnetError, match=r"cut\.(mkv|webm): (cut short: it ends after|damaged or cut short)"),
    ):
        list(video.frames())


def test_ctrl_c_ends_a_camera_and_keeps_what_was_seen(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Camera:
        rate = Fraction(10)

        def __init__(self, name: str) -> None:
            pass

        def __enter__(self) -> Camera:
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def frames(self):
            for number in range(1, 1000):
                yield Frame(np.zeros((64, 64, 3), np.uint8), number, number / 10)

    seen = 0
    detect = Detector.detect_batch

    def detect_four(self: Detector, images: np.ndarray, **options: object) -> object:
        nonlocal seen
        seen += 1
        if seen > 4:
            raise KeyboardInterrupt
        return detect(self, images)

    monkeypatch.setattr(stream, "VideoReader", Camera)
    monkeypatch.setattr(Detector, "detect_batch", detect_four)
    summary = detect_sources(detector, ["camera:0"], tmp_path / "out", formats=[Save.video, Save.coco], batch=1)
    assert summary.images == 4
    assert len(json.loads((tmp_path / "out/images.json").read_text())) == 4
    with VideoReader(str(tmp_path / "out/videos/camera0.mp4")) as video:
        assert len(list(video.frames())) == 4


def test_odd_images_are_looked_at(detector: Detector, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rgb = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    folder = tmp_path / "in"
    folder.mkdir()
    exif = Image.Exif()
    exif[0x0112] = 8
    rgb.save(folder / "turned.jpg", exif=exif.tobytes())
    for name, mode in (("grey.png", "L"), ("palette.png", "P"), ("alpha.png", "RGBA"), ("bits.png", "1")):
        rgb.convert(mode).save(folder / name)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.save(folder / "moving.gif", save_all=True, append_images=[rgb.rotate(90)])
    rgb.save(folder / "moving.webp", save_all=True, append_images=[rgb.rotate(90)])
    Image.fromarray(np.zeros((3, 2), np.uint16)).save(folder / "tiny16.png")
    summary = detect_sources(detector, [str(folder)], tmp_path / "out", formats=ALL)
    assert (summary.images, summary.failures) == (9, [])
    sizes = {
        Path(e["file_name"]).name: (e["height"], e["width"])
        for e in json.loads((tmp_path / "out/images.json").read_text())
    }
    assert sizes["turned.jpg"] == (60, 40)
    assert sizes["tiny16.png"] == (3, 2)
    assert sum("holds several frames; the first is taken" in message for message in caplog.messages) == 2


def test_long_names_and_names_in_no_encoding_do_not_stop_the_others(detector: Detector, tmp_path: Path) -> None:
    plain = put(tmp_path / "in/a.png")
    put_video(tmp_path / "in/z.mp4", 1).rename(tmp_path / "in" / ("視" * 83 + ".mp4"))
    for name in (("像" * 83 + ".png").encode(), b"odd\xff.png"):
        Path(os.fsdecode(os.fsencode(plain.parent) + b"/" + name)).write_bytes(plain.read_bytes())
    summary = detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    assert (summary.images, summary.failures, summary.not_written) == (4, [], [])
    pictures = sorted(os.listdir(os.fsencode(tmp_path / "out/pictures")))
    assert [name[:6] for name in pictures] == [b"00001_", b"00002_", b"00003_"]
    assert b"00002_odd\xff.png" in pictures
    assert {len(os.fsencode(name)) for name in os.listdir(tmp_path / "out/videos")} == {198 + len(".mp4")}
    assert len(os.listdir(tmp_path / "out/crops")) == (tmp_path / "out/detections.csv").read_text().count("\n") - 1
    listed = orjson.loads((tmp_path / "out/images.json").read_bytes())  # stricter than Python's own reader
    assert listed[1]["file_name"].endswith("odd\ufffd.png")
    assert "odd\ufffd.png" in (tmp_path / "out/detections.csv").read_text("utf-8")


def test_a_video_whose_frames_change_their_size_becomes_two(detector: Detector, tmp_path: Path) -> None:
    parts = []
    for height, width in ((64, 96), (128, 96)):
        path = put_video(tmp_path / "part.mp4", 5, Fraction(25), height, width)
        with av.open(str(path)) as read, av.open(str(tmp_path / "part.ts"), "w", format="mpegts") as written:
            stream = written.add_stream_from_template(read.streams.video[0])
            for packet in read.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    written.mux(packet)
        parts.append((tmp_path / "part.ts").read_bytes())
    (tmp_path / "joined.mpg").write_bytes(b"".join(parts))
    put(tmp_path / "a.png")
    sources = [str(tmp_path / name) for name in ("joined.mpg", "a.png")]
    summary = detect_sources(detector, sources, tmp_path / "out", formats=ALL)
    assert (summary.images, summary.failures, summary.not_written) == (11, [], [])
    for name, size in (("joined.mp4", (64, 96)), ("joined_2.mp4", (128, 96))):
        with VideoReader(str(tmp_path / "out/videos" / name)) as video:
            frames = list(video.frames())
        assert [frame.image.shape[:2] for frame in frames] == [size] * 5
        assert frames[-1].seconds == pytest.approx(4 / 25, abs=1e-3)


def test_what_no_format_holds_does_not_stop_the_others(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with av.open(str(tmp_path / "narrow.avi"), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.width, stream.height, stream.pix_fmt = 1, 64, "rgb24"
        for _ in range(3):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((64, 1, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    put(tmp_path / "a.png")
    put(tmp_path / "wide.jpg", 64, 128)
    encode = cv2.imencode  # whose JPEG has sides of 65,500 px at most

    def imencode(ending: str, image: np.ndarray, options: list[int]) -> tuple[bool, np.ndarray]:
        done, encoded = encode(ending, image, options)
        return done and image.shape[1] < 128, encoded

    monkeypatch.setattr(cv2, "imencode", imencode)
    sources = [str(tmp_path / name) for name in ("narrow.avi", "wide.jpg", "a.png")]
    monkeypatch.setattr(Detector, "load", lambda *_, **__: detector)
    said = alfnet("detect", *sources, "--out", "out", cwd=tmp_path, code=1)
    assert "2 could not be written as a picture or video:" in said
    assert f"{sources[0]}: frames of 1 x 64 px cannot be written as a video (no side may be below 2 px)" in said
    assert f"{sources[1]}: an image of 128 x 64 px cannot be written as JPG" in said
    assert len(json.loads((tmp_path / "out/images.json").read_text())) == 5
    assert [path.name for path in (tmp_path / "out/pictures").iterdir()] == ["00005_a.png"]
    assert not list((tmp_path / "out/videos").iterdir())
    with pytest.raises(AlfnetError, match="cannot be written as a video"):
        detect_sources(detector, sources, tmp_path / "strict", formats=ALL, strict=True)
    assert not (tmp_path / "strict").exists()


def test_nothing_waits_without_end_and_little_is_in_memory(detector: Detector, tmp_path: Path) -> None:
    """The reader is never more than some images ahead of the writer."""
    read = written = ahead = 0

    def images():
        nonlocal read, ahead
        for _ in range(60):
            read += 1
            ahead = max(ahead, read - written)
            yield stream._Read(sources_module.Source("image", "x.png"), np.zeros((64, 64, 3), np.uint8))

    class Slow(stream.Saver):
        def add(self, result: object) -> None:
            nonlocal written
            written += 1

    original = stream._read_all
    try:
        stream._read_all = lambda sources: images()  # type: ignore[assignment]
        found = sources_module.Sources([sources_module.Source("image", "x.png")])
        summary = stream.Summary()
        (tmp_path / "o").mkdir()
        saver, stream.Saver = stream.Saver, Slow  # type: ignore[misc]
        stream._run(detector, found, tmp_path / "o", [Save.coco], 1, None, False, summary)
    finally:
        stream._read_all, stream.Saver = original, saver  # type: ignore[misc]
    assert summary.images == written == 60
    assert ahead <= 24


@pytest.mark.parametrize(("most", "alive_at_most"), [(10**9, None), (3 * 4096, 9), (1, 5)])
def test_what_waits_is_few_pixels(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, most: int, alive_at_most: int | None
) -> None:
    """Of large images few are alive at once: made, waiting, looked at, waiting to be written, and written."""
    lock = threading.Lock()
    alive = peak = 0
    order: list[str] = []

    def gone() -> None:
        nonlocal alive
        with lock:
            alive -= 1

    def images(_: object) -> Iterator[stream._Read]:
        nonlocal alive, peak
        for number in range(40):
            pixels = np.zeros((64, 64, 3), np.uint8)
            weakref.finalize(pixels, gone)
            with lock:
                alive += 1
                peak = max(peak, alive)
            yield stream._Read(sources_module.Source("image", f"{number}.png"), pixels)
            del pixels

    class Slow(stream.Saver):
        def add(self, result: Result) -> None:
            time.sleep(0.005)
            order.append(result.source)

    def nothing(self: Detector, images: np.ndarray, **_: object) -> list[Selection]:
        return [Selection(torch.zeros(0, 4), torch.zeros(0)) for _ in images]

    monkeypatch.setattr(Detector, "detect_batch", nothing)
    monkeypatch.setattr(stream, "_PIXELS_WAITING", most)
    monkeypatch.setattr(stream, "_read_all", images)
    monkeypatch.setattr(stream, "Saver", Slow)
    (tmp_path / "o").mkdir()
    summary = stream.Summary()
    found = sources_module.Sources([sources_module.Source("image", "x.png")])
    stream._run(detector, found, tmp_path / "o", [Save.coco], 1, None, False, summary)
    assert order == [f"{number}.png" for number in range(40)]
    assert summary.images == 40
    if alive_at_most is None:
        assert peak > 12  # small images are read ahead
    else:
        assert peak <= alive_at_most


def test_an_error_of_the_reader_or_the_writer_ends_the_run_where_large_images_wait(
    detector: Detector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody waits for room that nobody makes."""
    for name in "abcdef":
        put(tmp_path / f"in/{name}.png")
    monkeypatch.setattr(stream, "_PIXELS_WAITING", 1)

    def full(path: Path, image: np.ndarray) -> None:
        raise OSError(28, "No space left on device", str(path))

    with monkeypatch.context() as changed:
        changed.setattr("alfnet.detection.saving.write_picture", full)
        with pytest.raises((OSError, AlfnetError), match=r"(?i)no space left"):
            detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL)
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/b.png").read_bytes()[:500])
    with pytest.raises(AlfnetError, match="cut short"):
        detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL, strict=True)
    assert detect_sources(detector, [str(tmp_path / "in")], tmp_path / "out", formats=ALL).images == 5
    assert {"read", "write"}.isdisjoint(thread.name for thread in threading.enumerate())


@pytest.mark.slow
def test_a_very_large_file_is_looked_at_in_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`alfnet detect` on 48 million pixels: refused with what to do where memory is short, done in parts with --tile."""
    tile = np.random.default_rng(0).integers(0, 256, (500, 1000, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "large.jpg"), np.tile(tile, (12, 8, 1)))
    network().save(tmp_path / "model.safetensors")
    monkeypatch.setattr(detector_module, "free_memory", lambda: 2**30)
    command = ["detect", str(tmp_path / "large.jpg"), "--weights", str(tmp_path / "model.safetensors")]
    command += ["--score", "0", "--save", "coco", "--out"]

    def alfnet(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["alfnet", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        return int(stop.value.code or 0)

    assert alfnet(*command, str(tmp_path / "whole")) == 2
    said = capsys.readouterr().err
    assert "8000 x 6000 px: needs about" in said
    assert "--tile 2048x1024" in said
    assert not (tmp_path / "whole").exists()
    assert alfnet(*command, str(tmp_path / "parts"), "--tile", "2048x1024", "--max", "100000") == 0
    boxes = np.array([each["bbox"] for each in json.loads((tmp_path / "parts/detections.json").read_text())])
    assert (boxes[:, :2] >= 0).all()
    assert (boxes[:, 0] + boxes[:, 2] <= 7999).all()
    assert (boxes[:, 1] + boxes[:, 3] <= 5999).all()
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    found, _, _ = np.histogram2d(centres[:, 1], centres[:, 0], bins=(6, 8), range=((0, 6000), (0, 8000)))
    assert (found > 0).all()  # in every million pixels
