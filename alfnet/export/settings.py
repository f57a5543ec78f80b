"""What an exported file is to be, and the words that it carries about itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator

from alfnet.errors import AlfnetError
from alfnet.network.settings import NetworkSettings

if TYPE_CHECKING:
    from alfnet.params import DetectSettings

Format = Literal["onnx", "openvino", "ncnn"]
FILES: dict[Format, tuple[str, ...]] = {
    "onnx": (".onnx",),
    "openvino": (".xml", ".bin"),
    "ncnn": (".param", ".bin", ".json"),
}
"""By format: the endings of an export's files, of which the first is the one that is named."""
SUFFIXES: dict[Format, str] = {kind: endings[0] for kind, endings in FILES.items()}
METADATA_KEY = "alfnet"
MARKS: dict[Format, bytes] = {
    "onnx": b"\n\x06alfnet\x12",
    "openvino": b"<alfnet value=",
    "ncnn": b"\nInput alfnet ",
}
"""By format: what stands in the named file of an export, and in no stranger's: METADATA_KEY as a key, or as a layer's name."""
FORMAT_VERSION = 1


def files_of(path: Path, kind: Format) -> tuple[Path, ...]:
    """All files of the export that is named `path`."""
    return tuple(path.with_suffix(ending) for ending in FILES[kind])


class ExportSettings(BaseModel):
    """The choices of an export."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Format
    size: tuple[int, int] | None
    """(height, width) of the inputs in pixels, multiples of 64; None: any such size, and any number of images."""
    channels: Literal["bgr", "rgb"] = "bgr"
    decode: bool = False
    """Boxes and scores of every step in the graph."""
    nms: bool = False
    """The final detections of one step in the graph."""
    test_step: int | None = None
    """Of `nms`: the step, from 1; None where it is the last, or there is none in the graph."""
    half: bool = False
    int8: bool = False

    @model_validator(mode="after")
    def _possible(self) -> ExportSettings:
        if self.half and self.int8:
            raise ValueError("--half and --int8 exclude each other")
        if self.format == "ncnn":
            self._possible_for_ncnn()
        if self.size is not None and any(side <= 0 or side % 64 for side in self.size):
            raise ValueError(
                f"--height and --width must be positive multiples of 64, not {self.size[0]} x {self.size[1]}"
            )
        return self

    def _possible_for_ncnn(self) -> None:
        for asked, option in (
            (self.decode, "--decode"), (self.nms, "--nms"), (self.half, "--half"), (self.int8, "--int8"),
            (self.channels == "rgb", "--rgb"),
        ):  # fmt: skip
            if asked:
                raise ValueError(
                    f"{option}: an ncnn file holds the float32 convolutions alone, for images B G R; leave it out, or export "
                    "as ONNX"
                )
        if self.size is not None:
            raise ValueError("--height and --width: an ncnn file takes images of any size; leave them out")

    @property
    def precision(self) -> str:
        """In a word, for tables."""
        return "int8" if self.int8 else "float16" if self.half else "float32"


def describe(
    network: NetworkSettings, export: ExportSettings, origin: dict[str, Any], detect: DetectSettings | None = None
) -> str:
    """The JSON that an exported file carries: how the network is built, what it takes, what it was trained on.

    Of `detect` it says what is fixed in the graph, which `fixed_selection` reads: nothing without `decode` or `nms`.
    """
    content: dict[str, Any] = {
        "format": FORMAT_VERSION,
        "settings": network.model_dump(mode="json"),
        "export": export.model_dump(mode="json"),
        "input": "uint8 (N, H, W, 3), channels " + export.channels.upper(),
        "extra": origin,
    }
    if detect is not None and (export.decode or export.nms):
        selection = detect.model_dump(mode="json", exclude={"before_nms"})  # which no graph cuts at
        content["detect"] = selection if export.nms else {"scores": selection["scores"]}
    return json.dumps(content, sort_keys=True, allow_nan=False)


def read_description(text: str | None, path: object) -> tuple[NetworkSettings, ExportSettings, dict[str, Any]]:
    """What `describe` wrote. Raises AlfnetError where a file has no such description, or one of another version."""
    try:
        content = json.loads(text or "")
        if content["format"] != FORMAT_VERSION:
            raise AlfnetError(
                f"{path}: of format {content['format']}, this version reads {FORMAT_VERSION}; export it again"
            )
        network = NetworkSettings.model_validate(content["settings"])
        export = ExportSettings.model_validate(content["export"])
        if export.test_step is not None and not 1 <= export.test_step <= network.steps:
            raise AlfnetError(
                f"{path}: was exported for step {export.test_step}, but its network has the steps 1 to {network.steps}; "
                "export it again"
            )
        return network, export, dict(content.get("extra", {}))
    except (ValueError, TypeError, KeyError, RecursionError):
        raise AlfnetError(
            f"{path}: was not written by alfnet export (its description is missing); export the detector"
        ) from None


def fixed_selection(text: str | None) -> dict[str, Any]:
    """`detect` of the description (JSON) that an exported file carries: score_threshold, nms_iou, after_nms, ...

    Empty where the description does not say: files without --nms or --decode, and those of earlier versions.
    """
    try:
        content = json.loads(text or "")
    except (ValueError, RecursionError):
        return {}
    detect = content.get("detect") if isinstance(content, dict) else None
    return dict(detect) if isinstance(detect, dict) else {}


def fixed_threshold(selection: dict[str, Any]) -> float | None:
    """The score above which the graph gives boxes; None where it is not said."""
    value = selection.get("score_threshold")
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= 1:
        return None
    return float(value)
