"""The kernel library of this tree, for the rules' tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from kernel_builds import own_library


@pytest.fixture(scope="session")
def kernel_library() -> Path:
    return own_library()
