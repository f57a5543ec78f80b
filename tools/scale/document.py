"""docs/scale.md, from what was measured and counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tools.gpu.material import published
from tools.scale.arithmetic import (
    RATES,
    REFERENCE,
    SIZE,
    TEST_SIZE,
    Gpu,
    operations,
    operations_of_all,
    schedule,
    seconds_of_all,
    trainings,
)
from tools.scale.stages import NETWORKS, PARTS

TRAIN_IMAGES, ALL_TRAIN, ALL_VAL = 2112, 2975, 500
"""CityPersons' training images with a pedestrian to train on, all training images, and all test images."""
PIXELS = TEST_SIZE[0] * TEST_SIZE[1] * 3
DEVICES = (1, 8, 30)
WHOLE = {
    "rendering": ALL_TRAIN + ALL_VAL,
    "decoded images": TRAIN_IMAGES,
    "detection, mobilenet": ALL_VAL,
    "detection, resnet50": ALL_VAL,
}
"""Images of the stages whose cost grows with their number."""


def document(measured: Mapping[str, Any] | None, gpu: Gpu, machine: str) -> str:
    """The whole text; None: nothing was measured here, and the counted part stands alone."""
    text = [
        "# The paper's setting at full size",
        "",
        "Written by `python -m tools.scale` (`make scale`): stages run on a sample at full size on this machine, operations are",
        "counted by torch's own counter, and hours follow from what [make gpu measured](gpu.md).",
        "",
        *(_stages(measured, machine, gpu) if measured else []),
        *_operations(gpu),
        *_hours(gpu),
        *_memory(gpu),
        *_disk(measured),
    ]
    return "\n".join(text).rstrip() + "\n"


def _stages(measured: Mapping[str, Any], machine: str, gpu: Gpu) -> list[str]:
    sample = measured["sample"]
    parts = measured["parts"]
    text = [
        "## Stages here, on the CPU",
        "",
        f"The profile `citypersons-rendered` on the first {sample['train']} of {ALL_TRAIN:,} training and {sample['val']} of {ALL_VAL} "
        "test images of 1024 x 2048 px, people laid",
        "out by CityPersons' own annotations, networks of the published width, batches of 20 crops of 640 x 1280 px accumulated",
        f"from 2 at a time. {machine}. Other programs ran meanwhile (the load when a part began is given), so processor",
        "seconds are what counts; memory is the peak of all processes of a stage, pages that several programs share counted in parts.",
        "",
        "| stage | processor | by the clock | of | processor for one | peak memory | load |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in PARTS:
        if name not in parts:
            text.append(f"| {name.replace('_', ' ')} | not run | | | | | |")
            continue
        for row in parts[name]["rows"]:
            number = row["number"]
            text.append(
                f"| {row['what']} | {row['processor']:.1f} s | {row['clock']:.1f} s | {number} {row['unit']}{'s' * (number != 1)} | "
                f"{row['processor'] / max(1, number):.2f} s | {row['peak'] / 2**30:.2f} GiB | {parts[name]['load']:.1f} |"
            )
    text += [
        "",
        "A training of one update and a longer one were run; their difference is the updates alone. On a batch in parts each",
        "update passes forward twice: the number of positives in the whole batch comes first (docs/method.md#loss).",
        "",
    ]
    if whole := _whole(parts):
        text += [
            "For all images, by the time of one (which has a part of what starting takes, so that this is rather too much):",
            "",
            "| what | processor |",
            "|---|---:|",
            *whole,
            "",
        ]
    return [*text, *_killed(_minutes(parts), gpu)]


def _minutes(parts: Mapping[str, Any]) -> dict[str, float]:
    """Processor minutes for all images of the stages whose cost grows with them; the annotations' is that of starting."""
    rows = {row["what"]: row for part in parts.values() for row in part["rows"]}
    return {
        what: rows[what]["processor"] / rows[what]["number"] * number / 60
        for what, number in WHOLE.items()
        if what in rows
    }


def _whole(parts: Mapping[str, Any]) -> list[str]:
    """Rows of what all images and a whole training take here."""
    rows = {row["what"]: row for part in parts.values() for row in part["rows"]}
    found = [f"| {what}, {WHOLE[what]:,} images | {minutes:.1f} min |" for what, minutes in _minutes(parts).items()]
    for backbone in ("mobilenet", "resnet50"):
        if row := rows.get(f"training, {backbone}, further updates of 20 images"):
            # What the first update took together with the start is a bound, too: other programs slow either run down.
            first = rows[f"training, {backbone}, start and first update"]["processor"]
            days = min(row["processor"] / row["number"], first) * published().train.updates / 86400
            found.append(f"| one training of {backbone}, 2 steps, 15,000 updates, here | {days:.0f} days |")
    return found


def _killed(minutes: Mapping[str, float], gpu: Gpu) -> list[str]:
    """What a kill costs each stage at most; `minutes`: processor minutes for all images (`_minutes`)."""
    text = [
        "Killed, a training goes on from its last checkpoint, and decoding after the images that it has written. Rendering and the",
        "detection of a split begin anew: what they make stands in `.scratch/unfinished` or in memory until all of it is there, and",
        "then takes its place by a rename, as one folder; the next stage clears what a killed one left. So nothing half-written is",
        "ever taken for a result, and the most that a kill costs is the whole of the stage",
    ]
    costs = []
    if "rendering" in minutes:
        costs.append(f"- rendering: {minutes['rendering']:.1f} min of processors, shared by two processes")
    for backbone in NETWORKS:
        if (here := minutes.get(f"detection, {backbone}")) is not None:
            there = gpu.detection[backbone, 2] * ALL_VAL
            costs.append(f"- detection, {backbone}: {here:.1f} min of processors here, {there:.0f} s on the {gpu.name}")
    text[-1] += ":" if costs else "."
    return [*text, "", *costs, *[""] * bool(costs), "The other stages take seconds.", ""]


def _operations(gpu: Gpu) -> list[str]:
    params = published()
    text = [
        "## Operations",
        "",
        "Of convolutions and matrix products, a multiplication and an addition as two (`torch.utils.flop_counter`, on tensors",
        f"without content); an update is {params.train.batch} crops of {SIZE[0]} x {SIZE[1]} px, forward and backward, frozen layers "
        "without gradient (torch's rule for the",
        "backward pass of convolutions in groups, which takes them for dense ones, is replaced). Beside",
        f"them what an {gpu.name} took for an update, and the rate that this makes.",
        "",
        "| network | variants | forward, image of 1024 x 2048 | update | float32 | TFLOP/s | bf16-mixed | TFLOP/s |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    kinds = list(trainings().values())
    for kind in sorted(set(kinds), reverse=True):
        each = operations(kind).update * params.train.batch / 1e12
        rates = " | ".join(
            f"{gpu.seconds[kind, precision]:.3f} s | {each / gpu.seconds[kind, precision]:.1f}"
            for precision in ("float32", "bf16-mixed")
        )
        steps = f"{kind[1]} step{'s' * (kind[1] > 1)}"
        text.append(
            f"| {kind[0]}, {steps} | {kinds.count(kind)} | {operations(kind, TEST_SIZE).forward / 1e12:.2f} TFLOP | {each:.2f} TFLOP | {rates} |"
        )
    total = operations_of_all()
    seeds = len(params.seeds)
    text += [
        "",
        f"All: sum over {len(kinds)} variants of update x {params.train.updates:,} updates x {seeds} seeds = **{total / 1e18:.1f} EFLOP** "
        f"({total:.3g} operations).",
        "",
    ]
    return text


def _hours(gpu: Gpu) -> list[str]:
    text = [
        "## Hours for ten variants and three seeds",
        "",
        f"Measured on one {gpu.name}: every training takes its seconds of an update x 15,000, and its detection seconds of an",
        "image x 500. On more devices each takes the longest training that is left; a Slurm cluster with a device for every",
        "training ends with the longest one. Waiting in a queue, loading and evaluation (minutes) are left out.",
        "",
        "| precision | 1 GPU | 8 GPUs | Slurm, 30 GPUs |",
        "|---|---:|---:|---:|",
    ]
    sums = {}
    for precision in ("float32", "bf16-mixed"):
        all_ = seconds_of_all(gpu, precision)
        sums[precision] = sum(all_)
        hours = " | ".join(f"{schedule(all_, devices) / 3600:.1f} h" for devices in DEVICES)
        text.append(f"| {precision} | {hours} |")
    total = operations_of_all()
    shares = {p: total / sums[p] / (1e12 * rate) for p, rate in zip(sums, RATES[REFERENCE], strict=True) if rate}
    text += [
        "",
        f"In 8 of them: sum / 8 is {sums['float32'] / 8 / 3600:.1f} h in float32; whole trainings do not divide evenly.",
        "",
        "For other GPUs, an assumption: they reach the same share of their peak (by the makers' data sheets) as the one measured:",
        f"{total / 1e18:.1f} EFLOP / {sums['float32'] / 3600:.1f} h = {total / sums['float32'] / 1e12:.1f} TFLOP/s, {100 * shares['float32']:.0f} % "
        f"of {RATES[REFERENCE][0]} in float32; {total / sums['bf16-mixed'] / 1e12:.0f} TFLOP/s, {100 * shares['bf16-mixed']:.0f} % of "
        f"{RATES[REFERENCE][1]} in bf16. A GPU",
        "whose memory is slow beside its arithmetic gets less; where bf16 comes out slower than float32, the share does not carry over.",
        "",
        "| GPU | assumed float32 | 1 GPU | 8 GPUs | assumed bf16 | 1 GPU | 8 GPUs |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name, peaks in RATES.items():
        cells = []
        for precision, peak in zip(sums, peaks, strict=True):
            if peak is None:
                cells.append("none | | ")
                continue
            rate = peak * 1e12 * shares[precision]
            eight = schedule(seconds_of_all(gpu, precision), 8) / sums[precision]
            cells.append(
                f"{rate / 1e12:.1f} TFLOP/s | {total / rate / 3600:.0f} h | {total / rate * eight / 3600:.1f} h"
            )
        text.append(f"| {name} | {' | '.join(cells)} |")
    return [*text, ""]


def _memory(gpu: Gpu) -> list[str]:
    numbers = sorted({number for _, number in gpu.memory})
    text = [
        "## Memory of a device",
        "",
        f"Peak of an update of ResNet-50 with three steps, the largest network, at {SIZE[0]} x {SIZE[1]} px, measured on the {gpu.name}; the",
        "number is `train.images_per_device`, and a batch of 20 is accumulated from smaller ones. Between them about linear:",
        f"{_per_image(gpu, 'float32'):.2f} GiB an image in float32, {_per_image(gpu, 'bf16-mixed'):.2f} in bf16.",
        "",
        f"| images | {' | '.join(map(str, numbers))} |",
        f"|---|{'---:|' * len(numbers)}",
    ]
    for precision in ("float32", "bf16-mixed"):
        text.append(f"| {precision} | {' | '.join(f'{gpu.memory[precision, n]:.1f} GiB' for n in numbers)} |")
    return [*text, ""]


def _per_image(gpu: Gpu, precision: str) -> float:
    numbers = sorted(number for name, number in gpu.memory if name == precision)
    first, last = numbers[0], numbers[-1]
    return (gpu.memory[precision, last] - gpu.memory[precision, first]) / (last - first)


def _disk(measured: Mapping[str, Any] | None) -> list[str]:
    rows: list[tuple[str, float]] = [
        (f"decoded images: {TRAIN_IMAGES:,} x {PIXELS:,} bytes, once for all trainings", TRAIN_IMAGES * PIXELS)
    ]
    sizes = (measured or {}).get("sizes", {})
    runs = {b: sum(k[0] == b for k in trainings().values()) * len(published().seeds) for b in ("mobilenet", "resnet50")}
    if measured and sizes.get("images"):
        number = measured["sample"]["train"] + measured["sample"]["val"]
        each = sizes["images"] / number
        rows.append((f"rendered images: {ALL_TRAIN + ALL_VAL:,} x {each / 1e6:.2f} MB", (ALL_TRAIN + ALL_VAL) * each))
    for what in ("model", "checkpoints"):
        for backbone, count in runs.items():
            if size := sizes.get(f"{what}, {backbone}"):
                rows.append((f"{what}, {backbone}: {count} trainings x {size / 1e6:.0f} MB", count * size))
    if measured and sizes.get("detections"):
        each = sizes["detections"] / measured["sample"]["val"]
        rows.append(
            (
                f"detections: {sum(runs.values())} trainings x {ALL_VAL} images x {each / 1e3:.1f} kB (of a network that has learnt nothing)",
                each * ALL_VAL * sum(runs.values()),
            )
        )
    return ["## Disk", "", "| what | bytes |", "|---|---:|", *_sized(rows), ""]


def _sized(rows: Sequence[tuple[str, float]]) -> list[str]:
    total = sum(size for _, size in rows)
    return [f"| {what} | {size / 1e9:.2f} GB |" for what, size in [*rows, ("all", total)]]
