"""Which models cost the same whatever the values of their inputs are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper

from fovea.runtime.steady_cost import has_steady_cost
from servers import endless_model, save_model, tensor

EXPORTED = Path(__file__).parents[2] / "exported_models"
SIZES = onnx.numpy_helper.from_array(np.array([1, 4], np.int64), "sizes")


def saved(folder: Path, *nodes: onnx.NodeProto) -> Path:
    save_model(folder, "mine", list(nodes), [tensor("x", ["n", 4])], [tensor("y", ["n", 4])])
    return folder / "mine" / "1" / "model.onnx"


def test_a_plain_graph_and_a_network_with_attention_do(tmp_path: Path) -> None:
    assert has_steady_cost(saved(tmp_path, helper.make_node("Add", ["x", "x"], ["y"])))
    assert has_steady_cost(EXPORTED / "fashion-cbam" / "1" / "model.onnx")


def test_a_loop_does_not(tmp_path: Path) -> None:
    endless_model(tmp_path)
    assert not has_steady_cost(tmp_path / "endless" / "1" / "model.onnx")


@pytest.mark.parametrize(
    "nodes",
    [
        [helper.make_node("Constant", [], ["s"], value=SIZES), helper.make_node("Expand", ["x", "s"], ["y"])],
        [helper.make_node("Mystery", ["x"], ["y"], domain="somebody.elses")],
    ],
    ids=["a size that may be a value", "an operator that is not known"],
)
def test_nor_does_what_may_go_by_values(tmp_path: Path, nodes: list[onnx.NodeProto]) -> None:
    assert not has_steady_cost(saved(tmp_path, *nodes))


def test_nor_does_what_cannot_be_looked_into(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(b"\xff" * 100)
    assert not has_steady_cost(tmp_path / "model.onnx")
    assert not has_steady_cost(tmp_path / "missing.onnx")
