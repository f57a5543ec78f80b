"""`alfnet serve`: a detector behind HTTP."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def serve(
    weights: Annotated[
        Path,
        typer.Option("--weights", "-w", help="model.onnx of `alfnet export --nms --dynamic` (light); or any detector."),
    ],
    backend: Annotated[str, typer.Option(help="torch, onnx, openvino, ncnn; auto: by the file's ending.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, ...")] = "auto",
    score: Annotated[
        float | None,
        typer.Option(min=0, max=1, help="Scores above this are given; a file of --nms gives none below its own limit."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of ONNX Runtime; else as many as there are cores.")
    ] = None,
    host: Annotated[
        str, typer.Option(help="The address to listen on; 0.0.0.0: all, for others to reach.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
    max_bytes: Annotated[int, typer.Option(min=1, help="Of a request.")] = 20_000_000,
    max_pixels: Annotated[int, typer.Option(min=1, help="Of an image, its sides filled up to multiples of 64.")] = 2
    ** 24,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="For sending an image, and for looking at it.")] = 30.0,
) -> None:
    """Serve a detector: POST an image to /detect, GET /health, and a page at / to drop an image on.

    There is no login and no encryption: for more than the own machine put it behind a server that has both.
    """
    import uvicorn

    from alfnet.serve.app import Limits, create_app
    from alfnet.serve.finder import open_finder

    finder = open_finder(weights, backend=backend, device=device, score=score, threads=threads)
    app = create_app(finder, Limits(bytes=max_bytes, pixels=max_pixels, seconds=max_seconds))
    print(
        f"{finder.model}: {finder.backend}; http://{'localhost' if host == '127.0.0.1' else host}:{port}/", flush=True
    )
    uvicorn.run(app, host=host, port=port, log_level="warning", limit_concurrency=64, timeout_keep_alive=5)
