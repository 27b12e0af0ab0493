"""Attention maps that a module gives itself."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from onnx import helper
from torch import Tensor, nn

from fovea.attention.simam import SimAM
from fovea.contract.attention import AttentionType
from fovea.contract.errors import ExportFailed
from fovea.export.exporter import export_graph
from fovea.export.graph import ExportedGraph
from fovea.export.own_maps import with_own_maps
from one_node import session_of

HARD = AttentionType.HARD_SAMPLE


class Looking(nn.Module):
    """An answer, a map of its own, and one of an operator."""

    def __init__(self) -> None:
        super().__init__()
        self.block = SimAM()
        self.where = nn.Linear(4, 2)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        return self.block(image).sum((1, 2, 3))[:, None], torch.tanh(self.where(image.flatten(1)))


def exported(*names: str) -> ExportedGraph:
    torch.manual_seed(0)
    return export_graph(Looking(), {"image": torch.ones(2, 1, 2, 2)}, names)


def outputs(model: object) -> list[str]:
    return [output.name for output in session_of(model).get_outputs()]  # type: ignore[arg-type]


def test_an_output_that_is_called_attention_is_a_map_before_those_of_operators() -> None:
    graph = with_own_maps(exported("y", "attention.path"), HARD)
    assert [(layer.name, layer.attention, layer.operator) for layer in graph.layers] == [
        ("path", HARD, None),
        ("block", AttentionType.SIMAM, "SimAM"),
    ]
    assert [spec.name for spec in graph.outputs] == outputs(graph.model) == ["y"]
    assert outputs(graph.maps) == ["y", "attention.path", "attention.block"]


def test_the_file_without_maps_does_not_compute_it_and_answers_alike() -> None:
    graph = with_own_maps(exported("y", "attention.path"), HARD)
    assert "Tanh" not in {node.op_type for node in graph.model.graph.node}
    assert not [tensor.name for tensor in graph.model.graph.initializer if "where" in tensor.name]
    rows = {"image": np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 1, 2, 2)}
    (plain,), (with_maps, path, _) = session_of(graph.model).run(None, rows), session_of(graph.maps).run(None, rows)
    np.testing.assert_array_equal(plain, with_maps)
    assert path.shape == (3, 2)


def test_a_module_without_such_outputs_stays_as_it_is() -> None:
    graph = exported("y", "z")
    assert with_own_maps(graph, HARD) is graph


def test_what_nodes_leave_out_keeps_nothing_in_the_file_without_maps() -> None:
    graph = exported("y", "attention.path")
    nodes = graph.model.graph.node
    nodes.insert(0, helper.make_node("Identity", ["image"], [""]))
    nodes.append(helper.make_node("Clip", ["y", "", ""], ["clipped"]))
    graph.model.graph.output[0].name = "clipped"
    assert "Identity" not in {node.op_type for node in with_own_maps(graph, HARD).model.graph.node}


@pytest.mark.parametrize(
    ("names", "attention"),
    [
        (("attention.path", "y"), HARD),
        (("y", "attention.path"), None),
        (("attention.a", "attention.path"), HARD),
    ],
)
def test_a_map_before_an_answer_or_of_no_type_is_refused(
    names: tuple[str, str], attention: AttentionType | None
) -> None:
    with pytest.raises(ExportFailed, match=r"attention\.(path|a) is an attention map"):
        with_own_maps(exported(*names), attention)
