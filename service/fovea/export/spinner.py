"""An export that shows it is at work."""

from __future__ import annotations

import sys
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from fovea.export.reference import Reference
from fovea.export.version import export_version
from fovea.recipes.subject import Subject
from fovea.runtime.kernel_library import find_kernel_library


def export_subject(
    subject: Subject, repository: Path, version: int | None = None, reference: Reference | None = None
) -> Path:
    """Export and publish, with the kernels that are at hand; on a terminal, standard error tells what and how long."""
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    console = Console(file=sys.stderr)  # this very one, whatever is redirected meanwhile
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bars:
        bars.add_task(f"exporting {subject.name}", total=None)
        return export_version(subject, repository, version, find_kernel_library(), reference)
