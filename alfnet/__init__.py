"""ALFNet (ECCV 2018) in PyTorch: a single-stage pedestrian detector that regresses its anchors step by step.

The packages follow the flow of the data, and a package imports only from those before it:
annotations -> boxes -> network -> training -> detection -> reading, evaluation -> report.

    import alfnet

    result = alfnet.evaluate("val_gt.json", "detections.json")
    print(result)

Nothing is imported before it is used: `import alfnet` takes some milliseconds, and the evaluation needs no torch.
"""

from __future__ import annotations

TYPE_CHECKING = False  # as typing's, whose import would be half of this package's
if TYPE_CHECKING:
    from typing import Any

    from alfnet.detection.detector import Detector as Detector
    from alfnet.evaluation.api import compare as compare
    from alfnet.evaluation.api import evaluate as evaluate
    from alfnet.evaluation.comparison import Comparison as Comparison
    from alfnet.evaluation.result import Evaluation as Evaluation

__version__ = "0.1.0"

_PLACES = {
    "Comparison": "alfnet.evaluation.comparison",
    "Detector": "alfnet.detection.detector",
    "Evaluation": "alfnet.evaluation.result",
    "compare": "alfnet.evaluation.api",
    "evaluate": "alfnet.evaluation.api",
}
"""Where the public names are defined."""

__all__ = ["Comparison", "Detector", "Evaluation", "__version__", "compare", "evaluate"]


def __getattr__(name: str) -> Any:
    """Import a public name from its module when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'alfnet' has no attribute {name!r}")
    from importlib import import_module

    from alfnet.errors import extra_needed

    with extra_needed():
        value = getattr(import_module(_PLACES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
