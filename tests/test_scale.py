"""tools/scale: what a command takes, what an update counts, and what follows for all trainings."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import throwaway
from tests.tiny import write_params
from tools.scale import arithmetic
from tools.scale.__main__ import main
from tools.scale.document import WHOLE, _killed, _whole, document
from tools.scale.measure import run


def test_memory_and_time_of_a_command_and_its_processes(tmp_path: Path) -> None:
    code = (
        "import subprocess, sys, time; held = bytearray(60 << 20);"
        "subprocess.run([sys.executable, '-c', 'import time; held = bytearray(80 << 20); time.sleep(1.5)'])"
    )
    cost = run([sys.executable, "-c", code], tmp_path, dict(os.environ), log=tmp_path / "log")
    assert 140 << 20 <= cost.peak < 400 << 20
    assert cost.clock > 1.5 > cost.processor


def test_a_command_is_killed_with_what_it_started(tmp_path: Path) -> None:
    code = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(600)"
    run(
        [sys.executable, "-c", code], tmp_path, dict(os.environ), log=tmp_path / "log", stop=(tmp_path / "begun").exists
    )
    with pytest.raises(subprocess.CalledProcessError):
        run([sys.executable, "-c", "raise SystemExit(3)"], tmp_path, dict(os.environ), log=tmp_path / "log")


def test_operations_grow_with_steps_and_pixels() -> None:
    """More steps cost more; backward costs at most twice what forward does, less where layers are frozen."""
    one, two = (arithmetic.operations(("mobilenet", steps), (64, 128)) for steps in (1, 2))
    assert one.forward < two.forward
    assert 2 * one.forward < one.update < 3 * one.forward  # depthwise convolutions too
    four = arithmetic.operations(("mobilenet", 1), (128, 256))
    assert four.forward == 4 * one.forward


def test_the_longest_training_begins_first() -> None:
    assert arithmetic.schedule([1, 1, 1, 3], 2) == 3
    assert arithmetic.schedule([1, 1, 1, 3], 1) == 6
    assert arithmetic.schedule([1, 1, 1, 3], 30) == 3


def test_the_table_of_a_gpu_and_its_own_sum(root: Path) -> None:
    """The hours that `make gpu` printed follow from the seconds of an update that are read here."""
    gpu = arithmetic.read_gpu(root / "docs" / "gpu.md")
    detection = dict.fromkeys(gpu.detection, 0.0)
    alone = arithmetic.Gpu(gpu.name, gpu.seconds, detection, gpu.memory)
    assert sum(arithmetic.seconds_of_all(alone, "float32")) / 3600 == pytest.approx(61.5, abs=0.1)
    assert sum(arithmetic.seconds_of_all(alone, "bf16-mixed")) / 3600 == pytest.approx(11.0, abs=0.1)
    assert gpu.memory["float32", 20] == 19.0


def test_the_document_tells_what_was_measured_and_what_was_not(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tools.scale.document.operations", lambda *_: arithmetic.Operations(10**12, 3 * 10**12))
    monkeypatch.setattr("tools.scale.document.operations_of_all", lambda: 10**18)
    row = {"what": "rendering", "number": 4, "unit": "image", "clock": 9.0, "processor": 8.0, "peak": 2**30}
    sample = {"train": 3, "val": 1, "updates": {}}
    measured = {"sample": sample, "parts": {"rendering": {"rows": [row], "load": 1.0}}, "sizes": {"images": 4_000_000}}
    text = document(measured, arithmetic.read_gpu(root / "docs" / "gpu.md"), "a machine")
    assert "| rendering | 8.0 s | 9.0 s | 4 images | 2.00 s | 1.00 GiB | 1.0 |" in text
    assert "| rendering, 3,475 images | 115.8 min |" in text  # 3,475 x 2 s / 60
    assert "| resume | not run | | | | | |" in text
    assert "\n- rendering: 115.8 min of processors, shared by two processes\n\nThe other stages" in text
    assert "- detection" not in text
    assert "| rendered images: 3,475 x 1.00 MB | 3.48 GB |" in text or "| 3.47 GB |" in text
    assert "| decoded images: 2,112 x 6,291,456 bytes, once for all trainings | 13.29 GB |" in text


def test_a_bound_of_an_update_is_what_it_took_with_the_start() -> None:
    row = {"unit": "update", "clock": 9.0, "peak": 2**30, "number": 1}
    what = {"start and first update": 80.0, "further updates of 20 images": 100.0}
    rows = [row | {"what": f"training, mobilenet, {each}", "processor": seconds} for each, seconds in what.items()]
    assert _whole({"training": {"rows": rows}}) == [
        f"| one training of mobilenet, 2 steps, 15,000 updates, here | {80 * 15_000 / 86400:.0f} days |"
    ]


def test_what_a_kill_costs_is_said_with_the_figures_of_the_table(root: Path) -> None:
    """The document's own paragraph is what the command writes of the document's own table."""
    text = (root / "docs/scale.md").read_text()
    minutes = {}
    for what in WHOLE:
        (found,) = re.findall(rf"^\| {what}, [\d,]+ images \| ([\d.]+) min \|$", text, re.MULTILINE)
        minutes[what] = float(found)
    wanted = _killed(minutes, arithmetic.read_gpu(root / "docs" / "gpu.md"))
    assert len([line for line in wanted if line.startswith("- ")]) == 3
    assert "\n".join(wanted) in text


def contents(folder: Path) -> dict[Path, bytes]:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.long
@pytest.mark.pipeline
def test_a_killed_rendering_leaves_nothing_half_written(root: Path, tmp_path: Path) -> None:
    """Killed between two images there is no data set; run again it has the bytes of an uninterrupted one."""
    environment = throwaway.environment(root)
    command = [sys.executable, str(root / "stages/dataset.py"), "synthetic"]
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    for folder in (killed, whole):
        folder.mkdir()
        write_params(folder / "params.yaml", synthetic__synthetic__train_images=60)
    unfinished = killed / ".scratch/unfinished"
    run(command, killed, environment, log=tmp_path / "log", stop=lambda: any(unfinished.rglob("*.png")))
    assert any(unfinished.rglob("*.png")), "killed after its end"
    assert not (killed / "data/synthetic").exists()
    for folder in (killed, whole):
        run(command, folder, environment, log=tmp_path / "log")
    assert len(contents(whole / "data")) == 60 + 4 + 2
    assert contents(killed / "data") == contents(whole / "data")
    assert not list(unfinished.iterdir())


@pytest.mark.long
@pytest.mark.pipeline
def test_a_killed_detection_leaves_nothing_half_written(clone: Path) -> None:
    """Killed among the files that it writes, the detections are those of before; run again it has the same bytes."""
    command = [sys.executable, "stages/detect.py", "mobilenet-2s", "1"]
    found, unfinished = clone / "detections/mobilenet-2s/1", clone / ".scratch/unfinished"
    before = contents(found)
    module = clone / "alfnet/detection/run.py"
    code, line = module.read_text(), '        (temporary / "fusion").mkdir(parents=True)\n'
    assert line in code
    module.write_text(code.replace(line, f"{line}        import os\n\n        os.kill(os.getpid(), 9)\n"))
    assert throwaway.run(*command, cwd=clone, check=False).returncode == -9
    assert list(unfinished.glob(".1.tmp-*/fusion"))
    assert contents(found) == before
    module.write_text(code)
    throwaway.run(*command, cwd=clone)
    assert contents(found) == before
    assert not list(unfinished.iterdir())


def test_measurements_are_not_overwritten_by_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CITYPERSONS", raising=False)
    (tmp_path / "scale.md").write_text("measured")
    with pytest.raises(SystemExit):
        main(["--folder", str(tmp_path / "new"), "--out", str(tmp_path / "scale.md")])
    assert "holds nothing to take its place" in capsys.readouterr().err
    assert (tmp_path / "scale.md").read_text() == "measured"


@pytest.mark.long
@pytest.mark.pipeline
def test_parts_run_one_at_a_time(tmp_path: Path) -> None:
    """Without the annotations no part runs, and the rest of the document is there."""
    command = [
        sys.executable,
        "-m",
        "tools.scale",
        "--folder",
        str(tmp_path / "w"),
        "--out",
        str(tmp_path / "scale.md"),
    ]
    environment = {name: value for name, value in os.environ.items() if name != "CITYPERSONS"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "CITYPERSONS names no folder" in done.stderr
    assert "## Operations" in (tmp_path / "scale.md").read_text()
