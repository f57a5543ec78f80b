"""`make gpu`: what it would say of a GPU, tried with the CPU in the GPU's place."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from alfnet.network.alfnet import PredictorBlock
from tools.gpu import __main__ as command
from tools.gpu import agreement, training
from tools.gpu.material import (
    TINY,
    Training,
    distance,
    largest,
    make_batch,
    make_network,
    state_on_cpu,
    train_settings,
)
from tools.gpu.report import Report
from tools.gpu.rounding import add_rounding

CPU = torch.device("cpu")


def run(tmp_path: Path, *sections: str) -> tuple[int, str]:
    """The exit code, and the table that is written."""
    out = tmp_path / "gpu.md"
    code = command.main(["--device", "cpu", "--quick", "--out", str(out), "--only", *sections])
    return code, out.read_text()


@pytest.mark.long
@pytest.mark.training
def test_equal_sets_and_agreement_pass(tmp_path: Path) -> None:
    code, table = run(tmp_path, "sets", "agreement")
    assert code == 0, table
    lines = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[1:] for line in table.splitlines() if " | " in line
    }
    strict = [what for what, cells in lines.items() if "float64" in what and "passed" in cells[-1]]
    assert len(strict) == 2 * 5
    # The same processor in float32 gives the same numbers; rounded to bfloat16 it does not.
    assert lines["resnet50, 2 steps, float32: gradients of the backbone"][0] == "0"
    assert float(lines["resnet50, 2 steps, bf16-mixed: predictions"][0]) > 1e-3
    assert "the CPU's own by rounding" in lines["mobilenet, 2 steps, float32: gradients of the heads"][1]


# Equal to the CPU, and told from it.
OTHER = torch.device("cpu:0")


def failures(
    monkeypatch: pytest.MonkeyPatch,
    backbone: str,
    on_device: Callable[[Training], None],
    *precisions: agreement.Precision,
) -> tuple[set[str], set[str]]:
    """The checks in float64 and `precisions` that fail, and those that pass, on a device whose trainings are changed."""
    true = agreement._training

    def training_on(backbone: str, sizes: Any, settings: Any, device: torch.device, rounding: Any) -> Training:
        made = true(backbone, sizes, settings, device, rounding)
        if device == OTHER:
            on_device(made)
        return made

    monkeypatch.setattr(agreement, "_training", training_on)
    report = Report(None, "", seconds=60)
    agreement._check_backbone(report, backbone, TINY, OTHER, precisions)
    found: dict[str, set[str]] = {"FAILED": set(), "passed": set()}
    for what, _, _, outcome in report.lines:
        found.setdefault(outcome, set()).add(what.partition(", 2 steps, ")[2].partition(" (")[0])
    return found["FAILED"], found["passed"]


@pytest.mark.training
@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_another_order_of_sums_passes(monkeypatch: pytest.MonkeyPatch, backbone: str) -> None:
    """Honest rounding: errors of the precision's size, others than those by which the limits are measured."""

    def rounds(training: Training) -> None:
        network = training.network.module
        double = next(network.parameters()).dtype == torch.float64
        add_rounding(network, 2.0**-52 if double else 2.0**-23, seed=7)
        for module in network.modules():  # the losses themselves are computed in float32
            if isinstance(module, PredictorBlock):
                module.register_forward_hook(round_gradients)

    def round_gradients(module: object, inputs: object, outputs: tuple[torch.Tensor, ...]) -> None:
        for output in outputs:
            if output.requires_grad:
                output.register_hook(lambda gradient: gradient * (1 + 2.0**-23 * torch.randn_like(gradient)))

    failed, passed = failures(monkeypatch, backbone, rounds, agreement.PRECISIONS[0])
    assert not failed
    updates = f"{TINY.updates} updates, losses"
    assert {f"float64: {updates}", f"float32: {updates}", "float32: gradients of the backbone"} <= passed


@pytest.mark.training
def test_a_gradient_of_the_wrong_scale_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one layer of many, by a hundredth; Adam, which divides by the size of gradients, would not show it."""

    def scales(training: Training) -> None:
        training.network.module.steps[1][0].logits.weight.register_hook(lambda gradient: gradient * 1.01)

    failed, _ = failures(monkeypatch, "mobilenet", scales)
    assert [what for what in failed if what.startswith("float64: gradients, the worst of")]


@pytest.mark.training
def test_targets_that_are_off_in_one_step_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the second step's boxes should move, by a hundredth of a standard deviation, in the updates alone."""

    def moves(training: Training) -> None:
        true = training.losses._targets

        def targets(predictions: Any, batch: Any, steps: Any) -> dict[int, Any]:
            found = true(predictions, batch, steps)
            moved = found[2].offsets + 0.01 * found[2].positive[..., None]
            return {**found, 2: dataclasses.replace(found[2], offsets=moved)}

        monkeypatch.setattr(training.losses, "_targets", targets)

    failed, passed = failures(monkeypatch, "mobilenet", moves)
    updates = f"{TINY.updates} updates, losses"
    assert f"float64: {updates}" in failed
    assert "float64: loss" in passed  # of one pass, on given targets


@pytest.mark.training
def test_a_device_that_computes_otherwise_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """One layer's weights are off by a ten-thousandth."""

    def off(training: Training) -> None:
        with torch.no_grad():
            training.network.module.p3.weight.mul_(1.0001)

    failed, _ = failures(monkeypatch, "resnet50", off)
    assert {"float64: predictions", "float64: loss"} <= failed


def test_boxes_that_differ_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    true, calls = agreement.select, []

    def select(boxes: torch.Tensor, *rest: torch.Tensor, **values: Any) -> object:
        calls.append(boxes)
        found = true(boxes, *rest, **values)
        return (
            found
            if len(calls) % 2
            else found._replace(boxes=found.boxes + (torch.arange(len(found.boxes)) == 0)[:, None])
        )

    monkeypatch.setattr(agreement, "select", select)
    report = Report(None, "", seconds=60)
    agreement.check_sets(report, TINY, CPU)
    (line,) = [line for line in report.lines if "NMS" in line[0]]
    assert line[1:] == ("8", "at most 0", "FAILED")  # in each of four images one that is missing and one too many


@pytest.mark.training
def test_speeds_and_estimate(tmp_path: Path) -> None:
    code, table = run(tmp_path, "updates", "detection", "whole", "memory")
    assert code == 0, table
    assert table.count("updates per second, resnet50, 2 steps, batch 2 at 64 x 128") == 6
    assert "| seconds per image of 128 x 256, resnet50, 3 steps | float32 " in table
    assert "| estimate: 10 variants x 3 seeds x 15,000 updates, bf16-mixed | " in table
    assert "| no GPU |  | not checked |" in table


def test_the_estimate_counts_every_variant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tenth of a second per update: 10 x 3 x 15,000 of them take 12.5 hours."""
    from tools.gpu import speed

    monkeypatch.setattr(speed, "seconds_each", lambda *_: 0.1)
    report = Report(None, "", seconds=60)
    speed.measure_whole(report, TINY, CPU)
    assert [line[1] for line in report.lines if "estimate" in line[0]] == ["12.5 hours on one such device"] * 2


@pytest.mark.training
def test_resume_passes_and_a_lost_checkpoint_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    report = Report(None, "", seconds=60)
    training.check_resume(report, TINY, CPU)
    monkeypatch.setattr(training.Checkpoints, "load", lambda self, fabric, state, updates: False)
    true = training.make_network
    calls = []

    def another(*kind: Any) -> torch.nn.Module:
        calls.append(kind)
        network = true(*kind)
        if len(calls) == 3:  # who resumes without the checkpoint has other weights
            with torch.no_grad():
                network.p3.weight.mul_(1.01)
        return network

    monkeypatch.setattr(training, "make_network", another)
    training.check_resume(report, TINY, CPU)
    assert [outcome for *_, outcome in report.lines] == ["passed", "FAILED"]


@pytest.mark.slow
def test_two_processes_loaders_and_compilation(tmp_path: Path) -> None:
    code, table = run(tmp_path, "devices", "waiting", "compile")
    assert code == 0, table
    line = next(line for line in table.splitlines() if line.startswith("| two devices equal one, float64: 6 updates,"))
    assert float(line.split(" | ")[1]) < 1e-6, "far below the limit, where nothing is wrong"
    assert table.count("share of time lost to waiting for data, 1 processes load") == 2
    assert "| torch.compile, mobilenet, 2 steps, float32: losses of 5 updates | " in table


@pytest.mark.training
def test_a_device_that_keeps_its_gradients_to_itself_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two devices that train on their own half of the batch each, as where gradients are not put together."""

    def alone(sizes: Any, device: torch.device, folder: Path, number: int, first: Any) -> dict[str, torch.Tensor]:
        folder.mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(training, "BATCH", 4 // number)
            return training.small_training(sizes, device, folder, changes=agreement.IN_DOUBLE, first=first)

    monkeypatch.setattr(training, "processes_end", alone)
    report = Report(None, "", seconds=60)
    training.check_devices(report, TINY, CPU)
    ((what, _, limit, outcome),) = report.lines
    assert (what, limit) == ("two devices equal one, float64: 6 updates, change of weights", "at most 0.01")
    assert outcome == "FAILED"


def test_what_raises_is_a_line_and_the_rest_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(report: Report, sizes: object, device: object) -> None:
        report.check("first", 0.0, 1.0)
        assert "| first |" in (tmp_path / "gpu.md").read_text()  # on disk before the section is through
        raise RuntimeError("CUDA error: a | b\nmore of it")

    monkeypatch.setitem(command.SECTIONS, "devices", broken)
    code, table = run(tmp_path, "devices", "memory")
    assert code == 1
    assert "| section devices | RuntimeError: CUDA error: a / b | no error | FAILED |" in table
    assert "| section memory: time |" in table


def test_no_section_begins_when_the_time_is_spent(tmp_path: Path) -> None:
    out = tmp_path / "gpu.md"
    assert command.main(["--device", "cpu", "--quick", "--out", str(out), "--seconds", "0", "--only", "sets"]) == 0
    assert "| section sets | 0 s were spent; more with --seconds |  | not checked |" in out.read_text()


def test_limits() -> None:
    report = Report(None, "", seconds=60)
    for value in (1.0, 1.5, float("nan")):
        report.check("x", value, 1.0)
    report.check("y", 5.0, None)
    report.check("y", float("inf"), None)
    assert [outcome for *_, outcome in report.lines] == ["passed", "FAILED", "FAILED", "", "FAILED"]
    assert report.failed


def test_limits_by_what_rounding_does() -> None:
    report = Report(None, "", seconds=60)
    for value, spread in ((0.04, 0.01), (0.05, 0.01), (float("nan"), 0.01), (5.0, 0.3)):
        report.check_spread("x", value, spread, 4)
    assert [outcome for *_, outcome in report.lines] == ["passed", "FAILED", "FAILED", ""]
    assert report.lines[0][2] == "at most 4 x 0.01, the CPU's own by rounding"
    for value, spread in ((float("nan"), 0.3), (0.01, float("inf")), (0.01, float("nan"))):
        report.check_spread("x", value, spread, 4)
    assert [outcome for *_, outcome in report.lines][4:] == ["FAILED"] * 3


def test_no_number_is_passed_over_that_is_none() -> None:
    nan = float("nan")
    for values in ([1.0, nan], [nan, 1.0], [torch.ones(3), torch.tensor([2.0, nan])]):
        assert not largest(values) <= 1e9
    assert largest([1.0, torch.tensor([[2.0, 3.0]])]) == 3
    assert distance([torch.tensor([nan])], [torch.zeros(1)]) > 0
    assert distance([torch.zeros(1)], [torch.zeros(1)]) == 0


def test_weights_that_are_no_numbers_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    """In all tensors but the first."""
    state = {"first": torch.ones(2), "second": torch.full((2,), float("nan"))}

    def small_training(*_: Any, stop_after: int | None = None) -> dict[str, torch.Tensor]:
        if stop_after is not None:
            raise training.Stopped
        return state

    monkeypatch.setattr(training, "small_training", small_training)
    report = Report(None, "", seconds=60)
    training.check_resume(report, TINY, CPU)
    assert report.lines[0][1:] == ("nan", "a finite number", "FAILED")


def test_rounding_stays_within_its_limit_and_differs_by_seed() -> None:
    images = torch.ones(1, 3, 8, 8, requires_grad=True)
    layers = [torch.nn.Conv2d(3, 1, 1, bias=False).double() for _ in range(3)]
    for layer in layers:
        torch.nn.init.ones_(layer.weight)
    for layer, seed in zip(layers, (1, 1, 2), strict=True):
        add_rounding(layer, 2.0**-8, seed)
    one, again, other = (layer(images.double()) for layer in layers)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert 0 < float((one / 3 - 1).abs().max()) < 2 * 2.0**-8 + 2.0**-16
    one.sum().backward()
    assert 0 < float((images.grad - 1).abs().max()) < 2 * 2.0**-8 + 2.0**-16


def test_the_first_weights_train_the_whole_backbone() -> None:
    """No gradient vanishes, as it would with the neutral batch normalisation of random weights."""
    made = make_network("resnet50", 2, TINY.width)
    at_work = Training(made, train_settings(TINY.agreement, 2), CPU)
    before = state_on_cpu(made)
    at_work.update([make_batch(2, TINY.agreement)])
    after = state_on_cpu(made)
    parts = [name for name, p in made.named_parameters() if p.requires_grad and name.startswith("backbone.")]
    assert not [name for name in parts if torch.equal(before[name], after[name])]
    assert distance([torch.tensor([3.0, 4.0])], [torch.tensor([3.0, 0.0])]) == pytest.approx(4 / 3)


@pytest.mark.long
def test_it_needs_neither_dvc_nor_a_parameter_file(tmp_path: Path, root: Path) -> None:
    """Nor, by way of what is imported, anything outside the extra `train`."""
    code = (
        "import sys; sys.modules.update(dict.fromkeys(['dvc', 'dvclive', 'pooch', 'scipy', 'pandas', 'matplotlib', 'timm']));"
        "from tools.gpu.__main__ import main; sys.exit(main(['--device', 'cpu', '--quick', '--only', 'sets']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env={"PYTHONPATH": str(root)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "| selection (NMS) among" in (tmp_path / "gpu.md").read_text()
