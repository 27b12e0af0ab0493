"""Large weights are stored once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from torch import nn, randn

from fovea.export.exporter import export_graph
from fovea.export.graph import ExportedGraph
from fovea.export.weights import save_models
from fovea.runtime.ort_session import SessionSettings, open_session

PAGE_BYTES = 4096
"""Weights that begin on one can be mapped."""


def both(graph: ExportedGraph) -> dict[str, onnx.ModelProto]:
    assert graph.maps is not None
    return {"model.onnx": graph.model, "maps.onnx": graph.maps}


def test_small_models_are_single_files(exported: Callable[[str], ExportedGraph], tmp_path: Path) -> None:
    save_models(tmp_path, both(exported("cbam")))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["maps.onnx", "model.onnx"]


def test_two_models_share_large_weights_page_by_page_and_answer_as_before(
    network: Callable[[str], nn.Module], tmp_path: Path
) -> None:
    wide = nn.Sequential(network("simam"), nn.Linear(3, 500), nn.Linear(500, 500)).eval()
    models = both(export_graph(wide, {"input": randn(2, 2, 6, 6)}, ["y"]))
    plain, shared = tmp_path / "plain", tmp_path / "shared"
    for folder, limit in ((plain, 10**9), (shared, 10**6)):
        folder.mkdir()
        save_models(folder, models, shared_from_bytes=limit)
    assert total_size(shared) < 0.6 * total_size(plain)
    for name in models:
        tensors = onnx.load(shared / name, load_external_data=False).graph.initializer
        offsets = [int(entry.value) for tensor in tensors for entry in tensor.external_data if entry.key == "offset"]
        assert len(offsets) > 1
        assert not any(offset % PAGE_BYTES for offset in offsets)
    inputs = {"input": np.random.default_rng(0).standard_normal((3, 2, 6, 6), dtype=np.float32)}
    for name in models:
        answers = [open_session(folder / name, SessionSettings()).run(None, inputs)[0] for folder in (plain, shared)]
        np.testing.assert_array_equal(*answers)


def total_size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
