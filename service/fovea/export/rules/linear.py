"""Linear layers in the forms that graphs have them: Gemm, MatMul and Add, or a 1x1 convolution; with a bias or without.

Operators of `ai.fovea` take weights as a matrix (out, in) and a bias as a vector. Where a graph has them otherwise, the
node gets those, and its body lays them out as they were, which ONNX Runtime does once, when it opens the model.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnxscript import ir
from onnxscript.rewriter.pattern import ANY_VALUE, Var

from fovea.export.rules.attention_rule import either_way, one_of, sizes

Array = NDArray[Any]


def linear(op: Any, value: Any, weights: str, bias: str) -> Any:
    """Pattern: such a layer. Its weights and bias are bound to these names; a bias that is not there to None."""
    w, b = Var(weights), Var(bias, can_match_none=True)
    product, of_planes = op.MatMul(value, w), one_of([op.Reshape(b, ANY_VALUE), b])
    sums = [either_way(op.Add, product, b), either_way(op.Add, op.Conv(value, w), of_planes)]
    return one_of([op.Gemm(value, w, b), op.Conv(value, w, b), *sums, product])


def layer_of(weights: ir.Value, nodes: Any) -> ir.Node:
    """Of a match's nodes, the one that reads these weights."""
    return next(node for node in nodes if weights in node.inputs[1:2])


def matrix(weights: ir.Value, layer: ir.Node) -> Array | None:
    """The weights as (out, in); None where they are no constant, or the layer computes something else."""
    array: Array | None = None if weights.const_value is None else weights.const_value.numpy()
    if array is None or not _IS_PLAIN[layer.op_type](layer.attributes, array):
        return None
    return array.reshape(array.shape[:2]) if layer.op_type == "Conv" else array if _is_transposed(layer) else array.T


def is_bias(bias: ir.Value, layer: ir.Node, nodes: Any, channels: int) -> bool:
    """Whether it gives each of the layer's channels its number: in the layer, or in the sum after it."""
    reader = next(node for node in nodes if bias in node.inputs)
    added = reader.outputs[0] if reader.op_type == "Reshape" else bias
    if layer.op_type != "Conv" or bias in layer.inputs:
        return sizes(bias) == [channels]
    is_vector = reader.op_type != "Reshape" or sizes(bias) == [channels]
    return is_vector and bias.const_value is not None and sizes(added) in ([1, channels, 1, 1], [channels, 1, 1])


def hand_in(node: ir.Node, function: ir.Function, weights: int, graph: ir.Graph) -> None:
    """Make input `weights` of a new node in the graph what its operator takes."""
    old, formal = node.inputs[weights], function.inputs[weights]
    assert old is not None
    ((layer, place),) = formal.uses()
    array = matrix(old, layer)
    assert array is not None
    if not _is_transposed(layer):
        back = _as_it_was(formal, layer)
        function.insert_before(layer, back)
        layer.replace_input_with(place, back[-1].outputs[0])
        node.replace_input_with(weights, _constant(f"{old.name}.matrix", array, graph))


def hand_in_bias(node: ir.Node, function: ir.Function, bias: int, graph: ir.Graph) -> None:
    """Make input `bias` of a new node in the graph a vector, where it has the axes of planes."""
    old, formal = node.inputs[bias], function.inputs[bias]
    if old is None or len(sizes(old)) < 2:
        return
    assert old.const_value is not None
    ((total, place),) = formal.uses()
    shape = ir.node("Constant", [], {"value_ints": sizes(old)})
    back = ir.node("Reshape", [formal, shape.outputs[0]])
    function.insert_before(total, [shape, back])
    total.replace_input_with(place, back.outputs[0])
    node.replace_input_with(bias, _constant(f"{old.name}.vector", old.const_value.numpy().reshape(-1), graph))


def _as_it_was(formal: ir.Value, layer: ir.Node) -> list[ir.Node]:
    if layer.op_type != "Conv":
        return [ir.node("Transpose", [formal], {"perm": [1, 0]})]
    axes = ir.node("Constant", [], {"value_ints": [2, 3]})
    return [axes, ir.node("Unsqueeze", [formal, axes.outputs[0]])]


def _constant(name: str, array: Array, graph: ir.Graph) -> ir.Value:
    """Of the graph, which has it already where a layer is used again."""
    if name not in graph.initializers:
        tensor = ir.tensor(np.ascontiguousarray(array), name=name)
        kind = ir.TensorType(tensor.dtype)
        graph.register_initializer(ir.Value(name=name, shape=ir.Shape(tensor.shape), type=kind, const_value=tensor))
    return graph.initializers[name]


def _is_transposed(layer: ir.Node) -> bool:
    return layer.op_type == "Gemm" and bool(layer.attributes.get_int("transB", 0))


def _is_plain_product(facts: Any, weights: Array) -> bool:
    scales = facts.get_float("alpha", 1.0), facts.get_float("beta", 1.0)
    return weights.ndim == 2 and scales == (1.0, 1.0) and facts.get_int("transA", 0) == 0


def _is_pointwise(facts: Any, weights: Array) -> bool:
    padded = any(facts.get_ints("pads", (0,)))
    return weights.ndim == 4 and weights.shape[2:] == (1, 1) and facts.get_int("group", 1) == 1 and not padded


_IS_PLAIN: dict[str, Callable[[Any, Array], bool]] = {
    "Gemm": _is_plain_product,
    "MatMul": _is_plain_product,
    "Conv": _is_pointwise,
}
