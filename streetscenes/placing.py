"""Who and what is in a scene and where: cars, trees and signs, then pedestrians, riders, groups, drawn by lot."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from streetscenes import objects
from streetscenes.figures import Look
from streetscenes.objects import Thing
from streetscenes.settings import Region
from streetscenes.skeleton import Pose, Posture
from streetscenes.stage import Actor, Place, Stage, slim, upright_box
from streetscenes.world import World, between, chance, pick

LOWEST, NEAR, HIGHEST = 20, 120, 400  # pixels

# Shares of people higher than NEAR: few in a quiet street, more in a busy one, to be learnt from.
FEW_NEAR, MANY_NEAR = 0.005, 0.04

# Heights of people relative to their standing height, for postures that change it.
STATURE: dict[Posture, float] = {"sitting": 0.77, "crouching": 0.66, "bending": 0.83, "riding": 0.97}


def walking_pose(rng: np.random.Generator) -> Pose:
    """Someone under way or standing about."""
    heading = pick(rng, (0.0, 180.0, 90.0, 270.0), (3, 3, 2, 2)) + between(rng, -40, 40)
    kind: Posture = "standing" if chance(rng, 0.22) else "walking"
    stride = between(rng, 0.04, 0.12) if kind == "standing" else between(rng, 0.26, 0.46)
    arms = (between(rng, 0.05, 0.6), between(rng, 0.05, 0.6) if chance(rng, 0.8) else between(rng, 1.3, 1.9))
    return Pose(kind, heading, stride, float(rng.random()), arms)


def place_things(stage: Stage) -> None:
    """Put cars, trees, lamps, signs and bins on the stage."""
    rng, street = stage.rng, stage.world.street
    if not street.precinct:
        _place_cars(stage)
    for kerb, side in ((street.left_kerb, -1), (street.right_kerb, 1)):
        _place_row(stage, kerb + 0.45 * side)
    for at in (street.left_front + 0.65, street.right_front - 0.65):
        for _ in range(int(rng.integers(0, 3))):
            stage.add_thing(objects.dustbin(stage.world, rng, at, between(rng, 7, 45)))


def _place_cars(stage: Stage) -> None:
    rng, world, street = stage.rng, stage.world, stage.world.street
    for kerb, side, toward in ((street.left_kerb, -1, True), (street.right_kerb, 1, False)):
        z = between(rng, 7, 26) if chance(rng, 0.26) else 75.0
        while z < 75:  # parked
            if chance(rng, 0.72):
                stage.add_thing(objects.car(world, rng, kerb - side * 1.05, z, toward=toward))
            z += between(rng, 5.0, 8.0)
    clear = (street.crossing or 0) + 5
    if chance(rng, 0.45):  # on its way, in the own lane
        x = between(rng, -0.5, min(0.6, street.right_kerb - 1.2))
        stage.add_thing(objects.car(world, rng, x, clear + between(rng, 6, 45), toward=False))
    if street.left_kerb < -4.5 and chance(rng, 0.5):
        x = max(-3.4, street.left_kerb + 2.9) - 0.2
        stage.add_thing(objects.car(world, rng, x, clear + between(rng, 5, 50), toward=True))


def _place_row(stage: Stage, x: float) -> None:
    """What stands along a kerb."""
    rng, world = stage.rng, stage.world
    taken: list[float] = []

    def place(z: float, make: Callable[[World, np.random.Generator, float, float], Thing]) -> None:
        if all(abs(z - other) >= 1.2 for other in taken):
            taken.append(z)
            stage.add_thing(make(world, rng, x, z))

    if chance(rng, 0.3):
        for z in np.arange(between(rng, 6, 14), 95.0, between(rng, 7, 12)).tolist():
            place(z, objects.tree)
    for z in np.arange(between(rng, 8, 26), 100.0, between(rng, 22, 30)).tolist():
        place(z, objects.lamp)
    for _ in range(int(rng.integers(0, 3))):
        place(between(rng, 6, 48), objects.sign)
    if chance(rng, 0.22):
        start = between(rng, 6, 16)
        for k in range(int(rng.integers(4, 12))):
            place(start + 1.6 * k, objects.bollard)
    if chance(rng, 0.4):
        place(between(rng, 6, 40), objects.dustbin)


def place_people(stage: Stage, *, busy: bool) -> list[Region]:
    """Put people on the stage; return the boxes of crowds too far to tell anybody apart."""
    crowds = _place_distant_crowd(stage)
    _place_riders(stage)
    _place_others(stage)
    _place_pedestrians(stage, busy=busy)
    return crowds


def _draw_height(rng: np.random.Generator, near: float) -> int:
    """The height in pixels of a pedestrian of 50 px and more; `near` is the share of those of more than 120 px.

    Most are between 75 and 120 px: the sizes that a short training learns to fit, for which it needs many of a size.
    """
    if chance(rng, near):
        return int(between(rng, NEAR, HIGHEST))
    if chance(rng, 0.12):
        return int(between(rng, 50, 75))
    while True:
        height = int(75 * (1 - float(rng.random())) ** -0.2)
        if height <= NEAR:
            return height


def _stature(rng: np.random.Generator) -> tuple[float, bool]:
    """Someone's height in metres, and whether it is a child."""
    if chance(rng, 0.07):
        return between(rng, 1.05, 1.4), True
    return between(rng, 1.58, 1.92), False


def _place_pedestrians(stage: Stage, *, busy: bool) -> None:
    """Most are in full view, some behind things and each other."""
    rng = stage.rng
    many = int(rng.integers(14, 22) if busy else rng.integers(3, 7))
    if chance(rng, 0.05):
        many = int(rng.integers(0, 2))
    scale = min(1.0, stage.world.height / 512)  # small images show smaller people
    heights = [_draw_height(rng, MANY_NEAR if busy else FEW_NEAR) for _ in range(many)]
    heights += [int(rng.integers(LOWEST, 32)) for _ in range(int(rng.integers(1, 4)))]
    for height in heights:
        hidden = chance(rng, 0.22)
        metres, child = _stature(rng)
        least, most, places = (0.12, 0.78, _hidden_places) if hidden else (0.0, 0.07, _open_places)
        for column, depth, size in places(stage, max(LOWEST, int(scale * height)), metres):
            foot = stage.world.camera.foot(depth)
            if not LOWEST <= size <= HIGHEST or foot > stage.world.height - 1:
                continue
            x, y, w, h = upright_box(column, int(foot) - size, size)
            if stage.fits(slim((x, y, x + w, y + h)), depth, least, most):
                look, pose = Look(rng, child=child), walking_pose(rng)
                limit = 0.75 if hidden or chance(rng, 0.35) else 0.12
                stage.add_actor("upright", look, pose, (column, depth, size), limit)
                break


def _open_places(stage: Stage, height: int, metres: float) -> Iterator[Place]:
    for attempt in range(14):
        # A place for this height may not exist; then someone farther away has to do.
        size = height if attempt < 7 else max(LOWEST, int(height * between(stage.rng, 0.55, 1.0)))
        place = stage.candidate(size, metres)
        if place is not None:
            yield (*place, size)


def _hidden_places(stage: Stage, height: int, metres: float) -> Iterator[Place]:
    """Places beside or behind someone or something."""
    rng, camera, street = stage.rng, stage.world.camera, stage.world.street
    people = [actor for actor in stage.actors if actor.kind == "upright"]
    for _ in range(16):
        if people and chance(rng, 0.55):
            other = pick(rng, people)
            depth = other.depth + between(rng, 0.15, 1.2) * (1 if chance(rng, 0.8) else -1)
            aside = between(rng, 0.22, 0.5) * (1 if chance(rng, 0.5) else -1)
            column = camera.column(camera.across(other.x + other.figure.axis, other.depth) + aside, max(depth, 2))
        else:
            thing = pick(rng, stage.things)
            x1, _, x2, _ = thing.cover[0]
            depth = thing.depth + between(rng, 0.4, 5)
            column = between(rng, x1 - 0.1 * (x2 - x1), x2 + 0.1 * (x2 - x1))
        size = int(camera.pixels(metres, max(depth, 2)) + 0.5)
        walks = street.left_front + 0.3 < camera.across(column, depth) < street.right_front - 0.3
        if walks and 0.7 * height <= size <= 1.4 * height:
            yield column, depth, size


def _place_riders(stage: Stage) -> None:
    rng, world, camera = stage.rng, stage.world, stage.world.camera
    for _ in range(pick(rng, (0, 1, 2), (0.7, 0.22, 0.08))):
        for _ in range(10):
            depth = between(rng, 9, 42)
            column = camera.column(between(rng, world.street.left_kerb + 0.8, world.street.right_kerb - 0.5), depth)
            foot, height = camera.foot(depth), int(camera.pixels(between(rng, 1.7, 1.9) * STATURE["riding"], depth))
            lift = camera.pixels(0.12, depth)  # the shoes are above the ground
            box = (column - 0.3 * height, foot - height - lift, column + 0.3 * height, foot)
            shown = 24 <= height <= HIGHEST and 0 <= column < world.width and foot <= world.height
            if shown and stage.fits(box, depth, 0, 0.3):
                heading = pick(rng, (0.0, 180.0, 90.0, 270.0), (3, 3, 1.5, 1.5)) + between(rng, -18, 18)
                pose = Pose("riding", heading, 0.4, float(rng.random()), (0.3, 0.3))
                actor = stage.add_actor("rider", Look(rng), pose, (column, depth, height), 0.3)
                actor.y = int(foot + 0.5) - actor.figure.body.shape[0]  # what touches the ground is the wheel
                break


def _place_others(stage: Stage) -> None:
    """Place people on benches, bending or crouching, and dense groups."""
    rng, world, street = stage.rng, stage.world, stage.world.street
    if chance(rng, 0.22):
        x, depth = pick(rng, (street.left_front + 0.8, street.right_front - 0.8)), between(rng, 8, 30)
        if 20 < world.camera.column(x, depth) < world.width - 20:
            stage.add_thing(objects.bench(world, rng, x, depth))
            for shift in (-0.5, 0.05, 0.55):
                height = int(world.camera.pixels(between(rng, 1.6, 1.85) * STATURE["sitting"], depth))
                if chance(rng, 0.5) and height >= LOWEST:
                    pose = Pose("sitting", between(rng, -35, 35) % 360, 0.1, float(rng.random()), (0.8, 1.0))
                    place = (world.camera.column(x + shift, depth - 0.35), depth - 0.3, height)
                    stage.add_actor("sitting", Look(rng), pose, place, 0.5)
    if chance(rng, 0.3):
        kind: Posture = pick(rng, ("bending", "crouching"))
        for _ in range(8):
            height = max(int(_draw_height(rng, FEW_NEAR) * STATURE[kind]), LOWEST)
            spot = stage.candidate(height, 1.72 * STATURE[kind])
            if spot is None:
                continue
            half, foot = 0.3 * height, world.camera.foot(spot[1])
            if stage.fits((spot[0] - half, foot - height, spot[0] + half, foot), spot[1], 0, 0.1):
                heading = pick(rng, (90.0, 270.0)) + between(rng, -25, 25)
                pose = Pose(kind, heading, 0.2, float(rng.random()), (0.4, 0.4))
                stage.add_actor("unusual", Look(rng), pose, (*spot, height), 0.3)
                break
    if chance(rng, 0.22):
        _place_group(stage, int(rng.integers(5, 9)), between(rng, 18, 45))


def _place_group(stage: Stage, many: int, depth: float) -> list[Actor]:
    rng, camera = stage.rng, stage.world.camera
    middle = stage.somewhere(depth)
    column, foot, unit = camera.column(middle, depth), camera.foot(depth), camera.pixels(1.0, depth)
    half = 0.2 * many * unit
    if not stage.fits((column - half, foot - 1.7 * unit, column + half, foot), depth, 0.0, 0.15):
        return []
    number = next(stage.numbers)
    members = []
    for _ in range(many):
        metres, child = _stature(rng)
        z, x = depth + between(rng, -0.9, 0.9), middle + between(rng, -0.2, 0.2) * many
        place = (camera.column(x, z), z, max(int(camera.pixels(metres, z)), 8))
        look = Look(rng, child=child)
        members.append(stage.add_actor("group", look, walking_pose(rng), place, 0.2, number))
    return members


def _place_distant_crowd(stage: Stage) -> list[Region]:
    """A far crowd, too small to tell apart, whose pixels are nobody's. Returns its box, if there is one."""
    rng, world = stage.rng, stage.world
    members = _place_group(stage, int(rng.integers(5, 10)), between(rng, 85, 120)) if chance(rng, 0.2) else []
    if not members:
        return []
    for member in members:
        member.number = 0
    bodies = np.array([member.body for member in members])
    x1, y1 = np.maximum(bodies[:, :2].min(axis=0), 0).tolist()
    x2, y2 = np.minimum(bodies[:, 2:].max(axis=0), (world.width, world.height)).tolist()
    return [(x1, y1, x2 - x1, y2 - y1)] if x2 - x1 > 2 and y2 - y1 > 2 else []
