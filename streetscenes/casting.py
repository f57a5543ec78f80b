"""Who is in a scene and where: pedestrians, riders, people on benches, groups, drawn by lot."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from streetscenes import looks, things
from streetscenes.actors import GROUP, PEDESTRIAN, RIDER, SITTING, UNUSUAL, Actor, upright_box
from streetscenes.looks import between, chance, pick
from streetscenes.skeleton import Kind, Pose
from streetscenes.staging import Stage, slim
from streetscenes.things import Thing

LOWEST, NEAR, HIGHEST = 20, 120, 400  # pixels

# Shares of people higher than NEAR: few in validation pictures, more in training pictures, to be learnt from.
FEW_NEAR, MANY_NEAR = 0.005, 0.04

# Heights of people relative to their standing height, for poses that change it.
_STATURE: dict[Kind, float] = {"sitting": 0.77, "crouching": 0.66, "bending": 0.83, "riding": 0.97}


def walking_pose(rng: np.random.Generator, heading: float | None = None) -> Pose:
    """Someone under way or standing about."""
    if heading is None:
        heading = pick(rng, (0.0, 180.0, 90.0, 270.0), (3, 3, 2, 2)) + between(rng, -40, 40)
    kind: Kind = "standing" if chance(rng, 0.22) else "walking"
    stride = between(rng, 0.04, 0.12) if kind == "standing" else between(rng, 0.26, 0.46)
    arms = (between(rng, 0.05, 0.6), between(rng, 0.05, 0.6) if chance(rng, 0.8) else between(rng, 1.3, 1.9))
    return Pose(kind, heading, stride, float(rng.random()), arms)


def draw_height(rng: np.random.Generator, near: float) -> int:
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


def stature(rng: np.random.Generator) -> tuple[float, bool]:
    """Someone's height in metres, and whether it is a child."""
    if chance(rng, 0.07):
        return between(rng, 1.05, 1.4), True
    return between(rng, 1.58, 1.92), False


def stage_pedestrians(stage: Stage, *, busy: bool) -> None:
    """Place the pedestrians: most in full view, some behind things and each other.

    About sixteen in a `busy` street, some of them near; else about five, as many as in a picture of CityPersons.
    """
    rng = stage.rng
    many = int(rng.integers(14, 22) if busy else rng.integers(3, 7))
    if stage.world.street.kind == "precinct":
        many += int(rng.integers(0, 4 if busy else 2))
    if chance(rng, 0.05):
        many = int(rng.integers(0, 2))
    few = int(rng.integers(1, 4))
    scale = min(1.0, stage.world.height / 512)  # small pictures show smaller people
    heights = [draw_height(rng, MANY_NEAR if busy else FEW_NEAR) for _ in range(many)]
    heights += [int(rng.integers(LOWEST, 32)) for _ in range(few)]
    for height in heights:
        _stage_pedestrian(stage, max(LOWEST, int(scale * height)), hidden=chance(rng, 0.22))


def _stage_pedestrian(stage: Stage, height: int, *, hidden: bool) -> None:
    rng = stage.rng
    metres, child = stature(rng)
    limits = (0.12, 0.78) if hidden else (0.0, 0.07)
    places: Iterator[tuple[float, float, int] | None]
    places = _hidden_places(stage, height, metres) if hidden else _open_places(stage, height, metres)
    for place in places:
        if place is None:
            continue
        column, depth, size = place
        if not LOWEST <= size <= HIGHEST or stage.world.camera.foot(depth) > stage.world.height - 1:
            continue
        x, y, w, h = upright_box(column, int(stage.world.camera.foot(depth)) - size, size)
        if stage.fits(slim((x, y, x + w, y + h)), depth, *limits):
            look = looks.person(rng, child=child)
            stage.add_actor(
                PEDESTRIAN,
                stage.next_number(),
                look,
                walking_pose(rng),
                (column, depth, size),
                0.75 if hidden or chance(rng, 0.35) else 0.12,
            )
            return


def _open_places(stage: Stage, height: int, metres: float) -> Iterator[tuple[float, float, int] | None]:
    for attempt in range(14):
        # A place for this height may not exist; then someone farther away has to do.
        size = height if attempt < 7 else max(LOWEST, int(height * between(stage.rng, 0.55, 1.0)))
        place = stage.candidate(size, metres)
        yield None if place is None else (*place, size)


def _hidden_places(stage: Stage, height: int, metres: float) -> Iterator[tuple[float, float, int] | None]:
    """Places beside or behind someone or something."""
    rng, camera = stage.rng, stage.world.camera
    for _ in range(16):
        people = [actor for actor in stage.actors if actor.kind == PEDESTRIAN]
        if people and chance(rng, 0.55):
            other = pick(rng, people)
            depth = other.depth + between(rng, 0.15, 1.2) * (1 if chance(rng, 0.8) else -1)
            aside = between(rng, 0.22, 0.5) * (1 if chance(rng, 0.5) else -1)
            column = camera.column(camera.across(other.x + other.figure.axis, other.depth) + aside, max(depth, 2))
        else:
            solid = [thing for thing in stage.things if thing.cover]
            if not solid:
                yield None
                continue
            thing = pick(rng, solid)
            x1, _, x2, _ = thing.cover[0]
            depth = thing.depth + between(rng, 0.4, 5)
            column = between(rng, x1 - 0.1 * (x2 - x1), x2 + 0.1 * (x2 - x1))
        size = int(camera.pixels(metres, max(depth, 2)) + 0.5)
        if size < 0.7 * height or size > 1.4 * height:
            yield None
            continue
        across = camera.across(column, depth)
        street = stage.world.street
        yield (column, depth, size) if street.left_front + 0.3 < across < street.right_front - 0.3 else None


def stage_riders(stage: Stage) -> None:
    """Place people on bicycles on the road."""
    rng, world = stage.rng, stage.world
    for _ in range(pick(rng, (0, 1, 2), (0.7, 0.22, 0.08))):
        for _ in range(10):
            depth = between(rng, 9, 42)
            across = between(rng, world.street.left_kerb + 0.8, world.street.right_kerb - 0.5)
            column = world.camera.column(across, depth)
            height = int(world.camera.pixels(between(rng, 1.7, 1.9) * _STATURE["riding"], depth))
            lift = world.camera.pixels(0.12, depth)  # the shoes are above the ground
            if not 24 <= height <= HIGHEST or not 0 <= column < world.width or world.camera.foot(depth) > world.height:
                continue
            box = (
                column - 0.3 * height,
                world.camera.foot(depth) - height - lift,
                column + 0.3 * height,
                world.camera.foot(depth),
            )
            if not stage.fits(box, depth, 0.0, 0.3):
                continue
            heading = pick(rng, (0.0, 180.0, 90.0, 270.0), (3, 3, 1.5, 1.5)) + between(rng, -18, 18)
            actor = stage.add_actor(
                RIDER,
                stage.next_number(),
                looks.person(rng),
                Pose("riding", heading, 0.4, float(rng.random()), (0.3, 0.3)),
                (column, depth, height),
                0.3,
            )
            # What touches the ground is the wheel.
            actor.y -= actor.y + actor.figure.body.shape[0] - int(world.camera.foot(depth) + 0.5)
            break


def stage_others(stage: Stage) -> None:
    """Place people on benches, bending or holding children, and dense groups."""
    rng, world = stage.rng, stage.world
    street = world.street
    if chance(rng, 0.22):
        side = pick(rng, (street.left_front + 0.8, street.right_front - 0.8))
        depth = between(rng, 8, 30)
        if 20 < world.camera.column(side, depth) < world.width - 20:
            stage.add_thing(things.bench(world, rng, side, depth))
            for shift in (-0.5, 0.05, 0.55):
                if chance(rng, 0.5):
                    metres = between(rng, 1.6, 1.85) * _STATURE["sitting"]
                    pose = Pose("sitting", between(rng, -35, 35) % 360, 0.1, float(rng.random()), (0.8, 1.0))
                    place = (
                        world.camera.column(side + shift, depth - 0.35),
                        depth - 0.3,
                        int(world.camera.pixels(metres, depth)),
                    )
                    if place[2] >= LOWEST:
                        stage.add_actor(SITTING, stage.next_number(), looks.person(rng), pose, place, 0.5)
    if chance(rng, 0.3):
        kind: Kind = pick(rng, ("bending", "crouching", "carrying"), (1, 1, 1.4))
        heading = pick(rng, (90.0, 270.0)) + between(rng, -25, 25) if kind != "carrying" else between(rng, 0, 360)
        for _ in range(8):
            height = int(draw_height(rng, FEW_NEAR) * _STATURE.get(kind, 1.0))
            spot = stage.candidate(max(height, LOWEST), 1.72 * _STATURE.get(kind, 1.0))
            if spot is None:
                continue
            half = 0.3 * height
            foot = world.camera.foot(spot[1])
            if stage.fits((spot[0] - half, foot - height, spot[0] + half, foot), spot[1], 0, 0.1):
                pose = Pose(kind, heading, 0.2, float(rng.random()), (0.4, 0.4))
                stage.add_actor(
                    UNUSUAL, stage.next_number(), looks.person(rng), pose, (*spot, max(height, LOWEST)), 0.3
                )
                break
    if chance(rng, 0.22):
        _stage_group(stage, GROUP, int(rng.integers(5, 9)), between(rng, 18, 45))


def _stage_group(stage: Stage, kind: int, many: int, depth: float) -> list[Actor]:
    rng, world = stage.rng, stage.world
    zones = stage.zones(depth)
    if not zones:
        return []
    low, high, _ = pick(rng, zones, [weight for _, _, weight in zones])
    middle = between(rng, low, high)
    unit = world.camera.pixels(1.0, depth)
    column, foot = world.camera.column(middle, depth), world.camera.foot(depth)
    half = 0.25 * many * unit * 0.8
    if not stage.fits((column - half, foot - 1.7 * unit, column + half, foot), depth, 0.0, 0.15):
        return []
    number = stage.next_number()
    members = []
    for _ in range(many):
        metres, child = stature(rng)
        z = depth + between(rng, -0.9, 0.9)
        x = middle + between(rng, -0.2, 0.2) * many
        place = (world.camera.column(x, z), z, max(int(world.camera.pixels(metres, z)), 8))
        members.append(stage.add_actor(kind, number, looks.person(rng, child=child), walking_pose(rng), place, 0.2))
    return members


def stage_distant_crowd(stage: Stage) -> list[tuple[int, int, int, int]]:
    """A far crowd, too small to tell apart: an ignore region. Returns its box x y w h, if there is one."""
    rng = stage.rng
    if not chance(rng, 0.2):
        return []
    members = _stage_group(stage, GROUP, int(rng.integers(5, 10)), between(rng, 85, 120))
    if not members:
        return []
    for member in members:
        member.number = 0
    boxes = [member.body for member in members]
    x1, y1 = max(min(box[0] for box in boxes), 0), max(min(box[1] for box in boxes), 0)
    x2, y2 = min(max(box[2] for box in boxes), stage.world.width), min(max(box[3] for box in boxes), stage.world.height)
    for member in members:
        stage.actors.remove(member)
        stage.things.append(Thing(member.depth, [], member.paint))
    return [(x1, y1, x2 - x1, y2 - y1)] if x2 - x1 > 2 and y2 - y1 > 2 else []
