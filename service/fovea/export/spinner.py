"""An export that shows what it is doing."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from fovea.export.reference import Reference
from fovea.export.version import export_version, stages
from fovea.recipes.subject import Subject
from fovea.runtime.kernel_library import find_kernel_library


def export_subject(
    subject: Subject, repository: Path, version: int | None = None, reference: Reference | None = None
) -> Path:
    """Export and publish, with the kernels that are at hand; on a terminal, standard error tells what and how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(file=sys.stderr)  # this very one, whatever is redirected meanwhile
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        title = f"exporting {subject.name}"
        with _showing_stages(bars, bars.add_task(title, total=None), title):
            return export_version(subject, repository, version, find_kernel_library(), reference)


@contextmanager
def _showing_stages(bars: Progress, task: TaskID, title: str) -> Iterator[None]:
    """The title goes on with what is being done meanwhile."""

    class Shown(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            bars.update(task, description=f"{title}: {record.getMessage()}", refresh=True)

    handler, level = Shown(), stages.level
    stages.addHandler(handler)
    stages.setLevel(logging.INFO)
    stages.propagate = False  # what is shown here belongs in no log besides
    try:
        yield
    finally:
        stages.removeHandler(handler)
        stages.setLevel(level)
        stages.propagate = True
