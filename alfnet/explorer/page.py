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
    # A "</script>" inside a string would end the script element.
    content = json.dumps(data, separators=(",", ":"), allow_nan=False, ensure_ascii=False).replace("<", "\\u003c")
    parts = {
        "@TITLE@": html.escape(str(data["title"])),
        "/*@STYLE@*/": _part("explorer.css"),
        "/*@SCRIPT@*/": _part("explorer.js"),
        "@DATA@": content,
    }
    page = _part("explorer.html")
    for mark, text in parts.items():
        before, after = page.split(mark)
        page = before + text + after
    return MARK + page


def _part(name: str) -> str:
    return resources.files("alfnet.explorer").joinpath(name).read_text(encoding="utf-8")
