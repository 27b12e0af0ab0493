"""Labels: what the classes of an output are called, by their index."""

from __future__ import annotations

from collections.abc import Sequence


def labels_in(text: str) -> tuple[str, ...]:
    """The labels of a file that people wrote: one a line, without blanks around them; empty lines are none."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def label_of(labels: Sequence[str], index: int) -> str:
    """The label of a class; empty where it has none."""
    return labels[index] if index < len(labels) else ""
