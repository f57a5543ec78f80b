"""The README's commands, as they stand, and its table."""

from __future__ import annotations

import json
import random
import re
import time

import pytest

from tests.throwaway import run
from tests.tiny import ROOT

pytestmark = pytest.mark.pipeline


def readme_blocks() -> list[tuple[str, str]]:
    """The README's command blocks with the note that stands before each, if any."""
    pattern = r"(?:<!-- ([^>]*) -->\n)?```bash\n(.*?)```"
    return re.findall(pattern, (ROOT / "README.md").read_text(), flags=re.DOTALL)


@pytest.mark.long
def test_readme_commands(clone):
    """Every command block runs as it stands and in any order, but for those marked as set-up (which CI does), data or GPU."""
    notes = {note for note, _ in readme_blocks() if note}
    assert notes <= {"set-up: what CI does", "needs data", "needs data and a GPU", "needs a network"}
    blocks = [block for note, block in readme_blocks() if not note]
    assert len(blocks) >= 6
    seed = time.time_ns()
    print("order of the blocks from seed", seed)
    random.Random(seed).shuffle(blocks)
    for block in blocks:
        run("bash", "-euo", "pipefail", "-c", block, cwd=clone)
    assert json.loads((clone / "rates.json").read_text())["iou_0.50"]["reasonable"] == 32.943294
    assert list((clone / "found" / "pictures").glob("*.png"))
    assert (clone / "found.onnx").is_file()
    assert not run("git", "status", "--porcelain", "rates.json", "found", "found.onnx", cwd=clone).stdout, (
        "ignored by Git"
    )


def test_readme_shows_the_last_table():
    shown = (ROOT / "README.md").read_text().split("<!-- table -->")[1].split("<!-- /table -->")[0]
    assert shown.strip() == (ROOT / "plots" / "ablation.md").read_text().strip()
