"""Where attention ends a residual branch, sum and ReLU belong to its node; everywhere else they do not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from fovea.attention.cbam import CBAM
from fovea.attention.factory import build
from fovea.attention.simam import SimAM
from fovea.attention.squeeze_excitation import SqueezeExcitation
from fovea.contract.attention import AttentionType
from fovea.contract.operators import OPERATORS, RESIDUAL_FORMS
from fovea.export.exporter import export_graph
from fovea.export.graph import ExportedGraph, attention_nodes
from fovea.export.reference import Reference
from fovea.recipes.images.classification import ImageClassification
from fovea.recipes.images.fashion_models import FASHION_MODELS
from fovea.recipes.recipe import untrained
from one_node import session_of

TYPES = [OPERATORS[name].attention for name in RESIDUAL_FORMS]


class Branches(nn.Module):
    """(N, 8, 6, 6) -> two residual branches with attention -> (N, 8): the sum written both ways round."""

    def __init__(self, attention: AttentionType) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(8, 8, 3, padding=1)
        self.shortcut = nn.Conv2d(8, 8, 1)
        self.first = build(attention, 8)
        self.second = build(attention, 8)

    def forward(self, image: Tensor) -> Tensor:
        y = F.relu(self.shortcut(image) + self.first(self.conv(image)))
        return F.relu(self.second(self.conv(y)) + y).mean((2, 3))


class Block(nn.Module):
    """SimAM on a feature map, and what the test says comes after it."""

    def __init__(self, forward: Callable[[nn.Module, Tensor], Any], block: nn.Module | None = None) -> None:
        super().__init__()
        self.block = block or SimAM()
        self._forward = forward

    def forward(self, x: Tensor) -> Any:
        return self._forward(self.block, x)


def export(module: nn.Module, outputs: int = 1) -> ExportedGraph:
    names = [f"y{index}" for index in range(outputs)]
    return export_graph(module, {"x": torch.randn(2, 8, 6, 6)}, names)


def operators(graph: ExportedGraph) -> list[str]:
    return [node.op_type for node in attention_nodes(graph.model)]


def normal(rows: int) -> dict[str, Any]:
    return {"x": np.random.default_rng(rows).standard_normal((rows, 8, 6, 6), dtype=np.float32)}


def require_pytorchs_answers(graph: ExportedGraph, module: nn.Module) -> None:
    """Of both files, at several batch sizes; and each file is sorted as ONNX wants it."""
    reference = Reference(module)
    for model in (graph.model, graph.maps):
        assert model is not None
        onnx.checker.check_model(model, full_check=True)
        session = session_of(model)
        for rows in (1, 2, 7):
            answer = reference.answer(normal(rows))
            expected = [*answer.outputs, *(each for call in answer.attention for each in call.maps)]
            for got, right in zip(session.run(None, normal(rows)), expected, strict=False):
                np.testing.assert_allclose(got, right, rtol=0, atol=1e-5)


@pytest.mark.parametrize("attention", TYPES)
def test_sum_and_relu_after_attention_become_part_of_its_node(attention: AttentionType) -> None:
    network = Branches(attention).eval()
    graph = export(network)
    (plain,) = (name for name in RESIDUAL_FORMS if OPERATORS[name].attention is attention)
    assert operators(graph) == [f"{plain}AddRelu"] * 2
    assert not {"Add", "Relu"} & {node.op_type for node in graph.model.graph.node}
    require_pytorchs_answers(graph, network)


@pytest.mark.parametrize("attention", TYPES)
def test_layers_keep_their_names_types_and_maps(attention: AttentionType) -> None:
    layers = export(Branches(attention)).layers
    assert [layer.name for layer in layers] == ["first", "second"]
    for layer in layers:
        assert layer.attention is attention
        assert OPERATORS[layer.operator].attention is attention
        assert layer.maps
        assert all(spec.name.startswith(f"attention.{layer.name}") for spec in layer.maps)


def test_layers_stay_in_the_order_of_the_calls_where_their_sums_come_in_another() -> None:
    class Crossed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.early, self.late = CBAM(8), SqueezeExcitation(8)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            early, late = self.early(x), self.late(x)
            late = F.relu(late + x)
            return F.relu(early + late), late

    module = Crossed().eval()
    graph = export(module, outputs=2)
    assert operators(graph) == ["SqueezeExcitationAddRelu", "CBAMAddRelu"]
    assert [layer.name for layer in graph.layers] == ["early", "late"]
    require_pytorchs_answers(graph, module)


def test_of_two_blocks_in_one_sum_the_first_takes_the_other_as_its_shortcut() -> None:
    module = Block(lambda block, x: F.relu(block(x) + block(x * 2)))
    graph = export(module)
    assert sorted(operators(graph)) == ["SimAM", "SimAMAddRelu"]
    assert [layer.operator for layer in graph.layers] == ["SimAMAddRelu", "SimAM"]
    require_pytorchs_answers(graph, module)


def test_the_network_returns_a_map_of_a_fused_block() -> None:
    def forward(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        y, gate = block(x, return_attention=True)
        return F.relu(y + x), gate

    module = Block(forward, SqueezeExcitation(8))
    graph = export(module, outputs=2)
    assert operators(graph) == ["SqueezeExcitationAddRelu"]
    require_pytorchs_answers(graph, module)


def _sum_read_twice(block: nn.Module, x: Tensor) -> Tensor:
    total = block(x) + x
    return F.relu(total) + total


def _sum_returned(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    total = block(x) + x
    return F.relu(total), total


def _block_read_twice(block: nn.Module, x: Tensor) -> Tensor:
    y = block(x)
    return F.relu(y + x) * y


def _block_returned(block: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
    y = block(x)
    return F.relu(y + x), y


def _map_leads_to_the_shortcut(block: nn.Module, x: Tensor) -> Tensor:
    y, weights = block(x, return_attention=True)
    return F.relu(y + weights * 2)


UNFUSED: dict[str, Callable[[nn.Module, Tensor], Any]] = {
    "sum read twice": _sum_read_twice,
    "sum returned": _sum_returned,
    "block read twice": _block_read_twice,
    "block returned": _block_returned,
    "no relu": lambda block, x: block(x) + x,
    "no sum": lambda block, x: F.relu(block(x)),
    "another activation": lambda block, x: torch.sigmoid(block(x) + x),
    "a difference": lambda block, x: F.relu(block(x) - x),
    "added to itself": lambda block, x: (lambda y: F.relu(y + y))(block(x)),
    "broadcast over positions": lambda block, x: F.relu(block(x) + x.mean((2, 3), keepdim=True)),
    "broadcast over rows": lambda block, x: F.relu(block(x) + torch.ones(1, 8, 6, 6)),
    "broadcast of a number": lambda block, x: F.relu(block(x) + 1.0),
    "block broadcast": lambda block, x: F.relu(block(x.mean((2, 3), keepdim=True)) + x),
    "map leads to the shortcut": _map_leads_to_the_shortcut,
}


@pytest.mark.parametrize("case", UNFUSED)
def test_nothing_is_fused_that_others_see_or_that_is_no_such_end(case: str) -> None:
    outputs = 2 if "returned" in case else 1
    module = Block(UNFUSED[case])
    graph = export(module, outputs)
    assert operators(graph) == ["SimAM"]
    require_pytorchs_answers(graph, module)


def test_attention_without_a_residual_form_keeps_its_sum() -> None:
    network = Branches(AttentionType.EXTERNAL).eval()
    assert operators(export(network)) == ["ExternalAttention"] * 2


@pytest.mark.parametrize("recipe", FASHION_MODELS, ids=lambda recipe: recipe.name)
def test_every_residual_block_of_the_recipes_ends_in_its_attention(recipe: ImageClassification) -> None:
    graph = export_graph(untrained(recipe), {"input": torch.randn(2, 1, 28, 28)}, ["logits"])
    ends = [form.name for form in RESIDUAL_FORMS.values() if form.attention is recipe.attention] * 3
    assert [operator for operator in operators(graph) if operator.endswith("AddRelu")] == ends
    assert len(graph.layers) == (0 if recipe.attention is AttentionType.NONE else 3)
