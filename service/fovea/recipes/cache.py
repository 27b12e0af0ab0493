"""The folder for what can be fetched or computed again: data sets and trained weights."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir() -> Path:
    """`$XDG_CACHE_HOME/fovea`, or `~/.cache/fovea`; made if it is missing."""
    root = os.environ.get("XDG_CACHE_HOME")
    folder = (Path(root) if root else Path.home() / ".cache") / "fovea"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
