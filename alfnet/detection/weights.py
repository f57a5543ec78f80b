"""What a detector's file is by its name: which backend reads it, and what to say of a name that none can read."""

from __future__ import annotations

from pathlib import Path

from alfnet.errors import AlfnetError

AUTO = "auto"
BACKEND_OF_SUFFIX = {".safetensors": "torch", ".onnx": "onnx", ".xml": "openvino", ".param": "ncnn"}
"""By a file's ending."""
_RUNTIMES = {"onnx": "ONNX", "openvino": "OpenVINO", "ncnn": "ncnn"}


def backend_of(path: Path) -> str | None:
    """The backend that reads files with this ending; None where the ending does not tell."""
    return BACKEND_OF_SUFFIX.get(path.suffix.lower())


def exported_as(path: Path) -> str | None:
    """`onnx`, `openvino` or `ncnn` for a name with the ending of a file of `alfnet export`; else None."""
    backend = backend_of(path)
    return backend if backend in _RUNTIMES else None


def check_not_folder(path: Path) -> None:
    """Raise AlfnetError for a folder, naming the detector in it where there is one."""
    if not path.is_dir():
        return
    inside = sorted(each for each in path.glob("*.safetensors") if each.is_file())
    if len(inside) == 1:
        advice = f"name the file in it: {inside[0]}"
    elif inside:
        advice = f"name one of the {len(inside)} .safetensors files in it, e.g. {inside[0]}"
    else:
        advice = "no .safetensors file lies in it; name a detector's file (a training's model.safetensors)"
    raise AlfnetError(f"{path}: is a folder; {advice}")


def check_readable_by(path: Path, backend: str) -> None:
    """Raise AlfnetError for an exported file that another backend than `backend` reads."""
    exported = exported_as(path)
    if exported is not None and backend != exported:
        raise AlfnetError(
            f"{path}: an exported file ({_RUNTIMES[exported]}), which --backend {backend} does not read; give --backend "
            f"{exported}, or leave --backend out"
        )


def check_not_exported(path: Path, wanted_by: str) -> None:
    """Raise AlfnetError for an exported file where `wanted_by` needs the weights that it was made of."""
    exported = exported_as(path)
    if exported is not None:
        raise AlfnetError(
            f"{path}: an exported file already ({_RUNTIMES[exported]}); {wanted_by} needs the weights that it was made of "
            "(.safetensors)"
        )
