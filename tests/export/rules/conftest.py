"""The kernel library of this tree, for the rules' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_builds import builder


@pytest.fixture(scope="session")
def kernel_library() -> Path:
    """Built where it is not up to date; skipped where it cannot be."""
    try:
        library: Path = builder.build(builder.Plan())
    except builder.NoKernels as error:
        pytest.skip(str(error))
    return library
