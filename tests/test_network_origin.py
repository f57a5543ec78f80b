"""The origin of a network as a mapping, whatever file carried it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from alfnet.network.origin import KEY, describe, imported_origin, origin_of, trained_frame, training_origin
from alfnet.params import check_params
from tests.tiny import raw_params


def test_entries_are_read_as_they_were_written() -> None:
    origin = origin_of(training_origin(check_params(raw_params(), "tiny"), "mobilenet-2s", 1, 8))
    assert (origin["variant"], origin["seed"], origin["images"], origin["frame"]) == ("mobilenet-2s", 1, 8, None)
    assert origin_of(imported_origin("resnet50")) == {"release": "2018", "backbone": "resnet50"}


@pytest.mark.parametrize("entry", ["", "[1]", "7", "not JSON", 7, None, {"frame": [512, 256]}, "[" * 100_000])
def test_what_is_no_origin_says_nothing(entry: Any) -> None:
    assert origin_of({KEY: entry}) == {}
    assert origin_of({}) == {}


@pytest.mark.parametrize(
    "frame", [None, 512, "512", [512], [512, 256, 3], [512.0, 256], [True, 256], [0, 0], [63, 64], [2**14 + 1, 64], {}]
)
def test_what_is_no_frame_is_none(frame: Any) -> None:
    assert trained_frame({"frame": frame}) is None


def test_a_frame_is_written_width_first_and_read_height_first() -> None:
    assert trained_frame(origin_of({KEY: json.dumps({"frame": [512, 256]})})) == (256, 512)
    assert trained_frame({}) is None


def test_an_odd_origin_is_described_all_the_same() -> None:
    assert describe({"data_set": "x", "image_size": 5, "miss_rate_percent": [1]}).startswith("trained on x (? images;")
    assert "(3 images of 64 x 32 px;" in describe({"data_set": "x", "images": 3, "image_size": [64, 32]})


def test_it_is_there_without_torch() -> None:
    """A served ONNX file says what it was trained on, where there is no torch."""
    code = "import sys; sys.modules['torch'] = sys.modules['safetensors'] = None; import alfnet.network.origin"
    subprocess.run([sys.executable, "-c", code], check=True)
