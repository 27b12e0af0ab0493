"""Squeeze-and-Excitation is found in plain torch networks, changes no bit of their answers, and runs as kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import helper
from torch import nn

from fovea.contract.operators import OPERATORS
from fovea.export.bound_bodies import attention_nodes, bind_bodies
from fovea.export.exporter import export_graph, trace
from fovea.export.graph import ExportedGraph
from fovea.export.rules.applied import apply_rules
from fovea.runtime.attention_seen import attention_seen
from fovea.runtime.ort_session import SessionSettings, fused_operators, open_session
from one_node import session_of
from paddle_blocks import Block
from paddle_blocks import network as paddle_network
from plain_blocks import CHANNELS, FORMS, NEAR, Linears, in_a_row, plain_network

SIZE = CHANNELS
"""A map is as wide as it has channels: shapes alone do not tell what a mean is over."""


class Written(nn.Module):
    """All in one module: a block that is its own shortcut, and the same twice more."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = Linears().layers

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = (x + self.layers(x.mean((2, 3)))[:, :, None, None] * x).relu()
        x = x * self.layers(x.mean((2, 3)))[:, :, None, None]
        return x * self.layers(x.mean((2, 3)))[:, :, None, None]


def pictures(rows: int, channels: int = CHANNELS) -> dict[str, NDArray[Any]]:
    return {"x": np.random.default_rng(rows).standard_normal((rows, channels, SIZE, SIZE), dtype=np.float32)}


def example(channels: int = CHANNELS) -> dict[str, torch.Tensor]:
    return {"x": torch.tensor(pictures(2, channels)["x"])}


def require_not_a_bit_changed(module: nn.Module, graph: ExportedGraph, channels: int = CHANNELS) -> None:
    """Against torch's own export of it, on a stock ONNX Runtime."""
    plain = session_of(trace(module, example(channels), ["y"], {}))
    for model in (graph.model, graph.maps):
        assert model is not None
        for rows in (1, 2, 7):
            [was], [now, *_] = (one.run(None, pictures(rows, channels)) for one in (plain, session_of(model)))
            np.testing.assert_array_equal(now, was)


@pytest.fixture(scope="module")
def network() -> ExportedGraph:
    return export_graph(plain_network(), example(3), ["y"])


def test_it_is_found_however_it_is_written_and_no_bit_changes() -> None:
    forms = in_a_row(FORMS)
    graph = export_graph(forms, example(), ["y"])
    assert [(layer.name, layer.operator) for layer in graph.layers] == [(name, "SqueezeExcitation") for name in FORMS]
    assert [node.op_type for node in graph.model.graph.node] == ["SqueezeExcitation"] * len(FORMS)
    require_not_a_bit_changed(forms, graph)


def test_what_comes_near_is_left_alone() -> None:
    near = in_a_row(NEAR)
    graph = export_graph(near, example(), ["y"])
    assert (graph.layers, graph.maps, graph.undone) == ((), None, ())


def test_at_the_end_of_a_residual_branch_the_sum_and_its_relu_belong_to_it(network: ExportedGraph) -> None:
    ends = ["SqueezeExcitationAddRelu", "SqueezeExcitationAddRelu", "SqueezeExcitation"]
    assert [(layer.operator, layer.attention, layer.found) for layer in network.layers] == [
        (operator, "squeeze_excitation", True) for operator in ends
    ]
    assert [layer.name for layer in network.layers] == ["branches.0.1", "branches.1.1", "last"]
    require_not_a_bit_changed(plain_network(), network, 3)


def test_each_layer_has_its_gate_as_a_map(network: ExportedGraph) -> None:
    assert network.maps is not None
    _, *gates = session_of(network.maps).run(None, pictures(5, 3))
    assert [gate.shape for gate in gates] == [(5, CHANNELS)] * len(network.layers)
    x = torch.tensor(pictures(5, 3)["x"])
    module = plain_network()
    seen: list[torch.Tensor] = []
    for name in ("branches.0.1.layers.3", "branches.1.1.excite", "last.excite"):
        module.get_submodule(name).register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    module(x)
    expected = [seen[0], *(torch.sigmoid(scores).flatten(1) for scores in seen[1:])]
    for gate, right in zip(gates, expected, strict=True):
        np.testing.assert_allclose(gate, right.detach().numpy(), rtol=0, atol=1e-6)


def test_kernels_take_every_one_and_agree(network: ExportedGraph, kernel_library: Path, tmp_path: Path) -> None:
    assert network.maps is not None
    for name, model in (("model.onnx", network.model), ("maps.onnx", network.maps)):
        onnx.save(model, tmp_path / name)
        with_kernels = open_session(tmp_path / name, SessionSettings(kernel_library=kernel_library))
        assert fused_operators(with_kernels) == {layer.operator for layer in network.layers}
        for got, right in zip(
            with_kernels.run(None, pictures(3, 3)), session_of(model).run(None, pictures(3, 3)), strict=True
        ):
            np.testing.assert_allclose(got, right, rtol=0, atol=1e-5)


def test_names_of_nodes_and_values_do_not_count() -> None:
    graph = trace(plain_network(), example(3), ["y"], {})
    given = {value.name for value in (*graph.graph.input, *graph.graph.output)}
    names = {value: f"v{i}" for i, value in enumerate(one for node in graph.graph.node for one in node.output)}
    names |= {tensor.name: f"w{i}" for i, tensor in enumerate(graph.graph.initializer)}
    names |= {name: name for name in given}
    for node in graph.graph.node:
        node.name = ""
        del node.metadata_props[:]
        node.input[:], node.output[:] = [names[one] for one in node.input], [names[one] for one in node.output]
    for value in (*graph.graph.initializer, *graph.graph.value_info):
        value.name = names.get(value.name, value.name)
    found = attention_nodes(apply_rules(graph, pictures(2, 3)).model)
    assert [node.op_type for node in found] == [*["SqueezeExcitationAddRelu"] * 2, "SqueezeExcitation"]


def test_a_body_has_the_names_of_its_operator(network: ExportedGraph) -> None:
    for body in network.model.functions:
        assert list(body.input) == [name.removesuffix("?") for name in OPERATORS[body.name].inputs]
        assert all(node.name.startswith(f"{body.name}/") for node in body.node)


def test_a_block_may_be_its_own_shortcut_and_come_several_times_in_one_module() -> None:
    module = nn.Sequential(Written()).eval()
    graph = export_graph(module, example(), ["y"])
    assert [(layer.name, layer.operator) for layer in graph.layers] == [
        ("0", "SqueezeExcitationAddRelu"),
        ("0#2", "SqueezeExcitation"),
        ("0#3", "SqueezeExcitation"),
    ]
    require_not_a_bit_changed(module, graph)


def test_blocks_that_are_alike_share_a_body_and_a_block_that_is_used_again_its_weights() -> None:
    alike = in_a_row(dict.fromkeys(("one", "two"), FORMS["convolutions"]))
    again = nn.Sequential(*alike, *alike)
    graph = export_graph(again, example(), ["y"])
    assert len(attention_nodes(graph.model)) == 4
    assert len(graph.model.functions) == 1
    assert len(graph.model.graph.initializer) == 2 * 4
    require_not_a_bit_changed(again, graph)


def test_biases_that_are_added_after_convolutions_belong_to_it_and_each_gate_keeps_its_slope(tmp_path: Path) -> None:
    """The oracle of `apply_rules` undoes what changes a bit."""
    plain = paddle_network(Block(0.2), Block(0.1667), Block(0.2, reshaped=True), Block(0.1667, bias_axes=(-1, 1, 1)))
    applied = apply_rules(plain, pictures(2))
    found = attention_nodes(applied.model)
    assert [node.op_type for node in applied.model.graph.node] == ["SqueezeExcitation"] * 4
    slopes = [helper.get_node_attr_value(node, "slope") for node in found]
    assert slopes == pytest.approx([0.2, 0.1667, 0.2, 0.1667], rel=1e-6)
    assert applied.undone == ()
    onnx.save(plain, tmp_path / "model.onnx")
    assert "4 x gate" in attention_seen(tmp_path / "model.onnx").unnamed


def test_kernels_take_blocks_whose_biases_were_added_after_convolutions(kernel_library: Path, tmp_path: Path) -> None:
    plain = paddle_network(Block(0.2), Block(0.1667, reshaped=True))
    applied = apply_rules(plain, pictures(2))
    onnx.save(bind_bodies(applied.model, applied.found), tmp_path / "model.onnx")
    with_kernels = open_session(tmp_path / "model.onnx", SessionSettings(kernel_library=kernel_library))
    assert fused_operators(with_kernels) == {"SqueezeExcitation"}
    [got], [right] = (session.run(None, pictures(3)) for session in (with_kernels, session_of(plain)))
    np.testing.assert_allclose(got, right, rtol=0, atol=1e-5)


def test_a_bias_along_a_plane_is_none() -> None:
    """(1, 1, 1, C) is no number a channel; a plane that is as wide as it has channels does not tell it from one."""
    applied = apply_rules(paddle_network(Block(0.2, bias_axes=(1, 1, 1, -1))), pictures(2))
    assert attention_nodes(applied.model) == []


class Doubled(nn.Module):
    """A block whose sum is with itself: no shortcut comes from outside."""

    def __init__(self) -> None:
        super().__init__()
        self.block = FORMS["linears"]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.block(x)
        return torch.relu(y + y)


def test_a_block_that_is_added_to_itself_is_no_residual_branch() -> None:
    module = Doubled().eval()
    graph = export_graph(module, example(), ["y"])
    assert [(layer.name, layer.operator) for layer in graph.layers] == [("block", "SqueezeExcitation")]
    require_not_a_bit_changed(module, graph)
