"""Every reader of files that others made, with a small whole file of its format to damage."""

from __future__ import annotations

import gzip
import hashlib
import json
import shutil
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import numpy as np

from alfnet.params import Backbone

ROOT = Path(__file__).resolve().parent.parent.parent
GOLDEN = ROOT / "tests" / "golden"
BACKBONE: Backbone = "mobilenet"


@dataclass(frozen=True)
class Reader:
    """A reader: `make` writes a whole file, `read` reads one and returns something that tells what was read."""

    name: str
    file_name: str
    make: Callable[[Path], object]
    read: Callable[[Path], object]
    certain: Sequence[str] = field(default=())
    """Mutations after which the file is certainly bad: it must be refused, or have been read as if it were whole."""


ALL = (
    "truncate",
    "flip_bits",
    "flip_in_head",
    "zero_range",
    "remove_range",
    "repeat_range",
    "insert_bytes",
    "odd_number",
    "other_file",
)


def digest(*arrays: object) -> str:
    """A hash of what was read."""
    content = hashlib.sha256()
    for array in arrays:
        content.update(np.ascontiguousarray(array).tobytes() if isinstance(array, np.ndarray) else repr(array).encode())
    return content.hexdigest()


def readers() -> list[Reader]:
    """All readers."""
    return [*_evaluation(), *_annotations(), *_weights(), *_images(), *_settings()]


# evaluation


def _evaluate(path: Path, *, truth: Path | None = None) -> str:
    import alfnet

    if truth is None:
        return str(alfnet.evaluate(path, GOLDEN / "miss_rate_24_dt.json"))
    return str(alfnet.evaluate(truth, path))


def _detections(path: Path) -> str:
    return _evaluate(path, truth=GOLDEN / "miss_rate_24_gt.json")


def _rows() -> list[tuple[int, list[float], float]]:
    found = json.loads((GOLDEN / "miss_rate_24_dt.json").read_text())
    return [(row["image_id"], row["bbox"], row["score"]) for row in found]


def _lines(separator: str, header: str = "") -> str:
    return header + "".join(
        separator.join([str(image), *(f"{value:.4f}" for value in (*box, score))]) + "\n"
        for image, box, score in _rows()
    )


def _json_lines() -> str:
    return "".join(json.dumps(row) + "\n" for row in json.loads((GOLDEN / "miss_rate_24_dt.json").read_text()))


def _evaluation() -> list[Reader]:
    results = GOLDEN / "miss_rate_24_dt.json"
    return [
        Reader(
            "ground truth, JSON", "gt.json", lambda path: shutil.copy(GOLDEN / "miss_rate_24_gt.json", path), _evaluate
        ),
        Reader("detections, JSON", "dt.json", lambda path: shutil.copy(results, path), _detections, ["truncate"]),
        Reader(
            "detections, JSON in gzip",
            "dt.json.gz",
            lambda path: path.write_bytes(gzip.compress(results.read_bytes(), mtime=0)),
            _detections,
            ["truncate", "zero_range", "remove_range"],
        ),
        Reader("detections, JSON Lines", "dt.jsonl", lambda path: path.write_text(_json_lines()), _detections),
        Reader("detections, 2018 text", "dt.txt", lambda path: path.write_text(_lines(" ")), _detections),
        Reader(
            "detections, CSV",
            "dt.csv",
            lambda path: path.write_text(_lines(",", "image_id,x,y,w,h,score\n")),
            _detections,
        ),
        Reader("ground truth, .odgt", "gt.odgt", _odgt("gtboxes"), _evaluate_odgt),
        Reader("detections, .odgt", "dt.odgt", _odgt("dtboxes"), _evaluate_odgt),
    ]


def _odgt(key: str) -> Callable[[Path], object]:
    """CrowdHuman's lines of three images, each with a person or two."""

    def write(path: Path) -> None:
        boxes = [[10.5 + 40 * n, 20, 30, 70 + n] for n in range(4)]
        for name, kind in (("gt.odgt", "gtboxes"), ("dt.odgt", "dtboxes")):
            rows = []
            for number in range(3):
                found = [
                    {"tag": "person", "fbox": box, "vbox": box, "extra": {"ignore": 0}}
                    if kind == "gtboxes"
                    else {"tag": 1, "box": box, "score": 0.9 - number / 10}
                    for box in boxes[number : number + 2]
                ]
                rows.append({"ID": f"273271,{number}", "width": 640, "height": 480, kind: found})
            (path.parent / name).write_text("".join(json.dumps(row) + "\n" for row in rows))

    return write


def _evaluate_odgt(path: Path) -> str:
    import alfnet

    return str(alfnet.evaluate(path.with_name("gt.odgt"), path.with_name("dt.odgt")))


# annotations


def _write_mat(path: Path) -> None:
    from alfnet.annotations.citypersons import ImageAnnotations, write_mat

    rng = np.random.default_rng(1)
    images = []
    for number in range(6):
        rows = np.zeros((5, 10))
        rows[:, 0] = rng.integers(0, 6, 5)
        rows[:, 1:5] = rng.integers(1, 200, (5, 4)) + np.array([0, 0, 30, 60])
        rows[:, 6:10] = rows[:, 1:5]
        images.append(ImageAnnotations("aachen", f"aachen_{number:06d}_000019_leftImg8bit.png", rows))
    write_mat(path, images, "val")


def _read_mat(path: Path) -> str:
    from alfnet.annotations.citypersons import read_mat

    return digest(*(image.rows for image in read_mat(path, "val")))


def _write_cache(path: Path) -> None:
    from alfnet.annotations.citypersons import annotated, read_mat
    from alfnet.annotations.training_cache import TrainingRule, write_training_cache

    made = path.with_name("made.mat")
    _write_mat(made)
    images = annotated(read_mat(made, "val"), "val", height=1024, width=2048)
    write_training_cache(images, "val", path, TrainingRule(20), str(made))


def _read_cache(path: Path) -> str:
    from alfnet.annotations.cache import load_cache

    return digest(*map(repr, load_cache(path, "val")))


def _json(value: object) -> Callable[[Path], object]:
    return lambda path: path.write_text(json.dumps(value))


def _official_json() -> dict[str, object]:
    entry = {"label": "pedestrian", "bbox": [1, 2, 30, 60], "bboxVis": [1, 2, 30, 50], "instanceId": 24000}
    ignored = {"label": "ignore", "bbox": [0, 0, 9, 9]}
    return {"imgHeight": 1024, "imgWidth": 2048, "objects": [entry, ignored]}


def _write_pennfudan(path: Path) -> None:
    from tests.test_annotations_formats import pennfudan_text

    path.write_text(pennfudan_text("FudanPed00001", 300, 400, [[10, 20, 50, 120], [100, 30, 40, 110]]))


def _write_crowdhuman(path: Path) -> None:
    from tests.test_annotations_formats import write_crowdhuman

    shutil.copy(write_crowdhuman(path.parent / "crowdhuman"), path)


def _write_coco(path: Path) -> None:
    from tests.test_annotations_formats import coco

    path.write_text(json.dumps(coco()))


def _annotation_reader(module: str, function: str, *more: object) -> Callable[[Path], object]:
    def read(path: Path) -> str:
        found = getattr(import_module(f"alfnet.annotations.{module}"), function)(path, *more)
        return digest(repr(found if isinstance(found, list) else list(found)))

    return read


def _annotations() -> list[Reader]:
    caltech = GOLDEN / "caltech_samples"
    return [
        Reader("CityPersons, .mat", "anno_val.mat", _write_mat, _read_mat),
        Reader("annotation cache", "val.json", _write_cache, _read_cache, ["truncate"]),
        Reader(
            "CityPersons, JSON of an image",
            "frankfurt_000000_000294_gtBboxCityPersons.json",
            _json(_official_json()),
            _annotation_reader("citypersons_json", "read_json_annotations"),
            ["truncate"],
        ),
        Reader(
            "COCO people", "people.json", _write_coco, _annotation_reader("coco", "read_coco", "person"), ["truncate"]
        ),
        Reader("CrowdHuman, .odgt", "a.odgt", _write_crowdhuman, _annotation_reader("crowdhuman", "read_odgt")),
        Reader(
            "EuroCity, JSON of an image",
            "roma_00001.json",
            _json({"imagewidth": 640, "imageheight": 480, "children": [_EUROCITY]}),
            lambda path: _annotation_reader("eurocity", "read_eurocity")(path.parent),
            ["truncate"],
        ),
        Reader("Penn-Fudan, text", "FudanPed00001.txt", _write_pennfudan, _read_pennfudan),
        Reader(
            "Caltech, .vbb",
            "V000.vbb",
            lambda path: shutil.copy(caltech / "V000.vbb", path),
            _annotation_reader("vbb", "read_vbb"),
        ),
        Reader(
            "Caltech, text",
            "set99_V000_I00029.txt",
            lambda path: shutil.copy(caltech / "set99_V000_I00029.txt", path),
            _annotation_reader("caltech", "read_text_annotation"),
        ),
        Reader("Caltech, .seq", "V000.seq", _write_seq, _read_seq, ["truncate"]),
    ]


_EUROCITY = {"identity": "pedestrian", "x0": 10, "y0": 20, "x1": 50, "y1": 120, "tags": ["occluded>10"], "children": []}


def _write_seq(path: Path) -> None:
    """A video of three frames."""
    import cv2

    jpeg = cv2.imencode(".jpg", _image())[1].tobytes()
    header = bytearray(1024)
    header[:24] = b"\xed\xfe\x00\x00" + "Norpix seq".encode("utf-16-le")
    struct.pack_into("<9I", header, 548, 96, 64, 24, 8, 96 * 64 * 3, 102, 3, 0, 0)
    path.write_bytes(bytes(header) + 3 * (struct.pack("<I", len(jpeg) + 4) + jpeg + struct.pack("<IH", 1, 2) + b"\0\0"))


def _read_seq(path: Path) -> str:
    from alfnet.annotations.seq import read_seq_frames

    return digest(*(frame.jpeg for _, frame in read_seq_frames(path)))


def _read_pennfudan(path: Path) -> str:
    from alfnet.annotations.pennfudan import read_text

    return digest(repr(read_text(path)))


# weights


def _network() -> object:
    from tests.test_training_train import network

    return network()


def _write_detector(path: Path) -> None:
    _network().save(path)  # type: ignore[attr-defined]


def _read_detector(path: Path) -> str:
    from alfnet.network.alfnet import ALFNet

    return digest(*(tensor.numpy() for tensor in ALFNet.load(path).state_dict().values()))


def _write_keras(path: Path) -> None:
    from tests.test_pretrained_keras import mobilenet_layers, write

    write(path, mobilenet_layers(1 / 32).layers)


def _read_keras(path: Path) -> str:
    from alfnet.pretrained.keras import load_backbone

    state, width = load_backbone(path, BACKBONE)
    return digest(width, *(tensor.numpy() for tensor in state.values()))


def _write_checkpoint(path: Path) -> None:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    state = _state()
    Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]).save(path, state)
    path.with_name("checksum").write_text(hashlib.sha256(path.read_bytes()).hexdigest())


def _state() -> dict[str, object]:
    import torch

    from alfnet.training.state import RunState

    model = torch.nn.Linear(20, 3)
    return {"model": model, "optimizer": torch.optim.Adam(model.parameters()), "run": RunState()}


def _read_checkpoint(path: Path) -> str:
    from lightning_fabric import Fabric
    from lightning_fabric.plugins.environments import LightningEnvironment

    from alfnet.errors import AlfnetError
    from alfnet.training.checkpoints import Checkpoints

    checkpoints = Checkpoints(path.parent / "runs", "variant", "0" * 16)
    checkpoints.folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, checkpoints.folder / f"{5:09d}-{path.with_name('checksum').read_text()}.ckpt")
    state = _state()
    if not checkpoints.load(Fabric(accelerator="cpu", devices=1, plugins=[LightningEnvironment()]), state, 10):
        raise AlfnetError("passed over")  # which is what a training does with it
    return digest(*(tensor.numpy() for tensor in state["model"].state_dict().values()))  # type: ignore[attr-defined]


def _write_onnx(path: Path) -> None:
    from alfnet.detection.detector import published_settings
    from alfnet.export.run import export_detector
    from alfnet.export.settings import ExportSettings

    _write_detector(path.with_name("model.safetensors"))
    export = ExportSettings(format="onnx", size=(64, 128))
    export_detector(path.with_name("model.safetensors"), path, export, published_settings())


def _read_onnx(path: Path) -> str:
    from alfnet.export.runtimes import open_onnx

    found = open_onnx(path, "cpu").predict(_image()[None])
    return digest(repr(found))


def _write_ncnn(path: Path) -> None:
    from alfnet.export.graph import DeployedNetwork
    from alfnet.export.ncnn_file import write_ncnn
    from alfnet.export.settings import ExportSettings, describe
    from alfnet.network.alfnet import ALFNet

    _write_detector(path.with_name("model.safetensors"))
    model = ALFNet.load(path.with_name("model.safetensors"))
    description = describe(model.settings, ExportSettings(format="ncnn", size=None), {})
    write_ncnn(DeployedNetwork(model), path.with_suffix(".param"), description)


def _read_ncnn(path: Path) -> str:
    from alfnet.export.runtimes import open_ncnn

    return digest(repr(open_ncnn(path.with_suffix(".param"), "cpu").predict(_image()[None])))


def _weights() -> list[Reader]:
    return [
        *(
            Reader(f"detector, ncnn (.{ending})", f"model.{ending}", _write_ncnn, _read_ncnn, ["truncate"])
            for ending in ("param", "bin", "json")
        ),
        Reader("detector, ONNX", "model.onnx", _write_onnx, _read_onnx, ["truncate"]),
        Reader("weights, safetensors", "model.safetensors", _write_detector, _read_detector, ["truncate"]),
        Reader("weights, Keras HDF5", "weights.h5", _write_keras, _read_keras, ["truncate"]),
        Reader("checkpoint", "run.ckpt", _write_checkpoint, _read_checkpoint, ALL),
    ]


# images


def _image() -> np.ndarray:
    rng = np.random.default_rng(2)
    import cv2

    return cv2.resize(rng.integers(0, 256, (12, 24, 3), dtype=np.uint8), (96, 64), interpolation=cv2.INTER_CUBIC)


def _encoded(suffix: str) -> Callable[[Path], object]:
    def make(path: Path) -> None:
        import cv2

        path.write_bytes(cv2.imencode(suffix, _image())[1].tobytes())

    return make


def _read_image(path: Path) -> str:
    from alfnet.images import read_image

    return digest(read_image(path))


def _images() -> list[Reader]:
    checked = [name for name in ALL if name != "other_file"]
    return [
        Reader("image, PNG", "a.png", _encoded(".png"), _read_image, checked),
        Reader("image, JPEG", "a.jpg", _encoded(".jpg"), _read_image, ["truncate"]),
        Reader("image, WebP", "a.webp", _encoded(".webp"), _read_image, ["truncate"]),
        Reader("image, TIFF", "a.tiff", _encoded(".tiff"), _read_image, ["truncate"]),
        Reader("image, BMP", "a.bmp", _encoded(".bmp"), _read_image, ["truncate"]),
    ]


# settings


def _read_params(path: Path) -> str:
    from alfnet.params import load_params

    return repr(load_params(path))


def _settings() -> list[Reader]:
    return [
        Reader("params.yaml", "params.yaml", lambda path: shutil.copy(ROOT / "params.yaml", path), _read_params),
    ]
