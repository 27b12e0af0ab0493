"""Function bodies of the nodes that rules made: the matched nodes, in the form in which all bodies of `ai.fovea` are.

Inputs and outputs bear the operator's names, blocks that are alike share a body, and each body is there without its
maps and with them.
"""

from __future__ import annotations

from collections.abc import Mapping

import onnx
from onnxscript import ir

from fovea.contract.operators import RESIDUAL_FORMS, Operator
from fovea.export.bound_bodies import WITH_MAPS, Bodies
from fovea.export.layer_names import module_path
from fovea.export.rules.attention_rule import MAP_KEY, AttentionRule
from fovea.export.rules.linear import hand_in, hand_in_bias

_RESIDUAL_ENDS = {operator.name for operator in RESIDUAL_FORMS.values()}


def take_bodies(model: ir.Model, rules: Mapping[str, AttentionRule]) -> Bodies:
    """Take the functions of the rules' nodes out of the model; `rules` by the name of their operator.

    A node's overload becomes `found_1` or the like (with maps, `found_1_maps`), its name the path of its module.
    """
    bodies: dict[tuple[str, str], onnx.FunctionProto] = {}
    for node in model.graph:
        function = model.functions.pop(node.op_identifier(), None)
        if function is None:
            continue
        rule = rules[node.op_type]
        inner = list(function)[:-2] if rule.operator.name in _RESIDUAL_ENDS else list(function)
        node.name = module_path(one.metadata_props for one in inner if one.metadata_props)
        _hand_in_weights(model.graph, node, function, rule)
        node.overload = _add(bodies, *_both(node, function, rule))
    return bodies


def _hand_in_weights(graph: ir.Graph, node: ir.Node, function: ir.Function, rule: AttentionRule) -> None:
    before = [value for value in node.inputs if value is not None]
    for weights, bias in rule.layers.items():
        hand_in(node, function, rule.input_names.index(weights), graph)
        hand_in_bias(node, function, rule.input_names.index(bias), graph)
    for value in before:
        if value.name in graph.initializers and not value.uses() and not value.is_graph_output():
            del graph.initializers[value.name]


def _both(node: ir.Node, function: ir.Function, rule: AttentionRule) -> tuple[onnx.FunctionProto, onnx.FunctionProto]:
    """The body without maps, and the one with them."""
    values = {value.name: value for inner in function for value in inner.outputs}
    maps = {name: values[node.metadata_props[MAP_KEY + name]] for name in rule.operator.maps}
    _name(function, rule.operator)
    plain = ir.serde.serialize_function(function, create_value_info=False)
    plain.attribute.extend(rule.operator.attributes)
    for constant in (attribute for inner in plain.node for attribute in inner.attribute if attribute.HasField("t")):
        constant.t.ClearField("name")
    full = onnx.FunctionProto()
    full.CopyFrom(plain)
    for name, value in maps.items():
        step = "Flatten" if name in rule.flat_maps else "Identity"
        full.node.add(op_type=step, input=[value.name], output=[name], name=f"{rule.operator.name}/{name}")
        full.output.append(name)
    return plain, full


def _name(function: ir.Function, operator: Operator) -> None:
    """As bodies have their names: values by operator, nodes `<Operator>/<first output>`; nothing of this machine."""
    for value, name in zip(function.inputs, operator.inputs, strict=True):
        value.name = name.removesuffix("?")
    for index, node in enumerate(function):
        for value in node.outputs:
            value.const_value = None  # it is the graph's own tensor, which would be renamed as well
            value.name = f"{node.op_type.lower()}_{index}"
    function.outputs[0].name = operator.outputs[0]
    for node in function:
        node.name, node.doc_string = f"{operator.name}/{node.outputs[0].name}", None
        node.metadata_props.clear()


def _add(bodies: dict[tuple[str, str], onnx.FunctionProto], plain: onnx.FunctionProto, full: onnx.FunctionProto) -> str:
    """The overload of this body, which is there already where an equal one is."""
    plain.ClearField("overload")
    text = plain.SerializeToString(deterministic=True)
    for (operator, overload), known in bodies.items():
        if operator == plain.name and _without_overload(known) == text:
            return overload
    overload = f"found_{len(bodies) // 2 + 1}"
    for name, body in ((overload, plain), (overload + WITH_MAPS, full)):
        body.overload = name
        bodies[body.name, name] = body
    return overload


def _without_overload(body: onnx.FunctionProto) -> bytes:
    copy = onnx.FunctionProto()
    copy.CopyFrom(body)
    copy.ClearField("overload")
    return bytes(copy.SerializeToString(deterministic=True))
