"""Augmentation: boxes against painted pixels, the published order, the keep rules, the random numbers."""

from __future__ import annotations

import colorsys
import hashlib
from dataclasses import replace

import cv2
import numpy as np
import pytest

from alfnet.params import AugmentSettings, ColourSettings
from alfnet.training.augment import Draw, Recolouring, augment, augment_boxes, brighten, draw, recolour

SETTINGS = AugmentSettings(
    height=256,
    width=512,
    brightness=[0.5, 2.0],
    brightness_probability=0.5,
    flip_probability=0.5,
    scale=[0.3, 1.0],
    pedestrian_inside=0.5,
    pedestrian_width=16,
    ignore_area=100,
    ignore_side=8,
    colour=ColourSettings(probability=0, contrast=[0.6, 1.4], saturation=[0, 1.6], hue=25),
)
NONE = np.zeros((0, 4), np.float32)


def rng(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def noise(height: int = 256, width: int = 512, seed: int = 0) -> np.ndarray:
    return rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def boxes_apart(seed: int, height: int, width: int, number: int) -> np.ndarray:
    """Boxes with whole-pixel corners that do not touch each other: one in each cell of a grid of columns."""
    random, column = rng(seed), width // number
    boxes = []
    for i in range(number):
        w, h = int(random.integers(24, column - 8)), int(random.integers(40, height - 20))
        x, y = i * column + int(random.integers(2, column - w - 4)), int(random.integers(0, height - h))
        boxes.append([x, y, x + w, y + h])
    return np.array(boxes, np.float32)


@pytest.mark.parametrize("seed", range(40))
def test_the_paint_is_where_the_boxes_say(seed: int) -> None:
    height, width, number = 512, 1024, 8
    boxes = boxes_apart(seed, height, width, number)
    # Hues survive the brightness; 8 of them are 45 degrees apart. Pedestrians and ignore regions by turns.
    hues = rng(seed + 1000).permutation(number)
    image = np.zeros((height, width, 3), np.uint8)
    for hue, (x1, y1, x2, y2) in zip(hues, boxes.astype(int), strict=True):
        red, green, blue = colorsys.hsv_to_rgb(hue / number, 1, 0.8)
        image[y1:y2, x1:x2] = np.rint([255 * blue, 255 * green, 255 * red])
    sample = augment(image, boxes[::2], boxes[1::2], SETTINGS, rng(seed))
    assert sample.image.shape == (256, 512, 3)

    hsv = cv2.cvtColor(sample.image, cv2.COLOR_BGR2HSV).astype(int)
    painted = {}
    for hue in range(number):
        # Past half of the least value that the brightness leaves, a pixel is more paint than background.
        mask = (np.abs((hsv[..., 0] - hue * 180 / number + 90) % 180 - 90) < 3) & (hsv[..., 2] > hsv[..., 2].max() / 2)
        if mask.any():
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            painted[hue] = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
    whole = {hue: painted.pop(hue) for hue in list(painted) if (painted[hue][2:] - painted[hue][:2]).min() >= 20}
    found = set()
    for result, of in ((sample.pedestrians, hues[::2]), (sample.ignore_regions, hues[1::2])):
        for box in result:
            near = [hue for hue in of if hue in whole or hue in painted]
            distances = [np.abs({**whole, **painted}[hue] - box).max() for hue in near]
            assert min(distances) <= 1.5, (box, whole, painted)
            found.add(int(near[int(np.argmin(distances))]))
    # Ignore regions of that size all keep; a pedestrian may be less than half inside.
    assert {hue for hue in whole if hue in hues[1::2]} <= found
    assert len(found) == len(sample.pedestrians) + len(sample.ignore_regions)


def published_order(image: np.ndarray, pedestrians: np.ndarray, drawn: Draw) -> np.ndarray:
    """Each step on the whole image, in the order in which the method names them."""
    if drawn.brightness is not None:
        image = brighten(image, drawn.brightness)
    if drawn.flip:
        image = image[:, ::-1]
    crop = image[drawn.top : drawn.top + drawn.height, drawn.left : drawn.left + drawn.width]
    return cv2.resize(np.ascontiguousarray(crop), (SETTINGS.width, SETTINGS.height), interpolation=cv2.INTER_LINEAR)


@pytest.mark.parametrize("seed", range(24))
def test_equals_the_published_order_on_the_whole_image(seed: int) -> None:
    image, boxes = noise(512, 1024, seed), boxes_apart(seed, 512, 1024, 6)
    before = image.copy()
    sample = augment(image, boxes, NONE, SETTINGS, rng(seed))
    drawn = draw(512, 1024, boxes, SETTINGS, rng(seed))
    np.testing.assert_array_equal(sample.image, published_order(image, boxes, drawn))
    np.testing.assert_array_equal(image, before)


def test_brightness_multiplies_the_hsv_value() -> None:
    pixels = noise(30, 40, 1)
    pixels[0, :8] = [
        [0, 0, 0],
        [255, 255, 255],
        [0, 0, 255],
        [1, 1, 1],
        [200, 200, 200],
        [0, 9, 0],
        [3, 2, 1],
        [7, 0, 0],
    ]
    for factor in (0.5, 0.77, 1.0, 1.3, 2.0):
        result = brighten(pixels, factor)
        assert result.dtype == np.uint8
        for (blue, green, red), got in zip(pixels.reshape(-1, 3), result.reshape(-1, 3), strict=True):
            h, s, v = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
            expected = np.array(colorsys.hsv_to_rgb(h, s, min(1.0, v * factor)))[::-1] * 255
            assert np.abs(expected - got).max() <= 0.5001


def test_brightness_of_a_pixel_does_not_depend_on_its_place() -> None:
    image = noise(16, 67, 2)
    for factor in (0.6, 1.7):
        alone = np.concatenate([brighten(image[:, i : i + 1], factor) for i in range(image.shape[1])], axis=1)
        np.testing.assert_array_equal(brighten(image, factor), alone)


def test_distribution_of_what_is_drawn() -> None:
    boxes = np.array([[100, 50, 120, 100], [300, 50, 320, 100], [400, 60, 430, 130]], np.float32)
    random = rng(3)
    draws = [draw(256, 512, boxes, SETTINGS, random) for _ in range(4000)]
    factors = np.array([d.brightness for d in draws if d.brightness is not None])
    assert 0.47 < len(factors) / 4000 < 0.53
    assert factors.min() >= 0.5
    assert factors.max() <= 2.0
    assert abs(factors.mean() - 1.25) < 0.03
    assert 0.47 < np.mean([d.flip for d in draws]) < 0.53
    heights = np.array([d.height for d in draws])
    assert heights.min() >= round(0.3 * 256)
    assert heights.max() <= 256
    assert abs(heights.mean() / 256 - 0.65) < 0.01
    assert all(d.width == 2 * d.height for d in draws)
    assert all(0 <= d.left <= 512 - d.width and 0 <= d.top <= 256 - d.height for d in draws)
    # Small crops are centred on one of the three, each as often.
    centres = [(512 - d.left - d.width / 2) if d.flip else d.left + d.width / 2 for d in draws if d.height < 95]
    near = [int(np.argmin(np.abs(np.array([110, 310, 415]) - centre))) for centre in centres]
    assert all(abs(centre - [110, 310, 415][n]) <= 1 for centre, n in zip(centres, near, strict=True))
    counts = np.bincount(near, minlength=3) / len(near)
    assert counts.min() > 0.26
    assert counts.max() < 0.41


def test_without_pedestrians_the_crop_lies_anywhere() -> None:
    random = rng(4)
    draws = [draw(256, 512, NONE, SETTINGS, random) for _ in range(500)]
    free = np.array([d.left / (512 - d.width) for d in draws if d.height < 200])
    assert free.min() < 0.05
    assert free.max() > 0.95
    assert abs(free.mean() - 0.5) < 0.05
    sample = augment(noise(), NONE, NONE, SETTINGS, rng(5))
    assert sample.pedestrians.shape == sample.ignore_regions.shape == (0, 4)
    assert sample.pedestrians.dtype == np.float32


def test_the_random_numbers_are_taken_in_the_published_order() -> None:
    boxes = boxes_apart(0, 256, 512, 4)
    for seed in range(8):
        random = rng(seed)
        brightness = random.uniform(0.5, 2.0) if random.random() < 0.5 else None
        flip = random.random() < 0.5
        scale = random.uniform(0.3, 1.0)
        x1, y1, x2, y2 = boxes[random.integers(4)]
        drawn = draw(256, 512, boxes, SETTINGS, rng(seed))
        assert (drawn.brightness, drawn.flip, drawn.height) == (brightness, flip, round(256 * scale))
        centre = (512 - (x1 + x2) / 2) if flip else (x1 + x2) / 2
        assert drawn.left == np.clip(np.rint(centre - drawn.width / 2), 0, 512 - drawn.width)
        assert drawn.top == np.clip(np.rint((y1 + y2) / 2 - drawn.height / 2), 0, 256 - drawn.height)


def test_flip_keeps_boxes_on_their_pixels() -> None:
    drawn = Draw(None, True, 0, 0, 512, 256)
    kept, _ = augment_boxes(np.array([[10, 20, 40, 90]]), NONE, 512, drawn, SETTINGS)
    image = np.zeros((256, 512), np.uint8)
    image[20:90, 10:40] = 1
    columns = np.flatnonzero(image[:, ::-1].any(0))
    np.testing.assert_array_equal(kept, [[columns[0], 20, columns[-1] + 1, 90]])


def test_pedestrians_keep_by_area_inside_and_width_after_the_resize() -> None:
    crop = Draw(None, False, 100, 50, 256, 128)  # the resize doubles
    cases = [
        ([90, 60, 110, 100], [0, 20, 20, 100]),  # exactly half inside
        ([89, 60, 110, 100], None),  # a little less
        ([200, 60, 208, 100], [200, 20, 216, 100]),  # 16 px wide after the resize
        ([200, 60, 207.9, 100], None),
        ([200, 40, 220, 65], [200, 0, 240, 30]),  # 15 of 25 rows inside
        ([200, 40, 220, 59], None),  # 9 of 19
        ([10, 60, 40, 100], None),  # outside
        ([346, 60, 366, 100], [492, 20, 512, 100]),  # the part inside is 20 px wide after the resize
        ([349, 60, 363, 100], None),  # half inside, but that is 14 px wide
    ]
    kept, _ = augment_boxes(np.array([box for box, _ in cases]), NONE, 512, crop, SETTINGS)
    np.testing.assert_allclose(kept, [box for _, box in cases if box is not None], atol=1e-4)


def test_ignore_regions_keep_by_area_before_and_sides_after_the_resize() -> None:
    crop = Draw(None, False, 100, 50, 256, 128)
    cases = [
        ([110, 60, 120, 70], None),  # 100 px2 is not above 100
        ([110, 60, 120, 70.2], [20, 20, 40, 40.4]),
        ([110, 60, 114, 90], [20, 20, 28, 80]),  # 120 px2, 8 px wide after the resize
        ([110, 60, 113.9, 90], None),
        ([110, 60, 210, 64], [20, 20, 220, 28]),
        ([110, 60, 210, 63.9], None),
        ([90, 60, 104, 100], [0, 20, 8, 100]),  # most of it outside: no matter
        ([90, 60, 103.9, 100], None),
        ([0, 0, 90, 40], None),
    ]
    _, kept = augment_boxes(NONE, np.array([box for box, _ in cases]), 512, crop, SETTINGS)
    np.testing.assert_allclose(kept, [box for _, box in cases if box is not None], atol=1e-4)


def test_an_empty_box_never_keeps() -> None:
    anything = SETTINGS.model_copy(update={"pedestrian_width": 0.0, "pedestrian_inside": 0.0})
    crop = Draw(None, False, 0, 0, 256, 128)
    kept, _ = augment_boxes(np.array([[300.0, 10, 340, 60], [10, 10, 30, 60]]), NONE, 512, crop, anything)
    assert len(kept) == 1


@pytest.mark.parametrize("size", [(300, 200), (200, 300), (600, 180), (97, 640), (256, 512)])
@pytest.mark.parametrize("scale", [[0.6, 1.0], [1.0, 3.0]], ids=["crops", "shrunk"])
@pytest.mark.parametrize("seed", range(6))
def test_images_of_any_ratio_keep_their_proportions(size: tuple[int, int], seed: int, scale: list[float]) -> None:
    """A white box on black is where its box says, and as wide to its height as it was; what is added is grey."""
    height, width = size
    box = np.array([[width * 0.3, height * 0.3, width * 0.6, height * 0.8]], np.float32).round()
    image = np.zeros((height, width, 3), np.uint8)
    x1, y1, x2, y2 = box[0].astype(int)
    image[y1:y2, x1:x2] = 255
    settings = SETTINGS.model_copy(update={"brightness_probability": 0.0, "pedestrian_width": 0.0, "scale": scale})
    sample = augment(image, box, NONE, settings, rng(seed))
    assert sample.image.shape == (256, 512, 3)
    drawn = draw(height, width, box, settings, rng(seed))
    assert drawn.width / drawn.height == pytest.approx(2, abs=2 / drawn.height)
    # Along each side the crop lies in the image, or holds it.
    for start, length, whole in ((drawn.left, drawn.width, width), (drawn.top, drawn.height, height)):
        assert (start >= 0 and start + length <= whole) or (start <= 0 and start + length >= whole)
    white = (sample.image > 200).all(axis=2)
    rows, columns = np.flatnonzero(white.any(1)), np.flatnonzero(white.any(0))
    (found,) = sample.pedestrians
    np.testing.assert_allclose(found, [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], atol=2.5)
    inside = drawn.width * drawn.height
    across = min(drawn.left + drawn.width, width) - max(drawn.left, 0)
    down = min(drawn.top + drawn.height, height) - max(drawn.top, 0)
    grey = (np.abs(sample.image.astype(int) - (104, 117, 124)).max(axis=2) < 2).mean()
    assert grey == pytest.approx(1 - across * down / inside, abs=0.03)


def test_random_crops_of_empty_images_reach_all_of_it() -> None:
    corners = {
        (drawn.left, drawn.top)
        for seed in range(200)
        for drawn in [draw(60, 40, NONE, SETTINGS.model_copy(update={"scale": [0.9, 0.9]}), rng(seed))]
    }
    lefts, tops = (sorted({corner[axis] for corner in corners}) for axis in (0, 1))
    assert (lefts[0], lefts[-1]) == (40 - 108, 0)
    assert (tops[0], tops[-1]) == (0, 6)


def test_bytes_known() -> None:
    """The bytes stand for every machine: the same came out under emulated Haswell and EPYC-Rome processors."""
    image, boxes = noise(320, 640, 9), boxes_apart(9, 320, 640, 5)
    digest = hashlib.sha256()
    for seed in range(12):
        sample = augment(image, boxes[:3], boxes[3:], SETTINGS, rng(seed))
        for part in (sample.image, sample.pedestrians, sample.ignore_regions):
            digest.update(part.tobytes())
    assert digest.hexdigest() == "2869f6d222acf9118706619bd7935f80de19705416b0fefb463ffa21d1fed964"


COLOURS = SETTINGS.colour.model_copy(update={"probability": 1.0})


def test_other_colours_leave_everything_else_as_it_was() -> None:
    coloured = SETTINGS.model_copy(update={"colour": COLOURS})
    boxes = np.array([[100, 40, 150, 170], [300, 60, 340, 160]], np.float32)
    found = set()
    for seed in range(20):
        plain, other = (draw(256, 512, boxes, settings, rng(seed)) for settings in (SETTINGS, coloured))
        change = other.colour
        assert plain.colour is None
        assert change is not None
        assert other == replace(plain, colour=change)
        assert 0.6 <= change.contrast <= 1.4
        assert 0 <= change.saturation <= 1.6
        assert abs(change.hue) <= 25
        found.add(change)
        first, second = (augment(noise(), boxes, boxes, settings, rng(seed)) for settings in (SETTINGS, coloured))
        np.testing.assert_array_equal(second.pedestrians, first.pedestrians)
        np.testing.assert_array_equal(second.image, recolour(first.image, change))
    assert len(found) == 20


def test_the_probability_of_other_colours() -> None:
    often = SETTINGS.model_copy(update={"colour": COLOURS.model_copy(update={"probability": 0.8})})
    random = rng(0)
    number = sum(draw(256, 512, NONE, often, random).colour is not None for _ in range(2000))
    assert abs(number / 2000 - 0.8) < 0.03


@pytest.mark.parametrize("change", [(0.6, 0.0, 0.0), (1.4, 1.6, 25.0), (1.0, 1.0, -20.0), (0.8, 0.5, 10.0)])
def test_colours_computed_pixel_by_pixel(change: tuple[float, float, float]) -> None:
    contrast, saturation, hue = change
    image = noise(40, 60)
    blue, green, red = image.reshape(-1, 3).astype(np.float64).T
    luma = 0.299 * red + 0.587 * green + 0.114 * blue
    chroma = (0.596 * red - 0.274 * green - 0.322 * blue) + 1j * (0.211 * red - 0.523 * green + 0.312 * blue)
    chroma *= contrast * saturation * np.exp(1j * np.radians(hue))
    luma = (luma - luma.mean()) * contrast + luma.mean()
    rows = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
    rgb = np.linalg.solve(rows, np.stack([luma, chroma.real, chroma.imag]))
    expected = np.clip(np.rint(rgb[::-1].T), 0, 255).reshape(image.shape)
    assert np.abs(recolour(image, Recolouring(*change)).astype(float) - expected).max() <= 1


def test_colours_that_do_not_change_and_that_go() -> None:
    image = noise(40, 60)
    assert np.array_equal(recolour(image, Recolouring(1, 1, 0)), image)
    grey = recolour(image, Recolouring(1, 0, 13)).astype(int)
    assert np.abs(grey - grey[..., :1]).max() <= 1
    np.testing.assert_allclose(grey[..., 0], cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), atol=1)
    assert recolour(image, Recolouring(0.6, 1, 0)).std() == pytest.approx(0.6 * image.std(), rel=0.01)
