"""What a folder's files look like from outside: equal stamps, equal files, and nothing has to be read for it."""

from __future__ import annotations

import os
from itertools import islice
from pathlib import Path

from fovea.runtime.names import is_version_name

_MOST_FILES = 10_000
"""A data set beside a model takes 15 µs a file at every look, and holds up the looks at other models."""
Stamp = tuple[tuple[str, int, int, int], ...]
"""Per file: path in the folder, time of the last change in ns, bytes, inode. A link counts as what it leads to."""


def stamp_of(folder: Path) -> Stamp:
    """The stamp of the files below a folder; empty where there is none, or none that can be read."""
    files = (Path(home) / name for home, _, names in os.walk(folder) for name in names)
    return tuple(sorted(_facts(folder, file) for file in islice(files, _MOST_FILES)))


def bytes_in(folder: Path) -> int:
    """Size of all files: weights beside a model are as much to load as those in it."""
    return sum(size for _, _, size, _ in stamp_of(folder))


def model_stamp(model: Path) -> Stamp:
    """The stamp of a model's folder. Its versions may be links to folders; in these, such links are not followed."""
    try:
        entries = sorted(model.iterdir())
    except OSError:  # gone since it was listed, or not ours to read
        return ()
    if not any(is_version_name(entry.name) for entry in entries):  # whatever it leads to, there is no model to follow
        return tuple(_facts(model, entry) for entry in entries)
    return tuple(fact for entry in entries[:_MOST_FILES] for fact in _entry(model, entry))


def _entry(model: Path, entry: Path) -> Stamp:
    if not entry.is_dir():
        return (_facts(model, entry),)
    return ((entry.name, 0, 0, 0), *stamp_of(entry))  # an empty folder is something, too


def _facts(folder: Path, file: Path) -> tuple[str, int, int, int]:
    return str(file.relative_to(folder)), *file_stamp(file)


def file_stamp(file: Path) -> tuple[int, int, int]:
    """Time of the last change in ns, bytes, inode; zeros where there is nothing, or a link to nothing."""
    try:
        facts = file.stat()
    except OSError:
        return 0, 0, 0
    return facts.st_mtime_ns, facts.st_size, facts.st_ino
