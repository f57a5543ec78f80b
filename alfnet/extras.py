"""Which optional part of the package a module belongs to, so that a missing one is named by what to install.

`pip install alfnet` brings the evaluation alone; the extras stand in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from alfnet.errors import AlfnetError

EXTRA_OF_MODULE = {
    "PIL": "detect",
    "av": "detect",
    "cv2": "detect",
    "pydantic": "detect",
    "safetensors": "detect",
    "simplejpeg": "detect",
    "torch": "detect",
    "torchvision": "detect",
    "scipy": "train",
    "matplotlib": "notebook",
    "pandas": "notebook",
    "h5py": "train",
    "dvclive": "train",
    "pooch": "train",
    "lightning_fabric": "train",
    "dvc": "pipeline",
    "jinja2": "pipeline",
    "timm": "timm",
    "tabulate": "pipeline",
    "submitit": "pipeline",
    "vl_convert": "pipeline",
    "fastapi": "serve",
    "python_multipart": "serve",
    "uvicorn": "serve",
    "onnx": "export",
    "onnxruntime": "serve",
    "onnxscript": "export",
    "openvino": "export",
    "nncf": "export",
}
"""The smallest extra that brings a module (its name when imported)."""


def missing_extra(error: ModuleNotFoundError, extra: str | None = None) -> AlfnetError | None:
    """Turn a failed import of somebody else's module into a sentence that says what to install.

    `extra` is what the whole command needs, where that is known. None where the module is in no extra: then the
    failed import is a bug of ours and keeps its traceback.
    """
    module = (error.name or "").partition(".")[0]
    if not module or module == "alfnet":
        return None
    extra = extra or EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    return AlfnetError(f"this needs {module}, which is not installed; install it with: pip install 'alfnet[{extra}]'")


@contextmanager
def extra_needed(extra: str | None = None) -> Iterator[None]:
    """Raise AlfnetError, naming the extra to install, where an import within the block fails for want of it."""
    try:
        yield
    except ModuleNotFoundError as error:
        sentence = missing_extra(error, extra)
        if sentence is None:
            raise
        raise sentence from None
