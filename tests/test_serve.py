"""The service: what it answers and refuses, its page in a browser, and the detector without torch."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from fastapi.testclient import TestClient
from onnx import TensorProto, helper

from alfnet.detection.detections import Detections
from alfnet.errors import AlfnetError
from alfnet.export.settings import METADATA_KEY, ExportSettings, describe
from alfnet.images import MEAN_COLOUR, encode_png, shrink_to_frame
from alfnet.network.alfnet import CHANNEL_MEANS
from alfnet.serve.app import Limits, _accepted, create_app
from alfnet.serve.finder import Finder, OnnxFinder, open_finder, padded
from tests.browser import open_browser, requests_of, until, visit
from tests.test_training_train import network

BOXES = np.array([[10, 20, 50, 100], [80, 30, 120, 110]], np.float32)
SCORES = np.array([0.9, 0.25], np.float32)


def image(height: int = 128, width: int = 192) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (height, width, 3), dtype=np.uint8)


def look(pixels: np.ndarray) -> Detections:
    return Detections(BOXES, SCORES, 2, *pixels.shape[:2], image=pixels, bgr=True)


@pytest.fixture
def client() -> Iterator[TestClient]:
    finder = Finder(look, "a test", "model.onnx", {"data_set": "synthetic", "rendered": True})
    with TestClient(create_app(finder, Limits(bytes=200_000, pixels=50_000, seconds=5))) as client:
        yield client


def test_coco_json_of_a_body_and_of_a_form(client: TestClient) -> None:
    content = encode_png(image())
    answer = client.post("/detect", content=content)
    assert answer.status_code == 200
    found = answer.json()
    assert found["images"] == [{"id": 1, "width": 192, "height": 128}]
    assert [each["bbox"] for each in found["annotations"]] == [[10, 20, 40, 80], [80, 30, 40, 80]]
    assert [each["score"] for each in found["annotations"]] == [0.9, 0.25]
    assert found["annotations"][0]["category_id"] == found["categories"][0]["id"]
    form = client.post("/detect", files={"image": ("../../etc/passwd", content, "image/png")})
    assert form.json() == found
    assert len(client.post("/detect?score=0.5", content=content).json()["annotations"]) == 1


def test_the_answer_is_a_file_that_coco_tools_read(client: TestClient, tmp_path: Path) -> None:
    coco = pytest.importorskip("pycocotools.coco")
    (tmp_path / "a.json").write_bytes(client.post("/detect", content=encode_png(image())).content)
    assert len(coco.COCO(str(tmp_path / "a.json")).getAnnIds(imgIds=[1], catIds=[1])) == 2


def test_the_drawn_image_by_accept_and_by_format(client: TestClient) -> None:
    content = encode_png(image())
    drawn = client.post("/detect", content=content, headers={"Accept": "image/png"})
    assert drawn.headers["content-type"] == "image/png"
    assert drawn.headers["x-pedestrians"] == "2"
    pixels = cv2.imdecode(np.frombuffer(drawn.content, np.uint8), cv2.IMREAD_COLOR)
    assert pixels.shape == (128, 192, 3)
    assert (pixels[60, 10] != image()[60, 10]).any()  # the left side of the first box
    assert (pixels[120, 150] == image()[120, 150]).all()
    by_format = client.post("/detect?format=jpeg", content=content, headers={"Accept": "application/json"})
    assert by_format.content.startswith(b"\xff\xd8")
    assert client.post("/detect", content=content, headers={"Accept": "text/html"}).status_code == 406
    assert client.post("/detect?format=gif", content=content).status_code == 422


def test_accept_is_read_as_it_is_meant() -> None:
    assert _accepted("text/html, image/webp;q=0.9, image/*;q=0.8, */*;q=0.1") == "jpeg"
    assert _accepted("image/png;q=0.2, application/json") == "json"
    assert _accepted("*/*") == "json"


@pytest.mark.parametrize(
    ("content", "status", "words"),
    [
        (b"", 400, "no image"),
        (b"/etc/passwd", 422, "not readable as an image"),
        (b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40), 422, "the format JPEG 2000 is not read"),
        (encode_png(image())[:-200], 422, "cut short"),
        (b"x" * 200_001, 413, "200,000 bytes"),
        (encode_png(np.zeros((250, 201, 3), np.uint8)), 413, "201 x 250 px"),
        (
            encode_png(np.zeros((1, 1000, 3), np.uint8)),
            413,
            "1000 x 1 px (65,536 with its sides filled up to multiples of",
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(client: TestClient, content: bytes, status: int, words: str) -> None:
    answer = client.post("/detect", content=content)
    assert answer.status_code == status
    assert words in answer.json()["error"]


def test_of_an_image_that_is_shrunk_into_a_frame_its_own_pixels_count() -> None:
    framed = Finder(look, "a test", "model.onnx", {"frame": [384, 192]})
    with TestClient(create_app(framed, Limits(pixels=50_000))) as client:
        assert client.post("/detect", content=encode_png(np.zeros((1, 1000, 3), np.uint8))).status_code == 200


def test_forms_without_one_file_are_refused(client: TestClient) -> None:
    assert client.post("/detect", data={"image": "/etc/passwd"}, files={}).status_code == 422  # a body as any other
    boundary = {"Content-Type": "multipart/form-data; boundary=x"}
    text = b'--x\r\nContent-Disposition: form-data; name="path"\r\n\r\n/etc/passwd\r\n--x--\r\n'
    answer = client.post("/detect", content=text, headers=boundary)
    assert (answer.status_code, "no file" in answer.json()["error"]) == (400, True)
    assert client.post("/detect", content=b"broken", headers={"Content-Type": "multipart/form-data"}).status_code == 400
    two = [("image", ("a", b"1")), ("image", ("b", b"2"))]
    assert client.post("/detect", files=two).status_code == 400
    large = client.post("/detect", files={"image": ("a.png", b"x" * 300_000)})
    assert large.status_code == 413


def test_more_bytes_than_announced_are_not_read() -> None:
    """A body in chunks, without a length: it is given up at the limit, not collected."""
    app = create_app(Finder(look, "a test", "m"), Limits(bytes=1000))
    sent, answers = [], []

    async def receive() -> dict[str, Any]:
        sent.append(1)
        return {"type": "http.request", "body": b"x" * 400, "more_body": True}

    async def send(message: MutableMapping[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http", "method": "POST", "path": "/detect", "raw_path": b"/detect", "root_path": "", "scheme": "http",
        "query_string": b"", "headers": [], "http_version": "1.1", "server": ("x", 1), "client": ("x", 1),
    }  # fmt: skip
    asyncio.run(app(scope, receive, send))
    assert answers[0]["status"] == 413
    assert len(sent) == 3


def test_health_and_no_other_places(client: TestClient) -> None:
    health = client.get("/health").json()
    assert (health["status"], health["model"], health["backend"]) == ("ok", "model.onnx", "a test")
    assert health["trained_on"]["rendered"] is True
    assert health["limits"]["bytes"] == 200_000
    for path in ("/../../etc/passwd", "/page.html", "/static/x", "/docs"):
        assert client.get(path).status_code == 404
    assert client.get("/detect").status_code == 405
    assert set(client.get("/openapi.json").json()["paths"]) == {"/health", "/detect"}


def test_time_and_places_are_limited() -> None:
    go_on = threading.Event()

    def slow(pixels: np.ndarray) -> Detections:
        go_on.wait(20)
        return look(pixels)

    content = encode_png(image(64, 64))
    with TestClient(create_app(Finder(slow, "a test", "m"), Limits(seconds=0.3, waiting=1))) as client:
        try:
            first = client.post("/detect", content=content)
            assert (first.status_code, "0.3 seconds" in first.json()["error"]) == (504, True)
            second = client.post("/detect", content=content)  # the first still runs
            assert (second.status_code, second.headers["retry-after"]) == (503, "2")
        finally:
            go_on.set()
        deadline = time.monotonic() + 10
        while client.post("/detect", content=content).status_code == 503:
            assert time.monotonic() < deadline


def test_an_error_of_the_detector_names_no_folder() -> None:
    def refuse(_: np.ndarray) -> Detections:
        raise AlfnetError("/secret/place/m.onnx: takes images of 192 x 128 px")

    with TestClient(create_app(Finder(refuse, "a test", "m.onnx"))) as client:
        said = client.post("/detect", content=encode_png(image())).json()["error"]
    assert said == "m.onnx: takes images of 192 x 128 px"


# the detector without torch


def constant_detector(
    path: Path, rows: list[list[float]], selection: dict[str, Any] | None = None, **choices: Any
) -> Path:
    """A file like those of `alfnet export --nms` that finds the same in every image; it says that it selects by `selection`."""
    inputs = helper.make_tensor_value_info("images", TensorProto.UINT8, ["n", "h", "w", 3])
    output = helper.make_tensor_value_info("detections", TensorProto.FLOAT, ["k", 6])
    value = helper.make_tensor("rows", TensorProto.FLOAT, [len(rows), 6], np.array(rows, np.float32).ravel())
    node = helper.make_node("Constant", [], ["detections"], value=value)
    graph = helper.make_graph([node], "g", [inputs], [output])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    extra = choices.pop("extra", {"trained_on": json.dumps({"data_set": "synthetic"})})
    export = ExportSettings(**{"format": "onnx", "size": None, "nms": True} | choices)
    description = json.loads(describe(network().settings, export, extra))
    if selection is not None:
        description["detect"] = selection
    helper.set_model_props(proto, {METADATA_KEY: json.dumps(description)})
    onnx.save(proto, str(path))
    return path


ROWS = [[0, 5, 6, 20, 40, 0.3], [0, 10, 10, 99, 80, 0.8], [0, 96, 0, 120, 60, 0.5]]


def test_onnx_alone_sorts_and_clips(tmp_path: Path) -> None:
    finder = OnnxFinder(constant_detector(tmp_path / "m.onnx", ROWS, test_step=1), device="cpu", threads=1)
    found = finder(image(70, 90))
    np.testing.assert_allclose(found.boxes, [[10, 10, 89, 69], [5, 6, 20, 40]])
    np.testing.assert_allclose(found.scores, [0.8, 0.3])
    assert (found.step, found.height, found.width) == (1, 70, 90)
    assert finder.trained_on == {"data_set": "synthetic"}
    high = open_finder(tmp_path / "m.onnx", device="cpu", score=0.5)
    assert len(high.find(image(70, 90)).scores) == 1
    assert high.model == "m.onnx"


def test_photographs_are_shrunk_as_in_the_training(tmp_path: Path) -> None:
    """What was trained on photographs in frames sees larger images likewise; the boxes are of the image itself."""
    origin = {"trained_on": json.dumps({"data_set": "people", "frame": [256, 128]})}
    finder = OnnxFinder(constant_detector(tmp_path / "m.onnx", ROWS, extra=origin), device="cpu", threads=1)
    assert finder.frame == (128, 256)
    small, large = finder(image(70, 90)), finder(image(512, 512))
    scale = shrink_to_frame(image(512, 512), 128, 256)[1]
    assert scale == 0.25
    assert (large.height, large.width) == (512, 512)
    np.testing.assert_allclose(large.boxes[0], np.array([10, 10, 99, 80]) / scale)
    assert small.boxes[0, 2] == 89  # it fits: as it is


@pytest.mark.parametrize(("height", "width"), [(512, 512), (130, 900), (700, 300)])
def test_boxes_of_a_shrunk_image_are_clipped_to_it(tmp_path: Path, height: int, width: int) -> None:
    """To its last pixel, as all boxes are; one that lies in the grey beside it alone is none."""
    origin = {"trained_on": json.dumps({"data_set": "people", "frame": [256, 128]})}
    scale = shrink_to_frame(image(height, width), 128, 256)[1]
    right, bottom = width * scale, height * scale  # of the image in the frame
    rows = [
        [0, 5, 5, right / 2, bottom / 2, 0.9],
        [0, 10, 10, 255, 127, 0.8],
        [0, right + 1 if right < 200 else 3, bottom + 1 if bottom < 100 else 3, 255, 127, 0.7],
    ]
    finder = OnnxFinder(constant_detector(tmp_path / "m.onnx", rows, extra=origin), device="cpu", threads=1)
    found = finder(image(height, width))
    np.testing.assert_allclose(found.scores, [0.9, 0.8])
    wanted = np.minimum(np.array(rows)[:2, 1:5] / scale, [width - 1, height - 1] * 2)
    assert (wanted[1, 2:] == [width - 1, height - 1]).any()
    np.testing.assert_allclose(found.boxes, wanted, rtol=1e-5)


def test_a_score_below_that_of_the_file_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The graph gives nothing below the threshold that it was exported with."""
    file = constant_detector(tmp_path / "m.onnx", ROWS, {"score_threshold": 0.2, "nms_iou": 0.5})
    assert open_finder(file, device="cpu").detect == {"score_threshold": 0.2, "nms_iou": 0.5}
    assert open_finder(file, device="cpu", score=0.2).detect["score_threshold"] == 0.2
    assert open_finder(file, device="cpu", score=0.4).detect["score_threshold"] == 0.4
    assert not caplog.messages
    low = open_finder(file, device="cpu", score=0.05)
    assert low.detect["score_threshold"] == 0.2
    (said,) = caplog.messages
    assert said.startswith("--score 0.05: m.onnx gives no score below 0.2, which it was exported with; ")
    silent = constant_detector(tmp_path / "silent.onnx", ROWS)
    assert open_finder(silent, device="cpu").detect == {}
    assert open_finder(silent, device="cpu", score=0.05).detect == {"score_threshold": 0.05}
    assert len(caplog.messages) == 1


def test_health_says_how_boxes_are_selected(tmp_path: Path) -> None:
    selection = {"score_threshold": 0.2, "nms_iou": 0.5, "after_nms": 100}
    file = constant_detector(tmp_path / "m.onnx", ROWS, selection)
    with TestClient(create_app(open_finder(file, device="cpu"))) as client:
        assert client.get("/health").json()["detect"] == selection
    network().save(tmp_path / "model.safetensors")
    finder = open_finder(tmp_path / "model.safetensors", device="cpu", score=0.25)
    with TestClient(create_app(finder)) as client:
        detect = client.get("/health").json()["detect"]
    assert (detect["score_threshold"], detect["nms_iou"]) == (0.25, 0.5)


def test_padding_is_with_the_mean_colour() -> None:
    assert np.rint(CHANNEL_MEANS).tolist() == list(MEAN_COLOUR)
    pixels = image(70, 90)
    canvas = padded(pixels, ExportSettings(format="onnx", size=None))
    assert canvas.shape == (1, 128, 128, 3)
    assert (canvas[0, :70, :90] == pixels).all()
    assert (canvas[0, 70:] == MEAN_COLOUR).all()
    fixed = padded(pixels, ExportSettings(format="onnx", size=(128, 192), channels="rgb"))
    assert fixed.shape == (1, 128, 192, 3)
    assert (fixed[0, 0, 0] == pixels[0, 0, ::-1]).all()
    with pytest.raises(AlfnetError, match="at most 192 x 128"):
        padded(image(129, 90), ExportSettings(format="onnx", size=(128, 192)))


def test_files_that_cannot_be_served(tmp_path: Path) -> None:
    with pytest.raises(AlfnetError, match="no such file"):
        open_finder(tmp_path / "m.onnx")
    (tmp_path / "m.onnx").write_bytes(b"\x08\x07broken")
    with pytest.raises(AlfnetError, match="cannot open it"):
        open_finder(tmp_path / "m.onnx")
    (tmp_path / "m.bin").touch()
    with pytest.raises(AlfnetError, match="which backend"):
        open_finder(tmp_path / "m.bin")
    with pytest.raises(AlfnetError, match="there are auto, torch"):
        open_finder(tmp_path / "m.onnx", backend="tf")


def test_weights_are_served_with_torch(tmp_path: Path) -> None:
    network().save(tmp_path / "model.safetensors", extra={"trained_on": '{"data_set": "x"}'})
    finder = open_finder(tmp_path / "model.safetensors", device="cpu", score=0.2)
    assert finder.backend.startswith("torch")
    assert finder.trained_on == {"data_set": "x"}
    assert finder.find(image()).height == 128


SERVE = """
import sys
for name in ("torch", "torchvision", "safetensors", "av", "onnx", "openvino", "ncnn", "nncf", "scipy", "pandas", "dvc"):
    sys.modules[name] = None
from alfnet.cli import main
sys.argv = ["alfnet", "serve", *sys.argv[1:]]
main()
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """`alfnet serve` as a process of its own, with torch made impossible to import; its address."""
    model = constant_detector(tmp_path_factory.mktemp("serve") / "m.onnx", ROWS, {"score_threshold": 0.25})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "--weights", str(model), "--port", str(port), "--threads", "1"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            assert process.poll() is None, process.stdout and process.stdout.read()
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
@pytest.mark.parametrize("size", [(1200, 800), (390, 844)])
def test_the_page_in_a_browser(served: str, tmp_path: Path, size: tuple[int, int]) -> None:
    browser = open_browser(tmp_path / "chromium")
    try:
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 500}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        visit(browser, served)
        picture = tmp_path / "street.png"
        picture.write_bytes(encode_png(image()))

        def status() -> str:
            return str(browser.find_element("id", "status").text)

        def boxes() -> int:
            return len(browser.find_elements("css selector", "#boxes .box"))

        browser.find_element("id", "file").send_keys(str(picture))
        until(lambda: "pedestrians in" in status())
        assert "192 × 128 px" in status()
        slider = "return document.getElementById('score').value"
        until(lambda: browser.execute_script(slider) == "0.25")  # the detector's own threshold
        until(lambda: boxes() == 3)
        assert "3 pedestrians" in status()
        move = (
            "const s = document.getElementById('score'); s.value = arguments[0]; s.dispatchEvent(new Event('input'));"
        )
        browser.execute_script(move, "0.4")
        until(lambda: boxes() == 2)
        box = browser.find_element("css selector", "#boxes .box").rect
        shown = browser.find_element("id", "image").rect
        assert box["x"] >= shown["x"] - 2
        assert box["width"] == pytest.approx(shown["width"] * 24 / 192, abs=5)  # the last drawn is the best
        # What is saved is what is shown.
        keep = """
        const made = URL.createObjectURL;
        URL.createObjectURL = (blob) => { window.saved = blob; return made(blob); };
        HTMLAnchorElement.prototype.click = () => {};  // no file of this test
        """
        browser.execute_script(keep)
        browser.find_element("id", "json").click()
        read = "const done = arguments[0]; window.saved.text().then(done);"
        saved = json.loads(browser.execute_async_script(read))
        assert [each["score"] for each in saved["annotations"]] == pytest.approx([0.8, 0.5])
        assert set(saved) == {"images", "categories", "annotations"}
        browser.execute_script(move, "0.6")
        until(lambda: boxes() == 1)
        assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
        assert "synthetic" in browser.find_element("id", "about").text
        browser.save_screenshot(str(tmp_path / "page.png"))
        print(tmp_path / "page.png")
        # A file dropped on it that is no image.
        drop = """
        const data = new DataTransfer();
        data.items.add(new File(["no image"], "notes.txt", {type: "text/plain"}));
        const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.getElementById("drop").dispatchEvent(event);
        """
        browser.execute_script(drop)
        until(lambda: "not readable as an image" in status())
        addresses = requests_of(browser, served)
        assert served in addresses
        assert all(address.startswith((served, "blob:", "data:")) for address in addresses)
        wrong = [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
        assert all("422" in message for message in wrong), wrong
    finally:
        browser.quit()
