"""Small real ONNX files: plain ones, and one with an attention operator and its function body."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx
import pytest

from fovea.contract.model_card import ModelCard
from kernel_builds import tiny_library
from servers import tensor as graph_tensor
from simam_version import save, write_card, write_version


@pytest.fixture
def version_folder(tmp_path: Path) -> Path:
    """A whole exported version of the SimAM model, as `fovea export` would leave it."""
    return write_version(tmp_path / "simam" / "1")


@pytest.fixture(scope="session")
def build_kernels(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Builds a library of one SimAM kernel; see simam_kernel.cc for what it may be."""
    return partial(tiny_library, tmp_path_factory.mktemp("kernels"))


@pytest.fixture
def rewrite_card() -> Callable[..., ModelCard]:
    """Writes the folder's card anew, with other facts."""
    return write_card


@pytest.fixture
def save_model() -> Callable[..., Path]:
    """Writes an ONNX file of the given nodes, inputs and outputs."""
    return save


@pytest.fixture
def tensor() -> Callable[..., onnx.ValueInfoProto]:
    """Describes a graph input or output."""
    return graph_tensor
