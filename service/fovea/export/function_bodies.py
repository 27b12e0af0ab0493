"""The function bodies: what each `ai.fovea` operator is in plain ONNX, opset 23, in ONNX's own text form.

A body must be right for float32 and float16, for any batch, and cost nothing for a map that is not connected. ONNX
Runtime runs every node of a body, needed or not: where a map is no by-product, the body with it is an overload of its
own. Nodes are named `<Operator>/<first output>`.
"""

from __future__ import annotations

from functools import cache

import onnx
import onnx.parser

from fovea.contract.operators import DOMAIN, OPERATORS
from fovea.export.channel_bodies import gate_overload
from fovea.export.feature_map_bodies import FEATURE_MAP_BODIES
from fovea.export.hard_bodies import HARD_BODIES
from fovea.export.score_bodies import SCORE_BODIES
from fovea.export.sequence_bodies import SEQUENCE_BODIES

OPSET = 23

BODIES: dict[tuple[str, str], str] = {**FEATURE_MAP_BODIES, **SEQUENCE_BODIES, **SCORE_BODIES, **HARD_BODIES}
"""(Operator, overload) -> body. An overload is what a mask, an option or a costly map makes of it."""


_RESTRICTED_BY = {"mask?": "masked", "bias?": "biased"}
"""Optional input -> its part in the names of the overloads that take it."""


def overload_of(node: onnx.NodeProto) -> str:
    """Which body of its operator this node needs; its unused outputs are ""."""
    facts = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    if "activation" in facts:
        return gate_overload(facts["activation"].decode(), facts["slope"])
    given = zip(OPERATORS[node.op_type].inputs, node.input, strict=False)  # what is left out at the end is not there
    optional = [_RESTRICTED_BY[name] for name, value in given if name in _RESTRICTED_BY and value]
    restricted = "_".join(optional) or ("window" if facts.get("window", 0) > 0 else "")
    with_maps = f"{restricted}_maps".lstrip("_")
    return with_maps if any(node.output[1:]) and (node.op_type, with_maps) in BODIES else restricted


def outputs_of(operator_name: str, overload: str) -> tuple[str, ...]:
    """The outputs this body computes, which are those its nodes list: all, or just the first."""
    text = BODIES[operator_name, overload]
    return tuple(name for name in OPERATORS[operator_name].outputs if f" {name} = " in text)


def _inputs_of(inputs: tuple[str, ...], overload: str) -> list[str]:
    """As far as the last one that is given: what is left out before it is an input that the body does not use."""
    given = [name for name in inputs if _RESTRICTED_BY.get(name, "") in overload]
    return [name.removesuffix("?") for name in inputs[: inputs.index(given[-1]) + 1]]


@cache
def body_of(operator_name: str, overload: str = "") -> onnx.FunctionProto:
    """The function of domain `ai.fovea` to append to a model. KeyError: no such body."""
    operator = OPERATORS[operator_name]
    given = ", ".join(_inputs_of(operator.inputs, overload))
    attributes = f"<{', '.join(operator.attributes)}>" if operator.attributes else ""
    imports = f'<domain: "{DOMAIN}", opset_import: ["": {OPSET}], overload: "{overload}">'
    signature = f"{operator_name} {attributes} ({given}) => ({', '.join(outputs_of(operator_name, overload))})"
    function: onnx.FunctionProto = onnx.parser.parse_function(
        f"{imports} {signature} {{{BODIES[operator_name, overload]}}}"
    )
    for node in function.node:
        node.name = f"{operator_name}/{node.output[0]}"
    return function
