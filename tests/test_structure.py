"""What imports what: no circle, imports inside functions included."""

from __future__ import annotations

import ast
from pathlib import Path

PACKAGES = ("alfnet", "streetscenes", "stages", "tools", "benchmarks")


def imports(root: Path) -> dict[str, set[str]]:
    """The modules of the house that each of them imports."""
    files = {
        ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in sorted((root / package).rglob("*.py"))
    }
    found: dict[str, set[str]] = {}
    for module, path in files.items():
        names = set()
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        # A package's face hands names on from its modules, and gets none of its own by it.
        found[module] = {name for name in names & files.keys() if files[name].name != "__init__.py"} - {module}
    return found


def test_no_modules_import_each_other_in_a_circle(root: Path) -> None:
    left = imports(root)
    assert len(left) > 150
    while free := {module for module, others in left.items() if not others & left.keys()}:
        left = {module: others for module, others in left.items() if module not in free}
    circle = {module: sorted(others & left.keys()) for module, others in left.items()}
    assert not circle
