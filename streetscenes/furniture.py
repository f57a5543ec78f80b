"""Street furniture and cars of a scene, and what shows people without being people: posters, reflections, dummies."""

from __future__ import annotations

import numpy as np

from streetscenes import cars, looks, plants, things
from streetscenes.canvas import Canvas, Sprite, mix, scaled
from streetscenes.casting import walking_pose
from streetscenes.figures import draw
from streetscenes.houses import ShopWindow
from streetscenes.looks import between, chance, jitter, pick
from streetscenes.skeleton import Pose
from streetscenes.staging import Stage
from streetscenes.things import Thing

Region = tuple[int, int, int, int]


def furnish(stage: Stage) -> list[Region]:
    """Put cars, trees, lamps, signs and the like on the stage.

    Returns the ignore regions x y w h of posters that show people.
    """
    rng, street = stage.rng, stage.world.street
    if street.kind == "street":
        _cars(stage)
    for kerb, side in ((street.left_kerb, -1), (street.right_kerb, 1)):
        _row(stage, kerb + 0.45 * side)
    regions: list[Region] = []
    for front, side in ((street.left_front, -1), (street.right_front, 1)):
        at = front - side * between(rng, 0.5, 0.8)
        for _ in range(int(rng.integers(0, 3))):
            z = between(rng, 7, 45)
            if pick(rng, ("bin", "planter")) == "bin":
                stage.add_thing(things.dustbin(stage.world, rng, at, z, tall=between(rng, 0.9, 1.25)))
            else:
                stage.add_thing(plants.planter(stage.world, rng, at, z, stage.tile))
    if chance(rng, 0.2):
        regions += _board(stage)
    return regions


def _cars(stage: Stage) -> None:
    rng, world = stage.rng, stage.world
    street = world.street
    for kerb, side, toward in ((street.left_kerb, -1, True), (street.right_kerb, 1, False)):
        if chance(rng, 0.26):
            z = between(rng, 7, 26)
            while z < 75:
                if chance(rng, 0.72):
                    stage.add_thing(cars.car(world, rng, kerb - side * 1.05, z, toward=toward))
                z += between(rng, 5.0, 6.2)
                if chance(rng, 0.12):
                    z += between(rng, 6, 20)
    clear = (street.crossing or 0) + 5
    if chance(rng, 0.45):  # on its way, in the own lane
        stage.add_thing(
            cars.car(
                world,
                rng,
                between(rng, -0.5, min(0.6, street.right_kerb - 1.2)),
                clear + between(rng, 6, 45),
                toward=False,
            )
        )
    if street.left_kerb < -4.5 and chance(rng, 0.5):
        stage.add_thing(
            cars.car(world, rng, max(-3.4, street.left_kerb + 2.9) - 0.2, clear + between(rng, 5, 50), toward=True)
        )
    if chance(rng, 0.07):
        stage.add_thing(cars.crossing_car(world, rng, between(rng, street.left_kerb, 0), between(rng, 30, 60)))


def _row(stage: Stage, x: float) -> None:
    """What stands along a kerb."""
    rng, world = stage.rng, stage.world
    taken: list[float] = []

    def free(z: float) -> bool:
        if any(abs(z - other) < 1.2 for other in taken):
            return False
        taken.append(z)
        return True

    if chance(rng, 0.3):
        z = between(rng, 6, 14)
        step = between(rng, 7, 12)
        while z < 95:
            if chance(rng, 0.85) and free(z):
                stage.add_thing(plants.tree(world, rng, x, z, stage.tile))
            z += step
    z = between(rng, 8, 26)
    while z < 100:
        if free(z):
            stage.add_thing(things.lamp(world, rng, x, z))
        z += between(rng, 22, 30)
    for _ in range(int(rng.integers(0, 3))):
        z = between(rng, 6, 48)
        if free(z):
            stage.add_thing(things.sign(world, rng, x, z))
    if chance(rng, 0.22):
        state = int(rng.integers(1 << 30))
        start = between(rng, 6, 16)
        for k in range(int(rng.integers(4, 12))):
            z = start + 1.6 * k
            if free(z):
                stage.add_thing(things.bollard(world, np.random.default_rng(state), x, z))
    if chance(rng, 0.4):
        z = between(rng, 6, 40)
        if free(z):
            stage.add_thing(things.dustbin(world, rng, x, z, tall=between(rng, 0.8, 1.1)))


def _board(stage: Stage) -> list[Region]:
    """A lit board with a poster that shows a person."""
    rng, world = stage.rng, stage.world
    street = world.street
    side = pick(rng, (-1, 1))
    x = (street.left_kerb - 0.9) if side < 0 else (street.right_kerb + 0.9)
    z = between(rng, 8, 28)
    camera = world.camera
    if not 0 < camera.column(x, z) < world.width:
        return []
    half, low, high = 0.62, 0.55, 2.4
    paper = jitter(rng, pick(rng, ((220, 224, 226), (190, 150, 90), (100, 170, 230), (130, 90, 170), (110, 180, 140))))
    pose = Pose("standing", between(rng, -30, 30) % 360, 0.08, 0.2, (between(rng, 0.1, 1.6), 0.2))
    figure = draw(max(int(camera.pixels(between(rng, 1.4, 2.2), z)), 12), looks.person(rng), pose, 0)
    (x1, y1), (x2, y2) = camera.project([(x - half, high, z), (x + half, low, z)])
    left, top, right, bottom = (int(np.floor(v + 0.5)) for v in (x1, y1, x2, y2))
    frame = world.light.seen((70, 74, 76), z)

    def paint(canvas: Canvas) -> None:
        edge = camera.pixels(0.08, z)
        canvas.polygon(
            [(x1 - edge, y1 - edge), (x2 + edge, y1 - edge), (x2 + edge, y2 + edge), (x1 - edge, y2 + edge)], frame
        )
        for post in (x - half * 0.8, x + half * 0.8):
            canvas.polygon(
                camera.project(
                    [(post - 0.05, 0, z), (post - 0.05, low, z), (post + 0.05, low, z), (post + 0.05, 0, z)]
                ),
                frame,
            )
        canvas.polygon([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], world.light.seen(paper, z))
        w, h = right - left, bottom - top
        if w < 2 or h < 4:
            return
        # Only the part of the person that the poster has room for.
        person = figure.sprite.pixels[: int(h * 0.86), :]
        skip = max((person.shape[1] - w) // 2, 0)
        person = person[:, skip : skip + w]
        canvas.paste(Sprite(np.ascontiguousarray(person)), left + (w - person.shape[1]) // 2, bottom - person.shape[0])
        stripe = world.light.seen(scaled(paper, 0.55), z)
        canvas.polygon(
            [
                (x1 + edge, y1 + edge),
                (x2 - edge, y1 + edge),
                (x2 - edge, y1 + 2.4 * edge),
                (x1 + edge, y1 + 2.4 * edge),
            ],
            stripe,
        )

    box = (x1, y1, x2, camera.foot(z))
    stage.add_thing(Thing(z, [box], paint, [things.ground_oval(world, x, z, 0.7, 0.2)]))
    region = _clipped((left, top, right, bottom), world.width, world.height)
    return [region] if region else []


def fill_windows(canvas: Canvas, stage: Stage, panes: list[ShopWindow]) -> list[Region]:
    """Put dummies behind some panes, and let others mirror passers-by.

    Returns the ignore regions x y w h of the reflections.
    """
    rng, world = stage.rng, stage.world
    camera = world.camera
    regions: list[Region] = []
    for pane in panes:
        if not 6 < pane.near < 45 or not chance(rng, 0.14):
            continue
        mirrored = chance(rng, 0.22)
        for _ in range(1 if mirrored else int(rng.integers(1, 3))):
            z = between(rng, pane.near + 0.3, pane.far - 0.3)
            x = pane.front
            unit = camera.pixels(1.0, z)
            column = camera.column(x, z)
            height = int(1.72 * unit)
            if height < 14 or not -20 < column < world.width + 20:
                continue
            if mirrored:
                figure = draw(height, looks.person(rng), walking_pose(rng), 0)
                sprite = figure.sprite.thinned(0.34)
                bottom = camera.horizon + (camera.height - 0.62) * unit
            else:
                pose = Pose(
                    "standing",
                    between(rng, -60, 60) % 360,
                    between(rng, 0.04, 0.16),
                    float(rng.random()),
                    (between(rng, 0.0, 1.5), between(rng, 0.0, 0.6)),
                )
                figure = draw(height, looks.mannequin(rng), pose, 0)
                sprite = figure.sprite.faded(mix((70, 64, 58), world.light.haze, world.light.haze_share(z)), 0.36)
                bottom = camera.horizon + (camera.height - 0.6) * unit
            top = int(bottom) - sprite.pixels.shape[0]
            left = int(column) - sprite.pixels.shape[1] // 2
            if not mirrored:
                canvas.paste(sprite, left, top, None)
                continue
            # A reflection ends at the pane's lower edge.
            sill = int(camera.horizon + (camera.height - pane.low) * unit)
            shown = Sprite(np.ascontiguousarray(sprite.pixels[: max(sill - top, 1)]))
            canvas.paste(shown, left, top, None)
            region = _clipped(
                (left, top, left + shown.pixels.shape[1], top + shown.pixels.shape[0]), world.width, world.height
            )
            if region:
                regions.append(region)
    return regions


def _clipped(box: tuple[int, int, int, int], width: int, height: int) -> Region | None:
    x1, y1, x2, y2 = max(box[0], 0), max(box[1], 0), min(box[2], width), min(box[3], height)
    return (x1, y1, x2 - x1, y2 - y1) if x2 - x1 >= 4 and y2 - y1 >= 6 else None
