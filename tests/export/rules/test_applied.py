"""What a rule makes holds for the inputs that it is tried on, or is undone, and that is said."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnxscript.rewriter import RewriteRuleClassBase

from fovea.contract.errors import ExportFailed
from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.bound_bodies import attention_nodes
from fovea.export.exporter import trace
from fovea.export.rules.applied import RULES, apply_rules
from fovea.export.rules.attention_rule import Problems, sizes
from fovea.export.rules.squeeze_excitation_rule import SqueezeExcitationRule
from plain_blocks import CHANNELS, FORMS, NEAR, in_a_row

INPUTS = {"x": np.random.default_rng(0).standard_normal((2, CHANNELS, CHANNELS, CHANNELS), dtype=np.float32)}


class Careless(SqueezeExcitationRule):
    """Believes its pattern, which cannot tell what a mean is over."""

    def problems(self, *_: object, **__: object) -> Problems:
        return iter(())


class Wrong(RewriteRuleClassBase):
    """Takes any product for a gate of its own."""

    operator = OPERATORS["SqueezeGate"]

    def pattern(self, op: Any, X: Any, gate: Any) -> Any:
        return op.Mul(X, gate)

    def check(self, _context: Any, X: Any, gate: Any) -> bool:
        return sizes(X)[2:] == [CHANNELS, CHANNELS] != sizes(gate)[2:]

    def rewrite(self, op: Any, X: Any, gate: Any) -> Any:  # noqa: ARG002
        y, _ = op.SqueezeGate(X, _domain=DOMAIN, _version=1, _outputs=2)
        return y


@pytest.fixture(scope="module")
def graph() -> onnx.ModelProto:
    """One block that is Squeeze-and-Excitation, and one that only looks so."""
    blocks = {"right": FORMS["squeezed"], "wrong": NEAR["mean_over_rows_of_pixels"]}
    return trace(in_a_row(blocks), {"x": torch.tensor(INPUTS["x"])}, ["y"], {})


def test_a_match_that_does_not_compute_what_its_operator_does_is_undone_alone(graph: onnx.ModelProto) -> None:
    applied = apply_rules(graph, INPUTS, [Careless(residual=False)])
    assert [(node.op_type, node.name) for node in attention_nodes(applied.model)] == [("SqueezeExcitation", "right")]
    (line,) = applied.undone
    assert line.startswith("SqueezeExcitation at wrong was undone: the operator's definition differs by ")


def test_where_outputs_change_all_is_undone(graph: onnx.ModelProto) -> None:
    applied = apply_rules(graph, INPUTS, [Wrong()])
    assert applied.model == graph
    assert len(applied.undone) == 2
    assert all("the graph gave other outputs with it" in line for line in applied.undone)


def test_the_graph_that_is_given_stays_as_it_is(graph: onnx.ModelProto) -> None:
    before = graph.SerializeToString(deterministic=True)
    assert apply_rules(graph, INPUTS).model != graph
    assert graph.SerializeToString(deterministic=True) == before


class Indexing(torch.nn.Module):
    """Squeeze-and-Excitation, times a row of a table that its largest value chooses."""

    def __init__(self) -> None:
        super().__init__()
        self.block, self.table = FORMS["indexed"](), torch.nn.Parameter(torch.rand(10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.block(x) * self.table[x.amax((1, 2, 3), keepdim=True).long()]
        return y


def test_a_graph_that_takes_no_larger_numbers_is_tried_on_those_that_it_takes() -> None:
    graph = trace(Indexing().eval(), {"x": torch.tensor(INPUTS["x"])}, ["y"], {})
    assert [node.op_type for node in attention_nodes(apply_rules(graph, INPUTS).model)] == ["SqueezeExcitation"]


def test_a_graph_that_cannot_be_run_at_all_is_an_export_that_failed() -> None:
    graph = trace(Indexing().eval(), {"x": torch.tensor(INPUTS["x"])}, ["y"], {})
    with pytest.raises(ExportFailed, match=r"ONNX Runtime cannot run the exported graph: .*invalid index found"):
        apply_rules(graph, {"x": 10 * INPUTS["x"]})


def test_every_rule_has_an_operator_and_a_name() -> None:
    assert all(rule.operator.name == rule.name and rule.name in OPERATORS for rule in RULES)
