"""The training loop: accumulation, schedules, resuming, and losses that go astray."""

from __future__ import annotations

import shutil
import traceback
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from lightning_fabric.loggers.logger import Logger
from torch.utils._python_dispatch import TorchDispatchMode

from alfnet.annotations.cache import CachedImage
from alfnet.boxes import targets
from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet
from alfnet.network.settings import NetworkSettings
from alfnet.params import MachineSettings, TrainSettings
from alfnet.profiles import load_profile
from alfnet.training.batch_losses import BatchLosses
from alfnet.training.checkpoints import Checkpoints
from alfnet.training.samples import TrainingSamples, loader
from alfnet.training.schedule import learning_rate_schedule, make_optimizer
from alfnet.training.state import RunState
from alfnet.training.train import train, training_fabric, update_batches
from alfnet.training.weight_average import WeightAverage

pytestmark = pytest.mark.training

THRESHOLDS = load_profile("mini").train.targets.thresholds


def settings(**changes) -> TrainSettings:
    values = load_profile("mini").train.model_dump()
    values["augment"] |= {"height": 64, "width": 128}
    values |= {"updates": 6, "batch": 2, "images_per_device": 2, "log_every": 2}
    return TrainSettings.model_validate(values | changes)


def machine(**changes) -> MachineSettings:
    values = load_profile("mini").machine.model_dump() | {"checkpoint_every": 2}
    return MachineSettings.model_validate(values | changes)


def network(steps: int = 2, **changes) -> ALFNet:
    values: dict[str, Any] = {
        "backbone": "mobilenet",
        "steps": steps,
        "backbone_width": 0.1,
        "head_width": 0.05,
        "batch_norm": "trained",
        "batch_norm_momentum": 0.1,
        "freeze": False,
        "anchors": load_profile("mini").head.anchors,
    }
    model = ALFNet(NetworkSettings(**(values | changes)))
    model.initialise(np.random.default_rng(3))
    return model


def noisy_pictures(folder: Path | None) -> list[CachedImage]:
    """Five noisy pictures with a bright bar for a pedestrian, one of them with two and an ignore region.

    Written to `folder` if one is given.
    """
    rng = np.random.default_rng(0)
    cached = []
    for index in range(5):
        picture = rng.integers(0, 90, (128, 256, 3), dtype=np.uint8)
        boxes = [[20.0 + 30 * index, 30.0, 45.0 + 30 * index, 92.0]]
        if index == 4:
            boxes.append([50.0, 40.0, 74.0, 100.0])
        for x1, y1, x2, y2 in boxes:
            picture[int(y1) : int(y2), int(x1) : int(x2)] = 230
        if folder is not None:
            cv2.imwrite(str(folder / f"{index}.png"), picture)
        pedestrians = np.array(boxes, np.float32)
        ignore = np.array([[200, 20, 240, 100]] if index == 4 else np.zeros((0, 4)), np.float32)
        cached.append(CachedImage(index + 1, f"{index}.png", 128, 256, pedestrians, pedestrians, ignore))
    return cached


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> tuple[list[CachedImage], Path]:
    """Pictures on disk, and what is on them."""
    folder = tmp_path_factory.mktemp("images")
    return noisy_pictures(folder), folder


def samples(images, train_settings: TrainSettings) -> TrainingSamples:
    cached, folder = images
    return TrainingSamples(cached, folder, train_settings.augment, seed=1, cache_bytes=2**20)


class Recorder(Logger):
    """Keeps what is logged."""

    name, version = "recorder", 0

    def __init__(self) -> None:
        self.logged: list[tuple[int, dict[str, float]]] = []

    def log_metrics(self, metrics, step=None) -> None:
        self.logged.append((step, dict(metrics)))

    def log_hyperparams(self, params) -> None:
        pass


def run(
    images,
    folder: Path,
    train_settings: TrainSettings,
    *,
    steps: int = 2,
    stop_after: int | None = None,
    workers: int = 0,
):
    """Train; return (state of the tested network, log)."""
    recorder = Recorder()

    def on_update(state: RunState) -> None:
        if state.update == stop_after:
            raise KeyboardInterrupt

    model = train(
        network(steps),
        samples(images, train_settings),
        train_settings,
        THRESHOLDS[str(steps)],
        machine(workers=workers),
        fabric=training_fabric(train_settings, machine(), loggers=[recorder]),
        checkpoints=Checkpoints(folder, "x", "0" * 64),
        on_update=on_update,
    )
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}, recorder.logged


def assert_same(one, other) -> None:
    assert one[1] == other[1]
    assert one[0].keys() == other[0].keys()
    for name, tensor in one[0].items():
        assert torch.equal(tensor, other[0][name]), name


def test_loss_falls(images, tmp_path):
    rate = constant_rate() | {"peak": 5e-3}
    _, logged = run(images, tmp_path, settings(updates=20, log_every=5, learning_rate=rate))
    assert logged[-1][1]["loss"] < 0.8 * logged[0][1]["loss"]
    assert [update for update, _ in logged] == [5, 10, 15, 20]
    assert set(logged[0][1]) == {
        "loss", "step1_classification", "step1_regression", "step2_classification", "step2_regression"
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "workers"),
    [
        ({}, 0),
        ({"steps": "alternating", "weight_average": 0.9, "updates": 4}, 0),
        pytest.param({}, 1, marks=pytest.mark.slow),
    ],
)
def test_interrupted_run_ends_with_the_same_bytes(images, tmp_path, changes, workers):
    train_settings = settings(**changes)
    whole = run(images, tmp_path / "whole", train_settings, workers=workers)
    with pytest.raises(KeyboardInterrupt):
        run(images, tmp_path / "broken", train_settings, stop_after=3, workers=workers)
    assert_same(run(images, tmp_path / "broken", train_settings, workers=workers), whole)


def gradients(model: ALFNet, batch, train_settings: TrainSettings, steps: list[int], precision: str = "32-true"):
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    losses = BatchLosses(fabric.setup(model), train_settings, THRESHOLDS["2"], fabric).backward(batch, steps)
    return {name: float(value) for name, value in losses.items()}, {
        name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None
    }


def accumulated(images, steps: list[int], precision: str):
    """Losses and gradients of one batch of 4, and of the same in four parts, with fixed batch normalisation."""
    train_settings = settings(batch=4, images_per_device=4)
    source = samples(images, train_settings)
    for images_per_device in (4, 1):
        parts = list(loader(source, first_update=0, updates=1, batch=4, images_per_device=images_per_device, workers=0))
        assert len(parts) == 4 // images_per_device
        yield gradients(network(batch_norm="fixed").train(), parts, train_settings, steps, precision)


def whole_gradient(parts: dict[str, torch.Tensor]) -> torch.Tensor:
    return torch.cat([parts[name].double().flatten() for name in sorted(parts)])


@pytest.mark.parametrize("steps", [[1, 2], [1], [2]])
def test_accumulated_gradients_equal_the_big_batch(images, steps):
    (losses, whole), (accumulated_losses, parts) = accumulated(images, steps, "64-true")
    assert losses == pytest.approx(accumulated_losses, rel=1e-6)  # Fabric hands out single precision
    assert whole.keys() == parts.keys()
    for name, gradient in whole.items():
        assert (gradient - parts[name]).abs().max() <= 1e-12 * gradient.abs().max(), name

    exact = whole_gradient(whole)
    (losses, whole), (accumulated_losses, parts) = accumulated(images, steps, "32-true")
    assert losses == pytest.approx(accumulated_losses, rel=1e-6)
    big, sum_of_parts = whole_gradient(whole), whole_gradient(parts)
    assert (big - sum_of_parts).abs().max() <= 1e-6
    # What is left are the roundings of single precision: the big batch is as far from the exact gradient.
    assert (big - sum_of_parts).norm() <= 2e-6 * big.norm()
    assert (sum_of_parts - exact).norm() <= 1.5 * (big - exact).norm()


def test_accumulation_shows_trained_batch_norm_each_image_once(images):
    train_settings = settings(batch=2, images_per_device=1)
    small = list(
        loader(samples(images, train_settings), first_update=0, updates=1, batch=2, images_per_device=1, workers=0)
    )
    model, reference = network().train(), network().train()
    gradients(model, small, train_settings, [1, 2])
    for micro in small:
        gradients(reference, [micro], replace_batch(train_settings), [1, 2])
    for name, buffer in model.named_buffers():
        assert torch.equal(buffer, dict(reference.named_buffers())[name]), name


def replace_batch(train_settings: TrainSettings) -> TrainSettings:
    return train_settings.model_copy(update={"batch": 1})


def test_alternating_makes_one_update_per_step_from_the_updated_boxes(images, tmp_path):
    """One alternating update equals two updates by hand, the second on boxes of the weights that the first left."""
    train_settings = settings(updates=1, steps="alternating", learning_rate=constant_rate())
    tested, _ = run(images, tmp_path, train_settings)
    model = network().train()
    fabric = training_fabric(train_settings, machine())
    optimizer = make_optimizer(model.parameters(), train_settings)
    module, optimizer = fabric.setup(model.to(memory_format=torch.channels_last), optimizer)
    by_hand = BatchLosses(module, train_settings, THRESHOLDS["2"], fabric)
    batch = list(
        loader(samples(images, train_settings), first_update=0, updates=1, batch=2, images_per_device=2, workers=0)
    )
    for step in (1, 2):
        by_hand.backward(batch, [step])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, tested[name]), name


def constant_rate() -> dict:
    return {"peak": 1e-3, "schedule": "constant", "drop_at": 1.0, "drop_factor": 1.0}


def test_frozen_and_fixed_parts_do_not_move(images, tmp_path):
    train_settings = settings(updates=3)
    model = network(freeze=True)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    train(
        model, samples(images, train_settings), train_settings, THRESHOLDS["2"], machine(),
        fabric=training_fabric(train_settings, machine()),
        checkpoints=Checkpoints(tmp_path, "x", "0" * 64),
    )  # fmt: skip
    moved = {name for name, tensor in model.state_dict().items() if not torch.equal(tensor, before[name])}
    frozen = {name for name in before if name.startswith(("backbone.stem.", "backbone.blocks.0."))}
    assert frozen
    assert not moved & frozen
    assert any(name.startswith("backbone.blocks.5.") for name in moved)


def test_loss_that_is_not_finite_stops_the_run(images, tmp_path):
    with pytest.raises(AlfnetError, match=r"not finite at update 2 \(step 1: classification .*images [0-4]\.png"):
        run(images, tmp_path, settings(learning_rate=constant_rate() | {"peak": 1e30}))


def test_learning_rate_schedules():
    from alfnet.params import LearningRateSettings

    def rates(**values) -> list[float]:
        optimizer = torch.optim.AdamW([torch.zeros(1, requires_grad=True)], 1e-4)
        schedule = learning_rate_schedule(optimizer, LearningRateSettings(**values), 9)
        found = []
        for _ in range(9):
            found.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return found

    assert rates(peak=1e-4, schedule="constant", drop_at=1.0, drop_factor=1.0) == [1e-4] * 9
    dropped = rates(peak=1e-4, schedule="drop", drop_at=2 / 3, drop_factor=0.1)
    assert dropped == pytest.approx([1e-4] * 6 + [1e-5] * 3)
    cycle = rates(peak=1e-4, schedule="one_cycle", drop_at=1.0, drop_factor=1.0)
    assert max(cycle) <= 1e-4
    assert cycle[0] == pytest.approx(4e-6)
    assert cycle.index(max(cycle)) in (2, 3)


def test_weight_average_is_the_formula():
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2)).double()
    average = WeightAverage(model, 0.9)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    generator = torch.Generator().manual_seed(0)
    for _ in range(4):
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point():
                    tensor += torch.rand(tensor.shape, generator=generator, dtype=tensor.dtype)
                else:
                    tensor += 1
        average.update(model)
        for name, tensor in model.state_dict().items():
            if tensor.is_floating_point():
                expected[name] = 0.9 * expected[name] + (1 - 0.9) * tensor
            else:
                expected[name] = tensor.clone()
    for name, tensor in average.model.state_dict().items():
        assert torch.allclose(tensor, expected[name]), name
    assert not any(parameter.requires_grad for parameter in average.model.parameters())


def test_the_average_is_what_is_returned(images, tmp_path):
    raw = run(images, tmp_path / "raw", settings())
    averaged = run(images, tmp_path / "averaged", settings(weight_average=0.9))
    assert raw[1] == averaged[1]  # the same training
    assert any(not torch.equal(tensor, averaged[0][name]) for name, tensor in raw[0].items())


def test_bfloat16_trains(images, tmp_path):
    state, logged = run(images, tmp_path, settings(precision="bf16-mixed", updates=2))
    assert all(np.isfinite(value) for _, losses in logged for value in losses.values())
    assert all(tensor.dtype == torch.float32 for tensor in state.values())


@pytest.mark.parametrize("changes", [{"tf32": True}, {"channels_last": False}])
def test_switches_of_speed_train_alike(images, tmp_path, changes: dict[str, Any]):
    """On a CPU they change the order of the maps in memory at most."""
    plain, other = (run(images, tmp_path / str(c), settings(updates=2, **c)) for c in ({}, changes))
    for name, value in plain[1][0][1].items():
        assert other[1][0][1][name] == pytest.approx(value, rel=1e-3)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False


@pytest.mark.slow
def test_compiled_network_trains_as_the_plain_one(images, tmp_path):
    if shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    plain, compiled = (run(images, tmp_path / str(c), settings(updates=2, compile=c)) for c in (False, True))
    assert plain[0].keys() == compiled[0].keys()
    # Batch normalisation over the 16 values of the coarsest map amplifies rounding: 0.0004 of step 1's losses on one machine,
    # 0.0015 of step 2's, where anchors near a threshold change sides.
    for name, value in plain[1][0][1].items():
        assert compiled[1][0][1][name] == pytest.approx(value, rel=1e-3 if "step1" in name else 5e-3), name


class Counter(TorchDispatchMode):
    """Counts the operations that make a GPU's program wait: numbers fetched, and constants copied from the host.

    Left out are the two places where a CPU, for which nothing waits, picks the positives out; what a GPU does there has a
    test of its own (test_boxes_targets.py::test_no_size_depends_on_the_boxes_on_a_device).
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        name = str(function)
        if any(part in name for part in ("_local_scalar_dense", "is_nonzero", "nonzero", "lift_fresh", "aten.item")):
            self.waits.append(name)
            stack = traceback.extract_stack()
            if any(frame.filename == targets.__file__ and frame.name in ("_matched", "_offsets") for frame in stack):
                self.waits.pop()
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("micro_batches", [1, 2])
def test_an_update_waits_for_nothing_on_the_device(images, micro_batches):
    train_settings = settings(images_per_device=2 // micro_batches)
    fabric = training_fabric(train_settings, machine())
    model = network().train()
    module, optimizer = fabric.setup(model, make_optimizer(model.parameters(), train_settings))
    losses = BatchLosses(module, train_settings, THRESHOLDS["2"], fabric)
    schedule = learning_rate_schedule(optimizer, train_settings.learning_rate, 6)
    average = WeightAverage(model, 0.9)
    batches = list(update_batches(samples(images, train_settings), train_settings, machine(), fabric, first_update=0))
    state = RunState()
    for batch in batches[:2]:
        with Counter() as counter:
            found = losses.backward(batch, [1, 2])
            optimizer.step()
            optimizer.zero_grad()
            average.update(module.module)
            schedule.step()
            state.advance(found, batch)
    assert counter.waits == []  # the first update makes the constants, which are kept
    with Counter() as counter:
        state.collect(fabric)
    assert len(counter.waits) <= 1


def test_a_nan_is_found_late_and_named_rightly(images, tmp_path):
    """Losses are looked at when they are logged; the update and its images are those that went wrong."""
    rate = constant_rate() | {"peak": 1e30}
    with pytest.raises(AlfnetError, match=r"not finite at update 2 \(step 1: .*images [0-4]\.png, [0-4]\.png"):
        run(images, tmp_path, settings(updates=6, log_every=6, learning_rate=rate))
    checkpoints = Checkpoints(tmp_path, "x", "0" * 64)
    assert checkpoints.newest() == 0


@pytest.mark.parametrize(
    ("processes", "remedy"), [(2, "set it to 2 or to a divisor of that"), (3, "start as many processes as divide it")]
)
def test_processes_that_cannot_part_the_batch_are_refused(monkeypatch, processes: int, remedy: str) -> None:
    """torchrun brings a number of its own, which the check of the parameters does not see."""
    fabric = SimpleNamespace(strategy=None, world_size=processes, launch=lambda: None)
    monkeypatch.setattr("alfnet.training.train.make_fabric", lambda *_, **options: fabric)
    with pytest.raises(
        AlfnetError, match=f"images_per_device: {processes} processes of 4 images each.* batch of 4 .*{remedy}"
    ):
        training_fabric(settings(batch=4, images_per_device=4), machine())
