"""The pipeline's stages at full size on a sample, one part at a time; what each took is kept beside their outputs."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from alfnet.errors import AlfnetError
from alfnet.files import read_json, write_json
from alfnet.profiles import merged_text
from tools.scale.measure import Cost, run

ROOT = Path(__file__).resolve().parent.parent.parent
PROFILE, DATA, SEED = "citypersons-rendered", "rendered", "1"
NETWORKS = {"mobilenet": "mobilenet-2s", "resnet50": "resnet50-2s"}
_DECODE = """
from pathlib import Path
from alfnet.params import load_params
params = load_params()
from alfnet.annotations.cache import load_fold
from alfnet.training.decoded import decode_images
decode_images(load_fold(Path("cache/train.json"), "train", None), params.data.images_folder, Path(".scratch/decoded"))
"""


class Scale:
    """A folder in which the stages run as `dvc repro` would run them, and where what they took is kept."""

    def __init__(self, folder: Path, train: int, val: int, updates: dict[str, int]) -> None:
        """`train`, `val`: images of the sample; `updates`: of each backbone's training."""
        self.folder, self.train, self.val, self.updates = folder.resolve(), train, val, updates
        self.kept = self.folder / "measured.json"
        self.folder.mkdir(parents=True, exist_ok=True)
        sample = {"train": train, "val": val, "updates": updates}
        self.measured: dict[str, Any] = read_json(self.kept) if self.kept.is_file() else {"sample": sample, "parts": {}}
        if self.measured["sample"] != sample:
            raise AlfnetError(
                f"{folder}: holds a sample of {self.measured['sample']}; name another folder, or that sample"
            )

    def measure(self, name: str) -> None:
        """Run a part and keep what it took. Raises AlfnetError where it fails."""
        print(f"{name} ...", flush=True)
        rows: list[dict[str, Any]] = []
        load = os.getloadavg()[0]
        for what, number, unit, cost in getattr(self, f"_{name}")():
            rows.append({"what": what, "number": number, "unit": unit, **asdict(cost)})
            print(f"  {what}: {cost.clock:.1f} s, {cost.processor:.1f} s of processors, {cost.peak / 2**30:.2f} GiB")
        self.measured["parts"][name] = {"rows": rows, "load": load}
        self.measured["sizes"] = self._sizes()
        write_json(self.kept, self.measured)

    def _stage(self, stage: str, *arguments: str, stop: Callable[[], bool] = lambda: False) -> Cost:
        return self._python(str(ROOT / "stages" / f"{stage}.py"), *arguments, stop=stop)

    def _python(self, *arguments: str, stop: Callable[[], bool] = lambda: False) -> Cost:
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        log = self.folder / "log.txt"
        command = [sys.executable, *arguments]
        try:
            return run(command, self.folder, environment, log=log, stop=stop)
        except Exception as error:
            last = (log.read_text(errors="replace").strip().splitlines() or ["no message"])[-1]
            raise AlfnetError(f"{error}: {last}") from error

    def _parameters(self, *variants: str, updates: int = 1) -> None:
        """params.yaml of the profile, for the sample and some of the variants."""
        raw = YAML(typ="safe").load(merged_text(PROFILE, ROOT / "profiles"))
        raw["synthetic"][DATA] |= {"train_images": self.train, "val_images": self.val}
        raw["variants"] = {NETWORKS[name]: {"backbone": name, "steps": 2} for name in variants}
        raw["train"]["updates"] = updates
        (self.folder / "params.yaml").write_text(json.dumps(raw))

    def _rendering(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters("mobilenet")
        return [("rendering", self.train + self.val, "image", self._stage("dataset", DATA))]

    def _annotations(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters("mobilenet")
        caches = [
            (f"annotation cache, {split}", number, "image", self._stage("cache_annotations", split))
            for split, number in (("train", self.train), ("val", self.val))
        ]
        return [*caches, ("ground truth", self.val, "image", self._stage("ground_truth"))]

    def _weights(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters(*NETWORKS)
        rows = []
        for backbone, variant in NETWORKS.items():
            for stage, argument in (("backbone", backbone), ("first_weights", variant)):
                rows.append((f"{stage.replace('_', ' ')}, {backbone}", 1, "network", self._stage(stage, argument)))
        return rows

    def _decoded(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters("mobilenet")
        shutil.rmtree(self.folder / ".scratch" / "decoded", ignore_errors=True)
        images = len(read_json(self.folder / "cache" / "train.json")["images"])
        return [("decoded images", images, "image", self._python("-c", _DECODE))]

    def _training(self, backbone: str) -> list[tuple[str, int, str, Cost]]:
        """Two trainings, of one update and of several: their difference is that of the updates alone."""
        updates = self.updates[backbone]
        costs = []
        for number in (1, updates):
            self._parameters(backbone, updates=number)
            self._forget(backbone)
            costs.append(self._stage("train", NETWORKS[backbone], SEED))
        one, all_ = costs
        alone = Cost(all_.clock - one.clock, all_.processor - one.processor, all_.peak)
        return [
            (f"training, {backbone}, start and first update", 1, "training", one),
            (f"training, {backbone}, further updates of 20 images", updates - 1, "update", alone),
        ]

    def _training_mobilenet(self) -> list[tuple[str, int, str, Cost]]:
        return self._training("mobilenet")

    def _training_resnet50(self) -> list[tuple[str, int, str, Cost]]:
        return self._training("resnet50")

    def _resume(self) -> list[tuple[str, int, str, Cost]]:
        """Killed after its first checkpoint, and run again: the detector is the one of an uninterrupted training."""
        self._parameters("mobilenet", updates=self.updates["mobilenet"])
        model = self.folder / "models" / NETWORKS["mobilenet"] / SEED / "model.safetensors"
        wanted = model.read_bytes()
        self._forget("mobilenet")
        folders = self.folder / ".scratch"
        killed = self._stage(
            "train",
            NETWORKS["mobilenet"],
            SEED,
            stop=lambda: any(folders.glob(f"{NETWORKS['mobilenet']}-{SEED}-*/*.ckpt")),
        )
        if model.exists():
            raise AlfnetError(
                "resume: the training ended before it could be killed; more updates of mobilenet are wanted"
            )
        again = self._stage("train", NETWORKS["mobilenet"], SEED)
        self.measured["resumed"] = "the same bytes" if model.read_bytes() == wanted else "other bytes"
        return [
            ("training, mobilenet, killed (SIGKILL) after its first checkpoint", 1, "training", killed),
            (f"the same command again: {self.measured['resumed']} as uninterrupted", 1, "training", again),
        ]

    def _forget(self, backbone: str) -> None:
        name = NETWORKS[backbone]
        shutil.rmtree(self.folder / "models" / name, ignore_errors=True)
        for found in (self.folder / ".scratch").glob(f"{name}-{SEED}-*"):
            shutil.rmtree(found)

    def _detection(self) -> list[tuple[str, int, str, Cost]]:
        rows = []
        for backbone, name in NETWORKS.items():
            if not (self.folder / "models" / name).is_dir():
                continue
            self._parameters(backbone)
            self._stage("validate", name, SEED)
            rows.append((f"detection, {backbone}", self.val, "image", self._stage("detect", name, SEED)))
        return rows

    def _evaluation(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters("mobilenet")
        name = NETWORKS["mobilenet"]
        rows = [("evaluation, mobilenet", 1, "training", self._stage("evaluate", name, SEED))]
        return [*rows, ("summary, mobilenet", 1, "variant", self._stage("summarise", name))]

    def _report(self) -> list[tuple[str, int, str, Cost]]:
        self._parameters("mobilenet")
        (self.folder / "deploy").mkdir(exist_ok=True)
        return [("report of one variant", 1, "report", self._stage("report"))]

    def _sizes(self) -> dict[str, int]:
        """Bytes of what lies in the folder."""

        def of(pattern: str) -> int:
            return sum(path.stat().st_size for path in self.folder.glob(pattern) if path.is_file())

        return {
            "images": of("data/rendered/**/*.png"),
            "decoded": of(".scratch/decoded/*.images"),
            **{f"model, {b}": of(f"models/{n}/{SEED}/model.safetensors") for b, n in NETWORKS.items()},
            **{f"checkpoints, {b}": of(f".scratch/{n}-{SEED}-*/*") for b, n in NETWORKS.items()},
            "detections": of(f"detections/{NETWORKS['mobilenet']}/**/*"),
        }


PARTS = (
    "rendering",
    "annotations",
    "weights",
    "decoded",
    "training_mobilenet",
    "resume",
    "training_resnet50",
    "detection",
    "evaluation",
    "report",
)
