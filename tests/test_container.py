"""The image: its files, its pinned packages, and its build's steps in an environment of their own."""

from __future__ import annotations

import contextlib
import fnmatch
import json
import os
import re
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alfnet.detection.detector import Detector, default_weights
from alfnet.images import encode_png
from alfnet.serve.finder import OnnxFinder
from tests.tiny import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text()
WEIGHTS = ROOT / "weights" / "photos.onnx"
BASE_MEGABYTES = 130
"""python:3.11-slim-bookworm, unpacked, rounded up."""
HEAVY = {"torch", "torchvision", "onnx", "openvino", "ncnn", "nncf", "av", "scipy", "dvc", "pandas", "matplotlib"}


def locked(name: str) -> dict[str, str]:
    """Per package of a lock file its version and hashes."""
    entries = re.split(r"\n(?=[A-Za-z0-9])", (ROOT / name).read_text())
    found = (re.match(r"([a-z0-9-]+)(?:\[[a-z,]+\])?==(\S+)", entry) for entry in entries)
    return {
        match[1]: f"{match[2]} {sorted(re.findall(r'sha256:[0-9a-f]{64}', entry))}"
        for match, entry in zip(found, entries, strict=True)
        if match
    }


def test_the_images_packages_are_those_of_the_environment() -> None:
    image, environment = locked("serve.lock"), locked("requirements.lock")
    assert {name: environment.get(name) for name in image} == image
    assert not HEAVY & set(image)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["serve"]]
    names = {re.sub(r"[._]", "-", re.split(r"[<>=\[]", each)[0]) for each in wanted}
    assert names <= set(image)


def copied() -> list[str]:
    """What the image's build takes from the project."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
    return [name for line in lines for name in line.split()[:-1]]


def test_what_is_copied_is_there_and_nothing_else_is_sent() -> None:
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    allowed = {line.removeprefix("!") for line in rules if line.startswith("!")}
    assert rules[0] == "*"
    assert set(copied()) == allowed
    assert all((ROOT / name).exists() for name in copied())
    assert any(fnmatch.fnmatch("alfnet/__pycache__", rule) for rule in rules)


def test_it_runs_as_nobody_and_says_whether_it_lives() -> None:
    last = DOCKERFILE.rpartition("\nFROM ")[2]
    user = re.search(r"^USER (\d+):(\d+)$", last, re.MULTILINE)
    assert user is not None
    assert int(user[1]) > 0
    assert "HEALTHCHECK" in last
    entry = json.loads(re.search(r"^ENTRYPOINT (\[.+\])$", last, re.MULTILINE)[1])  # type: ignore[index]
    assert entry[:2] == ["alfnet", "serve"]
    place = entry[entry.index("--weights") + 1]
    assert f"COPY weights/photos.onnx {place}" in last


def test_the_shipped_file_finds_what_the_weights_find() -> None:
    rng = np.random.default_rng(0)
    finder = OnnxFinder(WEIGHTS, device="cpu", threads=1)
    detector = Detector.load(default_weights(), device="cpu")
    assert finder.frame == detector.frame
    for height, width in ((256, 512), (700, 500)):
        coarse = rng.integers(0, 256, (height // 20, width // 20, 3), dtype=np.uint8)
        image = np.kron(coarse, np.ones((20, 20, 1), np.uint8))
        found, expected = finder(image), detector(image, bgr=True)
        assert len(expected) == len(found)
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.05)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-4)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build stage's commands, run on the files that it copies; the environment that they make."""
    folder = tmp_path_factory.mktemp("image")
    for name in copied():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(["cp", "-r", str(ROOT / name), str(folder / name)], check=True)
    stage = DOCKERFILE.partition("\nFROM ")[2].partition("\nFROM ")[0].replace("\\\n", "")
    commands = re.findall(r"^RUN (.+)$", stage, re.MULTILINE)
    assert len(commands) == 2
    outside = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    for command in commands:
        here = command.replace("/opt/alfnet", str(folder / "opt")).replace(
            "python -m venv", f"{sys.executable} -m venv"
        )
        subprocess.run(["bash", "-ec", here], cwd=folder, env=outside, check=True)
    return folder / "opt"


@pytest.fixture
def served(built: Path, tmp_path: Path) -> Iterator[str]:
    """The image's own command, on a free port; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    entry = json.loads(re.search(r"^ENTRYPOINT (\[.+\])$", DOCKERFILE, re.MULTILINE)[1])  # type: ignore[index]
    command = [str(built / "bin" / entry[0]), *entry[1:], "--port", str(port), "--host", "127.0.0.1"]
    command[command.index("--weights") + 1] = str(WEIGHTS)
    process = subprocess.Popen(command, cwd=tmp_path, env={"PATH": str(built / "bin")})
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.fresh
def test_its_steps_make_a_small_environment_that_serves(built: Path, served: str) -> None:
    size = sum(path.lstat().st_size for path in built.rglob("*") if not path.is_dir()) / 1e6
    print(f"{size:.0f} MB installed")
    assert size + BASE_MEGABYTES + WEIGHTS.stat().st_size / 1e6 < 1000
    packages = {path.name.lower() for path in (built / "lib/python3.11/site-packages").iterdir()}
    assert not HEAVY & packages
    assert "pip" not in packages
    with urllib.request.urlopen(f"{served}/health", timeout=30) as answer:
        health = json.load(answer)
    assert (health["status"], health["model"]) == ("ok", "photos.onnx")
    assert health["trained_on"]["data_set"]
    picture = encode_png(np.full((300, 500, 3), 90, np.uint8))
    with urllib.request.urlopen(urllib.request.Request(f"{served}/detect", picture), timeout=60) as answer:
        assert json.load(answer)["images"] == [{"id": 1, "width": 500, "height": 300}]
    check = re.search(r'CMD \["python", "-c", "(.+)"\]', DOCKERFILE)
    assert check is not None
    code = check[1].replace("http://127.0.0.1:8000", served)
    assert subprocess.run([str(built / "bin/python"), "-c", code], check=False).returncode == 0
