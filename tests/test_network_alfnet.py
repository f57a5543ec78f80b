from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from alfnet.errors import AlfnetError
from alfnet.network.alfnet import ALFNet, count_parameters, normalise
from alfnet.network.settings import NetworkSettings, network_settings
from alfnet.network.weight_files import read_extra
from alfnet.params import AnchorSettings, load_params

ANCHORS = AnchorSettings(widths=[[16, 24], [32, 48], [64, 80], [128, 160]], ratio=0.41)


def settings(backbone: str = "mobilenet", steps: int = 2, **changes: object) -> NetworkSettings:
    values: dict[str, Any] = {
        "backbone_width": 0.125,
        "head_width": 0.125,
        "batch_norm": "trained",
        "batch_norm_momentum": 0.1,
    }
    values |= {"freeze": False, "anchors": ANCHORS} | changes
    return NetworkSettings(backbone=backbone, steps=steps, **values)


def network(backbone: str = "mobilenet", steps: int = 2, seed: int = 0, **changes: object) -> ALFNet:
    model = ALFNet(settings(backbone, steps, **changes))
    model.initialise(np.random.Generator(np.random.PCG64(seed)))
    return model.eval()


def images(count: int = 1, height: int = 64, width: int = 128, seed: int = 0) -> torch.Tensor:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return normalise(torch.from_numpy(pixels))


@pytest.mark.parametrize(
    ("backbone", "steps", "count"),
    [
        ("resnet50", 1, 39_525_032),
        ("resnet50", 2, 48_383_696),
        ("mobilenet", 1, 12_088_296),
        ("mobilenet", 2, 17_408_016),
    ],
)
def test_parameter_counts_are_the_published_ones(backbone: str, steps: int, count: int) -> None:
    with torch.device("meta"):
        model = ALFNet(settings(backbone, steps, backbone_width=1.0, head_width=1.0))
    assert count_parameters(model) == count


@pytest.mark.parametrize(("height", "width", "boxes"), [(640, 1280, 34_000), (1024, 2048, 87_040)])
def test_number_of_boxes_is_the_published_one(height: int, width: int, boxes: int) -> None:
    with torch.device("meta"):
        model = ALFNet(settings("resnet50", 2, backbone_width=1.0, head_width=1.0))
        outputs = model(torch.empty(1, 3, height, width))
    assert [(tuple(logits.shape), tuple(offsets.shape)) for logits, offsets in outputs] == [
        ((1, boxes), (1, boxes, 4))
    ] * 2


def test_normalise_keeps_the_channel_order_and_subtracts_the_means() -> None:
    pixels = torch.tensor([[[[10, 20, 30], [1, 2, 3]]]], dtype=torch.uint8)  # one row of two pixels
    output = normalise(pixels)
    assert output.shape == (1, 3, 1, 2)
    assert output.dtype == torch.float32
    expected = torch.tensor([10 - 103.939, 20 - 116.779, 30 - 123.68])
    torch.testing.assert_close(output[0, :, 0, 0], expected)


@pytest.mark.parametrize(("level", "y", "x", "anchor"), [(0, 0, 0, 1), (0, 5, 11, 0), (1, 3, 2, 1), (3, 0, 1, 0)])
def test_predictions_are_flattened_by_level_row_column_anchor(level: int, y: int, x: int, anchor: int) -> None:
    """A probe in one cell of one level's map is found at the index of that cell's anchor, and nowhere else."""
    model = network(steps=1)
    height, width = 64, 128
    sizes = [(height // stride, width // stride) for stride in (8, 16, 32, 64)]
    blocks: Any = model.steps[0]
    features = [
        torch.zeros(1, block.conv.in_channels, rows, columns)
        for block, (rows, columns) in zip(blocks, sizes, strict=True)
    ]
    features[level][0, 0, y, x] = 1
    with torch.no_grad():
        for block in blocks:
            for tensor in block.parameters():
                tensor.zero_()
        block = blocks[level]
        block.conv.weight[0, 0, 1, 1] = 1  # hands the probe on from its own cell
        block.logits.weight[anchor, 0] = 7
        for coordinate in range(4):
            block.offsets.weight[4 * anchor + coordinate, 0] = 10 + coordinate
        logits, offsets = model.predict_step(features, 1)
    before = sum(2 * rows * columns for rows, columns in sizes[:level])
    index = before + (y * sizes[level][1] + x) * 2 + anchor
    assert logits[0].nonzero().flatten().tolist() == [index]
    assert float(logits[0, index]) == 7
    assert offsets[0].any(dim=1).nonzero().flatten().tolist() == [index]
    assert offsets[0, index].tolist() == [10, 11, 12, 13]


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_forward_is_features_then_each_step(backbone: str) -> None:
    model = network(backbone, steps=3)
    with torch.no_grad():
        features = model.features(images())
        outputs = model(images())
        assert len(outputs) == 3
        for step, (logits, offsets) in enumerate(outputs, start=1):
            again = model.predict_step(features, step)
            assert torch.equal(logits, again[0])
            assert torch.equal(offsets, again[1])
    assert not torch.equal(outputs[0][1], outputs[1][1])  # nothing is shared between steps


def test_batch_equals_single() -> None:
    model, batch = network(), images(3)
    with torch.no_grad():
        together = model(batch)
        for index in range(3):
            alone = model(batch[index : index + 1])
            for (logits, offsets), (logits1, offsets1) in zip(together, alone, strict=True):
                torch.testing.assert_close(logits[index], logits1[0], atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(offsets[index], offsets1[0], atol=1e-5, rtol=1e-5)


def test_memory_format_does_not_change_the_predictions() -> None:
    model, batch = network("mobilenet"), images(2)
    with torch.no_grad():
        plain = model(batch.contiguous())
        fast = model.to(memory_format=torch.channels_last)(batch.contiguous(memory_format=torch.channels_last))
    for (logits, offsets), (logits1, offsets1) in zip(plain, fast, strict=True):
        torch.testing.assert_close(logits, logits1, atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(offsets, offsets1, atol=1e-4, rtol=1e-4)


def test_initialise_is_seeded_and_starts_every_score_at_one_percent() -> None:
    first, again, other = network(seed=1), network(seed=1), network(seed=2)
    levels: Any = first.steps[1]
    for name, tensor in first.state_dict().items():
        assert torch.equal(tensor, again.state_dict()[name])
    assert not torch.equal(first.p3.weight, other.p3.weight)
    for level in levels:
        torch.testing.assert_close(level.logits.bias.sigmoid(), torch.full((2,), 0.01))
        assert not level.offsets.bias.any()


def test_networks_of_more_steps_start_from_the_same_weights() -> None:
    one, three = network(steps=1).state_dict(), network(steps=3).state_dict()
    assert all(torch.equal(tensor, three[name]) for name, tensor in one.items())


def test_building_draws_no_random_numbers() -> None:
    state = torch.random.get_rng_state()
    network()
    assert torch.equal(state, torch.random.get_rng_state())


def test_every_trained_weight_gets_a_finite_gradient() -> None:
    model = network("resnet50", steps=2).train()
    sum(logits.sum() + offsets.square().sum() for logits, offsets in model(images(2))).backward()
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            assert parameter.grad is not None, name
            assert torch.isfinite(parameter.grad).all(), name


def test_freeze_is_a_setting() -> None:
    model = network(freeze=True)
    assert not model.backbone.stem.conv.weight.requires_grad
    assert model.backbone.blocks[1].depthwise.conv.weight.requires_grad


def test_odd_image_sizes_and_unknown_steps_are_refused() -> None:
    model = network()
    with pytest.raises(AlfnetError, match="multiples of 64, not 64 x 100"):
        model(torch.zeros(1, 3, 64, 100))
    with pytest.raises(AlfnetError, match="steps 1 to 2"):
        model.predict_step(model.features(images()), 3)


@pytest.mark.parametrize("backbone", ["resnet50", "mobilenet"])
def test_saved_detector_needs_nothing_but_its_file(backbone: str, tmp_path: Path) -> None:
    model = network(backbone, steps=3, freeze=True)
    model.save(tmp_path / "a.safetensors", {"profile": "mini", "best": "yes"})
    loaded = ALFNet.load(tmp_path / "a.safetensors")
    assert loaded.settings == model.settings
    assert read_extra(tmp_path / "a.safetensors") == {"profile": "mini", "best": "yes"}
    with torch.no_grad():
        for (logits, offsets), (logits1, offsets1) in zip(model(images()), loaded(images()), strict=True):
            assert torch.equal(logits, logits1)
            assert torch.equal(offsets, offsets1)
    loaded.to(memory_format=torch.channels_last).save(tmp_path / "b.safetensors", {"best": "yes", "profile": "mini"})
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_settings_come_from_the_parameters(root: Path) -> None:
    params = load_params(root / "params.yaml")
    name = next(iter(params.variants))
    found = network_settings(params, name)
    backbone = params.backbones[params.variants[name].backbone]
    assert (found.backbone, found.steps) == (params.variants[name].backbone, params.variants[name].steps)
    assert (found.backbone_width, found.head_width) == (backbone.width, params.head.width)
    assert (found.batch_norm, found.freeze, found.anchors) == (
        backbone.batch_norm,
        backbone.freeze,
        params.head.anchors,
    )
    assert NetworkSettings.model_validate_json(found.model_dump_json()) == found
    with pytest.raises(AlfnetError, match="no such variant"):
        network_settings(params, "resnet50-9s")
