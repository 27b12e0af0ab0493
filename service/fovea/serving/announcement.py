"""What a server says once its models are loaded: one line for programs, or a few that people read at a glance."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill

from fovea import __version__

_NARROWEST = 40


def in_one_line(facts: Mapping[str, str], *, ready: bool) -> str:
    """`fovea 1.2.3 ready: gRPC 127.0.0.1:8001, …`: the form that scripts may rely on. Or `not ready: …`."""
    return f"fovea {__version__} {'ready' if ready else 'not ready'}: " + ", ".join(
        f"{name} {value}" for name, value in facts.items()
    )


def in_lines(facts: Mapping[str, str], columns: int, *, ready: bool) -> str:
    """A line a fact, wrapped at the terminal's width."""
    width = max(map(len, facts))
    lines = [_line(f"  {name:{width}}  ", value, columns) for name, value in facts.items()]
    return "\n".join([f"fovea {__version__} is {'ready' if ready else 'up, but not ready'}; Ctrl-C ends it", *lines])


def _line(head: str, value: str, columns: int) -> str:
    lay_out = {"subsequent_indent": " " * len(head), "break_long_words": False, "break_on_hyphens": False}
    return fill(value, max(columns, _NARROWEST), initial_indent=head, **lay_out)  # type: ignore[arg-type]
