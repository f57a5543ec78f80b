"""What the detector's own parts cost beside a peer, and how that grows with the work. One core."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from ruamel.yaml import YAML
from torchvision.models.detection._utils import Matcher
from torchvision.ops import box_iou, nms

from alfnet.boxes.anchors import anchors
from alfnet.boxes.targets import BoxLists, assign
from alfnet.detection.postprocess import select
from alfnet.launch.run import pending
from alfnet.network.alfnet import normalise
from alfnet.params import TrainSettings, check_params, load_params
from alfnet.profiles import PACKAGED, PAPER, load_profile, merged_text
from benchmarks.turns import HEAD, by_turns, row
from tools.gpu.material import Training, make_batch, make_network, people, train_settings

PUBLISHED = (640, 1280)
"""Height and width of a crop, pixels: 34,000 anchors."""
TARGETS_GOAL = 2.5
"""Milliseconds of an image and a step."""
JOINT_GOAL = 1.8
ROOT = Path(__file__).resolve().parent.parent
_LIST = [sys.executable, "-m", "dvc", "stage", "list", "--name-only"]


def targets(rounds: int, *, sizes: tuple[tuple[int, int], ...] = ((320, 640), PUBLISHED, (1280, 2560))) -> list[str]:
    """Targets per image and step, by anchors, ground truths and images, beside torchvision's IoU and `Matcher`.

    The peer knows no ignore regions and gives no offsets.
    """
    lines = ["## Targets of an image and step", "", *HEAD]
    for size in sizes:
        lines.append(_target_row(rounds, size, 6, 10, "anchors"))
    for number in (1, 20, 80):
        lines.append(_target_row(rounds, PUBLISHED, number, 10, "ground truths"))
    for images in (1, 20):
        lines.append(_target_row(rounds, PUBLISHED, 6, images, "images"))
    return [
        *lines,
        "",
        f"Goal: at most {TARGETS_GOAL} ms with 34,000 anchors. The peer, torchvision's `box_iou` and `Matcher`",
        "image by image, knows no ignore regions and gives no offsets.",
        "",
    ]


def _target_row(rounds: int, size: tuple[int, int], number: int, images: int, grows: str) -> str:
    random = np.random.default_rng(0)
    settings = load_profile(PAPER, PACKAGED)
    boxes = anchors(*size, settings.head.anchors)
    lists = [
        torch.from_numpy(np.concatenate([people(*size, random) for _ in range(14)])[:number]) for _ in range(images)
    ]
    regions = [torch.from_numpy(people(*size, random)[:1]) for _ in range(images)]
    truth, ignore = BoxLists.of(lists), BoxLists.of(regions)
    pair = settings.train.targets.thresholds["2"][0]
    matcher = Matcher(pair.upper, pair.lower, allow_low_quality_matches=True)

    def ours() -> object:
        return assign(boxes, truth, ignore, lower=pair.lower, upper=pair.upper, order="positives_first")

    def peer() -> object:
        return [matcher(box_iou(each, boxes)) for each in lists]

    found = by_turns({"ours": ours, "peer": peer}, "peer", rounds)["ours"]
    each = type(found)(found.milliseconds / images, found.ratio, found.low, found.high)
    what = f"{len(boxes):,} anchors, {number} ground truths, {images} image{'s' * (images > 1)} at a time"
    return row(what.replace(f"{number} ground truths", f"{number} ground truth{'s' * (number > 1)}"), each, "Matcher")


def selection(rounds: int, numbers: tuple[int, ...] = (1_000, 34_000, 87_040)) -> list[str]:
    """The selection of an image's detections by boxes, beside torchvision's `nms` on as many as it gets."""
    settings = load_profile(PAPER, PACKAGED).detect.model_dump()
    names = ("score_threshold", "nms_iou", "minimum_side", "before_nms", "after_nms")
    values = {name: settings[name] for name in names}
    lines = ["## Selection of an image's detections", "", *HEAD]
    random = np.random.default_rng(0)
    for number in numbers:
        corners = random.uniform(0, 1900, (number, 2))
        sides = random.uniform(16, 120, (number, 2))
        boxes = torch.from_numpy(np.concatenate([corners, corners + sides], axis=1).astype(np.float32))
        scores = torch.from_numpy(random.random(number).astype(np.float32))
        best = scores.argsort(descending=True)[: values["before_nms"]]
        some, theirs = boxes[best], scores[best]
        ways: dict[str, Callable[[], object]] = {
            "ours": lambda boxes=boxes, scores=scores: select(boxes, scores, **values),  # type: ignore[misc]
            "nms": lambda some=some, theirs=theirs: nms(some, theirs, values["nms_iou"]),  # type: ignore[misc]
        }
        lines.append(
            row(f"{number:,} boxes", by_turns(ways, "nms", rounds)["ours"], f"`nms` of the best {len(best):,}")
        )
    return [*lines, ""]


def updates(rounds: int, *, width: float = 0.25, size: tuple[int, int] = (320, 640)) -> list[str]:
    """An update of two steps at once, beside one for each step in turn.

    The latter as `train.steps: alternating` has it, whose second update takes the boxes from its own pass through the
    network; and as the 2018 code does, with a pass for the boxes alone in between (docs/method.md#loss).
    """
    settings: TrainSettings = train_settings(size, 2)
    batch = [make_batch(2, size)]
    lines = ["## Joint and alternating updates", "", *HEAD]
    for backbone in ("mobilenet", "resnet50"):
        at_work = Training(make_network(backbone, 2, width), settings, torch.device("cpu"))

        def joint(at_work: Training = at_work) -> None:
            at_work.update(batch)

        def alternating(at_work: Training = at_work) -> None:
            for step in (1, 2):
                at_work.losses.backward(batch, [step])
                at_work.optimizer.step()
                at_work.optimizer.zero_grad()

        def as_in_2018(at_work: Training = at_work) -> None:
            for step in (1, 2):
                if step == 2:
                    at_work.network.eval()
                    with torch.no_grad():
                        at_work.network(normalise(batch[0].images))
                    at_work.network.train()
                at_work.losses.backward(batch, [step])
                at_work.optimizer.step()
                at_work.optimizer.zero_grad()

        ways = {"joint": joint, "alternating": alternating, "2018": as_in_2018}
        found = by_turns(ways, "joint", rounds, least=0.0)
        network = f"{backbone}, 2 steps, width {width}, 2 images of {size[0]} x {size[1]}"
        beside = f"joint, {found['joint'].milliseconds:.1f} ms"
        lines.append(row(f"{network}: one update for each step", found["alternating"], beside))
        lines.append(row(f"{network}: the same with a pass between them, as the 2018 code", found["2018"], beside))
    goal = f"Goal: joint updates of two steps at least {JOINT_GOAL} x as fast as alternating ones, which the 2018 code makes."
    return [
        *lines,
        "",
        goal,
        "`train.steps: alternating` takes the boxes from the second update's own pass instead.",
        "",
    ]


def variants(rounds: int, numbers: tuple[int, ...] = (2, 10, 30)) -> list[str]:
    """Reading and checking params.yaml by its variants, beside reading alone; and finding the jobs of a launch."""
    raw = YAML(typ="safe").load(merged_text("citypersons", PACKAGED))
    first = next(iter(raw["variants"].values()))
    lines = ["## Parameters and jobs by variants", "", *HEAD]
    for number in numbers:
        raw["variants"] = {f"v{index}": first for index in range(number)}
        written = io.StringIO()
        YAML(typ="safe").dump(raw, written)
        text = written.getvalue()
        ways: dict[str, Callable[[], object]] = {
            "checked": lambda text=text: check_params(YAML(typ="safe").load(text), "params.yaml"),  # type: ignore[misc]
            "read": lambda text=text: YAML(typ="safe").load(text),  # type: ignore[misc]
        }
        lines.append(
            row(
                f"{number} variants, read and checked", by_turns(ways, "read", rounds)["checked"], "read by ruamel.yaml"
            )
        )
    return [*lines, "", *_pipelines(max(1, rounds // 3), numbers)]


def _pipelines(rounds: int, numbers: tuple[int, ...]) -> list[str]:
    """What `alfnet launch` does first, finding the jobs that are to run, by variants of three seeds each; by the clock."""
    lines = ["| what | s | beside | times as much (quartiles) |", "|---|---:|---|---:|"]
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for number in numbers:
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name in tracked.rstrip("\0").split("\0"):
                if (ROOT / name).is_file() and name != "dvc.lock":
                    (root / name).parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(ROOT / name, root / name)
            subprocess.run(["git", "init", "-q"], cwd=root, check=True)
            raw = YAML(typ="safe").load(merged_text("mini", PACKAGED))
            first = next(iter(raw["variants"].values()))
            raw["variants"] = {f"v{index}": first for index in range(number)}
            with (root / "params.yaml").open("w") as file:
                YAML(typ="safe").dump(raw, file)
            params = load_params(root / "params.yaml")
            times = {"pending": np.empty(rounds), "list": np.empty(rounds)}
            for turn in range(-1, rounds):  # the first does not count
                for name, work in (
                    ("pending", lambda: pending(root, params)),  # noqa: B023
                    ("list", lambda: subprocess.run(_LIST, cwd=root, check=True, capture_output=True)),  # noqa: B023
                ):
                    started = time.perf_counter()
                    work()
                    times[name][max(turn, 0)] = time.perf_counter() - started
            low, middle, high = np.quantile(times["pending"] / times["list"], (0.25, 0.5, 0.75))
            jobs, seconds = number * len(params.seeds), float(np.median(times["pending"]))
            what = f"{number} variants, {jobs} jobs found that are to run"
            lines.append(f"| {what} | {seconds:.2f} | `dvc stage list` | {middle:.2f} ({low:.2f} - {high:.2f}) |")
    return [*lines, ""]
