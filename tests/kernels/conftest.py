"""The kernel library under test: the sanitized one where the environment names it, else the one of this tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from kernel_builds import builder
from kernel_nodes import SANITIZED


@pytest.fixture(scope="session")
def kernel_library() -> Path:
    """Built here where it is not up to date; skipped only where there is no C++ compiler at all."""
    if named := os.environ.get(SANITIZED):
        return Path(named).resolve(strict=True)
    try:
        library: Path = builder.build(builder.Plan())
    except builder.NoKernels as error:
        if not any(map(shutil.which, ("g++", "c++", "clang++"))):
            pytest.skip(str(error))
        pytest.fail(f"{error}\n{error.details}")
    return library
