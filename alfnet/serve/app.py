"""The service: what it answers, and how much of anybody's data and time it takes.

Images are looked at one after the other, in a thread of their own; a request waits for its turn, or is told to come again
where too many wait. A request names no file of the server: the image is the body, or the one file of a form.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from collections.abc import AsyncIterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from threading import BoundedSemaphore
from typing import Annotated, Any, Literal, cast

import cv2
import numpy as np
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from starlette.datastructures import UploadFile
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from alfnet import __version__
from alfnet.detection.detections import Detections
from alfnet.detection.drawing import draw_detections
from alfnet.detection.formats import name_kind
from alfnet.errors import AlfnetError

# The one reader of headers; the size has to be known before pixels are made of a few bytes.
from alfnet.images import _checked_header, decode_image
from alfnet.serve.finder import Finder

Form = Literal["json", "jpeg", "png"]
MEDIA: dict[Form, str] = {"json": "application/json", "jpeg": "image/jpeg", "png": "image/png"}
NAME = "the image"
"""Of what was sent, in messages; the sender's own file name is not read."""


@dataclass(frozen=True)
class Limits:
    """What a request may take."""

    bytes: int = 20_000_000
    """Of the body."""
    pixels: int = 2**24
    """Of the image, its sides filled up to multiples of 64 where the detector does so."""
    seconds: float = 30.0
    """For sending the image, and again for the answer to it."""
    waiting: int = 8
    """Requests whose image is being looked at or waits for it."""


def create_app(finder: Finder, limits: Limits | None = None) -> FastAPI:
    """The application, for uvicorn or another ASGI server (one process: the detector is in its memory).

    GET / is a page to drop an image on; GET /health says what runs; POST /detect takes an image.
    """
    limits = limits or Limits()
    worker = ThreadPoolExecutor(1, thread_name_prefix="detector")
    places = BoundedSemaphore(limits.waiting)
    html = files("alfnet.serve").joinpath("page.html").read_text(encoding="utf-8")
    policy = _content_policy(html)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.shutdown(wait=True, cancel_futures=True)

    # Without FastAPI's own pages of documentation, which fetch programs from elsewhere; /openapi.json is there.
    app = FastAPI(
        title="ALFNet", version=__version__, docs_url=None, redoc_url=None, lifespan=lifespan,
        description="Finds pedestrians in images.",
    )  # fmt: skip

    @app.exception_handler(HTTPException)
    async def refused(_: Request, error: HTTPException) -> JSONResponse:
        return JSONResponse({"error": str(error.detail)}, error.status_code, headers=error.headers)

    @app.exception_handler(RequestValidationError)
    async def misspelt(_: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        return JSONResponse({"error": said}, 422)

    @app.get("/", response_class=HTMLResponse, include_in_schema=False)
    async def page() -> HTMLResponse:
        return HTMLResponse(html, headers={"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})

    @app.get("/health", summary="What runs here")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "version": __version__,
            "model": finder.model,
            "backend": finder.backend,
            "trained_on": finder.trained_on,
            "detect": finder.detect,
            "limits": {"bytes": limits.bytes, "pixels": limits.pixels, "seconds": limits.seconds},
        }

    @app.post(
        "/detect",
        summary="The pedestrians in an image: COCO JSON, or the image with their boxes",
        responses={200: {"content": {media: {} for media in MEDIA.values()}}},
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {
                    "image/*": {"schema": {"type": "string", "format": "binary"}},
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "required": ["image"],
                            "properties": {"image": {"type": "string", "format": "binary"}},
                        }
                    },
                },
            }
        },
    )
    async def detect(
        request: Request,
        format: Annotated[Form | None, Query(description="Left out: by the header Accept.")] = None,
        score: Annotated[float, Query(ge=0, le=1, description="Scores above this are given.")] = 0.0,
    ) -> Response:
        form = format or _accepted(request.headers.get("accept", "*/*"))
        try:
            async with asyncio.timeout(limits.seconds):
                content = await _received(request, limits.bytes)
        except TimeoutError:
            raise HTTPException(408, f"the image did not arrive within {limits.seconds:g} seconds") from None
        if not places.acquire(blocking=False):
            raise HTTPException(503, "too many images wait; try again in a moment", {"Retry-After": "2"})
        try:
            task: Future[Response] = worker.submit(_answer, finder, limits, content, form, score)
        except RuntimeError:  # shut down
            places.release()
            raise HTTPException(503, "the service is stopping") from None
        task.add_done_callback(lambda _: places.release())
        try:
            return await asyncio.wait_for(asyncio.wrap_future(task), limits.seconds)
        except TimeoutError:
            raise HTTPException(504, f"no answer within {limits.seconds:g} seconds; try a smaller image") from None

    return app


def coco(found: Detections) -> dict[str, Any]:
    """A whole COCO file of one image: `images`, `categories` and `annotations`, these with a `score`, the best first."""
    rows = found.to_coco(1)
    return {
        "images": [{"id": 1, "width": found.width, "height": found.height}],
        "categories": [{"id": 1, "name": "pedestrian"}],
        "annotations": [
            {"id": number, **row, "area": round(row["bbox"][2] * row["bbox"][3], 4), "iscrowd": 0}
            for number, row in enumerate(rows, start=1)
        ],
    }


def _answer(finder: Finder, limits: Limits, content: bytes, form: Form, score: float) -> Response:
    """Decode, look, and encode; in the detector's thread."""
    try:
        height, width = _checked_header(content, NAME).size
        if (pixels := finder.pixels(height, width)) > limits.pixels:
            filled = "" if pixels == height * width else f" ({pixels:,} with its sides filled up to multiples of 64)"
            raise HTTPException(
                413, f"{width} x {height} px{filled}: more than {limits.pixels:,} pixels are not taken here"
            )
        image = decode_image(content, NAME)
        found = finder.find(image)
    except AlfnetError as error:
        error = name_kind(error, content[:32], NAME)
        # A message may name the model's file, whose place is nobody's business.
        raise HTTPException(422, re.sub(r"\S*/(?=" + re.escape(finder.model) + ")", "", str(error))) from None
    keep = found.scores > score
    found = Detections(found.boxes[keep], found.scores[keep], found.step, found.height, found.width)
    if form == "json":
        return JSONResponse(coco(found))
    drawn = draw_detections(image, found.boxes, found.scores)
    done, encoded = cv2.imencode(f".{form}", np.ascontiguousarray(drawn))
    if not done:
        raise HTTPException(422, f"an image of {width} x {height} px cannot be written as {form}")
    headers = {"X-Pedestrians": str(len(found)), "Cache-Control": "no-store"}
    return Response(encoded.tobytes(), media_type=MEDIA[form], headers=headers)


async def _received(request: Request, most: int) -> bytes:
    """The bytes of the image: the body, or the one file of a form."""
    too_large = HTTPException(413, f"more than {most:,} bytes are not taken here")
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > most:
        raise too_large

    async def limited() -> AsyncIterator[bytes]:
        count = 0
        async for chunk in request.stream():
            count += len(chunk)
            if count > most:
                raise too_large
            yield chunk

    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        content = b"".join([chunk async for chunk in limited()])
    else:
        try:
            parser = MultiPartParser(request.headers, cast("Any", limited()), max_files=1, max_fields=4)
            form = await parser.parse()
        except (MultiPartException, KeyError, ValueError) as error:
            raise HTTPException(400, f"the form cannot be read ({error}); one file is expected") from None
        async with form_closed(form):
            uploads = [value for value in form.values() if isinstance(value, UploadFile)]
            if len(uploads) != 1:
                raise HTTPException(400, "the form has no file; one is expected, e.g. curl -F image=@street.jpg")
            content = await uploads[0].read()
    if not content:
        raise HTTPException(400, "no image: send its bytes as the body, or as the file of a form")
    return content


@asynccontextmanager
async def form_closed(form: Any) -> AsyncIterator[None]:
    """Close a form's files at the end."""
    try:
        yield
    finally:
        await form.close()


def _accepted(header: str) -> Form:
    """The form that a header Accept likes best; 406 where none is there."""
    wishes: list[tuple[float, str]] = []
    for part in header.split(","):
        media, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if found := re.fullmatch(r"q=([01](?:\.\d*)?)", parameter):
                quality = float(found[1])
        wishes.append((quality, media))
    known: dict[str, Form] = {media: form for form, media in MEDIA.items()}
    known |= {"image/*": "jpeg", "application/*": "json", "*/*": "json", "": "json"}
    for quality, media in sorted(wishes, key=lambda wish: -wish[0]):
        if quality > 0 and media in known:
            return known[media]
    raise HTTPException(406, f"there are {', '.join(MEDIA.values())}")


def _content_policy(html: str) -> str:
    """What the page may do: its own script and style, images that it makes itself, and questions to this service."""

    def hashes(tag: str) -> str:
        found = re.findall(rf"<{tag}>(.*?)</{tag}>", html, re.DOTALL)
        digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in found)
        return " ".join(f"'sha256-{digest}'" for digest in digests)

    return (
        f"default-src 'none'; script-src {hashes('script')}; style-src {hashes('style')}; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
