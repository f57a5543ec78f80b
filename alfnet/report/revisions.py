"""Reports of two revisions side by side: the present one, and one from Git and DVC's cache."""

from __future__ import annotations

import hashlib
import html
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd

from alfnet.errors import AlfnetError
from alfnet.files import atomic_path, write_text
from alfnet.report.summary import read_ablation

PAGE = Path("report/index.html")
FOLDER = Path(".scratch/reports")
_KEYS = ["variant", "test_step"]
_FIGURES = ("mr_50", "mr_75")

# A process of its own: DVC is slow to import, and knows all names of revisions, experiments too.
_FETCH = """
import json, sys
from dvc.api import DVCFileSystem
files = DVCFileSystem(url=sys.argv[1], rev=sys.argv[2])
for name in json.loads(sys.argv[4]):
    files.get(name, sys.argv[3] + "/" + name, recursive=True)
"""


def present_report(root: Path) -> Path:
    """Return the page of the present report. Raises AlfnetError where there is none."""
    page = root / PAGE
    if not page.is_file():
        raise AlfnetError(f"{PAGE}: no such file; make it with: dvc repro, or get it with: dvc pull report")
    return page


def compare_reports(root: Path, revision: str) -> Path:
    """Write a page with the present report and that of `revision` beside each other, and return it.

    The other report is fetched from Git and DVC's cache (or the remote) to .scratch/reports/; nothing else changes.

    Raises:
        AlfnetError: there is no such revision, no report in it, or its files are in neither cache nor remote.
    """
    present_report(root)
    other = fetch_report(root, revision)
    now, then = (read_ablation(folder / "plots" / "ablation.csv") for folder in (root, other))
    page = other / "compare.html"
    write_text(page, _page(revision, then, now, PAGE.as_posix(), (root / PAGE).resolve().as_uri()))
    return page


def fetch_report(root: Path, revision: str) -> Path:
    """Fetch report/ and plots/ablation.csv of a revision; return the folder that they lie in."""
    name = hashlib.sha256(revision.encode()).hexdigest()[:12]
    target = root / FOLDER / name
    names = json.dumps(["plots/ablation.csv", "report"])
    with atomic_path(target) as temporary:
        temporary.mkdir(parents=True)
        command = [sys.executable, "-c", _FETCH, str(root.resolve()), revision, str(temporary), names]
        run = subprocess.run(command, capture_output=True, text=True)
        if run.returncode or not (temporary / PAGE).is_file():
            shutil.rmtree(temporary, ignore_errors=True)
            raise AlfnetError(
                f"--compare {revision}: its report could not be had ({_reason(run.stderr)}); name a commit, branch, tag "
                "or experiment whose report is in DVC's cache or remote (alfnet experiments lists the latter)"
            )
    return target


def _reason(errors: str) -> str:
    """The exception that ended the fetching program; what Python prints later, as it shuts down, says nothing."""
    lines = errors.strip().splitlines()
    ended = next((i for i, line in enumerate(lines) if line.startswith("Traceback")), None)
    if ended is not None:
        lines = [line for line in lines[ended + 1 :] if line and not line[0].isspace()][:1]
    return lines[-1] if lines else "no report in it"


def _page(revision: str, then: pd.DataFrame, now: pd.DataFrame, there: str, here: str) -> str:
    both = then[_KEYS + list(_FIGURES)].merge(
        now[_KEYS + list(_FIGURES)], on=_KEYS, how="outer", suffixes=("_then", "_now"), sort=False
    )
    both = both.fillna("")
    name = html.escape(revision)
    rows = []
    for row in both.to_dict(orient="records"):
        cells = [f"<th>{html.escape(row['variant'])}, step {html.escape(row['test_step'])}</th>"]
        for figure in _FIGURES:
            before, after = row[f"{figure}_then"], row[f"{figure}_now"]
            change = f"{float(after) - float(before):+.2f}" if before and after else "–"
            cells += [
                f"<td>{html.escape(before) or '–'}</td><td>{html.escape(after) or '–'}</td><td><b>{change}</b></td>"
            ]
        rows.append(f"<tr>{''.join(cells)}</tr>")
    return _HTML.format(name=name, rows="\n".join(rows), there=there, here=html.escape(here))


_HTML = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} and now</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ margin: 0; padding: 1rem; font: 15px/1.5 system-ui, sans-serif; }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; }}
th, td {{ padding: .2rem .8rem; text-align: right; }}
th:first-child {{ text-align: left; font-weight: 500; }}
.scroll {{ overflow-x: auto; }}
.both {{ display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 420px), 1fr)); gap: 1rem; margin-top: 1rem; }}
iframe {{ width: 100%; height: 85vh; border: 1px solid #8888; }}
</style>
</head>
<body>
<h1>{name} and now</h1>
<p>Miss rates in percent, Reasonable subset; a negative change is better now.</p>
<div class="scroll"><table>
<tr><th></th><th colspan="3">IoU 0.5</th><th colspan="3">IoU 0.75</th></tr>
<tr><th></th><th>{name}</th><th>now</th><th>change</th><th>{name}</th><th>now</th><th>change</th></tr>
{rows}
</table></div>
<div class="both">
<section><h2><a href="{there}">{name}</a></h2><iframe src="{there}" title="{name}"></iframe></section>
<section><h2><a href="{here}">now</a></h2><iframe src="{here}" title="now"></iframe></section>
</div>
</body>
</html>
"""
