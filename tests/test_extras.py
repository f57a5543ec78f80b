"""The evaluation alone: what is imported, how a missing extra is named, and a fresh environment."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest
import scipy.io

from alfnet.errors import AlfnetError, extra_needed
from alfnet.extras import EXTRA_OF_MODULE

pytestmark = pytest.mark.slow

HEAVY = (
    "torch",
    "torchvision",
    "cv2",
    "dvc",
    "dvclive",
    "h5py",
    "lightning_fabric",
    "scipy",
    "pandas",
    "matplotlib",
)
MODULE_OF_PACKAGE = {
    "opencv-python-headless": "cv2",
    "ruamel.yaml": "ruamel",
    "vl-convert-python": "vl_convert",
    "pytest-xdist": "xdist",
    "pillow": "PIL",
}


def python(code: str, *arguments: str, cwd: Path | None = None, code_expected: int = 0) -> str:
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    assert result.returncode == code_expected, result.stdout
    return result.stdout


def test_import_alfnet_brings_nothing_else() -> None:
    loaded = python("import sys; import alfnet; print(' '.join(sorted(sys.modules)))").split()
    assert not {"numpy", "typer", "rich", *HEAVY} & set(loaded)
    assert "evaluate" in python("import alfnet; print(dir(alfnet))")


def test_the_command_line_starts_with_nothing_that_builds_settings_or_computes() -> None:
    loaded = python("import sys; import alfnet.cli; print(' '.join(sorted(sys.modules)))").split()
    assert not {"pydantic", "numpy", "alfnet.params", *HEAVY} & set(loaded)


def test_evaluate_needs_no_heavy_module(golden: Path) -> None:
    """With every heavy module made impossible to import, as if it was not installed."""
    code = f"""
import sys
for name in {HEAVY!r}: sys.modules[name] = None
from alfnet.cli import main
sys.argv = ["alfnet", "evaluate", *sys.argv[1:]]
main()
"""
    output = python(code, str(golden / "miss_rate_24_gt.json"), str(golden / "miss_rate_24_dt.json"))
    assert "25.96" in output


@pytest.mark.parametrize(
    ("module", "arguments", "extra"),
    [
        ("torch", ["detect", "x.png", "--weights", "w", "--out", "o"], "detect"),
        ("scipy", ["data", "synthetic", "--out", "o"], "train"),
        ("h5py", ["weights", "import", "w.hdf5", "--backbone", "resnet50", "--steps", "2", "--out", "o"], "train"),
        ("matplotlib", ["table"], "pipeline"),
    ],
)
def test_a_missing_extra_is_one_sentence(
    tmp_path: Path, root: Path, module: str, arguments: list[str], extra: str
) -> None:
    (tmp_path / "params.yaml").write_bytes((root / "params.yaml").read_bytes())
    scipy.io.savemat(tmp_path / "a.mat", {"x": [1.0]})
    code = f"""
import sys
sys.path.insert(0, {str(root)!r})
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {module!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Missing())
from alfnet.cli import main
sys.argv = ["alfnet", *sys.argv[1:]]
main()
"""
    output = python(code, *arguments, cwd=tmp_path, code_expected=2)
    assert output.count("\n") == 1
    assert f"needs {module}" in output
    assert f"pip install 'alfnet[{extra}]'" in output


def test_a_missing_module_of_ours_keeps_its_traceback() -> None:
    with pytest.raises(ModuleNotFoundError), extra_needed("train"):
        raise ModuleNotFoundError("x", name="alfnet.nothing")
    with pytest.raises(AlfnetError, match=r"alfnet\[train\]"), extra_needed("train"):
        raise ModuleNotFoundError("x", name="h5py.h5d")


def test_the_table_of_modules_agrees_with_pyproject(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]

    def modules(extra: str) -> set[str]:
        found = set()
        for requirement in project["optional-dependencies"][extra]:
            name, extras = re.match(r"([\w.-]+)(?:\[([\w,]+)\])?", requirement).groups()
            if name == "alfnet":
                found |= set().union(*(modules(part) for part in extras.split(",")))
            else:
                found.add(MODULE_OF_PACKAGE.get(name, name).replace("-", "_"))
        return found

    sizes = {extra: len(modules(extra)) for extra in project["optional-dependencies"] if extra != "dev"}
    needed = set().union(*(modules(extra) for extra in sizes))
    assert needed <= EXTRA_OF_MODULE.keys()
    for module in needed:
        smallest = min((extra for extra in sizes if module in modules(extra)), key=sizes.__getitem__)
        assert EXTRA_OF_MODULE[module] == smallest, module
    assert "torch" not in " ".join(project["dependencies"])


@pytest.mark.slow
@pytest.mark.fresh
def test_a_fresh_environment_evaluates(root: Path, tmp_path: Path, golden: Path) -> None:
    """`pip install .` alone: its size, and the commands in it."""
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    copy = tmp_path / "source"
    copy.mkdir()
    for name in ("alfnet", "streetscenes", "pyproject.toml", "README.md", "LICENSE"):
        subprocess.run(["cp", "-r", root / name, copy], check=True)
    installed = subprocess.run(
        [scripts / "pip", "install", "-q", "--disable-pip-version-check", str(copy)], capture_output=True, text=True
    )
    if installed.returncode:
        pytest.skip(f"no package index at hand: {installed.stderr[-200:]}")
    packages = next((tmp_path / "venv" / "lib").glob("python3*")) / "site-packages"
    pip = set(packages.glob("pip*"))
    size = sum(file.stat().st_size for file in packages.rglob("*") if file.is_file() and not pip & set(file.parents))
    names = {path.name.partition("-")[0].lower() for path in packages.glob("*.dist-info")}
    print(f"{size / 1e6:.0f} MB in {len(names)} packages: {', '.join(sorted(names))}")
    assert size < 120e6
    assert not {"torch", "dvc", "opencv_python_headless", "scipy", "pandas"} & names
    environment = {"PATH": str(scripts), "HOME": str(tmp_path)}
    files = [str(golden / "miss_rate_24_gt.json"), str(golden / "miss_rate_24_dt.json")]
    output = subprocess.run(
        [scripts / "alfnet", "evaluate", *files],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "25.96" in output
    times = []
    for _ in range(5):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(
            [scripts / "alfnet", "evaluate", *files], env=environment, cwd=tmp_path, capture_output=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    print(f"a whole evaluation of 24 images: {min(times):.2f} s of the processor")
    (tmp_path / "params.yaml").write_bytes((root / "params.yaml").read_bytes())
    refused = subprocess.run(
        [scripts / "alfnet", "detect", "x.png", "--weights", "w", "--out", "o"],
        env=environment, cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert "pip install 'alfnet[detect]'" in refused.stderr
