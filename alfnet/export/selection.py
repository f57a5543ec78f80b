"""What an exported file says of the scores and the selection of boxes that are fixed in its graph."""

from __future__ import annotations

import json
from typing import Any


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
