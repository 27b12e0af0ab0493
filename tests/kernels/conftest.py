"""The kernel library under test: the sanitized one where the environment names it, else the one of this tree."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from kernel_builds import own_library
from kernel_nodes import SANITIZED


@pytest.fixture(scope="session")
def kernel_library() -> Path:
    """The sanitized one must be there."""
    named = os.environ.get(SANITIZED)
    return Path(named).resolve(strict=True) if named else own_library()
