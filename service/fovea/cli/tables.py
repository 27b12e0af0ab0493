"""Tables on standard output."""

from __future__ import annotations

from rich.console import Console

_WIDTH = 10_000


def wide_console() -> Console:
    """Prints a row as a line, however narrow the terminal, so that names stay whole for whoever reads or cuts them."""
    return Console(soft_wrap=True, width=_WIDTH)
