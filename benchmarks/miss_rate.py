"""How long the miss rate takes: 53,000 detections on 500 images, beside pycocotools' COCOeval on the same files.

    python benchmarks/miss_rate.py

Makes the files anew from a seed. Every run is one process on one core and reads both files from disk. The figures are
the best of some runs, in seconds of the clock and of the processor.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"

import numpy as np  # noqa: E402
from pycocotools.coco import COCO  # noqa: E402
from pycocotools.cocoeval import COCOeval  # noqa: E402

from alfnet.evaluation.average_precision import average_precision  # noqa: E402
from alfnet.evaluation.miss_rate import evaluate  # noqa: E402
from alfnet.reading.ground_truth import read_ground_truth  # noqa: E402
from alfnet.reading.results_file import read_detections  # noqa: E402

IMAGES, DETECTIONS, ANNOTATIONS = 500, 53_000, 5_795  # as many annotations as in CityPersons' val_gt.json
HEIGHT, WIDTH = 1024, 2048
NEAR = 0.4
"""Share of the detections that lie around an annotation."""


def make_files(folder: Path, seed: int) -> tuple[Path, Path]:
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

    near = int(NEAR * DETECTIONS)
    around = rng.integers(0, ANNOTATIONS, near)
    jitter = rng.normal(0, 0.06, (near, 4)) * np.tile(truths[around, 2:], 2)
    found = np.concatenate([truths[around] + jitter, boxes(DETECTIONS - near)])
    found[:, 2:] = np.maximum(found[:, 2:], 4)
    found_images = np.concatenate([truth_images[around], rng.integers(1, IMAGES + 1, DETECTIONS - near)])
    scores = np.concatenate([rng.beta(1.2, 1.5, near), rng.beta(0.5, 5, DETECTIONS - near)])
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


def best_time(function: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Return the shortest clock time and processor time of some calls, in seconds."""
    times = []
    for _ in range(repeats):
        clock, processor = time.perf_counter(), time.process_time()
        function()
        times.append((time.perf_counter() - clock, time.process_time() - processor))
    return min(clock for clock, _ in times), min(processor for _, processor in times)


def run_coco(ground_truth_file: Path, detections_file: Path, iou: list[float] | None) -> None:
    """Run pycocotools' evaluation of boxes from files to printed figures; all its defaults, or other IoU thresholds."""
    with contextlib.redirect_stdout(io.StringIO()):
        ground_truth = COCO(str(ground_truth_file))
        run = COCOeval(ground_truth, ground_truth.loadRes(str(detections_file)), "bbox")
        if iou is not None:
            run.params.iouThrs = np.array(iou)
        run.evaluate()
        run.accumulate()
        if iou is None:
            run.summarize()


def main() -> None:
    """Make the files, time everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5, help="runs of the miss rate; COCOeval runs once")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        truth_file, detections_file = make_files(Path(folder), arguments.seed)

        def miss_rate() -> None:
            truth = read_ground_truth(truth_file)
            evaluate(truth, read_detections(detections_file, truth), [0.5, 0.75])

        truth = read_ground_truth(truth_file)
        detections = read_detections(detections_file, truth)
        megabytes = detections_file.stat().st_size / 1e6
        print(f"{len(detections.scores)} detections ({megabytes:.1f} MB), {len(truth.image_ids)} images")
        print(f"{'seconds':<64}  clock   processor")
        ours = best_time(miss_rate, arguments.repeats)
        print(f"{'miss rate, reading included, nine subsets, IoU 0.50 and 0.75':<64}{ours[0]:7.2f} {ours[1]:7.2f}")
        precision = best_time(lambda: average_precision(truth, detections), 1)
        print(f"{'AP, AP50, AP75 beside it':<64}{precision[0]:7.2f} {precision[1]:7.2f}")
        for name, iou in (("its defaults", None), ("IoU 0.50 and 0.75", [0.5, 0.75])):
            coco = best_time(lambda iou=iou: run_coco(truth_file, detections_file, iou), 1)  # type: ignore[misc]
            title = f"COCOeval, reading included, {name}"
            print(f"{title:<64}{coco[0]:7.2f} {coco[1]:7.2f}   {coco[1] / ours[1]:.1f} times the miss rate's")


if __name__ == "__main__":
    main()
