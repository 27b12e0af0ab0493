"""A progress bar for training, on standard error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from fovea.recipes.training import Progress


@contextmanager
def progress_bar(title: str, console: Console | None = None) -> Iterator[Progress]:
    """A `Progress` for `train` that draws one bar: title, share, loss, time gone, time left."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    times = (TextColumn("loss {task.fields[loss]:.3f}"), TimeElapsedColumn(), TimeRemainingColumn())
    with Bars(*columns, *times, console=console or Console(stderr=True)) as bars:
        task = bars.add_task(title, total=None, loss=float("nan"))

        def show(done: int, steps: int, loss: float) -> None:
            bars.update(task, completed=done, total=steps, loss=loss)

        yield show
