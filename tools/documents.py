"""Puts what was computed into a document, between two lines that mark its place.

python -m tools.documents    plots/ablation.md into README.md, after a `make repro` that changed it
"""

from __future__ import annotations

from pathlib import Path

from alfnet.errors import AlfnetError, exit_with_message
from alfnet.files import write_text

ROOT = Path(__file__).resolve().parent.parent


def put(path: Path, name: str, text: str) -> None:
    """Put `text` into the file, in the place of what stands between `<!-- name -->` and `<!-- /name -->`.

    Raises AlfnetError where the file has not these two lines.
    """
    before, after = around(path, name)
    write_text(path, f"{before}<!-- {name} -->\n{text.strip()}\n<!-- /{name} -->{after}")


def around(path: Path, name: str) -> tuple[str, str]:
    """What stands before and after the place that `put` writes to; AlfnetError where the file has none."""
    begin, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(end)
    if not found or not closed:
        raise AlfnetError(f"{path}: has no lines {begin} and {end} to put the table between")
    return before, after


@exit_with_message
def main() -> None:
    """README's table."""
    put(ROOT / "README.md", "table", (ROOT / "plots" / "ablation.md").read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
