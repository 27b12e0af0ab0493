"""What a folder's files look like from outside: equal stamps, equal files, and nothing has to be read for it."""

from __future__ import annotations

import os
from pathlib import Path

Stamp = tuple[tuple[str, int, int, int], ...]
"""Per file: path in the folder, time of the last change in ns, bytes, inode. A link counts as what it leads to."""


def stamp_of(folder: Path) -> Stamp:
    """The stamp of every file below a folder; empty where there is none, or none that can be read."""
    return tuple(sorted(_facts(folder, Path(home) / name) for home, _, names in os.walk(folder) for name in names))


def _facts(folder: Path, file: Path) -> tuple[str, int, int, int]:
    path = str(file.relative_to(folder))
    try:
        facts = file.stat()
    except OSError:  # gone since it was listed, or a link to nothing
        return path, 0, 0, 0
    return path, facts.st_mtime_ns, facts.st_size, facts.st_ino
