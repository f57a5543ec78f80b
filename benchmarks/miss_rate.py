"""How long the miss rate takes, beside pycocotools and faster-coco-eval on the same files in the same run.

    python -m benchmarks.miss_rate            53,039 detections; prints the figures
    python -m benchmarks.miss_rate --large    2,000,000 as well
    python -m benchmarks.miss_rate --large --out docs/speed.md

Makes the files anew from a seed. Every contender is a process of its own on one core, from reading the files to printed
figures; processor seconds are compared, as the clock also counts what else the machine does. faster-coco-eval is no
dependency: where it is not installed it is fetched into a temporary folder, and left out where that fails.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from alfnet.files import write_text

IMAGES, DETECTIONS, LARGE, ANNOTATIONS = (
    500,
    53_039,
    2_000_000,
    5_795,
)  # as many annotations as in CityPersons' val_gt.json
HEIGHT, WIDTH = 1024, 2048
NEAR = 0.4
"""Share of the detections that lie around an annotation."""


def make_files(folder: Path, seed: int, number: int = DETECTIONS) -> tuple[Path, Path]:
    """Write a ground truth and detections (COCO results) and return their paths; equal seeds give equal bytes."""
    rng = np.random.Generator(np.random.PCG64(seed))

    def boxes(number: int) -> np.ndarray:
        heights = np.clip(rng.lognormal(4.4, 0.7, number), 12, 800)
        widths = 0.41 * heights
        lefts = rng.uniform(0, WIDTH - widths)
        tops = np.clip(rng.normal(400, 60, number) - heights / 3, 0, HEIGHT - heights)
        return np.stack([lefts, tops, widths, heights], axis=1)

    truths = np.round(boxes(ANNOTATIONS))
    truth_images = np.sort(rng.integers(1, IMAGES + 1, ANNOTATIONS))
    ignored = rng.random(ANNOTATIONS) < 0.5
    visible = np.round(1 - rng.beta(0.6, 1.5, ANNOTATIONS), 6)
    annotations = [
        {
            "id": i + 1, "image_id": int(truth_images[i]), "category_id": 1, "bbox": truths[i].tolist(),
            "area": float(truths[i, 2] * truths[i, 3]), "height": float(truths[i, 3]), "vis_ratio": float(visible[i]),
            "ignore": int(ignored[i]), "iscrowd": int(ignored[i]),
        }
        for i in range(ANNOTATIONS)
    ]  # fmt: skip
    images = [{"id": i, "file_name": f"{i:04d}.png", "height": HEIGHT, "width": WIDTH} for i in range(1, IMAGES + 1)]

    near = int(NEAR * number)
    around = rng.integers(0, ANNOTATIONS, near)
    jitter = rng.normal(0, 0.06, (near, 4)) * np.tile(truths[around, 2:], 2)
    found = np.concatenate([truths[around] + jitter, boxes(number - near)])
    found[:, 2:] = np.maximum(found[:, 2:], 4)
    found_images = np.concatenate([truth_images[around], rng.integers(1, IMAGES + 1, number - near)])
    scores = np.concatenate([rng.beta(1.2, 1.5, near), rng.beta(0.5, 5, number - near)])
    order = np.argsort(found_images, kind="stable")
    detections = [
        {"image_id": image_id, "category_id": 1, "bbox": box, "score": score}
        for image_id, box, score in zip(
            found_images[order].tolist(), found[order].round(4).tolist(), scores[order].round(4).tolist(), strict=True
        )
    ]
    ground_truth_file, detections_file = folder / "ground_truth.json", folder / "detections.json"
    categories = [{"id": 1, "name": "pedestrian"}]
    ground_truth_file.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    detections_file.write_text(json.dumps(detections))
    return ground_truth_file, detections_file


ROOT = Path(__file__).resolve().parent.parent

_COCO = """
import sys, numpy as np
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
truth = COCO(sys.argv[1])
run = COCOeval(truth, truth.loadRes(sys.argv[2]), "bbox")
run.params.maxDets = [1, 10, int(sys.argv[3])]
run.evaluate(); run.accumulate(); run.summarize()
"""
_FASTER = """
import sys
from faster_coco_eval import COCO, COCOeval_faster
truth = COCO(sys.argv[1])
run = COCOeval_faster(truth, truth.loadRes(sys.argv[2]), "bbox")
run.params.maxDets = [1, 10, int(sys.argv[3])]
run.evaluate(); run.accumulate(); run.summarize()
"""
# The peak of the program itself: what `wait` reports counts the memory of the process that started it, too.
_PEAK = """
import atexit, os
atexit.register(lambda: open(os.environ["PEAK_FILE"], "w").write(open("/proc/self/status").read()))
"""
_OURS = "from alfnet.__main__ import main; main()"


@dataclass(frozen=True)
class Cost:
    """What a process took."""

    seconds: float
    """Of the processor, user and system."""
    megabytes: float
    """The most memory that it held."""


def run(code: str, arguments: list[str], packages: Path | None = None) -> Cost:
    """Run Python code in a process of its own on one core and return its cost. Raises CalledProcessError if it fails."""
    path = os.pathsep.join(map(str, filter(None, [ROOT, packages])))
    one = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    # Compiled once, as where a package is installed, and not in the source tree.
    compiled = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "alfnet-benchmark")}
    environment = os.environ | one | compiled | {"PYTHONPATH": path}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.NamedTemporaryFile("r") as peak:
        process = subprocess.Popen(
            [sys.executable, "-c", _PEAK + code, *arguments],
            env=environment | {"PEAK_FILE": peak.name},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise subprocess.CalledProcessError(process.returncode, code)
        kilobytes = next(int(line.split()[1]) for line in peak if line.startswith("VmHWM"))
    return Cost(used.ru_utime + used.ru_stime, kilobytes / 1024)


def best(repeats: int, code: str, arguments: list[str], packages: Path | None = None) -> Cost:
    """Return the cheapest of some runs."""
    return min((run(code, arguments, packages) for _ in range(repeats)), key=lambda cost: cost.seconds)


def faster_coco_eval(folder: Path) -> Path | None:
    """Return a folder from which faster-coco-eval can be imported; None where it is not to be had."""
    command = [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--target", str(folder), "faster-coco-eval"]
    return folder if subprocess.run(command, capture_output=True).returncode == 0 else None


def contest(folder: Path, number: int, seed: int, repeats: int, packages: Path | None) -> list[tuple[str, Cost]]:
    """Return the cost of every contender on `number` detections; ours first."""
    files = list(map(str, make_files(folder, seed, number)))
    rows = [("alfnet evaluate: nine subsets, IoU 0.5 and 0.75, AP", best(repeats, _OURS, ["evaluate", *files]))]
    if packages is not None:
        rows.append(("faster-coco-eval: AP, 100 an image", best(repeats, _FASTER, [*files, "100"], packages)))
        rows.append(("faster-coco-eval: AP, 1000 an image", best(repeats, _FASTER, [*files, "1000"], packages)))
    if number < 500_000:  # it takes minutes for more
        rows.append(("pycocotools: AP, 100 an image", best(1, _COCO, [*files, "100"])))
        rows.append(("pycocotools: AP, 1000 an image", best(1, _COCO, [*files, "1000"])))
    return rows


def report(contests: dict[int, list[tuple[str, Cost]]]) -> str:
    """Return docs/speed.md: the contenders' costs as ratios to ours."""
    text = [
        "# Speed of the evaluation",
        "",
        "Written by `python -m benchmarks.miss_rate --large --out docs/speed.md`: every program as a process of its own on one",
        "core, from reading the same JSON files (500 images, 5,795 annotations, detections made from a seed) to printed",
        "figures. Processor time, as a multiple of ours in the same run; the seconds are this machine's, with what else it did.",
    ]
    for number, rows in contests.items():
        ours = rows[0][1]
        text += ["", f"## {number:,} detections", "", "| program | times ours | seconds | MB |", "|---|---:|---:|---:|"]
        text += [
            f"| {name} | {cost.seconds / ours.seconds:.2f} | {cost.seconds:.2f} | {cost.megabytes:.0f} |"
            for name, cost in rows
        ]
    text += [
        "",
        "The COCO evaluators compute something else (average precision, of the best 100 or 1000 of an image), not miss rates;",
        "their time is for scale. CityPersons' public script, which computes these miss rates, was not rerun (it has no licence",
        "that would let it be kept here): 29 s had been measured on a file of 53,039 detections, on which `alfnet evaluate`",
        "took 0.54 s.",
    ]
    return "\n".join(text) + "\n"


def main() -> None:
    """Make the files, run everything, print the report and write it if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3, help="runs of each but pycocotools, which runs once")
    parser.add_argument("--large", action="store_true", help="also 2,000,000 detections")
    parser.add_argument("--out", type=Path, help="write the report here")
    arguments = parser.parse_args()
    contests = {}
    with tempfile.TemporaryDirectory() as folder:
        packages = faster_coco_eval(Path(folder) / "packages")
        if packages is None:
            print("faster-coco-eval could not be fetched and is left out", file=sys.stderr)
        for number in (DETECTIONS, *([LARGE] if arguments.large else [])):
            repeats = arguments.repeats if number == DETECTIONS else 1
            contests[number] = contest(Path(folder), number, arguments.seed, repeats, packages)
    text = report(contests)
    print(text, end="")
    if arguments.out is not None:
        write_text(arguments.out, text)


if __name__ == "__main__":
    main()
