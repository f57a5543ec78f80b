"""The cascade: box by box in plain numbers, one image as in a batch, and where training and detection start from it."""

from __future__ import annotations

import math

import torch

from alfnet.boxes.cascade import cascade

HEIGHT, WIDTH = 128, 256


def anchors_and_offsets(steps: int, images: int = 3, boxes: int = 20) -> tuple[torch.Tensor, list[torch.Tensor]]:
    random = torch.Generator().manual_seed(0)
    corner = torch.rand(boxes, 2, generator=random, dtype=torch.float64) * torch.tensor([200.0, 80.0])
    anchors = torch.cat([corner, corner + 10 + 40 * torch.rand(boxes, 2, generator=random, dtype=torch.float64)], -1)
    return anchors, [torch.randn(images, boxes, 4, generator=random, dtype=torch.float64) for _ in range(steps)]


def moved_by_hand(box: list[float], offsets: list[float]) -> list[float]:
    """The published rule for one box, in plain numbers."""
    (x1, y1, x2, y2), (dx, dy, dw, dh) = box, offsets
    width, height = x2 - x1 + 1, y2 - y1 + 1
    x, y = x1 + width / 2 + 0.1 * dx * width, y1 + height / 2 + 0.1 * dy * height
    width, height = width * math.exp(0.2 * dw), height * math.exp(0.2 * dh)
    corners = [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
    return [min(max(corner, 0), limit) for corner, limit in zip(corners, [WIDTH - 1, HEIGHT - 1] * 2, strict=True)]


def test_boxes_of_every_step_equal_the_rule_in_plain_numbers() -> None:
    anchors, offsets = anchors_and_offsets(3)
    found = cascade(anchors, offsets, HEIGHT, WIDTH)
    assert len(found) == 4
    assert found[0] is anchors
    for image in range(3):
        boxes = anchors.tolist()
        for step in range(3):
            boxes = [moved_by_hand(b, o) for b, o in zip(boxes, offsets[step][image].tolist(), strict=True)]
            torch.testing.assert_close(
                found[step + 1][image], torch.tensor(boxes, dtype=torch.float64), rtol=0, atol=1e-5
            )


def test_one_image_equals_itself_in_a_batch() -> None:
    anchors, offsets = anchors_and_offsets(2)
    batch = cascade(anchors, offsets, HEIGHT, WIDTH)
    for image in range(3):
        alone = cascade(anchors, [each[image] for each in offsets], HEIGHT, WIDTH)
        for step in (1, 2):
            assert torch.equal(batch[step][image], alone[step])


def test_a_later_step_leaves_the_earlier_boxes_as_they_were() -> None:
    anchors, offsets = anchors_and_offsets(3)
    whole = cascade(anchors, offsets, HEIGHT, WIDTH)
    for steps in (0, 1, 2):
        part = cascade(anchors, offsets[:steps], HEIGHT, WIDTH)
        assert len(part) == steps + 1
        assert all(torch.equal(a, b) for a, b in zip(part, whole, strict=False))


def test_no_gradient_flows() -> None:
    anchors, offsets = anchors_and_offsets(2)
    for each in offsets:
        each.requires_grad_()
    assert not any(boxes.requires_grad for boxes in cascade(anchors, offsets, HEIGHT, WIDTH))


def test_exact_offsets_reach_the_ground_truth_in_one_step_and_stay_near_it() -> None:
    """Offsets that a perfect network would predict: the first step arrives (a pixel larger, by the published coding)."""
    from alfnet.boxes.coding import encode

    anchors, _ = anchors_and_offsets(0)
    target = torch.tensor([60.0, 30.0, 90.0, 110.0], dtype=torch.float64)
    first = encode(anchors, target)
    after = cascade(anchors, [first], HEIGHT, WIDTH)[1]
    second = encode(after, target)
    boxes = cascade(anchors, [first, second], HEIGHT, WIDTH)
    expected = (target + torch.tensor([0.0, 0.0, 1.0, 1.0])).expand(20, 4)
    for step in (1, 2):
        torch.testing.assert_close(boxes[step], expected, rtol=0, atol=1e-4)
    assert float(second.abs().max()) <= 0.5  # one pixel of 31, in units of 0.1 and 0.2
