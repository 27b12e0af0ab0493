"""What type of attention a node is: its operator's, or the narrower one that the node's own facts make of it."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx

from fovea.contract.attention import AttentionType
from fovea.contract.operators import OPERATORS


def attention_type(node: onnx.NodeProto, shapes: Mapping[str, onnx.ValueInfoProto]) -> AttentionType:
    """Of an `ai.fovea` node; `shapes` of the graph's values by name."""
    operator = OPERATORS[node.op_type]
    first = shapes.get(node.input[0])
    sizes = [axis.dim_value for axis in first.type.tensor_type.shape.dim] if first is not None else []
    match operator.attention, sizes:
        case AttentionType.MULTI_HEAD, [_, 1, _, _]:  # Q (B, heads, Tq, d)
            return AttentionType.SELF if _are_as_long(first, shapes.get(node.input[1])) else AttentionType.KEY_VALUE
        case AttentionType.DOT, [_, _, width]:  # Q (B, Tq, A)
            return _type_of_products(node, width)
    return operator.attention


def _are_as_long(query: onnx.ValueInfoProto | None, key: onnx.ValueInfoProto | None) -> bool:
    """Whether Q and K (B, heads, T, d) have one length, as far as that is known."""
    if query is None or key is None:
        return True
    lengths = [value.type.tensor_type.shape.dim[2] for value in (query, key)]
    return lengths[0].dim_value == lengths[1].dim_value and lengths[0].dim_param == lengths[1].dim_param


def _type_of_products(node: onnx.NodeProto, width: int) -> AttentionType:
    """One tensor as Q, K and V: self. Two as K and V: key-value. Else the score tells."""
    query, key, value = node.input[:3]
    if key != value:
        return AttentionType.KEY_VALUE
    if query == key:
        return AttentionType.SELF
    return AttentionType.SCALED_DOT if _is_scaled(node, width) else AttentionType.DOT


def _is_scaled(node: onnx.NodeProto, width: int) -> bool:
    """Whether products are divided by the root of the width; of width 1 there is nothing to divide by."""
    scale = next(attribute.f for attribute in node.attribute if attribute.name == "scale")
    return width > 1 and math.isclose(scale, width**-0.5, rel_tol=1e-6)  # attributes are float32
