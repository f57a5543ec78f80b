"""Rendering a data set by its settings in the parameter file."""

from __future__ import annotations

from pathlib import Path

from alfnet.annotations.citypersons import read_mat
from alfnet.params import SyntheticSettings
from alfnet.progress import progress_report
from streetscenes.dataset import render_dataset

WORKERS = 2
"""Processes; the pictures do not depend on it."""


def render_from_settings(settings: SyntheticSettings, folder: Path, *, workers: int = WORKERS) -> None:
    """Render the data set of `settings` to `folder`; with `layout`, from the annotation files that it names.

    Raises AlfnetError for annotation files that cannot be used.
    """
    layout = None
    if settings.layout is not None:
        layout = {"train": read_mat(settings.layout.train, "train"), "val": read_mat(settings.layout.val, "val")}
    with progress_report(f"render {folder.name}", settings.train_images + settings.val_images) as report:
        render_dataset(
            settings, folder, layout=layout, progress=lambda done, total: report.update(done), workers=workers
        )
