"""Which optional part of the package a module belongs to, so that a missing one is named by what to install.

`pip install alfnet` brings the evaluation alone; the extras stand in pyproject.toml.
"""

from __future__ import annotations

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
    "ncnn": "export",
    "nncf": "export",
}
"""The smallest extra that brings a module (its name when imported)."""


def missing_extra(error: ModuleNotFoundError, extra: str | None = None) -> str | None:
    """Say what to install after a failed import of somebody else's module.

    `extra` is what the whole command needs, where that is known. None where the module is in no extra: then the
    failed import is a bug of ours and keeps its traceback.
    """
    module = (error.name or "").partition(".")[0]
    if not module or module == "alfnet":
        return None
    extra = extra or EXTRA_OF_MODULE.get(module)
    if extra is None:
        return None
    return f"this needs {module}, which is not installed; install it with: pip install 'alfnet[{extra}]'"
