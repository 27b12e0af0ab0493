"""Applies the rules to a graph, tries what they made, and undoes what does not hold.

What an undone match was, and why, is told; the rest is found again without it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
from onnx_ir.passes.common import IdentityEliminationPass, LiftConstantsToInitializersPass, RemoveUnusedNodesPass
from onnxscript import ir
from onnxscript.rewriter import MatchResult, RewriteRule, RewriteRuleClassBase, RewriteRuleSet
from onnxscript.rewriter.rules.common import expand_before_binary_op_rules

from fovea.contract.operators import OPERATORS, RESIDUAL_FORMS
from fovea.export.bound_bodies import Bodies, attention_nodes
from fovea.export.rules.attention_rule import AttentionRule, map_sources
from fovea.export.rules.found_bodies import take_bodies
from fovea.export.rules.oracle import disagreements
from fovea.export.rules.residual import ResidualEnd
from fovea.export.rules.squeeze_excitation_rule import SqueezeExcitationRule
from fovea.runtime.arrays import Arrays

RULES: tuple[RewriteRuleClassBase, ...] = (
    *(ResidualEnd(OPERATORS[name]) for name in RESIDUAL_FORMS),
    SqueezeExcitationRule(residual=True),
    SqueezeExcitationRule(residual=False),
    SqueezeExcitationRule(residual=False, gate_first=True),
)
"""In this order, each over the whole graph: the larger form of a block goes before the smaller."""

_PLAINER = ir.passes.Sequential(
    LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0), IdentityEliminationPass()
)
"""What files of other exporters have between the nodes of a block, and rules would have to step over."""


@dataclass(frozen=True)
class Applied:
    """The graph with the nodes that rules made, which bear names and maps; and what was undone, in a line each."""

    model: onnx.ModelProto
    found: Bodies
    undone: tuple[str, ...] = ()


def apply_rules(model: onnx.ModelProto, inputs: Arrays, rules: Sequence[RewriteRuleClassBase] = RULES) -> Applied:
    """The rules' work on `model`, which stays as it is, as far as it holds for `inputs`."""
    refused: dict[str, str] = {}
    while True:
        applied = _rewritten(model, rules, refused)
        wrong = disagreements(model, applied.model, applied.found, inputs)
        if not wrong:
            return applied
        refused |= wrong


def _rewritten(model: onnx.ModelProto, rules: Sequence[RewriteRuleClassBase], refused: Mapping[str, str]) -> Applied:
    """All matches but those whose result is among `refused`."""
    graph = ir.serde.deserialize_model(copy.deepcopy(model))  # the rewriter renames tensors in place
    _PLAINER(graph)
    expand_before_binary_op_rules.apply_to_model(graph)  # what `expand_as` does, the product does by itself
    count = sum(RewriteRuleSet([_unless(refused, rule)]).apply_to_model(graph) for rule in rules)
    undone = tuple(refused.values())
    if count == 0:
        return Applied(model, {}, undone)
    own = {rule.name: rule for rule in rules if isinstance(rule, AttentionRule)}
    found = take_bodies(graph, own)
    RemoveUnusedNodesPass()(graph)
    result = ir.serde.serialize_model(graph)
    for node in attention_nodes(result):
        if (node.op_type, node.overload) in found:
            _add_maps(node, own[node.op_type], result.graph, model.graph)
    return Applied(result, found, undone)


def _unless(refused: Mapping[str, str], rule: RewriteRuleClassBase) -> RewriteRule:
    def check(context: Any, **bound: Any) -> MatchResult:
        if context.output_values[0].name in refused:
            return MatchResult().fail("was undone")
        return rule.check(context, **bound)

    return RewriteRule(rule.pattern, rule.rewrite, check, name=rule.name, as_function=rule.as_function)


def _add_maps(node: onnx.NodeProto, rule: AttentionRule, graph: onnx.GraphProto, before: onnx.GraphProto) -> None:
    """List its maps among its outputs, with the types of the values that they were."""
    for name, source in map_sources(node).items():
        value = graph.value_info.add()
        value.CopyFrom(next(known for known in before.value_info if known.name == source))
        value.name = f"{node.output[0]}.{name.lower()}"
        if name in rule.flat_maps:
            del value.type.tensor_type.shape.dim[2:]
        node.output.append(value.name)
