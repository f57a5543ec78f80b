"""Assignment: the published sets, and a slow second way to compute them on random scenes with ties."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from alfnet.boxes import targets as module
from alfnet.boxes.coding import step_boxes
from alfnet.boxes.targets import BLOCK, BoxLists, Order, Targets, assign

ORDERS: tuple[Order, Order] = ("positives_first", "valid_first")


@pytest.fixture(scope="module")
def scenes(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "alf_targets.npz") as archive:
        return dict(archive)


def _golden_boxes(scenes: dict[str, np.ndarray], step: int) -> Tensor:
    boxes = torch.from_numpy(scenes["anchors_640_1280"])
    for earlier in range(1, step):
        offsets = torch.from_numpy(np.stack([scenes[f"s{n}_r{earlier}"] for n in range(4)]))
        boxes = step_boxes(boxes, offsets, 640, 1280)
    return boxes


@pytest.mark.parametrize(
    ("name", "step", "lower", "upper", "order"),
    [
        ("t1", 1, 0.3, 0.5, "positives_first"),
        ("t2pf", 2, 0.5, 0.7, "positives_first"),
        ("t2", 2, 0.5, 0.7, "valid_first"),
        ("t3", 3, 0.5, 0.75, "valid_first"),
    ],
)
def test_published_targets(
    scenes: dict[str, np.ndarray], name: str, step: int, lower: float, upper: float, order: Order
) -> None:
    """All four scenes in one call: 9, 3, 14 and no ground truths; 2, 0, 4 and 2 ignore regions."""
    ground_truth = [torch.from_numpy(scenes[f"s{n}_gt"]) for n in range(4)]
    ignore = [torch.from_numpy(scenes[f"s{n}_ig"]) for n in range(4)]
    found = assign(_golden_boxes(scenes, step), ground_truth, ignore, lower=lower, upper=upper, order=order)
    for n in range(4):
        positives = scenes[f"s{n}_{name}_pos"]
        assert set(found.positive[n].nonzero()[:, 0].tolist()) == set(positives.tolist())
        negatives = np.unpackbits(scenes[f"s{n}_{name}_neg"])[: found.negative.shape[1]].astype(bool)
        np.testing.assert_array_equal(found.negative[n].numpy(), negatives)
        np.testing.assert_allclose(found.offsets[n, positives].numpy(), scenes[f"s{n}_{name}_reg"], rtol=0, atol=1e-4)
        assert not found.offsets[n, ~found.positive[n]].any()


# A second way, box by box in Python floats.


def _sides(box: list[float]) -> tuple[float, float]:
    return box[2] - box[0] + 1, box[3] - box[1] + 1


def _common(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    return max(width, 0) * max(height, 0)


def _slow_iou(a: list[float], b: list[float]) -> float:
    common = _common(a, b)
    return common / (math.prod(_sides(a)) + math.prod(_sides(b)) - common)


def _slow(
    boxes: list[list[float]],
    ground_truth: list[list[float]],
    ignore: list[list[float]],
    lower: float,
    upper: float,
    order: Order,
) -> tuple[set[int], set[int], dict[int, list[float]]]:
    """Positives, negatives, and the offsets of the positives."""
    covering = {i for i, box in enumerate(boxes) if sum(_common(box, r) / math.prod(_sides(r)) for r in ignore) > 0.5}
    usable = set(range(len(boxes)))
    if order == "valid_first":
        usable -= covering | {i for i, box in enumerate(boxes) if min(_sides(box)) <= 10}
    positives, negatives, offsets = set(), set(), {}
    for i in usable:
        best = max((_slow_iou(boxes[i], g) for g in ground_truth), default=-1)
        if best >= upper:
            positives.add(i)
        if best < lower and i not in covering:
            negatives.add(i)
    for g in ground_truth:
        ranked = sorted((-_slow_iou(boxes[i], g), i) for i in usable)
        touching = [(-value, i) for value, i in ranked if value < 0]
        positives |= {i for value, i in touching[:3]} | {i for value, i in touching if value == touching[0][0]}
    if order == "valid_first":
        negatives = negatives - positives if ground_truth else set()
    for i in positives:
        target = max(ground_truth, key=lambda g: _slow_iou(boxes[i], g))
        (width, height), (target_width, target_height) = _sides(boxes[i]), _sides(target)
        offsets[i] = [
            (target[0] + target_width / 2 - boxes[i][0] - width / 2) / width / 0.1,
            (target[1] + target_height / 2 - boxes[i][1] - height / 2) / height / 0.1,
            math.log(target_width / width) / 0.2,
            math.log(target_height / height) / 0.2,
        ]
    return positives, negatives, offsets


def _random_boxes(random: np.random.Generator, count: int) -> Tensor:
    """Integer corners on a coarse grid, so that many overlaps are exactly equal."""
    corner = random.integers(0, 12, (count, 2)) * 8
    return torch.from_numpy(np.concatenate([corner, corner + random.integers(0, 6, (count, 2)) * 8 + 7], 1)).double()


def _random_batch(seed: int, count: int = 150) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    random = np.random.default_rng(seed)
    boxes = torch.stack([_random_boxes(random, count) for _ in range(4)])
    ground_truth = [_random_boxes(random, number) for number in (4, 0, 1, 7)]
    return boxes, ground_truth, [_random_boxes(random, number) for number in (2, 3, 0, 1)]


def _assign(boxes: Tensor, ground_truth: list[Tensor], ignore: list[Tensor], order: Order) -> Targets:
    return assign(boxes, ground_truth, ignore, lower=0.3, upper=0.5, order=order)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("seed", "count"), [*((seed, 150) for seed in range(5)), (5, 2 * BLOCK), (6, 3 * BLOCK + 7)])
def test_equals_the_slow_way(seed: int, count: int, order: Order) -> None:
    boxes, ground_truth, ignore = _random_batch(seed, count)
    found = _assign(boxes, ground_truth, ignore, order)
    for n in range(4):
        positives, negatives, offsets = _slow(
            boxes[n].tolist(), ground_truth[n].tolist(), ignore[n].tolist(), 0.3, 0.5, order
        )
        assert set(found.positive[n].nonzero()[:, 0].tolist()) == positives
        assert set(found.negative[n].nonzero()[:, 0].tolist()) == negatives
        for i, expected in offsets.items():
            assert found.offsets[n, i].tolist() == pytest.approx(expected, abs=1e-5)


def _same(a: Targets, b: Targets) -> None:
    for name in ("positive", "negative", "offsets", "matched"):
        assert torch.equal(getattr(a, name), getattr(b, name)), name


@pytest.mark.parametrize("order", ORDERS)
def test_batch_equals_single_images(order: Order) -> None:
    boxes, ground_truth, ignore = _random_batch(11)
    together = _assign(boxes, ground_truth, ignore, order)
    for n in range(4):
        single = _assign(boxes[n], [ground_truth[n]], [ignore[n]], order)
        _same(single, Targets(*(getattr(together, name)[n : n + 1] for name in Targets.__dataclass_fields__)))


@pytest.mark.parametrize("order", ORDERS)
def test_parts_of_the_batch_change_nothing(monkeypatch: pytest.MonkeyPatch, order: Order) -> None:
    batch = _random_batch(12)
    whole = _assign(*batch, order)
    monkeypatch.setattr(module, "OVERLAPS_AT_ONCE", {"cpu": 1})
    _same(whole, _assign(*batch, order))


@pytest.mark.parametrize("order", ORDERS)
def test_shared_boxes_equal_repeated_ones(order: Order) -> None:
    boxes, ground_truth, ignore = _random_batch(13)
    _same(
        _assign(boxes[0], ground_truth, ignore, order),
        _assign(boxes[:1].repeat(4, 1, 1), ground_truth, ignore, order),
    )


@pytest.mark.parametrize("order", ORDERS)
def test_order_of_ground_truths_and_ignore_regions_does_not_matter(order: Order) -> None:
    random = np.random.default_rng(14)
    corner = random.uniform(0, 100, (207, 2))  # real numbers: no ties
    every = torch.from_numpy(np.concatenate([corner, corner + random.uniform(5, 60, (207, 2))], 1))
    boxes, ground_truth, ignore = every[:200], every[200:205], every[205:]
    swap = torch.tensor([3, 1, 4, 0, 2])
    a = _assign(boxes, [ground_truth], [ignore], order)
    b = _assign(boxes, [ground_truth[swap]], [ignore.flip(0)], order)
    assert torch.equal(a.positive, b.positive)
    assert torch.equal(a.negative, b.negative)
    assert torch.equal(a.offsets, b.offsets)
    assert torch.equal(a.matched[a.positive], swap[b.matched[b.positive]])


def test_image_without_ground_truth() -> None:
    boxes = torch.tensor([[0.0, 0, 19, 39], [100.0, 0, 119, 39]])
    ignore = torch.tensor([[100.0, 0, 109, 19]])
    first = _assign(boxes, [torch.zeros(0, 4)], [ignore], "positives_first")
    assert first.positive.tolist() == [[False, False]]
    assert first.negative.tolist() == [[True, False]]
    valid = _assign(boxes, [torch.zeros(0, 4)], [ignore], "valid_first")
    assert not valid.positive.any()
    assert not valid.negative.any()
    assert not valid.offsets.any()


def test_third_best_below_the_lower_threshold_is_positive_and_negative_at_once() -> None:
    boxes = torch.tensor(
        [[0.0, 0, 19, 39], [0.0, 20, 19, 59], [0.0, 30, 19, 69], [0.0, 35, 19, 74], [90.0, 0, 109, 39]]
    )
    ground_truth, none = [torch.tensor([[0.0, 0, 19, 39]])], [torch.zeros(0, 4)]
    first = _assign(boxes, ground_truth, none, "positives_first")
    assert first.positive.tolist() == [[True, True, True, False, False]]
    assert first.negative.tolist() == [[False, False, True, True, True]]
    assert _assign(boxes, ground_truth, none, "valid_first").negative.tolist() == [[False, False, False, True, True]]


def test_positives_that_cover_ignore_regions_stay_in_positives_first_alone() -> None:
    boxes = torch.tensor([[0.0, 0, 19, 39], [90.0, 0, 109, 39]])
    ground_truth, ignore = [torch.tensor([[0.0, 0, 19, 39]])], [torch.tensor([[0.0, 0, 9, 9]])]
    assert _assign(boxes, ground_truth, ignore, "positives_first").positive.tolist() == [[True, False]]
    assert _assign(boxes, ground_truth, ignore, "valid_first").positive.tolist() == [[False, False]]


@pytest.mark.parametrize(("right", "negative"), [(69.0, True), (68.0, False)])
def test_cover_is_summed_over_ignore_regions_and_must_exceed_a_half(right: float, negative: bool) -> None:
    """10 of 40 columns of one ignore region and 10 of 40 of another are exactly a half; 10 of 39 are more."""
    boxes = torch.tensor([[20.0, 0, 39, 39], [100.0, 100, 119, 139]])
    ignore = torch.tensor([[-10.0, 0, 29, 9], [30.0, 0, right, 9]])
    found = _assign(boxes, [boxes[1:]], [ignore], "positives_first")
    assert found.negative.tolist() == [[negative, False]]


@pytest.mark.parametrize("order", ORDERS)
def test_ground_truth_that_no_box_touches_makes_nothing_positive(order: Order) -> None:
    boxes = torch.tensor([[0.0, 0, 19, 39], [30.0, 0, 49, 39], [60.0, 0, 79, 39], [90.0, 0, 109, 39]])
    far = torch.tensor([[500.0, 500, 519, 539]])
    found = _assign(boxes, [far], [torch.zeros(0, 4)], order)
    assert not found.positive.any()
    assert found.negative.all()
    # and only one box touches this one
    found = _assign(boxes, [torch.tensor([[15.0, 0, 25, 39]])], [torch.zeros(0, 4)], order)
    assert found.positive.tolist() == [[True, False, False, False]]


def test_all_boxes_equal_to_the_best_are_positive_beyond_three() -> None:
    boxes = torch.tensor([[0.0, 0, 19, 30]] + [[0.0, 0, 19, 39]] * 5)
    found = _assign(boxes, [torch.tensor([[0.0, 0, 19, 89]])], [torch.zeros(0, 4)], "positives_first")
    assert found.positive.tolist() == [[False, True, True, True, True, True]]


def test_small_boxes_are_invalid() -> None:
    boxes = torch.tensor([[0.0, 0, 9, 39], [0.0, 0, 10, 39], [0.0, 0, 39, 9]])  # 10, 11 and 10 px
    ground_truth, none = [torch.tensor([[0.0, 0, 9, 39]])], [torch.zeros(0, 4)]
    assert _assign(boxes, ground_truth, none, "valid_first").positive.tolist() == [[False, True, False]]
    assert _assign(boxes, ground_truth, none, "positives_first").positive.all()


def test_type_follows_the_boxes_and_inputs_stay_as_they_were() -> None:
    boxes, ground_truth, ignore = _random_batch(15)
    boxes = boxes.float()
    copies = boxes.clone(), [g.clone() for g in ground_truth], [r.clone() for r in ignore]
    found = _assign(boxes, ground_truth, ignore, "valid_first")
    assert found.offsets.dtype == torch.float32
    assert found.matched.dtype == torch.int64
    assert torch.equal(boxes, copies[0])
    for before, after in zip(copies[1] + copies[2], ground_truth + ignore, strict=True):
        assert torch.equal(before, after)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("order", ORDERS)
def test_gpu_equals_cpu(order: Order) -> None:
    boxes, ground_truth, ignore = _random_batch(17)
    expected = _assign(boxes, ground_truth, ignore, order)
    found = _assign(boxes.cuda(), [g.cuda() for g in ground_truth], ignore, order)
    assert torch.equal(found.positive.cpu(), expected.positive)
    assert torch.equal(found.negative.cpu(), expected.negative)
    torch.testing.assert_close(found.offsets.cpu(), expected.offsets)


def test_refuses_lists_of_another_length() -> None:
    boxes, ground_truth, ignore = _random_batch(16)
    with pytest.raises(ValueError, match="ground truths of 3 images"):
        _assign(boxes, ground_truth[:3], ignore, "valid_first")


@pytest.mark.parametrize("order", ORDERS)
def test_no_size_depends_on_the_boxes_on_a_device(order: Order) -> None:
    """Tensors without content stand for a GPU's: an operation that had to know numbers would fail, and a GPU wait."""
    boxes, ground_truth, ignore = _random_batch(3)
    lists = [BoxLists.of(each).to("meta") for each in (ground_truth, ignore)]
    found = assign(boxes.to("meta"), *lists, lower=0.3, upper=0.5, order=order)
    assert found.offsets.shape == boxes.shape
    assert found.matched.shape == found.positive.shape == found.negative.shape == boxes.shape[:2]
    with pytest.raises(NotImplementedError):
        found.positive.nonzero()
