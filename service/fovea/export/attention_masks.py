"""Masks of the standard `Attention` at their full size, for ONNX Runtime's kernel, which refuses (B, H, 1, Tk).

A mask of which keys there are is the same for every query. PyTorch broadcasts it, and its `nn.TransformerEncoder` gives
no other where it is called with `src_key_padding_mask`.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import helper

_MASK = 3
"""Its place among the inputs."""


def expand_attention_masks(model: onnx.ModelProto) -> None:
    """Give each query a row of its own, wherever a mask has one for all of them."""
    graph = model.graph
    shared = _shared_by_all_queries(graph)
    nodes = [part for node in graph.node for part in _expanded(node, shared)]
    del graph.node[:]
    graph.node.extend(nodes)


def _shared_by_all_queries(graph: onnx.GraphProto) -> set[str]:
    """Values (..., 1, Tk)."""
    values = (*graph.value_info, *graph.input)
    shapes = {value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim] for value in values}
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    return {name for name, shape in shapes.items() if shape[-2:-1] == [1]}


def _expanded(node: onnx.NodeProto, shared: set[str]) -> Iterator[onnx.NodeProto]:
    """The node, behind what makes its mask where it needs another."""
    if (node.domain, node.op_type) == ("", "Attention") and shared.intersection(node.input[_MASK : _MASK + 1]):
        whole = f"{node.name}.mask"
        yield helper.make_node("Shape", [node.input[0]], [f"{whole}.queries"], start=-2, end=-1)
        yield helper.make_node("Constant", [], [f"{whole}.keys"], value_ints=[1])
        yield helper.make_node("Concat", [f"{whole}.queries", f"{whole}.keys"], [f"{whole}.shape"], axis=0)
        yield helper.make_node("Expand", [node.input[_MASK], f"{whole}.shape"], [whole])
        node.input[_MASK] = whole
    yield node
