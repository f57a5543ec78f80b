"""The explorer as one HTML file: data, style and script inside, images beside it."""

from __future__ import annotations

import html
import json
from importlib import resources
from pathlib import Path
from typing import Any

from alfnet.files import write_text

MARK = "<!doctype html>\n<!-- alfnet explorer -->\n"
"""How every page begins, by which a command recognises its own."""


def write_explorer(path: Path, data: dict[str, Any]) -> None:
    """Write the page of `alfnet.explorer.data` to `path`, whole or not at all; equal data gives equal bytes."""
    write_text(path, explorer_html(data))


def explorer_html(data: dict[str, Any]) -> str:
    """Return the page as text."""
    parts = {
        "@TITLE@": html.escape(str(data["title"])),
        "/*@STYLE@*/": shared_style() + _part("explorer.css"),
        "/*@SCRIPT@*/": shared_script() + _part("explorer.js"),
        "@DATA@": json_for_script(data),
    }
    page = _part("explorer.html")
    for mark, text in parts.items():
        before, after = page.split(mark)
        page = before + text + after
    return MARK + page


def shared_style() -> str:
    """The style that every page with boxes on images begins with."""
    return _part("base.css")


def shared_script() -> str:
    """The script that every page with boxes on images begins with: elements, boxes, the enlarged image."""
    return _part("dom.js") + _part("boxes.js")


def json_for_script(value: Any) -> str:
    """JSON to stand in a script element, which a "</script>" inside a string would end."""
    return json.dumps(value, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")


def _part(name: str) -> str:
    return resources.files("alfnet.explorer").joinpath(name).read_text(encoding="utf-8")
